# SPDX-License-Identifier: Apache-2.0
"""The rounding hardware, exhaustively: every 16-bit input, every random word."""

import numpy as np
import pytest

from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden import xorshift
from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, UINT4
from golden.rescale import Rescale

INT16 = np.arange(-(2**15), 2**15).reshape(-1, 8)
ONE = 15  # shift of the multiplier 2**15 at which a step of the input is worth 1


@pytest.fixture(scope="module")
def rtl():
    with RtlBackend(preset("base")) as backend:
        yield backend


@pytest.mark.parametrize("fmt", [FP4_R4, FP4_R2, INT4, UINT4], ids=lambda f: f.name)
def test_every_16_bit_input_at_every_exponent(rtl, fmt):
    """From all saturated to all vanished: 65,536 inputs at each of 28 exponents, every phase."""
    golden = GoldenBackend(rtl.config)
    saturated, vanished = 0, 0
    for shift in range(ONE - 2, ONE + 26):
        job = Job.quantise(INT16, Rescale(fmt, Dyadic(2**15, shift)))
        expected = golden.run(job)
        difference = first_difference(expected, rtl.run(job))
        assert difference is None, f"shift {shift}: {difference}"
        saturated = max(saturated, expected.statistics.saturated)
        vanished = max(vanished, expected.statistics.underflowed)
    assert saturated > 60_000 and vanished > 60_000  # both ends were reached


@pytest.mark.parametrize("fmt", [FP4_R4, FP4_R2, INT4, UINT4], ids=lambda f: f.name)
def test_every_random_word(rtl, fmt):
    """All 4,096 words on magnitudes between every pair of levels, and on the levels themselves."""
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
        words = xorshift.words(seed, rows, 8)
        assert all(len(np.unique(words[:, lane])) == 2**xorshift.WORD_BITS for lane in range(8))
        difference = first_difference(golden.run(job), rtl.run(job))
        assert difference is None, f"{columns}: {difference}"
