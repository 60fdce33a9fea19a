# SPDX-License-Identifier: Apache-2.0
"""What `Config.serial` puts in place of the statistics: a word after the other, two bits of it per
cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import INT32
from golden.statistics import SUM_ABS_WIDTH, SUM_SQUARES_WIDTH
from hdl.arithmetic.booth import serial_digit
from hdl.arithmetic.serial import WORD_CYCLES, row_cycles
from hdl.layouts import WORD
from hdl.library import place
from hdl.scales.layouts import statistics_signature


class SerialMoments(wiring.Component):
    """Sums of squares and of magnitudes, and the largest magnitude, of one word after the other.

    Members
    -------
    magnitude : In(32), at most 2**31; counts with `start` : In(1), at most once in `cycles` cycles.
    clear : In(1), forget all that was before; never while a word is added.
    sum_squares, sum_abs, largest : Out, `cycles` cycles after the last word; exact for as many
        words as a job can have.
    """

    cycles = WORD_CYCLES  # load, then a digit per cycle

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "magnitude": In(WORD),
            "start": In(1),
            "clear": In(1),
            "sum_squares": Out(SUM_SQUARES_WIDTH),
            "sum_abs": Out(SUM_ABS_WIDTH),
            "largest": Out(WORD),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: load; then the number goes down, and what it multiplies up, two places per digit.
        left = Signal(range(self.cycles))  # digits
        multiplicand = Signal(2 * WORD, reset_less=True)
        digits = Signal(WORD, reset_less=True)
        carry = Signal(reset_less=True)
        loaded = Signal()
        digit = serial_digit(m, digits[:2], carry)
        m.d.sync += loaded.eq(self.start)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.start):
            m.d.sync += [
                digits.eq(self.magnitude),
                multiplicand.eq(self.magnitude),
                carry.eq(0),
                left.eq(WORD // 2),
            ]
        with m.Else():
            m.d.sync += [
                digits.eq(digits >> 2),
                multiplicand.eq(multiplicand << 2),
                carry.eq(digit.carry),
            ]

        # Next cycles: a digit's multiple is added; the magnitude once, while it is whole. The sums
        # are no wider than a job's elements can make them: (2**WORD / 2)**2 each, and 2**WORD / 2.
        bits = 2 * self.config.dim_width
        squares = Signal(min(SUM_SQUARES_WIDTH, 2 * WORD - 2 + bits), reset_less=True)
        absolute = Signal(min(SUM_ABS_WIDTH, WORD - 1 + bits), reset_less=True)
        largest = Signal.like(self.largest, reset_less=True)
        multiple = Signal(2 * WORD + 1)  # less 1 if the digit is negative
        positive = (digit.one | digit.two).replicate(2 * WORD + 1)
        negative = digit.negative.replicate(2 * WORD + 1)
        wide = Cat(multiple, digit.negative.replicate(len(squares) - len(multiple)))
        total = Signal.like(squares)
        m.d.comb += [
            multiple.eq((Mux(digit.two, multiplicand << 1, multiplicand) & positive)
                        | (~Cat(multiplicand, Const(0, 1)) & negative)),
            # the lowest place carries the one that comes in
            total.eq((Cat(Const(1, 1), squares) + Cat(digit.negative, wide))[1:]),
        ]
        with m.If(self.clear):
            m.d.sync += [squares.eq(0), absolute.eq(0), largest.eq(0)]
        with m.Else():
            with m.If(left != 0):
                m.d.sync += squares.eq(total)
            with m.If(loaded):
                m.d.sync += absolute.eq(absolute + digits)
                with m.If(digits > largest):
                    m.d.sync += largest.eq(digits)
        m.d.comb += [
            self.sum_squares.eq(squares),
            self.sum_abs.eq(absolute),
            self.largest.eq(largest),
        ]
        return m


class SerialStatisticsUnit(wiring.Component):
    """Accumulates one job's statistics, if its rows come `row_cycles` apart.

    Members: those of `hdl.scales.statistics.StatisticsUnit`.

    Latency: `latency(config)` cycles from the last outcome to `done`. Throughput: one row in
    `row_cycles(config)`. Arithmetic: `golden.statistics.measure`, exact for as many elements as a
    job can have.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(statistics_signature(config))

    @staticmethod
    def latency(config: Config) -> int:
        return row_cycles(config) + 1

    def elaborate(self, platform):
        m = Module()
        config, row, result = self.config, self.row, self.result
        clear = Signal()
        m.d.comb += clear.eq((row.valid & row.first) | self.clear)

        # Cycle 0: a row's words wait for their turn.
        magnitudes = Signal(WORD * config.cols, reset_less=True)
        signs = Signal(config.cols, reset_less=True)
        keep = Signal(config.cols, reset_less=True)
        waiting = Signal(range(config.cols + 1))  # words
        busy = Signal(range(SerialMoments.cycles))  # cycles until the next word may start
        start = Signal()
        m.d.comb += start.eq((waiting != 0) & (busy == 0))
        with m.If(row.valid):
            m.d.sync += [
                magnitudes.eq(row.magnitudes),
                signs.eq(row.signs),
                keep.eq(row.keep),
                waiting.eq(config.cols),
            ]
        with m.Elif(start):
            m.d.sync += [
                magnitudes.eq(magnitudes >> WORD),
                signs.eq(signs >> 1),
                keep.eq(keep >> 1),
                waiting.eq(waiting - 1),
            ]
        with m.If(start):
            m.d.sync += busy.eq(SerialMoments.cycles - 1)
        with m.Elif(busy != 0):
            m.d.sync += busy.eq(busy - 1)

        # Next cycles: sums and extremes, word by word.
        moments = place(m, platform, "moments", SerialMoments(config))
        m.d.comb += [
            moments.magnitude.eq(magnitudes[:WORD]),
            moments.start.eq(start),
            moments.clear.eq(clear),
            result.sum_squares.eq(moments.sum_squares),
            result.sum_abs.eq(moments.sum_abs),
            result.largest.eq(moments.largest),
        ]
        word = Signal(signed(WORD))
        low = Signal(signed(WORD), reset_less=True)
        high = Signal(signed(WORD), reset_less=True)
        m.d.comb += [
            word.eq(Mux(signs[0], -magnitudes[:WORD], magnitudes[:WORD])),
            result.low.eq(low),
            result.high.eq(high),
        ]
        with m.If(self.clear):
            m.d.sync += [low.eq(0), high.eq(0)]
        with m.Elif(clear):
            m.d.sync += [low.eq(INT32.hi), high.eq(INT32.lo)]
        with m.Elif(start & keep[0]):
            with m.If(word < low):
                m.d.sync += low.eq(word)
            with m.If(word > high):
                m.d.sync += high.eq(word)

        # Counts, a cycle late so that the first row of a job can clear them.
        self._count(m, "count", row.valid, row.keep, clear)
        self._count(m, "saturated", self.valid, self.outcome.clamped, clear)
        self._count(m, "underflowed", self.valid, self.outcome.vanished, clear)

        # Until the last word is added.
        left = Signal(range(self.latency(config)))
        with m.If(self.valid & self.last):
            m.d.sync += left.eq(self.latency(config) - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.sync += self.done.eq(left == 1)
        return m

    def _count(self, m: Module, name: str, valid, bits, clear):
        """`result[name]` counts the bits that are set while `valid`."""
        count = self.result[name]
        # Cycle 0: which of them count.
        more = Signal(self.config.cols, name=f"{name}_more")
        m.d.sync += more.eq(bits & valid.replicate(len(more)))
        # Cycle 1: their number is added, no wider than a job's elements can make it.
        total = Signal(min(len(count), 2 * self.config.dim_width), name=f"{name}_total",
                       reset_less=True)
        with m.If(clear):
            m.d.sync += total.eq(0)
        with m.Else():
            m.d.sync += total.eq(total + sum(more))
        m.d.comb += count.eq(total)
