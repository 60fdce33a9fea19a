# SPDX-License-Identifier: Apache-2.0
"""A cell of the tile: a sum of rows, its accumulator, and the drain register behind it."""

from itertools import product

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import A_FORMATS, INT4, INT4_SYM, IntFormat, LogFormat
from hdl.arithmetic.addends import Addend, reduce_addends, sum_of
from hdl.library import place
from hdl.tile.dot_product import RowSum, row_sum_width
from hdl.tile.multiplier import A_WIDTH, digits_layout, joined, placed, spread, with_signs

COPIES = 4  # of a control bit: one register would be slow to drive every bit of an accumulator
INT4_DIGITS = 10  # |first digit| + 4 * |second| at most: 6 is -2 + 4 * 2


def row_worth(b: IntFormat | LogFormat) -> int:
    """The most that a row of a product with an operand b of this format is worth."""
    return (2**A_WIDTH - 1) * (b.magnitude if isinstance(b, LogFormat) else INT4_DIGITS)


def held_width(config: Config) -> int:
    """Bits of the sums of rows up to K = `max_k`, whatever the formats and codes: INT4_SYM's
    `max_k` is larger than INT4's, and a row that nobody drains may hold the code that it lacks."""
    pairs = product(A_FORMATS, (INT4, INT4_SYM, *config.log_formats))
    return max(config.max_k(a, b) * row_worth(b) for a, b in pairs).bit_length()


def held_layout(config: Config) -> data.StructLayout:
    """What an accumulator holds of a block, and a drain register."""
    return data.StructLayout({
        "sum": held_width(config),
        "lost": 1,  # the sum has wrapped: the block is longer than `max_k`
    })


def total_width(config: Config) -> int:
    """Bits of any sum of a cell, however narrow its accumulator."""
    return max(held_width(config), row_sum_width(config) + 2) + 1


def _members(config: Config) -> dict:
    return {
        "digits": In(data.ArrayLayout(digits_layout(config), config.lanes)),
        "enable": In(RowSum.latency(config)),
        "accumulate": In(1),
        "first": In(COPIES),
        "split": In(COPIES),
        "capture": In(1),
        "drain": Out(held_layout(config)),
    }


class MacCell(wiring.Component):
    """Accumulates rows; what it holds is the block's sum plus that of the column's `ZeroCell`.

    Members
    -------
    a : In, `lanes` operands, offset binary. digits : In, `lanes` decoded operands. enable : as
        `RowSum`.
    first : In(COPIES), start from 0; split : In(COPIES), the rows hold two digits each (INT4): both
        of what enters the last stage of `RowSum`. accumulate : In(1), take what leaves it.
    capture : In(1), drain <= accumulator; move : In(1), drain <= below.
    below : In(held_layout), the drain register of the next row. drain : Out(held_layout).
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "a": In(data.ArrayLayout(A_WIDTH, config.lanes)),
            **_members(config),
            "move": In(1),
            "below": In(held_layout(config)),
        })

    def elaborate(self, platform):
        m, drain = _accumulating(self, [
            with_signs(a, digits, self.config)
            for a, digits in zip(self.a, self.digits, strict=True)], platform)
        with m.If(self.move & ~self.capture):
            m.d.sync += drain.eq(self.below)
        return m


class ZeroCell(wiring.Component):
    """What every cell of a column holds too much: a cell whose operand a is zero.

    Members: tops : In, per lane the top bit of operand a, as each digit's sign leaves it (the
    others are the sign itself); the others as `MacCell`. What it captures stays until the next
    block.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"tops": In(data.ArrayLayout(2, config.lanes)), **_members(config)})

    def elaborate(self, platform):
        # not a MacCell of its own, so that synthesis sees what is constant
        m, _ = _accumulating(self, [
            placed([Cat(sign.replicate(A_WIDTH - 1), top)
                    for sign, top in zip(digits.negative, tops, strict=True)], digits, self.config)
            for digits, tops in zip(self.digits, self.tops, strict=True)], platform)
        return m


def _accumulating(cell: MacCell | ZeroCell, operands, platform) -> tuple[Module, Signal]:
    """What both cells are; returns the module and the drain register."""
    m = Module()
    rows = place(m, platform, "row_sum", RowSum(cell.config))
    m.d.comb += rows.enable.eq(cell.enable)
    for lane, (taken, digits) in enumerate(zip(operands, cell.digits, strict=True)):
        m.d.comb += [Cat(*rows.operands[lane]).eq(taken), rows.at[lane].eq(digits.at)]
    accumulator = Signal.like(cell.drain, reset_less=True)
    drain = Signal.like(cell.drain, reset_less=True)
    width = held_width(cell.config)
    total = Signal(total_width(cell.config))
    wraps = Signal()
    goes_on, split = (
        Signal(COPIES, name=name, reset_less=True) for name in ("goes_on", "split_here"))
    with m.If(cell.enable[-1]):
        m.d.sync += [goes_on.eq(~cell.first), split.eq(cell.split)]
    held = accumulator.sum & spread(goes_on, width)
    addends = [Addend(0, held), *joined(rows.sum, split, cell.config)]
    chains = cell.config.is_fpga
    m.d.comb += [
        total.eq(sum_of(reduce_addends(m, platform, addends, 2, "adder", chains))),
        wraps.eq(total[width:].any()),
        cell.drain.eq(drain),
    ]
    with m.If(cell.accumulate):
        m.d.sync += [
            accumulator.sum.eq(total),
            accumulator.lost.eq(wraps | (accumulator.lost & goes_on[-1])),
        ]
    with m.If(cell.capture):
        m.d.sync += drain.eq(accumulator)
    return m, drain
