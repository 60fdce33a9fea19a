# SPDX-License-Identifier: Apache-2.0
"""Layouts: the kit's cells, placement, routing, extraction, wires; and faults in each of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import klayout.db as db
import pytest

from golden.config import PRESETS
from synth.cells import sta
from synth.cells.designs import baselines, core
from synth.cells.libraries import NANGATE45, MissingError
from synth.energy import energy, gates
from synth.layout import __main__ as program
from synth.layout import gds, kit, place, report, route
from synth.layout.check import check, shapes
from synth.layout.energy import KINDS
from synth.layout.layout import Layout, Result, package
from synth.layout.pieces import Routed, Via, Wire
from synth.layout.summary import summarise
from synth.layout.trace import groups, trace
from synth.layout.wires import no_wires, promised_wires, routed_wires
from tools import cache as kept
from verif.here import Here
from verif.needs import needs_icarus, needs_router, needs_sta
from verif.synth import recorded
from verif.synth.designs import RECIPE, small_netlist


@pytest.fixture(scope="module")
def placed(tmp_path_factory) -> place.Placed:
    folder = tmp_path_factory.mktemp("flat")
    top, netlist = small_netlist("tetra_dot_product")
    (folder / "block.v").write_text(netlist)
    return place.place(gates.flatten([folder / "block.v"], top, NANGATE45, folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the router works."""
    return tmp_path_factory.mktemp("routed")


@pytest.fixture(scope="module")
def routed(placed, folder) -> Routed:
    return route.route(placed, folder)


def test_cells_are_as_large_in_both_files_of_the_kit():
    """LEF has outlines, liberty areas: two sources."""
    assert len(kit.macros()) > 100
    for name, macro in kit.macros().items():
        if name in NANGATE45.areas:
            assert macro.width * kit.ROW / kit.DBU ** 2 == pytest.approx(
                NANGATE45.area(name), abs=1e-3), name
            assert macro.width % kit.SITE == 0
            assert set(macro.pins) >= set(NANGATE45.capacitances[name]), name
            assert set(macro.supplies) <= {"VDD", "VSS"}


def test_the_router_is_offered_one_via_per_cut():
    vias = kit.via_boxes()
    assert list(vias) == list(kit.VIAS)
    assert [list(boxes) for boxes in vias.values()] == [
        [f"via{i}", f"metal{i}", f"metal{i + 1}"] for i in range(1, 6)]
    assert "VIARULE" not in kit.technology()
    assert {name: kit.spacings()[name] for name in ("metal1", "metal2", "metal4", "via1")} == {
        "metal1": 130, "metal2": 140, "metal4": 280, "via1": 160}


def test_every_cell_has_a_place_of_its_own_and_every_port_one_on_the_edge(placed):
    taken = set()
    for name, (x, y, turned) in placed.at.items():
        width = kit.macros()[placed.flat.cells[name][0]].width
        sites = {(site, y) for site in range(x, x + width, kit.SITE)}
        assert not sites & taken and x >= 0 and x + width <= placed.width
        assert turned == ("FS" if y // kit.ROW % 2 else "N")
        taken |= sites
    area = sum(NANGATE45.area(kind) for kind, _ in placed.flat.cells.values())
    assert abs(area / placed.area - place.UTILISATION) < 0.03
    assert set(placed.ports) == {"clk", *placed.flat.inputs, *placed.flat.outputs} & set(
        placed.flat.nets)
    assert len(set(placed.ports.values())) == len(placed.ports)
    for x, y in placed.ports.values():
        for at, (offset, pitch) in ((x, kit.TRACKS_X), (y, kit.TRACKS_Y)):
            assert (at - offset) % pitch == 0
        near = min(x, y, placed.width - x, placed.height - y)
        assert 0 < near <= kit.TRACKS_X[1]


def test_a_placement_with_cells_over_each_other_is_refused(placed):
    sizes = {name: kit.macros()[kind].width for name, (kind, _) in placed.flat.cells.items()}
    one, other = list(placed.at)[:2]
    x, y, turned = placed.at[other]
    last = sizes[other] - kit.SITE  # a site is shared
    for shared in (0, last, kit.SITE - sizes[one]):
        if 0 <= x + shared <= placed.width - sizes[one]:
            with pytest.raises(RuntimeError, match="lie over each other"):
                place.accept({one: (x + shared, y, turned), other: placed.at[other]}, sizes,
                             placed.width, placed.height)
    assert 0 <= x + last <= placed.width - sizes[one]
    x, y, turned = placed.at[one]
    turn = "N" if turned == "FS" else "FS"
    above = ("N", "FS")[placed.height // kit.ROW % 2]
    for off in ((x + 1, y, turned), (x, y, turn), (-kit.SITE, y, turned), (x, y + 1, turned),
                (placed.width - sizes[one] + kit.SITE, y, turned), (x, placed.height, above),
                (x, -2 * kit.ROW, "N")):
        with pytest.raises(RuntimeError, match=f"{one} is off the rows"):
            place.accept({one: off}, sizes, placed.width, placed.height)
    edge = {one: (placed.width - sizes[one], 0, "N")}
    place.accept(edge, sizes, placed.width, placed.height)


@needs_router
def test_a_routed_layout_is_its_netlist(placed, routed):
    found = check(placed, routed)
    mended = route.mended(routed, found.opens)
    found = check(placed, mended)
    assert not routed.failed and not found.opens and not found.shorts
    assert routed.length > 0.9 * sum(placed.half_perimeters().values()) / kit.DBU
    # what traces resistors agrees with KLayout: every net is one
    for net, pins in placed.flat.nets.items():
        shapes, ports = route.ends(placed, net)
        if len(pins) + len(ports) > 1:
            assert len(groups(trace(mended.nets[net], shapes, ports), [*shapes, *ports])) == 1, net


@needs_router
def test_faults_in_a_layout_are_found(placed, routed):
    routed = route.mended(routed, check(placed, routed).opens)
    before = check(placed, routed)
    nets = [net for net in sorted(placed.flat.nets) if routed.nets.get(net) and net != "clk"]

    # a net without one of its vias onto a pin
    net = next(net for net in nets if len(placed.flat.nets[net]) == 2 and net not in placed.ports)
    cut = [[piece for piece in path if not isinstance(piece, Via)] for path in routed.paths[net]]
    broken = check(placed, replace(routed, paths=routed.paths | {net: cut}))
    assert broken.opens == [net]

    # a wire from one net's to another's
    one, other = nets[:2]
    starts = [next(p for p in routed.nets[n] if isinstance(p, Via) and "metal2" in p.layers).at
              for n in (one, other)]
    bridge = [Wire("metal2", starts[0], (starts[0][0], starts[1][1])),
              Wire("metal2", (starts[0][0], starts[1][1]), starts[1])]
    shorted = check(placed, replace(routed, paths=routed.paths | {
        one: [*routed.paths[one], bridge]}))
    assert any({one, other} <= set(group) for group in shorted.shorts)

    # a net on the rail of its row, and metal across what is in a cell
    x, y = starts[0]
    rail = round(y / kit.ROW) * kit.ROW
    down = [Wire("metal2", (x, y), (x, rail)), Via("via1_4", (x, rail))]
    shorted = check(placed, replace(routed, paths=routed.paths | {one: [*routed.paths[one], down]}))
    assert any(one in group and any(name[0] == "+" for name in group) for group in shorted.shorts)
    wide = max(placed.at, key=lambda name: kit.macros()[placed.flat.cells[name][0]].width)
    left, bottom, _ = placed.at[wide]
    right, middle = left + kit.macros()[placed.flat.cells[wide][0]].width, bottom + kit.ROW // 2
    across = [Wire("metal1", (left, middle), (right, middle))]
    shorted = check(placed, replace(routed, paths=routed.paths | {
        one: [*routed.paths[one], across]}))
    assert any(f"!{wide}" in group for group in shorted.shorts)

    # two wires of metal 6, where there is hardly another, nearer than they may be
    apart = kit.spacings()["metal6"] - 10 + 2 * kit.LAYERS["metal6"].half
    pair = [Wire("metal6", (2000, y), (9000, y)) for y in (-9000, -9000 + apart)]
    near = check(placed, replace(routed, paths=routed.paths | {one: [*routed.paths[one], pair]}))
    assert near.close.get("metal6", 0) == before.close.get("metal6", 0) + 1


@needs_router
def test_masks_are_the_cells_and_the_wires(placed, routed, tmp_path):
    gds.write(placed, routed, tmp_path / "layout.gds")
    layout = db.Layout()
    layout.read(str(tmp_path / "layout.gds"))
    top, = layout.top_cells()
    assert top.name == placed.flat.top
    boxes = {}  # of cells, from the kit's masks: layer 235 is their outline
    for instance in top.each_inst():
        outline = instance.cell.bbox_per_layer(layout.layer(235, 0)).transformed(instance.trans)
        boxes[outline.left * layout.dbu, outline.bottom * layout.dbu] = instance.cell.name
    assert {(round(x, 3), round(y, 3)): kind for (x, y), kind in boxes.items()} == {
        (x / kit.DBU, y / kit.DBU): placed.flat.cells[name][0]
        for name, (x, y, _) in placed.at.items()}
    for layer, number in (("metal2", 13), ("via2", 14), ("metal3", 15), ("metal6", 21)):
        assert gds.NUMBERS[layer] == number
    drawn, wires, _ = shapes(placed, routed)
    for layer in wires:  # shapes of the top alone, without those in cells
        one = db.Region(top.shapes(layout.layer(gds.NUMBERS[layer], 0))).merged()
        other = db.Region(drawn.top_cell().begin_shapes_rec(wires[layer])).merged()
        assert one.area() * layout.dbu ** 2 == pytest.approx(other.area() / kit.DBU ** 2)
    names = {shape.text.string for layer in layout.layer_indexes()
             for shape in top.shapes(layer).each(db.Shapes.STexts)}
    assert names == set(placed.ports)


@needs_sta
@needs_router
def test_wires_slow_a_design_as_a_load_does(placed, routed, tmp_path):
    """OpenSTA reads the same of a wire's capacitance and of a load of as many femtofarads."""
    routed = route.mended(routed, check(placed, routed).opens)
    netlist, top = [placed.flat.path], placed.flat.top

    def period(text: str, library=NANGATE45) -> float:
        (tmp_path / "wires.spef").write_text(text)
        return sta.shortest_period(netlist, top, library, True, tmp_path, tmp_path / "wires.spef")

    none, promised, laid = (period(text) for text in (
        no_wires(placed), promised_wires(placed), routed_wires(placed, routed)))
    assert none < promised and none < laid
    assert laid == pytest.approx(promised, rel=0.05)
    # a promise, of a net with one pin that is driven: a quarter of it at either end
    net, length = next((net, length) for net, length in placed.half_perimeters().items()
                       if length and len(placed.flat.nets[net]) + (net in placed.ports) == 2)
    section = re.search(rf"^\*D_NET {net} (\S+)\n.*?\*CAP\n(.*?)\*RES\n(.*?)\*END",
                        promised_wires(placed), re.M | re.S)
    whole = length / kit.DBU * kit.ESTIMATED.femtofarads
    assert float(section[1]) == pytest.approx(whole, rel=1e-4)
    assert sorted(float(line.split()[2]) for line in section[2].splitlines()) == pytest.approx(
        [whole / 4, whole / 4, whole / 2], rel=1e-4)
    assert sum(float(line.split()[3]) for line in section[3].splitlines()) == pytest.approx(
        length / kit.DBU * kit.ESTIMATED.ohms, rel=1e-4)
    # of routed wires, by layer
    text = routed_wires(placed, routed)
    total = sum(float(found) for found in re.findall(r"^\*D_NET \S+ (\S+)$", text, re.M))
    lengths = sum(piece.length / kit.DBU * kit.LAYERS[piece.layer].femtofarads
                  for pieces in routed.nets.values() for piece in pieces if isinstance(piece, Wire))
    assert 0.9 * lengths < total <= lengths * 1.001
    # at outputs: a wire of 20 fF, and a load that is 20 fF larger
    ports = set(placed.flat.outputs)
    lumped = re.sub(r"(?m)^(\*D_NET (\S+)) 0\n(.*?)\*CAP\n", lambda net: (
        f"{net[1]} 20\n{net[3]}*CAP\n1 {net[2]} 20\n" if net[2] in ports else net[0]),
        no_wires(placed), flags=re.S)
    assert lumped != no_wires(placed)
    larger = replace(NANGATE45, load=NANGATE45.load + 20)
    assert period(lumped) == pytest.approx(period(no_wires(placed), larger), abs=2e-4)
    assert period(lumped) > none


@needs_router
def test_a_router_that_does_not_finish_is_a_failure_with_its_log(monkeypatch, tmp_path, placed):
    monkeypatch.setattr(route, "LIMIT", 0.5)
    with pytest.raises(RuntimeError, match=r"no layout within 0.5 s, (\d+|all) nets are open"):
        route.route(placed, tmp_path)


@needs_icarus
@needs_sta
@needs_router
def test_the_program_lays_out_compares_and_says_what_is_missing(monkeypatch, tmp_path, capsys):
    """On two small designs in place of its own."""
    ours = next(d for d in core("tiny") if d.block == "tetra_dot_product"
                and d.depth == PRESETS["tiny"].pipeline)
    mac = next(d for d in baselines("base") if d.block == "tetra_int8_mac" and d.depth == 0)
    monkeypatch.setattr(program, "chosen", lambda quick: [ours, mac])
    monkeypatch.setattr(program, "RECIPES", [RECIPE])
    monkeypatch.setattr(program, "TOUGHEST", ("tetra_int8_mac",))
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    monkeypatch.setattr(program, "open_pool", lambda *_: Here())
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["layout"])
    monkeypatch.setattr(energy, "gemms", lambda quant: recorded.short())
    monkeypatch.setattr(energy, "QUICK_CYCLES", {"mac": 64})
    assert program.main() == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    (name, drawn), = (each.values() for each in summary["energies"])  # of ours tiles alone
    bare, promised, laid = (drawn[kind]["training"] for kind in KINDS)
    assert name == str(mac) and bare < promised != laid > bare
    assert (laid - bare) / (promised - bare) == pytest.approx(1, abs=0.15)
    first, second = summary["designs"]
    assert first["ours"] and not second["ours"] and first["clean"] and second["clean"]
    ratio, = summary["ratios"]
    assert ratio["rival"] == summary["against"] == str(mac)
    for timing in ("wires by fanout", "routed"):
        saved = mac.shared * NANGATE45.area(NANGATE45.flip_flop)
        assert ratio[timing] == pytest.approx(
            ours.macs["fprop"] / first["cell_area_um2"] / first["period_ns"][timing]
            * (second["cell_area_um2"] - saved) * second["period_ns"][timing])
    page = (tmp_path / "report.html").read_text()
    assert f"{laid:.3f}" in page and f"{laid:.3f}" in capsys.readouterr().out
    assert "connectivity-checked" in page and "clock tree" in page and page.count("<img") == 1
    assert (tmp_path / "tetra_int8_mac-base-0" / "routed.def").read_text().count("ROUTED") > 100

    def gone():
        raise MissingError("qrouter: not installed; apt install qrouter")

    monkeypatch.setattr(route, "tool", gone)
    capsys.readouterr()
    assert program.main() == 0  # placed at least
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["missing"] == ["qrouter: not installed; apt install qrouter"]
    assert [list(each["pj_per_mac"]) for each in summary["energies"]] == [["no wires", "placed"]]
    assert all("placed" in d["period_ns"] and "routed" not in d["period_ns"] and d["clean"] is None
               for d in summary["designs"])
    assert "absent: qrouter" in capsys.readouterr().out
    assert not (tmp_path / "tetra_int8_mac-base-0" / "routed.def").exists()  # of the run before

    def no_checker(name: str) -> str:
        if name == "klayout":
            raise MissingError("klayout: not installed; make setup")
        return package(name)

    monkeypatch.setattr(program, "package", no_checker)
    monkeypatch.setattr("synth.layout.layout.package", no_checker)
    assert program.main() == 0
    assert "absent: klayout" in capsys.readouterr().out.partition("mapping")[0]  # before it waits

    def no_timer():
        raise MissingError("OpenSTA (sta): not installed; apt install opensta")

    before = (tmp_path / "summary.json").read_bytes()
    monkeypatch.setattr(sta, "tool", no_timer)
    assert program.main() == 1
    assert (tmp_path / "summary.json").read_bytes() == before
    assert "nothing was laid out" in capsys.readouterr().err


def test_a_layout_that_is_not_clean_has_no_routed_period_and_says_so(tmp_path):
    figures = {"period_ns": {"placed": 1.0}, "cell_area_um2": 10.0, "core_area_um2": 11.0,
               "cells": 1, "half_perimeter_um": 1.0, "wire_um": {"metal2": 1.0}, "failed": [],
               "opens": [], "shorts": [], "close": {}, "mended": ["n"]}
    design = next(d for d in core("tiny") if d.block == "tetra_dot_product")
    for name, value in (("", []), ("opens", ["x"]), ("shorts", [["x", "y"]]), ("failed", ["x"])):
        found = {design: Result(figures | ({name: value} if name else {}), tmp_path)}
        summary = summarise(found, "", [], [], [])
        assert found[design].clean == (not name)
        assert bool(report.unclean(summary)) == bool(name)
        assert all(name in text and "x" in text for text in report.unclean(summary))
        assert report.mended(summary) == [f"mended in {design}: n"]


@needs_router
def test_a_written_layout_is_the_one_that_was_checked(routed, folder, tmp_path):
    """Mended nets, here made up, are in the DEF too."""
    text = (folder / "routed.def").read_text()
    net, other = [name for name in sorted(routed.paths) if routed.paths[name]][:2]
    added = [Wire("metal6", (0, 0), (9000, 0)), Via("via5_0", (9000, 0))]
    changed = replace(routed, paths=routed.paths | {net: [*routed.paths[net], added]})
    (tmp_path / "new.def").write_text(route.rewritten(text, changed, [net]))
    again = route.read(tmp_path / "new.def", "")
    assert sorted(map(repr, again.nets[net])) == sorted(map(repr, changed.nets[net]))
    assert again.nets[other] == routed.nets[other]
    assert {name: pieces for name, pieces in again.nets.items() if name != net} == {
        name: pieces for name, pieces in routed.nets.items() if name != net}


@needs_sta
def test_a_layout_is_made_once(monkeypatch, tmp_path):
    monkeypatch.setattr(kept, "CACHE", tmp_path)
    top, netlist = small_netlist("tetra_dot_product")
    layout = Layout(top, (netlist,), False)
    first = layout.run()
    assert isinstance(first, Result) and not first.clean
    stamp = (first.folder / "layout.json").stat().st_mtime_ns
    again = Layout(top, (netlist,), False).run()
    assert again.figures == first.figures
    assert (again.folder / "layout.json").stat().st_mtime_ns == stamp
    assert Layout(top, (netlist + "\n",), False).key != layout.key
