# SPDX-License-Identifier: Apache-2.0
"""`python -m tools.start MODULE ARGUMENT...`: how make starts every program of the project.

It is there before the program's imports are, which take a second or two: whenever Ctrl-C comes,
the program ends in one line with status 130. So it does, with status 2, where a tool is missing or
a file cannot be read or written. What is printed into a pipe that has closed is lost, silently.
"""

import os
import signal
import sys

INTERRUPTED = 130


def main() -> int:
    """The exit status; a program that ends by `sys.exit` takes its own way out."""
    try:
        return run()
    except KeyboardInterrupt:
        _be_quiet()
        print("interrupted: what was not complete was not written", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:
        if error.code == INTERRUPTED:
            _be_quiet()
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
        return 1


def run() -> int:
    """Run the module that the command line names. Its imports are this function's: even the
    standard library's take long enough for a Ctrl-C."""
    import runpy

    from tools.errors import ToolError

    try:
        settle_caches()
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return 0
    except BrokenPipeError:
        raise
    except (OSError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name != "torch":  # all else is in the lock
            raise
        print("error: PyTorch is not installed, which is optional: run `make setup`, which says "
              "how to get it", file=sys.stderr)
        return 2


def settle_caches() -> None:
    """Where the home folder cannot be written, let libraries keep their caches beside ours.

    matplotlib (its list of fonts) and the WebAssembly tools (their machine code) warn, fail or do
    the work anew each time.
    """
    import contextlib
    import tempfile

    from tools.cache import CACHE

    with contextlib.suppress(OSError):
        with tempfile.TemporaryFile(dir=os.path.expanduser("~")):
            return
    os.environ.setdefault("XDG_CACHE_HOME", str(CACHE / "home"))
    os.environ.setdefault("MPLCONFIGDIR", str(CACHE / "home" / "matplotlib"))


def _be_quiet() -> None:
    """Ignore a second Ctrl-C while Python tidies up, and warn of nothing that is half made."""
    import warnings

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
