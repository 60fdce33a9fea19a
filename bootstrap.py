# SPDX-License-Identifier: Apache-2.0
"""Creates the virtual environment from requirements.lock; the standard library is all it needs.

`python3 bootstrap.py` does nothing if `.venv` is complete and of this lock. `--lock` makes a new
lock from pyproject.toml. Two at once wait for each other; an interrupted one leaves an environment
without its seal, which the next one makes anew.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
TORCH_LOCK = ROOT / "requirements-torch.lock"  # optional: what the PyTorch front end needs
SEAL = VENV / "complete"
PACKAGES = {  # command -> Debian package
    os.environ.get("CXX", "g++"): "g++",
    "make": "make",
    "perl": "perl",
}
STRANGE = "\"'`$\\#%:;&|<>()[]{}*?!"  # letters of a path that make, the shell or Yosys would read


def missing() -> list[str]:
    """What this machine lacks, each with the command that installs it."""
    found = []
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have an older one
        found.append(f"Python >= 3.11 (this is {sys.version.split()[0]}): apt install python3.11 "
                     "python3.11-venv, then make PYTHON=python3.11")
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        found.append("Python's venv module: apt install python3-venv")
    for command, package in PACKAGES.items():
        if not shutil.which(command):
            way_out = f"apt install {package}" if command == package else "install it, or unset CXX"
            found.append(f"{command}: {way_out}")
    # those that Python's tempfile looks at
    temporary = [(name, os.environ.get(name, "")) for name in ("TMPDIR", "TEMP", "TMP")]
    for name, path in (("the clone", str(ROOT)), *temporary):
        if found_in := [letter for letter in path if letter.isspace() or letter in STRANGE]:
            way_out = "move it" if name == "the clone" else f"export {name}=/tmp"
            what = "a space" if found_in[0].isspace() else f"a {found_in[0]}"
            found.append(f"a path that make and Yosys can name: {name} = {path!r} has {what}: "
                         f"{way_out}")
    return found


# what would send packages elsewhere than into the environment, or others' modules into it
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON",
           "PIP_DRY_RUN", "PIP_REPORT", "PIP_DOWNLOAD")


def environment() -> dict:
    """The environment of Python and pip: the user's index, proxy and certificates stay."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "PIP_USER": "0"}  # outranks pip's configuration file too


class StoppedError(Exception):
    """Nothing can be installed here; the message says why and what to do."""


@contextlib.contextmanager
def locked(path: Path):
    """Hold a lock; StoppedError where there can be none, before anything is downloaded."""
    try:
        lock = open(path, "w")
    except OSError as error:
        raise StoppedError(f"cannot write to {path.parent} ({error.strerror}): clone it to a "
                           "folder that you may write to") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise StoppedError(f"no locks in {path.parent} ({error.strerror}): clone it to a "
                               "local disk") from error
        yield


def wanted_seal() -> str:
    text = LOCK.read_bytes() + TORCH_LOCK.read_bytes() + f"{sys.version}\0{VENV}".encode()
    return hashlib.sha256(text).hexdigest()


def complete() -> bool:
    try:
        return SEAL.read_text() == wanted_seal() and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def install(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True,
                   env=environment())
    pip(folder, *arguments)


def pip(folder: Path, *arguments: str, capture_output: bool = False) -> None:
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install",
                    "--disable-pip-version-check", *arguments], check=True, env=environment(),
                   capture_output=capture_output)


def setup() -> None:
    if complete():
        return
    if VENV.is_symlink():  # to remove its seal would break the checkout that it belongs to
        raise StoppedError(f"{VENV} is a link to {os.readlink(VENV)}, an environment that was not "
                           "made for this checkout: remove the link, rm .venv")
    with locked(ROOT / ".venv.lock"):
        if complete():
            return
        print("setup: installing the pinned tools into .venv (once, a minute or two)", flush=True)
        SEAL.unlink(missing_ok=True)
        install(VENV, "--quiet", "--progress-bar", "on", "--no-deps", "-r", str(LOCK))
        if absent := not_installed(VENV):
            raise StoppedError(
                f"pip installed {absent} elsewhere or not at all: remove what sends packages to "
                "another place (target, prefix, dry-run) from its configuration (pip config list)")
        install_torch()
        partial = SEAL.with_suffix(".partial")
        partial.write_text(wanted_seal())
        os.replace(partial, SEAL)


def install_torch() -> None:
    """The CPU build of PyTorch, if pip's indexes have it; the plain one brings gigabytes."""
    try:
        pip(VENV, "--quiet", "--no-deps", "-r", str(TORCH_LOCK), capture_output=True)
    except subprocess.CalledProcessError:
        wanted = next(line for line in TORCH_LOCK.read_text().splitlines()
                      if line.startswith("torch=="))
        print(f"setup: pip finds no {wanted}, the build for CPUs: everything works but the PyTorch "
              "front end. To have that, give pip PyTorch's own index of CPU builds "
              "(PIP_EXTRA_INDEX_URL) and run: rm .venv/complete; or, several GB with CUDA: "
              f".venv/bin/pip install {wanted.partition('+')[0]}", flush=True)


def not_installed(folder: Path) -> str:
    """The first pinned package that an environment lacks; empty if it has them all."""
    program = ("import importlib.metadata as m, sys\n"
               "known = {d.metadata['Name'].lower().replace('_', '-').replace('.', '-')\n"
               "         for d in m.distributions()}\n"
               "print(next((n for n in sys.argv[1:] if n not in known), ''))")
    pins = [line.partition("==") for line in LOCK.read_text().splitlines() if "==" in line]
    names = [name.lower().replace("_", "-").replace(".", "-") for name, _, version in pins
             if ";" not in version]  # one for another processor may be absent
    return subprocess.run([str(folder / "bin" / "python"), "-c", program, *names], text=True,
                          capture_output=True, check=True, env=environment()).stdout.strip()


def make_lock() -> None:
    """Resolve pyproject.toml in an empty environment and write down what came of it."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = project["project"]["dependencies"] + groups["test"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder, *wanted)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--disable-pip-version-check",
                        "--no-deps", *groups["files"]], check=True, env=environment())
        frozen = freeze(folder)
        pip(folder, *groups["torch"])
        optional = sorted(set(freeze(folder).splitlines()) - set(frozen.splitlines()))
    for pin in wanted:  # a freeze does not know which pins are for one processor only
        name, _, marker = pin.partition("; ")
        frozen = frozen.replace(name, pin) if marker else frozen
    LOCK.write_text("# Every package of the environment, pinned. Made by `make lock`.\n" + frozen)
    TORCH_LOCK.write_text("# What the PyTorch front end needs besides, pinned. Made by `make lock`."
                          "\n" + "\n".join(optional) + "\n")


def freeze(folder: Path) -> str:
    """The packages of an environment, a pin per line."""
    return subprocess.run([str(folder / "bin" / "pip"), "freeze"], check=True, text=True,
                          capture_output=True, env=environment()).stdout


def main() -> int:
    if lacking := missing():
        for each in lacking:
            print(f"setup: this machine lacks {each}", file=sys.stderr)
        return 2
    try:
        make_lock() if "--lock" in sys.argv[1:] else setup()
    except StoppedError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"setup: failed: {' '.join(error.cmd)} (exit {error.returncode}); run it again when "
              "the cause is mended, nothing half-made is used", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the next run starts it anew", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
