# SPDX-License-Identifier: Apache-2.0
"""How many cycles the engine takes for a job, in closed form, from the data flow of its RTL.

A GEMM of M x N x K is ceil(M / rows) * ceil(N / cols) blocks. A block takes ceil(K / lanes) beats
and gives as many rows of results as it has; rows enter the rescaling unit every `row_cycles`. All
latencies are those that the blocks state themselves. Operands, results and reports are taken to be
never late, and jobs to name no tensor: those that do wait for their scales.
"""

from collections.abc import Iterable
from typing import NamedTuple

from golden.config import Config
from hdl.arithmetic.serial import row_cycles
from hdl.rescaler.rescale import RescaleUnit
from hdl.tile.mac_tile import MacTile

# Rows that have left the drain registers while the rescaling unit takes the one before them: two in
# the tile's output registers, and the one that it takes.
AHEAD = 3


class Size(NamedTuple):
    """M, N and K of a job, each from 1, as `golden.engine.Job.shape`; K = 0 when quantising."""

    m: int
    n: int
    k: int

    @property
    def macs(self) -> int:
        return self.m * self.n * self.k


class Blocks(NamedTuple):
    """The blocks of a job.

    Members
    -------
    across : blocks in a row of blocks. down : rows of blocks.
    beats : of each block, 0 when quantising. full, tail : result rows of a block, and of one in the
        last row of blocks.
    """

    across: int
    down: int
    beats: int
    full: int
    tail: int

    @classmethod
    def of(cls, config: Config, size: Size) -> "Blocks":
        down = _parts(size.m, config.rows)
        return cls(_parts(size.n, config.cols), down, _parts(size.k, config.lanes), config.rows,
                   size.m - (down - 1) * config.rows)

    @property
    def all_beats(self) -> int:
        """Of the job."""
        return self.across * self.down * self.beats

    @property
    def all_rows(self) -> int:
        """Result rows of the job, of up to `cols` results each."""
        return self.across * ((self.down - 1) * self.full + self.tail)

    @property
    def stretches(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Blocks that others follow and the rows of each: whole ones, then those of the last row of
        blocks."""
        return (self.across * (self.down - 1), self.full), (self.across - 1, self.tail)


def alone(config: Config, size: Size) -> int:
    """Cycles from a job's offer to its last result while no other job runs: what
    `driver.verilated.RtlBackend` counts, which runs jobs one after the other."""
    return back_to_back(config, [size])


def back_to_back(config: Config, sizes: Iterable[Size]) -> int:
    """Cycles from the first job's offer to the last result if every job is offered as soon as the
    engine takes it, its operands with it: no job waits for results of another. At least 1 job."""
    pace, tile = row_cycles(config), MacTile.latency(config)
    ahead = AHEAD * (pace - 1)
    taken = fed = -1  # when the drainer and the feeder were done with the job before
    moved = -pace  # when its last row left the tile, or x
    vacant = 0  # when the tile's drain registers were, from when on a row could be offered
    for size in sizes:
        # The engine accepts a job when the feeder is idle and none waits in the drainer, which
        # goes on to it as the last row of the one before moves.
        accepted = max(taken, fed) + 1
        taken = max(accepted + 1, moved)
        start = max(taken + 1, moved + pace)  # of the first row, if it is there
        blocks = Blocks.of(config, size)
        beats = blocks.beats
        if not beats:
            moved = start + (blocks.all_rows - 1) * pace
            continue
        block = _Block(max(accepted + beats + tile, vacant), start, ahead)
        fed = block.captured - tile
        for count, rows in blocks.stretches:
            if count:
                computed, drained = max(beats, rows), rows * pace
                block = block.later(count - 1, computed, drained)
                fed = block.captured + beats - tile
                block = block.later(1, computed, drained)
        moved = block.start + (blocks.tail - 1) * pace
        vacant = max(block.captured + blocks.tail, moved + pace - ahead)
    return moved + RescaleUnit.latency(config) + 1


class _Block:
    """When a block of a job is in the tile's drain registers, `captured`, and when its first row
    moves into the rescaling unit, `start`; `ahead` as in `back_to_back`."""

    def __init__(self, captured: int, start: int, ahead: int):
        self.captured, self.start, self.ahead = captured, max(captured, start), ahead

    def later(self, count: int, computed: int, drained: int) -> "_Block":
        """The block that comes `count` blocks later, if each takes so many cycles to compute and to
        drain: it computes while the one before drains, so that the slower of the two counts."""
        if not count:
            return self
        captured = max(
            self.captured + count * computed,
            self.start + drained - self.ahead + (count - 1) * max(computed, drained))
        return _Block(captured, self.start + count * drained, self.ahead)


def _parts(number: int, size: int) -> int:
    return -(-number // size)
