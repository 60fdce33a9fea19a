# SPDX-License-Identifier: Apache-2.0
"""Radix-4 digits of a number, which halve the addends of a product (Booth 1951, MacSorley 1961).

Two recodings, of digits that an adder can multiply by without a carry:

    booth_digit   -2..2, each from three neighbouring bits: all digits at once
    serial_digit  -1..2, each from two bits and a carry: one after the other, the lowest first
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data

DIGIT_LAYOUT = data.StructLayout({"one": 1, "two": 1, "negative": 1})  # -2..2; -0 is 0
SERIAL_DIGIT_LAYOUT = data.StructLayout({
    "one": 1,  # the digit is 1; none of the three: 0
    "two": 1,
    "negative": 1,  # -1
    "carry": 1,  # into the next digit
})


def booth_digit(below, low, high):
    """The digit `below + low - 2 * high` as the bits of `DIGIT_LAYOUT`."""
    return data.View(DIGIT_LAYOUT, Cat(
        below ^ low, (high & ~low & ~below) | (~high & low & below), high))


def multiple(m: Module, number, digit, name: str, signed: bool = True):
    """`digit * number`, one bit longer than the signed `number`; less 1 if the digit is negative,
    so that no carry travels. `signed` : whether the digit can be."""
    bits = Signal(len(number) + 1, name=name)
    once, twice = Cat(number, number[-1]), Cat(0, number)
    magnitude = ((once & digit.one.replicate(len(bits)))
                 | (twice & digit.two.replicate(len(bits))))
    m.d.comb += bits.eq(magnitude ^ digit.negative.replicate(len(bits)) if signed else magnitude)
    return bits


def serial_digit(m: Module, bits, carry):
    """The digit of two bits and the carry from below: 3 and 4 are -1 and 0 with a carry into the
    next. With two bits of control, a look-up table has the multiple of one bit."""
    digit = Signal(SERIAL_DIGIT_LAYOUT)
    odd = bits[0] ^ carry
    m.d.comb += [
        digit.one.eq(~bits[1] & odd),
        digit.two.eq((bits[1] & ~bits[0] & ~carry) | (~bits[1] & bits[0] & carry)),
        digit.negative.eq(bits[1] & odd),
        digit.carry.eq(bits[1] & (bits[0] | carry)),
    ]
    return digit
