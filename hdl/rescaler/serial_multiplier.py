# SPDX-License-Identifier: Apache-2.0
"""What `Config.serial` puts in place of a rescaling lane's multiplier: two bits per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.arithmetic.booth import serial_digit
from hdl.layouts import WORD


class SerialMultiplier(wiring.Component):
    """A magnitude times a positive number.

    Members
    -------
    magnitude : In(32), at most 2**31. number : In(17). start : In(1), both are there and hold.
    product : Out(48), magnitude * number, `cycles` cycles after `start`, until the next one.
    """

    NUMBER = 17
    cycles = 1 + (NUMBER + 1) // 2  # load, then a digit per cycle

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "magnitude": In(WORD),
            "number": In(self.NUMBER),
            "start": In(1),
            "product": Out(WORD - 1 + self.NUMBER),
        })

    def elaborate(self, platform):
        m = Module()
        # {top, low} goes down two places per digit: the product from above, the number below.
        top = Signal(signed(WORD + 1), reset_less=True)
        low = Signal(self.NUMBER + 1, reset_less=True)
        carry = Signal(reset_less=True)
        left = Signal(range(self.cycles))  # digits
        m.d.comb += self.product.eq(Cat(low, top))

        # The digit's multiple; less 1 if it is negative, which the lowest place of the sum carries.
        digit = serial_digit(m, low[:2], carry)
        once = Mux(digit.two, self.magnitude << 1, self.magnitude)[:WORD + 1]
        exists = (digit.one | digit.two | digit.negative).replicate(WORD + 1)
        inverts = digit.negative.replicate(WORD + 1)
        multiple = Signal(signed(WORD + 2))
        total = Signal(signed(WORD + 3))
        m.d.comb += [
            multiple.eq(Cat((once & exists) ^ inverts, digit.negative).as_signed()),
            total.eq((Cat(Const(1, 1), top).as_signed()
                      + Cat(digit.negative, multiple).as_signed()) >> 1),
        ]
        with m.If(self.start):
            m.d.sync += [
                top.eq(0),
                low.eq(self.number),
                carry.eq(0),
                left.eq(self.cycles - 1),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                top.eq(total >> 2),
                low.eq(Cat(low[2:], total[:2])),
                carry.eq(digit.carry),
                left.eq(left - 1),
            ]
        return m
