# SPDX-License-Identifier: Apache-2.0
"""Energy per MAC: operands, dumps of values, delays, power, and one simulated multiplier."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from golden.config import preset
from golden.engine import GoldenBackend
from golden.formats import FP4_R2, FP4_R4, INT4_SYM, UINT4
from synth import __main__ as program
from synth.baselines.block_dots import NvFp4Dot
from synth.baselines.dot_products import Dlfloat16Dot
from synth.cells.designs import GEMMS, baselines, component, designs, dots, grid
from synth.cells.libraries import NANGATE45, MissingError
from synth.cells.recipes import Recipe
from synth.cells.summary import DOT16, FORMATS, MEASURES, RIVALS, TOUGHEST
from synth.cells.sweep import Point
from synth.energy import __main__ as program_alone
from synth.energy import energy, gates, operands
from synth.energy.benches import mac_bench
from synth.energy.energy import Run, measure, simulate_all
from synth.energy.operands import SIZE, beats, turns
from synth.energy.power import cells_of, power
from synth.energy.vcd import Activity, activities
from synth.layout.energy import Parasitics
from tools import cache
from train.network.mlp import quantised_mlp
from verif.here import Here
from verif.synth import recorded

CONFIG = preset("base")
DUMP = """$timescale 10fs $end
$scope module dut $end
$var wire 1 ! a $end
$var wire 1 " b $end
$var wire 1 # c $end
$var wire 1 ! alias $end
$upscope $end
$enddefinitions $end
#100
$dumpvars
0!
1"
x#
$end
#110
1!
0"
1"
#130
0!
1#
#140
0"
#160
1!
"""
needs_library = pytest.mark.skipif(
    not shutil.which("sta") or not shutil.which("iverilog"),
    reason="OpenSTA and Icarus Verilog: apt install opensta iverilog")


def test_toggles_and_duty_are_exact():
    found = activities(DUMP.splitlines(True), 200)
    assert found["a"] == Activity(3, (20 + 40) / 100, False)
    assert found["alias"] == found["a"]
    assert found["b"] == Activity(1, 40 / 100, False), "a change that is undone does not count"
    assert found["c"].unknown


@pytest.mark.parametrize("text, end, message", [
    (DUMP.replace("wire 1 #", "wire 2 #"), 200, "c has 2 bits: expected scalars only"),
    (DUMP.replace("alias", "b"), 200, "b is in two scopes"),
    (DUMP, 150, "a dump from 100 to 160: expected one that ends by 150"),
    (DUMP.partition("#100")[0], 200, "a dump from None"),
])
def test_dumps_that_are_refused(text, end, message):
    with pytest.raises(ValueError, match=message):
        activities(text.splitlines(True), end)


@pytest.fixture(scope="module")
def short():
    return recorded.short()


def test_operands_are_those_of_the_hidden_layer(short):
    formats = {"fprop": (UINT4, INT4_SYM), "dgrad": (INT4_SYM, FP4_R4), "wgrad": (UINT4, FP4_R4)}
    assert {phase: (gemm.a_fmt, gemm.b_fmt) for phase, gemm in short.items()} == formats
    jobs, _ = operands.record(replace(operands.SCHEDULE, epochs=1), 0, "luq")
    assert {phase: job.b_fmt for phase, job in jobs.items()} == {
        "fprop": INT4_SYM, "dgrad": FP4_R2, "wgrad": FP4_R2}
    for gemm in short.values():
        for tensor in (gemm.a, gemm.b, gemm.a_float, gemm.b_float):
            assert tensor.shape == (SIZE, SIZE) and tensor.any()
    # the same tensors, in another GEMM: activations and weights
    assert (short["wgrad"].a == short["fprop"].a.T).all()
    assert (short["dgrad"].a == short["fprop"].b.T).all()
    assert (short["wgrad"].a_float == short["fprop"].a_float.T).all()
    assert (short["wgrad"].b_float == short["dgrad"].b_float.T).all()


def test_recording_does_not_disturb():
    """A network on a recorder trains as on the backend itself."""
    images, labels = np.random.default_rng(0).random((SIZE, 64)), np.arange(SIZE) % 10
    losses, backends = [], (GoldenBackend(CONFIG), operands.Recorder(CONFIG))
    for backend in backends:
        network = quantised_mlp(operands.SCHEDULE.sizes, 0, backend)
        backend.recording = True
        losses.append(network.backpropagate(images, labels))
        weights = network.layers[operands.HIDDEN].codes["weights"]
    assert losses[0] == losses[1]
    assert (backends[1].jobs["fprop"].b == weights.codes).all()


def test_beats_hold_the_jobs_codes(short):
    gemm = short["fprop"]
    found = beats(gemm, CONFIG)
    depth = SIZE // CONFIG.lanes
    assert len(found) == (SIZE // CONFIG.rows) * (SIZE // CONFIG.cols) * depth
    blocks = [found[i:i + depth] for i in range(0, len(found), depth)]
    assert all([b.first for b in block] == [True] + [False] * (depth - 1) and
               [b.last for b in block] == [False] * (depth - 1) + [True] for block in blocks)
    second = blocks[1]  # the next columns, the same rows
    assert (np.hstack([b.a for b in second]) == gemm.a[:CONFIG.rows]).all()
    assert (np.hstack([b.b for b in second]) == gemm.b[CONFIG.cols:2 * CONFIG.cols]).all()


def test_turns_visit_every_sum_from_first_to_last(short):
    macs = grid(CONFIG)
    assert macs.macs_per_cycle == CONFIG.macs_per_cycle and (macs.rows, macs.cols) == (32, 32)
    order = turns(short["fprop"], macs, 4)
    assert order[:5] == [(0, 0, 0), (0, 32, 0), (0, 64, 0), (0, 96, 0), (0, 0, 1)]
    assert len(set(order)) == len(order) == (SIZE // 32) ** 2 * SIZE


def test_update_keeps_energies_by_sweep(monkeypatch, tmp_path):
    monkeypatch.setattr(program, "FIGURES", tmp_path / "figures.json")
    blocks = {"tile": "tetra_mac_tile", "16 bit": "tetra_fp16_mac", "8 bit": "tetra_fp8_mac"}
    measured = [{"name": name, "block": block, "pj_per_mac": dict.fromkeys(MEASURES, 0.5)}
                for name, block in blocks.items()]
    design = {"name": "tile", "best": {"density": {"training": 1.0}}}
    summary = {"designs": [design], "density_ratio": {}}
    for mode, found in (("full", measured), ("quick", measured[:1]), ("quick", [])):
        program.compare(summary | {"energy": found}, mode, False, True)
    one = dict.fromkeys(GEMMS, 0.5)
    assert json.loads((tmp_path / "figures.json").read_text()) == {
        "full": {"tile": 1.0}, "quick": {"tile": 1.0},  # without a simulator energies stay
        "energy": {"full": {"tile": one, "16 bit": one}, "quick": {"tile": one}}}


def test_a_missing_simulator_is_named(monkeypatch):
    monkeypatch.setattr(gates.shutil, "which", lambda name: None)
    gates.tool.cache_clear()
    with pytest.raises(MissingError, match=r"iverilog.*apt install iverilog"):
        gates.tool()
    found = measure([], [], NANGATE45, True, Here(), lambda done, total: None)
    assert found.missing and not found.designs
    gates.tool.cache_clear()


def test_an_inverter_draws_what_the_library_says():
    """Half C V^2 of its loads at each toggle, and the energy inside it of half a period."""
    path = NANGATE45.path
    seen = {net: Activity(2, 0.5, False) for net in ("x", "y")}
    cells = {"inverter": ("INV_X1", {"A": "x", "ZN": "y"})}
    found = power(cells, ["y"], seen, 1e-9, NANGATE45)
    farads = (NANGATE45.load + NANGATE45.capacitances["INV_X1"]["A"]) * 1e-15
    assert found.switching == pytest.approx(farads * NANGATE45.voltage ** 2 / 1e-9)
    entry, = cells_of(path)["INV_X1"].entries["ZN"]
    assert found.internal == pytest.approx(2 * entry.energy(NANGATE45.load) * 1e-15 / 1e-9)
    assert found.clocked == 0
    wired = power(cells, ["y"], seen, 1e-9, NANGATE45, {"x": 2.0, "y": 3.0})
    assert wired.switching == pytest.approx((farads + 5e-15) * NANGATE45.voltage ** 2 / 1e-9)
    assert wired.internal == pytest.approx(2 * entry.energy(NANGATE45.load + 3) * 1e-15 / 1e-9)
    with pytest.raises(RuntimeError, match="parasitics of net z, which the simulation has not"):
        power(cells, ["y"], seen, 1e-9, NANGATE45, {"z": 1.0})
    with pytest.raises(RuntimeError, match="inverter/ZN: net y is unknown"):
        power(cells, [], seen | {"y": Activity(0, 0.0, True)}, 1e-9, NANGATE45)


def test_a_clocks_wire_counts_as_clocked():
    """Which is what a rival saves whose registers a grid shares."""
    seen = {"clk": Activity(20, 0.5, False), "d": Activity(2, 0.5, False),
            "q": Activity(2, 0.5, False)}
    cells = {"register": ("DFF_X1", {"CK": "clk", "D": "d", "Q": "q"})}
    bare, wired = (power(cells, ["q"], seen, 1e-9, NANGATE45, wires)
                   for wires in ({}, {"clk": 5.0, "q": 0.0}))
    more = 0.5 * 5e-15 * NANGATE45.voltage ** 2 * 20 / 1e-9
    assert wired.clocked - bare.clocked == pytest.approx(more)
    assert wired.switching - bare.switching == pytest.approx(more)
    data = power(cells, ["q"], seen, 1e-9, NANGATE45, {"q": 5.0})
    assert data.switching > bare.switching and data.clocked < bare.clocked + more / 2


def test_delays_are_the_longest_of_any_condition():
    sdf = """(DELAYFILE (CELL (CELLTYPE "XOR2_X1") (INSTANCE x) (DELAY (ABSOLUTE
      (COND (B == 1'b1) (IOPATH A Z (0.1::0.1) (0.2::0.2)))
      (COND (B == 1'b0) (IOPATH A Z (0.15::0.15) (0.05::0.05))))))
      (CELL (CELLTYPE "CLKGATE_X1") (INSTANCE g) (DELAY (ABSOLUTE
      (IOPATH CK GCK (0.3::0.3) (0.3::0.3))))))"""
    assert gates.delays(sdf, NANGATE45) == {
        "x": {("A", "Z"): (0.15, 0.2)}, "g": {("CK", "GCK"): (0.0, 0.0)}}
    assert gates.delays(sdf, NANGATE45, glitches=False)["x"] == {("A", "Z"): (0.0, 0.0)}


def lacking(vectors: list[dict[str, int]], cycle: int) -> list[dict[str, int]]:
    """The same, but that nothing is added in a cycle."""
    return [*vectors[:cycle], vectors[cycle] | {"enable": 0}, *vectors[cycle + 1:]]


def simulated(*runs: Run, compiled: int, extraction=None) -> list:
    """What they measure, in the number of programs that they should need."""
    steps = []
    found = simulate_all(Here(), list(runs), lambda *step: steps.append(step), extraction)
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert {total for _, total in steps} == {len(runs) + compiled + (extraction is not None)}
    return [found[run] for run in runs]


@needs_library
def test_a_simulated_multiplier(short, monkeypatch, tmp_path):
    """Its cells compute what golden does, glitches cost energy, and a wrong result is noticed."""
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    design = next(d for d in baselines("base") if d.block == "tetra_int8_mac")
    recipe = Recipe(600, "keep")
    bench = mac_bench(component(design), design.netlist(), grid(CONFIG), short["fprop"],
                      {design.block: str(recipe)}, 32)
    loud, quiet = (found.power for found in simulated(*(
        Run(bench, (recipe,), 2.0, NANGATE45, glitches) for glitches in (True, False)), compiled=2))
    assert loud.total > quiet.total > quiet.clocked > 0
    assert loud.total == pytest.approx(loud.internal + loud.switching + loud.leakage)
    placed, = simulated(Run(bench, (recipe,), 2.0, NANGATE45), compiled=1,
                        extraction=partial(Parasitics, routed=False))
    assert 1.02 < placed.power.switching / loud.switching < 2
    assert placed.power.leakage == loud.leakage and placed.power.internal > loud.internal
    unwired, = simulated(Run(bench, (recipe,), 2.0, NANGATE45), compiled=1,
                         extraction=lambda top, _: Parasitics(top, ("no Verilog",), False))
    assert isinstance(unwired, RuntimeError)
    broken = Run(replace(bench, vectors=lacking(bench.vectors, 20)), (recipe,), 2.0, NANGATE45)
    hurried = Run(bench, (recipe,), 0.3, NANGATE45)
    for wrong in simulated(broken, hurried, compiled=2):
        assert isinstance(wrong, RuntimeError) and "simulated cells: sum" in str(wrong)
    again, later, shorter = simulated(*(
        Run(each, (recipe,), 2.0, NANGATE45) for each in (bench, replace(
            bench, start=bench.start + 8), replace(bench, vectors=bench.vectors[:-8]))), compiled=3)
    assert again.power == loud and loud != later.power != shorter.power != loud

    def uncompiled(*_):
        raise RuntimeError("no program")

    monkeypatch.setattr(gates, "compile_bench", uncompiled)
    for wrong in simulated(*(Run(each, (recipe,), 2.5, NANGATE45) for each in (
            bench, broken.bench)), compiled=1):
        assert isinstance(wrong, RuntimeError) and str(wrong) == "no program"


@needs_library
def test_a_simulated_dot_product(short, monkeypatch, tmp_path):
    """Blocks with their scales, sums in rotation; a scale that is one too large is noticed."""
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    design, = dots("base", [NvFp4Dot], [2])
    unit, recipe = component(design), Recipe(600, "keep")
    assert unit.interleave == 2
    bench = mac_bench(unit, design.netlist(), grid(CONFIG, 16), short["dgrad"],
                      {design.block: str(recipe)}, 16)
    assert bench.macs == 16 and len({vector["b"] for vector in bench.vectors}) > 40
    larger = [vector | {"a": vector["a"] + (1 << 64)} for vector in bench.vectors]
    one, other, lost = simulated(*(
        Run(replace(bench, vectors=vectors), (recipe,), 4.0, NANGATE45)
        for vectors in (bench.vectors, larger, lacking(bench.vectors, 40))), compiled=1)
    assert one.power.total > 0 and one.flip_flops > len(unit.a) + len(unit.b)
    for wrong in (other, lost):
        assert isinstance(wrong, RuntimeError) and "simulated cells: sum" in str(wrong)


def test_a_sum_that_overflows_is_an_error(short):
    design, = dots("base", [Dlfloat16Dot], [0])[:1]
    large = replace(short["fprop"], a_float=short["fprop"].a_float * 1e12)
    with pytest.raises(RuntimeError, match="tetra_dlfloat16_dot: a sum overflows"):
        mac_bench(component(design), design.netlist(), grid(CONFIG, 4), large, {}, 32)


def test_points_whose_energy_is_measured(monkeypatch):
    """A tile of every set of formats, every baseline, and of 16-bit dot products the densest."""
    chosen = [*(d for d in designs() if d.preset in FORMATS.values()), *dots("base")]
    points = [Point(design, "nangate45", {}, 1000.0 + n, 1.0, {})
              for n, design in enumerate(chosen) if design.macs]
    monkeypatch.setattr(energy, "best", lambda found, library: found[-1])
    full, quick = ([str(p.design).split("/")[0] for p in energy.chosen_points(
        points, NANGATE45, quick)] for quick in (False, True))
    assert full.count("tetra_mac_tile") == 3
    others = {block for block in full if block not in DOT16} - {"tetra_mac_tile"}
    assert len([block for block in full if block in DOT16]) == 1
    assert others == {block for kind in RIVALS.values() for block in kind} - {*DOT16}
    assert quick == ["tetra_mac_tile"] * 3 + [TOUGHEST[-1]]


def test_the_usual_designs_exist():
    assert {*program_alone.USUAL} <= {str(d) for d in (*designs(), *dots("base"))}
