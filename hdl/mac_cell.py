# SPDX-License-Identifier: Apache-2.0
"""A cell of the tile: a sum of rows, its accumulator, and the drain register behind it."""

from itertools import product

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import INT4, UINT4, IntFormat, LogFormat
from hdl.carry_save import add_rows, reduce_rows
from hdl.dot_product import RowSum, row_sum_width
from hdl.library import place
from hdl.multiplier import A_WIDTH, digits_layout, joined, offset_binary

ZERO = Const(0, A_WIDTH)
INT4_DIGITS = 10  # |first digit| + 4 * |second| at most: 6 is -2 + 4 * 2


def row_worth(b: IntFormat | LogFormat) -> int:
    """The most that a row of a product with an operand b of this format is worth."""
    return (2**A_WIDTH - 1) * (b.magnitude if isinstance(b, LogFormat) else INT4_DIGITS)


def held_width(config: Config) -> int:
    """Bits of the sums of rows up to K = `max_k`, whatever the formats."""
    pairs = product((INT4, UINT4), (INT4, *config.log_formats))
    return max(config.max_k(a, b) * row_worth(b) for a, b in pairs).bit_length()


def total_width(config: Config) -> int:
    """Bits of any sum of a cell, however narrow its accumulator."""
    return max(held_width(config), row_sum_width(config) + 2) + 1


def _members(config: Config) -> dict:
    return {
        "digits": In(data.ArrayLayout(digits_layout(config), config.lanes)),
        "enable": In(RowSum.latency(config)),
        "accumulate": In(1),
        "first": In(1),
        "split": In(1),
        "capture": In(1),
        "drain": Out(held_width(config)),
        "overflow": Out(1),
    }


class MacCell(wiring.Component):
    """Accumulates rows; what it holds is the block's sum plus that of the column's `ZeroCell`.

    Members
    -------
    a, digits, enable : as `RowSum`.
    accumulate : In(1), take the sum of rows; first : In(1), start from 0; split : In(1), the rows
        hold two digits each (INT4).
    capture : In(1), drain <= accumulator; move : In(1), drain <= below.
    below : In(unsigned), the drain register of the next row. drain : Out(unsigned).
    overflow : Out(1), the sum just taken left the accumulator: the block is longer than `max_k`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "a": In(data.ArrayLayout(A_WIDTH, config.lanes)),
            **_members(config),
            "move": In(1),
            "below": In(held_width(config)),
        })

    def elaborate(self, platform):
        m, drain = _accumulating(self, self.a, platform)
        with m.If(self.move & ~self.capture):
            m.d.sync += drain.eq(self.below)
        return m


class ZeroCell(wiring.Component):
    """What every cell of a column holds too much: a cell whose operand a is zero.

    Members: a_signed : In(1); the others as `MacCell`. What it captures stays until the next block.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"a_signed": In(1), **_members(config)})

    def elaborate(self, platform):
        # not a MacCell of its own, so that synthesis sees the constants
        zeros = Cat(offset_binary(ZERO, self.a_signed) for _ in range(self.config.lanes))
        m, _ = _accumulating(self, zeros, platform)
        return m


def _accumulating(cell: MacCell | ZeroCell, a, platform) -> tuple[Module, Signal]:
    """What both cells are; returns the module and the drain register."""
    m = Module()
    rows = place(m, platform, "row_sum", RowSum(cell.config))
    m.d.comb += [rows.a.eq(a), rows.digits.eq(cell.digits), rows.enable.eq(cell.enable)]
    accumulator = Signal.like(cell.drain, reset_less=True)
    drain = Signal.like(cell.drain, reset_less=True)
    width = len(accumulator)
    total = Signal(total_width(cell.config))
    held = accumulator & (~cell.first).replicate(width)
    addends = [(0, held), *joined(rows.sum, cell.split, cell.config)]
    m.d.comb += [
        total.eq(add_rows(reduce_rows(m, platform, addends, 2, "adder"))),
        cell.drain.eq(drain),
    ]
    m.d.sync += cell.overflow.eq(cell.accumulate & total[width:].any())
    with m.If(cell.accumulate):
        m.d.sync += accumulator.eq(total)
    with m.If(cell.capture):
        m.d.sync += drain.eq(accumulator)
    return m, drain
