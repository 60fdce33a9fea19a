# SPDX-License-Identifier: Apache-2.0
"""Simulation of a mapped design with the delays of its cells.

OpenSTA writes the delay of every path through every cell (SDF), and each instance becomes a model
of its own with these: Icarus Verilog 11 annotates no path with a condition, and needs minutes for
ten thousand cells. A path has the longest delay of any condition, as in static timing. Clock gates
have none: the clock is ideal.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from synth.cells import sta
from synth.cells.libraries import CellLibrary, MissingError
from synth.energy import vcd
from synth.energy.vcd import Activity
from tools.yosys import yosys

RESOLUTION = 100_000  # steps of time in a nanosecond
STEP = 0.002  # nanoseconds after the clock edge at which inputs change
# The simulated period over the one that static timing finds. SDF has one delay per edge of an
# output, whichever edge of the input causes it, so that a chain of five full adders takes 5 %
# longer here. What toggles, and its energy, do not depend on the period; leakage in a cycle does.
MARGIN = 1.1
_INSTANCE = re.compile(r"^  (\w+) (\S+) \(\n((?:    \.[^\n]*\n)*)  \);", re.M)
_PIN = re.compile(r"\.(\w+)\((\S+?)\)")
_PORT = re.compile(r"^  (input|output) (\S+);", re.M)
_BIT = re.compile(r"(.+)_(\d+)_")
_ARC = re.compile(r"\(IOPATH (\w+) (\w+) (\(\S*\)) ?(\(\S*\))?")
_PATH = re.compile(r"\(((?:posedge )?(\w+) => \(?(\w+)[^=]*?)\) = \(0.1, 0.1\);")
_CONDITION = re.compile(r"^\s*if\s*\(.*?\)\s*(?=\(\w[ \w]* =>)")


@cache
def tool() -> str:
    """The simulator; MissingError that says how to install it."""
    for name in ("iverilog", "vvp"):
        if not shutil.which(name):
            raise MissingError("Icarus Verilog (iverilog): not installed; apt install iverilog")
    return "iverilog"


@cache
def version() -> str:
    return subprocess.run([tool(), "-V"], capture_output=True, text=True).stdout.splitlines()[0]


@dataclass(frozen=True)
class Flat:
    """A mapped design in one module with scalar ports and nets.

    Members
    -------
    path : its Verilog. top. inputs, outputs : scalar ports; bit i of a vector v is `v_i_`.
    cells : instance -> (cell, {pin: net}).
    """

    path: Path
    top: str
    inputs: list[str]
    outputs: list[str]
    cells: dict[str, tuple[str, dict[str, str]]]

    @cached_property
    def nets(self) -> dict[str, list[tuple[str, str]]]:
        """What is connected: net -> (instance, pin), constants apart."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, (_, pins) in self.cells.items():
            for pin, net in pins.items():
                if not net.startswith("1'"):
                    found.setdefault(net, []).append((name, pin))
        return found


def flatten(netlists: list[Path], top: str, library: CellLibrary, folder: Path) -> Flat:
    """One module of a design's mapped blocks, in flat.v."""
    path = folder / "flat.v"
    yosys([f"read_liberty -lib -ignore_miss_func {library.path}",
           *(f"read_verilog {netlist}" for netlist in netlists),
           f"hierarchy -check -top {top}", "flatten", "opt_clean -purge",
           "splitnets -ports -format __", "rename -hide", "opt_clean -purge",
           f"write_verilog -noattr -noexpr -nohex {path}"])
    return read_flat(path, top)


def read_flat(path: Path, top: str) -> Flat:
    """What `flatten` wrote."""
    text = path.read_text()
    ports = _PORT.findall(text)
    return Flat(path, top, *([name for way, name in ports if way == wanted and name != "clk"]
                             for wanted in ("input", "output")),
                {name: (cell, dict(_PIN.findall(pins)))
                 for cell, name, pins in _INSTANCE.findall(text)})


def models(library: CellLibrary) -> tuple[str, dict[str, str]]:
    """The library's primitives, and its cells by name: no timing checks, one line per path."""
    primitives, *cells = re.split(r"(?=^module )", library.models.read_text(), flags=re.M)
    found = {}
    for cell in cells:
        text, end, after = cell.partition("endmodule\n")
        primitives += after
        lines: list[str] = []
        for line in text.splitlines():
            if "=>" in line:
                line = _CONDITION.sub("    ", line)
                if line in lines or "negedge" in line:  # a clock gate has a path of both edges too
                    continue
            if not line.lstrip().startswith("$"):
                lines.append(line)
        found[re.match(r"module (\w+)", cell)[1]] = "\n".join(lines) + "\n" + end
    return primitives, found


Delays = dict[tuple[str, str], tuple[float, float]]  # (input, output) -> rise and fall, ns


def delays(sdf: str, library: CellLibrary, glitches: bool = True) -> dict[str, Delays]:
    """By instance; without `glitches` all registers switch as one and what follows them at once."""
    found: dict[str, Delays] = {}
    clock_gates = library.clock_gates
    for cell in sdf.split("(CELLTYPE ")[1:]:
        kind, paths = cell.split('"')[1], {}
        for source, target, *values in _ARC.findall(cell):
            if kind in clock_gates:
                new = 0.0, 0.0
            elif not glitches:
                new = (0.1, 0.1) if source == library.clock_pin else (0.0, 0.0)
            else:
                new = [float((value or values[0]).strip("()").split(":")[-1] or 0)
                       for value in values]
            known = paths.get((source, target), (0.0, 0.0))
            paths[source, target] = tuple(map(max, known, new))
        if paths:
            found[re.search(r"\(INSTANCE ?(\S*)\)", cell)[1]] = paths
    return found


def timed(flat: Flat, paths: dict[str, Delays], library: CellLibrary) -> str:
    """The design in Verilog with its cells, each with its own delays; equal ones share a model."""
    primitives, cells = models(library)
    made: dict[tuple, str] = {}

    def instance(match):
        kind, name, pins = match.groups()
        key = kind, *paths.get(name, {}).items()
        return f"  {made.setdefault(key, f'{kind}_{len(made)}')} {name} (\n{pins}  );"

    def model(name: str, kind: str, *known) -> str:
        text = _PATH.sub(lambda path: "({}) = ({:.5f}, {:.5f});".format(
            path[1], *dict(known).get((path[2], path[3]), (0.0, 0.0))), cells[kind])
        return text.replace(f"module {kind} ", f"module {name} ", 1)

    design = _INSTANCE.sub(instance, flat.path.read_text())
    return f"`timescale 1ns/{10 ** 6 // RESOLUTION}fs\n{primitives}" + "".join(
        model(name, *key) for key, name in made.items()) + design


def compile_bench(flat: Flat, cycles: int, period: float, start: int, library: CellLibrary,
                  folder: Path, glitches: bool = True) -> None:
    """The program bench.vvp, which simulates so many cycles and dumps all nets from `start` on."""
    write_sdf(flat, library, folder)
    paths = delays((folder / "sta.sdf").read_text(), library, glitches)
    (folder / "timed.v").write_text(timed(flat, paths, library))
    (folder / "bench.v").write_text(_bench(flat, cycles, period, start))
    _run([tool(), "-g2005", "-gspecify", "-o", "bench.vvp", "timed.v", "bench.v"], folder)


def simulate(flat: Flat, vectors: list[dict[str, int]], period: float, folder: Path,
             ) -> tuple[list[dict[str, int | None]], dict[str, Activity]]:
    """The outputs at the end of every cycle, and what all nets did in the dump of bench.vvp.

    A value with an unknown bit is None. `vectors` are the inputs of each cycle, by vector port.
    """
    (folder / "vectors.mem").write_text("".join(
        "".join(str(vector[port] >> bit & 1) for port, bit in map(_bit, flat.inputs)) + "\n"
        for vector in vectors))
    _run(["vvp", "-n", "bench.vvp"], folder)
    outputs = []
    for line in (folder / "outputs.txt").read_text().split():
        found: dict[str, int | None] = {}
        for (port, bit), value in zip(map(_bit, flat.outputs), line, strict=True):
            known = found.setdefault(port, 0)
            found[port] = known | int(value) << bit if value in "01" and known is not None else None
        outputs.append(found)
    end = round(len(vectors) * round(period * RESOLUTION))
    with open(folder / "bench.vcd") as lines:
        found = vcd.activities(lines, end)
    (folder / "bench.vcd").unlink()
    return outputs, found


_BENCH = """`timescale 1ns/{fs}fs
module bench;
  reg clk = 0;
  reg [0:{inputs}-1] in;
  wire [0:{outputs}-1] out;
  reg [0:{inputs}-1] vectors [0:{cycles}-1];
  integer cycle, file;
  {top} dut({ports});
  initial begin
    $readmemb("vectors.mem", vectors);
    $dumpfile("bench.vcd");
    file = $fopen("outputs.txt");
    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin
      if (cycle == {start}) $dumpvars(1, dut);
      #{step} in = vectors[cycle];
      #{high} clk = 0;
      #{low} $fdisplay(file, "%b", out);
      clk = 1;
    end
    $finish;
  end
endmodule
"""


def _bench(flat: Flat, cycles: int, period: float, start: int) -> str:
    whole = round(period * RESOLUTION)
    step = round(STEP * RESOLUTION)
    high, low = whole // 2 - step, whole - whole // 2
    ports = [".clk(clk)", *(f".{name}({vector}[{i}])" for vector, names in
                            (("in", flat.inputs), ("out", flat.outputs))
                            for i, name in enumerate(names))]
    return _BENCH.format(
        fs=10 ** 6 // RESOLUTION, inputs=len(flat.inputs), outputs=len(flat.outputs),
        cycles=cycles, start=start, top=flat.top, ports=",\n    ".join(ports),
        **{name: f"{n / RESOLUTION:.5f}"
           for name, n in (("step", step), ("high", high), ("low", low))})


def _bit(scalar: str) -> tuple[str, int]:
    found = _BIT.fullmatch(scalar)
    return (found[1], int(found[2])) if found else (scalar, 0)


def write_sdf(flat: Flat, library: CellLibrary, folder: Path) -> None:
    """The cells' delays by OpenSTA, as it times them, to sta.sdf."""
    _sta(flat, library, "write_sdf -divider . -digits 5 sta.sdf\n", folder)


_SCRIPT = """read_liberty {liberty}
read_verilog {netlist}
link_design {top}
create_clock -name clock -period {period} [get_ports clk]
set inputs {{{inputs}}}
set_input_delay 0 -clock clock $inputs
set_driving_cell -lib_cell {driver} $inputs
set_load {load} [all_outputs]
"""


def _sta(flat: Flat, library: CellLibrary, commands: str, folder: Path) -> str:
    (folder / "sta.tcl").write_text(_SCRIPT.format(
        liberty=library.path, netlist=flat.path.name, top=flat.top, period=sta.PERIOD,
        inputs=" ".join(flat.inputs), driver=library.driver,
        load=f"{library.load / library.load_unit:g}") + commands)
    log = _run([sta.tool(), "-no_init", "-exit", "sta.tcl"], folder)
    if trouble := re.search(r"^(?:Error|Warning).*$", log, re.M):
        raise RuntimeError(f"OpenSTA: {trouble[0]}\n{log[-2000:]}")
    return log


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed (exit {done.returncode}):\n{done.stdout[-2000:]}")
    return done.stdout
