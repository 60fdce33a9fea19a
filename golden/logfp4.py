# SPDX-License-Identifier: Apache-2.0
"""Logarithmic FP4: radix 4 ([Sun20] 3.1, two phases), radix 2 (LUQ), and any base > 1 here.

Levels are `64 * base**(c - 7)` for c = 1..7, in the odd phase divided by sqrt(base): radix 4 gives
the table of [Sun20], radix 2 gives 1, 2, .. 64. Nearest rounds at the arithmetic midpoint of
neighbouring levels (L / 1.6 for radix 4), also below the lowest; ties go up in magnitude; values
above the top level saturate.
"""

import numpy as np

from golden.formats import FP4_R4, LogFormat, Phase, check_codes, check_finite
from golden.stochastic import coarse_bits, round_up

SIGN = 8
JOINT_SIGN = 16  # sign bit of the 5-bit joint code
JOINT_STEPS = 14


def levels(fmt: LogFormat | float, phase: Phase = Phase.EVEN) -> np.ndarray:
    """The eight magnitudes (0 and seven levels) of a format or of any base > 1, float64."""
    base = fmt.radix if isinstance(fmt, LogFormat) else float(fmt)
    if not 1 < base < np.inf:
        raise ValueError(f"base {base!r} is out of range: expected a finite number > 1")
    steps = np.arange(-LogFormat.LEVELS + 1, 1, dtype=np.float64)
    top = LogFormat.TOP / base**0.5 if phase == Phase.ODD else LogFormat.TOP
    return np.concatenate([[0.0], top * base**steps])


def boundaries(fmt: LogFormat | float, phase: Phase = Phase.EVEN) -> np.ndarray:
    """The seven magnitudes at which nearest rounding goes up to c = 1..7."""
    base = fmt.radix if isinstance(fmt, LogFormat) else float(fmt)
    return levels(fmt, phase)[1:] * (1 + 1 / base) / 2


def encode(
    y, fmt: LogFormat | float = FP4_R4, phase: Phase = Phase.EVEN, *, words=None, bits: int = 0,
    name: str = "y",
) -> np.ndarray:
    """Codes `sign << 3 | c` of `y`, int8, same shape; zero is always +0.

    Parameters
    ----------
    y : finite floats (a gradient already divided by its scale); ValueError otherwise.
    fmt : FP4_R4, FP4_R2, or any base > 1.
    words, bits : random words for stochastic rounding (see `golden.stochastic`): below the lowest
        level the whole word decides, between levels its top half; None rounds to nearest.
    """
    y = check_finite(name, y)
    magnitude = np.abs(y)
    if words is None:
        c = np.searchsorted(boundaries(fmt, phase), magnitude, side="right")
    else:
        level = levels(fmt, phase)
        lower = np.clip(np.searchsorted(level, magnitude, side="right") - 1, 0, 6)
        gap = level[lower + 1] - level[lower]
        above = np.minimum(magnitude - level[lower], gap)
        fine = round_up(above, gap, words, bits)
        few = coarse_bits(bits)
        coarse = round_up(above, gap, np.asarray(words) >> (bits - few), few)
        c = lower + np.where(lower == 0, fine, coarse)
    return _with_sign(c, y < 0, SIGN)


def decode(codes, fmt: LogFormat | float = FP4_R4, phase: Phase = Phase.EVEN) -> np.ndarray:
    """Values of 4-bit codes, float64; -0 decodes as 0."""
    codes = check_codes("codes", codes, FP4_R4)
    value = levels(fmt, phase)[codes & 7]
    return np.where((codes & SIGN != 0) & (value > 0), -value, value)


def joint_encode(y, *, name: str = "y") -> np.ndarray:
    """Both phases of radix 4 in 5 bits: `sign << 4 | q`, q = 0 (zero) or 1..14, int8.

    `q = clip(floor(log2(1.6 |y|)) + 8, 0, 14)`, found with one leading-one detector.
    """
    y = check_finite(name, y)
    mantissa, exponent = np.frexp(np.abs(y))  # mantissa in [0.5, 1)
    return joint_of(mantissa, exponent, y < 0)


def joint_of(mantissa, exponent, negative) -> np.ndarray:
    """Joint codes of `mantissa * 2**exponent`, mantissa in [0.5, 1) or 0 (as numpy.frexp)."""
    j = exponent - 1 + (mantissa >= 0.625)  # 0.625 * 2 = 1.25
    q = np.where(mantissa == 0, 0, np.clip(j + 8, 0, JOINT_STEPS))
    return _with_sign(q, negative, JOINT_SIGN)


def joint_decode(joint, phase: Phase) -> np.ndarray:
    """The 4-bit codes of one phase from joint codes, int8."""
    joint = np.asarray(joint)
    if joint.dtype.kind not in "iu" or (
        (joint < 0) | (joint >= 2 * JOINT_SIGN) | (joint % JOINT_SIGN > JOINT_STEPS)
    ).any():
        raise ValueError(
            f"joint codes are out of range: expected sign << 4 | q with q 0..{JOINT_STEPS}"
        )
    q = joint % JOINT_SIGN
    return _with_sign((q + int(phase)) >> 1, joint & JOINT_SIGN != 0, SIGN)


def _with_sign(c, negative, sign: int) -> np.ndarray:
    return (c | np.where(negative & (c > 0), sign, 0)).astype(np.int8)
