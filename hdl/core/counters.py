# SPDX-License-Identifier: Apache-2.0
"""64-bit counters that share one adder: cheap, and read as of one cycle."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.register_map import register_map
from hdl.layouts import Field, Payload

WIDTH = 64


def counts_layout(config: Config) -> Payload:
    """By how much each counter increases in a cycle."""
    return Payload({name: Field(range(counter.most + 1), counter.doc)
                    for name, counter in register_map(config).counters.items()})


class Counters(wiring.Component):
    """Counts up to 2**64 - 1 from short sums that are added to a memory of totals in turn.

    A round takes `round_length` cycles, more than there are counters. In it each counter's short
    sum of the last round is added to its total, while the short sums of this one grow:

        round      |      r - 1      |        r        |      r + 1      |
        short sums | grow: counts(r-1)  counts(r)         counts(r+1)    |
        totals     | += counts(r-2)  | += counts(r-1)  | += counts(r)    |
        snapshot   |                 | = totals, as of the end of r - 1  |

    A snapshot copies the totals of one round, so that all counters are those of one cycle.

    Members
    -------
    count : In(`counts_layout`), what is to be added in this cycle.
    snapshot : In(1), copy all counters, as they are in a cycle to come. clear : In(1), make them 0
        in that cycle, after they were copied.
    busy : Out(1), from the cycle of `snapshot` or `clear` until it is done, and after reset, which
        clears all: nothing is counted until then.
    read : In(1), read the copy of counter `index`. index : In, from 0, in the order of addresses.
    value : Out(64), from the cycle after `read` on until the next one.

    Latency: `busy` for at most 2 * `round_length` + 1 cycles after a request.
    """

    def __init__(self, config: Config):
        self.config = config
        self.totals = memory.MemoryData(shape=WIDTH, depth=self.round_length(config), init=[])
        super().__init__({
            "count": In(counts_layout(config)),
            "snapshot": In(1),
            "clear": In(1),
            "busy": Out(1),
            "read": In(1),
            "index": In(range(self.round_length(config))),
            "value": Out(WIDTH),
        })

    @staticmethod
    def round_length(config: Config) -> int:
        """Cycles of a round, a power of two; the last one is that of no counter."""
        return 1 << len(register_map(config).counters).bit_length()

    def elaborate(self, platform):
        m = Module()
        length = self.round_length(self.config)
        at = Signal(range(length))
        ends = Signal()
        m.d.sync += at.eq(at + 1)
        m.d.comb += ends.eq(at == length - 1)

        # Requests are heard during one round, and served during the next.
        snapshot = Signal(init=1)
        clear = Signal(init=1)
        takes = Signal()
        clears = Signal()
        fresh = Signal(init=1)  # nothing that memories hold means anything
        m.d.comb += self.busy.eq(self.snapshot | self.clear | snapshot | clear | takes | clears)
        with m.If(ends):
            m.d.sync += [
                snapshot.eq(self.snapshot),
                clear.eq(self.clear),
                takes.eq(snapshot),
                clears.eq(clear),
                fresh.eq(fresh & ~clears),
            ]
        with m.Else():
            m.d.sync += [
                snapshot.eq(snapshot | self.snapshot),
                clear.eq(clear | self.clear),
            ]

        # Short sums; they change places at the end of a round.
        widest = 0  # bits of a short sum
        last_round = []
        for name, counter in register_map(self.config).counters.items():
            width = (length * counter.most).bit_length()
            widest = max(widest, width)
            growing = Signal(width, name=f"growing_{name}")
            held = Signal(width, name=f"held_{name}")
            total = Signal(width, name=f"total_{name}")
            m.d.comb += total.eq(growing + self.count[name])
            m.d.sync += growing.eq(Mux(ends, 0, total))
            with m.If(ends):
                m.d.sync += held.eq(total)
            last_round.append(held)

        # Cycle 0: a counter's total is read.
        totals = m.submodules.totals = memory.Memory(self.totals)
        copies = m.submodules.copies = memory.Memory(shape=WIDTH, depth=length, init=[])
        old = totals.read_port()
        to_add = Signal(widest)
        entry = Signal(range(length))
        m.d.comb += old.addr.eq(at)
        m.d.sync += [
            to_add.eq(Array(last_round)[at]),
            entry.eq(at),
        ]

        # Cycle 1: it is added to, and written.
        total = Signal(WIDTH)
        new = totals.write_port()
        copy = copies.write_port()
        m.d.comb += [
            total.eq(Mux(fresh, 0, old.data) + to_add),
            new.addr.eq(entry),
            new.data.eq(Mux(clears, 0, total)),
            new.en.eq(1),
            copy.addr.eq(entry),
            copy.data.eq(total),
            copy.en.eq(takes),
        ]

        # What the bus reads.
        shown = copies.read_port()
        m.d.comb += [
            shown.addr.eq(self.index),
            shown.en.eq(self.read),
            self.value.eq(shown.data),
        ]
        return m
