# SPDX-License-Identifier: Apache-2.0
"""Masks that lie transposed: filled column by column, read as rows of blocks."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import INDEX, run_layout

SLOTS = 2


class TurnedMask(wiring.Component):
    """Keeps two slots of a mask, each of `Config.lanes` rows of one strip.

    As many memories as a block has columns lie side by side; a word is a column's bits of all rows.

    Members
    -------
    run : In(run_layout), the bits of a column, written in the cycle in which `write` is 1.
    slot, block, row : In, what is read: of a block of the strip, one of the slot's rows.
    advance : In(1), registers of the read go on.
    beat : Out(a bit per column), 1 cycle of `advance` later.
    """

    LATENCY = 1

    def __init__(self, config: Config):
        self.config, self.blocks = config, config.strip // config.cols
        super().__init__({
            "run": In(run_layout(config)),
            "write": In(1),
            "slot": In(1),
            "block": In(range(max(self.blocks, 2))),
            "row": In(range(config.lanes)),
            "advance": In(1),
            "beat": Out(config.cols),
        })

    def elaborate(self, platform):
        m = Module()
        config, index = self.config, self.run.tag.index
        lanes, bits = config.lanes, config.cols.bit_length() - 1
        place = (self.blocks - 1).bit_length()
        column = self.run.data[:lanes]
        if lanes < 8:  # which is 4
            column = Mux(index[INDEX - 1], self.run.data[lanes:2 * lanes], column)

        # Cycle 0: the words of a block.
        row = Signal(range(lanes), reset_less=True)
        with m.If(self.advance):
            m.d.sync += row.eq(self.row)
        found = []
        for number in range(config.cols):
            store = memory.Memory(shape=lanes, depth=SLOTS * self.blocks, init=[])
            m.submodules[f"column_{number}"] = store
            write = store.write_port()
            read = store.read_port()
            m.d.comb += [
                write.addr.eq(Cat(index[bits:bits + place], self.run.tag.slot[0])),
                write.data.eq(column),
                write.en.eq(self.write & (index[:bits] == number)),
                read.addr.eq(Cat(self.block[:place], self.slot)),
                read.en.eq(self.advance),
            ]
            found.append(read.data)

        # Cycle 1: of each the row's bit.
        m.d.comb += self.beat.eq(Cat(Array(word)[row] for word in found))
        return m
