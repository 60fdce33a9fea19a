# SPDX-License-Identifier: Apache-2.0
"""The page of a sweep: legible with few designs and with all, and clear about what is a subset."""

from functools import partial

import pytest
from rich.console import Console

from synth import __main__ as program
from synth.cells import asic, plots
from synth.cells.designs import BASELINES, BOUNDARIES, DOTS, designs, quick_designs
from synth.cells.libraries import LIBRARIES
from synth.cells.recipes import QUICK, SWEEP
from synth.cells.summary import MEASURES, summarise
from synth.cells.sweep import Outcome, Point
from synth.energy.energy import Energies
from synth.fpga import report as fpga_report
from synth.report import render
from verif.pages import check_figure, check_page


@pytest.fixture(autouse=True)
def liberty(monkeypatch):
    """The libraries need not be installed for pictures of made-up figures."""
    monkeypatch.setattr(asic.CellLibrary, "areas", {
        name: 1.0 for library in LIBRARIES.values() for name in (library.flip_flop, library.gate)})


def swept(chosen, recipes, spread=1.3) -> dict:
    """A summary of made-up points: the n-th design is larger than the one before by `spread`."""
    points = []
    for i, design in enumerate(chosen):
        blocks = ("top", *sorted(BOUNDARIES)) if design.ours and "mac" not in design.block else (
            "top", "tetra_mac_cell")
        for j, recipe in enumerate(recipes):
            area = 500.0 * spread ** (i % 12) * (1 + j / 20)
            points.append(Point(
                design, "nangate45", {"b": str(recipe)}, area, 0.5 + (i + j) % 9 / 5,
                {name: {"instances": 2, "area": area / 20, "cells": 1} for name in blocks}))
    return summarise({"nangate45": Outcome(points=points)}, Energies(), recipes is QUICK)


def energies(names: list[str]) -> list[dict]:
    return [{"name": name, "block": name.split("/")[0], "clock_mhz": 1000.0, "operands": "codes",
             "recipes": {"b": "r"}, "parts": {"p": {"glitches": 1, "total": 4}},
             "pj_per_mac": dict.fromkeys(MEASURES, 0.3 * 2 ** i)} for i, name in enumerate(names)]


ENERGIES = {
    "one": ["tetra_mac_tile/base/3"],
    "many": ["tetra_mac_tile/base/3", "tetra_engine/base/3", "tetra_fp16_mac/base/6",
             "tetra_dlfloat16_mac/base/4", "tetra_dlfloat16_mac/base/6"]}
SUMMARIES = {
    "quick": lambda: swept(quick_designs(), QUICK),
    "full": lambda: swept(designs(), SWEEP),
    "alike": lambda: swept([d for d in designs() if d.preset == "base"], QUICK, 1.0),
    "one": lambda: swept([d for d in quick_designs() if d.block == "tetra_mac_tile"], QUICK[:1])}


def test_every_baseline_has_a_mark_of_its_own():
    assert len(set(plots.OTHERS)) == len(plots.OTHERS) >= len(BASELINES) + len(DOTS)


@pytest.mark.parametrize("which", SUMMARIES)
def test_figures_are_legible(which):
    summary = SUMMARIES[which]()
    for draw in (plots.frontier, plots.depth, plots.area):
        check_figure(partial(draw, summary))
    known = {design["block"] for design in summary["designs"]}
    for names in ENERGIES.values():
        if known >= {name.split("/")[0] for name in names}:
            check_figure(partial(plots.energy, summary | {"energy": energies(names)}))
    page = render(summary | {"energy": energies(ENERGIES["one"])})
    assert check_page(page).pictures == 4 and "25%" in page


@pytest.mark.parametrize("quick", [True, False])
def test_a_subset_says_so(quick, capsys):
    """In the browser's title, in the headline and in the terminal."""
    summary = swept(quick_designs(), QUICK if quick else SWEEP[:2])
    found, console = check_page(render(summary)), Console(width=200)
    program.show(summary, console)
    fpga_report.show(fpga([], quick), console)
    table, fpga_table = capsys.readouterr().out.split("On FPGAs")
    for text in (found.title, found.headline, table):
        assert ("a subset of designs and recipes (QUICK=1)" in text) == quick
    for text in (table.replace("\n", " "), render(summary)):
        assert ("density and clock are lower bounds" in text) == quick
    assert ("a subset of the designs (QUICK=1)" in fpga_table) == quick


def fpga(luts, quick, spread=3.0) -> dict:
    made = [{
        "block": "tetra_mac_tile" if i % 3 else "tetra_fp16_mac", "preset": f"made up, {i}",
        "device": ("iCE40 HX8K", "LFE5U-85F-8")[i % 2], "ours": bool(i % 3), "luts": count,
        "luts_per_mac": 1.5, "flip_flops": 10, "brams": 0, "dsps": 0, "dsp": False, "fits": True,
        "fmax_by_seed": {s: 50 + spread * s for s in range(5)}, "fmax_mhz": 50 + 2 * spread,
        "target_mhz": 50.0, "met": True, "placed": True, "seeds_failed": 0,
    } for i, count in enumerate(luts)]
    return {"quick": quick, "designs": made, "missing": [] if made else ["nextpnr"],
            "failures": [], "tools": {"nextpnr": "1"}}


@pytest.mark.parametrize("luts", [[2004], [2004, 2004], [159, 60_000], range(100, 30_000, 2000)],
                         ids=len)
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_fpga_figure_is_legible(luts, spread):
    check_figure(partial(fpga_report.plot, fpga(luts, True, spread)["designs"]))


@pytest.mark.parametrize("quick", [True, False])
def test_fpgas_alone(quick):
    found = check_page(render({"fpga": fpga([2004, 159], quick)}))
    assert found.pictures == 1
    for text in (found.title, found.headline):
        assert "FPGAs" in text
        assert ("a subset of the designs (QUICK=1)" in text) == quick
