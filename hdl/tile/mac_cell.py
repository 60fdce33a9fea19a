# SPDX-License-Identifier: Apache-2.0
"""A cell of the tile: a sum of products, its accumulator, and the drain register behind it."""

from itertools import product

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import A_FORMATS, INT4, INT4_SYM, IntFormat, LogFormat
from hdl.arithmetic.addends import Addend, reduce_addends, sum_of
from hdl.library import place
from hdl.tile.dot_product import LaneSum
from hdl.tile.multiplier import A_WIDTH, addends_of, digits_layout, placed, with_signs

COPIES = 4  # of a control bit: one register would be slow to drive every bit of an accumulator
INT4_DIGITS = 10  # |first digit| + 4 * |second| at most: 6 is -2 + 4 * 2


def partial_worth(b: IntFormat | LogFormat) -> int:
    """The most that a partial product with an operand b of this format is worth."""
    return (2**A_WIDTH - 1) * (b.magnitude if isinstance(b, LogFormat) else INT4_DIGITS)


def held_width(config: Config) -> int:
    """Bits of the sums of partial products up to K = `max_k`, whatever the formats and codes:
    INT4_SYM's `max_k` is larger than INT4's, and a row of the grid that nobody drains may hold the
    code that INT4_SYM lacks."""
    pairs = product(A_FORMATS, (INT4, INT4_SYM, *config.log_formats))
    return max(config.max_k(a, b) * partial_worth(b) for a, b in pairs).bit_length()


def held_layout(config: Config) -> data.StructLayout:
    """What an accumulator holds of a block, and a drain register."""
    return data.StructLayout({
        "sum": held_width(config),
        "lost": 1,  # the sum has wrapped: the block is longer than `max_k`
    })


def total_width(config: Config) -> int:
    """Bits of any sum of a cell, however narrow its accumulator."""
    worth = max(map(partial_worth, (INT4, *config.log_formats)))
    return max(held_width(config), (config.lanes * worth).bit_length()) + 1


def control_layout(config: Config) -> data.StructLayout:
    """What all cells of a tile do in a cycle."""
    return data.StructLayout({
        "enable": LaneSum.latency(config),  # as `LaneSum`
        # with what enters the last stage of `LaneSum`:
        "first": COPIES,  # start from 0
        "split": 1,  # the partial products hold two digits each (INT4)
        # with what leaves it:
        "accumulate": 1,  # the accumulator takes it
        "capture": 1,  # the drain register takes the accumulator
    })


def _members(config: Config) -> dict:
    return {
        "digits": In(data.ArrayLayout(digits_layout(config), config.lanes)),
        "control": In(control_layout(config)),
        "drain": Out(held_layout(config)),
    }


class MacCell(wiring.Component):
    """Accumulates partial products: it holds a block's sum, and the excess that the column's
    `ZeroCell` holds too.

    Members
    -------
    a : In, `lanes` operands, offset binary. digits : In, `lanes` decoded operands.
    control : In(control_layout).
    move : In(1), drain <= below, unless it captures.
    below : In(held_layout), the drain register of the next row of the grid.
    drain : Out(held_layout).
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
        operands = [with_signs(self.a[lane], self.digits[lane], self.config)
                    for lane in range(self.config.lanes)]
        m, drain = _accumulating(self, operands, platform)
        with m.If(self.move & ~self.control.capture):
            m.d.sync += drain.eq(self.below)
        return m


class ZeroCell(wiring.Component):
    """The common excess of a column's cells: a cell whose operand a is zero.

    Members: tops : In, per lane the top bit of operand a, as each digit's sign leaves it (the
    others are the sign itself); the others as `MacCell`. Its drain register stays until the next
    block.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"tops": In(data.ArrayLayout(2, config.lanes)), **_members(config)})

    def elaborate(self, platform):
        # not a MacCell of its own, so that synthesis sees what is constant
        operands = []
        for lane in range(self.config.lanes):
            digits, tops = self.digits[lane], self.tops[lane]
            pair = [Cat(digits.negative[i].replicate(A_WIDTH - 1), tops[i]) for i in range(2)]
            operands.append(placed(pair, digits, self.config))
        m, _ = _accumulating(self, operands, platform)
        return m


def _accumulating(cell: MacCell | ZeroCell, operands: list, platform) -> tuple[Module, Signal]:
    """What both kinds of cell are; returns the module and the drain register."""
    m = Module()
    config, control = cell.config, cell.control

    # Cycles 0 and on: the lanes' sums.
    lanes = place(m, platform, "lane_sum", LaneSum(config))
    m.d.comb += [lanes.enable.eq(control.enable), lanes.split.eq(control.split)]
    for lane, operand in enumerate(operands):
        m.d.comb += [
            Cat(*lanes.operands[lane]).eq(operand),
            lanes.at[lane].eq(cell.digits[lane].at),
        ]
    goes_on = Signal(COPIES, reset_less=True)
    with m.If(control.enable[-1]):
        m.d.sync += goes_on.eq(~control.first)

    # Next cycle: add it.
    accumulator = Signal(held_layout(config), reset_less=True)
    width = held_width(config)
    before = accumulator.sum & Cat(goes_on[i * COPIES // width] for i in range(width))
    addends = [Addend(0, before), *addends_of(lanes.sums)]
    total = Signal(total_width(config))
    wraps = Signal()
    m.d.comb += [
        total.eq(sum_of(reduce_addends(m, platform, addends, 2, "adder", config.is_fpga))),
        wraps.eq(total[width:].any()),
    ]
    with m.If(control.accumulate):
        m.d.sync += [
            accumulator.sum.eq(total),
            accumulator.lost.eq(wraps | (accumulator.lost & goes_on[-1])),
        ]

    # Next cycle, behind a block's last beat: capture the block.
    drain = Signal(held_layout(config), reset_less=True)
    m.d.comb += cell.drain.eq(drain)
    with m.If(control.capture):
        m.d.sync += drain.eq(accumulator)
    return m, drain
