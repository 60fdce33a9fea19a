# SPDX-License-Identifier: Apache-2.0
"""Parts of bytes become beats of the bus that start where their segment starts."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.layouts import BYTES_WIDTH
from hdl.axi.shifts import rotated
from hdl.axi.signatures import beat_bits
from hdl.axi.write_layouts import item_layout, part_bytes


def span_layout(config: Config) -> data.StructLayout:
    """Where a segment starts in a beat, and its length."""
    return data.StructLayout({"place": beat_bits(config.bus_width), "bytes": BYTES_WIDTH})


def strobed_layout(config: Config) -> data.StructLayout:
    """A beat, and which bytes of it are to be written."""
    return data.StructLayout({"data": config.bus_width, "strobes": config.bus_width // 8})


class Placer(wiring.Component):
    """Shifts bytes to their lanes and collects them until a beat is full or the segment ends.

    Members
    -------
    segment : In(stream of `span_layout`), in the order of their parts.
    part : In(stream of `item_layout` of `part_bytes`); a segment starts with a part of its own, and
        bytes of its last part beyond its length are dropped.
    beat : Out(stream of `strobed_layout`): a segment's beats, from that of its first byte to that
        of its last one, strobes exactly at its bytes.
    halt : In(1), forget everything; beats may be withdrawn then.
    empty : Out(1), nothing is here.

    Latency: 1 cycle from a part to the beat that it fills. Throughput: one part and one beat per
    cycle; one cycle more for the rest of a segment whose last part lies in two beats.
    beat.valid does not wait for beat.ready.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "segment": In(stream.Signature(span_layout(config))),
            "part": In(stream.Signature(item_layout(config, part_bytes(config)))),
            "beat": Out(stream.Signature(strobed_layout(config))),
            "halt": In(1),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.bus_width // 8
        bits = beat_bits(self.config.bus_width)

        # Cycle 0: how far the segment is.
        part = self.part.p
        valid = Signal()
        start = Signal(bits, reset_less=True)  # the lane of the part's first byte
        left = Signal(BYTES_WIDTH, reset_less=True)  # bytes - 1
        takes = Signal()
        ends = left < part.count
        count = Mux(ends, left[:len(part.count)] + 1, part.count)[:len(part.count)]
        stop = Signal(bits + 1)  # behind its last byte, from lane 0 of its first beat on
        m.d.comb += [
            self.segment.ready.eq(~valid | (takes & ends) | self.halt),
            stop.eq(start + count),
        ]
        with m.If(self.segment.ready):
            m.d.sync += [
                valid.eq(self.segment.valid & ~self.halt),
                start.eq(self.segment.p.place),
                left.eq(self.segment.p.bytes - 1),
            ]
        with m.Elif(takes):
            m.d.sync += [start.eq(stop[:bits]), left.eq(left - part.count)]

        # Cycle 0: the part's bytes in their lanes, those of its second beat too.
        placed_valid = Signal()
        full = Signal(reset_less=True)  # the first beat is complete
        over = Signal(reset_less=True)  # the segment ends in the second
        placed = Signal(8 * lanes, reset_less=True)
        first = Signal(lanes, reset_less=True)
        second = Signal(lanes, reset_less=True)
        moves = Signal()
        m.d.comb += [
            takes.eq(valid & self.part.valid & moves),
            self.part.ready.eq(valid & moves),
        ]
        padded = Cat(part.data, C(0, 8 * lanes - len(part.data)))
        with m.If(moves):
            m.d.sync += [
                placed.eq(rotated(m, padded, start)),
                first.eq(Cat(C(1) if i == lanes - 1 else start <= i for i in range(lanes))
                         & Cat(i < stop for i in range(lanes))),
                second.eq(Cat(i < stop for i in range(lanes, 2 * lanes - 1))),  # as far as they go
                full.eq(stop[bits] | ends),
                over.eq(ends & (stop > lanes)),
                placed_valid.eq(takes),
            ]

        # Cycle 1: what is collected, and the beat.
        kept = Signal(8 * lanes, reset_less=True)
        strobes = Signal(lanes)
        rest = Signal()  # what is collected is a segment's last beat
        beat = self.beat.p
        merged = Signal(8 * lanes)
        emits = self.beat.valid & self.beat.ready
        m.d.comb += [
            self.beat.valid.eq(rest | (placed_valid & full)),
            moves.eq(~placed_valid | (~rest & (~full | self.beat.ready))),
            merged.eq(Cat(Mux(first[i], placed.word_select(i, 8), kept.word_select(i, 8))
                          for i in range(lanes))),
            beat.data.eq(Mux(rest, kept, merged)),
            beat.strobes.eq(strobes | (first & (~rest).replicate(lanes))),
            self.empty.eq(~(valid | placed_valid | rest)),
        ]
        with m.If(rest):
            with m.If(emits):
                m.d.sync += [strobes.eq(0), rest.eq(0)]
        with m.Elif(placed_valid & moves):
            m.d.sync += [
                kept.eq(Mux(full, placed, merged)),
                strobes.eq(Mux(full, second, strobes | first)),
                rest.eq(over),
            ]
        with m.If(self.halt):
            m.d.sync += [strobes.eq(0), rest.eq(0), placed_valid.eq(0)]
        return m
