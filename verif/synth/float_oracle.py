# SPDX-License-Identifier: Apache-2.0
"""Two independent oracles of the small floats: a table of fractions, and numpy's float64."""

from bisect import bisect_left
from fractions import Fraction
from functools import cache

import numpy as np

from synth.baselines.minifloat import MiniFloat


@cache
def magnitudes(fmt: MiniFloat) -> list[Fraction]:
    """The value of every code of sign 0, up to where the first that is not finite would be."""
    count = fmt.top * 2 ** fmt.fraction + (0 if fmt.ieee else 2 ** fmt.fraction - 1) + 1
    values = []
    for code in range(count):
        exponent, fraction = divmod(code, 2 ** fmt.fraction)
        one = Fraction(2) ** (max(exponent, 1) - fmt.bias)
        significand = Fraction(fraction, 2 ** fmt.fraction) + (exponent > 0)
        values.append(one * significand if fmt.ieee or exponent else Fraction(0))
    return values


def value(fmt: MiniFloat, code: int) -> Fraction | None:
    """The value of a finite code, None of any other."""
    table, magnitude = magnitudes(fmt), code & 2 ** (fmt.width - 1) - 1
    if magnitude >= len(table) - 1:
        return None
    return -table[magnitude] if code >> fmt.width - 1 else table[magnitude]


def nearest(fmt: MiniFloat, exact: Fraction) -> int:
    """The code of the value nearest to a nonzero fraction, by search in the table; ties to even."""
    table, size = magnitudes(fmt), abs(exact)
    sign = (exact < 0) << fmt.width - 1
    first = 0 if fmt.ieee else 2 ** fmt.fraction
    if size < table[first]:
        return 0
    above = min(bisect_left(table, size, first), len(table) - 1)
    below = max(above - 1, first)
    key = [(abs(table[code] - size), code % 2, code) for code in (below, above)]
    return sign | min(key)[2]


def fma16(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """binary16 fused multiply-add of codes by float64, vectorised.

    The product of two 11-bit significands is exact in 53 bits. The sum may not be: it is rounded
    to odd (S. Boldo and G. Melquiond, 2008), of which rounding to 11 <= 53 - 2 bits is exact. Its
    error is known exactly from the two-sum of D. Knuth.
    """
    x, y, z = (v.astype(np.uint16).view(np.float16).astype(np.float64) for v in (a, b, c))
    with np.errstate(all="ignore"):
        p = x * y
        s = p + z
        t = s - p
        error = (p - (s - t)) + (z - t)
        toward = np.where(error > 0, np.inf, -np.inf)
        even = (s.view(np.uint64) & 1) == 0
        odd = np.where(np.isfinite(s) & (error != 0) & even, np.nextafter(s, toward), s)
        code = odd.astype(np.float16).view(np.uint16)
        return np.where(np.isnan(s), 0x7E00, code)
