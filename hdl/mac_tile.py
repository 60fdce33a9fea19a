# SPDX-License-Identifier: Apache-2.0
"""The tile: rows x cols dot products with exact accumulators, double-buffered for draining."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.dot_product import DotProduct
from hdl.layouts import beat_layout, row_layout
from hdl.library import place
from hdl.multiplier import DIGIT_WIDTH, OperandDecoder, shift_width


class MacCell(wiring.Component):
    """One dot product, its accumulator, and the drain register behind it.

    Members
    -------
    a, a_sign, digit, shift, enable : as `DotProduct`.
    accumulate : In(1), take the dot product's sum; first : In(1), start from 0.
    capture : In(1), drain <= accumulator; move : In(1), drain <= below.
    below : In(signed), the drain register of the next row. drain : Out(signed).
    overflow : Out(1), the sum taken now leaves the accumulator's width.
    """

    def __init__(self, config: Config):
        self.config = config
        width = signed(config.accumulator_width)
        super().__init__({
            "a": In(data.ArrayLayout(4, config.lanes)),
            "a_sign": In(config.lanes),
            "digit": In(data.ArrayLayout(signed(DIGIT_WIDTH), config.lanes)),
            "shift": In(data.ArrayLayout(shift_width(config), config.lanes)),
            "enable": In(1),
            "accumulate": In(1),
            "first": In(1),
            "capture": In(1),
            "move": In(1),
            "below": In(width),
            "drain": Out(width),
            "overflow": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        dot = place(m, platform, "dot_product", DotProduct(self.config))
        m.d.comb += [
            dot.a.eq(self.a),
            dot.a_sign.eq(self.a_sign),
            dot.digit.eq(self.digit),
            dot.shift.eq(self.shift),
            dot.enable.eq(self.enable),
        ]
        accumulator = Signal.like(self.drain, reset_less=True)
        drain = Signal.like(self.drain, reset_less=True)
        # wide enough for any sum, however narrow the accumulator: it fits where the bits from the
        # accumulator's sign upwards are all the same
        width = self.config.accumulator_width
        total = Signal(signed(max(width, self.config.dot_width) + 1))
        upper = total[width - 1:]
        m.d.comb += [
            total.eq(Mux(self.first, 0, accumulator) + dot.sum),
            self.overflow.eq(self.accumulate & upper.any() & ~upper.all()),
            self.drain.eq(drain),
        ]
        with m.If(self.accumulate):
            m.d.sync += accumulator.eq(total[:width].as_signed())
        with m.If(self.capture):
            m.d.sync += drain.eq(accumulator)
        with m.Elif(self.move):
            m.d.sync += drain.eq(self.below)
        return m


class MacTile(wiring.Component):
    """rows x cols accumulators; a block is one or more beats from `first` to `last`.

    Members
    -------
    i : In(stream of `beat_layout`). o : Out(stream of `row_layout`), `rows` rows per block.
    clear : In(1), clears `overflow` unless it is set in the same cycle. overflow : Out(1), sticky.

    Latency: `latency` cycles from a block's last beat to its first row.
    Throughput: one beat per cycle; one row per cycle, drained while the next block computes, so a
    block of at least `rows` beats never waits for draining.
    Backpressure: a stalled `o` stops `i` only when a second block is complete behind the first.
    Arithmetic: `golden.gemm.gemm`, exact.
    """

    latency = DotProduct.latency + 3  # and operand register, accumulator, drain register

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(beat_layout(config))),
            "o": Out(stream.Signature(row_layout(config))),
            "clear": In(1),
            "overflow": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.p

        # Cycle 0: operands, with the lanes beyond K forced to zero (a zero a makes a zero product).
        advance = Signal()
        valid, first, last = (Signal(2, name=name) for name in ("valid", "first", "last"))
        rows = [Signal.like(beat.rows, name=f"rows_{stage}") for stage in range(2)]
        a = Signal(beat_layout(config)["a"].shape, reset_less=True)
        a_sign = [Signal(config.lanes, name=f"a_sign_{r}", reset_less=True)
                  for r in range(config.rows)]
        b = Signal(beat_layout(config)["b"].shape, reset_less=True)
        b_format = Signal.like(beat.b_format, reset_less=True)
        m.d.comb += self.i.ready.eq(advance)
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid[0])),
                first.eq(Cat(beat.first, first[0])),
                last.eq(Cat(beat.last, last[0])),
                rows[0].eq(beat.rows),
                rows[1].eq(rows[0]),
            ]
            with m.If(self.i.valid):
                for r in range(config.rows):
                    for lane in range(config.lanes):
                        code = Mux(lane < beat.lanes, beat.a[r][lane], 0)
                        m.d.sync += [
                            a[r][lane].eq(code),
                            a_sign[r][lane].eq(code[3] & beat.a_signed),
                        ]
                m.d.sync += [b.eq(beat.b), b_format.eq(beat.b_format)]

        # Cycle 1: decode operand b once per column, multiply, add up (inside the cells).
        digit, shift = [], []
        for c in range(config.cols):
            digit.append(Signal(data.ArrayLayout(signed(DIGIT_WIDTH), config.lanes),
                                name=f"digit_{c}"))
            shift.append(Signal(data.ArrayLayout(shift_width(config), config.lanes),
                                name=f"shift_{c}"))
            for lane in range(config.lanes):
                decoder = place(
                    m, platform, f"operand_decoder_{c}_{lane}", OperandDecoder(config))
                m.d.comb += [
                    decoder.code.eq(b[c][lane]),
                    decoder.format.eq(b_format),
                    digit[c][lane].eq(decoder.digit),
                    shift[c][lane].eq(decoder.shift),
                ]

        # Cycle 2: accumulate. `full`: the accumulators hold a finished block.
        full = Signal()
        full_rows = Signal.like(beat.rows)
        capture = Signal()
        accumulate = Signal()
        m.d.comb += [
            advance.eq(~(valid[1] & full & ~capture)),
            accumulate.eq(valid[1] & advance),
        ]
        with m.If(capture):
            m.d.sync += full.eq(0)
        with m.If(accumulate & last[1]):
            m.d.sync += [full.eq(1), full_rows.eq(rows[1])]

        # Cycle 3: capture the block in the drain registers, then shift it out row by row.
        left = Signal.like(beat.rows)
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.p.last.eq(left == 1),
            capture.eq(full & ((left == 0) | ((left == 1) & self.o.ready))),
        ]
        with m.If(capture):
            m.d.sync += left.eq(full_rows)
        with m.Elif(moved):
            m.d.sync += left.eq(left - 1)

        overflows = []
        below = [0] * config.cols
        for r in reversed(range(config.rows)):
            for c in range(config.cols):
                cell = place(m, platform, f"mac_cell_{r}_{c}", MacCell(config))
                m.d.comb += [
                    cell.a.eq(a[r]),
                    cell.a_sign.eq(a_sign[r]),
                    cell.digit.eq(digit[c]),
                    cell.shift.eq(shift[c]),
                    cell.enable.eq(advance & valid[0]),
                    cell.accumulate.eq(accumulate),
                    cell.first.eq(first[1]),
                    cell.capture.eq(capture),
                    cell.move.eq(moved),
                    cell.below.eq(below[c]),
                ]
                overflows.append(cell.overflow)
                below[c] = cell.drain
        m.d.comb += [self.o.p.values[c].eq(below[c]) for c in range(config.cols)]
        with m.If(Cat(overflows).any()):
            m.d.sync += self.overflow.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.overflow.eq(0)
        return m
