# SPDX-License-Identifier: Apache-2.0
"""Reads segments of memory and gives their bytes as runs."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.bursts import Bursts
from hdl.axi.gearbox import Gearbox
from hdl.axi.halt import Halt
from hdl.axi.layouts import BYTES, FaultCode
from hdl.axi.packer import Packer
from hdl.axi.queue import MemoryQueue
from hdl.axi.read_layouts import (
    READ_TAG,
    TAG,
    read_command,
    read_fault,
    read_segment,
    run_layout,
)
from hdl.axi.signatures import SPACE_WIDTH, constants, page_bits, read_channels
from hdl.layouts import Payload
from hdl.library import place


class ReadBursts(Bursts):
    """The bursts of segments that are read; see `Bursts`.

    Latency: 5 cycles.
    """

    ABOUT = Payload({"bytes": BYTES, "tag": TAG})


class ReadQueue(MemoryQueue):
    """The segments whose beats have not come; see `MemoryQueue`. As many as a memory that answers
    50 cycles late has to be asked for, if each of them is a beat.

    Latency: 1 cycle.
    """

    DEPTH = 64

    @staticmethod
    def shape(config: Config):
        return read_segment(config)


class ReadDma(wiring.Component):
    """Reads segments: each becomes bursts, and what they bring becomes runs.

    Members
    -------
    command : In(stream of read_command), segments; any alignment.
    run : Out(stream of `run_layout`), the bytes of each segment from its first one on, in the order
        of the commands; the last run of each is filled up with 0. No byte of a bad beat is in it.
    axi : Out(`read_channels`), an AXI4 manager: ID 0, bursts of whole beats in order, the first one
        from the segment's first byte on, not across 4 KiB, at most 256 beats.
    window_base, window_limit : In(64), the first and the last byte that may be read; constant while
        not `idle`. Of a segment with a byte outside nothing is read. Beats are read whole: bytes
        beside a segment's first and last ones travel too, and are dropped.
    stop : In(1), ask for nothing more, take and forget commands, and drop what still comes, but a
        run that is offered already. Until `idle`, even if it falls before.
    restart : In(1), clears `fault`. Once idle, commands of the next cycle on are taken in earnest.
    idle : Out(1), nothing is outstanding or buffered.
    fault : Out(read_fault), the first thing that went wrong. Behind a bad beat as if stopped; what
        was asked for before a segment that is outside the window still comes, and then nothing.
    beats : Out(1), a beat of data comes.

    Latency: 6 cycles from a command to its address, 4 from a beat to its run. Throughput: an
    address, a beat and a run per cycle; a segment takes as many as the largest of the three, and
    one more if it has several runs and the last one lies in two beats.
    Backpressure: run.ready stalls the beats, a full queue of 64 segments the addresses.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "command": In(stream.Signature(read_command(config))),
            "run": Out(stream.Signature(run_layout(config))),
            "axi": Out(read_channels(config)),
            "window_base": In(SPACE_WIDTH),
            "window_limit": In(SPACE_WIDTH),
            "stop": In(1),
            "restart": In(1),
            "idle": Out(1),
            "fault": Out(read_fault(config)),
            "beats": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, axi = self.config, self.axi
        bursts = place(m, platform, "bursts", ReadBursts(config))
        queue = place(m, platform, "queue", ReadQueue(config))
        gearbox = place(m, platform, "gearbox", Gearbox(config))
        packer = place(m, platform, "packer", Packer(config))
        halt = place(m, platform, "halt", Halt(config))
        m.d.comb += constants(axi, "ar")

        # Cycles 0 to 4: commands become bursts.
        burst = bursts.burst.p
        m.d.comb += [
            bursts.command.valid.eq(self.command.valid),
            bursts.command.p.address.eq(self.command.p.address),
            bursts.command.p.beyond.eq(self.command.p.beyond),
            bursts.command.p.about.bytes.eq(self.command.p.bytes),
            bursts.command.p.about.tag.eq(self.command.p.tag),
            self.command.ready.eq(bursts.command.ready & ~halt.opens),
            bursts.window_base.eq(self.window_base),
            bursts.window_limit.eq(self.window_limit),
            bursts.halt.eq(halt.halted),
        ]

        # Cycle 5: a burst becomes an address, the first one of a segment an entry of the queue.
        arvalid = Signal()
        araddr = Signal(config.address_width, reset_less=True)
        arlen = Signal(8, reset_less=True)
        issues = Signal()
        m.d.comb += [
            bursts.burst.ready.eq((~arvalid | axi.arready) & (queue.i.ready | ~burst.first)),
            issues.eq(bursts.burst.valid & bursts.burst.ready & ~halt.halted),
            queue.i.valid.eq(issues & burst.first),
            queue.i.p.address.eq(burst.address),
            queue.i.p.bytes.eq(burst.about.bytes),
            queue.i.p.tag.eq(burst.about.tag),
        ]
        with m.If(issues):
            m.d.sync += [araddr.eq(burst.address), arlen.eq(burst.len), arvalid.eq(1)]
        with m.Elif(axi.arready):
            m.d.sync += arvalid.eq(0)

        # Cycle 6: the address.
        m.d.comb += [axi.arvalid.eq(arvalid), axi.araddr.eq(araddr), axi.arlen.eq(arlen)]

        # Beats of the bus.
        owed = Signal(range(self.most_bursts() + 1))  # bursts whose last beat has not come
        m.d.comb += [
            gearbox.beat.valid.eq(axi.rvalid),
            gearbox.beat.p.data.eq(axi.rdata),
            gearbox.beat.p.resp.eq(axi.rresp),
            axi.rready.eq(gearbox.beat.ready),
            self.beats.eq(axi.rvalid & axi.rready),
        ]
        m.d.sync += owed.eq(owed + issues - (self.beats & axi.rlast))

        # Beats become units, and these runs.
        wiring.connect(m, queue.o, gearbox.segment)
        wiring.connect(m, gearbox.unit, packer.unit)
        wiring.connect(m, packer.run, wiring.flipped(self.run))
        m.d.comb += [
            gearbox.halt.eq(halt.halted),
            packer.halt.eq(halt.halted),
        ]

        # What goes wrong: a beat, which was asked for before, or a segment outside the window.
        bad = gearbox.trouble
        whose = Signal(READ_TAG, reset_less=True)  # the bad beat was
        with m.If(bad.valid & ~halt.halted):
            m.d.sync += whose.eq(gearbox.unit.p.tag)
        m.d.comb += [
            halt.trouble.eq(bad),
            halt.stop.eq(self.stop),
            halt.restart.eq(self.restart),
            halt.idle.eq(self.idle),
            self.fault.valid.eq(halt.fault.valid | bursts.outside),
            self.fault.code.eq(Mux(halt.fault.valid, halt.fault.code, Mux(
                bursts.wraps, FaultCode.WRAP, FaultCode.READ_WINDOW))),
            self.fault.address.eq(Mux(halt.fault.valid, halt.fault.address, bursts.where)),
            self.fault.tag.eq(Mux(halt.fault.valid, whose, bursts.about.tag)),
            self.idle.eq(bursts.empty & (owed == 0) & ~queue.o.valid & gearbox.empty
                         & ~packer.run.valid),
        ]
        return m

    def most_bursts(self) -> int:
        """Bursts that may be outstanding: those of the segments in the queue and behind it."""
        segments = ReadQueue.DEPTH + 3
        return segments * (2**16 // 2 ** page_bits(self.config.bus_width) + 1)
