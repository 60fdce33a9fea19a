# SPDX-License-Identifier: Apache-2.0
"""Dot products of blocks in 4 bits, which share a scale; see `dot_products`."""

from amaranth.hdl import Cat, Module, Mux, Value

from synth.baselines.arithmetic import add, and_array, compress, named
from synth.baselines.dot_model import (
    E2M1_BIAS,
    E4M3_BIAS,
    E4M3_FRACTION,
    E8M0_BIAS,
    HALVES,
    block_width,
)
from synth.baselines.dot_products import Dot, DotParameters, cut_products


class BlockDot(Dot):
    """Of E2M1 codes, and a scale for all of an operand's; see `Dot`."""

    swept = (4, 5, 6, 7, 8)
    scale_bits = 8

    def __init__(self, config: DotParameters):
        bits = 4 * config.lanes + self.scale_bits
        super().__init__(config, bits, bits)

    def products(self, m: Module, a: Value, b: Value) -> list[tuple[Value, Value]]:
        """Sign and magnitude, in quarters, of each lane."""
        found = []
        for lane in range(self.config.lanes):
            x, y = a.word_select(lane, 4), b.word_select(lane, 4)
            (mx, ex), (my, ey) = _e2m1(m, x), _e2m1(m, y)
            size = named(m, mx * my)
            for k, bit in enumerate(named(m, ex + ey)):
                size = named(m, Mux(bit, size << (1 << k), size))
            found.append((x[3] ^ y[3], size[:8]))
        return found


class MxFp4Dot(BlockDot):
    """MXFP4: E2M1 codes with an E8M0 scale. See `Dot` and `dot_model.mxfp4`."""

    front = ("product", "tree", "magnitude")
    cuts = (
        (),
        ("magnitude",),
        ("tree", "sum"),
        ("tree", "magnitude", "sum"),
        ("tree", "magnitude", "sum", "pack"),
        ("tree", "magnitude", "align", "sum", "pack"),
        ("product", "tree", "magnitude", "align", "sum", "pack"),
        ("product", "tree", "magnitude", "distance", "align", "sum", "pack"),
        ("product", "tree", "magnitude", "distance", "align", "sum", "normalise", "pack"),
    )
    scale = 2 * E8M0_BIAS + HALVES

    @property
    def width(self) -> int:
        return block_width(self.config.lanes)

    def term(self, m, a, b, enable, first):
        scales = [named(m, operand[4 * self.config.lanes:]) for operand in (a, b)]
        products, beside = cut_products(self, m, self.products(m, a, b), (
            named(m, scales[0] + scales[1]), named(m, scales[0].all() | scales[1].all()),
            enable, first))
        return self.summed(m, products, *beside)


class NvFp4Dot(BlockDot):
    """NVFP4: E2M1 codes with an E4M3 scale. See `Dot` and `dot_model.nvfp4`."""

    front = ("product", "tree", "magnitude", "scaled")
    cuts = (
        (),
        ("magnitude",),
        ("magnitude", "sum"),
        ("tree", "scaled", "sum"),
        ("tree", "magnitude", "scaled", "sum"),
        ("tree", "magnitude", "scaled", "sum", "pack"),
        ("tree", "magnitude", "scaled", "align", "sum", "pack"),
        ("product", "tree", "magnitude", "scaled", "align", "sum", "pack"),
        ("product", "tree", "magnitude", "scaled", "distance", "align", "sum", "pack"),
    )
    scale = 2 * (E4M3_BIAS + E4M3_FRACTION) + HALVES

    @property
    def width(self) -> int:
        return block_width(self.config.lanes) + 2 * (E4M3_FRACTION + 1)

    def term(self, m, a, b, enable, first):
        significands, exponents, symbols = [], [], []
        for operand in (a, b):
            code = operand[4 * self.config.lanes:]
            fraction, exponent = code[:E4M3_FRACTION], code[E4M3_FRACTION:-1]
            hidden = named(m, exponent.any())
            significands.append(Cat(fraction, hidden))
            exponents.append(Cat(exponent[0] | ~hidden, exponent[1:]))
            symbols.append(code[:-1].all())
        factor = named(m, add(m, *compress(m, and_array(*significands))))
        products, beside = cut_products(self, m, self.products(m, a, b), (
            factor, named(m, exponents[0] + exponents[1]), named(m, symbols[0] | symbols[1]),
            enable, first))
        sign, size, factor, *beside = self.summed(m, products, *beside)
        size = named(m, add(m, *compress(m, and_array(size, factor))))
        return self.cut(m, "scaled", sign, size, *beside)


def _e2m1(m: Module, code: Value) -> tuple[Value, Value]:
    """Significand and shift of a code: its magnitude is significand 2^shift halves."""
    hidden = named(m, code[1:3].any())
    return Cat(code[0], hidden), named(m, (code[1:3] - hidden * E2M1_BIAS)[:2])
