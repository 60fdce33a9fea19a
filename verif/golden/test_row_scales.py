# SPDX-License-Identifier: Apache-2.0
"""Scales per row against exact fractions, and against a job per row."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import (
    CODE_FORMATS,
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    IntFormat,
)
from golden.gemm import gemm
from golden.rescale import Rescale
from golden.row_scales import rescale_grid, rescale_rows, row_scale, row_words, units
from golden.statistics import measure
from verif.golden.oracles import EVEN, ODD, PROPERTY, RADIX_2, clamp, nearest_code, rescaled

TOPS = {"INT4": 7, "INT4_SYM": 7, "UINT4": 15, "FP4_R4": 64, "FP4_R2": 64}
RATIOS = {4: Fraction(5, 8), 2: Fraction(3, 4)}
ROWS = [  # one element, zeros, both ends of int32, a power of two, tiny beside huge, a single 1
    [[5]], [[0]], [[-(2**31)]], [[0, 0, 0], [1, -1, 0], [2**31 - 1, -(2**31), 1]],
    [[2**30, -3, 7], [1, 0, 0], [-3, 2, 1]], [[2**31 - 1, 2**20, -1], [0, 0, 0], [64, 7, -15]],
]
INT32S = st.integers(-(2**31), 2**31 - 1) | st.integers(-70, 70)
DYADICS = st.builds(Dyadic, st.integers(32768, 65535) | st.sampled_from([32768, 65535]),
                    st.integers(0, 63))


def matrices(elements=INT32S):
    return st.integers(1, 5).flatmap(lambda n: st.lists(
        st.lists(elements, min_size=n, max_size=n), min_size=1, max_size=4))


def nearest_dyadic(exact: Fraction) -> tuple[int, int]:
    """Multiplier and shift, from the definition: 16 bits of a number > 0, ties to even."""
    shift = 15 - math.floor(math.log2(exact))  # or one beside it
    while exact * Fraction(2) ** shift < 2**15:
        shift += 1
    while exact * Fraction(2) ** shift >= 2**16:
        shift -= 1
    multiplier = round(exact * Fraction(2) ** shift)
    return (multiplier, shift) if multiplier < 2**16 else (2**15, shift - 1)


def value(scale: Dyadic) -> Fraction:
    return Fraction(scale.multiplier, 2**scale.shift)


def check_nearest(values, fmt) -> None:
    """Codes, masks, scales and flags of every row, from the definitions."""
    found = rescale_rows(values, fmt)
    codes = found.results.codes.tolist()
    for r, row in enumerate(values):
        largest = max(map(abs, row))
        wanted = nearest_dyadic(Fraction(TOPS[fmt.name], largest)) if largest else (2**15, 15)
        scale = found.scales[r]
        assert (scale.multiplier, scale.shift) == wanted
        assert found.degenerate[r] == (largest == 0)
        if isinstance(fmt, IntFormat):
            assert found.results.odd is None
            mask = found.results.mask[r].tolist()
            assert list(zip(codes[r], mask, strict=True)) == [
                rescaled(x, *wanted, 0, fmt) for x in row]
            continue
        for level, got in ((EVEN if fmt == FP4_R4 else RADIX_2, codes[r]),
                           (ODD, found.results.odd[r].tolist() if fmt == FP4_R4 else None)):
            assert got is None or got == [
                nearest_code(x * value(scale), level, RATIOS[fmt.radix]) for x in row]


@pytest.mark.parametrize("fmt", CODE_FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("values", ROWS, ids=str)
def test_corners(values, fmt):
    check_nearest(values, fmt)


@PROPERTY
@given(st.sampled_from(CODE_FORMATS), matrices())
def test_rows_equal_exact_fractions(fmt, values):
    check_nearest(values, fmt)


@pytest.mark.parametrize("fmt, largest", [(FP4_R2, 2**17 - 3), (INT4, 2**17 - 3), (UINT4, 131075)])
def test_scales_beside_ties_of_multipliers(fmt, largest):
    """The solver's own tests have every quotient; here the format chooses the right one."""
    for near in range(largest - 200, largest + 200):
        scale = row_scale([near, -1], fmt).scale
        assert (scale.multiplier, scale.shift) == nearest_dyadic(Fraction(TOPS[fmt.name], near))


@pytest.mark.parametrize("seed", [None, 7, 2**32 - 2])
@pytest.mark.parametrize("fmt", CODE_FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("config", [Config(4, 2, 4), Config(2, 8, 4)], ids=["4x2", "2x8"])
def test_rows_are_jobs_of_one_row(config, fmt, seed):
    """Codes, masks and statistics with bias and mask, wherever the tensor is cut between rows."""
    rng = np.random.default_rng(3)
    x = rng.integers(-2**31, 2**31, (6, 11)) >> rng.integers(0, 31, (6, 1))
    bias, mask = rng.integers(-2**20, 2**20, 11), rng.random((6, 11)) < 0.7
    x[2, 3], bias[3] = 2**31 - 1, 1  # leaves 32 bits
    lanes = None if seed is None else config.cols
    whole = rescale_rows(x, fmt, bias=bias, mask=mask, seed=seed, lanes=lanes)
    cut = rescale_rows(x[4:], fmt, bias=bias, mask=mask[4:], lanes=lanes,
                       seed=None if seed is None else (seed + 4) % 2**32)
    backend, counts = GoldenBackend(config), []
    for r in range(6):
        then = Rescale(fmt, whole.scales[r], seed=None if seed is None else (seed + r) % 2**32)
        job = backend.run(Job.quantise(x[r:r + 1], then, bias=bias, mask=mask[r:r + 1]))
        for name, array in job.arrays.items():
            np.testing.assert_array_equal(whole.results.arrays[name][r:r + 1], array)
            if r >= 4:
                np.testing.assert_array_equal(cut.results.arrays[name][r - 4:r - 3], array)
        counts.append(job.bias_saturated)
    assert whole.results.bias_saturated and counts[2]
    inputs = np.where(mask, (x + bias).clip(-2**31, 2**31 - 1), 0)
    told = whole.results.statistics
    assert told == measure(inputs, told.saturated, told.underflowed)


def test_statistics_count_over_all_rows():
    """UINT4 clamps what is negative in each row; a 1 beside 2**20 vanishes."""
    told = rescale_rows([[2**20, 1, -(2**20)], [-5, 15, 1]], UINT4).results.statistics
    assert (told.count, told.low, told.high, told.saturated, told.underflowed) == (
        6, -(2**20), 2**20, 2, 1)


def test_words_of_a_row():
    """The example of docs/formats.md, row 1 of seed 0 having the words of seed 1."""
    words = row_words(0, 3, 6, 4)
    assert [f"{word:06x}" for word in words[1]] == [
        "8f1134", "fb9d6c", "8e409a", "73d686", "7f5096", "c1920e"]
    assert row_words(2**32 - 1, 2, 6, 4)[1].tolist() == words[0].tolist()
    assert len(np.unique(words)) == words.size


def test_stochastic_rounding_is_unbiased_in_every_row():
    """Rows of very unlike magnitude; radix 2 has no saturation below its maximum."""
    x = np.tile(np.array([[1000], [3], [2**27]]) * [8, 1, 3, 5, 7], 2000)
    found = rescale_rows(x, FP4_R2, seed=5, lanes=4)
    level = np.array([0, 1, 2, 4, 8, 16, 32, 64])[found.results.codes & 7]
    for r in range(3):
        wanted = float(value(found.scales[r])) * x[r, :5]
        np.testing.assert_allclose(level[r].reshape(-1, 5).mean(0), wanted, rtol=0.03)


def test_symmetric_mask_leaves_out_both_sevens():
    """INT4's mask reaches from -8, INT4_SYM's from -7, strictly and before rounding. Whether a
    row's largest lies inside is the rounding of its scale; with 7 itself the scale is exactly 1."""
    values = [[-7, 7, -6, 6, 0]]
    assert row_scale(values[0], INT4_SYM).scale == IDENTITY
    for fmt, lowest in ((INT4_SYM, False), (INT4, True)):
        mask = rescale_rows(values, fmt).results.mask
        assert mask.tolist() == [[lowest, False, True, True, True]]
    largest = np.arange(1, 500)[:, None] * [1, -1]
    found = rescale_rows(largest, INT4_SYM)
    assert (found.results.codes == [7, -7]).all()  # and never clipped by as much as a code
    inside = [value(scale) * x < 7 for scale, x in zip(found.scales, largest[:, 0], strict=True)]
    assert found.results.mask.tolist() == [[each, each] for each in inside]
    assert 0 < sum(inside) < len(inside)


def test_columns_are_rows_of_the_transposed_tensor():
    x = np.array([[1, 200], [-7, 110], [3, -50]])
    found = rescale_rows(x.T, INT4_SYM)
    assert [nearest_dyadic(exact) for exact in (Fraction(1), Fraction(7, 200))] == [
        (scale.multiplier, scale.shift) for scale in found.scales]
    assert found.results.codes.T.tolist() == [[1, 7], [-7, 4], [3, -2]]


@PROPERTY
@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=8), st.sampled_from([7, 15, 64]))
def test_units_are_nearest_reciprocals(tops, top):
    scales = [Dyadic.nearest(Fraction(top, each)) if each else IDENTITY for each in tops]
    found = units(scales)
    for factor, scale in zip(found.factors, scales, strict=True):
        exact = 1 / value(scale) / Fraction(2) ** found.exponent
        assert (factor.multiplier, factor.shift) == nearest_dyadic(exact)
    assert Fraction(1, 2) < max(map(value, found.factors)) <= 1


def scaled(x: int, row: Dyadic, column: Dyadic, exponent: int) -> int:
    exact = value(row) * value(column) * Fraction(2) ** exponent
    if exact < Fraction(1, 2**48):
        return 0
    multiplier, shift = nearest_dyadic(exact)
    return clamp(round(Fraction(x * multiplier, 1) / Fraction(2) ** shift), INT32.lo, INT32.hi)


@PROPERTY
@given(st.data(), matrices(), st.integers(-63, 63))
def test_grid_equals_exact_fractions(data, values, exponent):
    m, n = len(values), len(values[0])
    rows = data.draw(st.lists(DYADICS, min_size=m, max_size=m))
    columns = data.draw(st.lists(DYADICS, min_size=n, max_size=n))
    reach = max(map(value, rows)) * max(map(value, columns)) * Fraction(2) ** exponent
    if reach >= 2**16:
        with pytest.raises(ValueError, match="a scale reaches 65535; use a smaller exponent"):
            rescale_grid(values, rows=rows, columns=columns, exponent=exponent)
        exponent -= int(reach).bit_length() - 15
    assume(exponent >= -63)
    found = rescale_grid(values, rows=rows, columns=columns, exponent=exponent)
    assert found.codes.dtype == np.int32
    assert found.codes.tolist() == [
        [scaled(x, r, c, exponent) for x, c in zip(row, columns, strict=True)]
        for row, r in zip(values, rows, strict=True)]


@pytest.mark.parametrize("row, column", [(40000, 53687), (65535, 65535), (32768, 32768),
                                         (32769, 49152), (46341, 46340)])
def test_products_of_multipliers(row, column):
    """Rounded up to all ones and one more, the largest, the smallest, a tie, just below a bit."""
    for exponent in (-20, 0, 13):
        found = rescale_grid([[2**31 - 1, -(2**31), 3]], rows=[Dyadic(row, 31)],
                             columns=[Dyadic(column, 25)] * 3, exponent=exponent)
        assert found.codes.tolist() == [[
            scaled(x, Dyadic(row, 31), Dyadic(column, 25), exponent)
            for x in (2**31 - 1, -(2**31), 3)]]


def test_grid_counts_what_saturates_and_vanishes():
    zero, half, eight = Dyadic(0, 0), Dyadic(32768, 16), Dyadic(32768, 12)
    found = rescale_grid([[2**29, 1, 7, 0], [-(2**29), 3, 7, 0]], columns=[eight, half, zero, half])
    assert found.codes.tolist() == [[2**31 - 1, 0, 0, 0], [-(2**31), 2, 0, 0]]
    assert (found.statistics.saturated, found.statistics.underflowed) == (2, 1)


def test_the_three_gemms_of_the_recipe():
    """Sums with the units of rows and columns, and units folded into what is rounded, against the
    products of the real numbers that the codes stand for."""
    rng = np.random.default_rng(2)
    x, w, g = (rng.integers(-2**28, 2**28, shape) >> rng.integers(0, 9, (shape[0], 1))
               for shape in ((6, 9), (5, 9), (6, 5)))
    xq, wq = rescale_rows(x, INT4_SYM), rescale_rows(w, INT4_SYM)
    xu, wu = units(xq.scales), units(wq.scales)
    sums = gemm(xq.results.codes, INT4_SYM, wq.results.codes, INT4_SYM)
    y = rescale_grid(sums, rows=xu.factors, columns=wu.factors, exponent=12)
    back = np.ldexp(y.codes.astype(float), xu.exponent + wu.exponent - 12)
    exact = (real(xq) @ real(wq).T)
    np.testing.assert_allclose(back, exact, rtol=3 * 2.0**-16,
                               atol=2.0 ** (xu.exponent + wu.exponent - 13))
    for operand, gradient in ((wq, g), (xq, g.T)):  # dgrad, wgrad
        unit = units(operand.scales)
        folded = rescale_grid(gradient, columns=unit.factors)
        assert folded.statistics.saturated == 0
        real_folded = gradient * np.array([1 / float(value(s)) for s in operand.scales])
        np.testing.assert_allclose(np.ldexp(folded.codes.astype(float), unit.exponent),
                                   real_folded, rtol=2.0**-16, atol=2.0 ** (unit.exponent - 1))
        gq = rescale_rows(folded.codes, FP4_R2, seed=1, lanes=4)
        gu = units(gq.scales)
        sums = gemm(operand.results.codes.T, INT4_SYM, gq.results.codes, FP4_R2)
        found = rescale_grid(sums, columns=gu.factors, exponent=8)
        back = np.ldexp(found.codes.astype(float), gu.exponent - 8)
        exact = operand.results.codes.T @ real(gq).T
        np.testing.assert_allclose(back, exact, rtol=2.0**-16, atol=2.0 ** (gu.exponent - 9))


def real(rows) -> np.ndarray:
    """The numbers that codes of INT4_SYM or FP4_R2 stand for."""
    codes = rows.results.codes
    if rows.results.mask is None:
        codes = np.array([0, 1, 2, 4, 8, 16, 32, 64])[codes & 7] * np.where(codes & 8, -1, 1)
    return codes / np.array([float(value(s)) for s in rows.scales])[:, None]


ONE = Dyadic(32768, 15)


@pytest.mark.parametrize("call, text", [
    (lambda: rescale_rows([[1]], INT32), "fmt = IntFormat(name='INT32'"),
    (lambda: rescale_rows([1, 2], INT4), "values of shape (2,): expected (M, N) with M and N from"),
    (lambda: rescale_rows(np.zeros((0, 3), int), INT4), "values of shape (0, 3): expected (M, N)"),
    (lambda: rescale_rows([[2**31]], INT4), "values hold 2147483648 at index (0, 0)"),
    (lambda: rescale_rows([[1]], INT4, seed=1), "seed = 1 with lanes = None: random words take"),
    (lambda: rescale_rows([[1]], INT4, lanes=4), "seed = None with lanes = 4: random words take"),
    (lambda: rescale_rows([[1]], INT4, seed=2**32, lanes=4), "seed = 4294967296 is out of range"),
    (lambda: row_words(1, 2, 3, 0), "lanes = 0 is out of range: expected an integer 1.."),
    (lambda: row_words(1, 0, 3, 4), "m = 0 is out of range: expected an integer 1.."),
    (lambda: row_scale([1], INT32), "fmt = IntFormat(name='INT32'"),
    (lambda: units([]), "scales = []: expected one Dyadic or more"),
    (lambda: units([0.5]), "scales[0] = 0.5: expected a Dyadic"),
    (lambda: units([ONE, Dyadic(0, 3)]), "scales[1] = Dyadic(multiplier=0, shift=3) is 0, which"),
    (lambda: units([Dyadic(32768, 0), Dyadic(32768, 63)]), "is out of range: a 16-bit multiplier"),
    (lambda: rescale_grid([1]), "values of shape (1,): expected (M, N)"),
    (lambda: rescale_grid([[1.5]]), "values have dtype float64: expected integers"),
    (lambda: rescale_grid([[1]], rows=[ONE] * 2), "rows of length 2: expected 1 Dyadics, one for"),
    (lambda: rescale_grid([[1]], columns=[2]), "columns[0] = 2: expected a Dyadic"),
    (lambda: rescale_grid([[1]], exponent=64), "exponent = 64 is out of range: expected an integer "
                                               "-63..63"),
    (lambda: rescale_grid([[1]], exponent=16),
     "rows[0] * columns[0] * 2**16 is out of range: a scale reaches 65535; use a smaller exponent"),
])
def test_arguments_out_of_range(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()
