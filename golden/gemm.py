# SPDX-License-Identifier: Apache-2.0
"""Exact integer GEMM on 4-bit codes at BLAS speed: the twin of the MAC tile.

`gemm(a, b)[m, n] = sum_k a[m, k] * b[n, k]` in MAC units. Nothing rounds, so the order of
accumulation cannot matter and floating-point BLAS is used wherever every partial sum is exact.
"""

import numpy as np

from golden.formats import (
    A_FORMATS, B_FORMATS, IntFormat, LogFormat, check_codes, max_product,
)


def products(a_codes, a_fmt: IntFormat, b_codes, b_fmt: IntFormat | LogFormat) -> np.ndarray:
    """Elementwise products in MAC units, int64: the twin of the multiplier. Shapes broadcast."""
    return mac_values(a_codes, a_fmt) * mac_values(b_codes, b_fmt)


def mac_values(codes, fmt: IntFormat | LogFormat, dtype=np.int64) -> np.ndarray:
    """Codes as the integers that the MAC multiplies, in any dtype that holds them."""
    if isinstance(fmt, LogFormat):
        return fmt.mac_values.astype(dtype)[codes]
    return np.asarray(codes).astype(dtype)


def exact_dtype(a_fmt: IntFormat, b_fmt: IntFormat | LogFormat, k: int) -> np.dtype:
    """Narrowest dtype in which every partial sum of K products is exact.

    A float with p bits of significand holds every integer up to 2**p: float32 up to 2**24,
    float64 up to 2**53, int64 beyond.
    """
    largest = k * max_product(a_fmt, b_fmt)
    if largest <= 2**24:
        return np.dtype(np.float32)
    if largest <= 2**53:
        return np.dtype(np.float64)
    return np.dtype(np.int64)


def gemm(a_codes, a_fmt: IntFormat, b_codes, b_fmt: IntFormat | LogFormat) -> np.ndarray:
    """Exact `A @ B.T` in MAC units.

    Parameters
    ----------
    a_codes : integer codes, shape (M, K), of INT4, INT4_SYM or UINT4.
    b_codes : integer codes, shape (N, K), of INT4, INT4_SYM, FP4_R4 or FP4_R2.

    Returns int32 (M, N) where the bound allows it, int64 otherwise. ValueError on wrong shapes,
    formats or codes.
    """
    a_codes, b_codes = np.asarray(a_codes), np.asarray(b_codes)
    check_operands(a_codes, a_fmt, b_codes, b_fmt)
    k = a_codes.shape[1]
    dtype = exact_dtype(a_fmt, b_fmt, k)
    result = mac_values(a_codes, a_fmt, dtype) @ mac_values(b_codes, b_fmt, dtype).T
    fits = k * max_product(a_fmt, b_fmt) < 2**31
    return result.astype(np.int32 if fits else np.int64)


def check_operands(a_codes, a_fmt, b_codes, b_fmt) -> None:
    """ValueError unless the operands are (M, K) and (N, K) codes of formats that the MAC takes."""
    for name, fmt, allowed in (("a", a_fmt, A_FORMATS), ("b", b_fmt, B_FORMATS)):
        if fmt not in allowed:
            raise ValueError(
                f"operand {name} cannot be {fmt.name}: "
                f"expected one of {', '.join(f.name for f in allowed)}"
            )
    if a_codes.ndim != 2 or b_codes.ndim != 2 or a_codes.shape[1] != b_codes.shape[1]:
        raise ValueError(
            f"operands of shapes {a_codes.shape} and {b_codes.shape} do not fit: "
            "expected (M, K) and (N, K) with the same K; transpose one with .T"
        )
    if 0 in a_codes.shape or 0 in b_codes.shape:
        raise ValueError(
            f"operands of shapes {a_codes.shape} and {b_codes.shape} are empty: "
            "M, N and K start at 1"
        )
    check_codes("a", a_codes, a_fmt)
    check_codes("b", b_codes, b_fmt)
