# SPDX-License-Identifier: Apache-2.0
"""Collects the engine's results panel by panel, and adds them to what was there."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import store_layout
from hdl.core.panels import ConfigPanels, blocks_of
from hdl.layouts import WORD, result_layout, words_layout
from hdl.library import place

SLOTS = 4  # words leave as fast as they come, so that those of two panels are not always enough
MASK_BIT = 8  # of a collected code: above both phases


def wide(config: Config) -> int:
    """Elements of a row that are read at once: whole bytes of codes, and of their mask."""
    return max(8, config.cols)


class Collect(wiring.Component):
    """Keeps `SLOTS` panels of results, `Config.rows` rows of one strip each.

    Members
    -------
    job : In(stream of store_layout), of whose results are collected; taken when the last result of
        the job before is.
    result : In(stream of result_layout). added : In(stream of words_layout), with `accumulate`.
    panel : Out(1), a panel is complete. free : In(1), one is done with.
    slot, part : In, what is read: `wide` columns from `wide * part` on. advance : In(1), the
        register of the read goes on.
    rows : Out(rows x wide words), of all rows of that, 1 cycle of `advance` later.
    saturated : Out(1), a sum of an accumulation left 32 bits.
    """

    LATENCY = 1

    def __init__(self, config: Config):
        self.config = config
        self.parts = config.strip // wide(config)
        super().__init__({
            "job": In(stream.Signature(store_layout(config))),
            "result": In(stream.Signature(result_layout(config))),
            "added": In(stream.Signature(words_layout(config))),
            "panel": Out(1),
            "free": In(1),
            "slot": In(range(SLOTS)),
            "part": In(range(max(self.parts, 2))),
            "advance": In(1),
            "rows": Out(WORD * wide(config)).array(config.rows),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, result = self.config, self.result
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(store_layout(config), reset_less=True)
        running = Signal()
        slot = Signal(range(SLOTS))
        free = Signal(range(SLOTS + 1), init=SLOTS)
        free_after = Signal(range(SLOTS + 1))
        goes_on = Signal()
        takes = Signal()  # running, and there is a free panel
        row = Signal(range(config.rows), reset_less=True)
        block = Signal(range(max(config.strip // config.cols, 2)), reset_less=True)
        fire = Signal()
        last_row = Signal()
        last_block = Signal()
        ends = Signal()
        # One register would drive all columns' adders: what is added to a column that does not
        # exist does not matter.
        alone = Signal()
        adds = Signal(config.cols)

        # Cycle 0: a row of a block, and where it goes.
        summed = Signal(WORD * config.cols)
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            fire.eq(takes & result.valid & (alone | self.added.valid)),
            result.ready.eq(takes & (alone | self.added.valid)),
            self.added.ready.eq(fire & ~alone),
            last_row.eq(row == walk.rows - 1),
            last_block.eq(block == blocks_of(walk.cols, config) - 1),
            ends.eq(fire & last_row & last_block),
            walk.step.eq(ends),
            self.panel.eq(ends),
        ]
        with m.If(~running):
            m.d.comb += goes_on.eq(self.job.valid & self.job.p.results)
            m.d.sync += [job.eq(self.job.p), row.eq(0), block.eq(0),
                         alone.eq(~self.job.p.accumulate),
                         adds.eq(Cat(self.job.p.accumulate & (self.job.p.sizes.n > c)
                                     for c in range(config.cols)))]
        with m.Elif(fire):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
            with m.If(last_row):
                m.d.sync += block.eq(Mux(last_block, 0, block + 1))
            with m.If(ends):
                m.d.sync += slot.eq(slot + 1)
            m.d.comb += goes_on.eq(~(ends & walk.last & walk.last_strip))
        with m.Else():
            m.d.comb += goes_on.eq(1)
        m.d.comb += free_after.eq(free + self.free - ends)
        m.d.sync += [running.eq(goes_on), free.eq(free_after),
                     takes.eq(goes_on & (free_after != 0))]
        left = []
        for c in range(config.cols):
            whole = Signal(signed(WORD + 1), name=f"whole_{c}")
            word, added = result.p.data[c], self.added.p[c]
            over = whole[WORD] != whole[WORD - 1]
            m.d.comb += whole.eq(word.as_signed() + Mux(adds[c], added, 0))
            ends_at = Cat((~whole[WORD]).replicate(WORD - 1), whole[WORD])
            code = Cat(word[:MASK_BIT], result.p.mask[c], Const(0, WORD - MASK_BIT - 1))
            m.d.comb += summed.word_select(c, WORD).eq(Mux(
                job.words, Mux(over, ends_at, whole[:WORD]), code))
            left.append(over & result.p.tag.keep[c])
        m.d.comb += self.saturated.eq(fire & ~alone & Cat(left).any())

        # Cycle 1: a memory per row, so that both a row and a column can be read at once.
        per_word = wide(config) // config.cols
        bits = per_word.bit_length() - 1
        where = Cat(block[bits:], slot) if self.parts > 1 else slot
        read_at = Cat(self.part, self.slot) if self.parts > 1 else self.slot
        for r in range(config.rows):
            m.submodules[f"row_{r}"] = store = memory.Memory(
                shape=WORD * wide(config), depth=SLOTS * self.parts, init=[])
            write = store.write_port(granularity=WORD * config.cols)
            read = store.read_port()
            m.d.comb += [
                write.addr.eq(where),
                write.data.eq(summed.replicate(per_word)),
                write.en.eq(Cat(fire & (row == r) & (block[:bits] == p if bits else 1)
                                for p in range(per_word))),
                read.addr.eq(read_at),
                read.en.eq(self.advance),
                self.rows[r].eq(read.data),
            ]
        return m


def column(rows, index, config: Config):
    """One column of what `Collect` shows: a word per row."""
    return Cat(Array(row.word_select(c, WORD) for c in range(wide(config)))[index] for row in rows)
