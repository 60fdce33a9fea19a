# SPDX-License-Identifier: Apache-2.0
"""What is read for a job, segment by segment, in the order in which the engine needs it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import (
    INDEX,
    STRIDE,
    Target,
    address_width,
    load_layout,
    moved,
    read_layout,
)
from hdl.core.operand_buffer import SLOTS
from hdl.core.panels import ConfigPanels, GroupPanels
from hdl.core.row_buffer import BiasBuffer, MaskBuffer, XBuffer
from hdl.library import place

KINDS = {Target.A: SLOTS, Target.B: SLOTS,
         **{kind.target: kind.slots for kind in (XBuffer, BiasBuffer, MaskBuffer)}}
EARLY = 2  # groups of a strip that come before half of the next strip's b


class Step(enum.Enum, shape=3):
    """What the segments of the moment are of."""

    IDLE = 0
    BIAS = 1
    B = 2
    A = 3
    MASK = 4
    X = 5
    NEXT = 6


class Load(wiring.Component):
    """Walks over the tensors of a job: per strip its bias and its part of b, per group of rows that
    of a, and per panel of that its masks and words. A segment is a row of them, or of a turned
    operand a step of K. A turned mask comes per group, a segment is a column of it.

    The next strip's part of b comes early, so that the tile need not wait for it: half of it before
    the third group, half before the fourth, since all of it takes longer to come than the tile is
    busy with the groups that are there; all before the third if that is the last. Where a alone may
    be read before the barrier, the first group comes before the first strip's b.

    Members
    -------
    job : In(stream of load_layout), taken when the last segment of the job before is.
    segment : Out(stream of read_layout), only where a slot for it is free.
    free : In(1 per kind), a slot of that buffer is done with. settled : In(1), all may be read, not
        only what the job says may be early.

    Throughput: a segment per cycle, and a few cycles between tensors.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "job": In(stream.Signature(load_layout(config))),
            "segment": Out(stream.Signature(read_layout(config))),
            "free": In(len(KINDS)),
            "settled": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, segment = self.config, self.segment.p
        groups = place(m, platform, "groups", GroupPanels(config))
        panels = place(m, platform, "panels", ConfigPanels(config))
        job = Signal(load_layout(config), reset_less=True)
        step = Signal(Step)
        at = Signal(address_width(config), reset_less=True)  # of the segment
        index = Signal(INDEX, reset_less=True)
        turned = Signal()
        end = Signal()
        fire = Signal()
        group = Signal(range(EARLY + 1), reset_less=True)  # of its strip, or EARLY
        early = Signal(reset_less=True)  # b is the next strip's
        halved = Signal(reset_less=True)  # one half of it has come
        b_at = Signal(address_width(config), reset_less=True)  # where the other one begins
        there = Signal(reset_less=True)  # this strip's has come before it began
        late = Signal(reset_less=True)  # the first strip's b comes behind its first group
        behind = Signal(reset_less=True)  # b does
        odd = Signal(reset_less=True)  # groups are half a byte of a mask, this one the upper half

        # Slots that are free, and which comes next.
        begins = {kind: Signal(name=f"begins_{kind.name.lower()}") for kind in KINDS}
        open_, slot = {}, {}
        for n, kind in enumerate(KINDS):
            slots = KINDS[kind]
            left = Signal(range(slots + 1), init=slots, name=f"left_{kind.name.lower()}")
            # the first one is 0
            turn = Signal(range(slots), name=f"slot_{kind.name.lower()}", init=slots - 1)
            m.d.sync += left.eq(left + self.free[n] - begins[kind])
            with m.If(begins[kind]):
                m.d.sync += turn.eq(turn + 1)
            open_[kind], slot[kind] = left != 0, turn

        # Where the tensors of this strip, group and panel begin.
        bias, b, a, mask_strip, mask, x_strip, x = (
            Signal(address_width(config), reset_less=True, name=name) for name in (
                "bias", "b", "a", "mask_strip", "mask_row", "x_strip", "x_row"))

        m.d.comb += [
            self.job.ready.eq(step == Step.IDLE),
            groups.sizes.eq(Mux(step == Step.IDLE, self.job.p.sizes, job.sizes)),
            panels.sizes.eq(groups.sizes),
            groups.start.eq(step == Step.IDLE),
            panels.start.eq(step == Step.IDLE),
            segment.address.eq(at),
            segment.tag.index.eq(index),
            segment.tag.index[-1].eq(index[-1] | (odd & (step == Step.MASK))),
            segment.tag.turned.eq(turned),
            segment.tag.end.eq(end),
            segment.tag.number.eq(job.number),
            fire.eq(self.segment.valid & self.segment.ready),
        ]

        # What a step's segments are: their number, their bytes, and how far they lie apart.
        count = Signal(range(max(config.depth, config.strip) + 1))
        size = Signal.like(segment.bytes)
        stride = Signal(STRIDE)
        after_this = moved(at, stride)
        codes_k = (job.k + 1) >> 1
        by_row = job.mask & ~job.turn_mask  # the mask of each panel by itself
        half = config.lanes < 8
        m.d.comb += [segment.bytes.eq(size), end.eq(index == count - 1)]
        strip_bits = config.strip.bit_length() - 1
        active = Signal()  # a slot has been taken
        early_kinds = {Target.A: job.early_a, Target.B: job.early_b,
                       Target.BIAS: job.early_a | job.early_b}
        panel = Signal(range(max(config.lanes // config.rows, 2)))  # within its group

        def go(after: Step):
            m.d.sync += [step.eq(after), active.eq(0)]

        def tensor(kind: Target, first, rows, length, apart, after, turn=0, keep=None, goes_on=0):
            """The segments of one slot, or with `goes_on` the second half of them; `keep` is the
            register that goes on where they end."""
            m.d.comb += [count.eq(rows), size.eq(length), stride.eq(apart), turned.eq(turn),
                         segment.tag.target.eq(kind), segment.tag.slot.eq(slot[kind]),
                         self.segment.valid.eq(active)]
            with m.If(~active):
                m.d.comb += begins[kind].eq(open_[kind] & ~goes_on & (
                    self.settled | early_kinds.get(kind, 0)))
                m.d.sync += [at.eq(first), index.eq(Mux(goes_on, count >> 1, 0)),
                             active.eq(begins[kind] | goes_on)]
            with m.Elif(fire):
                m.d.sync += [at.eq(after_this), index.eq(index + 1)]
                if keep is not None:
                    with m.If(~turned):
                        m.d.sync += keep.eq(after_this)
                with m.If(end):
                    after()

        with m.Switch(step):
            with m.Case(Step.IDLE):
                p = self.job.p
                a_first = p.early_a & ~p.early_b
                m.d.sync += [job.eq(p), bias.eq(p.bias_at), b.eq(p.b), a.eq(p.a), panel.eq(0),
                             mask_strip.eq(p.mask_at), mask.eq(p.mask_at), x_strip.eq(p.x_at),
                             x.eq(p.x_at), active.eq(0), odd.eq(0), group.eq(0),
                             early.eq(0), halved.eq(0), there.eq(0), behind.eq(0),
                             late.eq(a_first)]
                with m.If(self.job.valid):
                    m.d.sync += step.eq(Mux(p.bias, Step.BIAS, Mux(
                        p.gemm, Mux(a_first, Step.A, Step.B), Mux(
                            p.mask, Step.MASK, Mux(p.x, Step.X, Step.NEXT)))))
            with m.Case(Step.BIAS):
                tensor(Target.BIAS, bias, 1, groups.cols << 2, 0, lambda: go_to(m, step, active, (
                    (job.gemm, Mux(there | late, Step.A, Step.B)), (job.mask, Step.MASK),
                    (job.x, Step.X), (1, Step.NEXT))))
            with m.Case(Step.B):
                cols = Mux(early, groups.cols_beyond, groups.cols)
                tensor(Target.B, Mux(halved, b_at, b), Mux(job.turn_b, job.k, cols),
                       Mux(job.turn_b, (cols + 1) >> 1, codes_k), job.b_stride,
                       lambda: go_to(m, step, active, (
                           (~behind, Step.A), (job.mask, Step.MASK), (job.x, Step.X),
                           (1, Step.NEXT))),
                       job.turn_b, b, halved)
                with m.If(fire & end):
                    m.d.sync += halved.eq(0)
                with m.Elif(fire & early & ~halved & ~groups.last & (index + 1 == count >> 1)):
                    m.d.sync += [halved.eq(1), b_at.eq(after_this)]
                    go(Step.A)
            with m.Case(Step.A):
                tensor(Target.A, a, Mux(job.turn_a, job.k, groups.rows),
                       Mux(job.turn_a, (groups.rows + 1) >> 1, codes_k), job.a_stride,
                       lambda: go_to(m, step, active, (
                           (late, Step.B), (job.mask, Step.MASK), (job.x, Step.X),
                           (1, Step.NEXT))),
                       job.turn_a, a)
                with m.If(fire & end):
                    m.d.sync += [behind.eq(late), late.eq(0)]
            with m.Case(Step.MASK):
                tensor(Target.MASK, mask, Mux(job.turn_mask, groups.cols, panels.rows),
                       (Mux(job.turn_mask, groups.rows, groups.cols) + 7) >> 3, job.mask_stride,
                       lambda: go_to(m, step, active, ((job.x, Step.X), (1, Step.NEXT))),
                       job.turn_mask, mask)
            with m.Case(Step.X):
                tensor(Target.X, x, panels.rows, groups.cols << 2, job.x_stride,
                       lambda: go(Step.NEXT), 0, x)
            with m.Case(Step.NEXT):
                m.d.sync += behind.eq(0)
                # The panel after this one, of the same group or the next, or the next strip.
                last_of_group = Signal()
                mask_across = Mux(job.turn_mask, job.mask_stride << strip_bits, config.strip // 8)
                by_panel = by_row | job.x
                m.d.comb += [
                    last_of_group.eq(panels.last | (panel == config.lanes // config.rows - 1)),
                    panels.step.eq(by_panel | ~job.gemm),
                    groups.step.eq(~by_panel | last_of_group),
                ]
                m.d.sync += [active.eq(0), panel.eq(Mux(last_of_group, 0, panel + 1))]
                with m.If(by_panel & ~last_of_group):
                    m.d.sync += step.eq(Mux(by_row, Step.MASK, Step.X))
                with m.Elif(~groups.last):
                    with m.If(job.turn_a):
                        m.d.sync += a.eq(moved(a, config.lanes // 2))
                    with m.If(job.turn_mask):
                        m.d.sync += mask.eq(moved(mask, odd if half else config.lanes // 8))
                        m.d.sync += odd.eq(~odd & half)
                    m.d.sync += step.eq(Mux(job.gemm, Step.A, Mux(job.mask, Step.MASK, Step.X)))
                    with m.If(group != EARLY):
                        m.d.sync += group.eq(group + 1)
                    with m.If(job.gemm & (group == EARLY - 1) & ~groups.last_strip):
                        m.d.sync += [step.eq(Step.B), early.eq(1)]
                        with m.If(job.turn_b):
                            m.d.sync += b.eq(moved(b, config.strip // 2))
                    with m.Elif(halved):
                        m.d.sync += step.eq(Step.B)
                with m.Elif(groups.last_strip):
                    m.d.sync += step.eq(Step.IDLE)
                with m.Else():
                    m.d.sync += [
                        group.eq(0), early.eq(0), there.eq(early),
                        a.eq(job.a),
                        bias.eq(moved(bias, 4 * config.strip)),
                        mask_strip.eq(moved(mask_strip, mask_across)),
                        mask.eq(moved(mask_strip, mask_across)),
                        odd.eq(0),
                        x_strip.eq(moved(x_strip, 4 * config.strip)),
                        x.eq(moved(x_strip, 4 * config.strip)),
                        step.eq(Mux(job.bias, Step.BIAS, Mux(
                            job.gemm, Mux(early, Step.A, Step.B),
                            Mux(job.mask, Step.MASK, Step.X)))),
                    ]
                    with m.If(job.turn_b & ~early):
                        m.d.sync += b.eq(moved(b, config.strip // 2))
        return m


def go_to(m: Module, step, active, choices) -> None:
    """On to the first step whose condition holds."""
    chosen = choices[-1][1]
    for condition, then in reversed(choices[:-1]):
        chosen = Mux(condition, then, chosen)
    m.d.sync += [step.eq(chosen), active.eq(0)]

