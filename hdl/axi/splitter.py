# SPDX-License-Identifier: Apache-2.0
"""Items of data become parts that fit into a beat."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.write_layouts import item_bytes, item_layout, part_bytes


class Splitter(wiring.Component):
    """Cuts items that are longer than a beat; where none is, it is a register.

    Members
    -------
    item, part : In and Out(streams of `item_layout`).
    halt : In(1), forget everything; what is offered is taken and forgotten.
    empty : Out(1), nothing is here.

    Latency: 1 cycle. Throughput: one part per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "item": In(stream.Signature(item_layout(config))),
            "part": Out(stream.Signature(item_layout(config, part_bytes(config)))),
            "halt": In(1),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        size = part_bytes(self.config)
        parts = item_bytes(self.config) // size
        valid = Signal()
        held = Signal(self.part.p.shape(), reset_less=True)
        moves = ~valid | self.part.ready | self.halt
        m.d.comb += [
            self.part.valid.eq(valid),
            self.part.p.eq(held),
            self.empty.eq(~valid),
        ]
        with m.If(moves):
            m.d.sync += valid.eq(self.item.valid & ~self.halt)
        item = self.item.p
        if parts == 1:
            m.d.comb += self.item.ready.eq(moves)
            with m.If(moves):
                m.d.sync += held.eq(item)
            return m
        number = Signal(range(parts))
        fine = size.bit_length() - 1
        whole, rest = item.count[fine:], item.count[:fine]
        last = (number == whole) | ((number + 1 == whole) & (rest == 0))
        m.d.comb += self.item.ready.eq((moves & last) | self.halt)
        with m.If(self.halt):
            m.d.sync += number.eq(0)
        with m.Elif(moves & self.item.valid):
            m.d.sync += number.eq(Mux(last, 0, number + 1))
        with m.If(moves):
            m.d.sync += [
                held.data.eq(Array(item.data.word_select(i, 8 * size)
                                   for i in range(parts))[number]),
                held.count.eq(Mux(number == whole, rest, size)),
            ]
        return m
