# SPDX-License-Identifier: Apache-2.0
"""Operands of the FP32 network in the formats of the baselines."""

from dataclasses import dataclass

import numpy as np

from synth.baselines.block_dots import BlockDot, MxFp4Dot
from synth.baselines.dot_model import E8M0_BIAS, e2m1, e4m3
from synth.baselines.dot_products import FloatDot
from synth.baselines.exact_dots import ExactDot
from synth.baselines.float_mac import FloatMac
from synth.baselines.minifloat import FP8_143, MiniFloat
from synth.baselines.pipeline import Mac
from synth.energy.operands import Gemm

# The largest magnitude of a tensor, scaled by a power of two, is in [2^top, 2^(top + 1)); other
# tensors need no scale. 1-4-3 reaches from 2^-3 to 2^11 only.
GRADIENT_TOP = 3
TOPS = {FP8_143: 10}
INT8_TOP = 127
E2M1 = np.array([e2m1(code)[1] / 2 for code in range(8)])
E4M3 = np.array([m * 2.0 ** x for m, x in map(e4m3, range(127))])  # 127 is no number
E2M1_TOP = int(np.log2(E2M1[-1]))  # the largest power of two among them is 2^2


@dataclass(frozen=True, eq=False)
class Encoded:
    """An operand: codes (rows, K), and what those of a block share, (rows, K / block), if any."""

    codes: np.ndarray
    scales: np.ndarray | None = None

    def of(self, row: int, k: int, lanes: int) -> tuple[list[int], int]:
        """The codes of a step that begins at k, and their scale."""
        scale = 0 if self.scales is None else int(self.scales[row, k // lanes])
        return self.codes[row, k:k + lanes].tolist(), scale


def encoded(mac: Mac, gemm: Gemm) -> tuple[Encoded, Encoded]:
    """Both operands of a GEMM, as a baseline takes them."""
    if isinstance(mac, BlockDot):
        codes = mxfp4_codes if isinstance(mac, MxFp4Dot) else nvfp4_codes
        return codes(gemm.a_float, mac.lanes), codes(gemm.b_float, mac.lanes)
    if isinstance(mac, (FloatMac, FloatDot, ExactDot)):
        found = float_codes(gemm, mac.a_format, mac.b_format)
    else:
        found = int8_codes(gemm)
    return tuple(map(Encoded, found))


def float_codes(gemm: Gemm, a_fmt: MiniFloat, b_fmt: MiniFloat) -> tuple[np.ndarray, np.ndarray]:
    """Rounded to small formats, scaled as `TOPS` says."""
    b_top = GRADIENT_TOP if gemm.b_is_gradient else TOPS.get(b_fmt)
    return (_rounded(_scaled(gemm.a_float, TOPS.get(a_fmt)), a_fmt),
            _rounded(_scaled(gemm.b_float, b_top), b_fmt))


def int8_codes(gemm: Gemm) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric integers, the largest magnitude as 127."""
    return tuple(np.rint(x * (INT8_TOP / np.abs(x).max())).astype(np.int64)
                 for x in (gemm.a_float.astype(np.float64), gemm.b_float.astype(np.float64)))


def mxfp4_codes(x: np.ndarray, block: int = 32) -> Encoded:
    """MXFP4 along K (Microscaling Formats 1.0, 6.3): a block's scale is 2^(e - 2), e that of the
    largest magnitude's leading one; elements to nearest, ties to even, beyond 6 they are 6."""
    blocks = x.astype(np.float64).reshape(len(x), -1, block)
    largest = np.abs(blocks).max(-1)
    _, exponent = np.frexp(largest)  # the leading one is at exponent - 1
    scales = np.clip(np.where(largest > 0, exponent - 1 - E2M1_TOP + E8M0_BIAS, 0), 0, 254)
    return Encoded(_e2m1_codes(np.ldexp(blocks, E8M0_BIAS - scales[..., None])), scales)


def nvfp4_codes(x: np.ndarray, block: int = 16) -> Encoded:
    """NVFP4 along K: a factor of the tensor, outside, maps its largest magnitude onto 6 * 448; a
    block's scale is its largest magnitude over 6, to nearest, and elements are what that leaves."""
    blocks = x.astype(np.float64).reshape(len(x), -1, block)
    blocks = blocks * (E2M1[-1] * E4M3[-1] / np.abs(blocks).max())
    scales = nearest(E4M3, np.abs(blocks).max(-1) / E2M1[-1])
    factors = E4M3[scales][..., None]  # a block far below the largest has 0, and zeros
    return Encoded(_e2m1_codes(np.divide(blocks, factors, out=0 * blocks, where=factors > 0)),
                   scales)


def nearest(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The place of the nearest in a rising table, of two as near the even one; beyond it the last.
    """
    middles = (table[1:] + table[:-1]) / 2
    below = np.searchsorted(middles, x)
    tie = middles[np.minimum(below, len(middles) - 1)] == x
    return below + (tie & below & 1)


def _e2m1_codes(blocks: np.ndarray) -> np.ndarray:
    codes = nearest(E2M1, np.abs(blocks)) | np.signbit(blocks) << 3
    return codes.reshape(len(blocks), -1)


def _scaled(x: np.ndarray, top: int | None) -> np.ndarray:
    _, exponent = np.frexp(np.abs(x).max())  # the largest magnitude is in [2^(e - 1), 2^e)
    return x if top is None else np.ldexp(x.astype(np.float64), top + 1 - int(exponent))


def _rounded(x: np.ndarray, fmt: MiniFloat) -> np.ndarray:
    significand, exponent = np.frexp(x.astype(np.float64))
    integers = np.abs(np.ldexp(significand, 53)).astype(np.int64)
    codes = [fmt.encode(int(sign), int(m), int(e) - 53) for sign, m, e in
             zip(np.signbit(x).flat, integers.flat, exponent.flat, strict=True)]
    return np.array(codes, np.int64).reshape(x.shape)
