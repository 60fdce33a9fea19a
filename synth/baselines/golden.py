# SPDX-License-Identifier: Apache-2.0
"""What any baseline makes of one step's operands, by the exact models."""

from collections.abc import Sequence

from amaranth.hdl import Value

from synth.baselines import dot_model
from synth.baselines.block_dots import MxFp4Dot
from synth.baselines.dot_products import Dot, FloatDot
from synth.baselines.exact_dots import ExactDot
from synth.baselines.float_mac import FloatMac
from synth.baselines.minifloat import fma
from synth.baselines.pipeline import Mac

Codes = Sequence[int]  # of the lanes, the first one lowest in a port


def word(mac: Mac, port: Value, codes: Codes, scale: int = 0) -> int:
    """What an operand's port holds: codes, negative ones in two's complement, and above them what
    they share."""
    bits = len(port) - mac.scale_bits
    width = bits // mac.lanes
    found = scale << bits
    for lane, code in enumerate(codes):
        found |= (code & 2 ** width - 1) << width * lane
    return found


def step(mac: Mac, a: Codes, b: Codes, total: int, scale_a: int = 0, scale_b: int = 0) -> int:
    """The code of the sum after one step; integers are modulo what the sum has room for."""
    if isinstance(mac, Dot):
        return dot_model.accumulate(mac.config.format, mac.frame,
                                    term(mac, a, b, scale_a, scale_b), total)
    if isinstance(mac, ExactDot):
        here, symbol = dot_model.exact(mac.a_format, mac.b_format, mac.scale, a, b)
        if symbol or not finite(mac, total):
            return 1 << mac.width
        return (total + here) % 2 ** mac.width
    if isinstance(mac, FloatMac):
        return fma(mac.a_format, mac.b_format, mac.format, *a, *b, total)
    return (total + sum(x * y for x, y in zip(a, b, strict=True))) % 2 ** len(mac.acc)


def term(dot: Dot, a: Codes, b: Codes, scale_a: int, scale_b: int) -> dot_model.Term:
    """What a dot product adds to its sum."""
    if isinstance(dot, FloatDot):
        return dot_model.aligned(dot.a_format, dot.b_format, dot.kept, a, b)
    of = dot_model.mxfp4 if isinstance(dot, MxFp4Dot) else dot_model.nvfp4
    return of(a, b, scale_a, scale_b)


def finite(mac: Mac, total: int) -> bool:
    """Whether a sum is a number."""
    if isinstance(mac, ExactDot):
        return not total >> mac.width
    fmt = mac.config.format if isinstance(mac, Dot) else getattr(mac, "format", None)
    return fmt is None or not (fmt.is_nan(total) or fmt.is_inf(total))
