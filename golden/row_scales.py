# SPDX-License-Identifier: Apache-2.0
"""Scales per row: each row of a tensor is measured, its scale solved, and the row rounded with it.

What one job of a core with such scales is to do; `docs/recipe.md` says what for. A column's scales
are those of the transposed tensor's rows. A scale turns integers into codes; its reciprocal, the
unit, is what a GEMM's sums are multiplied by, or, where the scale lies along the sum, what the
other operand is multiplied by before it is rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from golden import checks, random_words
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import CODE_FORMATS, INT32, UINT4, Format, LogFormat, as_format
from golden.rescale import RAW, Rescale, Rescaled, as_int32, rescale, round_half_even
from golden.solver import Request, Solution, SolveMode, solve
from golden.statistics import measure

PRODUCT_WIDTH = 2 * Dyadic.WIDTH  # bits of two multipliers' product
MAX_EXPONENT = Dyadic.MAX_SHIFT  # of `rescale_grid`, either way
# from here on |value * multiplier| < 2**47 rounds to 0
VANISHING_SHIFT = INT32.hi.bit_length() + Dyadic.WIDTH + 1


@dataclass(frozen=True, eq=False)
class RowsRescaled:
    """A tensor whose rows have scales of their own.

    Members
    -------
    results : Rescaled, (M, N); its statistics are those of the whole tensor.
    scales : a Dyadic per row, from inputs to codes.
    degenerate : bool (M,), rows that are zero everywhere: their scale is 1.
    """

    results: Rescaled
    scales: tuple[Dyadic, ...]
    degenerate: np.ndarray


@dataclass(frozen=True)
class Units:
    """Reciprocals of scales, `factors[r] * 2**exponent`, the largest factor in (1/2, 1]."""

    factors: tuple[Dyadic, ...]
    exponent: int


def rescale_rows(values, fmt: Format, *, bias=None, mask=None, seed: int | None = None,
                 lanes: int | None = None) -> RowsRescaled:
    """Round each row with the scale that maps its largest magnitude onto the top code.

    Parameters
    ----------
    values : integers in int32's range, (M, N), M and N from 1.
    fmt : INT4 or INT4_SYM (top 7), UINT4 (15), FP4_R4 or FP4_R2 (64, in the even phase).
    bias, mask : as in `golden.rescale.rescale`; what they leave is measured.
    seed, lanes : 0..2**32 - 1 and the core's columns, from 1, to round stochastically with
        `row_words`; both None round to nearest.

    ValueError that names the argument otherwise.
    """
    as_format("fmt", fmt, CODE_FORMATS)
    raw = rescale(values, RAW, bias=bias, mask=mask)
    seen = _matrix("values", raw.codes)
    if (seed is None) != (lanes is None):
        raise ValueError(f"seed = {checks.shown(seed)} with lanes = {checks.shown(lanes)}: random "
                         "words take both, rounding to nearest neither")
    m, n = seen.shape
    words = [None] * m if seed is None else row_words(seed, m, n, lanes)
    solutions = [row_scale(row, fmt) for row in seen]
    rows = [rescale(row, Rescale(fmt, solution.scale, seed=seed), words=word)
            for row, solution, word in zip(seen, solutions, words, strict=True)]
    arrays = {name: np.stack([row.arrays[name] for row in rows]) for name in rows[0].arrays}
    told = [row.statistics for row in rows if row.statistics is not None]
    statistics = measure(seen, sum(row.saturated for row in told),
                         sum(row.underflowed for row in told))
    results = Rescaled(arrays["codes"], arrays.get("odd"), arrays.get("mask"), raw.bias_saturated,
                       statistics)
    return RowsRescaled(results, tuple(solution.scale for solution in solutions),
                        np.array([solution.degenerate for solution in solutions]))


def row_scale(row, fmt: Format) -> Solution:
    """The dyadic scale nearest to top / largest of a row's integers, by the solver.

    Never unreachable: 7 / 2**31 .. 64 lie well within a Dyadic. ValueError for other arguments.
    """
    as_format("fmt", fmt, CODE_FORMATS)
    statistics = measure(row)
    if fmt == UINT4:  # 15 / alpha
        return solve(Request(SolveMode.PACT, alpha=statistics.largest))
    mode = SolveMode.LUQ if isinstance(fmt, LogFormat) else SolveMode.SYMMETRIC
    return solve(Request(mode, statistics))


def row_words(seed: int, m: int, n: int, lanes: int | None) -> np.ndarray:
    """Random words of a tensor (M, N) with a scale per row, int64.

    Row r has the words of a job of one row whose seed is `seed + r`, modulo 2**32: number
    c // lanes, lane c % lanes for column c. So they depend neither on where a tensor is cut into
    jobs of whole rows nor on the rows of the core.

    ValueError for a seed that is none, and for m, n and lanes that are no integers from 1.
    """
    seed = random_words.as_seed(seed)
    lanes = checks.as_integer("lanes", lanes, 1)
    m, n = checks.as_integer("m", m, 1), checks.as_integer("n", n, 1)
    numbers = np.arange(-(-n // lanes))
    return np.stack([
        random_words.words((seed + r) % 2**random_words.WIDTH, numbers, lanes).reshape(-1)[:n]
        for r in range(m)])


def units(scales: Sequence[Dyadic]) -> Units:
    """The reciprocals of scales, each the nearest Dyadic with a common power of two split off.

    ValueError for no scales, for the scale 0, and for scales that differ by more than 2**47 (those
    of rows differ by less than 2**35).
    """
    scales = [checks.as_instance(f"scales[{i}]", scale, Dyadic) for i, scale in enumerate(scales)]
    if not scales:
        raise ValueError("scales = []: expected one Dyadic or more")
    for i, scale in enumerate(scales):
        if not scale.multiplier:
            raise ValueError(f"scales[{i}] = {scale} is 0, which has no reciprocal: leave it out")
    exponent = max(scale.shift for scale in scales) - IDENTITY.shift
    return Units(tuple(
        Dyadic.nearest(Fraction(2**scale.shift, scale.multiplier) / Fraction(2) ** exponent)
        for scale in scales), exponent)


def rescale_grid(values, *, rows: Sequence[Dyadic] | None = None,
                 columns: Sequence[Dyadic] | None = None, exponent: int = 0) -> Rescaled:
    """`rne(values[i, j] * scale[i, j])` as INT32, scale the Dyadic nearest to
    `rows[i] * columns[j] * 2**exponent`.

    Of a GEMM's sums, rows and columns are the units of its operands. To fold units into an operand
    that is yet to be rounded, they are the columns. The product of two Dyadics is rounded to one
    again, which costs 2**-16 of it at most, so that p has 48 bits here as everywhere.

    Parameters
    ----------
    values : integers in int32's range, (M, N), M and N from 1.
    rows, columns : M and N Dyadics, None for ones. exponent : -63..63.

    Results saturate, as the statistics tell. A scale below 2**-48 gives zeros. ValueError for a
    scale above 65535, and for other arguments.
    """
    values = _matrix("values", as_int32("values", values))
    exponent = checks.as_integer("exponent", exponent, -MAX_EXPONENT, MAX_EXPONENT)
    down, row_shift = _split("rows", rows, values.shape[0])
    across, column_shift = _split("columns", columns, values.shape[1])
    product = down[:, None] * across
    dropped = Dyadic.WIDTH - 1 + (product >> PRODUCT_WIDTH - 1)
    multiplier = _rounded(product, dropped)
    carried = multiplier >> Dyadic.WIDTH  # all ones were rounded up: 2**16 is 2**15 once more
    multiplier >>= carried
    shift = row_shift[:, None] + column_shift - exponent - dropped - carried
    beyond = (shift < 0) & (multiplier > 0)
    if beyond.any():
        i, j = (int(index) for index in np.argwhere(beyond)[0])
        raise ValueError(f"rows[{i}] * columns[{j}] * 2**{exponent} is out of range: a scale "
                         "reaches 65535; use a smaller exponent")
    p = values * multiplier  # |p| < 2**47
    wanted = _rounded(p, shift.clip(0, VANISHING_SHIFT))
    codes = wanted.clip(INT32.lo, INT32.hi)
    return Rescaled(codes.astype(np.int32), statistics=measure(
        values, (codes != wanted).sum(), ((wanted == 0) & (p != 0)).sum()))


def _matrix(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} of shape {values.shape}: expected (M, N) with M and N from 1; "
                         "reshape it")
    return values


def _split(name: str, scales: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts, int64 (count,)."""
    scales = [IDENTITY] * count if scales is None else list(scales)
    if len(scales) != count:
        raise ValueError(f"{name} of length {len(scales)}: expected {count} Dyadics, one for each "
                         f"of the {name}")
    for i, scale in enumerate(scales):
        checks.as_instance(f"{name}[{i}]", scale, Dyadic)
    return (np.array([scale.multiplier for scale in scales], np.int64),
            np.array([scale.shift for scale in scales], np.int64))


def _rounded(p: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """`round_half_even`, each number by a shift of its own."""
    result = np.empty_like(p)
    for each in np.unique(shift):
        here = shift == each
        result[here] = round_half_even(p[here], int(each))
    return result
