# SPDX-License-Identifier: Apache-2.0
"""Logarithmic FP4: radix 4 ([Sun20] 3.1, two phases), radix 2 (LUQ), and any base > 1 here.

Levels are `64 * base**(c - 7)` for c = 1..7, in the odd phase divided by sqrt(base): radix 4 gives
the table of [Sun20], radix 2 gives 1, 2, .. 64. Nearest rounds at the arithmetic midpoint of
neighbouring levels (L / 1.6 for radix 4), also below the lowest; ties go up in magnitude; values
above the top level saturate.
"""

import numpy as np

from golden import checks
from golden.formats import FP4_R4, LogFormat, Phase, check_codes, check_finite
from golden.stochastic import coarse_bits, round_up

SIGN = 8
JOINT_SIGN = 16  # sign bit of the 5-bit joint code
JOINT_STEPS = 14
MAX_BASE = 2.0**128  # the lowest level of a much larger one would be no normal float64
BASES = checks.Reals("a log format or a base, a number > 1 up to 2**128",
                     lambda base: 1 < base <= MAX_BASE)


def base_of(fmt: LogFormat | float) -> float:
    """The base of a log format, or the number that is one itself; ValueError if it is neither."""
    return fmt.radix if isinstance(fmt, LogFormat) else checks.as_real("fmt", fmt, BASES)


def levels(fmt: LogFormat | float, phase: Phase = Phase.EVEN) -> np.ndarray:
    """The eight magnitudes (0 and seven levels) of a format or of any base > 1, float64.

    ValueError for what is neither, and for a phase that is none.
    """
    base = base_of(fmt)
    odd = checks.as_member("phase", phase, Phase) == Phase.ODD
    steps = np.arange(-LogFormat.LEVELS + 1, 1, dtype=np.float64)
    top = LogFormat.TOP / base**0.5 if odd else LogFormat.TOP
    return np.concatenate([[0.0], top * base**steps])


def boundaries(fmt: LogFormat | float, phase: Phase = Phase.EVEN) -> np.ndarray:
    """The seven magnitudes at which nearest rounding goes up to c = 1..7; errors as `levels`."""
    return levels(fmt, phase)[1:] * (1 + 1 / base_of(fmt)) / 2


def encode(
    y, fmt: LogFormat | float = FP4_R4, phase: Phase = Phase.EVEN, *, words=None, bits: int = 0,
    name: str = "y",
) -> np.ndarray:
    """Codes `sign << 3 | c` of `y`, int8, same shape; zero is always +0.

    Parameters
    ----------
    y : finite floats (a gradient already divided by its scale); ValueError otherwise.
    fmt : FP4_R4, FP4_R2, or any base > 1. phase : Phase.
    words, bits : random words for stochastic rounding (see `golden.stochastic`): below the lowest
        level the whole word decides, between levels its top half; None rounds to nearest.

    ValueError that names the argument otherwise.
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
        coarse = round_up(above, gap, np.asarray(words) >> int(bits - few), few)
        c = lower + np.where(lower == 0, fine, coarse)
    return _with_sign(c, y < 0, SIGN)


def decode(codes, fmt: LogFormat | float = FP4_R4, phase: Phase = Phase.EVEN) -> np.ndarray:
    """Values of 4-bit codes, float64; -0 decodes as 0. ValueError for what is no code or phase."""
    codes = check_codes("codes", codes, FP4_R4)
    value = levels(fmt, phase)[codes & 7]
    return np.where((codes & SIGN != 0) & (value > 0), -value, value)


def joint_encode(y, *, name: str = "y") -> np.ndarray:
    """Both phases of radix 4 in 5 bits: `sign << 4 | q`, q = 0 (zero) or 1..14, int8.

    `q = clip(floor(log2(1.6 |y|)) + 8, 0, 14)`, found with one leading-one detector.
    """
    y = check_finite(name, y)
    mantissa, exponent = np.frexp(np.abs(y))  # mantissa in [0.5, 1), or 0
    j = exponent - 1 + (mantissa >= 0.625)  # 0.625 * 2 = 1.25
    q = np.where(mantissa == 0, 0, np.clip(j + 8, 0, JOINT_STEPS))
    return _with_sign(q, y < 0, JOINT_SIGN)


def joint_decode(joint, phase: Phase) -> np.ndarray:
    """The 4-bit codes of one phase from joint codes, int8. ValueError for what is none of them."""
    phase, joint = checks.as_member("phase", phase, Phase), checks.as_array("joint codes", joint)
    if joint.dtype.kind not in "iu" or (
        (joint < 0) | (joint >= 2 * JOINT_SIGN) | (joint % JOINT_SIGN > JOINT_STEPS)
    ).any():
        raise ValueError(
            f"joint codes = {checks.shown(joint)} are out of range: expected integers "
            f"sign << 4 | q with q 0..{JOINT_STEPS}"
        )
    q = joint % JOINT_SIGN
    return _with_sign((q + int(phase)) >> 1, joint & JOINT_SIGN != 0, SIGN)


def _with_sign(c, negative, sign: int) -> np.ndarray:
    return (c | np.where(negative & (c > 0), sign, 0)).astype(np.int8)
