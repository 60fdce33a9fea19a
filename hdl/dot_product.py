# SPDX-License-Identifier: Apache-2.0
"""Sum of `lanes` products, registered."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.library import place
from hdl.multiplier import DIGIT_WIDTH, DigitMultiplier, shift_width


class DotProduct(wiring.Component):
    """`sum = sum over lanes of (a * digit << shift)` of decoded operands.

    Members
    -------
    a : In, `lanes` codes. a_sign : In, one sign-extension bit per lane (`code[3] & signed`).
    digit, shift : In, `lanes` values from `OperandDecoder`.
    enable : In(1), the register holds while 0.
    sum : Out(signed), exact: product width + log2(lanes).

    Latency: `latency` cycles. Throughput: one per cycle.
    """

    latency = 1

    def __init__(self, config: Config):
        self.config = config
        lanes = config.lanes
        super().__init__({
            "a": In(data.ArrayLayout(4, lanes)),
            "a_sign": In(lanes),
            "digit": In(data.ArrayLayout(signed(DIGIT_WIDTH), lanes)),
            "shift": In(data.ArrayLayout(shift_width(config), lanes)),
            "enable": In(1),
            "sum": Out(signed(config.dot_width)),
        })

    def elaborate(self, platform):
        m = Module()
        terms = []
        for lane in range(self.config.lanes):
            multiplier = place(
                m, platform, f"digit_multiplier_{lane}", DigitMultiplier(self.config))
            m.d.comb += [
                multiplier.a.eq(Cat(self.a[lane], self.a_sign[lane]).as_signed()),
                multiplier.digit.eq(self.digit[lane]),
                multiplier.shift.eq(self.shift[lane]),
            ]
            terms.append(multiplier.product)
        while len(terms) > 1:  # balanced tree; one bit more per level
            terms = [left + right for left, right in zip(terms[::2], terms[1::2], strict=True)]
        total = Signal.like(self.sum, reset_less=True)
        with m.If(self.enable):
            m.d.sync += total.eq(terms[0])
        m.d.comb += self.sum.eq(total)
        return m
