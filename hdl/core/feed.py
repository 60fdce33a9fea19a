# SPDX-License-Identifier: Apache-2.0
"""Reads the operands' buffers in the order in which the engine takes beats."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import fed_layout, feed_layout
from hdl.core.operand_buffer import SLOTS, OperandBuffer
from hdl.core.panels import ConfigPanels
from hdl.layouts import BFormat
from hdl.library import place


class Feed(wiring.Component):
    """Walks over a GEMM: strip by strip, panel by panel, block by block, lanes of K by lanes of K.

    Members
    -------
    job : In(stream of feed_layout).
    filled_a, filled_b : In(1), a slot of the operand has been filled. complete_a : In, as of
        `OperandBuffer`: a panel is read as soon as it is there.
    free_a, free_b : Out(1), one is done with.
    slot_a, slot_b, panel, block, chunk : Out, what to read. advance : Out(1), the buffers go on.
    valid : Out(1), ready : In(1), of the beats that both buffers show.
    fed : Out(fed_layout), of those beats.
    running : Out(1), beats of a job are still to come. macs : Out, products of the beat that
        was read three cycles ago.
    """

    def __init__(self, config: Config):
        self.config = config
        blocks, chunks = config.strip // config.cols, config.depth // config.lanes
        super().__init__({
            "job": In(stream.Signature(feed_layout(config))),
            "filled_a": In(1),
            "filled_b": In(1),
            "complete_a": In(range(max(config.lanes // config.rows, 2))),
            "free_a": Out(1),
            "free_b": Out(1),
            "slot_a": Out(1),
            "slot_b": Out(1),
            "panel": Out(range(max(config.lanes // config.rows, 2))),
            "block": Out(range(max(blocks, 2))),
            "chunk": Out(range(max(chunks, 2))),
            "advance": Out(1),
            "valid": Out(1),
            "ready": In(1),
            "fed": Out(fed_layout(config)),
            "running": Out(1),
            "macs": Out(range(config.macs_per_cycle + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(feed_layout(config), reset_less=True)
        running = self.running
        full_a = Signal(range(SLOTS + 1))
        full_b = Signal(range(SLOTS + 1))
        panel = Signal(range(max(config.lanes // config.rows, 2)))
        last_chunk = Signal()
        last_block = Signal()
        last_panel = Signal()
        reads = Signal()

        # Cycle 0: what is read.
        bits = config.lanes.bit_length() - 1
        chunk_of_last = Signal.like(self.chunk, name="chunk_of_last", reset_less=True)
        lanes_of_last = Signal(range(config.lanes + 1), reset_less=True)
        block_ends = Signal()
        panel_ends = Signal()
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            reads.eq(running & ((full_a != 0) | (self.complete_a > panel)) & (full_b != 0)),
            last_chunk.eq(self.chunk == chunk_of_last),
            last_block.eq(self.block == (walk.cols - 1) >> (config.cols.bit_length() - 1)),
            last_panel.eq(walk.last | (panel == config.lanes // config.rows - 1)),
            block_ends.eq(reads & self.advance & last_chunk),
            panel_ends.eq(block_ends & last_block),
            walk.step.eq(panel_ends),
            self.free_a.eq(panel_ends & last_panel),
            self.free_b.eq(panel_ends & walk.last),
            self.panel.eq(panel),
        ]
        # how much of this beat exists
        lanes = Mux(last_chunk, lanes_of_last, config.lanes)
        cols = Mux(last_block, walk.cols - (self.block << (config.cols.bit_length() - 1)),
                   config.cols)
        # of the counter nobody wants to know soon: a product per cycle
        rows_1, cols_1, lanes_1, lanes_2 = (Signal(range(most + 1), name=name) for most, name in (
            (config.rows, "rows_1"), (config.cols, "cols_1"),
            (config.lanes, "lanes_1"), (config.lanes, "lanes_2")))
        outputs_2 = Signal(range(config.rows * config.cols + 1))
        m.d.sync += [rows_1.eq(Mux(reads & self.advance, walk.rows, 0)), cols_1.eq(cols),
                     lanes_1.eq(lanes), outputs_2.eq(rows_1 * cols_1), lanes_2.eq(lanes_1),
                     self.macs.eq(outputs_2 * lanes_2)]
        with m.If(~running):
            before = (self.job.p.k - 1).as_unsigned()
            m.d.sync += [job.eq(self.job.p), running.eq(self.job.valid), panel.eq(0),
                         self.block.eq(0), self.chunk.eq(0),
                         chunk_of_last.eq(before >> bits), lanes_of_last.eq(before[:bits] + 1)]
        with m.Elif(reads & self.advance):
            m.d.sync += self.chunk.eq(Mux(last_chunk, 0, self.chunk + 1))
            with m.If(last_chunk):
                m.d.sync += self.block.eq(Mux(last_block, 0, self.block + 1))
            with m.If(panel_ends):
                m.d.sync += panel.eq(Mux(last_panel, 0, panel + 1))
                with m.If(walk.last & walk.last_strip):
                    m.d.sync += running.eq(0)
        with m.If(self.free_a):
            m.d.sync += self.slot_a.eq(~self.slot_a)
        with m.If(self.free_b):
            m.d.sync += self.slot_b.eq(~self.slot_b)
        m.d.sync += [full_a.eq(full_a + self.filled_a - self.free_a),
                     full_b.eq(full_b + self.filled_b - self.free_b)]

        # The buffers' cycles: whether what they read is a beat.
        fed = Signal(fed_layout(config))
        m.d.comb += [
            fed.counts.eq(walk.first & (job.zero != 0)),
            fed.last.eq(last_chunk),
            fed.lanes.eq(Cat(lane < lanes for lane in range(config.lanes))),
            fed.zero.eq(job.zero),
            # no matter what it says of a column that does not exist
            *(fed.formats[c].eq(Cat((job.b_format == BFormat.of(fmt)) & (cols > c)
                                    for fmt in config.log_formats))
              for c in range(config.cols)),
        ]
        tags = [fed] + [Signal(fed_layout(config), name=f"fed_{i}", reset_less=True)
                        for i in range(OperandBuffer.LATENCY)]
        stages = [reads] + [Signal(name=f"there_{i}") for i in range(OperandBuffer.LATENCY)]
        m.d.comb += [self.advance.eq(~self.valid | self.ready), self.valid.eq(stages[-1])]
        with m.If(self.advance):
            for pipe in (stages, tags):
                m.d.sync += [after.eq(before) for before, after in pairwise(pipe)]
        m.d.comb += self.fed.eq(tags[-1])
        return m
