# SPDX-License-Identifier: Apache-2.0
"""The two ways to carry both phases of a gradient ([Sun20] 3.1), as blocks to be measured.

Two codes of four bits are made once per lane of the rescaling unit; one joint code of five bits is
decoded at every lane of operand b. The core does the first.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config


class PairEncoder(wiring.Component):
    """Joint level q and sign to both codes, as a rounder for radix 4 alone would end.

    Members: q : In(4). sign : In(1). even, odd : Out(4). Combinational.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"q": In(4), "sign": In(1), "even": Out(4), "odd": Out(4)})

    def elaborate(self, platform):
        m = Module()
        for code, level in ((self.even, self.q >> 1), (self.odd, (self.q + 1) >> 1)):
            m.d.comb += code.eq(Cat(level[:3], self.sign & level[:3].any()))
        return m


class PhaseDecoder(wiring.Component):
    """Joint code and phase to the code of that phase, as `golden.logfp4.joint_decode`.

    Members: joint : In(5). odd : In(1). code : Out(4). Combinational.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"joint": In(5), "odd": In(1), "code": Out(4)})

    def elaborate(self, platform):
        m = Module()
        level = Signal(3)
        q = self.joint[:4]
        m.d.comb += [
            level.eq(Mux(self.odd, (q + 1) >> 1, q >> 1)),
            self.code.eq(Cat(level, self.joint[4] & level.any())),
        ]
        return m
