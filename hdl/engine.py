# SPDX-License-Identifier: Apache-2.0
"""The engine: operand streams and job descriptors in, rescaled results and reports out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.adaptive import REPORT_LAYOUT, AdaptUnit
from hdl.job import FLAGS_LAYOUT, Op, job_layout, refused
from hdl.layouts import codes_layout, result_layout, words_layout
from hdl.library import place
from hdl.mac_tile import MacTile
from hdl.rescale import RescaleUnit


class BlockWalk:
    """Counters over the rows x cols blocks of an M x N result, row of blocks by row of blocks.

    Members (signals, valid while a job is walked): `rows`, `cols` of the current block, `last` for
    the last block.
    """

    def __init__(self, m: Module, config: Config, name: str):
        dim = config.dim_width
        self._m, self._config = m, config
        self._n, self._m_left, self._n_left = (
            Signal(dim, name=f"{name}_{part}", reset_less=True)
            for part in ("n", "m_left", "n_left"))
        self.rows = Signal(range(config.rows + 1), name=f"{name}_rows")
        self.cols = Signal(range(config.cols + 1), name=f"{name}_cols")
        self.last = Signal(name=f"{name}_last")
        self._last_col = Signal(name=f"{name}_last_col")
        last_row = self._m_left <= config.rows
        m.d.comb += [
            self.rows.eq(Mux(last_row, self._m_left, config.rows)),
            self._last_col.eq(self._n_left <= config.cols),
            self.cols.eq(Mux(self._last_col, self._n_left, config.cols)),
            self.last.eq(last_row & self._last_col),
        ]

    def start(self, job):
        """Statements that point at the first block of a job."""
        return [self._n.eq(job.n), self._m_left.eq(job.m), self._n_left.eq(job.n)]

    def step(self):
        """Statements that go on to the next block."""
        return [
            self._n_left.eq(Mux(self._last_col, self._n, self._n_left - self._config.cols)),
            self._m_left.eq(self._m_left - Mux(self._last_col, self._config.rows, 0)),
        ]


class Engine(wiring.Component):
    """Runs jobs: a GEMM and its rescaling, rescaling alone, or a change of the table of scales.

    Blocks of rows x cols results are computed row of blocks by row of blocks; each takes
    ceil(K / lanes) beats of both operands and gives up to `rows` result rows.

    Members
    -------
    job : In(stream of `job_layout`). A descriptor that cannot be run (a zero dimension, an unknown
        operation, format, radix or tensor) is dropped: no results, `flags.bad_job` set. Operands
        already offered for it stay and would go to the next job: withdraw them.
    a, b : In(streams of `codes_layout`): per block, the beats of its rows and of its columns. What
        lies beyond M, N or K is ignored.
    x : In(stream of `words_layout`): the rows of each block, quantising jobs only.
    bias : In(stream of `words_layout`): one beat per block, jobs with `bias` only.
    mask : In(stream of `cols` bits): one beat per result row, jobs with `mask` only; 0 makes the
        value count as zero.
    result : Out(stream of `result_layout`): the rows of each block; `tag.keep` marks the columns
        that exist, `tag.last` the end of the job.
    report : Out(stream of `REPORT_LAYOUT`): one beat per job with `adapt.enable`; until it is taken
        the next such job waits.
    clear : In(1), clears `flags` but those set in the same cycle.
    flags : Out(FLAGS_LAYOUT), sticky.

    Latency: `latency(config)` cycles from the last operand beat of a block to its first result row.
    Throughput: one beat per cycle; a block's rows drain while the next block computes. The next
    job's operands are taken while the last block of the one before drains.
    Arithmetic: `golden.engine.GoldenBackend.run`.
    """

    def __init__(self, config: Config):
        self.config = config
        codes = {"a": config.rows, "b": config.cols}
        super().__init__({
            "job": In(stream.Signature(job_layout(config))),
            **{name: In(stream.Signature(codes_layout(config, vectors)))
               for name, vectors in codes.items()},
            "x": In(stream.Signature(words_layout(config))),
            "bias": In(stream.Signature(words_layout(config))),
            "mask": In(stream.Signature(config.cols)),
            "result": Out(stream.Signature(result_layout(config))),
            "report": Out(stream.Signature(REPORT_LAYOUT)),
            "clear": In(1),
            "flags": Out(FLAGS_LAYOUT),
        })

    @staticmethod
    def latency(config: Config) -> int:
        return MacTile.latency(config) + RescaleUnit.latency

    def elaborate(self, platform):
        m = Module()
        tile = place(m, platform, "mac_tile", MacTile(self.config))
        rescale = place(m, platform, "rescale_unit", RescaleUnit(self.config))
        adapt = place(m, platform, "adapt_unit", AdaptUnit(self.config))
        queued = Signal(job_layout(self.config), reset_less=True)
        queue_valid = Signal()
        taken = Signal()
        feeding = self._feed(m, tile)

        # A job is accepted when the feeder is idle and the drainer's queue is free.
        offered, bad_job = self.job.p, Signal()
        accepted = self.job.valid & self.job.ready
        m.d.comb += self.job.ready.eq(~feeding & ~queue_valid)
        with m.If(taken):
            m.d.sync += queue_valid.eq(0)
        bad = Signal()
        m.d.comb += bad.eq(refused(offered, self.config))
        with m.If(accepted & ~bad):
            m.d.sync += [queued.eq(offered), queue_valid.eq(1)]
            m.d.sync += feeding.eq(offered.op == Op.GEMM)
        with m.If(accepted & bad):
            m.d.sync += bad_job.eq(1)
        with m.Elif(self.clear):
            m.d.sync += bad_job.eq(0)

        self._drain(m, tile, rescale, adapt, queued, queue_valid, taken)
        m.d.comb += [
            tile.clear.eq(self.clear),
            rescale.clear.eq(self.clear),
            self.flags.overflow.eq(tile.overflow),
            self.flags.bias_saturated.eq(rescale.saturated),
            self.flags.bad_job.eq(bad_job),
        ]
        # Results that are not wanted end here; the statistics' job ends as they leave.
        leaves, tag = rescale.o.valid & rescale.o.ready, rescale.o.p.tag
        m.d.comb += [
            self.result.p.eq(rescale.o.p),
            self.result.valid.eq(rescale.o.valid & ~tag.discard),
            rescale.o.ready.eq(self.result.ready | tag.discard),
            adapt.row.eq(rescale.measured),
            adapt.outcome.eq(rescale.outcome),
            adapt.valid.eq(leaves & tag.measure),
            adapt.first.eq(tag.first),
            adapt.last.eq(tag.last),
        ]
        wiring.connect(m, adapt.report, wiring.flipped(self.report))
        return m

    def _feed(self, m: Module, tile: MacTile) -> Signal:
        """Joins the operand streams into beats; returns the `feeding` flag that a job sets."""
        config, beat = self.config, tile.i.p
        feeding = Signal()
        walk = BlockWalk(m, config, "feed")
        job = Signal(job_layout(config), name="feed_job", reset_less=True)
        k_left = Signal(config.dim_width, reset_less=True)
        first = Signal(reset_less=True)
        last = k_left <= config.lanes
        fire = tile.i.valid & tile.i.ready
        m.d.comb += [
            tile.i.valid.eq(feeding & self.a.valid & self.b.valid),
            self.a.ready.eq(feeding & self.b.valid & tile.i.ready),
            self.b.ready.eq(feeding & self.a.valid & tile.i.ready),
            beat.a.eq(self.a.p),
            beat.b.eq(self.b.p),
            beat.a_signed.eq(job.a_signed),
            beat.b_format.eq(job.b_format),
            beat.lanes.eq(Mux(last, k_left, config.lanes)),
            beat.rows.eq(walk.rows),
            beat.first.eq(first),
            beat.last.eq(last),
        ]
        with m.If(~feeding):
            m.d.sync += [job.eq(self.job.p), k_left.eq(self.job.p.k), first.eq(1)]
            m.d.sync += walk.start(self.job.p)
        with m.Elif(fire):
            m.d.sync += [k_left.eq(Mux(last, job.k, k_left - config.lanes)), first.eq(last)]
            with m.If(last):
                m.d.sync += walk.step()
                m.d.sync += feeding.eq(~walk.last)
        return feeding

    def _drain(self, m: Module, tile, rescale, adapt, queued, queue_valid, taken):
        """Sends the rows of the tile, or of the stream x, through the rescaling unit."""
        config, row = self.config, rescale.i.p
        draining = Signal()
        walk = BlockWalk(m, config, "drain")
        job = Signal(job_layout(config), name="drain_job", reset_less=True)
        row_index = Signal(range(config.rows))
        last_row = Signal()
        first_row = Signal()
        quantise = job.op == Op.QUANTISE
        available = Mux(quantise, self.x.valid, tile.o.valid)
        has_bias = ~job.bias | self.bias.valid
        has_mask = ~job.mask | self.mask.valid
        go = draining & rescale.i.ready  # what remains is that every input is there
        fire = go & available & has_bias & has_mask
        m.d.comb += [
            last_row.eq(row_index + 1 == walk.rows),
            rescale.i.valid.eq(draining & available & has_bias & has_mask),
            tile.o.ready.eq(go & ~quantise & has_bias & has_mask),
            self.x.ready.eq(go & quantise & has_bias & has_mask),
            # one bias beat serves a whole block: it is taken with the block's last row
            self.bias.ready.eq(go & job.bias & available & has_mask & last_row),
            self.mask.ready.eq(go & job.mask & available & has_bias),
            row.mask.eq(self.mask.p | (~job.mask).replicate(config.cols)),
            row.params.eq(job.params),
            row.tag.first.eq(first_row),
            row.tag.last.eq(last_row & walk.last),
            row.tag.measure.eq(job.adapt.enable),
            row.tag.discard.eq(job.adapt.enable & job.adapt.discard),
            taken.eq(queue_valid & (~draining | (fire & row.tag.last))
                     & (~queued.adapt.enable | adapt.idle)),
            adapt.adapt.eq(queued.adapt),
            adapt.own.eq(queued.params),
            adapt.start.eq(taken & queued.adapt.enable),
            adapt.dataless.eq(queued.op == Op.TABLE),
        ]
        for c in range(config.cols):
            m.d.comb += [
                row.values[c].eq(Mux(quantise, self.x.p[c], tile.o.p.values[c])),
                row.bias[c].eq(Mux(job.bias, self.bias.p[c], 0)),
                row.tag.keep[c].eq(c < walk.cols),
            ]
        with m.If(fire):
            m.d.sync += first_row.eq(0)
            m.d.sync += row_index.eq(Mux(last_row, 0, row_index + 1))
            with m.If(last_row):
                m.d.sync += walk.step()
                m.d.sync += draining.eq(~walk.last)
        with m.If(taken):
            m.d.sync += [job.eq(queued), job.params.eq(adapt.applied), first_row.eq(1)]
            m.d.sync += draining.eq(queued.op != Op.TABLE)
            m.d.sync += walk.start(queued)
