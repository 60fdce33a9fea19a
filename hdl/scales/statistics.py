# SPDX-License-Identifier: Apache-2.0
"""Statistics of a job while its rows stream by: exact sums, extremes and counts."""

from functools import reduce
from itertools import combinations
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring

from golden.config import Config
from golden.statistics import LARGEST_WIDTH, SUM_SQUARES_WIDTH
from hdl.arithmetic.compressor import Columns
from hdl.arithmetic.squares import add_square
from hdl.layouts import WORD
from hdl.library import place
from hdl.scales.layouts import statistics_signature
from hdl.scales.serial_statistics import SerialStatisticsUnit

SUMS = ("count", "sum_abs", "sum_squares", "saturated", "underflowed")
SEGMENT = 12  # bits of a sum that a carry passes in one cycle
SEGMENTS = -(-SUM_SQUARES_WIDTH // SEGMENT)
FIRST_LEVELS = 2  # of full adders behind the squares' digits
LEVELS = 5  # of full adders in one cycle
ADDENDS = 3  # rows that are added to a sum in one cycle
SQUARE_HEIGHT = 9  # bits of a square in its highest column, without the constant
GROUP = 4  # values of which one cycle finds the extremes


class StatisticsUnit(wiring.Component):
    """Accumulates one job's statistics.

    Members
    -------
    row : In(`measured_layout`), values that count. outcome : In(`outcome_layout`), what became of
        them, with `valid`, in the same cycle or later. first, last : In(1), of the job.
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
        row, cycles = self.row, squares_cycles(self.config)

        def delayed(value, name, reset_less=True):
            register = Signal.like(value, name=name, reset_less=reset_less)
            m.d.sync += register.eq(value)
            return register

        # When: of rows, that many cycles later; of outcomes, until the carries have arrived.
        row_valid, row_first = [row.valid], [row.first]
        for cycle in range(1, max(cycles - 1, extremes_cycles(self.config)) + 1):
            row_valid.append(delayed(row_valid[-1], f"row_valid_{cycle}", False))
            row_first.append(delayed(row_first[-1], f"row_first_{cycle}"))
        none = [~row.valid, ~row.valid]  # two chains, which share the load
        for cycle in range(1, cycles):
            after = Signal(name=f"none_{cycle}", init=1)
            m.d.sync += after.eq(none[1])
            none = [~row_valid[cycle], after]
        stages = self.latency(self.config) - 1
        valid, last = (Signal(stages, name=name) for name in ("valid_1", "last_1"))
        m.d.sync += [
            valid.eq(Cat(self.valid, valid[:-1])),
            last.eq(Cat(self.last, last[:-1])),
            self.done.eq(valid[-1] & last[-1]),
        ]

        # What is added. A column that does not exist has the value 0.
        extra = (self.config.cols - 1).bit_length()
        # the squares' constant is negative: only modulo the whole sum's width does it cancel
        magnitudes, squares = Columns(WORD + extra), Columns(SUM_SQUARES_WIDTH)
        constant = 0
        for c, magnitude in enumerate(row.magnitudes):
            magnitudes.add(magnitude)
            # 2**31 reads as -2**31, of the same square
            constant += add_square(m, squares, magnitude.as_signed(), f"square_{c}")
        squares.add_constant(constant)
        for cycle, levels in enumerate(square_levels(self.config)[:-1]):
            name = f"squares_{cycle}"
            squares = squares.reduced(m, platform, ADDENDS, name, levels).registered(m, name)
        counts = [Columns(extra + 1) for _ in range(3)]
        for count, bits in zip(
                counts, (row.keep, self.outcome.clamped, self.outcome.vanished), strict=True):
            for bit in bits:
                count.add([bit])
        for name, columns, counted, first in (
            ("sum_squares", squares, row_valid[cycles - 1], row_first[cycles - 1]),
            ("sum_abs", magnitudes, row.valid, row.first),
            ("count", counts[0], row.valid, row.first),
            ("saturated", counts[1], self.valid, self.first),
            ("underflowed", counts[2], self.valid, self.first),
        ):
            # a job's first row clears the sums in the cycle before it is added
            part = columns.reduced(m, platform, ADDENDS, name).registered(
                m, name, counts=counted, none=none if name == "sum_squares" else ())
            m.d.comb += self.result[name].eq(
                self._accumulate(m, platform, name, part, (counted & first) | self.clear))

        self._extremes(m, row_valid, row_first, delayed)
        return m

    def _accumulate(self, m: Module, platform, name: str, part: Columns, clear):
        """The sum of all parts since it was cleared."""
        width = len(self.result[name])
        total = Signal(width, name=f"{name}_total", reset_less=True)
        carries = Signal((width - 1) // SEGMENT, name=f"{name}_carries", reset_less=True)
        cleared = Signal(name=f"{name}_cleared")
        m.d.comb += cleared.eq(clear)
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
        return total

    def _extremes(self, m: Module, row_valid, row_first, delayed):
        """Least, greatest and largest, as magnitudes below a sign until they leave."""
        row = self.row
        found = [(value, value, exists) for value, exists in zip(
            (Cat(row.magnitudes[c], row.signs[c]) for c in range(self.config.cols)), row.keep,
            strict=True)]
        for level in range(extremes_cycles(self.config)):
            groups = [found[i:i + GROUP] for i in range(0, len(found), GROUP)]
            found = [
                [delayed(value, f"extreme_{level}_{i}_{j}")
                 for j, value in enumerate(_extremes_of(m, group, f"group_{level}_{i}"))]
                for i, group in enumerate(groups)]
        valid, first = (signals[extremes_cycles(self.config)] for signals in (row_valid, row_first))
        (least, greatest, _), = found
        low, high = (Signal(WORD + 1, name=name, reset_less=True) for name in ("low", "high"))
        below, above = (Signal(name=name) for name in ("below", "above"))
        m.d.comb += [below.eq(_less(least, low)), above.eq(_less(high, greatest))]
        with m.If(valid & (first | below)):
            m.d.sync += low.eq(least)
        with m.If(valid & (first | above)):
            m.d.sync += high.eq(greatest)
        with m.If(self.clear):
            m.d.sync += [low.eq(0), high.eq(0)]
        largest = Signal(LARGEST_WIDTH, reset_less=True)
        m.d.sync += largest.eq(Mux(low[:WORD] < high[:WORD], high, low))
        m.d.comb += self.result.largest.eq(largest)
        for name, value in (("low", low), ("high", high)):
            word = (value[:WORD] ^ value[-1].replicate(WORD)) + value[-1]
            m.d.comb += self.result[name].eq(delayed(word[:WORD], f"{name}_word"))


def square_levels(config: Config) -> list[int]:
    """Levels of full adders in each cycle that adds squares, until ADDENDS rows are left."""
    height, levels = config.cols * SQUARE_HEIGHT + 1, []
    while height > ADDENDS:
        levels.append(LEVELS if levels else FIRST_LEVELS)
        for _ in range(levels[-1]):
            height = -(-height * 2 // 3)
    return levels


def squares_cycles(config: Config) -> int:
    """Cycles from a row to its few rows of squares."""
    return len(square_levels(config))


def extremes_cycles(config: Config) -> int:
    """Cycles from a row to its two extremes."""
    cycles, values = 1, -(-config.cols // GROUP)
    while values > 1:
        cycles, values = cycles + 1, -(-values // GROUP)
    return cycles


def _less(first, second):
    """Whether a magnitude below its sign is less than another one; either, if they are equal."""
    smaller = first[:WORD] < second[:WORD]
    return (first[WORD] & ~second[WORD]) | (
        (first[WORD] == second[WORD]) & (smaller ^ first[WORD]))


def _extremes_of(m: Module, found: list, name: str) -> tuple:
    """The least and the greatest of (least, greatest, whether they exist), and whether any exists.

    Every pair is compared once, and all pairs at once.
    """
    worse = [[[~exists], [~exists]] for *_, exists in found]  # reasons against each one
    for i, j in combinations(range(len(found)), 2):
        (*first, first_exists), (*second, second_exists) = found[i], found[j]
        single = first[0] is first[1] and second[0] is second[1]
        less = [Signal(name=f"{name}_{side}_{i}_{j}") for side in range(1 if single else 2)]
        m.d.comb += [flag.eq(_less(a, b)) for flag, a, b in zip(less, first, second, strict=False)]
        # the second is not the least where the first is less, nor the greatest where it is not
        for side, keeps in enumerate((less[0], ~less[-1])):
            worse[i][side].append(~keeps & second_exists)
            worse[j][side].append(keeps & first_exists)
    best = []
    for side in range(2):
        chosen = []
        for i, ((*pair, _), against) in enumerate(zip(found, worse, strict=True)):
            wins = Signal(name=f"{name}_wins_{side}_{i}")
            m.d.comb += wins.eq(~Cat(against[side]).any())
            chosen.append(pair[side] & wins.replicate(WORD + 1))
        signal = Signal(WORD + 1, name=f"{name}_{side}")
        m.d.comb += signal.eq(reduce(or_, chosen))
        best.append(signal)
    return (*best, Cat(exists for *_, exists in found).any())
