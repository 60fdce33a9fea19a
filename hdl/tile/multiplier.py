# SPDX-License-Identifier: Apache-2.0
"""One multiplier for both operand formats: operand b is at most two signed digits.

An INT4 operand b is two radix-4 digits -2..2 (Booth); a log-FP4 operand is one digit, +1 or -1, at
one of seven positions. A digit places operand a at its position, or its complement if the digit is
negative: no carry, no sign extension. A partial product therefore exceeds the product, by an excess
that does not depend on a: a tile subtracts it once per column instead of in every multiplier.

    a is offset binary: u = a, or a + 8 if a is signed, 0..15
    partial(u) = sum over digits of |digit| * (u, or 15 - u if the digit is negative) * weight
               = b * u + 15 * (sum over negative digits of |digit| * weight)
    a * b      = partial(u) - partial(zero),    zero = the u of a = 0

Both digits of an INT4 share one partial product, the second right above the first
(`high_position`). What is below that position and what is not are added apart (`sums_layout`), so
that no carry of first digits runs into second ones; only two sums, not every product, go where
their format has them (`weighted`). With radix 2 alone a partial product is ten bits long, at seven
positions for both formats:

             bit       9        5 4        0
    partial, INT4     |  second  |  first  |
    partial, log-FP4  |  u, at a position  |
    sums              |   high   |   low   |     each of all lanes
    their worth                  low + 4 * high (INT4), low + 32 * high (log-FP4)

For an FPGA a digit is placed in two steps, by one place or none and then by an even number of
places: every bit of a partial product has seven inputs less, which suits look-up tables.
"""

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import A_FORMATS, FP4_R2, FP4_R4, max_product
from hdl.arithmetic.addends import Addend, sum_of
from hdl.arithmetic.booth import booth_digit
from hdl.layouts import BFormat
from hdl.library import place

A_WIDTH = 4
DIGIT_TOP = 2 * (2**A_WIDTH - 1)  # the most that a digit of an INT4 adds, at its position


def product_width(config: Config) -> int:
    """Bits of a signed product: 15 * 4**6 = 61,440 needs 17."""
    formats = (A_FORMATS[0], *config.log_formats)
    return max(max_product(a, b) for a in A_FORMATS for b in formats).bit_length() + 1


def high_position(config: Config) -> int:
    """Where a partial product holds the second digit of an INT4, and its high part begins: above
    the first digit."""
    needed = DIGIT_TOP.bit_length()
    return needed + needed % 2 if config.is_fpga else needed  # even: placed in two steps


def positions(config: Config) -> list[int]:
    """Every position that a digit of +-1 can have in a partial product; a digit of +-2 is one of
    +-1 a bit higher."""
    high = high_position(config)
    levels = {level * fmt.log2_radix for fmt in config.log_formats for level in range(fmt.LEVELS)}
    return sorted(levels | {0, 1, high, high + 1})


def even_positions(config: Config) -> list[int]:
    """Where a digit ends up in steps of two, whether or not it goes one higher."""
    return sorted({position & ~1 for position in positions(config)})


def partial_width(config: Config) -> int:
    """Bits of a partial product."""
    return positions(config)[-1] + A_WIDTH


def digits_layout(config: Config) -> data.StructLayout:
    """Operand b, decoded."""
    signs = {"negative": 2}  # of the first digit and of the second; a log-FP4 has both the same
    if config.is_fpga:
        return data.StructLayout({
            "at": len(even_positions(config)),  # one bit per even position: a digit is there,
            "higher": 2,  # or one higher; of the first digit and of the second, as signs
            **signs})
    return data.StructLayout({
        "at": len(positions(config)),  # one bit per position: a digit is there
        **signs})


def offset_binary(code, is_signed):
    """Operand a as `with_signs` takes it: the code, plus 8 if it is signed."""
    return Cat(code[:-1], code[-1] ^ is_signed)


def operands_layout(config: Config) -> data.ArrayLayout:
    """Operand a as the first digit of an operand b multiplies it, and as the second does."""
    return data.ArrayLayout(A_WIDTH + config.is_fpga, 2)


def with_signs(a, digits, config: Config):
    """Operand a, offset binary, as `operands_layout`: a negative digit multiplies its complement.
    """
    return placed([a ^ sign.replicate(A_WIDTH) for sign in digits.negative], digits, config)


def placed(pair, digits, config: Config):
    """As `operands_layout`, what a pair of digits multiplies: one place up where one is higher."""
    if config.is_fpga:
        pair = [Mux(digits.higher[i], pair[i] << 1, pair[i]) for i in range(2)]
    return Cat(pair)


def parted(partial, config: Config) -> list[Addend]:
    """The low and the high part of a partial product, each for a sum of its own."""
    high = high_position(config)
    return [Addend(0, partial[:high]), Addend(0, partial[high:])]


def sums_layout(config: Config) -> data.StructLayout:
    """The sums of all lanes' low and high parts; `high`, `weighted`, counts 4."""
    split = high_position(config)
    low, high = ((config.lanes * (2**width - 1)).bit_length()
                 for width in (split, partial_width(config) - split))
    return data.StructLayout({"low": low, "high": high + split - 2})


def weighted(high, split, config: Config):
    """A sum of high parts where it counts 4: as it is if `split`, since second digits of INT4 do,
    else moved up."""
    digits = high[:(DIGIT_TOP * config.lanes).bit_length()]  # second digits need no more bits
    moved = Cat(Const(0, high_position(config) - 2), high)
    return Mux(split, digits, moved)


def addends_of(sums) -> list[Addend]:
    """A `sums_layout` as two addends."""
    return [Addend(0, sums.low), Addend(2, sums.high)]


class OperandDecoder(wiring.Component):
    """Decodes one 4-bit code of operand b into digits.

    Members
    -------
    code : In(4). format : In(BFormat). digits : Out(digits_layout).

    Combinational, no latency. A radix that the configuration lacks reads as INT4.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "code": In(4),
            "format": In(BFormat),
            "digits": Out(digits_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        places = positions(self.config)
        is_log = Cat(self.format == name for name in self._log_formats()).any()
        at = {position: Const(0, 1) for position in places}

        first = booth_digit(Const(0, 1), self.code[0], self.code[1])
        second = booth_digit(self.code[1], self.code[2], self.code[3])
        for digit, position in ((first, 0), (second, high_position(self.config))):
            at[position] |= ~is_log & digit.one
            at[position + 1] |= ~is_log & digit.two
        # a second digit of -0 leaves operand a as it is
        negative = Cat(first.negative, second.negative & ~self.code[1:3].all())

        for name, fmt in self._log_formats().items():
            for level in range(fmt.LEVELS):
                at[level * fmt.log2_radix] |= (
                    (self.format == name) & (self.code[:3] == level + 1))
        if self.config.is_fpga:
            high = high_position(self.config)
            higher = Cat(at[p] for p in places if p % 2 and p < high).any()
            m.d.comb += [
                self.digits.at.eq(Cat(Cat(at.get(p, 0), at.get(p + 1, 0)).any()
                                      for p in even_positions(self.config))),
                self.digits.higher.eq(Cat(higher, Mux(is_log, higher, at[high + 1]))),
            ]
        else:
            m.d.comb += self.digits.at.eq(Cat(at[position] for position in places))
        m.d.comb += [
            self.digits.negative.eq(Mux(is_log, self.code[3].replicate(2), negative)),
        ]
        return m

    def _log_formats(self) -> dict:
        formats = {BFormat.FP4_R4: FP4_R4, BFormat.FP4_R2: FP4_R2}
        return {name: fmt for name, fmt in formats.items() if fmt in self.config.log_formats}


class DigitMultiplier(wiring.Component):
    """The partial product: operand a at the positions of b's digits.

    Members
    -------
    operands : In, operand a for the first and for the second digit, see `with_signs`.
    at : In, of `digits_layout`. partial : Out(unsigned).

    Combinational, no latency.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "operands": In(operands_layout(self.config)),
            "at": In(digits_layout(config)["at"].shape),
            "partial": Out(partial_width(config)),
        })

    def elaborate(self, platform):
        m = Module()
        high, width = high_position(self.config), partial_width(self.config)
        first, second = self.operands
        places = even_positions(self.config) if self.config.is_fpga else positions(self.config)
        reach = len(first)
        low, top = Const(0, high), Const(0, width)
        for chosen, position in zip(self.at, places, strict=True):
            chosen = chosen.replicate(reach)
            if position < high:
                low |= (first & chosen) << position
            if position + reach > high:  # a log-FP4's digit may lie across: both operands agree
                top |= (second & chosen) << position
        m.d.comb += self.partial.eq(Cat(low[:high], top[high:width]))
        return m


class Multiplier(wiring.Component):
    """The product of two 4-bit codes, for those who want one multiplier alone.

    Members
    -------
    a, b : In(4), codes. a_signed : In(1), a is INT4 rather than UINT4.
    b_format : In(BFormat), how b is read.
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
        m.d.comb += [decoder.code.eq(self.b), decoder.format.eq(self.b_format)]

        def partial(name: str, code):
            """The sum of the digits' products with a code of operand a, and their excess."""
            multiplier = place(m, platform, name, DigitMultiplier(self.config))
            m.d.comb += [
                multiplier.at.eq(decoder.digits.at),
                Cat(*multiplier.operands).eq(with_signs(
                    offset_binary(code, self.a_signed), decoder.digits, self.config)),
            ]
            low, high = parted(multiplier.partial, self.config)
            is_int4 = self.b_format == BFormat.INT4
            return sum_of([low, Addend(2, weighted(high.bits, is_int4, self.config))])

        m.d.comb += self.product.eq(partial("digit_multiplier", self.a)
                                    - partial("zero_multiplier", Const(0, A_WIDTH)))
        return m
