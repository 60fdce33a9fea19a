# SPDX-License-Identifier: Apache-2.0
"""Encodings, packing and validation of codes; ml_dtypes is the oracle for the encodings."""

import re
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import formats
from golden.formats import (
    FORMATS,
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    check_codes,
    check_finite,
    format_named,
    max_product,
    pack,
    unpack,
)
from verif.golden.oracles import MAC, PROPERTY, RANGES

FOUR_BITS = (INT4, INT4_SYM, UINT4, FP4_R4, FP4_R2)


def code_range(fmt):
    return RANGES.get(fmt.name, (0, 15))


@pytest.mark.parametrize(("fmt", "dtype"), [(INT4, ml_dtypes.int4), (UINT4, ml_dtypes.uint4)])
def test_nibbles_are_those_of_ml_dtypes(fmt, dtype):
    codes = np.arange(fmt.lo, fmt.hi + 1, dtype=np.int8)
    nibbles = codes.astype(dtype).view(np.uint8) & 15
    np.testing.assert_array_equal(pack(codes[:, None])[:, 0], nibbles)
    np.testing.assert_array_equal(unpack(nibbles[:, None], 1, fmt)[:, 0], codes)


def test_low_nibble_comes_first():
    np.testing.assert_array_equal(pack(np.array([1, 2, -1, -8, 7])), [0x21, 0x8F, 0x07])
    for low, high in product(range(16), repeat=2):
        assert pack(np.array([low, high])) == [low | high << 4]


@PROPERTY
@given(st.data(), st.sampled_from(FOUR_BITS), st.integers(0, 3), st.integers(0, 33))
def test_unpack_undoes_pack(data, fmt, rows, count):
    lo, hi = code_range(fmt)
    codes = data.draw(st.lists(st.integers(lo, hi), min_size=rows * count, max_size=rows * count))
    codes = np.array(codes, dtype=np.int8).reshape(rows, count)
    packed = pack(codes)
    assert packed.dtype == np.uint8 and packed.shape == (rows, (count + 1) // 2)
    np.testing.assert_array_equal(unpack(packed, count, fmt), codes)


def test_odd_counts_are_padded_with_code_zero():
    assert pack(np.array([-1])) == [0x0F]


def test_specs():
    for fmt, (lo, hi) in ((FORMATS[name], limits) for name, limits in RANGES.items()):
        assert (fmt.lo, fmt.hi) == (lo, hi)
        assert fmt.signed == (lo < 0) and fmt.magnitude == max(-lo, hi)
    for name, values in MAC.items():
        assert FORMATS[name].mac_values.tolist() == values
        assert FORMATS[name].magnitude == max(values)
    assert (FP4_R4.log2_radix, FP4_R2.log2_radix) == (2, 1)
    assert (FP4_R4.unit(formats.Phase.EVEN), FP4_R4.unit(formats.Phase.ODD)) == (2**-6, 2**-7)
    assert FP4_R2.unit() == 1
    assert [f.encoding for f in FORMATS.values()] == list(range(6))
    assert all(format_named(name) is fmt and fmt.name == name for name, fmt in FORMATS.items())


def test_largest_products():
    assert max_product(UINT4, INT4) == 120
    assert max_product(INT4, INT4) == 64
    assert max_product(UINT4, FP4_R4) == 61_440
    assert max_product(UINT4, FP4_R2) == 960


def test_unknown_format_is_named():
    text = "unknown format 'INT5': expected one of INT4, INT4_SYM, UINT4, INT32, FP4_R4, FP4_R2"
    with pytest.raises(ValueError, match=f"^{text}$"):
        format_named("INT5")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [(0, 0), (1, 2)])
def test_first_bad_value_is_named(bad, index):
    x = np.zeros((2, 3))
    x[index] = bad
    x[1, 2] = bad
    text = f"tensor 'g' holds {bad} at index {index}: only finite values can be quantised"
    with pytest.raises(ValueError, match=re.escape(text)):
        check_finite("g", x)


@pytest.mark.parametrize("fmt", FOUR_BITS, ids=lambda f: f.name)
def test_codes_outside_the_format_are_refused(fmt):
    lo, hi = code_range(fmt)
    for bad in (lo - 1, hi + 1, 100, -100):
        text = f"code {bad} of 'w' at index (1,) is not a {fmt.name} code: the range is {lo}..{hi}"
        with pytest.raises(ValueError, match=re.escape(text)):
            check_codes("w", np.array([0, bad]), fmt)
    codes = np.arange(lo, hi + 1)
    assert check_codes("w", codes, fmt) is codes
    assert check_codes("w", codes[:0], fmt).size == 0
    with pytest.raises(ValueError, match="codes of 'w' have dtype float64: expected an integer"):
        check_codes("w", np.zeros(3), fmt)


@pytest.mark.parametrize("bad", [np.array([16]), np.array([-9]), np.array([0.0])])
def test_pack_refuses_what_is_not_four_bits(bad):
    with pytest.raises(ValueError, match=r"^codes .*: expected integers -8\.\.15$"):
        pack(bad)


@pytest.mark.parametrize("count", [2, 5, 100])
def test_unpack_refuses_a_count_that_does_not_fit(count):
    with pytest.raises(ValueError, match=f"2 bytes do not hold {count} codes: expected "):
        unpack(np.zeros(2, np.uint8), count, INT4)


def test_int32_is_not_a_four_bit_format():
    assert INT32 not in formats.A_FORMATS and INT32 not in formats.B_FORMATS
