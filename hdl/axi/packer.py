# SPDX-License-Identifier: Apache-2.0
"""Units of bytes become runs, where a beat of the bus is shorter than a run."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.read_layouts import run_bytes, run_layout, unit_bytes, unit_layout


class Packer(wiring.Component):
    """Collects a run; where a unit is one, it is a register.

    Members
    -------
    unit : In(stream of `unit_layout`). run : Out(stream of `run_layout`).
    halt : In(1), forget a run that is not complete; no unit comes. One that is offered stays.

    Latency: 1 cycle from a run's last unit. Throughput: one unit per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "unit": In(stream.Signature(unit_layout(config))),
            "run": Out(stream.Signature(run_layout(config))),
            "halt": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit, run = self.unit.p, self.run.p
        width = len(unit.data)
        slots = run_bytes(self.config) // unit_bytes(self.config)
        valid = Signal()
        payload = Signal(run_layout(self.config), reset_less=True)
        m.d.comb += [
            self.unit.ready.eq(~valid | self.run.ready),
            self.run.valid.eq(valid),
            run.eq(payload),
        ]
        takes = self.unit.valid & self.unit.ready
        if slots == 1:
            with m.If(self.unit.ready):
                m.d.sync += [payload.eq(unit), valid.eq(self.unit.valid)]
            return m
        slot = Signal(range(slots))
        full = slot == slots - 1
        with m.If(self.unit.ready):
            m.d.sync += valid.eq(self.unit.valid & (unit.last | full))
        with m.If(self.halt):
            m.d.sync += slot.eq(0)
        with m.Elif(takes):
            m.d.sync += slot.eq(Mux(unit.last, 0, slot + 1))
        with m.If(takes):
            m.d.sync += [payload.tag.eq(unit.tag), payload.last.eq(unit.last)]
            with m.If(slot == 0):
                m.d.sync += [payload.data.eq(unit.data), payload.first.eq(unit.first)]
            for i in range(1, slots):
                with m.If(slot == i):
                    m.d.sync += payload.data[i * width:(i + 1) * width].eq(unit.data)
        return m
