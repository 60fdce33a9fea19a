# SPDX-License-Identifier: Apache-2.0
"""What operand a's zero point takes from every column's sum, made while the column is first read.

    sum (a - z) b = sum a b - z sum b

so a word per column, bias - z * sum b, is added to the sums of codes as any bias is.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.column_sum import ColumnSum, ZeroProduct, total_shape
from hdl.core.layouts import fed_layout, stream_layout
from hdl.core.panels import ConfigPanels, blocks_of
from hdl.layouts import WORD, codes_layout
from hdl.library import place


class Correction(wiring.Component):
    """Sends the words that the engine adds to each column: the bias, less with `corrected` what the
    zero point takes from the column: it is made in the first panel of each strip, and kept for the
    others.

    Members
    -------
    job : In(stream of stream_layout), taken when the last word of the job before is made; one that
        has neither bias nor zero point is taken at once.
    beat : In(codes_layout), of operand b. fed : In(fed_layout), of it. moves : In(1), it moves.
    bias : In(stream of cols words). word : Out(stream of cols words).
    finished : Out(1), the last word of a job with `corrected` is made; lost : Out(1), then: one
        of its words left 32 bits.

    Latency: 8 cycles from a block's last beat to its words. Throughput: a block's every other
    cycle.
    """

    AHEAD = 16  # blocks: more than there are between a beat's way into the tile and its words

    def __init__(self, config: Config):
        self.config = config
        words = WORD * config.cols
        super().__init__({
            "job": In(stream.Signature(stream_layout(config))),
            "beat": In(codes_layout(config, config.cols)),
            "fed": In(fed_layout(config)),
            "moves": In(1),
            "bias": In(stream.Signature(words)),
            "word": Out(stream.Signature(words)),
            "finished": Out(1),
            "lost": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        cols = config.cols
        fed = self.fed

        # Cycle 0: a beat of b. Cycle 2: its columns' sums.
        there, last, zero = self.moves & fed.counts, fed.last, fed.zero
        for i in range(1, ColumnSum.LATENCY + 1):
            there, last, zero = (after(m, value, f"{name}_{i}") for name, value in (
                ("there", there), ("last", last), ("zero", zero)))
        sums = []
        for c in range(cols):
            column = place(m, platform, f"column_sum_{c}", ColumnSum(config))
            m.d.comb += [column.codes.eq(self.beat[c].as_value()), column.lanes.eq(fed.lanes),
                         column.formats.eq(fed.formats[c])]
            sums.append(column.total)

        # Cycle 3: the sums of the block so far; behind its last beat, whole.
        begins = Signal(init=1)
        wholes = [Signal(total_shape(config), name=f"sum_{c}", reset_less=True)
                  for c in range(cols)]
        whole, zero = after(m, there & last, "whole"), after(m, zero, "zero")
        with m.If(there):
            m.d.sync += begins.eq(last)
            m.d.sync += [total.eq(Mux(begins, 0, total) + part)
                         for total, part in zip(wholes, sums, strict=True)]

        # Cycle 4: times the zero point.
        products = []
        for c, total in enumerate(wholes):
            times = place(m, platform, f"zero_product_{c}", ZeroProduct(config))
            m.d.comb += [times.total.eq(total), times.zero.eq(zero)]
            products.append(times.product)
        multiplied = after(m, whole, "multiplied")

        # That goes into a ring: a strip's stay until its last panel has had them.
        product = len(products[0])
        blocks = config.strip // cols
        depth = 1 << (blocks + self.AHEAD - 1).bit_length()
        m.submodules.ring = ring = memory.Memory(shape=product * cols, depth=depth, init=[])
        put, get = ring.write_port(), ring.read_port()
        tail = Signal(range(depth))
        strip = Signal(range(depth))
        at = Signal(range(depth))
        with m.If(multiplied):
            m.d.sync += tail.eq(tail + 1)
        m.d.comb += [put.addr.eq(tail), put.en.eq(multiplied),
                     put.data.eq(Cat(products))]

        # Cycle 5: the block whose words are next is read.
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(stream_layout(config), reset_less=True)
        running = Signal()
        left = Signal()  # not all words have been read
        shown = Signal()
        block = Signal(range(max(blocks, 2)), reset_less=True)
        reads = Signal()
        last_block = Signal()
        ends = Signal()
        goes = Signal()
        final = Signal(reset_less=True)
        exist = Signal(cols, reset_less=True)
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            reads.eq(left & (~shown | goes) & (~job.corrected | (at != tail))),
            last_block.eq(block == blocks_of(walk.cols, config) - 1),
            ends.eq(reads & last_block),
            walk.step.eq(ends),
            get.addr.eq(at), get.en.eq(reads),
        ]
        with m.If(~running):
            some = self.job.valid & (self.job.p.bias | self.job.p.corrected)
            m.d.sync += [job.eq(self.job.p), block.eq(0), running.eq(some), left.eq(some)]
        with m.Elif(reads):
            m.d.sync += [
                block.eq(Mux(last_block, 0, block + 1)),
                final.eq(ends & walk.last & walk.last_strip),
                exist.eq(Cat((block << (cols.bit_length() - 1)) + c < walk.cols
                             for c in range(cols))),
            ]
            with m.If(job.corrected):
                m.d.sync += at.eq(Mux(last_block & ~walk.last, strip, at + 1))
            with m.If(ends & walk.last):
                m.d.sync += [strip.eq(at + job.corrected), left.eq(~walk.last_strip)]
        with m.If(reads | goes):
            m.d.sync += shown.eq(reads)

        # Cycle 6: its words are made.
        over = Signal(cols)
        words = Signal(WORD * cols)
        for c in range(cols):
            bias = Mux(job.bias, self.bias.p.word_select(c, WORD), 0).as_signed()
            taken = get.data.word_select(c, product).as_signed()
            difference = Signal(signed(max(product, WORD) + 1), name=f"difference_{c}")
            m.d.comb += difference.eq(bias - taken)
            sign, above = difference[-1], difference[WORD - 1:-1]
            beyond = above != sign.replicate(len(above))
            m.d.comb += over[c].eq(beyond & exist[c])
            m.d.comb += words.word_select(c, WORD).eq(Mux(
                beyond, Cat((~sign).replicate(WORD - 1), sign), difference[:WORD]))
        lost = Signal()
        made = shown & (~job.bias | self.bias.valid)
        kept = Signal.like(self.word.p, name="kept", reset_less=True)
        waits = Signal()
        m.d.comb += [
            goes.eq(made & ~waits),
            self.bias.ready.eq(job.bias & goes),
            self.finished.eq(job.corrected & goes & final),
            self.lost.eq(lost | (job.corrected & goes & over.any())),
        ]
        m.d.sync += lost.eq(self.lost & running)
        with m.If(goes & final):
            m.d.sync += running.eq(0)

        # Cycle 7: they wait, so that `goes` does not look at ready, which comes through all of the
        # engine. Cycle 8: they are sent.
        sent = Signal.like(self.word.p, name="sent", reset_less=True)
        m.d.comb += self.word.p.eq(sent)
        with m.If(~self.word.valid | self.word.ready):
            m.d.sync += [self.word.valid.eq(waits), sent.eq(kept), waits.eq(0)]
        with m.If(~waits):
            m.d.sync += [waits.eq(made), kept.eq(Mux(job.corrected, words, self.bias.p))]
        return m


def after(m: Module, value, name: str) -> Signal:
    """A value, one cycle later."""
    register = Signal(Value.cast(value).shape(), name=name, reset_less=len(Value.cast(value)) > 1)
    m.d.sync += register.eq(value)
    return register
