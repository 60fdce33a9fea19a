# SPDX-License-Identifier: Apache-2.0
"""Sums of operand b's codes, and what operand a's zero point takes from a column by them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.arithmetic.addends import Addend, reduce_addends, sum_of
from hdl.core.layouts import ZERO

LEVELS = 4  # of full adders that one cycle has time for behind the decoders


def value_width(config: Config) -> int:
    """Bits of a code's value in MAC units: 4**6 needs 14, with its sign."""
    return max([4, *(fmt.log2_radix * (fmt.LEVELS - 1) + 2 for fmt in config.log_formats)])


class ColumnSum(wiring.Component):
    """The sum of a column's codes of one beat, in MAC units.

    Members
    -------
    codes : In(4 bits per lane). lanes : In(a bit per lane), those that exist. formats : In(a bit
    per log format), whether it is this one, or else INT4. total : Out. Latency: 2 cycles.
    """

    LATENCY = 2

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "codes": In(4 * config.lanes),
            "lanes": In(config.lanes),
            "formats": In(len(config.log_formats)),
            "total": Out(signed(value_width(config) + (config.lanes - 1).bit_length())),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        chains = config.is_fpga

        # Cycle 0: the values, each with 2**top more that no addend may have a sign; fewer addends.
        top = value_width(config) - 1
        addends = []
        for lane in range(config.lanes):
            value = decoded(self.codes.word_select(lane, 4), self.formats, config)
            there = self.lanes[lane]
            addends.append(Addend(0, Cat(value[:top] & there.replicate(top),
                                         ~(value[top] & there))))
        height = config.lanes // 4 if chains else config.lanes
        for _ in range(0 if chains else LEVELS):
            height -= height // 3
        addends = reduce_addends(m, platform, addends, max(height, 2), "first", chains)
        for i, (position, bits) in enumerate(addends):
            register = Signal(len(bits), name=f"addend_{i}", reset_less=True)
            m.d.sync += register.eq(bits)
            addends[i] = Addend(position, register)

        # Cycle 1: their sum.
        m.d.sync += self.total.eq(
            sum_of(reduce_addends(m, platform, addends, 2, "second", chains))
            - (config.lanes << top))
        return m


class ZeroProduct(wiring.Component):
    """A sum of a column, times the zero point.

    Members
    -------
    total : In(`total_shape`). zero : In(signed 8). product : Out(signed), exact. Latency: 1 cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        total = total_shape(config)
        super().__init__({"total": In(total), "zero": In(signed(ZERO)),
                          "product": Out(signed(total.width + ZERO))})

    def elaborate(self, platform):
        m = Module()
        width = len(self.total)
        if self.config.is_fpga:  # which has multipliers
            product = Signal.like(self.product, reset_less=True)
            m.d.sync += product.eq(self.total * self.zero)
            m.d.comb += self.product.eq(product)
            return m

        # Cycle 0: two addends. The total is taken as 2**(width - 1) more, which leaves no sign;
        # what is to be taken away is added inverted, 1 less.
        total = Cat(self.total[:-1], ~self.total[-1])
        rows = [Addend(i, total & self.zero[i].replicate(width)) for i in range(ZERO - 1)]
        rows += [Addend(ZERO - 1, ~Cat(total & self.zero[-1].replicate(width), Const(0, 1))),
                 Addend(width - 1, ~Cat(self.zero, self.zero[-1]))]
        held = []
        for i, (position, bits) in enumerate(reduce_addends(m, platform, rows, 2, "rows")):
            register = Signal(len(bits), name=f"row_{i}", reset_less=True)
            m.d.sync += register.eq(bits)
            held.append(Addend(position, register))

        # Cycle 1: their sum.
        m.d.comb += self.product.eq(sum_of(held) + (1 << ZERO - 1) + (1 << width - 1))
        return m


def total_shape(config: Config):
    """Of a column's sum over all of K."""
    return signed(value_width(config) + (config.depth - 1).bit_length())


def decoded(code, formats, config: Config):
    """The value of a code of operand b in MAC units, two's complement, `value_width` bits."""
    width = value_width(config)
    value = Cat(code, code[3].replicate(width - len(code)))
    for fmt, chosen in zip(config.log_formats, formats, strict=True):
        at = {level * fmt.log2_radix: code[:3] == level + 1 for level in range(fmt.LEVELS)}
        bits = []
        for place in range(width):  # of a negative value all bits above the lowest are 1 too
            below = Cat(found for other, found in at.items() if other < place)
            bits.append(at.get(place, 0) | (code[3] & below.any() if len(below) else 0))
        value = Mux(chosen, Cat(bits), value)
    return value
