# SPDX-License-Identifier: Apache-2.0
"""Where results go: the segments of every panel, in the order of the bytes of `Items`."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.collect import SLOTS
from hdl.core.layouts import STRIDE, address_width, moved, segment_layout, store_layout
from hdl.core.panels import ConfigPanels
from hdl.library import place


class Kind(enum.Enum, shape=2):
    """What a segment has of each element."""

    RESULT = 0  # the word, or the code of the even phase
    ODD = 1
    MASK = 2


class Order:
    """The segments of a panel: of each row those of all tensors; with `turn` of each column those
    of the results, and behind the last one the masks' rows.

    Members
    -------
    turned : this segment is a column. elements : how many it has. size : its bytes. ends : it is
        the panel's last. kind_after, line_after : the next one, if any. size_after : its bytes.
    """

    def __init__(self, job, kind, line, rows, cols):
        self.turned = job.turn & (kind != Kind.MASK)
        self.elements = Mux(self.turned, rows, cols)
        self.size = size_of(job, kind, rows, cols)
        last_line = line == Mux(self.turned, cols, rows) - 1
        of_line_left = Mux(kind == Kind.RESULT, job.odd | (job.mask & ~job.turn),
                           (kind == Kind.ODD) & job.mask & ~job.turn)
        to_masks = self.turned & job.mask
        first = Mux(job.turn & (kind == Kind.MASK), Kind.MASK, Kind.RESULT)
        next_of_line = Mux((kind == Kind.RESULT) & job.odd, Kind.ODD, Kind.MASK)
        self.ends = ~of_line_left & last_line & ~to_masks
        self.kind_after = Mux(of_line_left, next_of_line, Mux(last_line, Kind.MASK, first))
        self.line_after = Mux(of_line_left, line, Mux(last_line, 0, line + 1))
        self.size_after = size_of(job, self.kind_after, rows, cols)


def size_of(job, kind, rows, cols):
    """The bytes of a segment."""
    length = Mux(job.turn & (kind != Kind.MASK), rows, cols)
    return Mux(job.words & (kind == Kind.RESULT), length << 2, Mux(
        kind == Kind.MASK, (length + 7) >> 3, (length + 1) >> 1))


class Segments(wiring.Component):
    """Walks over the segments of a job's results.

    Members
    -------
    job : In(stream of store_layout), taken when the last segment of the job before is.
    panel : In(1), a panel of results is complete: its segments are asked for from then on.
    segment : Out(stream of segment_layout).

    Throughput: a segment per cycle, one idle cycle between two panels.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(store_layout(config))),
            "panel": In(1),
            "segment": Out(stream.Signature(segment_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        walk = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(store_layout(config), reset_less=True)
        # beside those that are collected, up to three whose last item waits behind `Items`
        running = Signal()
        there = Signal(range(SLOTS + 4))
        kind = Signal(Kind)
        line = Signal(range(max(config.strip, config.rows) + 1))
        order = Order(job, kind, line, walk.rows, walk.cols)
        fire = Signal()
        panel_ends = Signal()
        # Where this segment of each tensor lies, and where this panel's and this strip's begin.
        width = address_width(config)
        places = {k: tuple(Signal(width, name=f"{k.name.lower()}_{what}", reset_less=True)
                           for what in ("line", "panel", "strip")) for k in Kind}
        strides = {Kind.RESULT: job.c_stride, Kind.ODD: job.c_odd_stride,
                   Kind.MASK: job.mask_stride}
        chosen = kind.as_value()
        stride = Signal(STRIDE)
        m.d.comb += [
            self.job.ready.eq(~running),
            walk.sizes.eq(Mux(running, job.sizes, self.job.p.sizes)),
            walk.start.eq(~running),
            self.segment.valid.eq(running & (there != 0)),
            self.segment.p.address.eq(Array(places[k][0] for k in Kind)[chosen]),
            self.segment.p.bytes.eq(order.size),
            stride.eq(Array(strides[k] for k in Kind)[chosen]),
            fire.eq(self.segment.valid & self.segment.ready),
            panel_ends.eq(fire & order.ends),
            walk.step.eq(panel_ends),
        ]
        m.d.sync += there.eq(there + self.panel - panel_ends)
        with m.If(~running):
            m.d.sync += [job.eq(self.job.p), kind.eq(Kind.RESULT), line.eq(0),
                         running.eq(self.job.valid & self.job.p.results)]
            for k, at in ((Kind.RESULT, self.job.p.c), (Kind.ODD, self.job.p.c_odd),
                          (Kind.MASK, self.job.p.mask_at)):
                m.d.sync += [each.eq(at) for each in places[k]]
        with m.Elif(fire):
            m.d.sync += [kind.eq(Mux(order.ends, Kind.RESULT, order.kind_after)),
                         line.eq(Mux(order.ends, 0, order.line_after))]
            with m.If(order.ends & walk.last & walk.last_strip):
                m.d.sync += running.eq(0)
            for k, (at, panel, strip) in places.items():
                turns = job.turn if k != Kind.MASK else 0
                wide = job.words if k == Kind.RESULT else 0
                across = config.strip // 8 if k == Kind.MASK else Mux(
                    wide, 4 * config.strip, config.strip // 2)
                next_strip = moved(strip, Mux(
                    turns, strides[k] << (config.strip.bit_length() - 1), across))
                next_panel = moved(panel, Mux(wide, 4 * config.rows, config.rows // 2))
                # rows go on from panel to panel by themselves
                with m.If(order.ends & walk.last):
                    m.d.sync += [at.eq(next_strip), panel.eq(next_strip), strip.eq(next_strip)]
                with m.Elif(order.ends & turns):
                    m.d.sync += [at.eq(next_panel), panel.eq(next_panel)]
                with m.Elif(kind == k):
                    m.d.sync += at.eq(moved(at, stride))
        return m
