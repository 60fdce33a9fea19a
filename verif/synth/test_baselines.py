# SPDX-License-Identifier: Apache-2.0
"""The baselines' RTL against their models, at every depth of their pipelines."""

from unittest.mock import patch

import numpy as np
import pytest
from amaranth.hdl import Const

from synth.baselines import float_mac
from synth.baselines.float_mac import Dlfloat16Mac, Fp8Mac, Fp16Mac
from synth.baselines.int8 import Int8Mac
from synth.baselines.minifloat import BINARY16
from synth.baselines.pipeline import MacParameters
from verif.synth.baselines import BASELINES, check, differences, float_operations, model
from verif.synth.float_oracle import fma16

SEED = 20261121


def macs():
    """All formats, uncut, cut everywhere and between."""
    return [mac(MacParameters(stages)) for mac in BASELINES.values()
            for stages in sorted({0, len(mac.cuts) // 2, len(mac.cuts) - 1})]


def described(mac, stages: int):
    """One of which only the properties are read: no warning that it is not elaborated."""
    found = mac(MacParameters(stages))
    found._MustUse__used = True
    return found


def test_rtl_is_the_model():
    """Distances, cancellation, ties, subnormals and specials; every product of 8-bit operands."""
    check(macs(), 30_000, SEED)


def test_operations_reach_what_matters():
    """The model, which is checked elsewhere, says what the operations are."""
    mac = described(Fp16Mac, 0)
    todo = float_operations(mac, 30_000, np.random.default_rng(SEED))
    sums = model(mac, todo).ravel()
    a, b = todo.a.ravel(), todo.b.ravel()
    exponent = sums >> 10 & 31
    for here in (exponent == 31, (exponent == 0) & (sums & 1023 != 0), sums == 0x8000,
                 sums == BINARY16.nan):
        assert np.count_nonzero(here) > 50
    added = np.flatnonzero(todo.enable.ravel() & (1 - todo.first.ravel()))
    finite = added[(exponent[added] < 31) & (exponent[added - 1] < 31)]
    distance = (a >> 10 & 31) + (b >> 10 & 31) - 15
    distance = distance[finite] - exponent[finite - 1]
    assert set(range(-20, 30)) <= set(distance.tolist())
    assert np.count_nonzero(exponent[finite] < exponent[finite - 1] - 8) > 100  # cancellation
    assert np.array_equal(fma16(a[finite], b[finite], sums[finite - 1]), sums[finite])


FAULTS = {  # what is wrong: a function of the datapath, and what it becomes
    "what is shifted out is forgotten": (
        "shift_right", lambda real: lambda *args: (real(*args)[0], Const(0, 1))),
    "a subnormal is normalised": (
        "normalise", lambda real: lambda m, value, sticky, keep, limit, cut:
            real(m, value, sticky, keep, None, cut)),
    "ties go up": (
        "normalise", lambda real: lambda m, value, sticky, *args:
            real(m, value, Const(1, 1), *args)),
    "a partial product is lost": (
        "and_array", lambda real: lambda *args:
            [column if i else [] for i, column in enumerate(real(*args))]),
    "equals leave -0": (
        "magnitude", lambda real: lambda *args: (*real(*args)[:2], Const(0, 1))),
}


class Faulty(Fp16Mac):
    def __init__(self, fault: str):
        super().__init__(MacParameters(0))
        self.fault = fault

    def elaborate(self, platform):
        name, change = FAULTS[self.fault]
        with patch.object(float_mac, name, change(getattr(float_mac, name))):
            return super().elaborate(platform)


def test_faults_are_found():
    found = differences([Fp16Mac(MacParameters(0)), *map(Faulty, FAULTS)], 30_000, SEED)
    assert found[0] is None
    for fault, text in zip(FAULTS, found[1:], strict=True):
        assert text and "sums differ" in text, f"not noticed that {fault}"


@pytest.mark.parametrize("mac, stages", [(Fp16Mac, 8), (Dlfloat16Mac, -1), (Int8Mac, 3)])
def test_depth_is_checked(mac, stages):
    with pytest.raises(ValueError, match=rf"stages = {stages} is out of range: expected 0\.\.\d"):
        mac(MacParameters(stages))


def test_rotation():
    assert [described(Fp16Mac, stages).latency for stages in (0, 3)] == [2, 5]
    assert described(Fp8Mac, 0).interleave == described(Int8Mac, 2).interleave == 1
    assert described(Fp16Mac, 1).interleave == 2
