# SPDX-License-Identifier: Apache-2.0
"""Statistics of a job while its rows stream by: exact sums, extremes and counts."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.statistics import (
    COUNT_WIDTH,
    LARGEST_WIDTH,
    SUM_ABS_WIDTH,
    SUM_SQUARES_WIDTH,
)
from hdl.layouts import WORD, measured_layout
from hdl.library import place

STATISTICS_LAYOUT = data.StructLayout({  # the members of golden.statistics.Statistics
    "count": COUNT_WIDTH,
    "low": signed(WORD),
    "high": signed(WORD),
    "largest": LARGEST_WIDTH,
    "sum_abs": SUM_ABS_WIDTH,
    "sum_squares": SUM_SQUARES_WIDTH,
    "saturated": COUNT_WIDTH,
    "underflowed": COUNT_WIDTH,
})


class Squarer(wiring.Component):
    """`square = magnitude ** 2`, registered.

    The products of bits i and j, and j and i, are one product of twice the weight: half the partial
    products of a multiplier.

    Members: magnitude : In(32). square : Out(64), one cycle later.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"magnitude": In(WORD), "square": Out(2 * WORD)})

    def elaborate(self, platform):
        m = Module()
        square = Signal(2 * WORD, reset_less=True)
        x = self.magnitude
        rows = []
        for i in range(WORD):
            row = Cat(x[i], Const(0, 1), x[i + 1:] & x[i].replicate(WORD - 1 - i))
            rows.append(Cat(Const(0, 2 * i), row))
        m.d.sync += square.eq(_sum(rows))
        m.d.comb += self.square.eq(square)
        return m


class StatisticsUnit(wiring.Component):
    """Accumulates one job's statistics and keeps the last finished job's.

    Members
    -------
    row : In(`measured_layout`). valid : In(1), the row counts. first, last : In(1), of the job.
    result : Out(STATISTICS_LAYOUT), of the last job that finished, until the next one does.
    done : Out(1), high for the one cycle in which `result` has just changed.

    Latency: `latency` cycles from a job's last row to `done`. Throughput: one row per cycle, jobs
    back to back without a bubble. Arithmetic: `golden.statistics.measure`, exact up to 2**32
    elements.
    """

    latency = 3  # squares, sums over the lanes, accumulation

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "row": In(measured_layout(config)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "result": Out(STATISTICS_LAYOUT),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        cols = range(self.config.cols)
        valid, first, last = (Signal(2, name=name) for name in ("valid_1", "first_1", "last_1"))
        m.d.sync += [
            valid.eq(Cat(self.valid, valid[0])),
            first.eq(Cat(self.first, first[0])),
            last.eq(Cat(self.last, last[0])),
        ]

        def delayed(value, name):
            register = Signal.like(value, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        # Cycle 0: squares; what the lanes hold, with 0 where a column does not exist.
        squares, signed_values, magnitudes = [], [], []
        kept = delayed(self.row.keep, "kept")
        for c in cols:
            lane = self.row.lanes[c]
            magnitude = Signal(WORD, name=f"magnitude_{c}")
            m.d.comb += magnitude.eq(Mux(self.row.keep[c], lane.magnitude, 0))
            squarer = place(m, platform, f"squarer_{c}", Squarer(self.config))
            m.d.comb += squarer.magnitude.eq(magnitude)
            squares.append(squarer.square)
            magnitudes.append(delayed(magnitude, f"magnitude_1_{c}"))
            value = Signal(signed(WORD), name=f"value_{c}")
            m.d.comb += value.eq(
                Mux(lane.negative, -magnitude, magnitude)[:WORD].as_signed())
            signed_values.append(delayed(value, f"value_1_{c}"))
        clamped, vanished = (
            delayed(Cat(self.row.lanes[c][name] & self.row.keep[c] for c in cols), name)
            for name in ("clamped", "vanished"))

        # Cycle 1: over the lanes. A column that does not exist repeats column 0, which always does.
        present = [Mux(kept[c], signed_values[c], signed_values[0]) for c in cols]
        part = Signal(STATISTICS_LAYOUT, reset_less=True)
        m.d.sync += [
            part.count.eq(_sum(kept[c] for c in cols)),
            part.low.eq(_fold(m, "low", present, lambda a, b: Mux(a < b, a, b))),
            part.high.eq(_fold(m, "high", present, lambda a, b: Mux(a > b, a, b))),
            part.largest.eq(_fold(m, "largest", magnitudes, lambda a, b: Mux(a > b, a, b))),
            part.sum_abs.eq(_sum(magnitudes)),
            part.sum_squares.eq(_sum(squares)),
            part.saturated.eq(_sum(clamped)),
            part.underflowed.eq(_sum(vanished)),
        ]

        # Cycle 2: accumulate; a job's first row starts anew, its last one is kept.
        total = Signal(STATISTICS_LAYOUT, reset_less=True)
        after = Signal(STATISTICS_LAYOUT)
        fresh = first[1]
        folds = {"low": lambda a, b: Mux(a < b, a, b), "high": lambda a, b: Mux(a > b, a, b)}
        folds["largest"] = folds["high"]
        for name, _ in STATISTICS_LAYOUT:
            fold = folds.get(name, lambda a, b: a + b)
            m.d.comb += after[name].eq(Mux(fresh, part[name], fold(total[name], part[name])))
        m.d.sync += self.done.eq(valid[1] & last[1])
        with m.If(valid[1]):
            m.d.sync += total.eq(after)
            with m.If(last[1]):
                m.d.sync += self.result.eq(after)
        return m


def _sum(values):
    """Balanced sum."""
    values = list(values)
    while len(values) > 1:
        rest = values[len(values) // 2 * 2:]
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=False)] + rest
    return values[0]


def _fold(m: Module, name: str, values, best):
    """Balanced selection, with a signal per level so that no expression is written twice."""
    values, level = list(values), 0
    while len(values) > 1:
        chosen = []
        for i, (a, b) in enumerate(zip(values[::2], values[1::2], strict=True)):
            winner = Signal.like(a, name=f"{name}_{level}_{i}")
            m.d.comb += winner.eq(best(a, b))
            chosen.append(winner)
        values, level = chosen, level + 1
    return values[0]
