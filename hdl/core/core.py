# SPDX-License-Identifier: Apache-2.0
"""TetraCore: registers, descriptors and DMA around the engine, from memory to memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.descriptor import Fault
from hdl.axi.layouts import fault_layout
from hdl.axi.read_dma import ReadDma
from hdl.axi.signatures import read_channels, write_channels
from hdl.axi.write_dma import WriteDma
from hdl.core.axi_lite import axi_lite_signature
from hdl.core.datapath import Datapath
from hdl.core.layouts import NUMBER, TAG_LAYOUT
from hdl.core.register_map import ADDRESS_WIDTH
from hdl.core.registers import Registers
from hdl.library import place


class State(enum.Enum, shape=2):
    RUN = 0
    QUIET = 1  # until nothing is on the bus
    STOPPED = 2  # until the fault is acknowledged
    RESTART = 3


class Core(wiring.Component):
    """Runs the descriptors of a ring in memory, one after the other.

    Members
    -------
    s_axil : In(AXI4-Lite), the registers, in 4 KiB of byte addresses.
    m_axi : Out(AXI4), addresses of `Config.address_width` and data of `bus_width` bits, ID 0,
        bursts that count up and stay within 4 KiB.
    irq : Out(1), the interrupt: a level, 1 while a bit is 1 in both interrupt_status and
        interrupt_enable.

    A fault (see `golden.descriptor.Fault`) stops it: jobs before the one that fails are completed,
    what is on the bus ends, and it waits, its engine reset, until software acknowledges; then it
    goes on behind the failed descriptor. A soft reset does the same at once, and forgets the ring.

    Latency: that of memory and of the jobs; `docs/integration.md` has cycles of an example.

    ValueError for a configuration that makes an engine but no core.
    """

    def __init__(self, config: Config):
        config.check_core()
        self.config = config
        super().__init__({
            "s_axil": In(axi_lite_signature(ADDRESS_WIDTH)),
            "m_axi": Out(wiring.Signature({
                **read_channels(config).members, **write_channels(config).members})),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        registers = place(m, platform, "registers", Registers(config))
        read = place(m, platform, "read_dma", ReadDma(config))
        write = place(m, platform, "write_dma", WriteDma(config))
        state = Signal(State)
        restart = Signal()
        # What a restart resets: the table of scales, buffers, and everything under way.
        path = place(m, platform, "datapath", Datapath(config), restart)
        head = Signal(len(registers.ring_head_index))

        wiring.connect(m, wiring.flipped(self.s_axil), registers.bus)
        for dma in (read, write):
            for name in dma.axi.signature.members:
                ours, theirs = getattr(self.m_axi, name), getattr(dma.axi, name)
                if dma.axi.signature.members[name].flow == Out:
                    m.d.comb += ours.eq(theirs)
                else:
                    m.d.comb += theirs.eq(ours)

        # What is asked for and what comes.
        running = state == State.RUN
        tag = Signal(TAG_LAYOUT)
        m.d.comb += [
            read.window_base.eq(registers.read_base), read.window_limit.eq(registers.read_limit),
            write.window_base.eq(registers.write_base),
            write.window_limit.eq(registers.write_limit),
            read.command.valid.eq(path.read.valid),
            Cat(read.command.p.address, read.command.p.beyond).eq(path.read.p.address),
            read.command.p.bytes.eq(path.read.p.bytes),
            read.command.p.tag.bits.eq(path.read.p.tag.as_value()),
            path.read.ready.eq(read.command.ready),
            tag.as_value().eq(read.run.p.tag.bits),
            path.write.eq(read.run.valid & running),
            path.run.data.eq(read.run.p.data), path.run.tag.eq(tag),
            path.run.first.eq(read.run.p.first), path.run.last.eq(read.run.p.last),
            read.run.ready.eq(1),
            write.command.valid.eq(path.segment.valid),
            Cat(write.command.p.address, write.command.p.beyond).eq(path.segment.p.address),
            write.command.p.bytes.eq(path.segment.p.bytes),
            path.segment.ready.eq(write.command.ready),
            write.data.valid.eq(path.item.valid),
            write.data.p.data.eq(path.item.p.data), write.data.p.count.eq(path.item.p.count),
            path.item.ready.eq(write.data.ready),
            path.idle.eq(write.idle),
            path.enable.eq(registers.control_enable),
            path.base.eq(registers.ring_base), path.log2_size.eq(registers.ring_size_log2),
            path.head.eq(head), path.tail.eq(registers.ring_tail_index),
        ]

        # Faults: of the bus, of descriptors, of sums; whose, and whether all before it is done.
        forgets = Signal()
        fault = Signal(fault_layout(config))
        code = Signal(Fault)
        number = Signal(NUMBER)
        m.d.comb += [
            number.eq(path.number),
            code.eq(Fault.NONE),
        ]
        ring_fault = registers.control_enable & path.bad_tail & path.quiet
        with m.If(write.fault.valid):
            m.d.comb += [fault.eq(write.fault), code.eq(write.fault.code)]
        with m.Elif(path.overflow):
            m.d.comb += code.eq(Fault.OVERFLOW)
        with m.Elif(read.fault.valid):
            m.d.comb += [fault.address.eq(read.fault.address), code.eq(read.fault.code),
                         number.eq(TAG_LAYOUT(read.fault.tag.bits[:TAG_LAYOUT.size]).number)]
        with m.Elif(path.fault != Fault.NONE):
            m.d.comb += [code.eq(path.fault), number.eq(path.faulty)]
        with m.Elif(ring_fault):
            m.d.comb += code.eq(Fault.RING)
        fails = Signal()
        m.d.comb += [
            fails.eq(running & (code != Fault.NONE) & (number == path.number)),
            path.hold.eq(read.fault.valid),
        ]
        # kept a cycle later: a fault comes behind a path through all that writes; not if it is
        # forgotten in that cycle
        told = {name: Signal.like(value, name=f"told_{name}") for name, value in (
            ("valid", fails), ("code", code), ("descriptor_index", head),
            ("address", fault.address))}
        m.d.sync += [told["valid"].eq(fails & ~registers.control_soft_reset), told["code"].eq(code),
                     told["descriptor_index"].eq(head), told["address"].eq(fault.address)]
        m.d.comb += [getattr(registers, f"error_{name}").eq(value) for name, value in told.items()]

        # Running, falling quiet, stopped, and on behind the descriptor that failed.
        mask = Signal(len(head))
        m.d.comb += mask.eq((1 << registers.ring_size_log2) - 1)
        skips = Signal()  # the fault is a descriptor's, not the ring's
        quiet = read.idle & write.idle
        stop = (state == State.QUIET) | (state == State.STOPPED)
        m.d.comb += [
            read.stop.eq(stop), write.stop.eq(stop),
            read.restart.eq(state == State.RESTART), write.restart.eq(state == State.RESTART),
            restart.eq(stop | (state == State.RESTART)),
        ]
        with m.If(registers.control_soft_reset):
            m.d.sync += [forgets.eq(1), state.eq(State.QUIET)]
        with m.Else():
            with m.Switch(state):
                with m.Case(State.RUN):
                    with m.If(fails):
                        m.d.sync += [state.eq(State.QUIET), skips.eq(code != Fault.RING)]
                    with m.Elif(path.done):
                        m.d.sync += head.eq((head + 1) & mask)
                with m.Case(State.QUIET):
                    with m.If(quiet):
                        m.d.sync += state.eq(Mux(forgets, State.RESTART, State.STOPPED))
                with m.Case(State.STOPPED):
                    with m.If(registers.control_acknowledge):
                        m.d.sync += state.eq(State.RESTART)
                        with m.If(skips):
                            m.d.sync += head.eq((head + 1) & mask)
                with m.Case(State.RESTART):
                    m.d.sync += [state.eq(State.RUN), forgets.eq(0)]
                    with m.If(forgets):
                        m.d.sync += head.eq(0)
        m.d.comb += [
            registers.ring_head_index.eq(head),
            registers.status_stopped.eq(state == State.STOPPED),
            registers.status_busy.eq((state != State.STOPPED) & ~(running & path.quiet)),
            registers.status_idle.eq(running & path.quiet),
            registers.interrupt_status_job.eq(running & path.interrupt & ~fails),
            self.irq.eq(registers.irq),
            registers.count.cycles.eq(running & ~path.quiet),
            registers.count.computing.eq(path.computing),
            registers.count.stalled_operands.eq(path.stalled_operands),
            registers.count.stalled_results.eq(path.stalled_results),
            registers.count.stalled_descriptors.eq(path.stalled_descriptors),
            registers.count.stalled_solver.eq(path.stalled_solver),
            registers.count.macs.eq(path.macs),
            registers.count.beats_read.eq(read.beats),
            registers.count.beats_written.eq(write.beats),
            registers.count.saturated.eq(path.saturated),
            registers.count.underflowed.eq(path.underflowed),
        ]
        return m

