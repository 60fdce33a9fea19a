# SPDX-License-Identifier: Apache-2.0
"""Picojoules per multiply-accumulate, on operands of a training run, glitches included.

A design is simulated at its best point and clock (`gates`) while it computes a GEMM that was
recorded (`operands`), and every result is compared with the golden model's.

A tile is too large to simulate whole, and its columns are alike. So it is simulated with all its
rows and one column, and again with two: a further column costs the difference. A baseline is one
multiply-accumulator; in the grid its operand registers are shared as in its density, each at the
energy of its mean register.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from golden.config import PRESETS
from synth.cells import sta
from synth.cells.asic import Mapping, mappings
from synth.cells.designs import GEMMS, component, grid
from synth.cells.libraries import CellLibrary, MissingError
from synth.cells.recipes import Recipe
from synth.cells.summary import DOT16, FORMATS, HEADLINE, PRESET, TOUGHEST, best
from synth.cells.sweep import Failure, Point, failure
from synth.energy import benches, gates
from synth.energy import power as models
from synth.energy.benches import Bench, mac_bench, tile_bench
from synth.energy.operands import Gemm, gemms
from synth.energy.power import Power, power
from tools.cache import digest
from tools.jobs import Pool
from tools.tasks import Task, run_all

COLUMNS = (1, 2)  # of the tiles that are simulated
CYCLES = {"tile": 256, "mac": 2048, "dot": 512}  # counted
QUICK_CYCLES = {"tile": 64, "mac": 512, "dot": 128}


@dataclass(frozen=True)
class Measured:
    """What a simulation gave: Power at a period (nanoseconds), and the number of flip-flops."""

    power: Power
    period: float
    flip_flops: int


@dataclass(frozen=True, eq=False)
class Run:
    """One simulation of a bench at a period; without `glitches` see `gates.delays`."""

    bench: Bench
    recipes: tuple[Recipe, ...]
    period: float
    library: CellLibrary
    glitches: bool = True

    @cached_property
    def mappings(self) -> list[Mapping]:
        """What makes its blocks."""
        return [one for name, tried in mappings(self.bench.netlist, list(self.recipes),
                                                self.library).items()
                for one in tried if str(one.recipe) == self.bench.recipes[name]]


@dataclass(frozen=True, eq=False)
class Simulator(Task):
    """What simulates mapped blocks for so many cycles of any stimulus, and counts from `start` on.

    It reads as the Verilog of the blocks in one module, and Icarus Verilog's program.
    """

    top: str
    netlists: tuple[str, ...]
    cycles: int
    start: int
    period: float
    library: CellLibrary
    glitches: bool
    kind: ClassVar[str] = "simulator"
    products: ClassVar[tuple[str, ...]] = ("flat.v", "bench.vvp")

    @cached_property
    def key(self) -> str:
        return digest(
            *self.netlists, repr((self.cycles, self.start, self.period, self.glitches,
                                  self.library)),
            self.library.digest, self.library.models.read_bytes(), sta.version(), gates.version(),
            Path(gates.__file__).read_bytes())

    def make(self, folder: Path) -> None:
        paths = [folder / f"block{i}.v" for i in range(len(self.netlists))]
        for path, text in zip(paths, self.netlists, strict=True):
            path.write_text(text)
        flat = gates.flatten(paths, self.top, self.library, folder)
        gates.compile_bench(flat, self.cycles, self.period, self.start, self.library, folder,
                            self.glitches)

    def read(self, folder: Path) -> tuple[bytes, ...]:
        return tuple((folder / name).read_bytes() for name in self.products)


@dataclass(frozen=True, eq=False)
class Simulation(Task):
    """A bench on what its `Simulator` reads as, and femtofarads of its nets' wires if they count; a
    wrong result is a RuntimeError."""

    bench: Bench
    made: tuple[bytes, ...]
    period: float
    library: CellLibrary
    parasitics: dict[str, float]
    kind: ClassVar[str] = "energy"
    products: ClassVar[tuple[str, ...]] = ("power.json",)

    @cached_property
    def key(self) -> str:
        return digest(
            *self.made, repr(self.bench.vectors),
            repr((self.bench.start, self.period, self.library)),
            repr(sorted(self.parasitics.items())), self.library.digest, gates.version(),
            *(Path(module.__file__).read_bytes() for module in (gates, gates.vcd, models, benches)))

    def make(self, folder: Path) -> None:
        bench, library = self.bench, self.library
        for name, content in zip(Simulator.products, self.made, strict=True):
            (folder / name).write_bytes(content)
        flat = gates.read_flat(folder / Simulator.products[0], bench.netlist.top)
        outputs, active = gates.simulate(flat, bench.vectors, self.period, folder)
        bench.check(outputs)
        seconds = (len(bench.vectors) - bench.start) * self.period * 1e-9
        drawn = power(flat.cells, flat.outputs, active, seconds, library, self.parasitics)
        gated = library.clock_gates
        registers = [cell for cell, pins in flat.cells.values()
                     if library.clock_pin in pins and cell not in gated]
        (folder / "power.json").write_text(
            json.dumps({"power": asdict(drawn), "flip_flops": len(registers)}))

    def read(self, folder: Path) -> Measured:
        found = json.loads((folder / "power.json").read_text())
        return Measured(Power(**found["power"]), self.period, found["flip_flops"])


# Of a top and its mapped netlists: what makes a layout, and reads as femtofarads of wires by net.
Extraction = Callable[[str, tuple[str, ...]], Task]


def simulate_all(pool: Pool, runs: list[Run], progress: Callable[[int, int], None],
                 extraction: Extraction | None = None) -> dict[Run, Measured | RuntimeError]:
    """What every run measures; their blocks, which few of them have alone, are mapped before, and
    laid out where wires count. What differs in its stimulus alone is compiled once."""
    mapped = run_all(pool, {one.key: one for run in runs for one in run.mappings}, lambda n: None)
    blocks = {run: [mapped[one.key] for one in run.mappings] for run in runs}
    failed = {run: error for run, found in blocks.items() for error in found
              if isinstance(error, RuntimeError)}
    simulators = {run: Simulator(
        run.bench.netlist.top, tuple(block.verilog for block in found), len(run.bench.vectors),
        run.bench.start, run.period, run.library, run.glitches)
        for run, found in blocks.items() if run not in failed}
    compiled = {one.key: one for one in simulators.values()}
    parasitics: dict = {(one.top, one.netlists): {} for one in compiled.values()}
    steps = len(runs) + len(compiled) + len(parasitics) * bool(extraction)
    made = run_all(pool, compiled, lambda n: progress(n, steps))
    if extraction:
        parasitics = run_all(pool, {each: extraction(*each) for each in parasitics},
                             lambda n: progress(len(made) + n, steps))
    todo = {}
    for run, one in simulators.items():
        wires, program = parasitics[one.top, one.netlists], made[one.key]
        if error := next((e for e in (wires, program) if isinstance(e, RuntimeError)), None):
            failed[run] = error
        else:
            todo[run] = Simulation(run.bench, program, run.period, run.library, wires)
    return failed | run_all(pool, todo, lambda n: progress(steps - len(todo) + n, steps))


def quantisation(point: Point) -> str:
    """Of the network whose codes a tile gets: by gradients in radix 4, where it multiplies them."""
    return "luq" if point.design.preset == FORMATS["2"] else "adaptive"


@dataclass(frozen=True, eq=False)
class Plan:
    """The simulations that one design needs for one GEMM; `quiet` : the same without glitches."""

    point: Point
    gemm: str
    runs: list[Run]
    quiet: list[Run]

    def energy(self, measured: dict[Run, Measured]) -> dict[str, float]:
        """Picojoules per multiply-accumulate, in total and of its parts.

        `alone` : with operand registers of its own. `glitches` : the part that they have, where it
        was measured.
        """
        found = self._energy(self.runs, measured)
        if self.quiet:
            found["glitches"] = found["total"] - self._energy(self.quiet, measured)["total"]
        return found

    def _energy(self, runs: list[Run], measured: dict[Run, Measured]) -> dict[str, float]:
        design, first = self.point.design, measured[runs[0]]

        def per_mac(part: str) -> float:
            watts = [getattr(measured[run].power, part) for run in runs]
            whole, macs = watts[0], runs[0].bench.macs
            if len(watts) > 1:  # tiles of COLUMNS columns
                columns = design.macs[self.gemm] // macs
                whole += (columns - 1) * (watts[1] - watts[0])
                macs *= columns
            return whole * first.period * 1000 / macs  # W ns in pJ

        found = {part.name: per_mac(part.name) for part in fields(Power)}
        # of leakage what a cycle has at the design's own clock
        longer = found["leakage"] * (1 - self.point.period / first.period)
        found |= {part: found[part] - longer for part in ("leakage", "total")}
        saved = design.shared / first.flip_flops * found["clocked"]
        return found | {"alone": found["total"], "total": found["total"] - saved}


def plans(point: Point, operands: dict[str, Gemm], recipes: list[Recipe], library: CellLibrary,
          quick: bool) -> list[Plan]:
    """The simulations of a tile or a baseline at its best point, for each GEMM."""
    design, made = point.design, component(point.design)
    used = tuple(r for r in recipes if str(r) in set(point.recipes.values()))
    netlist = None if design.ours else design.netlist()
    cycles = QUICK_CYCLES if quick else CYCLES
    found = []
    for gemm in GEMMS:
        if design.ours:
            benches = [tile_bench(made.config, columns, operands[gemm], point.recipes,
                                  cycles["tile"]) for columns in COLUMNS]
        else:
            benches = [mac_bench(made, netlist, grid(PRESETS[design.preset], made.lanes),
                                 operands[gemm], point.recipes,
                                 cycles["mac" if made.lanes == 1 else "dot"])]
        runs, quiet = ([Run(bench, used, point.period * gates.MARGIN, library, glitches)
                        for bench in benches] for glitches in (True, False))
        found.append(Plan(point, gemm, runs, [] if quick else quiet))
    return found


def chosen_points(points: list[Point], library: CellLibrary, quick: bool) -> list[Point]:
    """The densest point of the headline's tile for each set of formats, and of every baseline; of
    16-bit dot products that of all. Quick: of baselines the densest 16-bit multiply-add alone."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        block, preset = point.design.block, point.design.preset
        if block == HEADLINE["tile"] and preset in FORMATS.values():
            groups.setdefault(f"{block}/{preset}", []).append(point)
        elif not point.design.ours and preset == PRESET and (not quick or block in TOUGHEST):
            kind = "fma16" if quick else "dot16" if block in DOT16 else block
            groups.setdefault(kind, []).append(point)
    return [best(found, library) for found in groups.values()]


@dataclass
class Energies:
    """All that was measured: designs as in the summary, what failed, what is absent."""

    designs: list[dict] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measure(points: list[Point], recipes: list[Recipe], library: CellLibrary, quick: bool,
            pool: Pool, progress: Callable[[int, int], None],
            extraction: Extraction | None = None, what: str = "energy") -> Energies:
    """Energies of these points; quick: of fewer cycles, and glitches not on their own. Wires have
    none without an `extraction`. `what` is measured is said of failures."""
    energies = Energies()
    try:
        gates.tool(), sta.tool(), library.models
    except MissingError as error:
        energies.missing.append(str(error))
        return energies
    operands = {quant: gemms(quant) for quant in set(map(quantisation, points))}
    todo = [plan for point in points for plan in plans(
        point, operands[quantisation(point)], recipes, library, quick)]
    runs = [run for plan in todo for run in (*plan.runs, *plan.quiet)]
    measured = simulate_all(pool, runs, progress, extraction)
    for point in points:
        per_gemm = {}
        for plan in (plan for plan in todo if plan.point is point):
            errors = [found for run in (*plan.runs, *plan.quiet)
                      if isinstance(found := measured[run], RuntimeError)]
            if errors:
                energies.failures.append(failure(
                    point.design, f"{what} of {plan.gemm}", "; ".join(point.recipes.values()),
                    f"{what}-{point.design}-{plan.gemm}", library, errors[0]))
            else:
                per_gemm[plan.gemm] = plan.energy(measured)
        if len(per_gemm) == len(GEMMS):
            energies.designs.append({
                "name": str(point.design), "block": point.design.block,
                "preset": point.design.preset, "ours": point.design.ours,
                "recipes": point.recipes, "clock_mhz": point.fmax,
                "operands": f"codes of the 4-bit network, {quantisation(point)}"
                if point.design.ours else "those of its FP32 twin, rounded",
                "pj_per_mac": {gemm: found["total"] for gemm, found in per_gemm.items()} | {
                    "training": sum(f["total"] for f in per_gemm.values()) / len(GEMMS)},
                "parts": per_gemm})
    return energies
