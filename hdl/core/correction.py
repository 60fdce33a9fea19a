# SPDX-License-Identifier: Apache-2.0
"""What operand a's zero point takes from every column's sum, made while the column is first read.

    sum (a - z) b = sum a b - z sum b

so a word per column, bias - z * sum b, is added to the sums of codes as any bias is.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import ZERO, fed_layout, stream_layout
from hdl.core.panels import ConfigPanels, blocks_of
from hdl.layouts import WORD, BFormat, codes_layout
from hdl.library import place


class Correction(wiring.Component):
    """Sends the words that the engine adds to each column: the bias, or with `corrected` what is
    made of it in the first panel of each strip, and kept for the others.

    Members
    -------
    job : In(stream of stream_layout), taken when the last word of the job before has gone; one that
        has neither bias nor zero point is taken at once.
    beat : In(codes_layout), of operand b. fed : In(fed_layout), of it. moves : In(1), it moves.
    bias : In(stream of cols words). word : Out(stream of cols words).
    finished : Out(1), the last word of a job with `corrected` goes; lost : Out(1), then: one of its
        words left 32 bits.

    Latency: 4 cycles from a block's last beat to its words.
    """

    DEPTH = 16  # of the queue: more blocks than the tile holds

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
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(stream_layout(config), reset_less=True)
        running = Signal()
        corrected = running & job.corrected
        blocks = config.strip // cols

        # Cycle 0: a beat of b. Cycle 1: its columns' sums.
        fed = self.fed
        there_1, last_1 = Signal(), Signal(reset_less=True)
        zero_1, zero_2 = Signal(signed(ZERO)), Signal(signed(ZERO))
        m.d.sync += [there_1.eq(self.moves & fed.counts), last_1.eq(fed.last),
                     zero_1.eq(fed.zero), zero_2.eq(zero_1)]
        sums_1 = []
        for c in range(cols):
            column = place(m, platform, f"column_sum_{c}", ColumnSum(config))
            m.d.comb += [column.codes.eq(self.beat[c].as_value()), column.lanes.eq(fed.lanes),
                         column.b_format.eq(fed.b_format)]
            sums_1.append(column.total)

        # Cycle 2: the sums of the block so far; behind its last beat, whole.
        wide = signed(min(WORD, config.dot_width + (config.depth // config.lanes).bit_length()))
        first_2, whole_2 = Signal(init=1), Signal()
        sums_2 = [Signal(wide, name=f"sum_2_{c}", reset_less=True) for c in range(cols)]
        m.d.sync += whole_2.eq(there_1 & last_1)
        with m.If(there_1):
            m.d.sync += first_2.eq(last_1)
            m.d.sync += [total.eq(Mux(first_2, 0, total) + part)
                         for total, part in zip(sums_2, sums_1, strict=True)]

        # Cycle 3: times the zero point; in a queue, since the bias may be late.
        product = WORD + ZERO
        products = [Signal(signed(product), name=f"product_{c}", reset_less=True)
                    for c in range(cols)]
        m.submodules.queue = queue = memory.Memory(
            shape=product * cols, depth=self.DEPTH, init=[])
        put, get = queue.write_port(), queue.read_port(domain="comb")
        head, tail = Signal(range(self.DEPTH)), Signal(range(self.DEPTH))
        level = Signal(range(self.DEPTH + 1))
        there_3 = Signal()
        m.d.sync += there_3.eq(whole_2)
        m.d.sync += [found.eq(total * zero_2) for found, total in zip(
            products, sums_2, strict=True)]
        made = Signal()  # a word goes from the queue to where it is kept
        m.d.comb += [put.addr.eq(tail), put.data.eq(Cat(products)), put.en.eq(there_3),
                     get.addr.eq(head)]
        with m.If(there_3):
            m.d.sync += tail.eq(tail + 1)
        with m.If(made):
            m.d.sync += head.eq(head + 1)
        m.d.sync += level.eq(level + there_3 - made)

        # The words of a block: made in the first panel, read again in the others.
        m.submodules.kept = kept = memory.Memory(shape=WORD * cols, depth=max(blocks, 2), init=[])
        keep, again = kept.write_port(), kept.read_port(domain="comb")
        block = Signal(range(max(blocks, 2)), reset_less=True)
        last_block, ends, moves = Signal(), Signal(), Signal()
        words, over = Signal(WORD * cols), []
        for c in range(cols):
            bias = Mux(job.bias, self.bias.p.word_select(c, WORD), 0).as_signed()
            taken = get.data.word_select(c, product).as_signed()
            whole = Signal(signed(product + 1), name=f"whole_{c}")
            m.d.comb += whole.eq(bias - taken)
            beyond = whole[WORD - 1:] != whole[-1].replicate(len(whole) - WORD + 1)
            exists = (block << (cols.bit_length() - 1)) + c < walk.cols
            over.append(beyond & exists)
            m.d.comb += words.word_select(c, WORD).eq(Mux(
                beyond, Cat((~whole[-1]).replicate(WORD - 1), whole[-1]), whole[:WORD]))
        first = walk.first
        ready = (level != 0) & (~job.bias | self.bias.valid)
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            last_block.eq(block == blocks_of(walk.cols, config) - 1),
            keep.addr.eq(block), keep.data.eq(words), keep.en.eq(made), again.addr.eq(block),
        ]
        with m.If(corrected):
            m.d.comb += [
                self.word.valid.eq(Mux(first, ready, ~job.bias | self.bias.valid)),
                self.word.p.eq(Mux(first, words, again.data)),
                moves.eq(self.word.valid & self.word.ready),
                self.bias.ready.eq(job.bias & moves),
                made.eq(moves & first),
            ]
        with m.Elif(running):  # the bias as it is
            m.d.comb += [self.word.valid.eq(self.bias.valid), self.word.p.eq(self.bias.p),
                         self.bias.ready.eq(self.word.ready),
                         moves.eq(self.word.valid & self.word.ready)]
        lost = Signal()
        m.d.comb += [self.lost.eq(lost | (made & Cat(over).any())), ends.eq(moves & last_block),
                     walk.step.eq(ends),
                     self.finished.eq(corrected & ends & walk.last & walk.last_strip)]
        m.d.sync += lost.eq(self.lost & running)
        with m.If(~running):
            m.d.sync += [job.eq(self.job.p), block.eq(0), running.eq(
                self.job.valid & (self.job.p.bias | self.job.p.corrected))]
        with m.Elif(moves):
            m.d.sync += block.eq(Mux(last_block, 0, block + 1))
            with m.If(ends & walk.last & walk.last_strip):
                m.d.sync += running.eq(0)
        return m


class ColumnSum(wiring.Component):
    """The sum of a column's codes of one beat, in MAC units.

    Members
    -------
    codes : In(4 bits per lane). lanes : In(a bit per lane), those that exist. b_format : In.
    total : Out. Latency: 1 cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "codes": In(4 * config.lanes),
            "lanes": In(config.lanes),
            "b_format": In(BFormat),
            "total": Out(signed(config.dot_width)),
        })

    def elaborate(self, platform):
        m = Module()
        decoded = [Mux(self.lanes[k], _decoded(self.codes.word_select(k, 4), self.b_format,
                                               self.config), 0)
                   for k in range(self.config.lanes)]
        m.d.sync += self.total.eq(_total(decoded))
        return m


def _decoded(code, b_format, config: Config):
    """The value of a code of operand b in MAC units."""
    value = code.as_signed()
    for fmt in config.log_formats:
        level = code[:3]
        step = fmt.log2_radix
        magnitude = Const(0, 1)
        for c in range(1, 8):
            magnitude = Mux(level == c, 1 << step * (c - 1), magnitude)
        value = Mux(b_format == BFormat.of(fmt),
                    Mux(code[3], -magnitude, magnitude), value)
    return value


def _total(values: list):
    """The sum, as a tree."""
    while len(values) > 1:
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=False)] + (
            values[-1:] if len(values) % 2 else [])
    return values[0]
