# SPDX-License-Identifier: Apache-2.0
"""Buffers of what goes beside the operands: words x, bias and masks, in the engine's order."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import Target, run_bits, run_layout, stream_layout
from hdl.core.panels import ConfigPanels, blocks_of
from hdl.core.turned_mask import TurnedMask
from hdl.layouts import WORD
from hdl.library import place


class RowBuffer(wiring.Component):
    """Keeps `slots` slots of `height` rows of one strip, and sends them block by block.

    Members
    -------
    job : In(stream of stream_layout), taken when the last beat of the job before has moved; one
        that does not have this stream is taken at once.
    run, write, filled : as of `OperandBuffer`.
    free : Out(1), a slot is done with.
    beat : Out(stream of `bits` per column): per block of the walk a beat, or one per row.
        adds : Out(1), of a job with `accumulate`.
    """

    target: Target
    name: str  # of the member of a job that says whether it has this stream
    bits: int
    slots = 2
    by_block = False  # a beat per block, and a slot for a whole strip; else per row, and panel
    turns = False  # it may lie transposed, and then a slot is a group's

    def __init__(self, config: Config):
        self.config = config
        self.height = 1 if self.by_block else config.rows
        super().__init__({
            "job": In(stream.Signature(stream_layout(config))),
            "run": In(run_layout(config)),
            "write": In(1),
            "filled": Out(1),
            "free": Out(1),
            "beat": Out(stream.Signature(self.bits * config.cols)),
            "adds": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, part = self.config, run_bits(self.config)
        beat_bits = self.bits * config.cols
        width = max(part, beat_bits)
        words = -(-self.bits * config.strip // width)  # of a row
        parts, beats = width // part, width // beat_bits  # of a word
        m.submodules.store = store = memory.Memory(
            shape=width, depth=self.slots * self.height * words, init=[])
        tag = self.run.tag

        # What was read goes in, run by run of its row.
        for_this = Signal()
        mine = Signal()
        number = Signal(range(max(words * parts, 2)))
        turn = Signal.like(number)
        write = store.write_port(granularity=part)
        m.d.comb += [
            for_this.eq(self.write & (tag.target == self.target)),
            mine.eq(for_this & ~(tag.turned & self.turns)),
            self.filled.eq(for_this & tag.end & self.run.last),
            turn.eq(Mux(self.run.first, 0, number)),
            write.data.eq(self.run.data.replicate(parts)),
            write.addr.eq(_place(tag.slot[:(self.slots - 1).bit_length()], tag.index, self.height,
                                 turn // parts, words)),
            write.en.eq(Cat(mine & (turn % parts == p) for p in range(parts))),
        ]
        with m.If(mine):
            m.d.sync += number.eq(turn + 1)

        # Cycle 0: which slot, row and block are read.
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(stream_layout(config), reset_less=True)
        running = Signal()
        slot = Signal(range(self.slots))
        row = Signal(range(max(config.rows, 2)), reset_less=True)
        block = Signal(range(max(config.strip // config.cols, 2)), reset_less=True)
        full = Signal(range(self.slots + 1))
        advance = Signal()
        reads = Signal()
        last_row = Signal()
        last_block = Signal()
        ends = Signal()
        slot_ends = Signal()
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            reads.eq(running & (full != 0)),
            last_row.eq(1 if self.by_block else row == walk.rows - 1),
            last_block.eq(block == blocks_of(walk.cols, config) - 1),
            ends.eq(reads & advance & last_row & last_block),
            walk.step.eq(ends),
            slot_ends.eq(walk.last if self.by_block else 1),
            self.free.eq(ends & slot_ends),
        ]
        with m.If(~running):
            m.d.sync += [job.eq(self.job.p), row.eq(0), block.eq(0)]
            m.d.sync += running.eq(self.job.valid & self.job.p[self.name])
        with m.Elif(reads & advance):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
            with m.If(last_row):
                m.d.sync += block.eq(Mux(last_block, 0, block + 1))
            with m.If(ends & walk.last & walk.last_strip):
                m.d.sync += running.eq(0)
        with m.If(self.free):
            m.d.sync += slot.eq(slot + 1)
        m.d.sync += full.eq(full + self.filled - self.free)
        read = store.read_port()
        m.d.comb += [
            read.addr.eq(_place(slot, row, self.height, block // beats, words)),
            read.en.eq(advance),
        ]

        # Cycle 1: the word, and which of its beats.
        there = Signal()
        which = Signal(range(max(beats, 2)), reset_less=True)
        adds = Signal(reset_less=True)
        with m.If(advance):
            m.d.sync += [there.eq(reads), which.eq(block % beats), adds.eq(job.accumulate)]
        found = Array(read.data.word_select(b, beat_bits) for b in range(beats))[which]
        if self.turns:
            of_group = config.lanes // config.rows
            last_of_group = Signal()
            panel = Signal(range(max(of_group, 2)))  # within its group
            turned = place(m, platform, "turned", TurnedMask(config))
            m.d.comb += [
                turned.run.eq(self.run), turned.write.eq(for_this & tag.turned),
                turned.slot.eq(slot), turned.block.eq(block), turned.advance.eq(advance),
                turned.row.eq(panel * config.rows + row),
                last_of_group.eq(walk.last | (panel == of_group - 1)),
            ]
            is_turned = Signal(reset_less=True)
            with m.If(ends):
                m.d.sync += panel.eq(Mux(last_of_group, 0, panel + 1))
            with m.If(advance):
                m.d.sync += is_turned.eq(job.turn_mask)
            with m.If(job.turn_mask):
                m.d.comb += slot_ends.eq(last_of_group)
            found = Mux(is_turned, turned.beat, found)

        # Cycle 2: the beat.
        m.d.comb += advance.eq(~self.beat.valid | self.beat.ready)
        with m.If(advance):
            m.d.sync += [self.beat.valid.eq(there), self.beat.p.eq(found), self.adds.eq(adds)]
        return m


def _place(slot, row, height: int, word, words: int):
    """The address of a word; rows and words are powers of two."""
    def low(value, size):
        bits = size.bit_length() - 1
        return [value[:bits]] if bits else []

    return Cat(*low(word, words), *low(row, height), slot)


class XBuffer(RowBuffer):
    """Words to be rescaled, or to be added to results.

    As many come in a cycle as the engine takes, so the time until a slot that is free is filled
    again is hidden by others.
    """

    name, target, bits, slots = "x", Target.X, WORD, 4


class BiasBuffer(RowBuffer):
    """Bias: a slot has a strip, and each of its panels reads it again."""

    name, target, bits, by_block = "bias", Target.BIAS, WORD, True


class MaskBuffer(RowBuffer):
    """Masks of results."""

    name, target, bits, turns = "mask", Target.MASK, 1, True
