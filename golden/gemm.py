# SPDX-License-Identifier: Apache-2.0
"""Exact integer GEMM on 4-bit codes at BLAS speed: the twin of the MAC tile.

`gemm(a, b)[m, n] = sum_k a[m, k] * b[n, k]` in MAC units. Nothing rounds, so the order of
accumulation cannot matter: float32 BLAS sums stretches of K so short that every partial sum is an
integer of at most 2**24, which float32 holds exactly, and integers add the stretches.
"""

import threading

import numpy as np

from golden import checks
from golden.formats import (
    IntFormat,
    LogFormat,
    check_codes,
    check_operand_formats,
    max_product,
)


def products(a_codes, a_fmt: IntFormat, b_codes, b_fmt: IntFormat | LogFormat) -> np.ndarray:
    """Elementwise products in MAC units, int64: the twin of the multiplier. Shapes broadcast.

    ValueError for formats that the operands cannot have, and for what is no code of theirs.
    """
    check_operand_formats(a_fmt, b_fmt)
    a_codes, b_codes = check_codes("a", a_codes, a_fmt), check_codes("b", b_codes, b_fmt)
    return mac_values(a_codes, a_fmt) * mac_values(b_codes, b_fmt)


def mac_values(codes, fmt: IntFormat | LogFormat, dtype=np.int64) -> np.ndarray:
    """Codes as the integers that the MAC multiplies, in any dtype that holds them.

    ValueError for what is no code of the format, and for a dtype that does not.
    """
    codes, dtype = check_codes("codes", codes, fmt), np.dtype(dtype)
    values = fmt.mac_values if isinstance(fmt, LogFormat) else np.arange(fmt.lo, fmt.hi + 1)
    held = values.astype(dtype) if dtype.kind in "fiu" else None
    if held is None or (held != values).any():
        raise ValueError(f"dtype = {dtype}: expected one that holds +-{fmt.magnitude}, {fmt.name}'s"
                         " largest value")
    return held[codes] if isinstance(fmt, LogFormat) else codes.astype(dtype)


def exact_depth(a_fmt: IntFormat, b_fmt: IntFormat | LogFormat) -> int:
    """Largest K for which float32 is exact: its 24-bit significand holds integers up to 2**24."""
    return 2**24 // max_product(a_fmt, b_fmt)


def gemm(a_codes, a_fmt: IntFormat, b_codes, b_fmt: IntFormat | LogFormat) -> np.ndarray:
    """Exact `A @ B.T` in MAC units.

    Parameters
    ----------
    a_codes : integer codes, shape (M, K), of INT4, INT4_SYM or UINT4.
    b_codes : integer codes, shape (N, K), of INT4, INT4_SYM, FP4_R4 or FP4_R2.

    Returns int32 (M, N) where the bound allows it, int64 otherwise. ValueError on wrong shapes,
    formats or codes.
    """
    a_codes, b_codes = check_operands(a_codes, a_fmt, b_codes, b_fmt)
    (m, k), n = a_codes.shape, b_codes.shape[0]
    dtype = np.int32 if k * max_product(a_fmt, b_fmt) < 2**31 else np.int64
    depth = exact_depth(a_fmt, b_fmt)

    def stretch(start: int, out: np.ndarray) -> np.ndarray:
        a = _as_float32("a", a_codes[:, start : start + depth], a_fmt)
        b = _as_float32("b", b_codes[:, start : start + depth], b_fmt)
        sums = np.matmul(a, b.T, out=out).reshape(-1)
        part = sums.view(np.int32)
        np.copyto(part, sums, casting="unsafe")  # float32 to int32 in place
        return part.reshape(m, n)

    result = stretch(0, np.empty((m, n), np.float32)).astype(dtype, copy=False)
    for start in range(depth, k, depth):
        np.add(result, stretch(start, _scratch("sums", (m, n))), result)
    return result


def check_operands(a_codes, a_fmt, b_codes, b_fmt) -> tuple[np.ndarray, np.ndarray]:
    """The operands as arrays; ValueError unless they are (M, K) and (N, K) codes of formats that
    the MAC takes."""
    check_operand_formats(a_fmt, b_fmt)
    a_codes, b_codes = checks.as_array("a", a_codes), checks.as_array("b", b_codes)
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
    return check_codes("a", a_codes, a_fmt), check_codes("b", b_codes, b_fmt)


def _as_float32(name: str, codes: np.ndarray, fmt: IntFormat | LogFormat) -> np.ndarray:
    """`mac_values` as float32, in scratch memory and in the codes' own order (C or transposed)."""
    if codes.strides[0] < codes.strides[1]:
        return _as_float32(name, codes.T, fmt).T
    values = _scratch(name, codes.shape)
    if isinstance(fmt, IntFormat):
        np.copyto(values, codes)
        return values
    # [sign, c] becomes [sign, exponent field log2(radix) * c, mantissa 0], which float32 reads as
    # +-radix**c * 2**-127, and as 0 for c = 0: one exact multiplication away from radix**(c - 1).
    bits, shift = values.view(np.int32), 22 + fmt.log2_radix
    np.copyto(bits, codes)
    bits *= (1 << 28) + (1 << shift)  # the sign to bit 31, c to the exponent field
    bits &= -(1 << 31) + (7 << shift)
    values *= np.float32(2.0 ** (127 - fmt.log2_radix))
    return values


_reused = threading.local()


def _scratch(name: str, shape: tuple[int, int]) -> np.ndarray:
    """Uninitialised float32 memory that this thread keeps: fresh pages cost more than a cast."""
    buffer, size = getattr(_reused, name, None), shape[0] * shape[1]
    if buffer is None or buffer.size < size:
        buffer = np.empty(size, np.float32)
        setattr(_reused, name, buffer)
    return buffer[:size].reshape(shape)
