# SPDX-License-Identifier: Apache-2.0
"""Mapped netlists are checked, and the checks notice a netlist that is wrong."""

import pytest

from golden.config import Config
from hdl.library import Library
from hdl.tile.multiplier import Multiplier
from synth.cells.asic import Netlist, mappings
from synth.cells.designs import BOUNDARIES
from synth.cells.libraries import NANGATE45
from synth.cells.recipes import QUICK, Recipe
from verif import gates as verify
from verif.bench.benches import BENCHES

CONFIG = Config(2, 2, 8)


def mapped(recipe: Recipe) -> tuple[Netlist, list[str]]:
    library = Library()
    top = library.convert(Multiplier, CONFIG)
    netlist = Netlist(library.text, top, BOUNDARIES)
    return netlist, [one.run().verilog
                     for (one,) in mappings(netlist, [recipe], NANGATE45).values()]


@pytest.mark.parametrize("recipe", QUICK, ids=str)
def test_the_mapped_multiplier_is_proven(recipe):
    netlist, gates = mapped(recipe)
    verify.prove(netlist, gates, NANGATE45)


@pytest.mark.parametrize(("old", "new"), [("AOI21_X1 ", "OAI21_X1 "), ("NAND2_X1 ", "NOR2_X1 ")])
def test_a_wrong_cell_is_noticed(old, new):
    netlist, (text,) = mapped(QUICK[0])
    assert old in text
    broken = text.replace(old, new, 1)
    with pytest.raises(RuntimeError, match=r"(?i)model found.*fail|verify failed"):
        verify.prove(netlist, [broken], NANGATE45)


def test_a_bench_runs_on_gates_and_notices_a_wrong_one():
    netlist, (text,) = mapped(QUICK[0])
    verify.run_on_gates("multiplier", netlist.top, CONFIG, [text], NANGATE45)
    broken = text.replace("NAND2_X1 ", "NOR2_X1 ", 1)
    with pytest.raises(AssertionError, match="expected"):
        verify.run_on_gates("multiplier", netlist.top, CONFIG, [broken], NANGATE45)


def test_every_bench_runs_on_gates_and_everything_else_is_proven():
    assert {check.bench for check in verify.checks() if check.bench} == {
        name for name, bench in BENCHES.items() if bench.on_gates}
    assert {check.block for check in verify.checks() if not check.bench} == set(verify.PROVEN)
    assert verify.checks("mac_tile") == [check for check in verify.checks()
                                         if check.bench == "mac_tile"]


def test_an_unknown_block_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"BLOCK = 'tile' is unknown: expected one of Multiplier"):
        verify.checks("tile")


def test_every_clock_gate_has_a_model():
    text = verify.cells(NANGATE45).read_text()
    assert NANGATE45.clock_gates
    assert all(f"module {cell}(" in text for cell in NANGATE45.clock_gates)
