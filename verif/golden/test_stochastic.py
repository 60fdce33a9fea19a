# SPDX-License-Identifier: Apache-2.0
"""Stochastic rounding, summed over every random word: exact expectation, no bias."""

import math
import re
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from golden import integer, logfp4
from golden.formats import INT4, UINT4
from golden.integer import Range
from golden.stochastic import coarse_bits, round_up
from verif.golden.oracles import LOG_IDS, LOGS

BITS = (1, 2, 3, 5, 8)


def expectations(values, bits, decode):
    """Exact mean over all words of what each value rounds to."""
    words = np.repeat(np.arange(2**bits)[:, None], len(values), axis=1)
    rounded = decode(np.broadcast_to(values, words.shape), words)
    return [sum(map(Fraction, column)) / 2**bits for column in rounded.T.tolist()]


def between(levels):
    """Exact values at and between neighbouring levels: thirds, 1/1024 off the ends, k/32."""
    for lower, upper in pairwise(levels):
        for share in (*(Fraction(k, 32) for k in range(33)), Fraction(1, 1024),
                      Fraction(1023, 1024), Fraction(341, 1024), Fraction(1, 2**40)):
            yield lower + share * (upper - lower), lower, upper


def share_of_words(share: Fraction, bits: int) -> Fraction:
    """Of the words w, those with (w + 1/2) / 2**bits below `share`."""
    return Fraction(math.ceil(2**bits * share - Fraction(1, 2)), 2**bits)


def check_expectations(cases, bits, decode):
    values = np.array([float(y) for y, *_ in cases])
    assert [Fraction(v) for v in values.tolist()] == [y for y, *_ in cases]
    unbiased = 0
    for (y, lower, upper), mean in zip(cases, expectations(values, bits, decode), strict=True):
        share = (abs(y) - lower) / (upper - lower)
        deciding = bits if lower == 0 else coarse_bits(bits)
        expected = lower + share_of_words(share, deciding) * (upper - lower)
        assert abs(mean) == expected and mean * y >= 0
        if (2**deciding * share).denominator == 1:
            assert mean == y
            unbiased += 1
    assert unbiased


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_expectation_of_log_fp4(fmt, phase, levels, ratio, bits):
    positive = list(between([Fraction(0), *levels]))  # underflow included
    cases = positive + [(-y, lower, upper) for y, lower, upper in positive]

    def decode(y, words):
        return logfp4.decode(logfp4.encode(y, fmt, phase, words=words, bits=bits), fmt, phase)

    check_expectations(cases, bits, decode)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("rng", [Range(INT4, 0.25), Range(UINT4, 2.0, 9)], ids=["INT4", "UINT4"])
def test_expectation_of_integers(rng, bits):
    step = Fraction(rng.scale)
    lowest, highest = rng.fmt.lo - rng.zero_point, rng.fmt.hi - rng.zero_point
    cases = []
    for lower in range(lowest, highest):
        cases += [(step * (lower + Fraction(k, 64)), lower) for k in range(64)]
    values = np.array([float(y) for y, _ in cases])

    def decode(y, words):
        return integer.decode(integer.encode(y, rng, words=words, bits=bits), rng)

    for (y, lower), mean in zip(cases, expectations(values, bits, decode), strict=True):
        share = abs(y) / step - min(abs(lower), abs(lower + 1))  # magnitudes go up, away from 0
        expected = step * (abs(y) // step + share_of_words(share % 1, bits))
        assert abs(mean) == expected and mean * y >= 0
        if (2**bits * share).denominator == 1:
            assert mean == y


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
@pytest.mark.parametrize("bits", [1, 8, 32])
def test_saturation_ignores_the_word(fmt, phase, levels, ratio, bits):
    top = float(levels[-1])
    y = np.array([top, np.nextafter(top, np.inf), 1e300, -top, -1e300])
    for word in (0, 2**bits - 1):
        words = np.full(5, word)
        assert logfp4.encode(y, fmt, phase, words=words, bits=bits).tolist() == [7, 7, 7, 15, 15]


def test_levels_stay_where_they_are():
    for fmt, phase, *_ in LOGS:
        y = logfp4.levels(fmt, phase)
        for word in (0, 255):
            words = np.full(8, word)
            np.testing.assert_array_equal(
                logfp4.encode(y, fmt, phase, words=words, bits=8), np.arange(8))


@pytest.mark.parametrize("bits", [1, 13, 16, 24, 32])
def test_comparison_is_exact_for_wide_words(bits):
    """`(2 * word + 1) * gap < above * 2**(bits + 1)` in integers of any size; also near ties."""
    rng = np.random.default_rng(bits)
    gap = 48
    above = rng.integers(0, gap * 2**20 + 1, 4000)  # in units of 2**-20
    ties = above * 2**bits // (gap * 2**20)
    words = np.where(rng.random(4000) < 0.5, rng.integers(0, 2**bits, 4000),
                     np.clip(ties + rng.integers(-1, 2, 4000), 0, 2**bits - 1))
    expected = [
        (2 * word + 1) * gap * 2**20 < part * 2 ** (bits + 1)
        for word, part in zip(words.tolist(), above.tolist(), strict=True)
    ]
    assert 0 < sum(expected) < 4000
    assert round_up(above / 2**20, float(gap), words, bits).tolist() == expected


def test_word_zero_rounds_up_from_half_of_its_share_on():
    above = np.array([0.0, 5e-324, 1 / 32, np.nextafter(1 / 32, 1), 1.0])
    assert round_up(above, 1.0, np.zeros(5, int), 4).tolist() == [False, False, False, True, True]


@pytest.mark.parametrize(("words", "bits", "text"), [
    (np.zeros(2, int), 0, "bits = 0 is out of range: expected an integer 1..32"),
    (np.zeros(2, int), 33, "bits = 33 is out of range: expected an integer 1..32"),
    (np.zeros(2), 4, "random words = array([0., 0.]) have dtype float64: expected integers 0..15"),
    (np.zeros(3, int), 4, "random words have shape (3,): expected one word per value, (2,)"),
    (np.array([0, 16]), 4, "random words hold 16 at index (1,), out of range: expected integers "
     "0..15"),
    (np.array([-1, 0]), 4, "random words hold -1 at index (0,), out of range: expected integers "
     "0..15"),
])
def test_bad_words_are_refused(words, bits, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        logfp4.encode(np.ones(2), words=words, bits=bits)
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        integer.encode(np.ones(2), Range(INT4, 1.0), words=words, bits=bits)
