# SPDX-License-Identifier: Apache-2.0
"""What wires add to energy: trees, parasitics of layouts, and of which design which are known."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from synth.cells.designs import baselines
from synth.cells.recipes import QUICK
from synth.cells.sweep import Point
from synth.energy.energy import Energies
from synth.layout.energy import KINDS, Parasitics, energies, tree
from synth.layout.layout import Layout, Result
from tools import cache
from verif.here import Here
from verif.needs import needs_router, needs_sta
from verif.synth.designs import small_netlist


def test_trees_are_shortest():
    """By scipy's, from all distances."""
    rng = np.random.default_rng(5)
    for count in (1, 2, 3, 4, 20, 100):
        points = [tuple(map(int, point)) for point in rng.choice(1000, (count, 2), replace=False)]
        every = np.abs(np.array(points)[:, None] - np.array(points)[None]).sum(axis=2)
        assert tree(points) == minimum_spanning_tree(every).sum()


@needs_sta
@needs_router
def test_parasitics_are_those_of_the_wires(tmp_path):
    """Routed: SPEF's sums. Placed: trees, never less than half the perimeter, equal to it for two
    pins. A layout that is not its netlist has none."""
    top, netlist = small_netlist("tetra_int8_mac")
    task = Parasitics(top, (netlist,), True)
    laid = task.run()
    folder = cache.CACHE / f"layout-{task.key}"
    spef = (folder / "wires.spef").read_text()
    assert laid == {net: float(farads) for net, farads in re.findall(
        r"^\*D_NET (\S+) (\S+)", spef, re.M)} and min(laid.values()) >= 0
    promised = Parasitics(top, (netlist,), False).run()
    assert promised.keys() == laid.keys()
    assert sum(laid.values()) == pytest.approx(sum(promised.values()), rel=0.1)
    assert promised["clk"] == pytest.approx(laid["clk"], rel=0.4)
    short = Layout(top, (netlist,), False).run().folder
    halves = {net: float(farads) for net, farads in re.findall(
        r"^\*D_NET (\S+) (\S+)", (short / "wires.spef").read_text(), re.M)}
    assert all(promised[net] >= halves[net] for net in halves)
    assert promised["clk"] > 2 * halves["clk"]
    for name in ("layout.json", "wires.spef"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    known = json.loads((tmp_path / "layout.json").read_text())
    del known["routed_ns"]
    (tmp_path / "layout.json").write_text(json.dumps(known))
    with pytest.raises(RuntimeError, match=f"that of {top} is not its netlist"):
        task.read(tmp_path)


def test_energies_have_the_wires_that_a_layout_has(monkeypatch, tmp_path):
    """Of a clean layout routed ones too; whatever failed or is missing is told."""
    chosen = baselines("base")[:3]
    points = [Point(design, "nangate45", {}, 1.0, 1.0, {}) for design in chosen]
    clean = Result({"opens": [], "shorts": [], "failed": []}, tmp_path)
    laid = dict(zip(chosen, (clean, replace(clean, figures=clean.figures | {"opens": ["x"]}),
                             RuntimeError("no layout")), strict=True))
    asked = []

    def measure(points, recipes, library, quick, pool, progress, extraction, what):
        asked.append((what, len(points), extraction and extraction("top", ("text",)).routed))
        return Energies([{"name": str(p.design), "pj_per_mac": {"training": 1.0}} for p in points],
                        [what], ["iverilog"])

    monkeypatch.setattr("synth.layout.energy.measure", measure)
    drawn, failures, missing = energies(points, QUICK, laid, Here(), lambda *_: None)
    assert asked == [("energy, no wires", 3, None), ("energy, placed", 3, False),
                     ("energy, routed", 1, True)]
    assert failures == [what for what, *_ in asked] and missing == ["iverilog"]
    assert [list(each["pj_per_mac"]) for each in drawn] == [[*KINDS], [*KINDS[:2]], [*KINDS[:2]]]
    assert [each["name"] for each in drawn] == list(map(str, chosen))
