# SPDX-License-Identifier: Apache-2.0
"""The scale solver's adder: a step of a multiplication, a division or a square root."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.solver import SAWB_BITS, SAWB_UNIT
from golden.statistics import COUNT_WIDTH

HALF = SAWB_BITS  # bits of a divisor, of a root, and of half the long register
LONG = 2 * HALF
X_SHAPE = signed(HALF + 3)  # < 2**34 while a root is taken, and a sign
Z_SHAPE = signed(HALF + 1)
SUM_SHAPE = signed(HALF + 4)

CONTROL_LAYOUT = data.StructLayout({
    "doubled": 1,  # the augend is {x, y} one place up, else x
    "rooting": 1,  # the addend is a root's trial, {z, 01}
    "by_count": 1,  # the addend is the tensor's count
    "by_unit": 1,  # the addend is SAWB_UNIT; it is z where none of these three is asked for
    "subtract": 1,  # the addend is subtracted
})


class SolverAdder(wiring.Component):
    """x, or {x, y} one place up, plus or minus z, a count, a constant, or the trial of a root.

    Members
    -------
    control : In(CONTROL_LAYOUT), what to add, a cycle before it is added.
    x, z : In(X_SHAPE, Z_SHAPE), registers of the solver. y_top : In(1), the highest place of y.
    count : In, the tensor's. All hold until the result was used.
    total : Out(SUM_SHAPE), the sum. fits : Out(1), it is not negative.
    take : In(1). result : Out(SUM_SHAPE), the sum if it is taken, else the augend.

    Latency: 2 cycles from `control`, 1 from the operands; `take` acts at once.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "control": In(CONTROL_LAYOUT),
            "x": In(X_SHAPE),
            "y_top": In(1),
            "z": In(Z_SHAPE),
            "count": In(COUNT_WIDTH),
            "total": Out(SUM_SHAPE),
            "fits": Out(1),
            "take": In(1),
            "result": Out(SUM_SHAPE),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: what is asked.
        asked = Signal(CONTROL_LAYOUT, reset_less=True)
        m.d.sync += asked.eq(self.control)
        # Cycle 1: the sum. The lowest place carries the one that negates the addend.
        augend = Signal(SUM_SHAPE)
        addend = Signal(SUM_SHAPE)
        negate = asked.subtract.replicate(len(addend))
        total = Signal(SUM_SHAPE, reset_less=True)
        m.d.comb += [
            augend.eq(Mux(asked.doubled, Cat(self.y_top, self.x).as_signed(), self.x)),
            addend.eq(Mux(asked.rooting, Cat(Const(1, 2), self.z[:HALF]),
                          Mux(asked.by_count, self.count,
                              Mux(asked.by_unit, SAWB_UNIT, self.z)))),
        ]
        m.d.sync += total.eq(
            (Cat(asked.subtract, augend) + Cat(asked.subtract, addend ^ negate))[1:])
        # Cycle 2: what becomes of it.
        m.d.comb += [
            self.total.eq(total),
            self.fits.eq(~total[-1]),
            self.result.eq(Mux(self.take, total, augend)),
        ]
        return m
