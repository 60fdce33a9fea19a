# SPDX-License-Identifier: Apache-2.0
"""Queues: short ones in registers, or look-up tables of an FPGA, and others in a memory."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config


class Queue(wiring.Component):
    """First in, first out; each kind is a subclass that says of what and how many.

    Parameters
    ----------
    DEPTH : entries, a power of two. shape : of an entry, by configuration.

    Members
    -------
    i, o : In and Out(streams of that shape); o's payload means nothing while it is not valid.

    Latency: 1 cycle. Throughput: one entry per cycle. Backpressure: i is ready while fewer than
    DEPTH entries are there, whatever o does.
    """

    DEPTH: int

    @staticmethod
    def shape(config: Config) -> Any:
        raise NotImplementedError

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(self.shape(config))),
            "o": Out(stream.Signature(self.shape(config))),
        })

    def elaborate(self, platform):
        m = Module()
        head = Signal(range(self.DEPTH))
        tail = Signal(range(self.DEPTH))
        level = Signal(range(self.DEPTH + 1))
        comes = self.i.valid & self.i.ready
        goes = self.o.valid & self.o.ready
        # never above DEPTH, so its highest bit says that it is there
        m.d.comb += [self.i.ready.eq(~level[-1]), self.o.valid.eq(level != 0)]
        following = Signal.like(head, name="following")  # the head of the next cycle
        m.d.comb += following.eq(head + goes)
        m.d.sync += [level.eq(level + comes - goes), tail.eq(tail + comes), head.eq(following)]
        self.keep(m, comes, tail, head, following)
        return m

    def keep(self, m: Module, comes, tail, head, following) -> None:
        """Write what comes at the tail, show what is at the head."""
        payload, found = Value.cast(self.i.payload), Value.cast(self.o.payload)
        if self.config.is_fpga:
            m.submodules.memory = store = memory.Memory(
                shape=len(payload), depth=self.DEPTH, init=[])
            write, read = store.write_port(), store.read_port(domain="comb")
            m.d.comb += [write.addr.eq(tail), write.en.eq(comes), write.data.eq(payload),
                         read.addr.eq(head), found.eq(read.data)]
        else:
            entries = Array(Signal(len(payload), name=f"entry_{i}", reset_less=True)
                            for i in range(self.DEPTH))
            m.d.comb += found.eq(entries[head])
            with m.If(comes):
                m.d.sync += entries[tail].eq(payload)


class MemoryQueue(Queue):
    """The same in a memory with a registered read: what comes as it is about to be shown goes
    around it."""

    def keep(self, m: Module, comes, tail, head, following) -> None:
        payload, found = Value.cast(self.i.payload), Value.cast(self.o.payload)
        m.submodules.memory = store = memory.Memory(shape=len(payload), depth=self.DEPTH, init=[])
        write, read = store.write_port(), store.read_port()
        around = Signal()
        passed = Signal(len(payload), reset_less=True)
        with m.If(comes):
            m.d.sync += passed.eq(payload)
        m.d.sync += around.eq(comes & (tail == following))
        m.d.comb += [write.addr.eq(tail), write.en.eq(comes), write.data.eq(payload),
                     read.addr.eq(following), read.en.eq(1),
                     found.eq(Mux(around, passed, read.data))]
