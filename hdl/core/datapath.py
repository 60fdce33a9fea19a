# SPDX-License-Identifier: Apache-2.0
"""From descriptors and runs to segments: all of the core that a restart resets."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.descriptor import Fault
from hdl.axi.signatures import SPACE_WIDTH
from hdl.core.correction import Correction
from hdl.core.feed import Feed
from hdl.core.fetch import RING_BITS, Fetch
from hdl.core.layouts import (
    IN_FLIGHT,
    NUMBER,
    item_layout,
    read_layout,
    run_layout,
    segment_layout,
)
from hdl.core.load import KINDS, Load
from hdl.core.operand_buffer import BufferA, BufferB
from hdl.core.row_buffer import BiasBuffer, MaskBuffer, XBuffer
from hdl.core.sequencer import Sequencer
from hdl.core.store import Store
from hdl.engine.engine import Engine
from hdl.library import place
from hdl.scales.layouts import STATISTICS_LAYOUT


class Datapath(wiring.Component):
    """Fetches descriptors, loads what they name, feeds the engine, and stores what it gives.

    Members
    -------
    enable, base, log2_size, head, tail, bad_tail : of the ring, as of `Fetch`.
    read : Out(stream of read_layout), segments to be read. run : In(run_layout), what has come, in
        the cycle in which `write` is 1: there is always room for it.
    segment, item : Out(streams), what is written, as of `Store`. idle : In(1), all of it is
        acknowledged.
    hold : In(1), take no further descriptor.
    done, interrupt : Out(1), the head's descriptor is done, and asks for an interrupt.
    number : Out, of the head's descriptor. fault, faulty : Out, why a descriptor is refused, and
        its number. overflow : Out(1), a sum of the head's descriptor left 32 bits.
    quiet : Out(1), nothing is to be done.
    Others : what the counters count in this cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        counts = STATISTICS_LAYOUT["saturated"].shape
        super().__init__({
            "enable": In(1),
            "base": In(SPACE_WIDTH),
            "log2_size": In(4),
            "head": In(RING_BITS),
            "tail": In(RING_BITS),
            "bad_tail": Out(1),
            "read": Out(stream.Signature(read_layout(config))),
            "run": In(run_layout(config)),
            "write": In(1),
            "segment": Out(stream.Signature(segment_layout(config))),
            "item": Out(stream.Signature(item_layout(config))),
            "idle": In(1),
            "hold": In(1),
            "done": Out(1),
            "interrupt": Out(1),
            "number": Out(NUMBER),
            "fault": Out(Fault),
            "faulty": Out(NUMBER),
            "overflow": Out(1),
            "quiet": Out(1),
            "computing": Out(1),
            "stalled_operands": Out(1),
            "stalled_results": Out(1),
            "stalled_descriptors": Out(1),
            "stalled_solver": Out(1),
            "macs": Out(range(config.macs_per_cycle + 1)),
            "saturated": Out(counts),
            "underflowed": Out(counts),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        fetch = place(m, platform, "fetch", Fetch(config))
        sequencer = place(m, platform, "sequencer", Sequencer(config))
        load = place(m, platform, "load", Load(config))
        buffer_a = place(m, platform, "buffer_a", BufferA(config))
        buffer_b = place(m, platform, "buffer_b", BufferB(config))
        rows = {name: place(m, platform, f"{name}_buffer", kind(config)) for name, kind in (
            ("x", XBuffer), ("bias", BiasBuffer), ("mask", MaskBuffer))}
        feed = place(m, platform, "feed", Feed(config))
        correction = place(m, platform, "correction", Correction(config))
        engine = place(m, platform, "engine", Engine(config))
        store = place(m, platform, "store", Store(config))

        # Descriptors become jobs.
        pending = Signal(range(IN_FLIGHT + 1))
        finished = store.done | sequencer.fenced
        m.d.sync += pending.eq(pending + sequencer.taken - finished)
        m.d.comb += [
            *(getattr(fetch, name).eq(getattr(self, name)) for name in (
                "enable", "base", "log2_size", "head", "tail", "run", "write")),
            self.bad_tail.eq(fetch.bad_tail),
            self.number.eq(fetch.number),
            fetch.line.eq(sequencer.line),
            fetch.taken.eq(sequencer.taken),
            fetch.done.eq(finished),
            fetch.loaded.eq(sequencer.idle & load.job.ready),
            sequencer.there.eq(fetch.there),
            sequencer.shown.eq(fetch.shown),
            sequencer.data.eq(fetch.data),
            sequencer.pending.eq(pending),
            sequencer.hold.eq(self.hold),
            load.settled.eq(sequencer.settled),
            self.fault.eq(sequencer.fault),
            self.faulty.eq(sequencer.number),
            self.done.eq(finished),
            self.interrupt.eq(store.interrupt),
        ]
        wiring.connect(m, sequencer.load, load.job)
        wiring.connect(m, sequencer.feed, feed.job)
        wiring.connect(m, sequencer.store, store.job)
        wiring.connect(m, sequencer.engine, engine.job)
        takers = (*rows.values(), correction)
        ready = Cat(each.job.ready for each in takers).all()
        m.d.comb += sequencer.streams.ready.eq(ready)
        for each in takers:
            m.d.comb += [each.job.p.eq(sequencer.streams.p),
                         each.job.valid.eq(sequencer.streams.valid & ready)]

        # Segments to be read: a descriptor's first. What is offered stays until it is taken.
        chosen = Signal()  # the loader's
        offered = Signal()  # one is
        m.d.comb += offered.eq(self.read.valid & ~self.read.ready)
        kept = Signal()
        kept_choice = Signal()
        m.d.sync += [kept.eq(offered), kept_choice.eq(chosen)]
        with m.If(kept):
            m.d.comb += chosen.eq(kept_choice)
        with m.Else():
            m.d.comb += chosen.eq(~fetch.segment.valid)
        with m.If(chosen):
            m.d.comb += [self.read.p.eq(load.segment.p), self.read.valid.eq(load.segment.valid),
                         load.segment.ready.eq(self.read.ready)]
        with m.Else():
            m.d.comb += [self.read.p.eq(fetch.segment.p), self.read.valid.eq(fetch.segment.valid),
                         fetch.segment.ready.eq(self.read.ready)]

        # What has come goes to its buffer.
        for each in (buffer_a, buffer_b, *rows.values()):
            m.d.comb += [each.run.eq(self.run), each.write.eq(self.write)]
        free = {"A": feed.free_a, "B": feed.free_b,
                **{name.upper(): each.free for name, each in rows.items()}}
        # a cycle late: what takes them may wait for the bus
        m.d.sync += load.free.eq(Cat(free[kind.name] for kind in KINDS))

        # Operands.
        m.d.comb += [
            feed.filled_a.eq(buffer_a.filled), feed.filled_b.eq(buffer_b.filled),
            feed.complete_a.eq(buffer_a.complete),
            buffer_a.slot.eq(feed.slot_a), buffer_b.slot.eq(feed.slot_b),
            buffer_a.block.eq(feed.panel), buffer_b.block.eq(feed.block),
            buffer_a.chunk.eq(feed.chunk), buffer_b.chunk.eq(feed.chunk),
            buffer_a.advance.eq(feed.advance), buffer_b.advance.eq(feed.advance),
            engine.a.p.eq(buffer_a.beat), engine.b.p.eq(buffer_b.beat),
            engine.a.valid.eq(feed.valid), engine.b.valid.eq(feed.valid),
            # a beat takes both, so they are ready together
            feed.ready.eq(engine.a.ready & engine.b.ready),
        ]
        # Words are inputs of the engine, or are added to its results.
        x, adds = rows["x"].beat, rows["x"].adds
        m.d.comb += [
            engine.x.p.as_value().eq(x.p), store.added.p.as_value().eq(x.p),
            engine.x.valid.eq(x.valid & ~adds), store.added.valid.eq(x.valid & adds),
            x.ready.eq(Mux(adds, store.added.ready, engine.x.ready)),
            correction.beat.eq(buffer_b.beat), correction.fed.eq(feed.fed),
            correction.moves.eq(feed.valid & feed.ready),
            engine.bias.p.as_value().eq(correction.word.p),
            engine.bias.valid.eq(correction.word.valid),
            correction.word.ready.eq(engine.bias.ready),
            engine.mask.p.eq(rows["mask"].beat.p),
            engine.mask.valid.eq(rows["mask"].beat.valid),
            rows["mask"].beat.ready.eq(engine.mask.ready),
        ]

        wiring.connect(m, rows["bias"].beat, correction.bias)

        # Results.
        wiring.connect(m, engine.result, store.result)
        wiring.connect(m, engine.report, store.report)
        wiring.connect(m, store.segment, wiring.flipped(self.segment))
        wiring.connect(m, store.item, wiring.flipped(self.item))
        # Sums that left 32 bits: they are the fault of the job that is stored, of results ahead of
        # it that of the next one, or, of rows that are discarded, of the one whose report comes
        # next. Words per column are made before their rows, those of the next job maybe before this
        # one is stored.
        told = store.report.valid & store.report.ready
        takes = engine.result.valid & engine.result.ready
        lost = Signal()
        lost_ahead = Signal()
        measured = Signal()
        made = Signal(range(3))  # jobs whose words are made
        words_lost = Signal(2)
        left = made - store.corrected
        m.d.sync += [made.eq(left + correction.finished), words_lost.eq(
            (words_lost >> store.corrected)
            | ((correction.finished & correction.lost) << left[:1]))]
        loses = Signal()
        m.d.comb += loses.eq(store.saturated | (takes & engine.saturates))
        m.d.sync += [lost_ahead.eq(lost_ahead | (loses & store.ahead)),
                     lost.eq(lost | (told & measured) | (loses & ~store.ahead)
                             | (store.job.valid & store.job.ready & (lost_ahead | loses)))]
        with m.If(engine.measures_saturated):
            m.d.sync += measured.eq(1)
        m.d.comb += [
            store.idle.eq(self.idle),
            self.overflow.eq(store.written & (lost | (store.corrected & words_lost[0]))),
            engine.clear.eq(Const(0)),
            self.quiet.eq((pending == 0) & ~fetch.busy),
            self.computing.eq(feed.valid & feed.ready),
            self.stalled_operands.eq(feed.running & ~feed.valid),
            self.stalled_results.eq(engine.result.valid & ~engine.result.ready),
            self.stalled_descriptors.eq((pending == 0) & fetch.busy),
            self.stalled_solver.eq(store.waits),
            self.macs.eq(feed.macs),
        ]
        # a cycle late: counting begins behind a path through all that writes
        m.d.sync += [
            self.saturated.eq(Mux(told, store.report.p.statistics.saturated, 0)),
            self.underflowed.eq(Mux(told, store.report.p.statistics.underflowed, 0)),
        ]
        return m
