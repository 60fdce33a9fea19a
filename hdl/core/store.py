# SPDX-License-Identifier: Apache-2.0
"""What is written for a job: its results, its masks and its report."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.collect import Collect
from hdl.core.items import Items
from hdl.core.layouts import item_bytes, item_layout, segment_layout, store_layout
from hdl.core.segments import Segments
from hdl.layouts import WORD, result_layout, words_layout
from hdl.library import place
from hdl.scales.layouts import REPORT_LAYOUT

REPORT_BYTES = -(-REPORT_LAYOUT.size // WORD) * (WORD // 8)


class State(enum.Enum, shape=3):
    IDLE = 0
    RESULTS = 1
    REPORT = 2  # its address goes
    BYTES = 3  # its bytes go
    DONE = 4  # until all is acknowledged


class Store(wiring.Component):
    """Collects a job's results, writes them, and then its report.

    Members
    -------
    job : In(stream of store_layout), taken when all of the job before is acknowledged. Its results
        are collected from the offer on, once those of the job before are.
    result, added, saturated : as of `Collect`. ahead : Out(1), they are of the job that is offered.
    report : In(stream of REPORT_LAYOUT).
    segment : Out(stream of segment_layout). item : Out(stream of item_layout), their bytes.
    idle : In(1), all that was written is acknowledged.
    written : Out(1), the job has been written and acknowledged. corrected, done, interrupt :
        Out(1), then: it has `corrected`; it has `done`; and it wants an interrupt too.
    waits : Out(1), the report has not come.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(store_layout(config))),
            "result": In(stream.Signature(result_layout(config))),
            "added": In(stream.Signature(words_layout(config))),
            "report": In(stream.Signature(REPORT_LAYOUT)),
            "segment": Out(stream.Signature(segment_layout(config))),
            "item": Out(stream.Signature(item_layout(config))),
            "idle": In(1),
            "written": Out(1),
            "corrected": Out(1),
            "done": Out(1),
            "interrupt": Out(1),
            "waits": Out(1),
            "saturated": Out(1),
            "ahead": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        collect = place(m, platform, "collect", Collect(config))
        segments = place(m, platform, "segments", Segments(config))
        items = place(m, platform, "items", Items(config))
        state = Signal(State)
        job = Signal(store_layout(config), reset_less=True)
        idle = state == State.IDLE

        # Results: collected, asked a place for, and sent there. While the job before is written,
        # this one fills the panels that are free.
        ahead = Signal()  # the job that is offered has been taken by `collect`
        collects = Signal()
        m.d.comb += [
            collect.job.p.eq(self.job.p), collect.job.valid.eq(self.job.valid & ~ahead),
            collects.eq(collect.job.valid & collect.job.ready),
            self.ahead.eq(ahead),
        ]
        m.d.sync += ahead.eq((ahead | collects) & ~(self.job.valid & self.job.ready))
        for part in (segments, items):
            m.d.comb += [part.job.p.eq(self.job.p), part.job.valid.eq(self.job.valid & idle)]
        wiring.connect(m, wiring.flipped(self.result), collect.result)
        wiring.connect(m, wiring.flipped(self.added), collect.added)
        m.d.comb += [
            self.saturated.eq(collect.saturated),
            # those that write are idle when the state is, and `collect` unless it is ahead
            self.job.ready.eq(idle),
            segments.panel.eq(collect.panel), items.panel.eq(collect.panel),
            collect.slot.eq(items.slot), collect.part.eq(items.part),
            collect.advance.eq(items.advance),
            *(ours.eq(theirs) for ours, theirs in zip(items.rows, collect.rows, strict=True)),
        ]

        m.d.sync += collect.free.eq(items.free)  # the bus has its say in it, so late

        # The report: behind the results.
        whole = item_bytes(config)
        report = Signal(8 * REPORT_BYTES, reset_less=True)
        left = Signal(range(REPORT_BYTES + 1), reset_less=True)
        last = left <= whole
        in_report = state == State.REPORT
        # A cycle late, as nothing is sent any more when it counts: all that writes is in its path.
        settled = Signal()
        m.d.sync += settled.eq(self.idle)
        with m.If(state == State.BYTES):
            m.d.comb += [self.item.valid.eq(1), self.item.p.data.eq(report),
                         self.item.p.count.eq(Mux(last, left, whole))]
        with m.Else():
            m.d.comb += [self.item.valid.eq(items.item.valid), self.item.p.eq(items.item.p),
                         items.item.ready.eq(self.item.ready)]
        with m.If(in_report):
            m.d.comb += [
                self.segment.valid.eq(self.report.valid & job.report),
                self.segment.p.address.eq(job.report_at), self.segment.p.bytes.eq(REPORT_BYTES),
                self.report.ready.eq(self.segment.ready | ~job.report),
                self.waits.eq(~self.report.valid),
            ]
        with m.Else():
            m.d.comb += [self.segment.valid.eq(segments.segment.valid),
                         self.segment.p.eq(segments.segment.p),
                         segments.segment.ready.eq(self.segment.ready)]

        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += job.eq(self.job.p)
                with m.If(self.job.valid):
                    m.d.sync += state.eq(State.RESULTS)
            with m.Case(State.RESULTS):
                with m.If(items.empty & segments.job.ready):
                    m.d.sync += state.eq(Mux(job.adapt, State.REPORT, State.DONE))
            with m.Case(State.REPORT):
                m.d.sync += [report.eq(self.report.p), left.eq(REPORT_BYTES)]
                with m.If(self.report.valid & self.report.ready):
                    m.d.sync += state.eq(Mux(job.report, State.BYTES, State.DONE))
            with m.Case(State.BYTES):
                with m.If(self.item.ready):
                    m.d.sync += [report.eq(report >> 8 * whole), left.eq(left - whole)]
                    with m.If(last):
                        m.d.sync += state.eq(State.DONE)
            with m.Case(State.DONE):
                with m.If(settled):
                    m.d.comb += [
                        self.written.eq(1),
                        self.corrected.eq(job.corrected),
                        self.done.eq(job.done),
                        self.interrupt.eq(job.done & job.interrupt),
                    ]
                    m.d.sync += state.eq(State.IDLE)
        return m
