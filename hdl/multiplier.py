# SPDX-License-Identifier: Apache-2.0
"""One multiplier for both operand formats: `a * digit << shift`.

An INT4 operand b is its own digit with shift 0; a log-FP4 operand is the digit +1, 0 or -1 with
the shift of its level. Sharing the multiplier array is smaller than an INT4 multiplier beside a
shifter and a result mux, and the decoding is shared by a whole column of the tile.
"""

from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import A_FORMATS, FP4_R2, FP4_R4, max_product
from hdl.layouts import BFormat
from hdl.library import place

DIGIT_WIDTH = 4  # INT4, or -1, 0, 1


def shift_width(config: Config) -> int:
    """Bits of the largest shift: 12 for radix 4, 6 for radix 2."""
    return max(f.magnitude.bit_length() - 1 for f in config.log_formats).bit_length()


def product_width(config: Config) -> int:
    """Bits of a signed product: 15 * 4**6 = 61,440 needs 17."""
    formats = (A_FORMATS[0], *config.log_formats)
    return max(max_product(a, b) for a in A_FORMATS for b in formats).bit_length() + 1


class OperandDecoder(wiring.Component):
    """Decodes one 4-bit code of operand b into the digit and shift of `DigitMultiplier`.

    Members
    -------
    code : In(4). format : In(BFormat). digit : Out(signed 4). shift : Out(unsigned).

    Combinational, no latency. A radix that the configuration lacks reads as INT4.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "code": In(4),
            "format": In(BFormat),
            "digit": Out(signed(DIGIT_WIDTH)),
            "shift": Out(shift_width(config)),
        })

    def elaborate(self, platform):
        m = Module()
        level, negative = self.code[:3], self.code[3]
        nonzero = level.any()
        unit = Cat(nonzero, (nonzero & negative).replicate(DIGIT_WIDTH - 1))  # -1, 0 or 1
        exponent = (level - 1)[:3]  # of no consequence where the digit is 0
        digit, shift = self.code, 0
        for fmt, name in ((FP4_R4, BFormat.FP4_R4), (FP4_R2, BFormat.FP4_R2)):
            if fmt in self.config.log_formats:
                chosen = self.format == name
                digit = Mux(chosen, unit, digit)
                shift = Mux(chosen, exponent * fmt.log2_radix, shift)
        m.d.comb += [self.digit.eq(digit), self.shift.eq(shift)]
        return m


class DigitMultiplier(wiring.Component):
    """`product = a * digit << shift`, with operand b decoded.

    Members
    -------
    a : In(signed 5), -8..15. digit : In(signed 4). shift : In(unsigned), see `OperandDecoder`.
    product : Out(signed), exact.

    Combinational, no latency. Arithmetic: `golden.gemm.products`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "a": In(signed(5)),
            "digit": In(signed(DIGIT_WIDTH)),
            "shift": In(shift_width(config)),
            "product": Out(signed(product_width(config))),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.product.eq((self.a * self.digit) << self.shift)
        return m


class Multiplier(wiring.Component):
    """The product of two 4-bit codes, for those who want one multiplier alone.

    Members
    -------
    a, b : In(4), codes. a_signed : In(1), a is INT4 rather than UINT4. b_format : In(BFormat).
    product : Out(signed), exact.

    Combinational, no latency. Arithmetic: `golden.gemm.products`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "a": In(4),
            "a_signed": In(1),
            "b": In(4),
            "b_format": In(BFormat),
            "product": Out(signed(product_width(config))),
        })

    def elaborate(self, platform):
        m = Module()
        decoder = place(m, platform, "operand_decoder", OperandDecoder(self.config))
        multiplier = place(m, platform, "digit_multiplier", DigitMultiplier(self.config))
        m.d.comb += [
            decoder.code.eq(self.b),
            decoder.format.eq(self.b_format),
            multiplier.a.eq(Cat(self.a, self.a[3] & self.a_signed).as_signed()),
            multiplier.digit.eq(decoder.digit),
            multiplier.shift.eq(decoder.shift),
            self.product.eq(multiplier.product),
        ]
        return m
