# SPDX-License-Identifier: Apache-2.0
"""Statistics of a job while its rows stream by: exact sums, extremes and counts."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring

from golden.config import Config
from golden.statistics import SUM_SQUARES_WIDTH
from hdl.arithmetic.booth import DIGIT_LAYOUT
from hdl.arithmetic.columns import Columns
from hdl.arithmetic.squares import add_square, square_digits
from hdl.layouts import WORD
from hdl.library import place
from hdl.scales.extremes import Extremes
from hdl.scales.layouts import statistics_signature
from hdl.scales.serial_statistics import SerialStatisticsUnit

SUMS = ("count", "sum_abs", "sum_squares", "saturated", "underflowed")
SEGMENT = 12  # bits of a sum that a carry passes in one cycle
SEGMENTS = -(-SUM_SQUARES_WIDTH // SEGMENT)
FIRST_LEVELS = 3  # of full adders behind the squares' digits
LEVELS = 5  # of full adders in one cycle
ADDENDS = 3  # rows that are added to a sum in one cycle
SQUARE_HEIGHT = 9  # bits of a square in its highest column, without the constant


class StatisticsUnit(wiring.Component):
    """Accumulates one job's statistics.

    Members
    -------
    row : In(`measured_layout`), values that count. outcome : In(`outcome_layout`), what became of
        them, in the same cycle or later. valid : In(1), an outcome is there.
        first, last : In(1), of the job, with `valid`.
    clear : In(1), between jobs: the result is that of a job without elements, two cycles later.
    done : Out(1), high for one cycle, `latency` cycles after the last outcome of a job. The next
        job's first row must not come before.
    result : Out(STATISTICS_LAYOUT), of the job that is done, until the next one's first row.

    Latency: `latency(config)` cycles from a job's last row to `done`: a sum's carries wait in
    registers between its segments, and need as many cycles without a row to arrive. Throughput: one
    row per cycle, with `Config.serial`, as `SerialStatisticsUnit`, one in `row_cycles(config)`.
    Arithmetic: `golden.statistics.measure`, exact up to 2**32 elements.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(statistics_signature(config))

    @staticmethod
    def latency(config: Config) -> int:
        # squares, accumulation, and the carries
        if config.serial:
            return SerialStatisticsUnit.latency(config)
        return squares_cycles(config) + 1 + SEGMENTS - 1

    def elaborate(self, platform):
        m = Module()
        if self.config.serial:
            unit = place(m, platform, "serial_unit", SerialStatisticsUnit(self.config))
            wiring.connect(m, wiring.flipped(self), unit)
            return m
        row, outcome = self.row, self.outcome
        carry_bits = (self.config.cols - 1).bit_length()  # that adding all columns takes

        # Extremes.
        extremes = place(m, platform, "extremes", Extremes(self.config))
        m.d.comb += [
            extremes.row.eq(row),
            extremes.clear.eq(self.clear),
            self.result.low.eq(extremes.low),
            self.result.high.eq(extremes.high),
            self.result.largest.eq(extremes.largest),
        ]

        # Sums of what a row has. A column that does not exist has the value 0.
        begins = row.valid & row.first
        magnitudes = Columns(WORD + carry_bits)
        for magnitude in row.magnitudes:
            magnitudes.add(magnitude)
        self._sum(m, platform, "sum_abs", magnitudes, row.valid, begins)
        self._sum(m, platform, "count", self._ones(row.keep), row.valid, begins)
        self._sum_squares(m, platform)

        # Sums of what became of a row.
        begins = self.valid & self.first
        self._sum(m, platform, "saturated", self._ones(outcome.clamped), self.valid, begins)
        self._sum(m, platform, "underflowed", self._ones(outcome.vanished), self.valid, begins)

        # The last outcome is followed until the carries have arrived: bit n is n + 1 cycles old.
        stages = self.latency(self.config) - 1
        valid = Signal(stages, name="valid_1")
        last = Signal(stages, name="last_1")
        m.d.sync += [
            valid.eq(Cat(self.valid, valid[:-1])),
            last.eq(Cat(self.last, last[:-1])),
            self.done.eq(valid[-1] & last[-1]),
        ]
        return m

    def _ones(self, bits) -> Columns:
        """As many ones as bits are set."""
        columns = Columns((self.config.cols - 1).bit_length() + 1)
        for bit in bits:
            columns.add([bit])
        return columns

    def _sum_squares(self, m: Module, platform):
        """`result.sum_squares`: of a row in cycle 0."""
        row = self.row

        # Cycle 0: the words and their digits, each of which drives many bits of a square. The
        # squares' constant is negative: only modulo the whole sum's width does it cancel.
        squares, constant = Columns(SUM_SQUARES_WIDTH), 0
        for c, magnitude in enumerate(row.magnitudes):
            # 2**31 reads as -2**31, of the same square
            word = Signal(signed(WORD), name=f"square_{c}_word", reset_less=True)
            digits = Signal(data.ArrayLayout(DIGIT_LAYOUT, WORD // 2), name=f"square_{c}_digits",
                            reset_less=True)
            m.d.sync += word.eq(magnitude.as_signed())
            m.d.sync += [digit.eq(value) for digit, value in zip(
                digits, square_digits(magnitude), strict=True)]
            constant += add_square(m, squares, word, digits, f"square_{c}")
        squares.add_constant(constant)

        # Cycles 1 to `squares_cycles` - 1: some levels of full adders each. Beside the row go
        # whether it counts, also inverted in a register of its own to share the load, and whether
        # it is a job's first.
        valid, none, first = row.valid, ~row.valid, row.first
        for cycle in range(1, squares_cycles(self.config)):
            if cycle > 1:
                name, levels = f"squares_{cycle - 1}", square_levels(self.config)[cycle - 2]
                squares = squares.reduced(m, platform, ADDENDS, name, levels).registered(m, name)
            valid_after = Signal(name=f"row_valid_{cycle}")
            none_after = Signal(name=f"none_{cycle}", init=1)
            first_after = Signal(name=f"row_first_{cycle}", reset_less=True)
            m.d.sync += [valid_after.eq(valid), none_after.eq(none), first_after.eq(first)]
            valid, none, first = valid_after, none_after, first_after

        # The cycle after: the last levels.
        self._sum(m, platform, "sum_squares", squares, valid, valid & first, (~valid, none))

    def _sum(self, m: Module, platform, name: str, columns: Columns, counts, begins, none=()):
        """`result[name]`: of the columns that count, since the unit was cleared or a job began.

        `none` : signals that say that nothing counts, see `Columns.registered`.
        """
        width = len(self.result[name])
        # First cycle: a row's part, as few bits per column; a job's first row clears the sum in the
        # cycle before it is added.
        part = columns.reduced(m, platform, ADDENDS, name).registered(
            m, name, counts=counts, none=none)
        cleared = Signal(name=f"{name}_cleared")
        m.d.comb += cleared.eq(begins | self.clear)

        # Second cycle: the part is added, in segments whose carries wait for the next cycle.
        total = Signal(width, name=f"{name}_total", reset_less=True)
        carries = Signal((width - 1) // SEGMENT, name=f"{name}_carries", reset_less=True)
        terms = Columns(width)
        for i, value in enumerate((*part.rows, total)):
            term = Signal(len(value), name=f"{name}_term_{i}")
            m.d.comb += term.eq(value)
            terms.add(term)
        left, right = terms.reduced(m, platform, 2, f"{name}_total").rows
        carry = 0
        for i, start in enumerate(range(0, width, SEGMENT)):
            here = slice(start, min(start + SEGMENT, width))
            # the lowest place carries the one that comes in
            added = (Cat(carry, left[here]) + Cat(carry, right[here]))[1:]
            after = Cat(total[here], carries[i:i + 1])
            m.d.sync += after.eq(added[:len(after)] & (~cleared).replicate(len(after)))
            carry = carries[i:i + 1]
        m.d.comb += self.result[name].eq(total)


def square_levels(config: Config) -> list[int]:
    """Levels of full adders in each cycle that adds squares' bits, until ADDENDS rows are left."""
    height, levels = config.cols * SQUARE_HEIGHT + 1, []
    while height > ADDENDS:
        levels.append(LEVELS if levels else FIRST_LEVELS)
        for _ in range(levels[-1]):
            height = -(-height * 2 // 3)
    return levels


def squares_cycles(config: Config) -> int:
    """Cycles from a row to its few rows of squares: their digits, and the levels."""
    return 1 + len(square_levels(config))
