# SPDX-License-Identifier: Apache-2.0
"""Writes items of data to segments of memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.bursts import Bursts
from hdl.axi.halt import Halt
from hdl.axi.layouts import BYTES, FaultCode, command_layout, fault_layout
from hdl.axi.placer import Placer, span_layout
from hdl.axi.queue import MemoryQueue, Queue
from hdl.axi.signatures import (
    DECODE,
    ERROR,
    SPACE_WIDTH,
    beat_bits,
    constants,
    write_channels,
)
from hdl.axi.splitter import Splitter
from hdl.axi.write_layouts import item_layout
from hdl.layouts import Payload
from hdl.library import place

BURSTS = 32  # that may be outstanding: their address is out, their response has not come


class WriteBursts(Bursts):
    """The bursts of segments that are written; see `Bursts`.

    Latency: 5 cycles.
    """

    ABOUT = Payload({"bytes": BYTES})


class LengthQueue(Queue):
    """The lengths of bursts whose address is out, but not all of their beats; see `Queue`.

    Latency: 1 cycle.
    """

    DEPTH = BURSTS

    @staticmethod
    def shape(config: Config):
        return 8


class AddressQueue(MemoryQueue):
    """The addresses of bursts whose response has not come; see `Queue`.

    Latency: 1 cycle.
    """

    DEPTH = BURSTS

    @staticmethod
    def shape(config: Config):
        return config.address_width


class SpanQueue(MemoryQueue):
    """The segments whose address is out, but not all of their beats; see `Queue`.

    Latency: 1 cycle.
    """

    DEPTH = BURSTS

    @staticmethod
    def shape(config: Config):
        return span_layout(config)


class WriteDma(wiring.Component):
    """Writes segments: each becomes bursts, which its items of data fill.

    Members
    -------
    command : In(stream of command_layout), segments; any alignment.
    data : In(stream of `item_layout`), the bytes of the segments, from the first one of each on. A
        segment starts with an item of its own, and the counts of its items sum up to its length.
    axi : Out(`write_channels`), an AXI4 manager: ID 0, bursts in order, the first one of a segment
        from its first byte on, not across 4 KiB, at most 256 beats; strobes exactly at the bytes of
        the segment. Beats wait until their address is offered, not until it is taken.
    window_base, window_limit : In(64), the first and the last byte that may be written; constant
        while not `idle`. Of a segment with a byte outside nothing is written.
    stop : In(1), ask for nothing more, take and forget commands and data, and complete the bursts
        whose address is offered with beats without strobes. Until `idle`, even if it falls before.
    restart : In(1), clears `fault`. Once idle, commands of the next cycle on are taken in earnest.
    idle : Out(1), every response has come, and nothing is buffered.
    fault : Out(fault_layout), the first thing that went wrong; from then on as if stopped.
    beats : Out(1), a beat of data goes.

    Latency: 6 cycles from a command to its address, 3 from an item to the beat that it fills.
    Throughput: an address, a beat and an item, or as much of one as a beat holds, per cycle; a
    segment takes as many as the largest of the three, and one more if it has several items and the
    last one lies in two beats.
    Backpressure: 32 bursts without a response stall the addresses, and so the data.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "command": In(stream.Signature(command_layout(config))),
            "data": In(stream.Signature(item_layout(config))),
            "axi": Out(write_channels(config)),
            "window_base": In(SPACE_WIDTH),
            "window_limit": In(SPACE_WIDTH),
            "stop": In(1),
            "restart": In(1),
            "idle": Out(1),
            "fault": Out(fault_layout(config)),
            "beats": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, axi = self.config, self.axi
        bursts = place(m, platform, "bursts", WriteBursts(config))
        lengths = place(m, platform, "lengths", LengthQueue(config))
        addresses = place(m, platform, "addresses", AddressQueue(config))
        spans = place(m, platform, "spans", SpanQueue(config))
        splitter = place(m, platform, "splitter", Splitter(config))
        placer = place(m, platform, "placer", Placer(config))
        halt = place(m, platform, "halt", Halt(config))
        halted = halt.halted
        m.d.comb += constants(axi, "aw")

        # Cycles 0 to 4: commands become bursts.
        burst = bursts.burst.p
        m.d.comb += [
            bursts.command.valid.eq(self.command.valid),
            bursts.command.p.address.eq(self.command.p.address),
            bursts.command.p.beyond.eq(self.command.p.beyond),
            bursts.command.p.about.bytes.eq(self.command.p.bytes),
            self.command.ready.eq(bursts.command.ready & ~halt.opens),
            bursts.window_base.eq(self.window_base),
            bursts.window_limit.eq(self.window_limit),
            bursts.halt.eq(halted),
        ]

        # Cycle 5: a burst becomes an address and an entry of two queues; a segment that of another.
        awvalid = Signal()
        awaddr = Signal(config.address_width, reset_less=True)
        awlen = Signal(8, reset_less=True)
        issues = Signal()
        m.d.comb += [
            bursts.burst.ready.eq((~awvalid | axi.awready) & lengths.i.ready & addresses.i.ready
                                  & spans.i.ready),
            issues.eq(bursts.burst.valid & bursts.burst.ready & ~halted),
            lengths.i.valid.eq(issues),
            lengths.i.payload.eq(burst.len),
            addresses.i.valid.eq(issues),
            addresses.i.payload.eq(burst.address),
            spans.i.valid.eq(issues & burst.first),
            spans.i.p.place.eq(burst.address[:beat_bits(config.bus_width)]),
            spans.i.p.bytes.eq(burst.about.bytes),
        ]
        with m.If(issues):
            m.d.sync += [awaddr.eq(burst.address), awlen.eq(burst.len), awvalid.eq(1)]
        with m.Elif(axi.awready):
            m.d.sync += awvalid.eq(0)

        # Cycle 6: the address.
        m.d.comb += [axi.awvalid.eq(awvalid), axi.awaddr.eq(awaddr), axi.awlen.eq(awlen)]

        # Items become parts, and these beats.
        m.d.comb += [
            splitter.item.valid.eq(self.data.valid),
            splitter.item.p.eq(self.data.p),
            self.data.ready.eq(splitter.item.ready & ~halt.opens),
            splitter.halt.eq(halted),
            placer.halt.eq(halted),
        ]
        wiring.connect(m, splitter.part, placer.part)
        wiring.connect(m, spans.o, placer.segment)

        # The burst that is filled.
        filling = Signal()
        more = Signal(8, reset_less=True)  # beats that follow
        last = Signal(reset_less=True)
        room = Signal()  # a beat can go to the bus
        beat = Signal()  # one goes
        m.d.comb += [
            room.eq(filling & (~axi.wvalid | axi.wready)),
            placer.beat.ready.eq(room),
            beat.eq(room & (placer.beat.valid | halted)),
            lengths.o.ready.eq(~filling | (beat & last)),
        ]
        with m.If(lengths.o.ready):
            m.d.sync += [
                filling.eq(lengths.o.valid),
                more.eq(lengths.o.payload),
                last.eq(lengths.o.payload == 0),
            ]
        with m.Elif(beat):
            m.d.sync += [more.eq(more - 1), last.eq(more == 1)]

        # The beat.
        wvalid = Signal()
        wlast = Signal(reset_less=True)
        wdata = Signal(config.bus_width, reset_less=True)
        wstrb = Signal(config.bus_width // 8, reset_less=True)
        with m.If(beat):
            m.d.sync += [
                wvalid.eq(1),
                wlast.eq(last),
                wdata.eq(placer.beat.p.data),
                wstrb.eq(placer.beat.p.strobes & (~halted).replicate(len(wstrb))),
            ]
        with m.Elif(axi.wready):
            m.d.sync += wvalid.eq(0)
        m.d.comb += [
            axi.wvalid.eq(wvalid),
            axi.wlast.eq(wlast),
            axi.wdata.eq(wdata),
            axi.wstrb.eq(wstrb),
            self.beats.eq(axi.wvalid & axi.wready),
        ]

        # Its burst's response.
        bad = axi.bvalid & axi.bresp[ERROR]
        m.d.comb += [axi.bready.eq(1), addresses.o.ready.eq(axi.bvalid)]

        # What goes wrong: a burst that was sent before, or a segment outside the window.
        code = Mux(axi.bresp[DECODE], FaultCode.WRITE_DECERR, FaultCode.WRITE_SLVERR)
        m.d.comb += [
            halt.trouble.valid.eq(bad | bursts.outside),
            halt.trouble.code.eq(Mux(bad, code, Mux(
                bursts.wraps, FaultCode.WRAP, FaultCode.WRITE_WINDOW))),
            halt.trouble.address.eq(Mux(bad, addresses.o.payload, bursts.where)),
            halt.stop.eq(self.stop),
            halt.restart.eq(self.restart),
            halt.idle.eq(self.idle),
            self.fault.eq(halt.fault),
            self.idle.eq(bursts.empty & ~addresses.o.valid & ~lengths.o.valid & ~filling & ~wvalid
                         & ~awvalid & ~spans.o.valid & splitter.empty & placer.empty),
        ]
        return m
