# SPDX-License-Identifier: Apache-2.0
"""Beats of the bus become units of bytes that start where their segment starts."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.layouts import BYTES_WIDTH, FaultCode, fault_layout
from hdl.axi.read_layouts import TAG, read_segment, unit_bytes, unit_layout
from hdl.axi.shifts import bytes_from
from hdl.axi.signatures import DECODE, ERROR, beat_bits


def beat_layout(config: Config) -> data.StructLayout:
    """One beat of the R channel."""
    return data.StructLayout({"data": config.bus_width, "resp": 2})


class Gearbox(wiring.Component):
    """Shifts misaligned bytes into place.

    A unit starts in the beat that is held and may end in the next one:

                 next beat           held beat
        |................bbbbbb|aaaaaaaaaa..........|
                         `--------------' `- bytes of units before, or before the segment

    Members
    -------
    segment : In(stream of read_segment), in the order of their beats; each before its last beat.
    beat : In(stream of `beat_layout`), all beats of the bus that hold a byte of a segment.
    unit : Out(stream of `unit_layout`), bytes of good beats alone.
    halt : In(1), forget all segments and beats, take and forget those that are offered.
    trouble : Out(fault_layout), the next unit is of a bad beat: no unit comes until `halt`.
    empty : Out(1), nothing is here.

    Latency: 2 cycles from a beat to its unit. Throughput: a beat and a unit per cycle: a segment
    takes the larger number of the two, and one cycle more if it has several units and the last one
    lies in two beats.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "segment": In(stream.Signature(read_segment(config))),
            "beat": In(stream.Signature(beat_layout(config))),
            "unit": Out(stream.Signature(unit_layout(config))),
            "halt": In(1),
            "trouble": Out(fault_layout(config)),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        size, bits = unit_bytes(config), beat_bits(config.bus_width)
        fine = size.bit_length() - 1  # bits of a byte's place in a unit
        places = 2 ** (bits - fine)  # where units may start in a beat, but for `low`

        # Cycle 0: the segment that follows, and what its length and its place mean.
        given = self.segment.p
        extent = Signal(BYTES_WIDTH)
        tail = extent[:fine]  # bytes of the last unit - 1
        low = given.address[:fine]
        ahead = Signal(data.StructLayout({
            "line": config.address_width - bits,  # the first beat's address
            "place": bits - fine,
            "low": fine,
            "more": BYTES_WIDTH - fine,  # units that follow
            "single": 1,
            "mask": size,  # of the last unit
            "spans": 1,  # units but the last one, at the last place, end in the next beat
            "tail_spans": 1,  # the last one does
            "tag": TAG.shape,
        }), reset_less=True)
        ahead_valid = Signal()
        starts = Signal()
        m.d.comb += [
            extent.eq(given.bytes - 1),
            self.segment.ready.eq(~ahead_valid | starts | self.halt),
        ]
        with m.If(self.segment.ready):
            m.d.sync += [
                ahead.line.eq(given.address[bits:]),
                ahead.place.eq(given.address[fine:bits]),
                ahead.low.eq(low),
                ahead.more.eq(extent[fine:]),
                ahead.single.eq(extent[fine:] == 0),
                ahead.mask.eq(Cat(C(1), (i <= tail for i in range(1, size)))),
                ahead.spans.eq(low != 0),
                ahead.tail_spans.eq(low + tail >= size),
                ahead.tag.eq(given.tag),
                ahead_valid.eq(self.segment.valid & ~self.halt),
            ]

        # Cycle 0: the beat that comes.
        held_valid = Signal()
        next_valid = Signal()
        held = Signal(beat_layout(config), reset_less=True)
        coming = Signal(beat_layout(config), reset_less=True)
        shift = Signal()  # the beat that comes is held, or dropped
        m.d.comb += self.beat.ready.eq(~next_valid | shift | self.halt)
        with m.If(self.beat.ready):
            m.d.sync += [coming.eq(self.beat.p), next_valid.eq(self.beat.valid & ~self.halt)]

        # Cycle 1: the segment of the units, and the place of the next one.
        valid = Signal()
        now = Signal(data.StructLayout({
            name: ahead.shape()[name].shape
            for name in ("line", "place", "low", "more", "spans", "tail_spans")}), reset_less=True)
        mask = Signal(size, reset_less=True)
        tag = Signal(TAG.shape, reset_less=True)
        first, last, spans, leaves = (Signal(name=name, reset_less=True)
                                      for name in ("first", "last", "spans", "leaves"))
        step = Signal()
        m.d.comb += starts.eq(ahead_valid & (~valid | (step & last)))
        end = C(1) if places == 1 else ahead.place == places - 1
        place = now.place + 1  # of the unit that follows
        following = C(1) if places == 1 else place[:bits - fine] == places - 1
        line = now.line + 1
        with m.If(starts):
            m.d.sync += [
                *(getattr(now, name).eq(getattr(ahead, name)) for name in now.shape().members),
                mask.eq(ahead.mask),
                tag.eq(ahead.tag),
                first.eq(1),
                last.eq(ahead.single),
                spans.eq(end & Mux(ahead.single, ahead.tail_spans, ahead.spans)),
                leaves.eq(end | ahead.single),
            ]
        with m.Elif(step):
            ends = now.more == 1
            m.d.sync += [
                now.place.eq(place),
                now.more.eq(now.more - 1),
                first.eq(0),
                last.eq(ends),
                spans.eq(following & Mux(ends, now.tail_spans, now.spans)),
                leaves.eq(following | ends),
            ]
            with m.If(leaves):
                m.d.sync += now.line.eq(line)
        with m.If(self.halt):
            m.d.sync += valid.eq(0)
        with m.Elif(starts | step):
            m.d.sync += valid.eq(starts | ~last)

        # Cycle 1: the beat that is held.
        m.d.comb += shift.eq(next_valid & (~held_valid | (step & leaves)))
        with m.If(shift):
            m.d.sync += held.eq(coming)
        with m.If(self.halt):
            m.d.sync += held_valid.eq(0)
        with m.Elif(~held_valid | (step & leaves)):
            # where the last unit ends in the beat that comes, nothing of that is left
            m.d.sync += held_valid.eq(next_valid & ~(held_valid & last & spans))

        # Cycle 1: the unit.
        held_bad, coming_bad = held.resp[ERROR], coming.resp[ERROR]
        here = valid & held_valid
        unit, trouble = self.unit.p, self.trouble
        resp = Mux(held_bad, held.resp, coming.resp)
        m.d.comb += [
            self.unit.valid.eq(here & ~held_bad & (~spans | (next_valid & ~coming_bad))
                               & ~self.halt),
            step.eq(self.unit.valid & self.unit.ready),
            trouble.valid.eq(here & (held_bad | (spans & next_valid & coming_bad))),
            trouble.code.eq(Mux(resp[DECODE], FaultCode.READ_DECERR, FaultCode.READ_SLVERR)),
            trouble.address.eq(Cat(C(0, bits), Mux(held_bad, now.line, line))),
            self.empty.eq(~(ahead_valid | valid | held_valid | next_valid)),
        ]
        window = Cat(held.data, coming.data)
        pair = Signal(16 * size)  # the unit's bytes and those around it
        m.d.comb += pair.eq(window[:16 * size] if places == 1 else Array(
            window[8 * size * i:8 * size * (i + 2)] for i in range(places))[now.place])
        shifted = bytes_from(m, pair, now.low, size)
        kept = mask | (~last).replicate(size)
        m.d.comb += [
            unit.data.eq(shifted & Cat(byte.replicate(8) for byte in kept)),
            unit.tag.eq(tag),
            unit.first.eq(first),
            unit.last.eq(last),
        ]
        return m
