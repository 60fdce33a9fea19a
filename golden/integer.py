# SPDX-License-Identifier: Apache-2.0
"""INT4 and UINT4: round to nearest even, range mode, SAWB, PACT, symmetric maximum.

`code = clamp(rne(x / scale) + zero_point, lo, hi)`. Sources: PACT (Choi 2018), SAWB (Choi 2019).
A degenerate range (empty or all-equal tensor) gives scale 1 and the flag `degenerate`.
"""

from dataclasses import dataclass

import numpy as np

from golden import checks
from golden.flushing import SOUND, check_kept
from golden.formats import (
    A_FORMATS,
    HOST_ZERO_POINT,
    INT4,
    INT4_SYM,
    UINT4,
    IntFormat,
    as_format,
    check_codes,
    check_finite,
)
from golden.stochastic import round_up
from golden.tensor import Quantised

SAWB_RMS, SAWB_MEAN = 12.035, 12.03  # alpha = 12.035 sqrt(E[w^2]) - 12.03 E[|w|]


@dataclass(frozen=True)
class Range:
    """How a tensor is quantised: format, scale, zero point; `degenerate` if it had no extent.

    Members
    -------
    fmt : INT4, INT4_SYM or UINT4.
    scale : float > 0.
    zero_point : +/-(2**53 - 15): float64 holds every code minus it exactly. The hardware's have 16
        bits.

    ValueError that names the member otherwise.
    """

    fmt: IntFormat
    scale: float
    zero_point: int = 0
    degenerate: bool = False

    def __post_init__(self):
        as_format("fmt", self.fmt, A_FORMATS)
        checks.real(self, "scale", checks.POSITIVE)
        checks.integer(self, "zero_point", -HOST_ZERO_POINT, HOST_ZERO_POINT)
        checks.flag(self, "degenerate")


def encode(x, rng: Range, *, words=None, bits: int = 0, name: str = "x") -> np.ndarray:
    """Codes of `x`, int8, same shape.

    Parameters
    ----------
    x : finite floats, any shape; ValueError naming `name` and the index of the first NaN or Inf.
    words, bits : integers 0..2**bits - 1 of x's shape for stochastic rounding; None rounds to
        nearest, ties to even.

    ValueError too for words that are none, and for `rng` without being a Range.
    """
    checks.as_instance("rng", rng, Range)
    x = check_finite(name, x)
    check_kept("scale", rng.scale)
    with np.errstate(over="ignore", invalid="ignore"):  # steps beyond binary64 saturate too
        steps = x / rng.scale
        if words is None:
            rounded = np.rint(steps)
        else:
            magnitude = np.minimum(np.abs(steps), np.finfo(np.float64).max)  # Inf - Inf is NaN
            floor = np.floor(magnitude)
            away = round_up(magnitude - floor, 1.0, words, bits)
            rounded = np.copysign(floor + away, steps)
        codes = np.clip(rounded + rng.zero_point, rng.fmt.lo, rng.fmt.hi)
    return codes.astype(np.int8)


def decode(codes, rng: Range) -> np.ndarray:
    """Values of the codes, float64: `scale * (code - zero_point)`.

    ValueError for what is no code of `rng`'s format.
    """
    checks.as_instance("rng", rng, Range)
    codes = check_codes("codes", codes, rng.fmt)
    check_kept("scale", rng.scale)
    return rng.scale * (codes.astype(np.float64) - rng.zero_point)


def quantise(x, rng: Range, **kwargs) -> Quantised:
    """`encode` with its scale attached; the same errors."""
    checks.as_instance("rng", rng, Range)
    return Quantised(encode(x, rng, **kwargs), rng.fmt, rng.scale, rng.zero_point)


def range_of(x, *, name: str = "x") -> Range:
    """Range mode: [min, max] of the tensor maps onto [-8, 7] ([Sun20], adaptive rescaling).

    A degenerate tensor gets scale 1 and the zero point that puts its value on code 0, as far as
    zero points and whole steps reach; an empty one the zero point 0.

    ValueError for a tensor so far from zero that its zero point is none of a Range.
    """
    x = check_finite(name, x)
    if x.size == 0:
        return Range(INT4, 1.0, 0, degenerate=True)
    lo, hi = float(x.min()), float(x.max())
    if hi != lo:
        check_kept(f"the range of tensor {name!r}", max(-lo, hi), SOUND)
    scale = (hi - lo) / 15 if hi - lo < np.inf else hi / 15 - lo / 15
    if scale == 0:
        zero_point = max(-HOST_ZERO_POINT, min(HOST_ZERO_POINT, -int(np.rint(lo))))
        return Range(INT4, 1.0, zero_point, degenerate=True)
    zero_point = INT4.lo - int(np.rint(lo / scale))
    if abs(zero_point) > HOST_ZERO_POINT:
        raise ValueError(f"tensor {name!r} of {lo}..{hi} lies too far from zero: its zero point is "
                         f"out of -{HOST_ZERO_POINT}..{HOST_ZERO_POINT}; subtract its centre first")
    return Range(INT4, scale, zero_point)


def symmetric_max(x, *, fmt: IntFormat = INT4_SYM, name: str = "x") -> Range:
    """Symmetric range: max|x| maps onto the top code of INT4, INT4_SYM or UINT4."""
    as_format("fmt", fmt, A_FORMATS)
    return _symmetric(float(np.abs(check_finite(name, x)).max(initial=0.0)), fmt)


def sawb_alpha(w, *, name: str = "w") -> float:
    """SAWB's clipping value for 4 bits, from the first two moments.

    It is max|w| where that is less than E[|w|], of tensors of nearly equal magnitudes, to which the
    coefficients were not fitted, or no finite number.
    """
    w = check_finite(name, w)
    if w.size == 0:
        return 0.0
    check_kept(f"all of tensor {name!r}", float(np.abs(w).max()), SOUND)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.mean(np.abs(w))
        alpha = SAWB_RMS * np.sqrt(np.mean(w**2)) - SAWB_MEAN * mean
    return float(alpha) if mean <= alpha < np.inf else float(np.abs(w).max())


def sawb(w, *, name: str = "w") -> Range:
    """SAWB weights: symmetric -7..7, `scale = alpha / 7`."""
    return _symmetric(sawb_alpha(w, name=name), INT4_SYM)


def pact(alpha: float) -> Range:
    """PACT activations: UINT4, [0, alpha] maps onto 0..15. ValueError unless alpha is > 0."""
    check_kept("PACT alpha", alpha, SOUND)
    alpha = checks.as_real("PACT alpha", alpha, checks.POSITIVE)
    return Range(UINT4, alpha / UINT4.hi)


def pact_mask(x, alpha: float, *, name: str = "x") -> np.ndarray:
    """Where PACT's gradient passes: `0 < x < alpha`, bool. ValueError unless alpha is > 0."""
    x = check_finite(name, x)
    alpha = checks.as_real("PACT alpha", alpha, checks.POSITIVE)
    return (0 < x) & (x < alpha)


def _symmetric(top: float, fmt: IntFormat) -> Range:
    check_kept("all of the tensor", top, SOUND)
    scale = top / fmt.hi
    if scale <= 0:
        return Range(fmt, 1.0, degenerate=True)
    return Range(fmt, scale)
