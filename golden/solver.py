# SPDX-License-Identifier: Apache-2.0
"""The scale solver: from integer statistics of a tensor to its dyadic scale and zero point.

All operands are integers, in units of the int32 fixed-point elements. Every mode but SAWB gives
exactly `Dyadic.nearest` of its quotient; SAWB, whose square root is irrational, states its
truncations in `sawb_divisor` and stays within 0.501 units of M of the exact value. Where its alpha
is below the mean magnitude (`sawb_is_below_mean`) it is SYMMETRIC instead.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from golden import checks
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import INT4, INT4_SYM, UINT4, ZERO_POINTS, LogFormat
from golden.gradscale import GradScale
from golden.integer import SAWB_MEAN, SAWB_RMS
from golden.statistics import NOTHING, Statistics

ALPHA_WIDTH = 32
EXPONENT_WIDTH = GradScale.LIMIT.bit_length() + 1  # signed: -64..63

# SAWB's scale 7 / alpha is SAWB_COUNT * n / (r + SAWB_SLOPE * (r - S1)), r = sqrt(n * S2): both
# coefficients are multiples of their difference, 5 / 1000. So alpha is that divisor, and E[|w|]
# SAWB_UNIT * S1, in units of 1 / (SAWB_UNIT * n).
_RMS, _MEAN = Fraction(str(SAWB_RMS)), Fraction(str(SAWB_MEAN))
SAWB_SLOPE = int(_MEAN / (_RMS - _MEAN))  # 2406
SAWB_UNIT = int(1 / (_RMS - _MEAN))  # 200
SAWB_COUNT = int(INT4_SYM.hi / (_RMS - _MEAN))  # 1400
SAWB_BITS = 32  # significant bits kept of S2, of the root and of the divisor


class SolveMode(IntEnum):
    """What to solve for. In brackets, which operands are read."""

    RANGE = 0  # 15 / (high - low) and the zero point that gives low the code -8 [count, low, high]
    SYMMETRIC = 1  # 7 / largest [count, largest]
    LUQ = 2  # 64 / largest: the top level of the radix-2 format [count, largest]
    PACT = 3  # 15 * 2**exponent / alpha [alpha, exponent]
    SAWB = 4  # 7 / alpha with SAWB's alpha [count, largest, sum_abs, sum_squares]
    GRADSCALE = 5  # the next exponent of a layer [largest, scale, exponent]
    SAWB_UNSIGNED = 6  # 14 / SAWB's alpha, for UINT4, of which 0..14 reach as far [as SAWB]


SAWB_MODES = (SolveMode.SAWB, SolveMode.SAWB_UNSIGNED)


class SolveError(ValueError):
    """A request without a regular answer."""


@dataclass(frozen=True)
class Request:
    """One question to the solver; operands that the mode does not read are of no consequence.

    Members
    -------
    mode : SolveMode. statistics : golden.statistics.Statistics.
    alpha : PACT's clipping value, unsigned 32 bits.
    exponent : PACT's e, -64..63; GRADSCALE's current exponent, -40..40.
    scale : GRADSCALE's: m = largest * scale is what is measured.

    ValueError for an operand out of its range, and for statistics that no tensor has.
    """

    mode: SolveMode
    statistics: Statistics = NOTHING
    alpha: int = 0
    exponent: int = 0
    scale: Dyadic = IDENTITY

    def __post_init__(self):
        checks.member(self, "mode", SolveMode)
        checks.instance(self, "statistics", Statistics)
        checks.integer(self, "alpha", 0, 2**ALPHA_WIDTH - 1)
        limit = 1 << (EXPONENT_WIDTH - 1)
        checks.integer(self, "exponent", *(
            (-GradScale.LIMIT, GradScale.LIMIT) if self.mode == SolveMode.GRADSCALE
            else (-limit, limit - 1)))
        checks.instance(self, "scale", Dyadic)
        stats = self.statistics
        if self.mode in SAWB_MODES and stats.sum_abs**2 > stats.count * stats.sum_squares:
            raise ValueError(
                f"sum_abs = {stats.sum_abs} is too large for count = {stats.count} and "
                f"sum_squares = {stats.sum_squares}: no tensor has these sums")
        if self.mode in SAWB_MODES and stats.sum_abs > stats.count * stats.largest:
            raise ValueError(
                f"sum_abs = {stats.sum_abs} is too large for count = {stats.count} and "
                f"largest = {stats.largest}: no tensor has these magnitudes")


@dataclass(frozen=True)
class Solution:
    """What the solver answers.

    Members
    -------
    scale : Dyadic; GRADSCALE's is the request's.
    zero_point : RANGE's, signed 16 bits, else 0. exponent : GRADSCALE's next, else the request's.
    degenerate : nothing to derive a scale from (an empty or all-equal tensor, a zero divisor): the
        scale is 1, RANGE's zero point gives `low` the code 0 (it is 0 if the tensor is empty).
    unreachable : the scale lies outside 2**-48..65535 and is the nearer end. PACT only.
    saturated : the zero point was clamped to 16 bits.
    limited : the exponent was held at +/-GradScale.LIMIT.
    """

    scale: Dyadic
    zero_point: int = 0
    exponent: int = 0
    degenerate: bool = False
    unreachable: bool = False
    saturated: bool = False
    limited: bool = False

    def __post_init__(self):
        checks.instance(self, "scale", Dyadic)
        checks.integer(self, "zero_point", *ZERO_POINTS)
        checks.integer(self, "exponent", -(1 << (EXPONENT_WIDTH - 1)),
                       (1 << (EXPONENT_WIDTH - 1)) - 1)
        checks.flag(self, "degenerate", "unreachable", "saturated", "limited")


def solve(request: Request, *, strict: bool = False) -> Solution:
    """The answer to a request.

    `strict` raises SolveError where `degenerate`, `unreachable` or `saturated` would be set.
    ValueError for what is no request.
    """
    checks.as_instance("request", request, Request)
    strict = checks.as_flag("strict", strict)
    if request.mode == SolveMode.GRADSCALE:
        return _grad_scale(request)
    value = _wanted(request)
    if value is None:
        scale, unreachable = IDENTITY, False
    else:
        scale, unreachable = nearest(value)
    zero_point, saturated = _zero_point(request, scale, degenerate=value is None)
    if strict and (value is None or unreachable or saturated):
        what = ("the tensor is empty or has no extent, or the divisor is 0" if value is None else
                "the scale lies outside 2**-48..65535" if unreachable else
                "the zero point lies outside 16 bits, subtract the tensor's centre first")
        raise SolveError(f"no {request.mode.name} scale: {what}; asked {request}")
    return Solution(scale, zero_point, request.exponent, value is None, unreachable, saturated)


def _wanted(request: Request) -> Fraction | None:
    """The scale before it is rounded; None where there is none."""
    mode, stats = request.mode, request.statistics
    if mode == SolveMode.PACT:
        return Fraction(UINT4.hi, request.alpha) * Fraction(2) ** request.exponent if (
            request.alpha) else None
    if mode in SAWB_MODES:
        steps = 2 if mode == SolveMode.SAWB_UNSIGNED else 1  # for one of SAWB
        if stats.count == 0 or stats.sum_squares == 0:
            return None
        divisor, exponent = sawb_divisor(stats.count, stats.sum_abs, stats.sum_squares)
        if sawb_is_below_mean(divisor, exponent, stats.sum_abs):
            return Fraction(steps * INT4_SYM.hi, stats.largest)
        return Fraction(steps * SAWB_COUNT * stats.count, divisor) / Fraction(2) ** exponent
    numerator, divisor = {
        SolveMode.RANGE: (INT4.hi - INT4.lo, stats.high - stats.low),
        SolveMode.SYMMETRIC: (INT4_SYM.hi, stats.largest),
        SolveMode.LUQ: (int(LogFormat.TOP), stats.largest),
    }[mode]
    return Fraction(numerator, divisor) if stats.count and divisor else None


def sawb_divisor(count: int, sum_abs: int, sum_squares: int) -> tuple[int, int]:
    """`d = r + SAWB_SLOPE * (r - S1)`, r = sqrt(n * S2), as a 32-bit mantissa and an exponent.

    Three floors, on the grid where the root R has 32 bits: S2 keeps 31 bits or more, which lowers r
    by less than 2**-31 of itself; so does the root's floor; S1 loses less than 2**-31 of r.
    The cancellation magnifies the first two 2407 times and the third 2406 times, but a divisor that
    is used is at least SAWB_UNIT * S1 (`sawb_is_below_mean`), hence at least 184 r: with the
    mantissa's own floor its relative error lies within 14 * 2**-30. That moves M < 2**16 by less
    than 0.001, and its rounding adds 0.5. S1 <= r (Cauchy-Schwarz); where the floors make R < S1,
    their difference, which cannot be negative, counts as 0: that keeps d >= R > 0.

    ValueError unless count and sum_squares are positive integers and sum_abs is one from 0.
    """
    count = checks.as_integer("count", count, 1)
    sum_abs = checks.as_integer("sum_abs", sum_abs, 0)
    sum_squares = checks.as_integer("sum_squares", sum_squares, 1)
    square, exponent = _even(sum_squares, SAWB_BITS)
    square, more = _even(count * square, 2 * SAWB_BITS)
    root, exponent = math.isqrt(square), (exponent + more) // 2
    total = _on_grid(sum_abs, exponent)
    divisor = root + SAWB_SLOPE * max(root - total, 0)
    dropped = divisor.bit_length() - SAWB_BITS  # 0..12
    return divisor >> dropped, exponent + dropped


def sawb_is_below_mean(divisor: int, exponent: int, sum_abs: int) -> bool:
    """Whether alpha < E[|w|]: the divisor is less than SAWB_UNIT * S1.

    The coefficients were not fitted to tensors of so nearly equal magnitudes, and alpha is max|w|
    instead. Both sides are integers on the divisor's grid, where it has 32 bits; the right one is
    floored as the divisor was, so that alpha = E[|w|] is not below. All floors together move the
    threshold, r / S1 = 2606 / 2407, by less than 2**-29 of itself.
    """
    return divisor < _on_grid(SAWB_UNIT * sum_abs, exponent)


def _on_grid(value: int, exponent: int) -> int:
    """The number in units of 2**exponent, floored."""
    return value >> exponent if exponent >= 0 else value << -exponent


def _even(value: int, width: int) -> tuple[int, int]:
    """`mantissa * 2**exponent` of a number > 0, floored to width or width - 1 bits such that the
    exponent is even."""
    exponent = value.bit_length() - width
    exponent += exponent % 2
    return _on_grid(value, exponent), exponent


def nearest(value: Fraction) -> tuple[Dyadic, bool]:
    """`Dyadic.nearest`, or the nearer end of its reach, and whether it is unreachable.

    ValueError for what is no Fraction > 0.
    """
    if not isinstance(value, Fraction) or value <= 0:
        raise ValueError(f"scale {checks.shown(value)}: expected a Fraction > 0")
    try:
        return Dyadic.nearest(value), False
    except ValueError:
        largest = (1 << Dyadic.WIDTH) - 1
        end = Dyadic(largest, 0) if value > 1 else Dyadic(IDENTITY.multiplier, Dyadic.MAX_SHIFT)
        return end, True


def _zero_point(request: Request, scale: Dyadic, *, degenerate: bool) -> tuple[int, bool]:
    """The zero point, clamped to its width, and whether it had to be."""
    stats = request.statistics
    if request.mode != SolveMode.RANGE or stats.count == 0:
        return 0, False
    steps = round(Fraction(stats.low * scale.multiplier, 2**scale.shift))  # ties to even
    wanted = (0 if degenerate else INT4.lo) - steps
    lowest, highest = ZERO_POINTS
    clamped = max(lowest, min(highest, wanted))
    return clamped, clamped != wanted


def _grad_scale(request: Request) -> Solution:
    largest, top = request.statistics.largest * request.scale.multiplier, int(LogFormat.TOP)
    unit = 2**request.scale.shift
    step = 0 if largest == 0 else (2 * largest <= top * unit) - (largest > top * unit)
    wanted = request.exponent + step
    exponent = max(-GradScale.LIMIT, min(GradScale.LIMIT, wanted))
    return Solution(request.scale, exponent=exponent, limited=exponent != wanted)
