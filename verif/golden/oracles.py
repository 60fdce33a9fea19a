# SPDX-License-Identifier: Apache-2.0
"""What the golden model is checked against: exact fractions and literal tables.

Nothing here calls golden code, so that an error there cannot hide in here.
"""

import math
from fractions import Fraction

import numpy as np
from hypothesis import settings

from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4, Phase

# `@PROPERTY` on a Hypothesis test: the same examples on every run and every machine
PROPERTY = settings(derandomize=True, max_examples=150, deadline=None, database=None)

RANGES = {"INT4": (-8, 7), "INT4_SYM": (-7, 7), "UINT4": (0, 15), "INT32": (-(2**31), 2**31 - 1)}
INTEGERS = (INT4, INT4_SYM, UINT4)
RESCALED = (*INTEGERS, INT32)

# the seven non-zero levels of each log format and phase, and the ratio boundary / level
EVEN = [Fraction(4) ** e for e in range(-3, 4)]
ODD = [Fraction(2) ** e for e in (-7, -5, -3, -1, 1, 3, 5)]
RADIX_2 = [Fraction(2) ** e for e in range(7)]
LOGS = [  # format, phase, levels, boundary below a level over that level
    (FP4_R4, Phase.EVEN, EVEN, Fraction(5, 8)),
    (FP4_R4, Phase.ODD, ODD, Fraction(5, 8)),
    (FP4_R2, Phase.EVEN, RADIX_2, Fraction(3, 4)),
]
LOG_IDS = [f"{fmt.name}-{phase.name.lower()}" for fmt, phase, *_ in LOGS]
MAC = {  # integers that the codes 0..15 stand for in the MAC
    "FP4_R4": [0, 1, 4, 16, 64, 256, 1024, 4096, 0, -1, -4, -16, -64, -256, -1024, -4096],
    "FP4_R2": [0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64],
}


def nearest_code(y: Fraction, levels, ratio: Fraction) -> int:
    """Log-FP4 code of an exact number: ties go up in magnitude, zero is +0."""
    c = sum(abs(y) >= level * ratio for level in levels)
    return c + 8 if c and y < 0 else c


def nearest_codes(numerators: np.ndarray, exponent: int, levels, ratio: Fraction) -> np.ndarray:
    """`nearest_code` of `numerators * 2**exponent`, in integers, for many numerators."""
    c = np.zeros(numerators.shape, dtype=np.int64)
    for level in levels:
        c += np.abs(numerators) >= math.ceil(level * ratio / Fraction(2) ** exponent)
    return np.where((numerators < 0) & (c > 0), c + 8, c)


def clamp(value: int, lo: int, hi: int) -> int:
    return min(max(value, lo), hi)


def integer_code(x: Fraction, scale: Fraction, zero_point: int, fmt) -> int:
    """`clamp(rne(x / scale) + zero_point)`; Python rounds fractions half to even."""
    return clamp(round(x / scale) + zero_point, *RANGES[fmt.name])


def rescaled(value: int, multiplier: int, shift: int, zero_point: int, fmt, bias: int = 0):
    """Code and clip mask of the rescaling unit for integer formats, from the definition."""
    lo, hi = RANGES[fmt.name]
    exact = Fraction(clamp(value + bias, *RANGES["INT32"]) * multiplier, 2**shift)
    return clamp(round(exact) + zero_point, lo, hi), lo < exact + zero_point < hi
