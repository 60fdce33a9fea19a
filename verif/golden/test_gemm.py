# SPDX-License-Identifier: Apache-2.0
"""The exact GEMM against an int64 einsum of literal tables; every product; the bounds on K."""

import re
import threading
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.formats import (
    A_FORMATS,
    B_FORMATS,
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    max_product,
)
from golden.gemm import _scratch, exact_depth, gemm, mac_values, products
from verif.golden.oracles import MAC, PROPERTY, RANGES

MODES = list(product(A_FORMATS, B_FORMATS))
MODE_IDS = [f"{a.name}x{b.name}" for a, b in MODES]


def values(codes, fmt):
    """Codes as integers, from literal tables only."""
    return np.array(MAC[fmt.name])[codes] if fmt.name in MAC else codes.astype(np.int64)


def oracle(a, a_fmt, b, b_fmt):
    return np.einsum("mk,nk->mn", values(a, a_fmt), values(b, b_fmt))


def random_codes(rng, fmt, shape):
    lo, hi = RANGES.get(fmt.name, (0, 15))
    return rng.integers(lo, hi + 1, shape, dtype=np.int8)


def largest_codes(fmt, shape):
    """The code of the largest magnitude, everywhere."""
    return np.full(shape, {"INT4": -8, "INT4_SYM": -7, "UINT4": 15}.get(fmt.name, 15), np.int8)


@pytest.mark.parametrize(("a_fmt", "b_fmt"), MODES, ids=MODE_IDS)
def test_every_product(a_fmt, b_fmt):
    """All 16 x 16 nibbles; ml_dtypes reads the integers' encodings, a literal table log FP4's."""
    def operand(fmt):
        if fmt.name in MAC:
            return np.arange(16), np.array(MAC[fmt.name])
        dtype = ml_dtypes.int4 if fmt.signed else ml_dtypes.uint4
        read = np.arange(16, dtype=np.uint8).view(dtype).astype(np.int64)
        return (read[read >= fmt.lo],) * 2  # INT4_SYM has no -8

    (a, a_values), (b, b_values) = operand(a_fmt), operand(b_fmt)
    expected = a_values[:, None] * b_values[None, :]
    assert expected.size == (225 if a_fmt == b_fmt == INT4_SYM else
                             240 if INT4_SYM in (a_fmt, b_fmt) else 256)
    np.testing.assert_array_equal(products(a[:, None], a_fmt, b[None, :], b_fmt), expected)
    np.testing.assert_array_equal(gemm(a[:, None], a_fmt, b[:, None], b_fmt), expected)
    assert np.abs(expected).max() == max_product(a_fmt, b_fmt)


@pytest.mark.parametrize(("a_fmt", "b_fmt"), MODES, ids=MODE_IDS)
def test_random_operands_in_every_layout(a_fmt, b_fmt):
    rng = np.random.default_rng(2)
    depth = exact_depth(a_fmt, b_fmt)
    for m, n, k in ((1, 1, 1), (1, 7, 5), (6, 1, 33), (17, 9, 300), (5, 4, min(depth, 600) + 1),
                    (3, 2, 1500)):
        a, b = random_codes(rng, a_fmt, (m, k)), random_codes(rng, b_fmt, (n, k))
        expected = oracle(a, a_fmt, b, b_fmt)
        for x, y in ((a, b), (np.asfortranarray(a), b), (a.astype(np.int64), np.asfortranarray(b)),
                     (a[:, ::-1], b[:, ::-1]), (np.repeat(a, 2, axis=1)[:, ::2], b.astype(int))):
            result = gemm(x, a_fmt, y, b_fmt)
            assert result.dtype == np.int32
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(("a_fmt", "b_fmt"), MODES, ids=MODE_IDS)
def test_largest_sums_stay_exact(a_fmt, b_fmt):
    """All partial sums at their bound, and one unit off it, around each stretch of float32."""
    depth = min(exact_depth(a_fmt, b_fmt), 40_000)
    for k in (depth - 1, depth, depth + 1, 2 * depth + 1):
        a, b = largest_codes(a_fmt, (2, k)), largest_codes(b_fmt, (2, k))
        a[1, -1] = b[1, -1] = 1  # odd sums, which a rounded float32 would lose
        np.testing.assert_array_equal(gemm(a, a_fmt, b, b_fmt), oracle(a, a_fmt, b, b_fmt))


def test_stretches_are_as_long_as_float32_is_exact():
    for a_fmt, b_fmt in MODES:
        depth, bound = exact_depth(a_fmt, b_fmt), max_product(a_fmt, b_fmt)
        assert depth * bound <= 2**24 < (depth + 1) * bound
    assert exact_depth(UINT4, FP4_R4) == 273 and exact_depth(INT4, FP4_R4) == 512


def test_int64_beyond_int32():
    """34,952 products of 61,440 are the most that 32 bits hold."""
    for k, dtype in ((34_952, np.int32), (34_953, np.int64)):
        a, b = largest_codes(UINT4, (1, k)), largest_codes(FP4_R4, (1, k))
        result = gemm(a, UINT4, b, FP4_R4)
        assert result.dtype == dtype and result.tolist() == [[-61_440 * k]]


@PROPERTY
@given(st.sampled_from(MODES), st.integers(1, 600), st.integers(0, 2**32 - 1))
def test_order_and_splits_of_k_do_not_matter(mode, k, seed):
    rng = np.random.default_rng(seed)
    a, b = random_codes(rng, mode[0], (3, k)), random_codes(rng, mode[1], (2, k))
    whole = gemm(a, mode[0], b, mode[1])
    order = rng.permutation(k)
    np.testing.assert_array_equal(gemm(a[:, order], mode[0], b[:, order], mode[1]), whole)
    cut = int(rng.integers(1, k)) if k > 1 else k
    parts = [(a[:, s], b[:, s]) for s in (slice(cut), slice(cut, None)) if a[:, s].size]
    np.testing.assert_array_equal(
        sum(gemm(x, mode[0], y, mode[1]).astype(np.int64) for x, y in parts), whole)


def test_results_do_not_share_memory():
    rng = np.random.default_rng(3)
    a, b = random_codes(rng, INT4, (8, 1200)), random_codes(rng, FP4_R4, (8, 1200))
    first = gemm(a, INT4, b, FP4_R4)
    kept = first.copy()
    gemm(a[::-1], INT4, b[::-1], FP4_R4)
    np.testing.assert_array_equal(first, kept)
    assert gemm(a, INT4, a, INT4).base is not first.base


def test_threads_do_not_share_memory():
    def scratch():
        gemm(np.ones((3, 4), int), INT4, np.ones((3, 4), int), FP4_R4)
        buffers.append(_scratch("b", (3, 4)))

    buffers = []
    scratch()
    thread = threading.Thread(target=scratch)
    thread.start()
    thread.join()
    assert not np.shares_memory(*buffers)
    scratch()
    assert np.shares_memory(buffers[0], buffers[2])  # one thread's is reused


def test_mac_values():
    for name, fmt in (("FP4_R4", FP4_R4), ("FP4_R2", FP4_R2)):
        assert mac_values(np.arange(16), fmt).tolist() == MAC[name]
        assert mac_values(np.arange(16), fmt, np.float32).dtype == np.float32
    assert mac_values(np.arange(-8, 8, dtype=np.int8), INT4).tolist() == list(range(-8, 8))


def test_formats_that_the_mac_does_not_take():
    one = np.ones((1, 1), dtype=np.int8)
    text = "operand a cannot be FP4_R4: expected one of INT4, INT4_SYM, UINT4"
    with pytest.raises(ValueError, match=f"^{text}$"):
        gemm(one, FP4_R4, one, INT4)
    text = "operand b cannot be {}: expected one of INT4, INT4_SYM, FP4_R4, FP4_R2"
    for fmt in (UINT4, INT32):
        with pytest.raises(ValueError, match=f"^{text.format(fmt.name)}$"):
            gemm(one, INT4, one, fmt)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 4)), ((3,), (2, 3)), ((2, 3), (1, 2, 3))])
def test_shapes_that_do_not_fit(a, b):
    text = (f"operands of shapes {a} and {b} do not fit: expected (M, K) and (N, K) with the same "
            "K; transpose one with .T")
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        gemm(np.zeros(a, int), INT4, np.zeros(b, int), INT4)


@pytest.mark.parametrize(("a", "b"), [((0, 3), (2, 3)), ((2, 3), (0, 3)), ((2, 0), (2, 0))])
def test_empty_operands(a, b):
    text = f"operands of shapes {a} and {b} are empty: M, N and K start at 1"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        gemm(np.zeros(a, int), INT4, np.zeros(b, int), INT4)


@pytest.mark.parametrize("function", [gemm, products])
def test_codes_out_of_range(function):
    good = np.zeros((1, 2), dtype=np.int8)
    for bad, fmt, text in ((np.array([[0, -8]]), INT4_SYM, "INT4_SYM code: the range is -7..7"),
                           (np.array([[0, -1]]), UINT4, "UINT4 code: the range is 0..15"),
                           (np.array([[0, 8]]), INT4, "INT4 code: the range is -8..7")):
        text = f"code {bad[0, 1]} of 'a' at index (0, 1) is not a {text}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            function(bad, fmt, good, INT4)
    with pytest.raises(ValueError, match="code -1 of 'b' at index"):
        function(good, INT4, np.array([[0, -1]]), FP4_R4)
    with pytest.raises(ValueError, match="codes of 'b' have dtype float64: expected an integer"):
        function(good, INT4, np.zeros((1, 2)), FP4_R4)
