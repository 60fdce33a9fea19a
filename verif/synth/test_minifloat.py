# SPDX-License-Identifier: Apache-2.0
"""The small floats against fractions and numpy."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from synth.baselines.minifloat import BINARY16, DLFLOAT16, FP8_143, FP8_152, FP9_153, MiniFloat, fma
from verif.synth.float_oracle import fma16, nearest, value

SEED = 20261121
SMALL = MiniFloat("1-3-1", 3, 1, 3, ieee=True)
LEAN = MiniFloat("1-3-1 lean", 3, 1, 3, ieee=False)
FORMATS = (BINARY16, DLFLOAT16, FP8_143, FP8_152, FP9_153, SMALL, LEAN)
UNITS = ((BINARY16,) * 3, (DLFLOAT16,) * 3, (FP8_143, FP8_152, DLFLOAT16),
         (FP9_153, FP9_153, DLFLOAT16))


def oracle(a_fmt, b_fmt, fmt, a: int, b: int, c: int) -> int | None:
    """fma of finite codes by fractions; None where the oracle has no say (specials, zeros)."""
    values = value(a_fmt, a), value(b_fmt, b), value(fmt, c)
    if None in values:
        return None
    exact = values[0] * values[1] + values[2]
    if exact == 0:
        return None
    code = nearest(fmt, exact)
    return code | (exact < 0) << fmt.width - 1 if fmt.ieee else code


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_code(fmt):
    """Decodes to the fraction of the definition, and encodes back to itself."""
    for code in range(2 ** fmt.width):
        expected = value(fmt, code)
        assert (expected is None) == (fmt.is_nan(code) or fmt.is_inf(code))
        if expected is not None:
            sign, m, x = fmt.decode(code)
            assert (-1) ** sign * m * Fraction(2) ** x == expected
            canonical = 0 if expected == 0 and not fmt.ieee else code
            assert fmt.encode(sign, m, x) == canonical
            assert fmt.encode(sign, m << 7, x - 7) == canonical


def test_binary16_is_numpys():
    codes = np.arange(65536, dtype=np.uint16)
    for code, number in zip(codes.tolist(), codes.view(np.float16).tolist(), strict=True):
        if np.isfinite(number):
            sign, m, x = BINARY16.decode(code)
            assert (-1) ** sign * m * 2.0 ** x == number
            assert sign == np.signbit(number)
        else:
            assert BINARY16.is_nan(code) == np.isnan(number)
            assert BINARY16.is_inf(code) == np.isinf(number)


@pytest.mark.parametrize("fmt", (SMALL, LEAN), ids=lambda fmt: fmt.name)
def test_fma_of_every_small_code(fmt):
    """Every a, b and c of five bits."""
    checked = 0
    for a, b, c in product(range(2 ** fmt.width), repeat=3):
        expected = oracle(fmt, fmt, fmt, a, b, c)
        if expected is not None:
            checked += 1
            assert fma(fmt, fmt, fmt, a, b, c) == expected, (a, b, c)
    assert checked > 10_000


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: "*".join(fmt.name for fmt in unit))
def test_fma_against_fractions(unit):
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(2 ** fmt.width, size=20_000).tolist() for fmt in unit]
    checked = 0
    for a, b, c in zip(*draws, strict=True):
        expected = oracle(*unit, a, b, c)
        if expected is not None:
            checked += 1
            assert fma(*unit, a, b, c) == expected, (SEED, a, b, c)
    assert checked > 10_000


def test_fma_against_numpy():
    """With specials and signed zeros; half of the sums cancel or nearly do."""
    rng = np.random.default_rng(SEED)
    a, b, c = rng.integers(65536, size=(3, 100_000))
    c[::2] = fma16(a, b, np.zeros_like(a))[::2] ^ 0x8000 ^ rng.integers(4, size=50_000)
    special = rng.random((3, a.size)) < 0.05
    corners = np.array([0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0xFC00, 0x7E00])
    for x, here in zip((a, b, c), special, strict=True):
        x[here] = rng.choice(corners, here.sum())
    expected = fma16(a, b, c).tolist()
    for i, codes in enumerate(zip(a.tolist(), b.tolist(), c.tolist(), strict=True)):
        assert fma(*UNITS[0], *codes) == expected[i], (SEED, codes)
    assert {0, 0x8000, 0x7C00, 0xFC00, 0x7E00} <= set(expected)


@pytest.mark.parametrize("a, b, c, expected", [
    (0x7C00, 0x0000, 0x0000, 0x7E00),  # infinity times zero
    (0x7C00, 0x3C00, 0xFC00, 0x7E00),  # infinity less infinity
    (0x3C00, 0x3C00, 0xFC00, 0xFC00),
    (0x3C00, 0x3C00, 0xFE01, 0x7E00),  # any NaN becomes the one
    (0x8000, 0x3C00, 0x8000, 0x8000),  # -0 - 0
    (0x8000, 0x3C00, 0x0000, 0x0000),
    (0x3C00, 0x3C00, 0xBC00, 0x0000),  # an exact difference of equals is +0
    (0x0001, 0x8001, 0x0000, 0x8000),  # underflow keeps its sign
    (0x7BFF, 0x3C00, 0x4C00, 0x7C00),  # 65504 + 16 ties to infinity
    (0x7BFF, 0x3C00, 0x4BFF, 0x7BFF),
])
def test_binary16_corners(a, b, c, expected):
    assert fma(*UNITS[0], a, b, c) == expected
    assert fma16(*(np.array([x]) for x in (a, b, c))).tolist() == [expected]


@pytest.mark.parametrize("a, b, c, expected", [
    (0x7FFF, 0x0000, 0x0000, 0x7FFF),  # the symbol times zero
    (0x3E00, 0x7FFF, 0xFFFF, 0xFFFF),
    (0xBE00, 0x7FFF, 0x3E00, 0xFFFF),
    (0x7FFE, 0x3E00, 0x0000, 0x7FFE),  # the largest number
    (0x7FFE, 0x3E00, 0x69FF, 0x7FFE),  # and just less than half of its last place
    (0x7FFE, 0x3E00, 0x6A00, 0x7FFE),  # a tie: all ones are odd
    (0x7FFE, 0x3E00, 0x6A01, 0x7FFF),
    (0xFFFE, 0x3E00, 0xEA01, 0xFFFF),
    (0x0200, 0x3DFF, 0x0000, 0x0000),  # just below the least normal number, before rounding
    (0x0200, 0x3E00, 0x0000, 0x0200),
    (0x01FF, 0x7E00, 0x0000, 0x0000),  # exponent 0 is zero
    (0xBE00, 0x0000, 0x8000, 0x0000),  # there is no -0
])
def test_lean_corners(a, b, c, expected):
    assert fma(*UNITS[1], a, b, c) == expected


def test_bad_values():
    with pytest.raises(ValueError, match=r"1-4-3: code 256 is out of range: expected 0\.\.255"):
        FP8_143.decode(256)
    with pytest.raises(ValueError, match="expected at least 2 and 1"):
        MiniFloat("1-1-0", 1, 0, 0, ieee=True)
