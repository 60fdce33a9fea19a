# SPDX-License-Identifier: Apache-2.0
"""The one runner of cocotb benches: builds a top (cached by content) and runs its bench on it.

A bench is a module `verif.hdl.test_<block>` that holds cocotb tests. Configuration, seed and length
reach it through `Settings`, so that every failure can be repeated with one command.
"""

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from golden.config import Config
from hdl.emit.verilog import verilog_file
from tools.cache import ROOT, cached, digest
from tools.errors import ToolError
from tools.verilator import CONTROL, OPTIONS, check_fst_headers, environment, make_flags, model_key

SPEED = "OPT_FAST=-O0"  # of most time in a bench is Python's: more costs more than it gains
ENVIRONMENT = "TETRA_BENCH"  # carries `Settings` as JSON into the simulator's process


@dataclass(frozen=True)
class Settings:
    """What a bench needs to know.

    Members
    -------
    block : name of the bench. top : module under test. config : its configuration.
    seed : of all random choices. length : how much to run, 1 in `make test`, else a factor.
    simulator : "verilator" or "icarus", which has four states: an X fails the bench that reads it.
    bare : registers start without the initial values that the Verilog gives them, as in silicon.
    """

    block: str
    top: str
    config: Config
    seed: int = 1
    length: int = 1
    simulator: str = "verilator"
    bare: bool = False

    @property
    def repeat(self) -> str:
        """The command that repeats this run."""
        return f"make regress BLOCK={self.block} SEEDS=1 SEED={self.seed} LENGTH={self.length}"

    @classmethod
    def current(cls) -> "Settings":
        """The settings of the bench that is running, inside the simulator."""
        values = json.loads(os.environ[ENVIRONMENT])
        values["config"]["radices"] = tuple(values["config"]["radices"])
        return cls(**{**values, "config": Config(**values["config"])})


def simulate(
    settings: Settings, *, waves: Path | None = None, verilog: Path | None = None,
    only: str | None = None,
) -> int:
    """Run a bench; returns how many cocotb tests passed.

    `waves` is where an FST waveform is to go, `verilog` a file to run instead of the generated one
    (a seeded fault), `only` the one test to run. AssertionError with the end of the log and the
    command that repeats the run if a test fails; ToolError if a tool is missing.
    """
    from cocotb_tools.runner import get_results, get_runner

    model = build(settings, trace=waves is not None, verilog=verilog)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # the runner hands it on to the simulator's Python
    with tempfile.TemporaryDirectory(prefix=f"tetra-{settings.block}-") as name:
        folder = Path(name)
        with contextlib.suppress(SystemExit):  # how a failing test ends; the results tell
            get_runner(settings.simulator).test(
                test_module=f"verif.hdl.test_{settings.block}", hdl_toplevel=settings.top,
                hdl_toplevel_lang="verilog", build_dir=model, test_dir=folder,
                results_xml=str(folder / "results.xml"), seed=settings.seed,
                test_filter=only and f"{only}$", waves=waves is not None, log_file=folder / "log",
                plusargs=start(settings),
                extra_env={ENVIRONMENT: json.dumps(asdict(settings)), "COCOTB_ANSI_OUTPUT": "0",
                           "COCOTB_MAX_FAILURES": "1",
                           # of all modules by default, numpy's and Amaranth's too
                           "COCOTB_REWRITE_ASSERTION_FILES": "test_*.py"},
            )
        log = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
        if waves is not None and (folder / "dump.fst").exists():
            shutil.move(folder / "dump.fst", waves)
        try:
            tests, failed = get_results(folder / "results.xml")
        except RuntimeError:  # the simulator ended without results
            tests, failed = 0, 1
        if failed or not tests:
            raise AssertionError("\n".join([
                f"{failed} of {tests} tests of bench {settings.block} failed on {settings.top}",
                *log[-60:], f"seed {settings.seed}; repeat with: {settings.repeat}"]))
    return tests


def build(settings: Settings, *, trace: bool = False, verilog: Path | None = None) -> Path:
    """The folder of the cocotb model of a top, built unless it is cached."""
    import cocotb_tools.config
    from cocotb_tools.runner import VerilatorControlFile, get_runner

    verilog = verilog or verilog_file(settings.config, settings.top)
    if settings.bare:
        verilog = without_initial_values(verilog)
    if settings.simulator == "icarus":
        return build_icarus(settings, verilog)
    # one file: to parse the headers again for a second one takes longer than to compile most models
    # the runner makes every signal visible, and Verilator may not optimise what is: a waveform
    # wants that, a bench sees ports alone
    args = [*OPTIONS, "--x-initial", "unique", "--output-split", "0",
            "--trace-fst" if trace else "--no-public-flat-rw"]
    visible = f'`verilator_config\npublic_flat_rw -module "{settings.top}" -port "*"\n'
    # a model is linked to cocotb's libraries by path: a clone that has moved needs a new one
    cocotb = f"{importlib.metadata.version('cocotb')} {cocotb_tools.config.libs_dir}"

    def make(folder: Path) -> None:
        if trace:
            check_fst_headers()
        log, ports = folder / "build.log", folder / "ports.vlt"
        ports.write_text(visible)
        saved = dict(os.environ)
        # the runner hands these on to Verilator and make
        for name in ("VERILATOR_ROOT", "VERILATOR_BIN"):
            os.environ.pop(name, None)
        os.environ.update(environment(), MAKEFLAGS=f" -- {make_flags()} {SPEED}")
        try:
            get_runner("verilator").build(
                sources=[VerilatorControlFile(CONTROL), VerilatorControlFile(ports), verilog],
                hdl_toplevel=settings.top, build_dir=folder, build_args=args, always=True,
                waves=trace, timescale=("1ns", "1ps"), log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            tail = log.read_text().splitlines()[-25:] if log.exists() else [str(error)]
            raise ToolError("\n".join(["building a cocotb model failed:", *tail])) from error
        finally:
            os.environ.clear()
            os.environ.update(saved)

    return cached("cocotb", model_key(verilog, cocotb, SPEED, *args, visible), [settings.top], make)


def start(settings: Settings) -> list[str]:
    """How registers without an initial value start: Verilator draws them, Icarus has X."""
    if settings.simulator != "verilator":
        return []
    return [f"+verilator+seed+{settings.seed % (2**31 - 1) + 1}", "+verilator+rand+reset+2"]


def without_initial_values(verilog: Path) -> Path:
    """The same Verilog where registers and memories start unknown."""
    def make(folder: Path) -> None:
        text = verilog.read_text()
        text = re.sub(r"^(  (?:output )?reg .*?) = \d+'h[0-9a-f]+(?=[;,\n])", r"\1", text,
                      flags=re.M)
        text = re.sub(r"^  initial begin.*?^  end\n", "", text, flags=re.M | re.S)
        (folder / verilog.name).write_text(text)

    key = digest("without initial values", verilog.read_bytes())
    return cached("verilog", key, [verilog.name], make) / verilog.name


def build_icarus(settings: Settings, verilog: Path) -> Path:
    """The folder of a top's compiled Icarus model; ToolError if Icarus is missing or warns."""
    from cocotb_tools.runner import get_runner

    if not shutil.which("iverilog"):
        raise ToolError("no Icarus Verilog found: apt install iverilog")

    def make(folder: Path) -> None:
        log = folder / "build.log"
        try:
            get_runner("icarus").build(
                sources=[verilog], hdl_toplevel=settings.top, build_dir=folder, always=True,
                timescale=("1ns", "1ps"), build_args=["-Wall"], log_file=log)
        except (RuntimeError, SystemExit) as error:
            tail = log.read_text().splitlines()[-25:] if log.exists() else [str(error)]
            raise ToolError("\n".join(["compiling for Icarus failed:", *tail])) from error

    version = subprocess.run(["iverilog", "-V"], capture_output=True, text=True).stdout
    key = digest(settings.top, verilog.read_bytes(), version.splitlines()[0])
    return cached("icarus", key, ["sim.vvp"], make)
