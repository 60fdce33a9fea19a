# SPDX-License-Identifier: Apache-2.0
"""Arguments of log formats, random words and stochastic rounding that are none: ValueErrors."""

import re

import numpy as np
import pytest

from golden import logfp4, random_words
from golden.formats import FP4_R2, FP4_R4, INT4, Phase
from golden.random_words import words
from golden.stochastic import coarse_bits, round_up
from golden.tensor import Quantised

PHASES = "is unknown: expected one of Phase.EVEN, Phase.ODD"
BASES = "is out of range: expected a log format or a base, a number > 1 up to 2**128"
SEEDS = "is out of range: expected an integer 0..4294967295"
CASES = [
    *((lambda seed=seed: words(seed, [0], 2), f"seed = {seed!r} {SEEDS}")
      for seed in (1.5, True, "1", None, -1, 2**32, [])),
    *((lambda rows=rows: words(0, rows, 2), f"rows {text}") for rows, text in (
        ([0.5], "= [0.5] have dtype float64: expected integers 0..4294967295"),
        ([True], "= [True] have dtype bool: expected integers 0..4294967295"),
        ([0, -1], "hold -1 at index (1,), out of range: expected integers 0..4294967295"),
        ([2**32], "hold 4294967296 at index (0,), out of range: expected integers 0..42949"),
        (np.uint64([2**63]), "hold 9223372036854775808 at index (0,), out of range"),
        (3, "= 3: expected one axis, a number per row"), ("1", "= '1' have dtype <U1"))),
    *((lambda lanes=lanes: words(0, [0], lanes), f"lanes = {lanes!r} is out of range: expected an "
       "integer 0..536870912") for lanes in (1.0, -1, None, 2**30)),
    (lambda: random_words.block(-1, 0), "seed hold -1 at index (), out of range"),
    (lambda: random_words.block(0, 1.5), "row = 1.5 have dtype float64"),
    (lambda: random_words.block(0, 0, -1), "group = -1 is out of range"),
    (lambda: random_words.lane_word((0, 0), -1), "lane = -1 is out of range"),
    *((lambda p=p, call=call: call(p), f"phase = {p!r} {PHASES}")
      for p in ("odd", 2, "1", None, True, 0.0, 10**20) for call in (
          lambda p: logfp4.encode([1.0], FP4_R4, p), lambda p: logfp4.decode([1], FP4_R4, p),
          lambda p: logfp4.encode([1.0], 3.0, p, words=[1], bits=4), FP4_R4.unit,
          lambda p: logfp4.joint_decode([14], p), lambda p: logfp4.boundaries(FP4_R2, p),
          lambda p: Quantised([1], FP4_R4, 1.0, phase=p))),
    *((lambda f=f, call=call: call(f), f"fmt = {f!r} {BASES}")
      for f in ("4", INT4, None, 1.0, np.nan, 2.0**129, True, 1j, [4]) for call in (
          lambda f: logfp4.encode([1.0], f), lambda f: logfp4.decode([1], f), logfp4.levels,
          logfp4.boundaries)),
    (lambda: logfp4.joint_decode([15], 0), "joint codes = array([15]) are out of range"),
    (lambda: logfp4.joint_decode("1", 0), "joint codes = array('1', dtype='<U1') are out of"),
    *((lambda b=b, call=call: call(b), f"bits = {b!r} is out of range: expected an integer 1..32")
      for b in (None, 8.0, True, "8", 0, 33) for call in (
          coarse_bits, lambda b: round_up([0.5], 1.0, [3], b),
          lambda b: logfp4.encode([1.0], words=[3], bits=b))),
    (lambda: round_up([np.nan], 1.0, [3], 4), "above = nan at index (0,) is out of range: expec"),
    (lambda: round_up([0.5, 1.5], 1.0, [3, 3], 4), "above = 1.5 at index (1,) is out of range"),
    (lambda: round_up([-0.5], 1.0, [3], 4), "above = -0.5 at index (0,) is out of range"),
    (lambda: round_up(["0"], 1.0, [3], 4), "above = ['0'] has dtype <U1: expected floats"),
    (lambda: round_up([0.5], 0.0, [3], 4), "gap reaches 0.0..0.0: expected finite numbers > 0"),
    (lambda: round_up([0.5], np.inf, [3], 4), "gap reaches inf..inf: expected finite numbers > 0"),
    (lambda: round_up([0.5], np.nan, [3], 4), "gap reaches nan..nan: expected finite numbers > 0"),
    (lambda: round_up([0.5], None, [3], 4), "gap = None has dtype object: expected floats"),
    (lambda: round_up([0.5], [1.0, 1.0], [3], 4), "gap has shape (2,): expected (1,) or one"),
    (lambda: round_up([0.5], 1.0, [3.0], 4), "random words = [3.0] have dtype float64: expected"),
]


@pytest.mark.parametrize("call, text", CASES, ids=[text for _, text in CASES])
def test_refused(call, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        call()


def test_every_integer_will_do():
    plain = words(5, [0, 7], 3)
    assert plain.shape == (2, 3) and words(5, [], 3).shape == (0, 3)
    for kind in (np.uint8, np.int64, np.uint64):
        assert (words(kind(5), np.array([0, 7], kind), kind(3)) == plain).all()
        found = round_up([0.5, 0.5], 1.0, np.array([7, 8], kind), np.int64(4))
        assert found.tolist() == [True, False]
        codes = logfp4.encode([5.0, 5.0], words=np.array([7, 200], kind), bits=kind(8))
        assert codes.tolist() == [6, 5]
        assert (logfp4.levels(FP4_R4, kind(1)) == logfp4.levels(FP4_R4, Phase.ODD)).all()


def test_the_largest_base_still_has_levels():
    for phase in Phase:
        level = logfp4.levels(logfp4.MAX_BASE, phase)
        assert (np.diff(level) > 0).all() and logfp4.encode(level, 2**128, phase).tolist() == [
            *range(8)]
        assert logfp4.encode([0.0], logfp4.MAX_BASE, phase).tolist() == [0]
