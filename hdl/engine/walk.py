# SPDX-License-Identifier: Apache-2.0
"""The blocks of a result: how many a job has, and which one is at hand."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config


def parts_layout(width: int, size: int) -> data.StructLayout:
    """A dimension of `width` bits in parts of `size`: how many parts follow the first one, and how
    much of the last part exists."""
    return data.StructLayout({
        "more": max(width - size.bit_length() + 1, 1), "tail": range(size + 1)})


def parts(number, size: int):
    """A dimension, at least 1, as a value of `parts_layout`; `size` is a power of two."""
    less = (number - 1)[:len(number)]
    bits = size.bit_length() - 1
    layout = parts_layout(len(number), size)
    more = less[bits:] if bits < len(number) else Const(0, 1)
    return Cat(more, Const(0, layout["more"].width - len(more)),
               (less[:bits] + 1)[:layout["tail"].width])


def extent_layout(config: Config) -> data.StructLayout:
    """A result, M x N, in blocks of rows x cols."""
    return data.StructLayout({
        "rows": parts_layout(config.dim_width, config.rows),
        "cols": parts_layout(config.dim_width, config.cols),
        "strips": 1,  # whether it is walked strip by strip
    })


def block_layout(config: Config) -> data.StructLayout:
    """One block of a result."""
    extent = extent_layout(config)
    rows, cols = extent["rows"].shape, extent["cols"].shape
    return data.StructLayout({
        "beyond": cols["more"].shape,  # strips that follow
        "below": rows["more"].shape,  # rows of blocks that follow in its strip
        "right": cols["more"].shape,  # blocks that follow in its row of blocks of its strip
        "rows": rows["tail"].shape,  # of results, 1..config.rows
        "cols": cols["tail"].shape,  # of results, 1..config.cols
        "last_col": 1,  # the last of its row of blocks
        "last_row": 1,  # in the last row of blocks
        "last": 1,  # the last of all
    })


class BlockWalk(wiring.Component):
    """Walks over the blocks of a result, row of blocks by row of blocks: of the whole result, or of
    one strip, `Config.strip` columns, after the other.

    Members
    -------
    extent : In(extent_layout), of the result that is walked, while it is.
    next_extent : In(extent_layout), of the one that is walked next.
    starts : In(1), what follows is the first block of the next result, else the block after this.
    next_single : Out(1), what follows has a single row.
    moves : In(1), go on to what follows. It may come late in a cycle: it only enables registers.
    rows, cols : Out, of this block. last : Out(1), it is the last of its result.

    Latency: 1 cycle from `moves` to the block. Throughput: one block per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        layout = block_layout(config)
        super().__init__({
            "extent": In(extent_layout(config)),
            "next_extent": In(extent_layout(config)),
            "starts": In(1),
            "next_single": Out(1),
            "moves": In(1),
            "rows": Out(layout["rows"].shape),
            "cols": Out(layout["cols"].shape),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        block = Signal(block_layout(self.config), reset_less=True)
        last_col = Signal()
        strip_ends = Signal()
        m.d.comb += [last_col.eq(block.last_col), strip_ends.eq(block.last_col & block.last_row)]

        # Cycle 0: the block that follows, in either case. Whether anything follows it is decided
        # beside the counts, not behind them: both ways in a chain would be the engine's longest.
        first = Signal.like(block)
        after = Signal.like(block)
        following = Signal.like(block)
        strips, blocks = self._strips(self.next_extent), self.next_extent.cols.more
        m.d.comb += [
            first.beyond.eq(strips),
            first.below.eq(self.next_extent.rows.more),
            first.right.eq(self._width(self.next_extent, strips != 0)),
            *self._size(first, self.next_extent, strips == 0, self.next_extent.rows.more == 0,
                        Mux(strips != 0, not self._blocks, blocks == 0)),
        ]
        rest = self.extent.cols.more & self._mask(self.extent)
        no_strips = block.beyond == strip_ends
        m.d.comb += [
            after.beyond.eq(block.beyond - strip_ends),
            after.below.eq(Mux(strip_ends, self.extent.rows.more, block.below - last_col)),
            after.right.eq(Mux(last_col, self._width(self.extent, ~no_strips), block.right - 1)),
            *self._size(after, self.extent, no_strips,
                        Mux(strip_ends, self.extent.rows.more == 0, block.below == last_col),
                        Mux(last_col, Mux(no_strips, rest == 0, not self._blocks),
                            block.right == 1)),
            following.eq(Mux(self.starts, first, after)),
            self.next_single.eq(Mux(self.starts, first.rows == 1, after.rows == 1)),
        ]
        with m.If(self.moves):
            m.d.sync += block.eq(following)

        # Cycle 1: this block.
        m.d.comb += [
            self.rows.eq(block.rows),
            self.cols.eq(block.cols),
            self.last.eq(block.last),
        ]
        return m

    def _strips(self, extent):
        """How many strips follow the first one."""
        return Mux(extent.strips, extent.cols.more >> self._log2_strip, 0)

    def _width(self, extent, beyond):
        """How many blocks follow the first one in a row of blocks; `beyond` : strips follow it."""
        return Mux(beyond, self._blocks, extent.cols.more & self._mask(extent))

    def _mask(self, extent):
        """What of the blocks of a whole row are those of its last strip."""
        return self._blocks | (~extent.strips).replicate(len(extent.cols.more))

    @property
    def _blocks(self) -> int:
        """Blocks that follow the first one in a row of blocks of a whole strip."""
        return (1 << self._log2_strip) - 1

    @property
    def _log2_strip(self) -> int:
        return (self.config.strip // self.config.cols).bit_length() - 1

    def _size(self, block, extent, last_strip, last_row, last_col) -> list:
        """What the place of a block says of its size, and whether it is a last one."""
        return [
            block.rows.eq(Mux(last_row, extent.rows.tail, self.config.rows)),
            block.cols.eq(Mux(last_col & last_strip, extent.cols.tail, self.config.cols)),
            block.last_col.eq(last_col),
            block.last_row.eq(last_row),
            block.last.eq(last_row & last_col & last_strip),
        ]
