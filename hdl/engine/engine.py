# SPDX-License-Identifier: Apache-2.0
"""The engine: operand streams and job descriptors in, rescaled results and reports out."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.engine.drainer import Drainer
from hdl.engine.feeder import Feeder
from hdl.engine.job import FLAGS_LAYOUT, Op, job_layout, refused
from hdl.engine.walk import extent_layout, parts
from hdl.layouts import codes_layout, result_layout, words_layout
from hdl.library import place
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import AdaptUnit
from hdl.scales.layouts import REPORT_LAYOUT
from hdl.tile.mac_tile import MacTile


class Engine(wiring.Component):
    """Runs jobs: a GEMM and its rescaling, rescaling alone, or a change of the table of scales.

    Blocks of rows x cols results are computed row of blocks by row of blocks, with `strips` in one
    strip of columns after the other; each takes ceil(K / lanes) beats of both operands and gives
    up to `rows` result rows.

    Members
    -------
    job : In(stream of `job_layout`). A descriptor that cannot be run (a zero dimension, an unknown
        operation, format, radix or rounding; with `adapt.enable` an unknown tensor, use or mode, a
        preset with data, a solve or an exponent beyond +-40, a use without data, a discard other
        than of a quantising job) is dropped: no results, no report, `flags.bad_job` set. Operands
        already offered for it stay and would go to the next job: withdraw them.
    a : In(stream of `codes_layout`): per block, ceil(K / lanes) beats of its rows of A, row 0 and
        in it lane 0 lowest. What lies beyond M or K is ignored.
    b : In(stream of `codes_layout`): likewise of its columns, which are rows of B; beyond N or K
        ignored.
    x : In(stream of `words_layout`): one beat per result row, quantising jobs only, column 0
        lowest; beyond N ignored.
    bias : In(stream of `words_layout`): one beat per block, jobs with `bias` only: what is added to
        each column, in all rows of the block; beyond N ignored.
    mask : In(stream of `cols` bits): one beat per result row, jobs with `mask` only, a bit per
        column; 0 makes the value count as zero; beyond N ignored.
    result : Out(stream of `result_layout`): the rows of each block; `tag.keep` marks the columns
        that exist, `tag.last` the end of the job.
    report : Out(stream of `REPORT_LAYOUT`): one beat per job with `adapt.enable`; until it is taken
        the next such job waits.
    clear : In(1), clears `flags` but those set in the same cycle.
    flags : Out(FLAGS_LAYOUT), sticky.
    saturates : Out(1), the result row that is offered has a sum with bias that left 32 bits.
    measures_saturated : Out(1), a row that is measured and discarded in this cycle has one.

    Latency: `latency(config)` cycles from the one that takes the last operand beat of a block to
    the one that offers its first result row.
    Throughput: one beat per cycle; a block's rows drain while the next block computes. The next
    job's operands are taken while the last block of the one before drains.
    Arithmetic: `golden.engine.GoldenBackend.run`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            "a": In(stream.Signature(codes_layout(config, config.rows))),
            "b": In(stream.Signature(codes_layout(config, config.cols))),
            "x": In(stream.Signature(words_layout(config))),
            "bias": In(stream.Signature(words_layout(config))),
            "mask": In(stream.Signature(config.cols)),
            "result": Out(stream.Signature(result_layout(config))),
            "report": Out(stream.Signature(REPORT_LAYOUT)),
            "clear": In(1),
            "flags": Out(FLAGS_LAYOUT),
            "saturates": Out(1),
            "measures_saturated": Out(1),
        })

    @staticmethod
    def latency(config: Config) -> int:
        return MacTile.latency(config) + RescaleUnit.latency(config)

    def elaborate(self, platform):
        m = Module()
        feeder = place(m, platform, "feeder", Feeder(self.config))
        tile = place(m, platform, "mac_tile", MacTile(self.config))
        drainer = place(m, platform, "drainer", Drainer(self.config))
        rescale = place(m, platform, "rescale_unit", RescaleUnit(self.config))
        adapt = place(m, platform, "adapt_unit", AdaptUnit(self.config))

        # A job is accepted when the feeder is idle and the drainer's queue is free.
        offered = self.job.p
        extent = Signal(extent_layout(self.config))
        bad = Signal()
        bad_job = Signal()
        good = self.job.valid & ~bad
        m.d.comb += [
            bad.eq(refused(offered, self.config)),
            extent.rows.eq(parts(offered.m, self.config.rows)),
            extent.cols.eq(parts(offered.n, self.config.cols)),
            extent.strips.eq(offered.strips),
            self.job.ready.eq(feeder.job.ready & drainer.job.ready),
            feeder.job.valid.eq(good & (offered.op == Op.GEMM) & drainer.job.ready),
            feeder.job.p.extent.eq(extent),
            feeder.job.p.beats.eq(parts(offered.k, self.config.lanes)),
            feeder.job.p.a_signed.eq(offered.a_signed),
            feeder.job.p.b_format.eq(offered.b_format),
            drainer.job.valid.eq(good & feeder.job.ready),
            drainer.job.p.extent.eq(extent),
            drainer.job.p.op.eq(offered.op),
            drainer.job.p.bias.eq(offered.bias),
            drainer.job.p.mask.eq(offered.mask),
            drainer.job.p.params.eq(offered.params),
            drainer.job.p.adapt.eq(offered.adapt),
        ]
        with m.If(self.job.valid & self.job.ready & bad):
            m.d.sync += bad_job.eq(1)
        with m.Elif(self.clear):
            m.d.sync += bad_job.eq(0)

        # Operands become beats, and rows, from the tile or from x, results.
        wiring.connect(m, wiring.flipped(self.a), feeder.a)
        wiring.connect(m, wiring.flipped(self.b), feeder.b)
        wiring.connect(m, feeder.beat, tile.i)
        wiring.connect(m, tile.o, drainer.tile)
        wiring.connect(m, wiring.flipped(self.x), drainer.x)
        wiring.connect(m, wiring.flipped(self.bias), drainer.bias)
        wiring.connect(m, wiring.flipped(self.mask), drainer.mask)
        wiring.connect(m, drainer.row, rescale.i)

        # Results that are not wanted end here; the statistics' job ends as they leave.
        row, leaves = rescale.o.p, rescale.o.valid & rescale.o.ready
        m.d.comb += [
            self.result.p.eq(row),
            self.result.valid.eq(rescale.o.valid & ~row.tag.discard),
            self.saturates.eq(self.result.valid & rescale.lost),
            self.measures_saturated.eq(leaves & row.tag.discard & rescale.lost),
            rescale.o.ready.eq(self.result.ready | row.tag.discard),
        ]

        # Scales: asked for by the drainer, measured as rows leave.
        m.d.comb += [
            adapt.request.eq(drainer.scale.request),
            adapt.adapt.eq(drainer.scale.adapt),
            adapt.own.eq(drainer.scale.own),
            adapt.dataless.eq(drainer.scale.dataless),
            drainer.scale.ready.eq(adapt.ready),
            drainer.scale.applied.eq(adapt.applied),
            adapt.start.eq(drainer.scale.start),
            adapt.row.eq(rescale.measured),
            adapt.outcome.eq(rescale.outcome),
            adapt.valid.eq(leaves & row.tag.measure),
            adapt.first.eq(row.tag.first),
            adapt.last.eq(row.tag.last),
        ]
        wiring.connect(m, adapt.report, wiring.flipped(self.report))

        m.d.comb += [
            tile.clear.eq(self.clear),
            rescale.clear.eq(self.clear),
            self.flags.overflow.eq(tile.overflow),
            self.flags.bias_saturated.eq(rescale.saturated),
            self.flags.bad_job.eq(bad_job),
        ]
        return m
