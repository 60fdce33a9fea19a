# SPDX-License-Identifier: Apache-2.0
"""What the scale solver reads from its last product: a zero point, or GradScale's next exponent."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import INT4, ZERO_POINT_WIDTH, LogFormat
from golden.gradscale import GradScale
from golden.solver import EXPONENT_WIDTH
from hdl.scales.solver_adder import LONG, X_SHAPE

POINT = LONG - Dyadic.WIDTH  # where a product's binary point ends up, after 16 + s steps
PRODUCT_WIDTH = LONG + X_SHAPE.width


class ZeroPoint(wiring.Component):
    """`-low * scale` rounded to nearest even, plus the code of `low`, clamped to 16 bits.

    Members
    -------
    product : In, `-low * M` with its binary point at `POINT`, two's complement; holds for two
        cycles. degenerate : In(1), the code of `low` is 0 instead of -8.
    zero_point : Out(signed 16), one cycle after `product`. saturated : Out(1), it was clamped.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "product": In(PRODUCT_WIDTH),
            "degenerate": In(1),
            "zero_point": Out(signed(ZERO_POINT_WIDTH)),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: which way it rounds; whether the whole part alone leaves 16 bits.
        fraction = self.product[:POINT]
        whole = self.product[POINT:]
        high = whole[ZERO_POINT_WIDTH - 1:]
        up = Signal(reset_less=True)
        far = Signal(reset_less=True)
        m.d.sync += [
            up.eq(fraction[-1] & (fraction[:-1].any() | whole[0])),
            far.eq(high.any() & ~high.all()),
        ]
        # Cycle 1: the sum, clamped.
        lowest = -1 << (ZERO_POINT_WIDTH - 1)
        highest = -lowest - 1
        value = Signal(signed(ZERO_POINT_WIDTH + 2))
        near = value[ZERO_POINT_WIDTH - 1:]
        negative = Signal()
        m.d.comb += [
            value.eq(whole[:ZERO_POINT_WIDTH].as_signed() + up
                     + Mux(self.degenerate, 0, INT4.lo)),
            negative.eq(Mux(far, whole[-1], value[-1])),
            self.saturated.eq(far | (near.any() & ~near.all())),
            self.zero_point.eq(Mux(self.saturated, Mux(negative, lowest, highest), value)),
        ]
        return m


class NextExponent(wiring.Component):
    """GradScale's next exponent: a step where m = max|x| * scale is not in (32, 64]; 0 keeps.

    Members
    -------
    product : In, `max|x| * M` with its binary point at `POINT`; holds for two cycles.
    exponent : In, the current one. next : Out, one cycle after `product`, within
        +/-`GradScale.LIMIT`. limited : Out(1), the limit held it.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "product": In(PRODUCT_WIDTH),
            "exponent": In(signed(EXPONENT_WIDTH)),
            "next": Out(signed(EXPONENT_WIDTH)),
            "limited": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: where m lies.
        place_of_64 = POINT + int(LogFormat.TOP).bit_length() - 1
        beyond = self.product[place_of_64 + 1:].any()  # m >= 128
        has_64 = self.product[place_of_64]
        has_32 = self.product[place_of_64 - 1]
        below_64 = self.product[:place_of_64].any()  # m has something below the place of 64
        below_32 = self.product[:place_of_64 - 1].any()
        above = Signal(reset_less=True)  # m > 64
        inside = Signal(reset_less=True)  # 32 < m <= 64, or 0
        m.d.sync += [
            above.eq(beyond | (has_64 & below_64)),
            inside.eq(~beyond & Mux(has_64, ~below_64, (has_32 & below_32) | ~below_64)),
        ]
        # Cycle 1: the step.
        held = Signal()
        m.d.comb += [
            held.eq(self.exponent == Mux(above, -GradScale.LIMIT, GradScale.LIMIT)),
            self.next.eq(self.exponent + Mux(inside | held, 0, Mux(above, -1, 1))),
            self.limited.eq(~inside & held),
        ]
        return m
