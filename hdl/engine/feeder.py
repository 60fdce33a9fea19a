# SPDX-License-Identifier: Apache-2.0
"""The feeder: two streams of operands become the beats of the tile, block by block."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.engine.walk import BlockWalk, extent_layout, parts_layout
from hdl.layouts import BFormat, beat_layout, codes_layout
from hdl.library import place


def feed_layout(config: Config) -> data.StructLayout:
    """What the feeder has to know of a GEMM."""
    return data.StructLayout({
        "extent": extent_layout(config),
        "beats": parts_layout(config.dim_width, config.lanes),  # K, which every block takes
        "a_signed": 1,
        "b_format": BFormat,
    })


def step_layout(config: Config) -> data.StructLayout:
    """One beat among those of its block."""
    return data.StructLayout({
        "left": parts_layout(config.dim_width, config.lanes)["more"].shape,  # beats that follow
        "lanes": config.lanes,  # those that exist
        "last": 1,  # of its block
    })


class Feeder(wiring.Component):
    """Joins the operands of a GEMM into beats.

    Members
    -------
    job : In(stream of `feed_layout`), taken when the last beat of the job before has moved. While
        the feeder waits for a job its registers follow the payload, valid or not.
    a, b : In(streams of `codes_layout`), as those of `Engine`; a beat takes one of each.
    beat : Out(stream of `beat_layout`).

    Latency: 0 cycles from operands to their beat; the first beat may move in the cycle after the
    job is taken. Throughput: one beat per cycle; one idle cycle between two jobs.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(feed_layout(config))),
            "a": In(stream.Signature(codes_layout(config, config.rows))),
            "b": In(stream.Signature(codes_layout(config, config.cols))),
            "beat": Out(stream.Signature(beat_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        walk = place(m, platform, "walk", BlockWalk(self.config))
        feeding = Signal()
        job = Signal(feed_layout(self.config), reset_less=True)
        step = Signal(step_layout(self.config), reset_less=True)
        first = Signal(reset_less=True)  # of its block
        # The beat is taken, if one is fed at all. The operands come late in a cycle: they only
        # enable registers, and few of them wait for `feeding` too.
        arrives = self.a.valid & self.b.valid & self.beat.ready

        # Cycle 0: the job that is offered.
        m.d.comb += self.job.ready.eq(~feeding)
        with m.If(~feeding):
            m.d.sync += job.eq(self.job.p)
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += feeding.eq(1)
        with m.Elif(feeding & arrives & step.last & walk.last):
            m.d.sync += feeding.eq(0)

        # Cycle 0: the beat that follows, the first one of that job or the one after this.
        start = Signal.like(step)
        after = Signal.like(step)
        m.d.comb += [
            start.left.eq(self.job.p.beats.more),
            *self._size(start, self.job.p.beats),
            after.left.eq(Mux(step.last, job.beats.more, step.left - 1)),
            *self._size(after, job.beats),
        ]
        with m.If(~feeding | arrives):
            m.d.sync += [step.eq(Mux(feeding, after, start)), first.eq(~feeding | step.last)]
        m.d.comb += [
            walk.extent.eq(job.extent),
            walk.next_extent.eq(self.job.p.extent),
            walk.starts.eq(~feeding),
            walk.moves.eq(~feeding | (arrives & step.last)),
        ]

        # Cycle 1: this beat.
        beat = self.beat.p
        m.d.comb += [
            self.beat.valid.eq(feeding & self.a.valid & self.b.valid),
            self.a.ready.eq(feeding & self.b.valid & self.beat.ready),
            self.b.ready.eq(feeding & self.a.valid & self.beat.ready),
            beat.a.eq(self.a.p),
            beat.b.eq(self.b.p),
            beat.a_signed.eq(job.a_signed),
            beat.b_format.eq(job.b_format),
            beat.lanes.eq(step.lanes),
            beat.rows.eq(walk.rows),
            beat.cols.eq(walk.cols),
            beat.first.eq(first),
            beat.last.eq(step.last),
        ]
        return m

    def _size(self, step, beats) -> list:
        """What the place of a beat says of its lanes, and whether it is its block's last one."""
        return [
            step.last.eq(step.left == 0),
            step.lanes.eq(Cat(~step.last | (lane < beats.tail)
                              for lane in range(self.config.lanes))),
        ]
