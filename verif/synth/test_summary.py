# SPDX-License-Identifier: Apache-2.0
"""Figures of a sweep: who is compared with whom, what a later run is compared with, the page."""

import json

import pytest

from hdl.library import module_name
from synth import __main__ as program
from synth.cells import asic
from synth.cells.designs import BASELINES, DOTS, GEMMS
from synth.cells.libraries import LIBRARIES, NANGATE45
from synth.cells.summary import (
    FORMATS,
    HEADLINE,
    KINDS,
    MEASURES,
    RIVALS,
    densities,
    density_ratio,
    energy_ratio,
    figures,
    regressions,
    summarise,
    training,
)
from synth.cells.sweep import Outcome, Point
from synth.energy.energy import Energies
from synth.report import render
from verif.pages import check_page
from verif.synth.designs import design


def point(area, period, **changes) -> Point:
    return Point(design(**changes), "nangate45", {"b": "r"}, area, period,
                 {"b": {"instances": 1, "area": area, "cells": 9}})


def outcome() -> Outcome:
    """A tile of 64 MACs, an engine with slower gradients, two baselines."""
    macs = {"fprop": 64, "dgrad": 32, "wgrad": 16}
    return Outcome(points=[
        point(6400.0, 1.0, block="tetra_mac_tile", macs=dict.fromkeys(GEMMS, 64)),
        point(12800.0, 2.0, block="tetra_mac_tile", macs=dict.fromkeys(GEMMS, 64), depth=1),
        point(3200.0, 1.0, block="tetra_mac_tile", preset=FORMATS["4"],
              macs=dict.fromkeys(GEMMS, 64)),
        point(6400.0, 1.0, block="tetra_engine", macs=macs),
        point(1000.0, 1.0, block="tetra_fp16_mac", ours=False),
        point(4000.0, 0.5, block="tetra_dlfloat16_mac", ours=False),
        point(800.0, 1.0, block="tetra_mx_fp4_dot", ours=False, variant="32 into 1-8-23",
              macs=dict.fromkeys(GEMMS, 4))])


@pytest.fixture
def liberty(monkeypatch):
    """The libraries need not be installed for arithmetic about them."""
    monkeypatch.setattr(asic.CellLibrary, "areas", {
        library.flip_flop: 5.0 for library in LIBRARIES.values()} | {
        library.gate: 1.0 for library in LIBRARIES.values()})


def test_figures(liberty):
    assert training({"fprop": 1.0, "dgrad": 0.5, "wgrad": 0.25}) == pytest.approx(3 / 7)
    found = density_ratio(outcome().points, NANGATE45)
    assert list(found) == list(RIVALS) == list(KINDS)
    published = found["fma16"]
    assert published["against"] == "tetra_fp16_mac/base/0"  # 1 per 1000 and ns, the other 0.5
    assert published["density"] == published["alone"] == pytest.approx(1)
    assert published["tile"] == {"4+2": pytest.approx(64 / 6400 * 1000), "4": pytest.approx(20),
                                 "2": None}
    assert published["engine"] == {"4+2": pytest.approx(30 / 7), "4": None, "2": None}
    assert found["dot16"] == published  # of any structure: there is no dot product
    assert found["fp4"]["against"] == "tetra_mx_fp4_dot/base, 32 into 1-8-23/0"
    assert found["fp4"]["tile"]["4+2"] == pytest.approx(10 / 5)
    assert found["fp8"] == {"against": None, "density": None, "alone": None,
                            **{level: dict.fromkeys(FORMATS) for level in HEADLINE}}


@pytest.mark.parametrize("kind, blocks", [
    ("dot16", ("tetra_bf16_dot", "tetra_fp16_mac")), ("fp4", ("tetra_nv_fp4_dot",
               "tetra_mx_fp4_dot")), ("fp8", ("tetra_fp8_dot", "tetra_fp8_mac")),
    ("fp8", ("tetra_fp8_mac", "tetra_fp8_dot")), ("int8", ("tetra_int8_dot", "tetra_int8_mac"))])
def test_the_densest_of_a_kind_is_its_rival(liberty, kind, blocks):
    denser, other = (point(area, 1.0, block=block, ours=False, shared=shared)
                     for block, area, shared in zip(blocks, (60.0, 20.0), (10.0, 0.0),
                                                    strict=True))
    found = density_ratio([denser, other, outcome().points[0]], NANGATE45)[kind]
    assert found["against"] == str(denser.design)  # by registers that the grid shares
    assert found["density"] == pytest.approx(100) and found["alone"] == pytest.approx(1000 / 60)
    assert found["tile"]["4+2"] == pytest.approx(0.1)


def test_every_rival_is_a_design():
    assert {block for kind in RIVALS.values() for block in kind} == {
        *DOTS, *(module_name(kind) for kind in BASELINES)}


def test_energies_are_those_of_the_densest():
    """Of each kind, in training; None without a simulation of either."""
    def energy(name: str, preset: str, per_mac: float) -> dict:
        return {"name": f"{name}/{preset}/0", "block": name, "preset": preset,
                "pj_per_mac": dict.fromkeys(MEASURES, 9.0) | {"training": per_mac}}

    against = {kind: {"against": f"{blocks[0]}/base/0"} for kind, blocks in RIVALS.items()}
    against["int8"]["against"] = None
    measured = [energy("tetra_mac_tile", "base", 0.5), energy("tetra_fp16_mac", "base", 5.0),
                energy("tetra_mac_tile", FORMATS["2"], 0.25), energy("tetra_nv_fp4_dot", "base", 1)]
    found = energy_ratio(measured, against)
    assert found["fma16"] == {"against": "tetra_fp16_mac/base/0",
                              "tile": {"4+2": 10, "4": None, "2": 20}}
    nothing = dict.fromkeys(FORMATS)
    assert found["fp4"]["tile"] == found["int8"]["tile"] == nothing
    assert energy_ratio([], against)["fma16"]["tile"] == nothing


def test_shared_registers(liberty):
    """20 flip-flops of 5 um2 are saved."""
    one = point(1000.0, 1.0, shared=20.0)
    assert densities(one, NANGATE45)["fprop"] == pytest.approx(1000 / 900)
    assert densities(one, NANGATE45, shared=False)["fprop"] == pytest.approx(1.0)


def test_regressions(liberty):
    before = figures(summarise({"nangate45": outcome()}, Energies(), True))
    assert before["tile / fma16"] == pytest.approx(10)
    assert regressions(before, before) == []
    for change, count in ((0.98, 0), (0.96, 1)):
        now = before | {"tetra_mac_tile/base/0": before["tetra_mac_tile/base/0"] * change}
        assert len(regressions(now, before)) == count
    assert regressions({}, {"a": 1.0}) == ["a: gone (was 1)"]


def test_check_exits(liberty, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(program, "FIGURES", tmp_path / "figures.json")
    summary = summarise({"nangate45": outcome()}, Energies(), True)
    assert program.compare(summary, "quick", True, False) == 2
    assert "no quick figures in figures.json, write them with --update" in capsys.readouterr().err
    assert program.compare(summary, "quick", True, True) == 0
    known = json.loads((tmp_path / "figures.json").read_text())
    known["quick"]["tetra_engine/base/0"] *= 1.05
    (tmp_path / "figures.json").write_text(json.dumps(known))
    assert program.compare(summary, "quick", True, False) == 1
    assert "regression: tetra_engine/base/0: " in capsys.readouterr().err


def test_report(liberty):
    found = outcome()
    found.missing.append("OpenSTA (sta): not installed; apt install opensta")
    found.points[0].blocks["c"] = {"instances": 4, "area": 10.0, "cells": 1}
    page = render(summarise({"nangate45": found, "osu180": Outcome()}, Energies(), True))
    assert check_page(page).pictures == 3
    assert "apt install opensta" in page and ">10.00, 20.00, -</td>" in page
    assert "Absent" in render(summarise({"nangate45": Outcome(missing=["it"])}, Energies(), False))
    others = Outcome(points=[point(100.0, 1.0, preset="big", macs=dict.fromkeys(GEMMS, 1))])
    page = render(summarise({"nangate45": others}, Energies(), True))
    assert "Best point of every design" in page and "Every design and recipe" not in page


def test_no_figures_never_become_the_baseline(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(program, "FIGURES", tmp_path / "figures.json")
    nothing = {"designs": [], "missing": ["OpenSTA: apt install opensta"]}
    assert program.compare(nothing, "quick", False, True) == 2
    assert "no figures: OpenSTA: apt install opensta" in capsys.readouterr().err
    assert not (tmp_path / "figures.json").exists()
