# SPDX-License-Identifier: Apache-2.0
"""FPGA flow: Yosys maps a design to look-up tables, nextpnr places and routes it, once per seed.

Tops have hundreds of ports, far more than any package has pins. They are taken off after mapping,
all but the clock: what they drove is an open net, what drove them a net that nothing reads. So no
cell is added that would have to be subtracted, and a path is timed from register to register.
"""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from statistics import median
from typing import ClassVar

from hdl.core.operand_memory import OperandMemory
from hdl.library import module_name
from synth.cells.libraries import MissingError
from tools.cache import digest
from tools.tasks import Task
from tools.yosys import yosys

VERSION = "1"  # of what happens around the commands, part of every key
SEEDS = (1, 2, 3, 4, 5)
PINNED = Path(sys.executable).parent  # where the packaged tools are


@dataclass(frozen=True)
class Device:
    """An FPGA and the tool that places for it.

    Members
    -------
    name : of the part. tool : nextpnr's program; `yowasp-` and that is the package that has it.
    synthesis : Yosys' command. arguments : what the tool is told of the part.
    target : MHz that placement aims at. limit : seconds for one placement, many times what the
        largest design takes: a router may go round in circles. used : resource -> cell in nextpnr's
        report. lut : cell -> what it takes of the resource `luts`, for designs that are mapped
        only.
    """

    name: str
    tool: str
    synthesis: str
    arguments: tuple[str, ...]
    target: float
    limit: float
    used: dict[str, str] = field(hash=False)
    lut: dict[str, int] = field(hash=False)

    def commands(self, source: Path, target: Path, top: str, dsp: bool) -> list[str]:
        """Yosys commands that map RTLIL to a netlist and its statistics in `target`."""
        synthesis = f"{self.synthesis} -noflatten -top {top}{'' if dsp else self.no_dsp}"
        return [
            f"read_rtlil {source}",
            f"hierarchy -check -top {top}",
            "proc",
            "setattr -unset init w:*",  # registers wake up as they like: only a reset counts
            # What is read of a word that is being written is never used; or else what block RAMs
            # do not promise would be made of registers around them.
            f"setparam -set COLLISION_X_MASK 1'1 {module_name(OperandMemory)}_*/t:$memrd_v2",
            # Every block's sums become carry chains before blocks are flattened into one: sums of
            # sums would be merged and added up carry-save, which costs twice the look-up tables.
            # Registers take their enables first, or they are drawn into what they enable.
            "opt_expr", "opt_dff", "opt_clean", "wreduce", "peepopt", "opt_clean", "alumacc", "opt",
            "flatten",
            "opt -full",
            synthesis,
            f"tee -q -o {target}/stat.json stat -json",
            f"select -set ports {top}/w:* {top}/w:clk %d",
            "delete -port @ports",
            f"write_json {target}/netlist.json",
        ]

    @property
    def no_dsp(self) -> str:
        return " -nodsp" if self.has_dsp else ""

    @property
    def has_dsp(self) -> bool:
        return "dsps" in self.used


ECP5 = Device(
    "LFE5U-85F-8", "nextpnr-ecp5", "synth_ecp5 -nowidelut",
    ("--85k", "--package", "CABGA756", "--speed", "8", "--lpf-allow-unconstrained"), 100.0, 3600,
    {"luts": "TRELLIS_COMB", "flip_flops": "TRELLIS_FF", "brams": "DP16KD", "dsps": "MULT18X18D"},
    {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4})
SMALL_ECP5 = replace(ECP5, name="LFE5U-25F-8", arguments=(
    "--25k", "--package", "CABGA381", "--speed", "8", "--lpf-allow-unconstrained"), target=60.0)
ICE40 = Device(
    "iCE40 HX8K", "nextpnr-ice40", "synth_ice40",
    # the default router may go round in circles on a device that is nearly full
    ("--hx8k", "--package", "ct256", "--router", "router2"), 50.0, 600,
    {"luts": "ICESTORM_LC", "brams": "ICESTORM_RAM"},
    {"SB_LUT4": 1})


@cache
def tool(name: str) -> tuple[str, ...]:
    """The program and its version: the pinned package, else what is on PATH.

    MissingError that says how to install it.
    """
    pinned = PINNED / f"yowasp-{name}"
    found = str(pinned) if pinned.exists() else shutil.which(name)
    if not found:
        raise MissingError(f"{name} is not installed: `make setup` brings yowasp-{name}")
    done = subprocess.run([found, "--version"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    version = re.search(r"\(Version (\S+)\)", done.stdout)
    if done.returncode or not version:
        raise MissingError(f"{found} --version gave {done.stdout[-200:]!r}: `make setup` brings "
                           f"yowasp-{name}, which works")
    return found, version[1] if found != str(pinned) else f"{version[1]} (yowasp)"


@dataclass(frozen=True)
class Mapped:
    """A design in look-up tables: its netlist, as JSON, and its cells by type."""

    netlist: str
    cells: dict[str, int]


@dataclass(frozen=True)
class Mapping(Task):
    """One design for one device: RTLIL in, netlist out."""

    text: str
    top: str
    device: Device
    dsp: bool
    kind: ClassVar[str] = "fpga-map"
    products: ClassVar[tuple[str, ...]] = ("netlist.json", "stat.json")

    @cached_property
    def key(self) -> str:
        commands = self.device.commands(Path("in"), Path("out"), self.top, self.dsp)
        text = re.sub(r"^\s*attribute \\src [^\n]*\n", "", self.text, flags=re.M)
        return digest(VERSION, text, *commands, importlib.metadata.version("pyosys"))

    def read(self, folder: Path) -> Mapped:
        text = (folder / "stat.json").read_text()
        stat = json.loads(text[text.index("{"):text.rindex("}") + 1])
        return Mapped((folder / "netlist.json").read_text(), stat["design"]["num_cells_by_type"])

    def make(self, folder: Path) -> None:
        source = folder / "design.il"
        source.write_text(self.text)
        yosys(self.device.commands(source, folder, self.top, self.dsp))
        source.unlink()


@dataclass(frozen=True)
class Placed:
    """What nextpnr reports: MHz (None without registers), and resource -> (used, available)."""

    fmax: float | None
    used: dict[str, tuple[int, int]]


class TooLargeError(RuntimeError):
    """A design that the device has no room for; `used` : as of `Placed`."""

    def __init__(self, message: str, used: dict[str, tuple[int, int]]):
        super().__init__(message, used)  # both, or it cannot be pickled
        self.used = used

    def __str__(self):
        return self.args[0]


@dataclass(frozen=True)
class Placement(Task):
    """One netlist, one seed."""

    netlist: str
    device: Device
    seed: int
    kind: ClassVar[str] = "fpga-place"
    products: ClassVar[tuple[str, ...]] = ("report.json",)

    @cached_property
    def key(self) -> str:
        version = tool(self.device.tool)[1]
        return digest(VERSION, self.netlist, *self._arguments, version)

    @property
    def _arguments(self) -> list[str]:
        return [*self.device.arguments, "--freq", str(self.device.target), "--seed",
                str(self.seed), "--timing-allow-fail", "--report", "report.json", "--log", "log"]

    def read(self, folder: Path) -> Placed:
        return parse_report((folder / "report.json").read_text(), self.device)

    def make(self, folder: Path) -> None:
        """TooLargeError if the device is too small, RuntimeError with the log's end if it fails."""
        # the packaged tool runs in a sandbox that starts at the working directory
        (folder / "netlist.json").write_text(self.netlist)
        try:
            done = subprocess.run(
                [tool(self.device.tool)[0], "--json", "netlist.json", *self._arguments, "--quiet"],
                cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=self.device.limit)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{self.device.tool}, seed {self.seed}: not done after "
                               f"{self.device.limit} s, given up") from error
        (folder / "netlist.json").unlink()
        path = folder / "log"
        log = path.read_text() if path.exists() else ""
        if done.returncode or not (folder / "report.json").exists():
            over = too_large(log, self.device)
            if over:
                raise TooLargeError(*over)
            raise RuntimeError(f"{self.device.tool} failed (exit {done.returncode}), seed "
                               f"{self.seed}:\n{done.stdout[-1000:]}\n{log[-1000:]}")


def parse_report(text: str, device: Device) -> Placed:
    """Of nextpnr's `--report`; RuntimeError that says what is wrong with it."""
    try:
        report = json.loads(text)
        clocks = [clock["achieved"] for clock in report["fmax"].values()]
        cells = {name: (cell["used"], cell["available"])
                 for name, cell in report["utilization"].items()}
        used = {resource: cells[cell] for resource, cell in device.used.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(f"no report of {device.tool}: {error!r} in {text[:100]!r}") from error
    if len(clocks) > 1:
        raise RuntimeError(f"{len(clocks)} clocks, {', '.join(report['fmax'])}: expected one")
    return Placed(clocks[0] if clocks else None, used)


def too_large(log: str, device: Device) -> tuple[str, dict[str, tuple[int, int]]] | None:
    """What of a device does not suffice, by nextpnr's log; None if that is not why it failed."""
    cells = {name: (int(used), int(there)) for name, used, there in re.findall(
        r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%$", log, re.M)}
    over = [f"{cell} {used:,} of {there:,}" for cell, (used, there) in cells.items()
            if used > there]
    if not over:
        return None
    used = {resource: cells[cell] for resource, cell in device.used.items() if cell in cells}
    return f"too large for {device.name}: {', '.join(over)}", used


def summary_of(fmax: dict[int, float], failed: int = 0) -> float | None:
    """The median of what the seeds reached, 0 MHz for those that failed; None without any figure:
    the design has no register, or none was placed."""
    return median([*fmax.values(), *[0.0] * failed]) if fmax else None
