# SPDX-License-Identifier: Apache-2.0
"""The engine: operand streams and job descriptors in, rescaled results and reports out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.engine.job import FLAGS_LAYOUT, Op, job_layout, refused
from hdl.layouts import WORD, codes_layout, result_layout, words_layout
from hdl.library import place
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import APPLIED_LAYOUT, REPORT_LAYOUT, AdaptUnit
from hdl.tile.mac_tile import MacTile


def parts_layout(dim: int, size: int) -> data.StructLayout:
    """A dimension in parts of `size`: the parts after the first, and what the last has."""
    return data.StructLayout({
        "more": max(dim - size.bit_length() + 1, 1), "tail": range(size + 1)})


def shape_layout(config: Config) -> data.StructLayout:
    """M, N and K in blocks and beats."""
    return data.StructLayout({
        "rows": parts_layout(config.dim_width, config.rows),
        "cols": parts_layout(config.dim_width, config.cols),
        "beats": parts_layout(config.dim_width, config.lanes),
    })


def parts(number, size: int):
    """A dimension, at least 1, as a value of `parts_layout`; `size` is a power of two."""
    less = (number - 1)[:len(number)]
    bits = size.bit_length() - 1
    layout = parts_layout(len(number), size)
    more = less[bits:] if bits < len(number) else Const(0, 1)
    return Cat(more, Const(0, layout["more"].width - len(more)),
               (less[:bits] + 1)[:layout["tail"].width])


class BlockWalk:
    """Counters over the blocks of a result, row of blocks by row of blocks.

    Members (registers, valid while a job is walked): `rows`, `cols` of the current block,
    `last_col` for the last of its row of blocks, `last` for the last of all.
    """

    def __init__(self, m: Module, config: Config, name: str):
        self._m, self._config, self._name = m, config, name
        layout = shape_layout(config)
        self.shape = Signal(layout, name=f"{name}_shape", reset_less=True)
        self._m_left, self._n_left = (
            Signal.like(self.shape[axis].more, name=f"{name}_{part}", reset_less=True)
            for part, axis in (("m_left", "rows"), ("n_left", "cols")))
        self.rows, self.cols = (
            Signal(layout[axis].shape["tail"].shape, name=f"{name}_{axis}", reset_less=True)
            for axis in ("rows", "cols"))
        self.last, self.last_col = (
            Signal(name=f"{name}_{part}", reset_less=True) for part in ("last", "last_col"))

    def _go(self, shape, m_left, n_left, name: str):
        """Registers and what points them at a block, and its rows."""
        rows, last_row, last_col = (
            Signal(len(value), name=f"{self._name}_{name}_{part}") for part, value in (
                ("rows", self.rows), ("last_row", self.last), ("last_col", self.last)))
        self._m.d.comb += [
            last_row.eq(m_left == 0), last_col.eq(n_left == 0),
            rows.eq(Mux(last_row, shape.rows.tail, self._config.rows)),
        ]
        return [
            (self._m_left, m_left), (self._n_left, n_left), (self.rows, rows),
            (self.cols, Mux(last_col, shape.cols.tail, self._config.cols)),
            (self.last, last_row & last_col), (self.last_col, last_col),
        ], rows

    def start(self, shape):
        """Registers and what points them at the first block of a job, and its rows; `shape` is to
        be loaded with them."""
        return self._go(shape, shape.rows.more, shape.cols.more, "start")

    def step(self):
        """Registers and what takes them on to the next block, and its rows."""
        m_left = Signal.like(self._m_left, name=f"{self._name}_next_m_left")
        n_left = Signal.like(self._n_left, name=f"{self._name}_next_n_left")
        self._m.d.comb += [
            m_left.eq(self._m_left - self.last_col),
            n_left.eq(Mux(self.last_col, self.shape.cols.more, self._n_left - 1)),
        ]
        return self._go(self.shape, m_left, n_left, "step")


class RowSource(wiring.Component):
    """Where the rescaling unit's words of one column come from.

    Members
    -------
    load : In(1), no job runs, or its last row moves: what follows is taken over. quantise, gemm,
        biased : In(1), of what follows: its words are those of x, or of the tile; it has a bias.
    x, tile, bias : In(signed 32). value, addend : Out(signed 32), of the job that was taken over.

    A module of its own: what it knows of the job drives 32 bits here, where the registers of the
    whole engine would be slow to drive those of every column.
    """

    def __init__(self, config: Config):
        self.config = config
        word = signed(WORD)
        super().__init__({
            **dict.fromkeys(("load", "quantise", "gemm", "biased"), In(1)),
            **dict.fromkeys(("x", "tile", "bias"), In(word)),
            "value": Out(word), "addend": Out(word)})

    def elaborate(self, platform):
        m = Module()
        counts = {}
        for name in ("quantise", "gemm", "biased"):
            held = Signal(name=f"{name}_held", reset_less=True)
            with m.If(self.load):
                m.d.sync += held.eq(getattr(self, name))
            counts[name] = held.replicate(WORD)
        m.d.comb += [
            self.value.eq((self.x & counts["quantise"]) | (self.tile & counts["gemm"])),
            self.addend.eq(self.bias & counts["biased"]),
        ]
        return m


class Engine(wiring.Component):
    """Runs jobs: a GEMM and its rescaling, rescaling alone, or a change of the table of scales.

    Blocks of rows x cols results are computed row of blocks by row of blocks; each takes
    ceil(K / lanes) beats of both operands and gives up to `rows` result rows.

    Members
    -------
    job : In(stream of `job_layout`). A descriptor that cannot be run (a zero dimension, an unknown
        operation, format, radix, rounding or tensor) is dropped: no results, `flags.bad_job` set.
        Operands already offered for it stay and would go to the next job: withdraw them.
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
        return MacTile.latency(config) + RescaleUnit.latency(config)

    def elaborate(self, platform):
        m = Module()
        tile = place(m, platform, "mac_tile", MacTile(self.config))
        rescale = place(m, platform, "rescale_unit", RescaleUnit(self.config))
        adapt = place(m, platform, "adapt_unit", AdaptUnit(self.config))
        queued = Signal(job_layout(self.config), reset_less=True)
        queue_valid = Signal()
        taken = Signal()
        offered_shape, shape = (Signal(shape_layout(self.config), name=name, reset_less=True)
                                for name in ("offered_shape", "queued_shape"))
        m.d.comb += [part.eq(parts(number, size)) for part, number, size in (
            (offered_shape.rows, self.job.p.m, self.config.rows),
            (offered_shape.cols, self.job.p.n, self.config.cols),
            (offered_shape.beats, self.job.p.k, self.config.lanes))]
        feeding = self._feed(m, tile, offered_shape)

        # A job is accepted when the feeder is idle and the drainer's queue is free.
        offered, bad_job = self.job.p, Signal()
        accepted = self.job.valid & self.job.ready
        m.d.comb += self.job.ready.eq(~feeding & ~queue_valid)
        with m.If(taken):
            m.d.sync += queue_valid.eq(0)
        bad = Signal()
        m.d.comb += bad.eq(refused(offered, self.config))
        with m.If(accepted & ~bad):
            m.d.sync += [queued.eq(offered), shape.eq(offered_shape), queue_valid.eq(1)]
            m.d.sync += feeding.eq(offered.op == Op.GEMM)
        with m.If(accepted & bad):
            m.d.sync += bad_job.eq(1)
        with m.Elif(self.clear):
            m.d.sync += bad_job.eq(0)

        self._drain(m, platform, tile, rescale, adapt, queued, shape, queue_valid, taken)
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

    def _feed(self, m: Module, tile: MacTile, shape) -> Signal:
        """Joins the operand streams into beats; returns the `feeding` flag that a job sets."""
        config, beat = self.config, tile.i.p
        feeding = Signal()
        walk = BlockWalk(m, config, "feed")
        a_signed, b_format = (Signal.like(field, name=f"feed_{name}", reset_less=True)
                              for name, field in (("a_signed", beat.a_signed),
                                                  ("b_format", beat.b_format)))
        beats = Signal.like(shape.beats, name="feed_beats", reset_less=True)
        k_left = Signal.like(beats.more, name="k_left", reset_less=True)  # beats after this one
        lanes = Signal.like(beat.lanes, name="feed_lanes", reset_less=True)
        first, last = (Signal(name=f"beat_{name}", reset_less=True) for name in ("first", "last"))
        fire = tile.i.valid & tile.i.ready
        arrives = self.a.valid & self.b.valid & tile.i.ready  # comes late, and drives few gates
        m.d.comb += [
            tile.i.valid.eq(feeding & self.a.valid & self.b.valid),
            self.a.ready.eq(feeding & self.b.valid & tile.i.ready),
            self.b.ready.eq(feeding & self.a.valid & tile.i.ready),
            beat.a.eq(self.a.p),
            beat.b.eq(self.b.p),
            beat.a_signed.eq(a_signed),
            beat.b_format.eq(b_format),
            beat.lanes.eq(lanes),
            beat.rows.eq(walk.rows),
            beat.first.eq(first),
            beat.last.eq(last),
        ]

        def point(beats, left, name: str):
            """Registers and what points them at a beat which as many follow."""
            none_left = Signal(name=name)
            m.d.comb += none_left.eq(left == 0)
            exist = Cat(~none_left | (lane < beats.tail) for lane in range(config.lanes))
            return [(k_left, left), (last, none_left), (lanes, exist)]

        left = Signal.like(k_left, name="next_k_left")
        m.d.comb += left.eq(Mux(last, beats.more, k_left - 1))
        starts, goes_on = (point(shape.beats, shape.beats.more, "feed_start_last"),
                           point(beats, left, "feed_step_last"))
        blocks = zip(walk.start(shape)[0], walk.step()[0], strict=True)
        with m.If(~feeding):
            m.d.sync += [beats.eq(shape.beats), a_signed.eq(self.job.p.a_signed),
                         b_format.eq(self.job.p.b_format), walk.shape.eq(shape)]
        # the beat that arrives is taken, if one is fed at all: it only enables
        with m.If(~feeding | arrives):
            m.d.sync += [first.eq(~feeding | last),
                         *(target.eq(Mux(feeding, after, new)) for (target, new), (_, after)
                           in zip(starts, goes_on, strict=True))]
        with m.If(~feeding | (arrives & last)):
            m.d.sync += [target.eq(Mux(feeding, after, new))
                         for (target, new), (_, after) in blocks]
        with m.If(fire & last):
            m.d.sync += feeding.eq(~walk.last)
        return feeding

    def _drain(self, m: Module, platform, tile, rescale, adapt, queued, shape, queue_valid,
               taken):
        """Sends the rows of the tile, or of the stream x, through the rescaling unit."""
        config, row = self.config, rescale.i.p
        draining = Signal()
        walk = BlockWalk(m, config, "drain")
        job = Signal(job_layout(config), name="drain_job", reset_less=True)
        row_index = Signal(range(config.rows))
        last_row = Signal()
        first_row = Signal()
        quantise = Signal()
        gemm = Signal()  # one of them, while draining
        available = (quantise & self.x.valid) | (gemm & tile.o.valid)
        has_bias = ~job.bias | self.bias.valid
        has_mask = ~job.mask | self.mask.valid
        go = draining & rescale.i.ready  # what remains is that every input is there
        fire = go & available & has_bias & has_mask
        m.d.comb += [
            rescale.i.valid.eq(draining & available & has_bias & has_mask),
            tile.o.ready.eq(go & gemm & has_bias & has_mask),
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
                     & (~queued.adapt.enable | adapt.ready)),
            adapt.request.eq(queue_valid & queued.adapt.enable),
            adapt.adapt.eq(queued.adapt),
            adapt.own.eq(queued.params),
            adapt.start.eq(taken & queued.adapt.enable),
            adapt.dataless.eq(queued.op == Op.TABLE),
        ]
        # Whether a row moves is known late in a cycle: it only enables. Without a job the registers
        # follow the one that is queued, whether or not it can be taken yet.
        starts = Signal(name="drain_starts")  # what follows, if anything, is a new job
        load = Signal(name="drain_load")
        m.d.comb += [starts.eq(~draining | row.tag.last),
                     load.eq(~draining | (fire & row.tag.last))]
        quantises, multiplies = queued.op == Op.QUANTISE, queued.op == Op.GEMM
        for c in range(config.cols):
            source = place(m, platform, f"row_source_{c}", RowSource(config))
            m.d.comb += [
                source.load.eq(load),
                source.quantise.eq(quantises),
                source.gemm.eq(multiplies),
                source.biased.eq(queued.bias),
                source.x.eq(self.x.p[c]),
                source.tile.eq(tile.o.p.values[c]),
                source.bias.eq(self.bias.p[c]),
                row.values[c].eq(source.value),
                row.bias[c].eq(source.addend),
                row.tag.keep[c].eq(c < walk.cols),
            ]
        step, step_rows = walk.step()
        start, start_rows = walk.start(shape)
        with m.If(~draining | fire):
            m.d.sync += [
                first_row.eq(starts),
                row_index.eq(Mux(starts | last_row, 0, row_index + 1)),
                last_row.eq(Mux(starts, start_rows == 1,
                                Mux(last_row, step_rows == 1, row_index + 2 == walk.rows)))]
        with m.If(~draining | (fire & last_row)):
            m.d.sync += [target.eq(Mux(starts, first, after))
                         for (target, first), (_, after) in zip(start, step, strict=True)]
        with m.If(load):
            m.d.sync += [job.eq(queued), walk.shape.eq(shape), quantise.eq(quantises),
                         gemm.eq(multiplies)]
            with m.If(queued.adapt.enable):
                m.d.sync += [job.params[name].eq(adapt.applied[name])
                             for name, _ in APPLIED_LAYOUT]
        with m.If(taken):
            m.d.sync += draining.eq(queued.op != Op.TABLE)
        with m.Elif(fire & row.tag.last):
            m.d.sync += draining.eq(0)
