# SPDX-License-Identifier: Apache-2.0
"""The synthesis flow: recipes, full adders, figures, and what happens where things are absent."""

import collections
import re
from dataclasses import replace

import pytest
from amaranth.hdl import Module
from rich.console import Console

from hdl.core.core import Core
from hdl.library import Library, place
from synth import __main__ as program
from synth.cells import asic, sta, sweep
from synth.cells.asic import MappedBlock, Netlist, mappings, timing
from synth.cells.designs import (
    BOUNDARIES,
    DOTS,
    contenders,
    designs,
    dots,
    others,
    quick_designs,
)
from synth.cells.fanout import ALONE, LIMIT, buffered
from synth.cells.libraries import LIBRARIES, NANGATE45
from synth.cells.recipes import (
    ADDER_PORTS,
    ADDER_RULES,
    CARRY_SAVE,
    QUICK,
    SWEEP,
    Recipe,
    adder_cells,
    adder_rows,
)
from synth.cells.summary import densities, finalists
from synth.cells.sweep import Point, candidates, choices, fastest, pareto
from tools import cache
from tools.yosys import yosys
from verif.here import Here
from verif.needs import needs_sta
from verif.synth.designs import CONFIG, Counter, design


class Pair(Counter):
    """Two counters, a block each, and a register of its own."""

    def elaborate(self, platform):
        m = Module()
        both = [place(m, platform, f"counter_{i}", Counter(self.config)) for i in range(2)]
        m.d.comb += [both[0].step.eq(self.step), both[1].step.eq(both[0].total)]
        m.d.comb += [c.enable.eq(self.enable) for c in both]
        m.d.sync += self.total.eq(both[1].total)
        return m


ROW = f"""
module {CARRY_SAVE}3(a, b, c, total, carry);
  input [2:0] a, b, c; output [2:0] total, carry;
  assign total = a ^ b ^ c; assign carry = (a & b) | (a & c) | (b & c);
endmodule
module top(x, y, z, o);
  input [2:0] x, y, z; output [11:0] o;
  wire [2:0] t, u;
  {CARRY_SAVE}3 r0(.a(x), .b({{y[1:0], 1'b0}}), .c({{1'b0, z[1], 1'b1}}), .total(t), .carry(u));
  {CARRY_SAVE}3 r1(.a(t), .b({{u[1:0], 1'b0}}), .c({{z[0], 2'b00}}), .total(o[2:0]),
                   .carry(o[5:3]));
  {CARRY_SAVE}3 r2(.a(x), .b(y), .c(z), .total(o[8:6]), .carry(o[11:9]));
endmodule
"""


def netlist(build, boundaries=frozenset()) -> Netlist:
    library = Library()
    top = library.convert(build, CONFIG)
    return Netlist(library.text, top, boundaries)


def test_every_design_elaborates_once_named():
    found = [str(d) for d in designs()]
    assert len(found) == len(set(found))
    assert {str(d) for d in quick_designs()} < {*found, *map(str, dots("base"))}
    plain, bare = (next(d.netlist().text for d in designs() if str(d) == f"tetra_mac_cell/{name}/3")
                   for name in ("base", "base, radix 4 alone"))
    assert len(bare) < len(plain)
    assert {d.ours for d in quick_designs()} == {True, False}
    assert [d.depth for d in quick_designs() if d.block == "tetra_fp16_mac"] == [4, 6]
    first = [str(d) for d in contenders()]
    assert found[:len(first)] == first and {d.ours for d in others()} == {True}
    assert {"tetra_engine/lean/3", "tetra_mac_tile/base/3", "tetra_fp16_mac/base/0"} <= {*first}
    assert {"tetra_engine/big/3", "tetra_mac_tile/base/2"} <= {*map(str, others())}


def test_of_each_kind_of_dot_product_the_densest_is_a_finalist():
    chosen = [d for d in dots("base") if d.block in ("tetra_mx_fp4_dot", "tetra_int8_dot")]
    points = [Point(design, "nangate45", {design.block: "r"}, 1000.0 + 100 * (i % 3), 1.0, {})
              for i, design in enumerate(chosen)]
    found = finalists([*points, Point(design(), "nangate45", {}, 1.0, 1.0, {})])
    assert {d.block for d in found} == {d.block for d in chosen} and len(found) == 2
    for block in {d.block for d in chosen}:
        alike = {p.design: densities(p, NANGATE45)["training"] for p in points
                 if p.design.block == block}
        assert max(alike, key=alike.get) in found


def test_boundaries_exist():
    """A block that was renamed would silently be flattened into a tile of 64."""
    library = Library()
    top = library.convert(Core, CONFIG)
    blocks = Netlist(library.text, top, BOUNDARIES).blocks
    assert set(blocks) == BOUNDARIES | {top}
    assert blocks["tetra_mac_cell"] == CONFIG.rows * CONFIG.cols


@pytest.mark.parametrize("quick", [True, False])
def test_what_is_mapped_by_which_recipes(quick, monkeypatch):
    """All by which the headlines stand by all recipes, with the finalists of the dot products."""
    asked = []

    def swept(chosen, recipes, library, pool, progress):
        asked.append(({str(d) for d in chosen}, [*recipes], library.name))
        return sweep.Outcome([Point(d, library.name, {}, 1.0 + d.depth, 1.0, {}) for d in chosen])

    monkeypatch.setattr(program, "sweep", swept)
    monkeypatch.setattr(program, "measure", lambda points, recipes, *_: recipes)
    found, recipes = program.run(quick, Here(), Console())
    assert recipes is (QUICK if quick else SWEEP)
    if quick:
        assert asked == [({str(d) for d in quick_designs()}, QUICK, "nangate45")]
        return
    first, rest, last, second = asked
    assert first == ({str(d) for d in contenders()}, SWEEP, "nangate45")
    assert rest == ({*map(str, others()), *map(str, dots("base"))}, QUICK, "nangate45")
    assert len(last[0]) == len(DOTS) and last[0] < rest[0]
    assert {*last[1], *QUICK} == {*SWEEP} and not {*last[1]} & {*QUICK}
    assert second[1:] == (QUICK, "osu180")
    assert len(found["nangate45"].points) == sum(len(names) for names, *_ in asked[:3])


@pytest.mark.parametrize("count", [3, 4, 5, 12, 13, 144, 145, 2000])
def test_buffers_carry_the_same_net_to_every_block(count):
    """As a tree in which nothing drives more than LIMIT, and nothing else is touched."""
    cells = {f"block_{n}": {"type": "block", "port_directions": {"clk": "input", "i": "input",
                                                                 "o": "output"},
                            "connections": {"clk": [1], "i": ["0", 7], "o": [100 + n]}}
             for n in range(count)}
    cells["gate"] = {"type": "gate", "port_directions": {"i": "input"}, "connections": {"i": [7]}}
    module = {"cells": cells, "ports": {"far": {"bits": [10_000]}}}
    added = buffered(module, {"block"}, "BUF", ("A", "Z"))
    assert added == len(cells) - count - 1
    drives = collections.Counter()
    driver = {cell["connections"]["Z"][0]: cell["connections"]["A"][0]
              for cell in cells.values() if cell["type"] == "BUF"}
    assert len(driver) == added
    assert min(driver, default=10_001) == 10_001  # nets that were not there before
    for name, cell in cells.items():
        if cell["type"] == "block":
            connected = cell["connections"]
            assert connected["clk"] == [1] and connected["i"][0] == "0"
            assert connected["o"] == [100 + int(name.removeprefix("block_"))]
            drives[connected["i"][1]] += 1
    drives.update(driver.values())
    assert cells["gate"]["connections"]["i"] == [7]
    for net in drives:
        while net != 7:
            net = driver[net]
    assert max(drives.values()) <= LIMIT
    assert (added == 0) == (count <= ALONE)


def test_recipes():
    assert len(set(map(str, SWEEP))) == len(SWEEP)
    assert set(QUICK) <= set(SWEEP)
    with pytest.raises(ValueError, match="script = 'slow': expected one of 'area', 'speed', "):
        Recipe(600, "slow")
    with pytest.raises(ValueError, match=r"target = 5 is out of range: expected 100..20000 ps"):
        Recipe(5)


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_full_adders_are_equivalent(library, tmp_path):
    """Rows as cells of the library, constants and all, compute what the rows do."""
    cells = "".join(
        f"module {adder.cell}({', '.join(adder.pins)});\n input {', '.join(adder.pins[:-2])};\n"
        f" output {', '.join(adder.pins[-2:])};\n"
        f" assign {{{adder.pins[-1]}, {adder.pins[-2]}}} = {' + '.join(adder.pins[:-2])};\n"
        "endmodule\n" for adder in (library.full_adder, library.half_adder))
    files = {"row": ROW, "ports": ADDER_PORTS, "rows": adder_rows({3}), "rules": ADDER_RULES,
             "cells": adder_cells(library), "models": cells}
    for name, text in files.items():
        (tmp_path / f"{name}.v").write_text(text)
    log = yosys([
        f"read_verilog {tmp_path}/ports.v {tmp_path}/row.v", f"blackbox {CARRY_SAVE}3", "proc",
        "rename top gate", f"techmap -map {tmp_path}/rows.v", "opt -full",
        *[f"techmap -max_iter 1 -map {tmp_path}/rules.v", "opt -full"] * 3,
        f"techmap -map {tmp_path}/cells.v", "opt_clean", "stat gate",
        "select gate", f"write_rtlil -selected {tmp_path}/gate.il"])
    yosys([f"read_rtlil {tmp_path}/gate.il", f"read_verilog {tmp_path}/models.v {tmp_path}/row.v",
           "proc", "flatten gate top", "miter -equiv -flatten top gate miter",
           "sat -verify -prove trigger 0 miter"])
    found = {name: int(count) for count, name in re.findall(
        r"^\s+(\d+)\s+(\S+)$", log[log.rindex("=== gate ==="):], re.M)}
    # r0: an inverter, a full and a half adder; r1: a wire, a half and a full adder; r2: three full
    assert found[library.full_adder.cell] == 5 and found[library.half_adder.cell] == 2


def test_blocks_and_their_text():
    found = netlist(Pair, frozenset({"tetra_counter"}))
    assert found.blocks == {"tetra_pair": 1, "tetra_counter": 2}
    assert found.clocked("tetra_pair") and found.below("tetra_pair") == ["tetra_counter"]
    glue, leaf = found.block("tetra_pair", False), found.block("tetra_counter", False)
    assert "blackbox" in glue and "$add" not in glue
    assert "blackbox" not in leaf and "$add" in leaf
    assert netlist(Pair).blocks == {"tetra_pair": 1}
    assert "blackbox" not in netlist(Pair).block("tetra_pair", False)


def test_key_is_of_the_content(monkeypatch):
    def key(build, recipe, library=NANGATE45):
        found = mappings(netlist(build), [recipe], library)
        return next(iter(found.values()))[0].key

    monkeypatch.setattr(sta, "version", lambda: "1")
    monkeypatch.setattr(asic.CellLibrary, "digest", "liberty")
    monkeypatch.setattr(asic.CellLibrary, "path", "somewhere")
    one = key(Counter, Recipe(600))
    monkeypatch.setattr(asic.CellLibrary, "path", "another machine's")
    assert one == key(Counter, Recipe(600))
    others = [key(Counter, Recipe(700)), key(Counter, Recipe(600, "keep")), key(Pair, Recipe(600)),
              key(Counter, Recipe(600, full_adders=False)),
              key(Counter, Recipe(600), replace(NANGATE45, load=1.0))]
    monkeypatch.setattr(asic.CellLibrary, "digest", "another liberty")
    others.append(key(Counter, Recipe(600)))
    monkeypatch.setattr(asic, "finish", lambda *_: ["another end"])
    others.append(key(Counter, Recipe(600)))
    monkeypatch.setattr(sta, "version", lambda: "2")
    others.append(key(Counter, Recipe(600)))
    assert len({one, *others}) == len(others) + 1


def mapped(name="block", area=1.0, period=1.0, recipe=SWEEP[0]) -> MappedBlock:
    return MappedBlock(name, recipe, None, area, 1, period)


def test_choices():
    """The block with the largest share sets the pace; the others are as small as it allows, and
    what is around them is mapped by a recipe that is not slow for the largest."""
    fast, small = mapped("cell", 4, 1), mapped("cell", 3, 2, SWEEP[1])
    worse = mapped("cell", 5, 3, SWEEP[2])
    assert pareto([worse, fast, small]) == [small, fast]
    quick, slow = mapped("lane", 2, 0.5), mapped("lane", 1, 1.5)
    glue, alike = mapped("top", 1, None, SWEEP[2]), mapped("top", 2, None)
    options = {"top": [glue, alike], "cell": [worse, fast, small], "lane": [quick, slow]}
    few = choices({"top": 1, "cell": 4, "lane": 1}, options)
    assert few[0] == {"top": alike, "cell": fast, "lane": quick} and len(few) == 2
    rest = {name: mapped(name, 0.1, 0.1) for name in ("drain", "feed")}
    many = choices({"top": 1, "cell": 4, "lane": 1, "drain": 1, "feed": 1},
                   options | {name: [block] for name, block in rest.items()})
    assert many[:2] == [choice | rest for choice in few] and len(many) == 4
    assert {"top": glue, "cell": fast, "lane": quick} | rest in many
    assert {"top": glue, "cell": small, "lane": slow} | rest in many
    assert choices({"cell": 1}, {"cell": [fast, worse]}) == [{"cell": fast}, {"cell": worse}]


def test_the_fastest_of_each_block():
    """What is around them has the recipe of the slowest, if it was mapped by that."""
    fast, small = mapped("cell", 4, 1), mapped("cell", 3, 2, SWEEP[1])
    quick, slow = mapped("lane", 2, 1.2, SWEEP[2]), mapped("lane", 1, 1.5)
    glue, alike = mapped("top", 1, None), mapped("top", 2, None, SWEEP[2])
    blocks = {"cell": [small, fast], "lane": [slow, quick]}
    assert fastest(blocks | {"top": [glue, alike]}) == {"cell": fast, "lane": quick, "top": alike}
    assert fastest(blocks | {"top": [glue]})["top"] == glue


def test_more_recipes_find_no_less():
    """What is timed of all recipes has what would be timed of those of `QUICK` alone."""
    found = {name: [mapped(name, 10 + 10 * (recipe in QUICK) + i, 1, recipe)
                    for i, recipe in enumerate(SWEEP)] for name in ("cell", "lane")}
    found["top"] = [mapped("top", 1, None, recipe) for recipe in SWEEP]
    few = {name: [block for block in blocks if block.recipe in QUICK]
           for name, blocks in found.items()}
    instances = {"top": 1, "cell": 400, "lane": 4}
    every, less = choices(instances, found), choices(instances, few)
    assert len(every) == len(less) == 2 and not any(choice in every for choice in less)
    assert candidates(instances, found) == [*every, *less]
    assert candidates(instances, few) == less
    others = {name: [b for b in blocks if b.recipe not in QUICK] for name, blocks in found.items()}
    assert candidates(instances, others) == choices(instances, others)
    assert candidates(instances, {"cell": found["cell"], "lane": []}) == []


@pytest.mark.parametrize("absent", ["library", "tool"])
def test_what_is_missing_is_named(absent, monkeypatch):
    """With the command that installs it; the flow goes on."""
    library = replace(NANGATE45, package="no-such-package")
    if absent == "tool":
        monkeypatch.setattr(asic.CellLibrary, "digest", "liberty")
        monkeypatch.setattr(asic.CellLibrary, "path", "somewhere")
        monkeypatch.setattr(sta, "version", sta.version.__wrapped__)
        monkeypatch.setattr(sta, "tool", sta.tool.__wrapped__)
        monkeypatch.setattr(sta.shutil, "which", lambda _: None)
    else:
        monkeypatch.setattr(sta, "version", lambda: "1")
    found = sweep.sweep([design()], [SWEEP[0]], library, Here(), lambda *_: None)
    assert found.points == found.failures == []
    way_out = "make setup" if absent == "library" else "apt install opensta"
    assert len(found.missing) == 1 and "not installed; " + way_out in found.missing[0]


def test_a_failed_recipe_is_listed(monkeypatch, tmp_path):
    monkeypatch.setattr(sta, "version", lambda: "1")
    monkeypatch.setattr(asic.CellLibrary, "digest", "liberty")
    monkeypatch.setattr(asic.CellLibrary, "path", "nowhere")
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    monkeypatch.setattr(sweep, "FAILED", tmp_path / "failed")
    found = sweep.sweep([design()], SWEEP[:2], NANGATE45, Here(), lambda *_: None)
    assert found.points == []
    assert [f.recipe for f in found.failures] == [str(r) for r in SWEEP[:2]]
    assert all("nowhere" in f.message for f in found.failures)
    assert "nowhere" in (cache.ROOT / found.failures[0].log).read_text()
    assert not list(tmp_path.glob("*/netlist.v"))


@needs_sta
def test_maps_and_times(fresh_cache):
    """Blocks alone and one in another; a damaged result is made anew."""
    whole = netlist(Pair, frozenset({"tetra_counter"}))
    found = mappings(whole, [SWEEP[0]], NANGATE45)
    blocks = {name: found[name][0].run() for name in found}
    counter, pair = blocks["tetra_counter"], blocks["tetra_pair"]
    flip_flop = NANGATE45.areas["DFF_X1"]
    assert counter.area > 6 * flip_flop and counter.period > 0.1 and pair.period is None
    assert 6 * flip_flop <= pair.area < 8 * flip_flop  # without the counters in it
    period = timing(whole, list(blocks.values()), NANGATE45).run()
    assert counter.period * 0.8 < period < 2 * counter.period
    text = counter.netlist.read_text()
    counter.netlist.write_text("module tetra_counter(); endmodule")
    assert found["tetra_counter"][0].run() == counter
    assert counter.netlist.read_text() == text


@needs_sta
def test_single_designs_go_to_the_terminal_alone(fresh_cache, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    monkeypatch.setattr(program, "QUICK", [SWEEP[0]])
    monkeypatch.setattr("sys.argv", ["synth", "tetra_multiplier/tiny/2", "--jobs=1"])
    assert program.main() == 0
    shown = capsys.readouterr().out
    assert "tetra_multiplier" in shown and "a subset of designs" in shown
    assert not (tmp_path / "summary.json").exists()


@needs_sta
def test_an_unclocked_register_is_noticed(fresh_cache, tmp_path):
    block = mappings(netlist(Counter), [SWEEP[0]], NANGATE45)["tetra_counter"][0].run()
    with pytest.raises(RuntimeError, match="unclocked register"):
        sta.shortest_period([block.netlist], "tetra_counter", NANGATE45, False, tmp_path)


@needs_sta
def test_only_a_constant_output_needs_no_path(fresh_cache, tmp_path):
    text = """module t(clk, q, end0); input clk; output q; output end0; wire n;
    DFF_X1 r (.CK(clk), .D(n), .Q(q)); INV_X1 i (.A(q), .ZN(n)); {}
    endmodule"""
    path = tmp_path / "netlist.v"
    path.write_text(text.format("assign end0 = 1'h0;"))
    assert 0 < sta.shortest_period([path], "t", NANGATE45, True, tmp_path) < 1
    path.write_text(text.format(""))
    with pytest.raises(RuntimeError, match="1 unconstrained endpoint"):
        sta.shortest_period([path], "t", NANGATE45, True, tmp_path)
