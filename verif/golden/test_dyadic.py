# SPDX-License-Identifier: Apache-2.0
"""Dyadic scales and fixed-point inputs against exact fractions."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.checks import shown
from golden.dyadic import IDENTITY, Dyadic
from golden.fixed_point import to_fixed
from verif.golden.oracles import PROPERTY

SMALLEST, LARGEST = Fraction(1, 2**48), Fraction(65535)


def distance(dyadic, value):
    return abs(Fraction(dyadic.multiplier, 2**dyadic.shift) - value)


@PROPERTY
@given(st.fractions(SMALLEST, LARGEST) | st.floats(float(SMALLEST), float(LARGEST)))
def test_nearest_is_nearest(value):
    dyadic, value = Dyadic.nearest(value), Fraction(value)
    assert 32768 <= dyadic.multiplier <= 65535
    assert distance(dyadic, value) <= value / 2**16
    half = Fraction(1, 2 ** (dyadic.shift + 1))  # of one step of the multiplier
    assert distance(dyadic, value) <= half
    if distance(dyadic, value) == half:
        assert dyadic.multiplier % 2 == 0
    assert Fraction(dyadic.value) == Fraction(dyadic.multiplier, 2**dyadic.shift)


@PROPERTY
@given(st.integers(32768, 65535), st.integers(0, 63))
def test_dyadic_numbers_are_kept(multiplier, shift):
    assert Dyadic.nearest(Fraction(multiplier, 2**shift)) == Dyadic(multiplier, shift)


def test_ties_corners_and_types():
    assert Dyadic.nearest(Fraction(2 * 32769 + 1, 2)) == Dyadic(32770, 0)
    assert Dyadic.nearest(Fraction(2 * 32770 + 1, 2)) == Dyadic(32770, 0)
    assert Dyadic.nearest(Fraction(2 * 65535 + 1, 4)) == Dyadic(32768, 0)  # carries over
    assert Dyadic.nearest(LARGEST) == Dyadic(65535, 0)
    assert Dyadic.nearest(SMALLEST) == Dyadic(32768, 63)
    assert Dyadic.nearest(0) == Dyadic.nearest(0.0) == Dyadic(0, 0)
    assert Dyadic.nearest(1) == IDENTITY == Dyadic(32768, 15)
    for one in (1.0, np.float64(1), np.float32(1), np.float16(1), np.int64(1), Fraction(1)):
        assert Dyadic.nearest(one) == IDENTITY


@pytest.mark.parametrize("value", [-1, -1e-9, float("nan"), float("inf"), np.float32("inf")])
def test_nearest_refuses_what_is_no_scale(value):
    text = f"scale {float(value)} is out of range: expected a finite number >= 0"
    if value == -1:
        text = text.replace("-1.0", "-1")
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Dyadic.nearest(value)


@pytest.mark.parametrize("value", [65535.5, 1e30, 10**400, SMALLEST * Fraction(999, 1000), 5e-324])
def test_nearest_refuses_what_it_cannot_reach(value):
    text = (f"scale {shown(value)} is out of range: a 16-bit multiplier and a shift of 0..63 reach "
            "3.55e-15..65535; choose another number of fraction bits for the input")
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Dyadic.nearest(value)


@pytest.mark.parametrize("multiplier", [-1, 1, 32767, 65536])
def test_multiplier_out_of_range(multiplier):
    text = f"multiplier = {multiplier} is out of range: expected"
    with pytest.raises(ValueError, match=text):
        Dyadic(multiplier, 0)


@pytest.mark.parametrize("shift", [-1, 64])
def test_shift_out_of_range(shift):
    text = rf"shift = {shift} is out of range: expected an integer 0\.\.63"
    with pytest.raises(ValueError, match=text):
        Dyadic(32768, shift)


@PROPERTY
@given(st.floats(-8, 8), st.integers(0, 28))
def test_fixed_point_equals_exact_fractions(x, bits):
    assert to_fixed(x, bits) == round(Fraction(x) * 2**bits)


def test_fixed_point_range():
    top = 2.0 - 2.0**-30
    fixed = to_fixed(np.array([-2.0, top, 0.5 * 2.0**-30, 1.5 * 2.0**-30]), 30)
    assert fixed.dtype == np.int32 and fixed.tolist() == [-(2**31), 2**31 - 1, 0, 2]
    text = ("tensor 'w' holds {} at index (1,), out of range for 30 fraction bits: "
            "expected |x| < 2.0; use fewer fraction bits")
    for bad in (2.0, -2.1, 1e308):
        with pytest.raises(ValueError, match=f"^{re.escape(text.format(bad))}$"):
            to_fixed([0.0, bad], 30, name="w")
    with pytest.raises(ValueError, match="tensor 'w' holds nan at index"):
        to_fixed([0.0, np.nan], 30, name="w")
