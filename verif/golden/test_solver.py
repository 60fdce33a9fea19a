# SPDX-License-Identifier: Apache-2.0
"""The golden solver against exact arithmetic, and against the float quantisers."""

import math
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import integer
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import INT32
from golden.gradscale import GradScale
from golden.solver import (
    SAWB_BITS,
    SAWB_COUNT,
    SAWB_SLOPE,
    SAWB_UNIT,
    Request,
    Solution,
    SolveError,
    SolveMode,
    nearest,
    sawb_divisor,
    solve,
)
from golden.statistics import MAX_ELEMENTS, NOTHING, Statistics, measure
from verif.golden.oracles import PROPERTY

EXACT_BITS = 200  # of the reference's square root
SAWB_BOUND = Fraction(501, 1000)  # units of M, as documented
THRESHOLD = Fraction(2606, 2407)  # r / S1 where SAWB's alpha is the mean magnitude


def assert_nearest(scale: Dyadic, numerator: int, divisor: int):
    """|M / 2**s - numerator / divisor| is at most half a step, and even where it is half."""
    assert 2**15 <= scale.multiplier < 2**16
    twice = 2 * abs(scale.multiplier * divisor - (numerator << scale.shift))
    assert twice <= divisor and (twice < divisor or scale.multiplier % 2 == 0)


def spans(rng):
    yield from range(1, 3000)
    yield from (2**32 - 1 - i for i in range(100))
    for bits in range(1, 33):
        yield from (int(d) for d in rng.integers(1, 2**bits, 50))
        yield 2**bits - 1


def test_quotients_are_nearest():
    """Divisors small and exhaustive, large, and random of every width."""
    rng = np.random.default_rng(3)
    for span in spans(rng):
        low = int(rng.integers(INT32.lo, INT32.hi - span + 1))
        solution = solve(Request(SolveMode.RANGE, Statistics(2, low, low + span)))
        assert_nearest(solution.scale, 15, span)
        assert solution.scale == Dyadic.nearest(Fraction(15, span))
        for mode, numerator in ((SolveMode.SYMMETRIC, 7), (SolveMode.LUQ, 64)):
            solution = solve(Request(mode, Statistics(1, largest=span)))
            assert_nearest(solution.scale, numerator, span)
        exponent = int(rng.integers(-20, 16))
        solution = solve(Request(SolveMode.PACT, alpha=span, exponent=exponent))
        wanted = Fraction(15, span) * Fraction(2) ** exponent
        if Fraction(1, 2**48) <= wanted <= 65535:
            assert not solution.unreachable
            assert_nearest(solution.scale, wanted.numerator, wanted.denominator)


def test_reach():
    largest, smallest = Dyadic(65535, 0), Dyadic(32768, 63)
    for value, expected in (
            (Fraction(65535), (largest, False)), (Fraction(65535 * 4 + 1, 4), (largest, False)),
            (Fraction(65535 * 2 + 1, 2), (largest, True)), (Fraction(2**40), (largest, True)),
            (Fraction(1, 2**48), (smallest, False)), (Fraction(1, 2**49), (smallest, True)),
            (Fraction(2**18 - 1, 2**66), (smallest, False))):
        assert nearest(value) == expected


@PROPERTY
@given(st.integers(INT32.lo, INT32.hi), st.integers(INT32.lo, INT32.hi))
def test_zero_point(a, b):
    low, high = min(a, b), max(a, b)
    solution = solve(Request(SolveMode.RANGE, measure([a, b])))
    if low == high:
        expected = -low
    else:
        scale = solution.scale
        expected = -8 - round(Fraction(low * scale.multiplier, 2**scale.shift))
    assert solution.degenerate == (low == high)
    assert solution.saturated == (not -(2**15) <= expected < 2**15)
    assert solution.zero_point == max(-(2**15), min(2**15 - 1, expected))


def sawb_error(count: int, total: int, squares: int, largest: int) -> Fraction:
    """The farthest that M of `solve` can lie from the exact value, in units of M. On the threshold,
    as far as the documented floors can move it, either of the two values is the exact one."""
    stats = Statistics(count, largest=largest, sum_abs=total, sum_squares=squares)
    solution = solve(Request(SolveMode.SAWB, stats))
    assert not (solution.degenerate or solution.unreachable or solution.saturated)
    root = math.isqrt(count * squares << 2 * EXACT_BITS)
    alphas = [Fraction(12035 * bound - (12030 * total << EXACT_BITS), 1000 * count << EXACT_BITS)
              for bound in (root, root + 1)]
    error, other = (max(abs(solution.scale.multiplier - 7 / alpha * 2**solution.scale.shift)
                        for alpha in values) for values in (alphas, [largest]))
    away = Fraction(root, total << EXACT_BITS) / THRESHOLD - 1 if total else 1
    if abs(away) < Fraction(1, 2**29):
        return min(error, other)
    return other if away < 0 else error


def sums(stats: Statistics) -> tuple:
    return stats.count, stats.sum_abs, stats.sum_squares, stats.largest


def test_sawb_small_tensors_exhaustive():
    worst = 0
    for size in range(1, 7):
        for x in combinations_with_replacement(range(7), size):
            if any(x):
                stats = measure(x)
                worst = max(worst, sawb_error(*sums(stats)))
    assert worst < SAWB_BOUND


def adversarial(rng):
    """(n, S1, S2, max): all equal, one off by a step, one outlier, two levels, any count and size;
    two levels so far apart that alpha is nearly the mean."""
    for _ in range(4000):
        count = int(rng.integers(1, MAX_ELEMENTS + 1)) >> int(rng.integers(0, 32)) or 1
        count = MAX_ELEMENTS if rng.random() < 0.1 else count
        v = int(rng.integers(1, 2**31 + 1)) >> int(rng.integers(0, 31)) or 1
        yield count, count * v, count * v * v, v
        yield count, v, v * v, v
        w = max(0, v - 1)
        if count > 1 or w:
            yield count, (count - 1) * v + w, (count - 1) * v * v + w * w, max(v, w)
        some = int(rng.integers(0, count + 1))
        w = int(rng.integers(0, 2**31 + 1)) >> int(rng.integers(0, 31))
        if some * w + (count - some) * v:
            yield (count, some * w + (count - some) * v,
                   some * w * w + (count - some) * v * v, max(v if some < count else 0, w))
        w, half = threshold_of(v) + int(rng.integers(-1, 3)), count // 2
        if half and 0 < w <= v:
            yield 2 * half, half * (v + w), half * (v * v + w * w), v


def threshold_of(v: int) -> int:
    """The least w for which SAWB's alpha of half v and half w is less than the mean."""
    low, high = 0, v
    while low < high:
        w = (low + high) // 2
        if 2 * (v * v + w * w) * 2407**2 < (2606 * (v + w))**2:
            high = w
        else:
            low = w + 1
    return low


def test_sawb_adversarial_sums():
    worst = max(sawb_error(*found) for found in adversarial(np.random.default_rng(5)))
    assert Fraction(1, 2) < worst < SAWB_BOUND  # the rounding alone may cost half a unit


def test_sawb_random_tensors():
    rng = np.random.default_rng(6)
    for _ in range(300):
        x = rng.normal(size=int(rng.integers(1, 2000))) * 2.0 ** rng.integers(0, 29)
        stats = measure(np.rint(x).astype(np.int64))
        if stats.sum_squares:
            assert sawb_error(*sums(stats)) < SAWB_BOUND


def test_sawb_divisor_never_vanishes():
    """The documented bounds of the divisor: 32 bits, and at least the root."""
    for count, total, squares, _ in adversarial(np.random.default_rng(8)):
        divisor, exponent = sawb_divisor(count, total, squares)
        assert divisor.bit_length() == SAWB_BITS
        root = math.isqrt(count * squares << 2 * 64)
        value = Fraction(divisor * 2**64) * Fraction(2) ** exponent
        assert value > root * (1 - Fraction(1, 2**29))


def test_sawb_without_signs_is_twice_as_large():
    """Every small tensor, and others on both sides of the mean."""
    rng = np.random.default_rng(12)
    tensors = [x for size in range(1, 6) for x in combinations_with_replacement(range(7), size)]
    tensors += [rng.integers(0, 2 ** int(rng.integers(1, 32)), 50) for _ in range(300)]
    for x in tensors:
        stats = measure(x)
        signed, unsigned = (solve(Request(mode, stats)) for mode in (
            SolveMode.SAWB, SolveMode.SAWB_UNSIGNED))
        assert signed.degenerate == unsigned.degenerate == (not np.any(x))
        assert unsigned.scale.value == signed.scale.value * (1 if signed.degenerate else 2)


def test_sawb_constants():
    assert (SAWB_SLOPE, SAWB_COUNT, SAWB_UNIT) == (2406, 1400, 200)
    assert 12035 * SAWB_SLOPE == 12030 * (SAWB_SLOPE + 1)
    assert THRESHOLD == Fraction(12030 + 1000, 12035)


@pytest.mark.parametrize("magnitude", [1, 2, 7, 100_000, 2**31 - 1, 2**31])
@pytest.mark.parametrize("count", [1, 2, 3, 1000, MAX_ELEMENTS])
def test_sawb_of_equal_magnitudes_is_the_maximum(magnitude, count):
    stats = Statistics(count, -magnitude, -magnitude, magnitude, count * magnitude,
                       count * magnitude**2)
    symmetric = solve(Request(SolveMode.SYMMETRIC, stats))
    assert solve(Request(SolveMode.SAWB, stats)) == symmetric
    assert symmetric.scale == Dyadic.nearest(Fraction(7, magnitude))


@pytest.mark.parametrize("v", [100, 12_345, 2**20 + 7, 10**7 + 19])
def test_sawb_on_both_sides_of_the_mean(v):
    """Half v and half w: at the least w whose alpha is below the mean, alpha is v; one less keeps
    SAWB's. So does an alpha that is the mean exactly: r = 2606, S1 = 2407."""
    w = threshold_of(v)
    for second, below in ((w, True), (w - 1, False), (v, True), (0, False)):
        stats = measure([v, -second])
        scale = solve(Request(SolveMode.SAWB, stats)).scale
        symmetric = solve(Request(SolveMode.SYMMETRIC, stats)).scale
        assert (scale == symmetric) == below
        assert abs(scale.value * integer.sawb([v, -second]).scale - 1) < 2.0**-15
    exact = Statistics(2606**2, largest=2606, sum_abs=2407 * 2606, sum_squares=2606**2)
    assert solve(Request(SolveMode.SAWB, exact)).scale == Dyadic.nearest(Fraction(7 * 2606, 2407))


def test_sawb_of_other_tensors_is_as_published():
    rng = np.random.default_rng(10)
    for x in (rng.normal(size=2000), rng.uniform(-1, 1, 2000), rng.laplace(size=2000)):
        stats = measure(np.rint(x * 1e6).astype(np.int64))
        divisor, exponent = sawb_divisor(stats.count, stats.sum_abs, stats.sum_squares)
        wanted = Fraction(SAWB_COUNT * stats.count, divisor) / Fraction(2) ** exponent
        assert solve(Request(SolveMode.SAWB, stats)).scale == Dyadic.nearest(wanted)


def test_agrees_with_float_quantisers():
    """The float model in the same units: scales within rounding, zero points within one step."""
    rng = np.random.default_rng(9)
    for _ in range(200):
        x = np.rint(rng.normal(rng.normal(), size=200) * 2.0 ** rng.integers(8, 28))
        stats = measure(x.astype(np.int64))
        solution = solve(Request(SolveMode.RANGE, stats))
        wanted = integer.range_of(x)
        assert abs(solution.scale.value * wanted.scale - 1) <= 2.0**-16
        assert abs(solution.zero_point - wanted.zero_point) <= 1
        for mode, wanted in ((SolveMode.SYMMETRIC, integer.symmetric_max(x)),
                             (SolveMode.SAWB, integer.sawb(x))):
            scale = solve(Request(mode, stats)).scale.value
            assert abs(scale * wanted.scale - 1) <= 0.65 * 2.0**-15 + 1e-12
        alpha, exponent = int(stats.largest), int(rng.integers(-8, 9))
        scale = solve(Request(SolveMode.PACT, alpha=alpha, exponent=exponent)).scale.value
        assert abs(scale * integer.pact(alpha * 2.0**-exponent).scale - 1) <= 2.0**-16


@PROPERTY
@given(st.integers(0, 2**32 - 1), st.integers(2**15, 2**16 - 1), st.integers(0, 63),
       st.integers(-40, 40))
def test_grad_scale_agrees(largest, multiplier, shift, exponent):
    expected = GradScale(exponent)
    expected.update(math.ldexp(largest * multiplier, -shift))  # exact: 48 bits
    request = Request(SolveMode.GRADSCALE, Statistics(1, largest=largest), exponent=exponent,
                      scale=Dyadic(multiplier, shift))
    assert solve(request, strict=True) == Solution(
        request.scale, exponent=expected.exponent, limited=expected.limited)


@pytest.mark.parametrize("largest, exponent, after", [
    (0, 3, 3), (32, 3, 4), (33, 3, 3), (64, 3, 3), (65, 3, 2), (1, 40, 40), (65, -40, -40)])
def test_grad_scale_thresholds(largest, exponent, after):
    request = Request(SolveMode.GRADSCALE, Statistics(1, largest=largest), exponent=exponent)
    solution = solve(request)
    assert (solution.exponent, solution.limited) == (after, abs(exponent) == 40)


@pytest.mark.parametrize("mode", [m for m in SolveMode if m != SolveMode.GRADSCALE])
def test_degenerate(mode):
    constant = measure([41, 41])
    for stats, zero_point in ((NOTHING, 0), (measure([0, 0]), 0), (constant, -41)):
        if stats == constant and mode != SolveMode.RANGE:
            continue
        request = Request(mode, stats, exponent=5)
        zero_point = zero_point if mode == SolveMode.RANGE else 0
        assert solve(request) == Solution(IDENTITY, zero_point, 5, degenerate=True)
        with pytest.raises(SolveError, match=f"no {mode.name} scale: the tensor is empty or has"):
            solve(request, strict=True)
    if mode == SolveMode.RANGE:
        assert integer.range_of([41, 41]).zero_point == -41


def test_strict_errors():
    with pytest.raises(SolveError, match=r"no PACT scale: the scale lies outside 2\*\*-48\.\.6"):
        solve(Request(SolveMode.PACT, alpha=1, exponent=20), strict=True)
    with pytest.raises(SolveError, match="no RANGE scale: the zero point lies outside 16 bits"):
        solve(Request(SolveMode.RANGE, measure([100_000, 100_001])), strict=True)


@pytest.mark.parametrize("mode, operands, text", [
    (7, {}, "mode = 7 is unknown: expected one of SolveMode.RANGE, "),
    (SolveMode.PACT, {"alpha": 2**32}, "alpha = 4294967296 is out of range: expected an integer 0"),
    (SolveMode.PACT, {"exponent": 64}, r"exponent = 64 is out of range: .* integer -64\.\.63"),
    (SolveMode.GRADSCALE, {"exponent": 41}, r"exponent = 41 is out of range: .* -40\.\.40"),
    (SolveMode.SAWB, {"statistics": Statistics(2, sum_abs=3, sum_squares=4)},
     "sum_abs = 3 is too large for count = 2 and sum_squares = 4: no tensor has these sums"),
    (SolveMode.SAWB_UNSIGNED, {"statistics": Statistics(2, largest=1, sum_abs=3, sum_squares=5)},
     "sum_abs = 3 is too large for count = 2 and largest = 1: no tensor has these magnitudes"),
])
def test_refused_requests(mode, operands, text):
    with pytest.raises(ValueError, match=text):
        Request(mode, **operands)
