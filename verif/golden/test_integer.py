# SPDX-License-Identifier: Apache-2.0
"""INT4 and UINT4 against exact fractions: rounding, ranges, SAWB, PACT, degenerate tensors."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import integer
from golden.formats import INT4, INT4_SYM, UINT4
from golden.integer import Range
from verif.golden.oracles import INTEGERS, PROPERTY, integer_code

FINITE = st.floats(-(2.0**40), 2.0**40, allow_nan=False)
TENSORS = st.lists(FINITE, min_size=1, max_size=20)


@pytest.mark.parametrize("fmt", INTEGERS, ids=lambda f: f.name)
@pytest.mark.parametrize("zero_point", [0, -8, 3, 300])
def test_encode_equals_exact_fractions(fmt, zero_point):
    rng = np.random.default_rng(4)
    for scale in (1.0, 0.125, 2.0**-30, 1 / 3, 0.1, 7e9):
        # steps of 1/8 hold every tie and saturate at both ends; random values beside them
        grid = (np.arange(-200, 201) / 8 - zero_point) * scale
        x = np.concatenate([grid if scale in (1.0, 0.125, 2.0**-30) else [], scale * (
            rng.uniform(-20, 20, 300) - zero_point)])
        expected = [
            integer_code(Fraction(v), Fraction(scale), zero_point, fmt) for v in x.tolist()
        ]
        codes = integer.encode(x, Range(fmt, scale, zero_point))
        assert codes.dtype == np.int8 and codes.tolist() == expected


def test_ties_go_to_even():
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    assert integer.encode(x, Range(INT4, 1.0)).tolist() == [-2, -2, 0, 0, 2, 2, 4]
    assert integer.encode(x, Range(INT4, 1.0, 1)).tolist() == [-1, -1, 1, 1, 3, 3, 5]


@pytest.mark.parametrize("fmt", INTEGERS, ids=lambda f: f.name)
def test_saturates_at_both_ends(fmt):
    x = np.array([-1e300, fmt.lo - 0.51, fmt.lo - 0.5, fmt.hi + 0.5, fmt.hi + 1, 1e300])
    assert integer.encode(x, Range(fmt, 1.0)).tolist() == [fmt.lo] * 3 + [fmt.hi] * 3
    # quotients that overflow binary64 saturate as well, in every rounding
    x = np.array([-1e300, 1e300])
    for words in (None, np.array([0, 15])):
        codes = integer.encode(x, Range(fmt, 1e-300), words=words, bits=4)
        assert codes.tolist() == [fmt.lo, fmt.hi]


@PROPERTY
@given(st.sampled_from(INTEGERS), st.floats(1e-6, 1e6), st.integers(-20, 20))
def test_decode_then_encode_is_the_identity(fmt, scale, zero_point):
    rng = Range(fmt, scale, zero_point)
    codes = np.arange(fmt.lo, fmt.hi + 1)
    np.testing.assert_array_equal(integer.encode(integer.decode(codes, rng), rng), codes)
    np.testing.assert_array_equal(integer.decode(codes, rng), scale * (codes - float(zero_point)))


@PROPERTY
@given(TENSORS, st.floats(1e-6, 1e6), st.sampled_from(INTEGERS))
def test_encode_is_monotone(x, scale, fmt):
    codes = integer.encode(np.sort(x), Range(fmt, scale))
    assert (np.diff(codes) >= 0).all()


@PROPERTY
@given(TENSORS, st.floats(1e-6, 1e6))
def test_symmetric_codes_change_sign_with_the_value(x, scale):
    rng = Range(INT4_SYM, scale)
    np.testing.assert_array_equal(
        integer.encode(-np.array(x), rng), -integer.encode(np.array(x), rng)
    )


def test_range_mode_of_the_unit_interval():
    rng = integer.range_of([0.0, 0.3, 1.0])
    assert rng == Range(INT4, 1 / 15, -8)
    assert integer.encode([0.0, 0.3, 1.0], rng).tolist() == [-8, -4, 7]


@PROPERTY
@given(TENSORS)
def test_range_mode_spans_the_codes(x):
    rng = integer.range_of(x)
    codes = integer.encode(x, rng)
    if rng.degenerate:
        assert (rng.fmt, rng.scale) == (INT4, 1.0)
    else:
        assert codes.min() == -8 and codes.max() in (6, 7)  # 6: see the next test
        assert rng.scale == (max(x) - min(x)) / 15


def test_range_mode_rounds_both_ends_to_even():
    # -6.5 and 8.5 are ties: 15 steps apart, but 14 after rounding
    rng = integer.range_of([-6.5, 8.5])
    assert rng == Range(INT4, 1.0, -2)
    assert integer.encode([-6.5, 8.5], rng).tolist() == [-8, 6]


@pytest.mark.parametrize(("x", "zero_point", "code"), [
    ([], 0, []), ([0.0], 0, [0]), ([5.0, 5.0], -5, [0, 0]), ([0.4], 0, [0]), ([-2.5], 2, [0]),
    ([2.0**53 - 15], -(2**53 - 15), [0]), ([1e308], -(2**53 - 15), [7]),
    ([-1e308], 2**53 - 15, [-8]), ([0.0, 5e-324], 0, [0, 0]),
])
def test_degenerate_range(x, zero_point, code):
    rng = integer.range_of(x)
    assert rng == Range(INT4, 1.0, zero_point, degenerate=True)
    assert integer.encode(x, rng).tolist() == code


def test_range_wider_than_binary64():
    x = np.array([-1.7e308, 0.0, 1.7e308])
    rng = integer.range_of(x)
    assert not rng.degenerate
    assert integer.encode(x, rng).tolist() == [-8, 0, 7]


def test_symmetric_max():
    assert integer.symmetric_max([-3.5, 1.0]) == Range(INT4_SYM, 0.5)
    assert integer.symmetric_max([3.5], fmt=INT4) == Range(INT4, 0.5)
    assert integer.symmetric_max([30.0], fmt=UINT4) == Range(UINT4, 2.0)
    for x in ([], [0.0, -0.0]):
        assert integer.symmetric_max(x) == Range(INT4_SYM, 1.0, degenerate=True)


def test_sawb_against_decimals():
    rng = np.random.default_rng(7)
    for w in (rng.normal(size=500), rng.uniform(-1, 1, 500), rng.laplace(size=501) * 1e-3):
        exact = [Decimal(v) for v in w.tolist()]
        square = sum(v * v for v in exact) / len(exact)
        mean = sum(abs(v) for v in exact) / len(exact)
        alpha = Decimal("12.035") * square.sqrt() - Decimal("12.03") * mean
        assert integer.sawb_alpha(w) == pytest.approx(float(alpha), rel=1e-12)
        assert integer.sawb(w) == Range(INT4_SYM, integer.sawb_alpha(w) / 7)
        assert abs(integer.encode(w, integer.sawb(w))).max() == 7


def test_sawb_falls_back_to_the_maximum():
    # the squares underflow, or overflow: the moments say nothing
    assert integer.sawb_alpha([1e-200, -3e-200]) == 3e-200
    assert integer.sawb_alpha([1e200, -3e200]) == 3e200
    # equal magnitudes, of which the published coefficients would leave 0.005, and nearly equal ones
    assert integer.sawb_alpha([1.0, -1.0]) == 1
    assert integer.sawb_alpha([1.0, -0.7, 0.9]) == 1
    # alpha of 1 and w is less than their mean from w = 0.41347 on
    assert integer.sawb_alpha([1.0, 0.4135]) == 1
    assert integer.sawb_alpha([1.0, 0.4134]) == pytest.approx(0.70694, abs=1e-5)
    for w in ([], [0.0, 0.0]):
        assert integer.sawb_alpha(w) == 0
        assert integer.sawb(w) == Range(INT4_SYM, 1.0, degenerate=True)
        assert integer.encode(w, integer.sawb(w)).tolist() == [0] * len(w)


def test_pact():
    rng = integer.pact(7.5)
    assert rng == Range(UINT4, 0.5)
    x = np.array([-1.0, -0.0, 0.0, 0.25, 0.75, 7.49, 7.5, 8.0])
    assert integer.encode(x, rng).tolist() == [0, 0, 0, 0, 2, 15, 15, 15]
    assert integer.pact_mask(x, 7.5).tolist() == [
        False, False, False, True, True, True, False, False]


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.inf])
def test_pact_refuses_other_alphas(alpha):
    with pytest.raises(ValueError, match=f"PACT alpha = {alpha} is out of range: expected a fin"):
        integer.pact(alpha)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_range_has_a_positive_scale(scale):
    with pytest.raises(ValueError, match=f"scale = {scale} is out of range: expected a finite"):
        Range(INT4, scale)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [
    lambda x: integer.encode(x, Range(INT4, 1.0), name="t"),
    lambda x: integer.range_of(x, name="t"),
    lambda x: integer.symmetric_max(x, name="t"),
    lambda x: integer.sawb(x, name="t"),
    lambda x: integer.pact_mask(x, 1.0, name="t"),
])
def test_nan_and_inf_are_refused(function, bad):
    text = f"tensor 't' holds {bad} at index (1,): only finite values can be quantised"
    with pytest.raises(ValueError, match=re.escape(text)):
        function(np.array([0.0, bad]))


def test_decode_refuses_codes_of_another_format():
    with pytest.raises(ValueError, match="code 8 of 'codes' at index"):
        integer.decode(np.array([8]), Range(INT4, 1.0))
