# SPDX-License-Identifier: Apache-2.0
"""Members of train's and driver's dataclasses: plain values, or refused with name and value."""

import re

import numpy as np
import pytest

from driver.reproducer import Difference
from golden.config import preset
from golden.engine import GoldenBackend
from golden.formats import FP4_R4
from golden.solver import SolveMode
from golden.tensor import Quantised
from train.digits.data import Digits
from train.digits.outcome import Outcome
from train.digits.trainer import CodeCounts, History, Schedule
from train.network.activations import Pact, RangedRelu
from train.network.mlp import float_mlp
from train.network.optimizer import Momentum, Parameter
from train.network.schemes import Scheme
from train.quantisers import (
    Fixed,
    GradientCodes,
    GradScaled,
    LogGradient,
    Luq,
    Policy,
    RangedInputs,
    Sawb,
    SolvedScale,
    SolvedWeights,
    UnitInterval,
    draw_seed,
)
from verif.golden.members import Case, check_members, public_dataclasses

SCALE, RNG = SolvedScale(0, SolveMode.RANGE), np.random.default_rng(0)
CODES = Quantised(np.zeros((1, 1), np.int8), FP4_R4, 1.0)
CASES = [
    Case(Fixed, {"values": np.ones(2, int), "unit": 1.0}),
    Case(GradScaled, {"tensor": 0}),
    Case(GradientCodes, {"dgrad": CODES, "wgrad": CODES}),
    Case(LogGradient, {}),
    Case(Luq, {"scale": SCALE, "rng": RNG}),
    Case(Momentum, {}),
    Case(Pact, {"alpha": Parameter("alpha", np.array(1.0))}),
    Case(Parameter, {"name": "w", "value": np.ones(2)}, arrays=("value",)),
    Case(RangedInputs, {"scale": SCALE}),
    Case(RangedRelu, {"scale": SCALE, "top": 1.0}),
    Case(Schedule, {}, arrays=("sizes",)),
    Case(Scheme, {"about": "as is"}),
    Case(SolvedScale, {"tensor": 0, "mode": 0}),
    Case(SolvedWeights, {"scale": SCALE}),
    Case(UnitInterval, {}),
]
RESULTS = {CodeCounts, Difference, Digits, History, Outcome}  # what a run or a comparison made
STATELESS = {Sawb}  # no members


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)
def test_members(case):
    check_members(case)


def test_no_dataclass_is_forgotten():
    found = public_dataclasses("train", ("train.pytorch", "train.study"))
    found |= public_dataclasses("driver")
    assert found == {case.kind for case in CASES} | RESULTS | STATELESS


def test_parameters_are_floats():
    for value in (None, 1.5, [1.0], np.ones(2, int), np.ones(2, bool)):
        with pytest.raises(ValueError, match=r"value( = | of w has dtype)"):
            Parameter("w", value)


def test_a_policy_is_no_string():
    """It once passed, and meant EXACT."""
    text = "policy = 'hindsight' is unknown: expected one of Policy.EXACT, Policy.HINDSIGHT"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        SolvedScale(0, SolveMode.RANGE, "hindsight")
    assert SolvedScale(np.int64(3), 1, Policy.HINDSIGHT).mode is SolveMode.SYMMETRIC


ONE, BACKEND = Fixed(np.ones((1, 1), int), 1.0), GoldenBackend(preset("tiny"))


@pytest.mark.parametrize("call, text", [
    (lambda: Fixed(np.array([2**31]), 1.0), "values hold 2147483648 at index (0,), out of range"),
    (lambda: Fixed(np.ones(1), 1.0), "values = array([1.]) have dtype float64: expected integers"),
    (lambda: Fixed.of([1.0], 1.5, name="t"), "fraction_bits = 1.5 is out of range: expected an"),
    (lambda: Fixed.of(["1"], 3, name="t"), "tensor 't' = ['1'] has dtype <U1: expected floats"),
    (lambda: draw_seed(7), "rng = 7: expected a Generator"),
    (lambda: draw_seed(None, "no"), "frozen = 'no': expected True or False"),
    (lambda: UnitInterval()(BACKEND, [["0.5"]]), "tensor 'x' = [['0.5']] has dtype <U3: expected"),
    (lambda: UnitInterval()(BACKEND, [[np.nan]]), "tensor 'x' holds nan at index (0, 0)"),
    (lambda: UnitInterval()(BACKEND, [[1]], frozen=1), "frozen = 1: expected True or False"),
    (lambda: RangedInputs(SCALE)(BACKEND, [[1]], frozen=1), "frozen = 1: expected True or False"),
    (lambda: Sawb()(BACKEND, [[1.0]], frozen=None), "frozen = None: expected True or False"),
    (lambda: SCALE.quantise(BACKEND, [[1]], None), "then = None: expected a Rescale"),
    (lambda: LogGradient()(BACKEND, None), "g = None: expected a Fixed"),
    (lambda: LogGradient()(BACKEND, ONE, mask=1), "mask of shape () and dtype int64: expected"),
    (lambda: GradScaled(0)(BACKEND, np.ones((1, 1))), "g = array([[1.]]): expected a Fixed"),
    (lambda: Luq(SCALE, RNG)(BACKEND, "g"), "g = 'g': expected a Fixed"),
    (lambda: GradientCodes.of(None, FP4_R4, 1.0), "result = None: expected a Rescaled"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_arguments_that_are_none(call, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        call()


def test_sizes_are_integers():
    assert Schedule(sizes=[np.int64(64), 10]).sizes == (64, 10)
    for sizes in ((64,), (64, 0), (64, 1.5), "64", 64, None, (64, True)):
        text = f"sizes = {sizes!r}: expected two or more positive integers"
        for make in (lambda s=sizes: Schedule(sizes=s), lambda s=sizes: float_mlp(s, 0)):
            with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
                make()


def test_what_is_no_backend():
    g = Fixed(np.ones((1, 2), np.int64), 1.0)
    for quantise in (lambda backend: UnitInterval()(backend, np.ones((1, 2))),
                     lambda backend: Sawb()(backend, np.ones((1, 2))),
                     lambda backend: GradScaled(0)(backend, g),
                     lambda backend: LogGradient()(backend, g)):
        for wrong in (None, "rtl"):
            with pytest.raises(ValueError, match=r"backend = .*: expected a Backend"):
                quantise(wrong)
