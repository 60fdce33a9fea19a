# SPDX-License-Identifier: Apache-2.0
"""The least, the greatest and the largest value of a job while its rows stream by."""

from functools import reduce
from itertools import combinations
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.statistics import LARGEST_WIDTH
from hdl.layouts import WORD, measured_layout

GROUP = 4  # candidates of which one cycle finds the extremes

NUMBER_LAYOUT = data.StructLayout({"magnitude": WORD, "negative": 1})


class Candidate(NamedTuple):
    """The extremes of some columns of a row: NUMBER_LAYOUT, and whether any of them exists."""

    least: data.View
    greatest: data.View
    exists: Value


class Extremes(wiring.Component):
    """Keeps the extremes of all rows that count, since a job's first one.

    Members
    -------
    row : In(`measured_layout`), values that count. clear : In(1), between jobs: the extremes are 0.
    low, high : Out(signed 32), the least and the greatest. largest : Out, the largest magnitude.

    Latency: `extremes_cycles(config) + 2` cycles from a row. Throughput: one row per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "row": In(measured_layout(config)),
            "clear": In(1),
            "low": Out(signed(WORD)),
            "high": Out(signed(WORD)),
            "largest": Out(LARGEST_WIDTH),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycles 0 to `extremes_cycles` - 1: of every group of candidates one is left. The first
        # ones are the columns.
        valid, first, candidates = self.row.valid, self.row.first, []
        for c in range(self.config.cols):
            number = Signal(NUMBER_LAYOUT, name=f"number_{c}")
            m.d.comb += [
                number.magnitude.eq(self.row.magnitudes[c]),
                number.negative.eq(self.row.signs[c]),
            ]
            candidates.append(Candidate(number, number, self.row.keep[c]))
        for cycle in range(extremes_cycles(self.config)):
            groups = [candidates[i:i + GROUP] for i in range(0, len(candidates), GROUP)]
            candidates = [best_of(m, group, f"group_{cycle}_{i}", columns=not cycle)
                          for i, group in enumerate(groups)]
            valid_after = Signal(name=f"valid_{cycle + 1}")
            first_after = Signal(name=f"first_{cycle + 1}", reset_less=True)
            m.d.sync += [valid_after.eq(valid), first_after.eq(first)]
            valid, first = valid_after, first_after

        # Next cycle: those of the job so far.
        (row,) = candidates
        lowest = Signal(NUMBER_LAYOUT, reset_less=True)
        highest = Signal(NUMBER_LAYOUT, reset_less=True)
        below = Signal()
        above = Signal()
        m.d.comb += [below.eq(is_less(row.least, lowest)), above.eq(is_less(highest, row.greatest))]
        with m.If(valid & (first | below)):
            m.d.sync += lowest.eq(row.least)
        with m.If(valid & (first | above)):
            m.d.sync += highest.eq(row.greatest)
        with m.If(self.clear):
            m.d.sync += [lowest.eq(0), highest.eq(0)]

        # Last cycle: as words, and the larger of the two.
        low_word = Signal(WORD, reset_less=True)
        high_word = Signal(WORD, reset_less=True)
        largest = Signal(LARGEST_WIDTH, reset_less=True)
        m.d.sync += [
            low_word.eq(word_of(lowest)),
            high_word.eq(word_of(highest)),
            largest.eq(Mux(lowest.magnitude < highest.magnitude, highest.magnitude,
                           lowest.magnitude)),
        ]
        m.d.comb += [
            self.low.eq(low_word),
            self.high.eq(high_word),
            self.largest.eq(largest),
        ]
        return m


def extremes_cycles(config: Config) -> int:
    """Cycles from a row to its two extremes."""
    cycles, candidates = 1, -(-config.cols // GROUP)
    while candidates > 1:
        cycles, candidates = cycles + 1, -(-candidates // GROUP)
    return cycles


def is_less(one, other):
    """Whether a number is less than another one; either, if they are equal."""
    smaller = one.magnitude < other.magnitude
    return (one.negative & ~other.negative) | (
        (one.negative == other.negative) & (smaller ^ one.negative))


def word_of(number):
    """A number in two's complement."""
    return (number.magnitude ^ number.negative.replicate(WORD)) + number.negative


def best_of(m: Module, group: list[Candidate], name: str, columns: bool) -> Candidate:
    """The extremes of a group, one cycle later. Every pair is compared once, and all pairs at once;
    a column is its own least and greatest."""
    exist = [candidate.exists for candidate in group]
    leasts = [candidate.least for candidate in group]
    greatests = [candidate.greatest for candidate in group]
    less = pairs(m, leasts, f"{name}_less")
    less_above = less if columns else pairs(m, greatests, f"{name}_less_above")
    greater = {(j, i): wins for (i, j), wins in less_above.items()}
    least = Signal(NUMBER_LAYOUT, name=f"{name}_least", reset_less=True)
    greatest = Signal(NUMBER_LAYOUT, name=f"{name}_greatest", reset_less=True)
    exists = Signal(name=f"{name}_exists", reset_less=True)
    m.d.sync += [
        least.eq(chosen(m, leasts, exist, less, f"{name}_is_least")),
        greatest.eq(chosen(m, greatests, exist, greater, f"{name}_is_greatest")),
        exists.eq(Cat(exist).any()),
    ]
    return Candidate(least, greatest, exists)


def pairs(m: Module, numbers: list, name: str) -> dict:
    """(i, j) -> whether number i is the lesser of the two, for all i and j."""
    found = {}
    for i, j in combinations(range(len(numbers)), 2):
        less = Signal(name=f"{name}_{i}_{j}")
        m.d.comb += less.eq(is_less(numbers[i], numbers[j]))
        found[i, j], found[j, i] = less, ~less
    return found


def chosen(m: Module, numbers: list, exist: list, wins: dict, name: str):
    """The number that exists and wins against all others that exist; 0 if none exists."""
    found = []
    for i, number in enumerate(numbers):
        beaten = [wins[j, i] & exist[j] for j in range(len(numbers)) if j != i]
        best = Signal(name=f"{name}_{i}")
        m.d.comb += best.eq(~Cat(~exist[i], *beaten).any())
        found.append(Value.cast(number) & best.replicate(NUMBER_LAYOUT.size))
    return reduce(or_, found)
