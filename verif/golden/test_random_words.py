# SPDX-License-Identifier: Apache-2.0
"""Random words: any two of another lane, row or seed are independent for all practical purposes.

A correlation of n pairs is nearly normal with a deviation of 1 / sqrt(n): none may exceed five.
"""

import math
import os

import numpy as np
import pytest

from golden import logfp4, random_words
from golden.formats import FP4_R2, FP4_R4, Phase
from golden.random_words import BLOCK_LANES, COARSE_BITS, WORD_BITS, words
from tools.cache import ROOT
from verif import random_check
from verif.golden.correlations import drawn, seeds, worst

COUNT = 100_000
LANES = range(5 * BLOCK_LANES)  # those of five blocks
CHUNK_BYTES = len(next(random_check.stream(random_check.STREAMS[0])))
PIPE_BYTES = 1 << 16  # that the system keeps
SEEDS = {kind: seeds(kind, COUNT) for kind in ("consecutive", "random")}


def check_independent(first: np.ndarray, second: np.ndarray, what: str) -> None:
    """Every view of one with every view of the other."""
    found = worst(first, second)
    assert found < 5, f"{what}: a correlation of {found:.1f} deviations over {len(first)}"


@pytest.mark.parametrize("kind", SEEDS)
def test_lanes_are_independent(kind):
    """Of every pair of lanes, over seeds."""
    found = [drawn(SEEDS[kind], 0, lane) for lane in LANES]
    for a in LANES:
        for b in range(a):
            check_independent(found[a], found[b], f"lanes {a} and {b}")


@pytest.mark.parametrize("kind", SEEDS)
@pytest.mark.parametrize("row", [0, 1, 7, 65_535])
def test_neighbouring_rows_are_independent(kind, row):
    for a in (0, 1, BLOCK_LANES):
        for b in (0, 3):
            check_independent(drawn(SEEDS[kind], row, a), drawn(SEEDS[kind], row + 1, b),
                              f"row {row}, lane {a}, and row {row + 1}, lane {b}")


@pytest.mark.parametrize("kind", SEEDS)
@pytest.mark.parametrize("step", [1, 2, 2**16, 2**31])
def test_neighbouring_seeds_are_independent(kind, step):
    for a in (0, 1):
        check_independent(drawn(SEEDS[kind], 0, 0), drawn(SEEDS[kind] + np.uint32(step), 0, a),
                          f"seeds {step} apart, lanes 0 and {a}")


@pytest.mark.parametrize("seed", [0, 1, 2, 2**31, 2**32 - 1])
def test_within_a_job(seed):
    """Over the rows of one job: lanes, neighbouring rows, and the job with the next seed."""
    rows = np.arange(COUNT)
    found, other = (words(s, rows, 4) for s in (seed, seed ^ 1))
    for a in range(4):
        for b in range(a):
            check_independent(found[:, a], found[:, b], f"lanes {a} and {b}")
        check_independent(found[1:, a], found[:-1, 0], f"row and the one before, lane {a}")
        check_independent(found[:, 0], other[:, a], f"seed and the next one, lane {a}")


@pytest.mark.parametrize("kind", SEEDS)
def test_every_bit_is_as_often_1_as_0(kind):
    """Whatever the lane, over seeds and over rows."""
    for lane in LANES:
        for found in (drawn(SEEDS[kind], 0, lane),
                      drawn(np.uint32(3), np.arange(COUNT, dtype=np.uint32), lane)):
            bits = found[:, None] >> np.arange(WORD_BITS) & 1
            assert np.abs(bits.mean(axis=0) - 0.5).max() < 2.5 / np.sqrt(COUNT)


@pytest.mark.parametrize("lanes", [(0, 1), (0, 1, 2), (1, 2, 3), (0, 1, 2, 3), (0, 2, 4, 6),
                                   range(8)], ids=str)
@pytest.mark.parametrize("kind", ["rows", "seeds"])
def test_words_of_several_lanes_are_independent_together(kind, lanes):
    """The number of ones in all of them is binomial. Pairs alone would not do: where more words
    come of a block than it has bits, three of them can be related although any two are not."""
    count = 1 << 21
    numbers, one = np.arange(count, dtype=np.uint32), np.uint32(1)
    pair = (one, numbers) if kind == "rows" else (numbers, one)
    ones = sum(np.bitwise_count(drawn(*pair, lane)).astype(np.int64) for lane in lanes)
    check_binomial(ones, WORD_BITS * len(lanes))


def check_binomial(found: np.ndarray, bits: int) -> None:
    """AssertionError unless numbers of ones among `bits` are spread as fair bits' would be: chi
    squared within five deviations, over all numbers that are to come ten times or more."""
    expected = np.array([math.comb(bits, k) for k in range(bits + 1)]) / 2.0**bits * len(found)
    counted = expected >= 10
    times = np.bincount(found, minlength=bits + 1)
    chi = ((times - expected) ** 2 / expected)[counted].sum()
    freedom = counted.sum() - 1
    assert abs(chi - freedom) < 5 * math.sqrt(2 * freedom), f"chi squared {chi:.0f} of {freedom}"


def test_a_word_that_two_others_make_would_be_noticed():
    numbers = np.arange(1 << 16, dtype=np.uint32)
    first, second = (drawn(np.uint32(1), numbers, lane) for lane in (0, 1))
    ones = sum(np.bitwise_count(each).astype(np.int64) for each in (first, second, first ^ second))
    with pytest.raises(AssertionError, match="chi squared"):
        check_binomial(ones, 3 * WORD_BITS)


def test_fewer_rounds_would_be_noticed(monkeypatch):
    """The tests can fail: with eight rounds neighbouring rows and seeds are correlated."""
    monkeypatch.setattr(random_words, "ROUNDS", 8)
    with pytest.raises(AssertionError, match="a correlation of"):
        test_neighbouring_rows_are_independent("random", 0)
    with pytest.raises(AssertionError, match="a correlation of"):
        test_neighbouring_seeds_are_independent("random", 1)


def test_a_linear_generator_would_be_noticed():
    """Lanes whose words differ by a constant are what the tests are for."""
    first = drawn(SEEDS["random"], 0, 0)
    with pytest.raises(AssertionError, match="lanes: a correlation of 316"):
        check_independent(first, first ^ 0x5A5A5A, "lanes")


def test_example_of_the_page():
    page = (ROOT / "docs" / "formats.md").read_text().replace("\n", " ")
    for row in words(1, np.arange(2), 4):
        assert f"`{' '.join(f'{word:06x}' for word in row)}`" in page


def test_words_are_those_of_their_block():
    """`words` by the definition, in plain integers."""
    def rotated(x, places):
        return (x << places | x >> 32 - places) % 2**32

    for seed, row, lane in ((0, 0, 0), (5, 9, 3), (2**32 - 1, 70_000, 12), (0x12345678, 1, 63)):
        x, y = row, seed
        for number in range(13):
            mixed = (rotated(x, 1) & rotated(x, 8)) ^ rotated(x, 2)
            x, y = y ^ mixed ^ 0x9E3779B9 ^ (lane // 2 << 4 | number), x
        assert words(seed, [row], 64)[0, lane] == (y if lane % 2 else x) >> 8


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=rf"^seed = {seed} is out of range: expected an integer 0"):
        words(seed, [0], 1)


def rounded(y: np.ndarray, fmt, phase=Phase.EVEN, seed: int = 1) -> np.ndarray:
    """Values of y, rounded with the words of as many rows."""
    drawn_words = words(seed, np.arange(y.size), 1)[:, 0].reshape(y.shape)
    codes = logfp4.encode(y, fmt, phase, words=drawn_words, bits=WORD_BITS)
    return logfp4.decode(codes, fmt, phase)


@pytest.mark.parametrize(("fmt", "phase"), [
    (FP4_R4, Phase.EVEN), (FP4_R4, Phase.ODD), (FP4_R2, Phase.EVEN)])
@pytest.mark.parametrize("exponent", [-2, -8, -11, -12, -13, -14, -16, -18, -20])
def test_means_are_unbiased_far_below_the_lowest_level(fmt, phase, exponent):
    """Within three deviations, at fractions of the lowest level far below 2**-12."""
    lowest, share, count = logfp4.levels(fmt, phase)[1], 1.37 * 2.0**exponent, 1_000_000
    ups = (rounded(np.full(count, share * lowest), fmt, phase) != 0).sum()
    assert abs(ups - count * share) <= 3 * np.sqrt(count * share * (1 - share))


def mean(y: np.ndarray) -> np.ndarray:
    """What positive values become in radix 2 on average over all words: the share of words that
    round up is the nearest multiple of 2**-24 below the lowest level, of 2**-12 above it."""
    lower = np.where(y < 1, 0, 2.0 ** np.floor(np.log2(np.maximum(y, 1))))
    gap, steps = np.maximum(lower, 1), np.where(y < 1, 2.0**WORD_BITS, 2.0**COARSE_BITS)
    return lower + gap * np.ceil((y - lower) / gap * steps - 0.5) / steps


def test_log_normal_values_keep_their_sum():
    """Over sixteen decades, the largest on the top level: the sum stays within half a percent, and
    the lower half, whose values lie far below the lowest level, has no excess."""
    y = np.sort(np.exp(np.random.default_rng(11).normal(0, 4, 1_000_000)))
    y *= 64 / y.max()
    half = y[:y.size // 2]
    assert abs(mean(y).sum() / y.sum() - 1) < 0.005
    assert mean(half).sum() <= half.sum()
    # and what really comes of them lies as near as chance allows
    lower = np.where(y < 1, 0, 2.0 ** np.floor(np.log2(np.maximum(y, 1))))
    gap = np.maximum(lower, 1)
    share = (y - lower) / gap
    deviation = np.sqrt((gap**2 * share * (1 - share)).cumsum())
    found = [rounded(y, FP4_R2, seed=seed) for seed in range(4)]
    for each in found:
        assert abs(each.sum() - y.sum()) <= 3 * deviation[-1]
        assert abs(each[:half.size].sum() - half.sum()) <= 3 * deviation[half.size - 1]


def test_coarse_words_are_the_top_half():
    """Between two levels the lower bits of a word do not count."""
    y = np.full(2, 2.0)  # between 1 and 4, a third of the way: ties at words / 2**12 of 1/3
    threshold = 2**COARSE_BITS // 3
    for low in (0, 2**(WORD_BITS - COARSE_BITS) - 1):
        pair = np.array([threshold - 1, threshold + 1]) << WORD_BITS - COARSE_BITS | low
        assert logfp4.encode(y, FP4_R4, words=pair, bits=WORD_BITS).tolist() == [5, 4]


def test_a_checker_that_has_read_enough_ends_in_its_result(tmp_path, monkeypatch):
    """It closes its input before it prints: what is still to be written is nobody's loss, not even
    the page of a chunk that is left in a buffer where the pipe took all but that."""
    left = CHUNK_BYTES - PIPE_BYTES - 4096
    program = tmp_path / "dieharder"
    program.write_text(f"#!/bin/sh\nhead -c {left} > /dev/null\nexec < /dev/null\nsleep 0.2\n"
                       "echo 'diehard_birthdays|   0|0.50000000|  PASSED'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in random_check.STREAMS:
        assert random_check.results(name, 0) == [("diehard_birthdays 0, p = 0.50000000", "PASSED")]
