# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit's golden model against exact fractions and apytypes' fixed point."""

import re
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from apytypes import APyFixed, APyFixedArray, OverflowMode, QuantizationMode
from hypothesis import given
from hypothesis import strategies as st

from golden.dyadic import IDENTITY, Dyadic
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4, Phase
from golden.rescale import RAW, Rescale, rescale, round_half_even
from verif.golden.oracles import (
    INTEGERS,
    LOG_IDS,
    LOGS,
    PROPERTY,
    RANGES,
    RESCALED,
    nearest_code,
    nearest_codes,
    rescaled,
)

MULTIPLIERS = (0, 32768, 32769, 43691, 65534, 65535)
SHIFTS = (0, 1, 14, 15, 16, 30, 31, 32, 46, 47, 48, 62, 63)
EDGES = (-(2**31), -(2**31) + 1, -65536, -3, -2, -1, 0, 1, 2, 3, 5, 7, 65535, 2**31 - 2, 2**31 - 1)
INT32S = st.integers(-(2**31), 2**31 - 1) | st.integers(-1000, 1000) | st.sampled_from(EDGES)
SCALES = st.builds(Dyadic, st.sampled_from(MULTIPLIERS) | st.integers(32768, 65535),
                   st.integers(0, 63))


def names(fmt):
    return fmt.name


def ties(shift):
    """Inputs whose product with 32768 lies at, just below and just above n + 1/2."""
    if shift <= 15:
        return np.zeros(0, np.int64)
    half = 1 << (shift - 16)
    centres = np.arange(-21, 22) * half
    inputs = np.concatenate([centres - 1, centres, centres + 1])
    return inputs[np.abs(inputs) < 2**31]


def check(values, job, bias=None):
    result = rescale(values, job, bias=bias)
    biases = np.broadcast_to(0 if bias is None else bias, values.shape)
    expected = [
        rescaled(v, job.scale.multiplier, job.scale.shift, job.zero_point, job.fmt, b)
        for v, b in zip(values.ravel().tolist(), biases.ravel().tolist(), strict=True)
    ]
    assert result.codes.ravel().tolist() == [code for code, _ in expected]
    assert result.codes.dtype == (np.int32 if job.fmt == INT32 else np.int8)
    if job.fmt == INT32:
        assert result.mask is None
    else:
        assert result.mask.ravel().tolist() == [inside for _, inside in expected]
    assert result.odd is None


@pytest.mark.parametrize("fmt", RESCALED, ids=names)
def test_integer_corners(fmt):
    for multiplier, shift in product(MULTIPLIERS, SHIFTS):
        values = np.concatenate([EDGES, ties(shift)])
        for zero_point in (0,) if fmt == INT32 else (0, -8, 7, -32768, 32767):
            check(values, Rescale(fmt, Dyadic(multiplier, shift), zero_point))


@PROPERTY
@given(st.data(), st.sampled_from(RESCALED), SCALES, st.lists(INT32S, min_size=1, max_size=20))
def test_integers_equal_exact_fractions(data, fmt, scale, values):
    zero_points = st.just(0) if fmt == INT32 else st.integers(-32768, 32767) | st.integers(-20, 20)
    bias = data.draw(st.none() | INT32S)
    check(np.array(values), Rescale(fmt, scale, data.draw(zero_points)),
          None if bias is None else np.array(bias))


def fixed_point_oracle(values, job, bias):
    """The same datapath in apytypes: add, saturate, multiply, RND_CONV, add, saturate."""
    def integers(x):
        return APyFixedArray.from_array(x, int_bits=32, frac_bits=0)

    total = integers(values) + integers(np.full(values.shape, bias))
    total = total.cast(int_bits=32, frac_bits=0, overflow=OverflowMode.SAT)
    shift = job.scale.shift
    p = total * APyFixed(job.scale.multiplier, int_bits=17 - shift, frac_bits=shift)
    rounded = p.cast(int_bits=50, frac_bits=0, quantization=QuantizationMode.RND_CONV)
    code = rounded + APyFixed.from_float(job.zero_point, int_bits=17, frac_bits=0)
    lo, hi = RANGES[job.fmt.name]
    bits = 5 if job.fmt == UINT4 else (hi - lo).bit_length()
    code = code.cast(int_bits=bits, frac_bits=0, overflow=OverflowMode.SAT).to_numpy()
    return np.clip(code, lo, hi)  # INT4_SYM and UINT4 are no whole power of two


@pytest.mark.parametrize("fmt", RESCALED, ids=names)
def test_integers_equal_apytypes(fmt):
    rng = np.random.default_rng(11)
    seen = set()
    for _ in range(400):
        shift = int(rng.integers(0, 64))
        job = Rescale(fmt, Dyadic(int(rng.integers(32768, 65536)), shift),
                      0 if fmt == INT32 else int(rng.integers(-12, 12)))
        reach = 2**31 if fmt == INT32 else 2 ** min(31, max(2, shift - 11))
        values = np.concatenate([rng.integers(-reach, reach, 64), EDGES, ties(shift)])
        bias = int(rng.integers(-reach, reach)) if rng.random() < 0.5 else 0
        codes = rescale(values, job, bias=np.array(bias)).codes
        np.testing.assert_array_equal(codes, fixed_point_oracle(values, job, bias))
        seen |= set(codes.tolist())
    assert len(seen) > 1000 if fmt == INT32 else len(seen) == fmt.hi - fmt.lo + 1


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_log_codes_of_every_16_bit_input(fmt, phase, levels, ratio):
    values = np.arange(-(2**15), 2**15)
    for multiplier, shift in product(MULTIPLIERS, (0, 9, 15, 16, 22, 30, 38, 47, 63)):
        result = rescale(values, Rescale(fmt, Dyadic(multiplier, shift)))
        codes = result.odd if phase == Phase.ODD else result.codes
        expected = nearest_codes(values * multiplier, -shift, levels, ratio)
        np.testing.assert_array_equal(codes, expected)
        assert result.mask is None and (result.odd is None) == (fmt == FP4_R2)


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
@pytest.mark.parametrize("multiplier", [32768, 43691, 65535])
def test_log_codes_next_to_every_boundary(fmt, phase, levels, ratio, multiplier):
    """The two inputs nearest to each boundary, where 47-bit products differ in the last bits."""
    for shift in range(64):
        boundaries = [level * ratio * 2**shift / multiplier for level in levels]
        values = [int(b) + step for b in boundaries if b < 2**31 - 1 for step in (0, 1)]
        values = np.array(values + [-v for v in values], dtype=np.int64)
        result = rescale(values, Rescale(fmt, Dyadic(multiplier, shift)))
        codes = result.odd if phase == Phase.ODD else result.codes
        expected = nearest_codes(values * multiplier, -shift, levels, ratio)
        np.testing.assert_array_equal(codes, expected)


@PROPERTY
@given(st.sampled_from(LOGS), SCALES, INT32S, st.none() | INT32S)
def test_log_codes_equal_exact_fractions(mode, scale, value, bias):
    fmt, phase, levels, ratio = mode
    result = rescale(np.array([value]), Rescale(fmt, scale),
                     bias=None if bias is None else np.array([bias]))
    code = (result.odd if phase == Phase.ODD else result.codes)[0]
    total = min(max(value + (bias or 0), -(2**31)), 2**31 - 1)
    exact = Fraction(total * scale.multiplier, 2**scale.shift)
    assert code == nearest_code(exact, levels, ratio)


def test_raw_and_identity():
    values = np.array(EDGES)
    assert RAW == Rescale(INT32, IDENTITY, 0) and IDENTITY == Dyadic(32768, 15)
    result = rescale(values, RAW)
    assert result.codes.dtype == np.int32 and list(result.arrays) == ["codes"]
    np.testing.assert_array_equal(result.codes, values)


def test_bias_saturates_with_a_sticky_flag():
    values = np.array([[2**31 - 1, 0], [-(2**31), 0]])
    for bias, expected, flag in (
        ([0, 0], values, False), ([1, 0], [[2**31 - 1, 0], [-(2**31) + 1, 0]], True),
        ([-1, 5], [[2**31 - 2, 5], [-(2**31), 5]], True),
        ([-(2**31), 2**31 - 1], [[-1, 2**31 - 1], [-(2**31), 2**31 - 1]], True),
    ):
        result = rescale(values, RAW, bias=np.array(bias))
        assert result.codes.tolist() == np.array(expected).tolist()
        assert result.bias_saturated is flag
    for fmt in (INT4, FP4_R4, FP4_R2):
        assert rescale(values, Rescale(fmt), bias=np.array([1, 0])).bias_saturated


def test_products_fit_48_bits():
    largest = 2**31 * 65535
    assert largest < 2**47
    values = np.array([-(2**31), 2**31 - 1])
    result = rescale(values, Rescale(INT32, Dyadic(65535, 16)), bias=values)
    assert result.codes.tolist() == [round(Fraction(v * 65535, 65536)) for v in values.tolist()]


def test_clip_mask_is_strictly_between_the_ends():
    quarter = Dyadic(32768, 17)
    values = np.arange(-40, 41)
    for fmt, zero_point in product(INTEGERS, (0, -5, 6)):
        mask = rescale(values, Rescale(fmt, quarter, zero_point)).mask
        unclipped = [Fraction(v, 4) + zero_point for v in values.tolist()]
        assert mask.tolist() == [fmt.lo < u < fmt.hi for u in unclipped]
        assert 0 < mask.sum() < mask.size


def test_uint4_mask_is_that_of_pact():
    """With zero point 0: 0 < x < alpha, whatever the codes round to."""
    alpha = 15 * 4
    result = rescale(np.array([-1, 0, 1, 58, 59, 60, 61]), Rescale(UINT4, Dyadic(32768, 17)))
    assert result.codes.tolist() == [0, 0, 0, 14, 15, 15, 15]
    assert result.mask.tolist() == [0 < x < alpha for x in (-1, 0, 1, 58, 59, 60, 61)]


@pytest.mark.parametrize("fmt", [*RESCALED, FP4_R4, FP4_R2], ids=names)
def test_mask_in_makes_the_input_zero(fmt):
    values = np.arange(-9, 9).reshape(3, 6) << 10
    job = Rescale(fmt, Dyadic(32768, 26), 0 if fmt == INT32 or fmt.name in ("FP4_R4", "FP4_R2")
                  else 3)
    bias = np.arange(6) << 9
    keep = np.random.default_rng(1).random((3, 6)) < 0.5
    masked = rescale(values, job, bias=bias, mask=keep)
    whole, zero = rescale(values, job, bias=bias), rescale(0 * values, job)
    for name, array in masked.arrays.items():
        expected = np.where(keep, getattr(whole, name), getattr(zero, name))
        np.testing.assert_array_equal(array, expected)


def test_mask_does_not_hide_a_bias_saturation():
    result = rescale(np.array([2**31 - 1]), RAW, bias=np.array([1]), mask=np.array([False]))
    assert result.codes.tolist() == [0] and result.bias_saturated


@pytest.mark.parametrize("fmt", [*RESCALED, FP4_R4, FP4_R2], ids=names)
@pytest.mark.parametrize("shift", [0, 31, 63])
def test_multiplier_zero_gives_the_code_of_zero(fmt, shift):
    for zero_point in (0, 5, -300) if fmt in INTEGERS else (0,):
        result = rescale(np.array(EDGES), Rescale(fmt, Dyadic(0, shift), zero_point))
        expected = min(max(zero_point, fmt.lo), fmt.hi) if fmt in INTEGERS else 0
        assert (result.codes == expected).all()
        assert result.odd is None or not result.odd.any()


@PROPERTY
@given(st.integers(-(2**47), 2**47), st.integers(0, 62))
def test_round_half_even(p, shift):
    assert round_half_even(np.array(p), shift) == round(Fraction(p, 2**shift))


@pytest.mark.parametrize("zero_point", [-32769, 32768])
def test_zero_point_out_of_range(zero_point):
    text = f"zero_point = {zero_point} is out of range: expected an integer -32768..32767; the "
    with pytest.raises(ValueError, match=re.escape(text)):
        Rescale(INT4, IDENTITY, zero_point)


@pytest.mark.parametrize("fmt", [INT32, FP4_R4, FP4_R2], ids=names)
def test_zero_point_without_meaning(fmt):
    text = f"zero_point = 1 with {fmt.name}: only 4-bit integer formats have one, use 0"
    with pytest.raises(ValueError, match=f"^{text}$"):
        Rescale(fmt, IDENTITY, 1)


def test_inputs_that_do_not_fit():
    values = np.zeros((2, 3), int)
    for job in (RAW, Rescale(INT4_SYM)):
        for mask in (np.ones((3, 2), bool), np.ones((2, 3), int), np.ones(3, bool)):
            text = (f"mask of shape {mask.shape} and dtype {mask.dtype}: "
                    "expected bool of shape (2, 3)")
            with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
                rescale(values, job, mask=mask)
        with pytest.raises(ValueError, match="shape mismatch: objects cannot be broadcast"):
            rescale(values, job, bias=np.zeros(2, int))
        text = "bias of shape (2, 2, 3) does not broadcast to (2, 3)"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            rescale(values, job, bias=np.zeros((2, 2, 3), int))
    text = "out of range: expected integers -2147483648..2147483647"
    for bad in (2**31, -(2**31) - 1):
        with pytest.raises(ValueError, match=f"^values hold {bad} at index .*{text}$"):
            rescale(np.array([bad]), RAW)
    with pytest.raises(ValueError, match="bias have dtype float64: expected integers; use golden"):
        rescale(values, RAW, bias=np.zeros(3))
