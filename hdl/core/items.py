# SPDX-License-Identifier: Apache-2.0
"""The bytes of results: what `Collect` holds, segment by segment as `Segments` has them."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.collect import MASK_BIT, SLOTS, column, wide
from hdl.core.layouts import item_bytes, item_layout, store_layout
from hdl.core.panels import ConfigPanels
from hdl.core.segments import Kind, Order, size_of
from hdl.layouts import WORD
from hdl.library import place


class Items(wiring.Component):
    """Reads panels of results and packs them.

    Members
    -------
    job : In(stream of store_layout), taken when the last byte of the job before has been read.
    panel : In(1), a panel of results is complete. free : Out(1), one is done with.
    slot, part, advance, rows : of the read, as of `Collect`.
    item : Out(stream of item_layout). empty : Out(1), none is under way.

    Latency: 2 cycles from a read to its item. Throughput: an item per cycle; a row is read in as
    many items as its bytes make, one read gives at most `wide` elements. One idle cycle between two
    jobs.
    """

    def __init__(self, config: Config):
        self.config = config
        self.parts = config.strip // wide(config)
        super().__init__({
            "job": In(stream.Signature(store_layout(config))),
            "panel": In(1),
            "free": Out(1),
            "slot": Out(range(SLOTS)),
            "part": Out(range(max(self.parts, 2))),
            "advance": Out(1),
            "rows": In(WORD * wide(config)).array(config.rows),
            "item": Out(stream.Signature(item_layout(config))),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, whole = self.config, item_bytes(self.config)
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(store_layout(config), reset_less=True)
        running = Signal()
        there = Signal(range(SLOTS + 1))
        kind = Signal(Kind)
        line = Signal(range(max(config.strip, config.rows) + 1))
        order = Order(job, kind, line, walk.rows, walk.cols)
        read = max(wide(config), config.rows)  # elements of a read, at most
        steps = -(-4 * read // whole)  # items of words that a read gives

        # Cycle 0: a read, or the next item of the one before.
        reads = Signal()
        fire = Signal()
        segment_ends = Signal()
        words = job.words & (kind == Kind.RESULT)
        left = Signal(range(4 * config.strip + 1), reset_less=True)  # bytes of this segment
        part = Signal(range(max(self.parts, 2)))
        sub = Signal(range(max(steps, 2)))
        elements = Mux(order.turned, config.rows, wide(config))
        unit = Signal(range(4 * read + 1))  # bytes that a read gives
        chunk = Signal(range(whole + 1))  # bytes of this item
        most = Mux(unit < whole, unit, whole)
        last_sub = ~words | ((sub + 1) << (whole.bit_length() - 1) >= unit)
        bits = wide(config).bit_length() - 1
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            unit.eq(Mux(words, elements << 2, Mux(
                kind == Kind.MASK, elements >> 3, elements >> 1))),
            chunk.eq(Mux(left < most, left, most)),
            reads.eq(running & (there != 0)),
            fire.eq(reads & self.advance),
            segment_ends.eq(fire & (left <= most)),
            self.free.eq(segment_ends & order.ends),
            walk.step.eq(self.free),
            self.part.eq(Mux(order.turned, line >> bits, part)),
        ]
        m.d.sync += there.eq(there + self.panel - self.free)
        with m.If(~running):
            first = self.job.p
            m.d.sync += [job.eq(first), kind.eq(Kind.RESULT), line.eq(0), part.eq(0), sub.eq(0),
                         running.eq(self.job.valid & first.results),
                         left.eq(size_of(first, Kind.RESULT, _least(first.sizes.m, config.rows),
                                         _least(first.sizes.n, config.strip)))]
        with m.Elif(fire):
            m.d.sync += [left.eq(left - chunk), sub.eq(Mux(last_sub, 0, sub + 1))]
            with m.If(last_sub):
                m.d.sync += part.eq(part + 1)
            with m.If(segment_ends):
                m.d.sync += [kind.eq(order.kind_after), line.eq(order.line_after),
                             left.eq(order.size_after), part.eq(0), sub.eq(0)]
            with m.If(self.free):
                m.d.sync += [kind.eq(Kind.RESULT), line.eq(0), self.slot.eq(self.slot + 1),
                             left.eq(size_of(job, Kind.RESULT, walk.rows_after,
                                             walk.cols_after))]
                with m.If(walk.last & walk.last_strip):
                    m.d.sync += running.eq(0)

        # Cycle 1: what was read.
        valid_1 = Signal()
        held = {name: Signal.like(value, name=f"{name}_1", reset_less=True) for name, value in {
            "count": chunk, "kind": kind, "line": line, "sub": sub}.items()}
        words_1 = Signal(reset_less=True)
        turned_1 = Signal(reset_less=True)
        # the pad of a row's last byte is 0: what was collected beyond the row's end is old
        rest_1 = Signal(range(max(config.strip, config.rows) + 1), reset_less=True)
        with m.If(self.advance):
            m.d.sync += [
                valid_1.eq(reads), held["count"].eq(chunk), held["kind"].eq(kind),
                held["line"].eq(line), held["sub"].eq(sub), words_1.eq(words),
                turned_1.eq(order.turned),
                rest_1.eq(Mux(order.turned, walk.rows, walk.cols - (part << bits)))]
        row = Array(self.rows)[held["line"][:(config.rows - 1).bit_length()]]
        chosen = Signal(WORD * read)
        m.d.comb += chosen.eq(Mux(turned_1, column(self.rows, held["line"][:bits], config), row))
        found = [chosen.word_select(i, WORD) for i in range(read)]
        exists = [i < rest_1 for i in range(read)]
        odd, masks = held["kind"] == Kind.ODD, held["kind"] == Kind.MASK
        codes = Cat(Mux(odd, word[4:8], word[:4]) & is_there.replicate(4)
                    for word, is_there in zip(found, exists, strict=True))
        clips = Cat(word[MASK_BIT] & is_there for word, is_there in zip(found, exists, strict=True))
        pieces = [chosen[8 * whole * i:8 * whole * (i + 1)] for i in range(steps)]
        packed = Mux(words_1, Array(pieces)[held["sub"]], Mux(masks, clips, codes))

        # Cycle 2: the item.
        m.d.comb += [self.advance.eq(~self.item.valid | self.item.ready),
                     self.empty.eq(~running & ~valid_1 & ~self.item.valid)]
        with m.If(self.advance):
            m.d.sync += [self.item.valid.eq(valid_1), self.item.p.count.eq(held["count"]),
                         self.item.p.data.eq(packed)]
        return m


def _least(value, bound: int):
    return Mux(value < bound, value, bound)
