# SPDX-License-Identifier: Apache-2.0
"""When a DMA part stops, why, and when it goes on."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.layouts import fault_layout


class Halt(wiring.Component):
    """Keeps the first fault, and a DMA part still until it is quiet again.

    Members
    -------
    stop, restart : In(1), as those of the DMA parts.
    trouble : In(fault_layout), what goes wrong in this cycle; not looked at while halted.
    idle : In(1), nothing is outstanding or buffered.
    fault : Out(fault_layout), the first trouble since `restart`.
    halted : Out(1), from the cycle after `stop` or trouble until the part is idle, `stop` is 0 and
        the fault has been cleared: what was outstanding never meets what comes later.
    opens : Out(1), the last cycle of it: what is offered now waits for the next one.

    Latency: 1 cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "stop": In(1),
            "restart": In(1),
            "trouble": In(fault_layout(config)),
            "idle": In(1),
            "fault": Out(fault_layout(config)),
            "halted": Out(1),
            "opens": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        happens = self.trouble.valid & ~self.halted
        with m.If(happens):
            m.d.sync += self.fault.eq(self.trouble)
        with m.Elif(self.restart):
            m.d.sync += self.fault.valid.eq(0)
        m.d.comb += self.opens.eq(self.halted & self.idle & ~self.fault.valid & ~self.stop)
        with m.If(self.stop | happens):
            m.d.sync += self.halted.eq(1)
        with m.Elif(self.opens):
            m.d.sync += self.halted.eq(0)
        return m
