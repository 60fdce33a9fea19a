# SPDX-License-Identifier: Apache-2.0
"""`python -m tools.start MODULE ARGUMENT...`: how make starts every program of the project.

It is there before the program's imports are, which take a second or two: whenever Ctrl-C comes,
the program ends in one line with status 130. So it does, with status 2, where a tool is missing or
a file cannot be read or written. What is printed into a pipe that has closed is lost, silently.
"""

import contextlib
import os
import runpy
import signal
import sys
import tempfile

from tools.cache import CACHE
from tools.errors import ToolError


def main() -> int:
    """The exit status; a program that ends by `sys.exit` takes its own way out."""
    try:
        settle_caches()
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("interrupted: what was not complete was not written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
        return 1
    except (OSError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C while Python tidies up


def settle_caches() -> None:
    """Where the home folder cannot be written, let libraries keep their caches beside ours.

    matplotlib (its list of fonts) and the WebAssembly tools (their machine code) warn, fail or do
    the work anew each time.
    """
    home = os.path.expanduser("~")
    with contextlib.suppress(OSError):
        with tempfile.TemporaryFile(dir=home):
            return
    os.environ.setdefault("XDG_CACHE_HOME", str(CACHE / "home"))
    os.environ.setdefault("MPLCONFIGDIR", str(CACHE / "home" / "matplotlib"))


if __name__ == "__main__":
    sys.exit(main())
