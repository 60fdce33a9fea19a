# SPDX-License-Identifier: Apache-2.0
"""Scales that adapt by themselves: statistics, solver, and the table of scales per tensor."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.adaptive import Use
from golden.config import Config
from golden.dyadic import Dyadic
from golden.solver import EXPONENT_WIDTH, SolveMode
from hdl.layouts import (
    RESCALE_LAYOUT,
    SCALE_LAYOUT,
    SCALE_MEMBERS,
    measured_layout,
    outcome_layout,
)
from hdl.library import place
from hdl.rescaler.kinds import INTEGERS
from hdl.scales.layouts import (
    ADAPT_LAYOUT,
    APPLIED_LAYOUT,
    ENTRY_LAYOUT,
    REPORT_LAYOUT,
    SOLVER_FLAGS_LAYOUT,
)
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from hdl.scales.table import EntryTable


class AdaptUnit(wiring.Component):
    """Hands a job its scale, measures it, solves the next scale and reports.

    Members
    -------
    request : In(1), a job that names a tensor waits, until it starts. adapt, own, dataless : In, of
        this job: own are its parameters, dataless says that it has no rows.
    ready : Out(1), it may start. applied : Out(APPLIED_LAYOUT), its scale and zero point, while
        `ready`. start : In(1), it starts now.
    row, outcome, valid, first, last : In, the rows that count, as `StatisticsUnit`.
    report : Out(stream of REPORT_LAYOUT), one beat per adapting job; until it is taken the next
        adapting job waits.

    Latency: `LOOKUP` cycles from a request to `ready`, if no job runs. From the last row to the
    report `StatisticsUnit.latency` plus 1, if the job solves `ScaleSolver.latencies` plus 4.
    Arithmetic: `golden.adaptive.ScaleTable`.
    """

    LOOKUP = 3  # the job is taken over, its entry is read, its scale is made

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "request": In(1),
            "adapt": In(ADAPT_LAYOUT),
            "own": In(RESCALE_LAYOUT),
            "dataless": In(1),
            "ready": Out(1),
            "applied": Out(APPLIED_LAYOUT),
            "start": In(1),
            "row": In(measured_layout(config)),
            "outcome": In(outcome_layout(config)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "report": Out(stream.Signature(REPORT_LAYOUT)),
        })

    def elaborate(self, platform):
        m = Module()
        # The job that is offered or runs, and its entry, a cycle after its tensor is known or the
        # table is written.
        job = Signal(ADAPT_LAYOUT, reset_less=True)
        dataless = Signal(name="job_dataless", reset_less=True)
        entry = Signal(ENTRY_LAYOUT)
        by_entry = job.use == Use.ENTRY
        by_exponent = job.use == Use.EXPONENT
        by_grad = job.mode == SolveMode.GRADSCALE
        table = place(m, platform, "entry_table", EntryTable(self.config))
        m.d.comb += [table.tensor.eq(job.tensor), entry.eq(table.entry)]

        # The scale of the job that is about to start.
        has_zero_point = Cat(self.own.format == name for name, _ in INTEGERS).any()  # of 4 bits
        shift = Signal(signed(EXPONENT_WIDTH + 2))
        low = Signal()
        high = Signal()
        m.d.comb += [
            shift.eq(self.own.shift - entry.exponent),
            low.eq(shift < 0),
            high.eq(shift > Dyadic.MAX_SHIFT),
        ]
        scale = Signal(SCALE_LAYOUT)
        m.d.comb += [scale[name].eq(self.own[name]) for name in SCALE_MEMBERS]
        with m.If(by_entry & entry.valid):
            m.d.comb += [
                scale.multiplier.eq(entry.scale.multiplier),
                scale.shift.eq(entry.scale.shift),
                scale.zero_point.eq(Mux(has_zero_point, entry.scale.zero_point, 0)),
            ]
        with m.If(by_exponent):
            m.d.comb += scale.shift.eq(
                Mux(low, 0, Mux(high, Dyadic.MAX_SHIFT, shift[:Dyadic.SHIFT_WIDTH])))
        applied = Signal(APPLIED_LAYOUT, name="job_applied", reset_less=True)
        unset = Signal(reset_less=True)
        clipped = Signal(reset_less=True)
        m.d.comb += self.applied.eq(applied)

        # What the job did.
        statistics = place(m, platform, "statistics_unit", StatisticsUnit(self.config))
        m.d.comb += [
            statistics.row.eq(self.row),
            statistics.outcome.eq(self.outcome),
            statistics.valid.eq(self.valid),
            statistics.first.eq(self.first),
            statistics.last.eq(self.last),
        ]

        # What is solved from it.
        solver = place(m, platform, "scale_solver", ScaleSolver(self.config))
        question, answer = solver.i.p, solver.o.p
        flags = Signal(SOLVER_FLAGS_LAYOUT, reset_less=True)
        m.d.comb += [
            question.mode.eq(job.mode),
            question.statistics.eq(statistics.result),
            question.alpha.eq(job.alpha),
            question.exponent.eq(Mux(by_grad, entry.exponent, job.exponent)),
            question.multiplier.eq(applied.multiplier),
            question.shift.eq(applied.shift),
        ]

        # What the host hears of it.
        report = self.report.p
        m.d.comb += [
            report.statistics.eq(statistics.result),
            report.applied.eq(applied),
            report.entry.eq(entry),
            report.unset.eq(unset),
            report.clipped.eq(clipped),
            report.flags.eq(flags),
        ]

        # From a request to the report. What is written is the entry, but for what a state changes.
        started = Signal()  # whether a job starts is known late in a cycle
        m.d.sync += started.eq(self.start)
        m.d.comb += table.written.eq(entry)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [job.eq(self.adapt), dataless.eq(self.dataless), flags.eq(0)]
                with m.If(self.request):
                    m.next = "READ"
            with m.State("READ"):
                m.next = "APPLY"
            with m.State("APPLY"):
                m.d.sync += [
                    applied.eq(scale),
                    unset.eq(by_entry & ~entry.valid),
                    clipped.eq(by_exponent & (low | high)),
                ]
                m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.ready.eq(~started)
                with m.If(started):
                    with m.If(dataless):
                        m.next = "CLEAR"
                    with m.Else():
                        m.next = "MEASURE"
            with m.State("CLEAR"):
                m.d.comb += statistics.clear.eq(1)
                m.next = "MEASURE"
            with m.State("MEASURE"):
                with m.If(dataless | statistics.done):
                    with m.If(job.solve):
                        m.next = "SOLVE"
                    with m.Elif(job.preset):  # no data then: others are refused
                        m.next = "PRESET"
                    with m.Else():
                        m.next = "REPORT"
            with m.State("SOLVE"):
                m.d.comb += solver.i.valid.eq(1)
                with m.If(solver.o.valid):
                    m.next = "WRITE"
            with m.State("WRITE"):  # the solver's answer holds, and drives the whole table
                m.d.comb += [solver.i.valid.eq(1), solver.o.ready.eq(1)]
                m.d.sync += flags.eq(answer.flags)
                with m.If(~entry.frozen & by_grad):
                    m.d.comb += [table.write.eq(1), table.written.exponent.eq(answer.exponent)]
                # a degenerate round leaves the entry alone
                with m.If(~entry.frozen & ~by_grad & ~answer.flags.degenerate):
                    m.d.comb += [
                        table.write.eq(1),
                        table.written.scale.eq(answer.scale),
                        table.written.valid.eq(1),
                    ]
                m.next = "REREAD"
            with m.State("PRESET"):
                m.d.comb += [
                    table.write.eq(1),
                    table.written.scale.eq(applied),
                    table.written.exponent.eq(job.exponent),
                    table.written.valid.eq(job.valid),
                    table.written.frozen.eq(job.frozen),
                ]
                m.next = "REREAD"
            with m.State("REREAD"):
                m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += self.report.valid.eq(1)
                with m.If(self.report.ready):
                    m.next = "IDLE"
        return m
