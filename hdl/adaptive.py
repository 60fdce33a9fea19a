# SPDX-License-Identifier: Apache-2.0
"""Scales that adapt by themselves: statistics, solver, and the table of scales per tensor."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.adaptive import TENSOR_WIDTH
from golden.adaptive import Use as GoldenUse
from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.rescale import ZERO_POINT_WIDTH
from golden.solver import ALPHA_WIDTH, EXPONENT_WIDTH
from hdl.layouts import RESCALE_LAYOUT, measured_layout, outcome_layout
from hdl.library import place
from hdl.rounding import INTEGERS
from hdl.solver import Mode, ScaleSolver
from hdl.statistics import STATISTICS_LAYOUT, StatisticsUnit


class Use(enum.Enum, shape=2):
    """What a job takes from its tensor's entry."""

    NOTHING = GoldenUse.NOTHING.value
    ENTRY = GoldenUse.ENTRY.value
    EXPONENT = GoldenUse.EXPONENT.value


ENTRY_LAYOUT = data.StructLayout({
    "multiplier": Dyadic.WIDTH,
    "shift": Dyadic.SHIFT_WIDTH,
    "zero_point": signed(ZERO_POINT_WIDTH),
    "exponent": signed(EXPONENT_WIDTH),
    "valid": 1,
    "frozen": 1,
})

ADAPT_LAYOUT = data.StructLayout({
    "enable": 1,
    "tensor": TENSOR_WIDTH,
    "use": Use,
    "solve": 1,
    "mode": Mode,
    "alpha": ALPHA_WIDTH,
    "exponent": signed(EXPONENT_WIDTH),  # PACT's, or the preset's
    "preset": 1,  # write params, exponent and the two bits below into the entry
    "valid": 1,
    "frozen": 1,
    "discard": 1,  # give no results
})

SOLVER_FLAGS = ("degenerate", "unreachable", "saturated", "limited")

REPORT_LAYOUT = data.StructLayout({
    "statistics": STATISTICS_LAYOUT,
    "multiplier": Dyadic.WIDTH,  # applied
    "shift": Dyadic.SHIFT_WIDTH,
    "zero_point": signed(ZERO_POINT_WIDTH),
    "entry": ENTRY_LAYOUT,  # after the job
    "unset": 1,
    "clipped": 1,
    **dict.fromkeys(SOLVER_FLAGS, 1),
})


class AdaptUnit(wiring.Component):
    """Hands a job its scale, measures it, solves the next scale and reports.

    Members
    -------
    adapt, own : In, of the job that is about to start; own are its parameters.
    applied : Out(RESCALE_LAYOUT), the parameters it is to use (combinational).
    idle : Out(1), a job with `adapt.enable` may start. start : In(1), it starts now.
    dataless : In(1), with `start`: the job has no rows.
    row, outcome, valid, first, last : In, the rows that count, as `StatisticsUnit`.
    report : Out(stream of REPORT_LAYOUT), one beat per adapting job; until it is taken the next
        adapting job waits.

    Latency: `StatisticsUnit.latency`, plus `ScaleSolver.latencies` if the job solves, plus 3.
    Arithmetic: `golden.adaptive.ScaleTable`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "adapt": In(ADAPT_LAYOUT),
            "own": In(RESCALE_LAYOUT),
            "applied": Out(RESCALE_LAYOUT),
            "idle": Out(1),
            "start": In(1),
            "dataless": In(1),
            "row": In(measured_layout(config)),
            "outcome": In(outcome_layout(config)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "report": Out(stream.Signature(REPORT_LAYOUT)),
        })

    def elaborate(self, platform):
        m = Module()
        unset_entry = ENTRY_LAYOUT.const({
            "multiplier": IDENTITY.multiplier, "shift": IDENTITY.shift})
        table = Array(Signal(ENTRY_LAYOUT, name=f"entry_{i}", init=unset_entry)
                      for i in range(self.config.tensors))
        statistics = place(m, platform, "statistics_unit", StatisticsUnit(self.config))
        solver = place(m, platform, "scale_solver", ScaleSolver(self.config))
        report = self.report.p
        job = Signal(ADAPT_LAYOUT, reset_less=True)
        dataless = Signal(name="job_dataless", reset_less=True)
        applied = Signal(RESCALE_LAYOUT, name="job_applied", reset_less=True)
        unset, clipped = Signal(reset_less=True), Signal(reset_less=True)
        flags = Signal(len(SOLVER_FLAGS), reset_less=True)

        # The scale of the job that is about to start.
        wanted = Signal(ENTRY_LAYOUT)
        m.d.comb += [wanted.eq(table[self.adapt.tensor]), self.applied.eq(self.own)]
        by_entry = self.adapt.enable & (self.adapt.use == Use.ENTRY)
        by_exponent = self.adapt.enable & (self.adapt.use == Use.EXPONENT)
        shift = Signal(signed(EXPONENT_WIDTH + 2))
        low, high = Signal(), Signal()
        m.d.comb += [
            shift.eq(self.own.shift - wanted.exponent),
            low.eq(shift < 0),
            high.eq(shift > Dyadic.MAX_SHIFT),
        ]
        with m.If(by_entry & wanted.valid):
            m.d.comb += [
                self.applied.multiplier.eq(wanted.multiplier),
                self.applied.shift.eq(wanted.shift),
                # only 4-bit integers have a zero point
                self.applied.zero_point.eq(Mux(
                    Cat(self.own.format == name for name, _ in INTEGERS).any(),
                    wanted.zero_point, 0)),
            ]
        with m.If(by_exponent):
            m.d.comb += self.applied.shift.eq(
                Mux(low, 0, Mux(high, Dyadic.MAX_SHIFT, shift[:Dyadic.SHIFT_WIDTH])))

        # What the job did, and what is solved from it.
        measured = Signal(STATISTICS_LAYOUT)
        entry = Signal(ENTRY_LAYOUT)
        by_grad = job.mode == Mode.GRADSCALE
        m.d.comb += [
            statistics.row.eq(self.row),
            statistics.outcome.eq(self.outcome),
            statistics.valid.eq(self.valid),
            statistics.first.eq(self.first),
            statistics.last.eq(self.last),
            measured.eq(Mux(dataless, Const(0, STATISTICS_LAYOUT.size), statistics.result)),
            entry.eq(table[job.tensor]),
            solver.i.p.mode.eq(job.mode),
            solver.i.p.statistics.eq(measured),
            solver.i.p.alpha.eq(job.alpha),
            solver.i.p.exponent.eq(Mux(by_grad, entry.exponent, job.exponent)),
            solver.i.p.multiplier.eq(applied.multiplier),
            solver.i.p.shift.eq(applied.shift),
            report.statistics.eq(measured),
            report.multiplier.eq(applied.multiplier),
            report.shift.eq(applied.shift),
            report.zero_point.eq(applied.zero_point),
            report.entry.eq(entry),
            report.unset.eq(unset),
            report.clipped.eq(clipped),
            Cat(report[flag] for flag in SOLVER_FLAGS).eq(flags),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [
                    job.eq(self.adapt),
                    dataless.eq(self.dataless),
                    applied.eq(self.applied),
                    unset.eq(by_entry & ~wanted.valid),
                    clipped.eq(by_exponent & (low | high)),
                    flags.eq(0),
                ]
                with m.If(self.start):
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                with m.If(dataless | statistics.done):
                    with m.If(job.solve):
                        m.next = "SOLVE"
                    with m.Elif(job.preset & dataless):
                        m.next = "PRESET"
                    with m.Else():
                        m.next = "REPORT"
            with m.State("SOLVE"):
                m.d.comb += [solver.i.valid.eq(1), solver.o.ready.eq(1)]
                with m.If(solver.o.valid):
                    m.d.sync += flags.eq(Cat(solver.o.p[flag] for flag in SOLVER_FLAGS))
                    with m.If(~entry.frozen & by_grad):
                        m.d.sync += table[job.tensor].exponent.eq(solver.o.p.exponent)
                    # a degenerate round leaves the entry alone
                    with m.If(~entry.frozen & ~by_grad & ~solver.o.p.degenerate):
                        m.d.sync += [
                            table[job.tensor].multiplier.eq(solver.o.p.multiplier),
                            table[job.tensor].shift.eq(solver.o.p.shift),
                            table[job.tensor].zero_point.eq(solver.o.p.zero_point),
                            table[job.tensor].valid.eq(1),
                        ]
                    m.next = "REPORT"
            with m.State("PRESET"):
                m.d.sync += [
                    table[job.tensor].multiplier.eq(applied.multiplier),
                    table[job.tensor].shift.eq(applied.shift),
                    table[job.tensor].zero_point.eq(applied.zero_point),
                    table[job.tensor].exponent.eq(job.exponent),
                    table[job.tensor].valid.eq(job.valid),
                    table[job.tensor].frozen.eq(job.frozen),
                ]
                m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += self.report.valid.eq(1)
                with m.If(self.report.ready):
                    m.next = "IDLE"
        return m
