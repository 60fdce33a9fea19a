# SPDX-License-Identifier: Apache-2.0
"""The tile: rows x cols dot products with exact accumulators, double-buffered for draining."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.layouts import BFormat, beat_layout, codes_layout, row_layout
from hdl.library import place
from hdl.tile.dot_product import LaneSum
from hdl.tile.mac_cell import COPIES, MacCell, ZeroCell, control_layout, held_layout, held_width
from hdl.tile.multiplier import OperandDecoder, digits_layout, offset_binary


def stage_layout(config: Config) -> data.StructLayout:
    """What the tile knows of the beat in a stage."""
    return data.StructLayout({
        "valid": 1,  # there is one
        "first": 1,
        "last": 1,
        "split": 1,  # operand b is INT4: partial products hold two digits each
        "rows": range(config.rows + 1),  # read with `last`
    })


class MacTile(wiring.Component):
    """rows x cols accumulators; a block is one or more beats from `first` to `last`.

    Members
    -------
    i : In(stream of `beat_layout`), beats of operands, block after block.
    o : Out(stream of `row_layout`), `rows` result rows per block.
    clear : In(1), clears `overflow` unless it is set in the same cycle.
    overflow : Out(1), sticky: a result that was drained does not fit its width, or its block was so
        long that nobody can tell. Up to K = `max_k` of its formats no block sets it, and rows and
        columns that do not exist never do, whatever their codes are.

    Latency: `latency(config)` cycles from the one that takes a block's last beat to the one that
    offers its first result row.
    Throughput: one beat per cycle; one result row per cycle, drained while the next block computes,
    so a block of at least `rows` beats never waits for draining.
    Backpressure: a stalled `o` stops `i` only when a second block is complete behind the first.
    Arithmetic: `golden.gemm.gemm`, exact.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(beat_layout(config))),
            "o": Out(stream.Signature(row_layout(config))),
            "clear": In(1),
            "overflow": Out(1),
        })

    @staticmethod
    def latency(config: Config) -> int:
        # operand register, lanes' sum, accumulator, drain register, output register
        return 1 + LaneSum.latency(config) + 3

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.p
        stages = 1 + LaneSum.latency(config)  # from the operand registers to the accumulators
        advance = Signal(init=1)
        take = Signal()
        m.d.comb += [self.i.ready.eq(advance), take.eq(self.i.valid & advance)]

        # Cycle 0: operands. A row of the grid has its own made offset binary; a column has its own
        # decoded once for all rows, as zero in lanes beyond K and in columns that do not exist.
        a = Signal(codes_layout(config, config.rows), reset_less=True)
        digits = Signal(data.ArrayLayout(
            data.ArrayLayout(digits_layout(config), config.lanes), config.cols), reset_less=True)
        tops = Signal(data.ArrayLayout(data.ArrayLayout(2, config.lanes), config.cols),
                      reset_less=True)  # of the zero cells' operand
        exist = Signal(config.cols)  # columns
        m.d.comb += exist.eq(Cat(1, *(beat.cols > c for c in range(1, config.cols))))
        for lane in range(config.lanes):
            with m.If(take):
                m.d.sync += [a[r][lane].eq(offset_binary(beat.a[r][lane], beat.a_signed))
                             for r in range(config.rows)]
            for c in range(config.cols):
                counts = (beat.lanes[lane] & exist[c]).replicate(4)
                decoder = place(m, platform, f"operand_decoder_{c}_{lane}", OperandDecoder(config))
                m.d.comb += [
                    decoder.code.eq(beat.b[c][lane] & counts),
                    decoder.format.eq(beat.b_format),
                ]
                with m.If(take):
                    m.d.sync += [
                        digits[c][lane].eq(decoder.digits),
                        tops[c][lane].eq(decoder.digits.negative ^ beat.a_signed.replicate(2)),
                    ]
        # Cycles 0 and on: what the tile knows of the beat in each stage, beside its sums.
        offered = Signal(stage_layout(config))
        m.d.comb += [
            offered.valid.eq(self.i.valid),
            offered.first.eq(beat.first),
            offered.last.eq(beat.last),
            offered.split.eq(beat.b_format == BFormat.INT4),
            offered.rows.eq(beat.rows),
        ]
        staged = [Signal(stage_layout(config), name=f"stage_{n}") for n in range(stages)]
        with m.If(advance):
            m.d.sync += [after.eq(before) for before, after in pairwise([offered, *staged])]
        summed = staged[-1]  # of the sums that leave the lanes' adders

        # Next cycle: accumulate. `full`: the accumulators hold a finished block.
        accumulate = Signal()
        ends = Signal()
        full = Signal()
        full_rows = Signal.like(beat.rows)
        capture = Signal()
        full_next = Signal()
        m.d.comb += [
            accumulate.eq(summed.valid & advance),
            ends.eq(accumulate & summed.last),
            full_next.eq(ends | (full & ~capture)),
        ]
        m.d.sync += full.eq(full_next)
        with m.If(ends):
            m.d.sync += full_rows.eq(summed.rows)

        # Next cycle: the drain registers capture the block, then shift it out row by row.
        # The tile decides a cycle early, so that registers drive the cells; it captures a block as
        # the last result row of the one before moves on.
        left = Signal.like(beat.rows)  # result rows in the drain registers
        moved = Signal()
        left_next = Signal.like(left)
        none_left = Signal()  # of left_next
        one_left = Signal()
        capture_next = Signal()
        waits = Signal()  # a result row keeps its place before the output register
        m.d.comb += [
            left_next.eq(Mux(capture, full_rows, left - moved)),
            none_left.eq(~capture & Mux(moved, left == 1, left == 0)),
            one_left.eq(Mux(capture, full_rows == 1, Mux(moved, left == 2, left == 1))),
            capture_next.eq(full_next & (none_left | (one_left & ~waits))),
        ]
        m.d.sync += [
            left.eq(left_next),
            capture.eq(capture_next),
            moved.eq(~none_left & ~waits),
            # stop before sums are accumulated over a block that nobody has captured
            advance.eq(~(Mux(advance, staged[-2].valid, summed.valid)
                         & full_next & ~capture_next)),
        ]

        # The cells, column by column: a result row leaves the first row of the grid.
        control = Signal(control_layout(config))
        m.d.comb += [
            control.enable.eq(Cat(stage.valid for stage in staged[:-1])
                              & advance.replicate(stages - 1)),
            control.first.eq(staged[-2].first.replicate(COPIES)),
            control.split.eq(staged[-2].split),
            control.accumulate.eq(accumulate),
            control.capture.eq(capture),
        ]
        result = Signal.like(self.o.p)
        lost = Signal(config.cols)
        m.d.comb += result.last.eq(left == 1)
        for c in range(config.cols):
            zero = place(m, platform, f"zero_cell_{c}", ZeroCell(config))
            m.d.comb += [
                zero.digits.eq(digits[c]),
                zero.tops.eq(tops[c]),
                zero.control.eq(control),
            ]
            below = Const({}, held_layout(config))
            for r in reversed(range(config.rows)):
                cell = place(m, platform, f"mac_cell_{r}_{c}", MacCell(config))
                m.d.comb += [
                    cell.a.eq(a[r]),
                    cell.digits.eq(digits[c]),
                    cell.control.eq(control),
                    cell.move.eq(moved),
                    cell.below.eq(below),
                ]
                below = cell.drain

            # The zero cell's excess comes off. Few steps of K may need fewer bits than a result.
            width = config.accumulator_width
            exact = Signal(signed(max(held_width(config), width) + 1), name=f"exact_{c}")
            fits = exact[width - 1:].all() | ~exact[width - 1:].any()
            m.d.comb += [
                exact.eq(below.sum - zero.drain.sum),
                result.values[c].eq(exact[:width]),
                lost[c].eq(~fits | below.lost | zero.drain.lost),
            ]

        # Last cycle: result rows wait in the output register, and behind it in one more if that is
        # taken, so that a result row may move on whatever `o.ready` says.
        waiting = Signal()
        waiting_row = Signal.like(self.o.p, reset_less=True)
        kept = Signal()
        m.d.comb += [
            kept.eq(self.o.valid & ~self.o.ready),
            waits.eq(kept & (moved | waiting)),
        ]
        m.d.sync += waiting.eq(waits)
        with m.If(~kept):
            m.d.sync += [
                self.o.p.eq(Mux(waiting, waiting_row, result)),
                self.o.valid.eq(moved | waiting),
            ]
        with m.Elif(moved):
            m.d.sync += waiting_row.eq(result)
        with m.If(moved & lost.any()):
            m.d.sync += self.overflow.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.overflow.eq(0)
        return m
