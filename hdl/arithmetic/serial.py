# SPDX-License-Identifier: Apache-2.0
"""Two bits of a number per cycle, from the lowest on, as the serial units multiply and square.

A digit of a number is -1, 0, 1 or 2, found from two bits and a carry: 3 and 4 are -1 and 0 with a
carry into the next. With two bits of control, a look-up table has the multiple of one bit.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data

from golden.config import Config
from hdl.layouts import WORD

SERIAL_DIGIT_LAYOUT = data.StructLayout({
    "one": 1,  # the digit is 1; none of the three: 0
    "two": 1,
    "negative": 1,  # -1
    "carry": 1,  # into the next digit
})

WORD_CYCLES = 1 + WORD // 2  # of a word: to load it, then one per digit


def row_cycles(config: Config) -> int:
    """Cycles from one row into the rescaling unit to the next: what its statistics need."""
    return 1 + WORD_CYCLES * config.cols if config.serial else 1


def serial_digit(m: Module, bits, carry):
    """The digit of two bits and the carry from below, as `SERIAL_DIGIT_LAYOUT`."""
    digit = Signal(SERIAL_DIGIT_LAYOUT)
    odd = bits[0] ^ carry
    m.d.comb += [
        digit.one.eq(~bits[1] & odd),
        digit.two.eq((bits[1] & ~bits[0] & ~carry) | (~bits[1] & bits[0] & carry)),
        digit.negative.eq(bits[1] & odd),
        digit.carry.eq(bits[1] & (bits[0] | carry)),
    ]
    return digit
