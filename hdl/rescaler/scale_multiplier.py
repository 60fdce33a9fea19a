# SPDX-License-Identifier: Apache-2.0
"""A magnitude times the multiplier of a dyadic scale, in two cycles."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from hdl.arithmetic.booth import DIGIT_LAYOUT, booth_digit, multiple
from hdl.arithmetic.columns import Columns
from hdl.layouts import WORD

RECODED_WIDTH = Dyadic.WIDTH + 1  # the multiplier, doubled where the shift is even
# |acc + bias| <= 2**31, times 17 bits: below 2**48. Its lowest bit is half a unit of 2**-shift.
PRODUCT_WIDTH = WORD - 1 + RECODED_WIDTH
PRODUCT_ROWS = 3  # between the two cycles that add the product

# The multiplier as radix-4 digits; the highest is never negative.
MULTIPLIER_LAYOUT = data.ArrayLayout(DIGIT_LAYOUT, RECODED_WIDTH // 2 + 1)


def doubled(multiplier, shift):
    """The multiplier, doubled where the shift is even: what is left to shift is two places a step.
    """
    return Mux(shift[0], multiplier, multiplier << 1)


def recoded(number):
    """A number of RECODED_WIDTH bits as the bits of `MULTIPLIER_LAYOUT`."""
    bits = Cat(Const(0, 1), number, Const(0, 2))
    return Cat(booth_digit(*bits[2 * i:2 * i + 3]) for i in range(MULTIPLIER_LAYOUT.length))


class ScaleMultiplier(wiring.Component):
    """A magnitude times a multiplier.

    Members
    -------
    magnitude : In(32), at most 2**31. multiplier : In(MULTIPLIER_LAYOUT).
    enable : In(1), the register between the two cycles holds while 0.
    product : Out, magnitude * multiplier, in the cycle after.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "magnitude": In(WORD),
            "multiplier": In(MULTIPLIER_LAYOUT),
            "enable": In(1),
            "product": Out(PRODUCT_WIDTH),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: a row of bits per digit, and fewer rows of the same sum.
        rows = self._multiples(m).reduced(m, platform, PRODUCT_ROWS, "product")
        held = rows.registered(m, "rows", self.enable)
        # Cycle 1: the sum.
        left, right = held.reduced(m, platform, 2, "sum").rows
        m.d.comb += self.product.eq(left + right)
        return m

    def _multiples(self, m: Module) -> Columns:
        columns, constant = Columns(PRODUCT_WIDTH), 0
        number = Signal(signed(WORD + 1))
        m.d.comb += number.eq(self.magnitude)
        last = len(self.multiplier) - 1
        for i, digit in enumerate(self.multiplier):
            bits = multiple(m, number, digit, f"multiple_{i}", signed=i < last)[:WORD + 1]
            columns.add(bits, 2 * i)
            if i == last:
                break
            # the sign, of weight -2**width here, as bits that are added, and a constant
            place_of_sign, minus = 2 * i + len(bits), digit.negative
            columns.add([minus], 2 * i)
            if i:
                columns.add([~minus], place_of_sign)
                constant -= 1 << place_of_sign
            else:  # keeps all columns as high as there are digits
                columns.add([minus, minus, ~minus], place_of_sign)
                constant -= 4 << place_of_sign
        columns.add_constant(constant)
        return columns
