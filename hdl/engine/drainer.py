# SPDX-License-Identifier: Apache-2.0
"""The drainer: rows of the tile, or of the stream x, become those of the rescaling unit."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.engine.job import Op
from hdl.engine.row_source import RowSource
from hdl.engine.walk import BlockWalk, extent_layout
from hdl.layouts import RESCALE_LAYOUT, rescale_layout, row_layout, words_layout
from hdl.library import place
from hdl.scales.layouts import ADAPT_LAYOUT, APPLIED_LAYOUT


def drain_layout(config: Config) -> data.StructLayout:
    """What the drainer has to know of a job."""
    return data.StructLayout({
        "extent": extent_layout(config),
        "op": Op,
        "bias": 1,
        "mask": 1,
        "params": RESCALE_LAYOUT,
        "adapt": ADAPT_LAYOUT,
    })


# How the drainer asks for the scale of a job that names a tensor; the ports of `AdaptUnit`.
SCALE_SIGNATURE = wiring.Signature({
    "request": Out(1),
    "adapt": Out(ADAPT_LAYOUT),
    "own": Out(RESCALE_LAYOUT),
    "dataless": Out(1),
    "ready": In(1),
    "applied": In(APPLIED_LAYOUT),
    "start": Out(1),
})


class Drainer(wiring.Component):
    """Sends the rows of a job through the rescaling unit, block by block.

    Members
    -------
    job : In(stream of `drain_layout`). One job waits here while another one runs.
    scale : Out(SCALE_SIGNATURE), to the adapt unit: a job with `adapt.enable` waits until that is
        `ready`, and then has the scale that is `applied`.
    tile : In(stream of `row_layout`), the rows of a GEMM.
    x, bias : In(streams of `words_layout`). mask : In(stream of `cols` bits). As those of `Engine`.
    row : Out(stream of `rescale_layout`), rows to be rescaled.

    Latency: 0 cycles from a row to its `row`; the first row may move in the second cycle after the
    job is taken. Throughput: one row per cycle; no idle cycle between two jobs, unless the second
    one waits for its scale.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(drain_layout(config))),
            "scale": Out(SCALE_SIGNATURE),
            "tile": In(stream.Signature(row_layout(config))),
            "x": In(stream.Signature(words_layout(config))),
            "bias": In(stream.Signature(words_layout(config))),
            "mask": In(stream.Signature(config.cols)),
            "row": Out(stream.Signature(rescale_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        config, row, scale = self.config, self.row.p, self.scale
        walk = place(m, platform, "walk", BlockWalk(config))

        # Cycle 0: the job that waits.
        queued = Signal(drain_layout(config), reset_less=True)
        queue_valid = Signal()
        taken = Signal()  # by the registers of cycle 1
        m.d.comb += self.job.ready.eq(~queue_valid)
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [queued.eq(self.job.p), queue_valid.eq(1)]
        with m.Elif(taken):
            m.d.sync += queue_valid.eq(0)
        m.d.comb += [
            scale.request.eq(queue_valid & queued.adapt.enable),
            scale.adapt.eq(queued.adapt),
            scale.own.eq(queued.params),
            scale.dataless.eq(queued.op == Op.TABLE),
            scale.start.eq(taken & queued.adapt.enable),
        ]

        # Cycle 1: the job that runs. Whether a row moves is known late in a cycle: it only enables
        # registers. Without a job they follow the one that waits, whether or not it can be taken.
        draining = Signal()
        job = Signal(drain_layout(config), reset_less=True)
        quantise = Signal()
        gemm = Signal()  # one of the two, while draining
        fire = Signal()  # the row moves
        starts = Signal()  # what follows, if anything, is a new job
        load = Signal()
        quantises, multiplies = queued.op == Op.QUANTISE, queued.op == Op.GEMM
        m.d.comb += [
            starts.eq(~draining | row.tag.last),
            load.eq(~draining | (fire & row.tag.last)),
            taken.eq(queue_valid & load & (~queued.adapt.enable | scale.ready)),
        ]
        with m.If(load):
            m.d.sync += [job.eq(queued), quantise.eq(quantises), gemm.eq(multiplies)]
            with m.If(queued.adapt.enable):
                m.d.sync += [
                    job.params.multiplier.eq(scale.applied.multiplier),
                    job.params.shift.eq(scale.applied.shift),
                    job.params.zero_point.eq(scale.applied.zero_point),
                ]
        with m.If(taken):
            m.d.sync += draining.eq(queued.op != Op.TABLE)
        with m.Elif(fire & row.tag.last):
            m.d.sync += draining.eq(0)

        # Cycle 1: which row of which block.
        row_index = Signal(range(config.rows))
        first_row = Signal()  # of the job
        last_row = Signal()  # of the block
        block_starts = starts | last_row  # what follows is the first row of a block
        m.d.comb += [
            walk.extent.eq(job.extent),
            walk.next_extent.eq(queued.extent),
            walk.starts.eq(starts),
            walk.moves.eq(~draining | (fire & last_row)),
        ]
        with m.If(~draining | fire):
            m.d.sync += [
                first_row.eq(starts),
                row_index.eq(Mux(block_starts, 0, row_index + 1)),
                last_row.eq(Mux(block_starts, walk.next_single,
                                row_index + 2 == walk.rows)),
            ]

        # Cycle 2: the row moves if every input is there and the rescaling unit takes it.
        available = (quantise & self.x.valid) | (gemm & self.tile.valid)
        has_bias = ~job.bias | self.bias.valid
        has_mask = ~job.mask | self.mask.valid
        go = draining & self.row.ready  # what remains is that every input is there
        m.d.comb += [
            fire.eq(go & available & has_bias & has_mask),
            self.row.valid.eq(draining & available & has_bias & has_mask),
            self.tile.ready.eq(go & gemm & has_bias & has_mask),
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
        ]
        for c in range(config.cols):
            source = place(m, platform, f"row_source_{c}", RowSource(config))
            m.d.comb += [
                source.load.eq(load),
                source.job.quantise.eq(quantises),
                source.job.gemm.eq(multiplies),
                source.job.biased.eq(queued.bias),
                source.x.eq(self.x.p[c]),
                source.tile.eq(self.tile.p.values[c]),
                source.bias.eq(self.bias.p[c]),
                row.values[c].eq(source.value),
                row.bias[c].eq(source.addend),
                row.tag.keep[c].eq(c < walk.cols),
            ]
        return m
