# SPDX-License-Identifier: Apache-2.0
"""The tile: rows x cols dot products with exact accumulators, double-buffered for draining."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.layouts import BFormat, beat_layout, codes_layout, row_layout
from hdl.library import place
from hdl.tile.dot_product import RowSum
from hdl.tile.mac_cell import COPIES, MacCell, ZeroCell, held_layout, held_width
from hdl.tile.multiplier import OperandDecoder, digits_layout, offset_binary


class MacTile(wiring.Component):
    """rows x cols accumulators; a block is one or more beats from `first` to `last`.

    Members
    -------
    i : In(stream of `beat_layout`). o : Out(stream of `row_layout`), `rows` rows per block.
    clear : In(1), clears `overflow` unless it is set in the same cycle.
    overflow : Out(1), sticky: a result that was drained does not fit its width, or its block was so
        long that nobody can tell. Up to K = `max_k` of its formats no block sets it, and rows and
        columns that do not exist never do, whatever their codes are.

    Latency: `latency(config)` cycles from a block's last beat to its first row.
    Throughput: one beat per cycle; one row per cycle, drained while the next block computes, so a
    block of at least `rows` beats never waits for draining.
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
        # operand register, sum of rows, accumulator, drain register, output register
        return 1 + RowSum.latency(config) + 3

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.p
        stages = 1 + RowSum.latency(config)  # from the operand registers to the accumulators

        advance = Signal(init=1)
        valid, last = (Signal(stages, name=name) for name in ("valid", "last"))
        begins, splits = (Signal(stages - 1, name=name) for name in ("begins", "splits"))
        rows = [Signal.like(beat.rows, name=f"rows_{stage}") for stage in range(stages)]
        m.d.comb += self.i.ready.eq(advance)
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid)),
                begins.eq(Cat(beat.first, begins)),
                last.eq(Cat(beat.last, last)),
                splits.eq(Cat(beat.b_format == BFormat.INT4, splits)),
                *(there.eq(here) for here, there in zip([beat.rows, *rows], rows, strict=False)),
            ]

        # Cycle 0: operands. Those of a row are made offset binary; those of a column are decoded
        # once for all rows, as zero in the lanes beyond K and in columns that do not exist.
        a = Signal(codes_layout(config, config.rows), reset_less=True)
        # of the zero cells' operand
        tops = Signal(data.ArrayLayout(data.ArrayLayout(2, config.lanes), config.cols),
                      reset_less=True)
        digits = Signal(data.ArrayLayout(
            data.ArrayLayout(digits_layout(config), config.lanes), config.cols), reset_less=True)
        take = self.i.valid & advance
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

        # Cycles 1 and on: sums of rows (inside the cells).
        # Then accumulate. `full`: the accumulators hold a finished block.
        full = Signal()
        full_rows = Signal.like(beat.rows)
        accumulate = Signal()
        ends = Signal()
        m.d.comb += [accumulate.eq(valid[-1] & advance), ends.eq(accumulate & last[-1])]
        # Next cycle: capture the block in the drain registers, then shift it out row by row.
        left = Signal.like(beat.rows)
        capture = Signal()
        moved = Signal()
        # Last cycle: rows wait in the output register, and behind it in one more if that is taken,
        # so that a row may move on whatever `o.ready` says.
        waiting = Signal()
        waiting_row = Signal.like(self.o.p, reset_less=True)
        kept = Signal()
        waits = Signal()
        m.d.comb += [kept.eq(self.o.valid & ~self.o.ready), waits.eq(kept & (moved | waiting))]
        m.d.sync += waiting.eq(waits)

        # What happens in a cycle is decided in the one before and comes from registers: it drives
        # every cell. A block is captured as the last row of the one before moves on.
        full_next = Signal()
        left_next = Signal.like(left)
        none_left = Signal()  # of left_next
        one_left = Signal()
        captured_next = Signal()
        m.d.comb += [
            full_next.eq(ends | (full & ~capture)),
            left_next.eq(Mux(capture, full_rows, left - moved)),
            none_left.eq(~capture & Mux(moved, left == 1, left == 0)),
            one_left.eq(Mux(capture, full_rows == 1, Mux(moved, left == 2, left == 1))),
            captured_next.eq(full_next & (none_left | (one_left & ~waits))),
        ]
        m.d.sync += [
            full.eq(full_next),
            left.eq(left_next),
            capture.eq(captured_next),
            moved.eq(~none_left & ~waits),
            advance.eq(~(Mux(advance, valid[-2], valid[-1]) & full_next & ~captured_next)),
        ]
        with m.If(ends):
            m.d.sync += full_rows.eq(rows[-1])

        row = Signal.like(self.o.p)
        lost = Signal(config.cols)
        control = {"enable": valid[:-1] & advance.replicate(stages - 1), "accumulate": accumulate,
                   "capture": capture, "first": begins[-1].replicate(COPIES),
                   "split": splits[-1].replicate(COPIES)}
        for c in range(config.cols):
            zero = place(m, platform, f"zero_cell_{c}", ZeroCell(config))
            m.d.comb += zero.tops.eq(tops[c])
            cells, below = [zero], Const({}, held_layout(config))
            for r in reversed(range(config.rows)):
                cell = place(m, platform, f"mac_cell_{r}_{c}", MacCell(config))
                m.d.comb += [cell.a.eq(a[r]), cell.move.eq(moved), cell.below.eq(below)]
                cells.append(cell)
                below = cell.drain
            for cell in cells:
                m.d.comb += cell.digits.eq(digits[c])
                m.d.comb += [getattr(cell, name).eq(value) for name, value in control.items()]

            # Take off what is too much.
            width = config.accumulator_width
            # few steps of K may need fewer bits than the results have
            exact = Signal(signed(max(held_width(config), width) + 1), name=f"exact_{c}")
            fits = exact[width - 1:].all() | ~exact[width - 1:].any()
            m.d.comb += [exact.eq(below.sum - zero.drain.sum), row.values[c].eq(exact[:width])]
            m.d.comb += lost[c].eq(~fits | below.lost | zero.drain.lost)
        m.d.comb += row.last.eq(left == 1)
        with m.If(~kept):
            m.d.sync += [self.o.p.eq(Mux(waiting, waiting_row, row)),
                         self.o.valid.eq(moved | waiting)]
        with m.Elif(moved):
            m.d.sync += waiting_row.eq(row)
        with m.If(moved & lost.any()):
            m.d.sync += self.overflow.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.overflow.eq(0)
        return m
