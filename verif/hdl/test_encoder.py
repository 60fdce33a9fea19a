# SPDX-License-Identifier: Apache-2.0
"""The rounding hardware, exhaustively: every 16-bit input, every random word."""

import numpy as np
import pytest

from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden.adaptive import Adapt
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, UINT4
from golden.random_words import COARSE_BITS, WORD_BITS, words
from golden.rescale import Rescale
from verif.bench.benches import WORDS

INT16 = np.arange(-(2**15), 2**15).reshape(-1, 8)
ONE = 15  # shift of the multiplier 2**15 at which a step of the input is worth 1


@pytest.fixture(scope="module")
def rtl():
    with RtlBackend(WORDS) as backend:
        yield backend


@pytest.mark.parametrize("fmt", [FP4_R4, FP4_R2, INT4, UINT4], ids=lambda f: f.name)
def test_every_16_bit_input_at_every_exponent(rtl, fmt):
    """From all saturated to all vanished: 65,536 inputs at each of 28 exponents, every phase."""
    golden = GoldenBackend(rtl.config)
    saturated, vanished = 0, 0
    for shift in range(ONE - 2, ONE + 26):
        job = Job.quantise(INT16, Rescale(fmt, Dyadic(2**15, shift)), adapt=Adapt(0))
        expected = golden.run(job)
        difference = first_difference(expected, rtl.run(job))
        assert difference is None, f"shift {shift}: {difference}"
        saturated = max(saturated, expected.told.statistics.saturated)
        vanished = max(vanished, expected.told.statistics.underflowed)
    assert saturated > 60_000 and vanished > 60_000  # both ends were reached


@pytest.mark.parametrize("fmt", [FP4_R4, FP4_R2, INT4, UINT4], ids=lambda f: f.name)
def test_every_random_word(rtl, fmt):
    """All 4,096 top halves of a word on magnitudes between every pair of levels, and on the levels.
    """
    golden = GoldenBackend(rtl.config)
    rows, point = rtl.config.max_dim, 20  # fraction bits of the inputs
    rng = np.random.default_rng(1)
    exponents = np.arange(-7, 7)
    magnitudes = np.concatenate([
        2.0**exponents, 1.3 * 2.0**exponents, 1.9 * 2.0**exponents, [2.0**-12, 2.0**-19, 100.0]])
    values = np.rint(magnitudes * 2**point).astype(np.int64) * rng.choice([-1, 1], magnitudes.size)
    values = np.resize(values, (-(-values.size // 8), 8))
    for seed, columns in enumerate(values):
        x = np.broadcast_to(columns, (rows, 8))
        job = Job.quantise(x, Rescale(fmt, Dyadic(2**15, ONE + point), seed=seed))
        tops = words(seed, np.arange(rows), 8) >> WORD_BITS - COARSE_BITS
        assert len(np.unique(tops)) == 2**COARSE_BITS
        difference = first_difference(golden.run(job), rtl.run(job))
        assert difference is None, f"{columns}: {difference}"


def near_ties(fmt, exponent: int, drawn: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, int]:
    """Inputs that lie `off` units of the input beside the value at which their words tie, between
    two levels whose lower one is 2**exponent (None: nothing), and the shift of their scale."""
    whole, top = 2 * drawn + 1, 2 * (drawn >> WORD_BITS - COARSE_BITS) + 1
    if exponent is None:  # below the lowest level: 1, in radix 4 2**-6
        lowest = 0 if fmt == FP4_R2 else -6
        return whole + off, ONE + WORD_BITS + 1 - lowest
    low = 1 << COARSE_BITS + 1
    gap = fmt.radix - 1
    return low + gap * top + off, ONE + COARSE_BITS + 1 - exponent


@pytest.mark.parametrize("fmt", [FP4_R4, FP4_R2], ids=lambda f: f.name)
@pytest.mark.parametrize("level", [None, 0, 3, 5])
def test_words_next_to_their_ties(rtl, fmt, level):
    """Each row's input lies a unit below, on or above what its own random word ties with."""
    golden, rng = GoldenBackend(rtl.config), np.random.default_rng(2)
    rows, cols = 20_000, rtl.config.cols
    exponent = level if level is None else level * fmt.log2_radix - (6 if fmt == FP4_R4 else 0)
    drawn = words(7, np.arange(rows), cols)
    off = rng.integers(-1, 2, drawn.shape)
    x, shift = near_ties(fmt, exponent, drawn, off)
    sign = rng.choice([-1, 1], x.shape)
    result = golden.run(job := Job.quantise(x * sign, Rescale(fmt, Dyadic(2**15, shift), seed=7)))
    low = 0 if level is None else level + 1
    assert ((result.codes & 7) == low + (off > 0)).all()
    assert first_difference(result, rtl.run(job)) is None


@pytest.mark.parametrize("fmt", [INT4, UINT4], ids=lambda f: f.name)
def test_integers_next_to_their_ties(rtl, fmt):
    """The same for integers, where the whole word decides at every step."""
    golden, rng = GoldenBackend(rtl.config), np.random.default_rng(3)
    drawn = words(9, np.arange(20_000), rtl.config.cols)
    off, step = rng.integers(-1, 2, drawn.shape), rng.integers(0, 7, drawn.shape)
    x = (step << WORD_BITS + 1) + 2 * drawn + 1 + off
    job = Job.quantise(x, Rescale(fmt, Dyadic(2**15, ONE + WORD_BITS + 1), seed=9))
    result = golden.run(job)
    assert (result.codes == step + (off > 0)).all()
    assert first_difference(result, rtl.run(job)) is None
