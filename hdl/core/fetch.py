# SPDX-License-Identifier: Apache-2.0
"""Fetches descriptors from the ring in memory, while the one before is still computed."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import descriptor
from golden.config import Config
from hdl.axi.signatures import SPACE_WIDTH
from hdl.core.layouts import (
    IN_FLIGHT,
    NUMBER,
    Target,
    address_width,
    line_words,
    read_layout,
    run_bits,
    run_layout,
)

RING_BITS = 15  # log2 of the most entries


class Fetch(wiring.Component):
    """Reads descriptors in the ring's order and shows them line by line.

    Members
    -------
    enable : In(1), fetch at all. base, log2_size, head, tail : In, of the ring; head is the oldest
        descriptor that is not done: after reset fetching begins there.
    number : Out, of the head's descriptor since reset, modulo 2**NUMBER.
    loaded : In(1), all that the descriptors read so far want of memory has been asked for. The next
        one is asked for then and not before: where its own read fails, nothing else is read any
        more, and they would never end.
    segment : Out(stream of read_layout). run : In(run_layout), write : In(1).
    there : Out(1), a descriptor is there: its number in `shown`. line : In, data : Out, which
        `line_words` of its words are shown in the next cycle. taken : In(1), it has been read
        whole.
    done : In(1), the oldest one is done.
    bad_tail : Out(1), the tail is no index of the ring.
    busy : Out(1), a descriptor is to be fetched, or is not done.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "enable": In(1),
            "base": In(SPACE_WIDTH),
            "log2_size": In(range(RING_BITS + 1)),
            "head": In(RING_BITS),
            "tail": In(RING_BITS),
            "number": Out(NUMBER),
            "loaded": In(1),
            "segment": Out(stream.Signature(read_layout(config))),
            "run": In(run_layout(config)),
            "write": In(1),
            "there": Out(1),
            "shown": Out(NUMBER),
            "line": In(range(descriptor.WORDS // line_words(config))),
            "data": Out(descriptor.WORD * line_words(config)),
            "taken": In(1),
            "done": In(1),
            "bad_tail": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        part = run_bits(config)
        width = len(self.data)
        parts, lines = width // part, descriptor.WORDS // line_words(config)
        m.submodules.store = store = memory.Memory(shape=width, depth=lines, init=[])
        write, read = store.write_port(granularity=part), store.read_port()

        # The ring: what has been asked for, what has come, what has been read.
        mask = Signal(RING_BITS)
        asked = Signal(RING_BITS)
        number = Signal(NUMBER)
        read_number = Signal(NUMBER)
        come = Signal()
        coming = Signal()  # one that has been asked for, until it has been taken
        flying = Signal(range(IN_FLIGHT + 1))
        asks = Signal()
        comes = Signal()
        begun = Signal()
        valid = Signal()
        address = Signal(address_width(config), reset_less=True)
        place = Signal(NUMBER, reset_less=True)
        segment = self.segment.p
        bus = config.address_width
        entry = self.base + (asked << (descriptor.BYTES.bit_length() - 1))
        m.d.comb += [
            mask.eq((1 << self.log2_size) - 1),
            self.bad_tail.eq((self.tail & ~mask) != 0),
            self.busy.eq((flying != 0) | (self.enable & ~self.bad_tail
                                          & Mux(begun, asked != self.tail, 1))),
            asks.eq(self.enable & begun & ~self.bad_tail & ~coming & (asked != self.tail)
                    & (flying != IN_FLIGHT) & self.loaded),
            self.segment.valid.eq(valid),
            segment.address.eq(address),
            segment.bytes.eq(descriptor.BYTES),
            segment.tag.target.eq(Target.DESCRIPTOR),
            segment.tag.number.eq(place),
        ]
        m.d.sync += begun.eq(1)
        with m.If(~begun):
            m.d.sync += asked.eq(self.head)
        with m.Elif(asks):
            m.d.sync += [
                valid.eq(1), place.eq(number), number.eq(number + 1),
                address.eq(Cat(entry[:bus], entry[bus:].any())),
                asked.eq((asked + 1) & mask),
            ]
        with m.If(valid & self.segment.ready):
            m.d.sync += valid.eq(0)
        with m.If(self.done):
            m.d.sync += self.number.eq(self.number + 1)
        m.d.sync += [
            flying.eq(flying + asks - self.done),
            coming.eq((coming | asks) & ~self.taken),
            come.eq((come | comes) & ~self.taken),
        ]

        # What comes goes in.
        mine = Signal()
        turn = Signal(range(lines * parts))
        count = Signal(range(lines * parts))
        m.d.comb += [
            mine.eq(self.write & (self.run.tag.target == Target.DESCRIPTOR)),
            comes.eq(mine & self.run.last),
            turn.eq(Mux(self.run.first, 0, count)),
            write.addr.eq(turn // parts),
            write.data.eq(self.run.data.replicate(parts)),
            write.en.eq(Cat(mine & (turn % parts == p) for p in range(parts))),
        ]
        with m.If(mine):
            m.d.sync += count.eq(turn + 1)

        # The one that is there, line by line.
        m.d.comb += [
            self.there.eq(come),
            self.shown.eq(read_number),
            read.addr.eq(self.line),
            read.en.eq(1),
            self.data.eq(read.data),
        ]
        with m.If(self.taken):
            m.d.sync += read_number.eq(read_number + 1)
        return m
