# SPDX-License-Identifier: Apache-2.0
"""Stimulus for mapped designs from recorded operands, and the check of every result."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from golden.config import Config
from golden.gemm import gemm as exact_gemm
from hdl.layouts import BFormat, beat_layout, row_layout
from hdl.library import Library
from hdl.tile.mac_tile import MacTile
from synth.baselines.golden import finite, step, word
from synth.baselines.pipeline import Mac
from synth.cells.asic import Netlist
from synth.cells.designs import BOUNDARIES
from synth.energy.encoding import encoded
from synth.energy.operands import Gemm, beats, turns

RESET = 2  # cycles
WARM_UP = 32  # cycles: all registers hold known values


@dataclass(frozen=True, eq=False)
class Bench:
    """A netlist with its stimulus: what to map, what goes in, and who checks what comes out.

    Members
    -------
    netlist, recipes : what is simulated, and which recipe maps each of its blocks.
    vectors : inputs of each cycle. start : the first cycle that counts.
    check : of the outputs of all cycles, raises RuntimeError; a worker may run it. macs : per
        cycle.
    """

    netlist: Netlist
    recipes: dict[str, str]
    vectors: list[dict[str, int]]
    start: int
    check: Callable[[list[dict[str, int | None]]], None]
    macs: int


@dataclass(frozen=True)
class TileCheck:
    """Of a tile's outputs: the rows that leave, in order, and that nothing overflows.

    Members
    -------
    config : of the tile. ready : whether a row may leave, by cycle. expected : all rows, of which
    `least` must have left behind those of the first block.
    """

    config: Config
    ready: list[bool]
    expected: list[list[int]]
    least: int

    def __call__(self, outputs: list[dict[str, int | None]]) -> None:
        layout, first = row_layout(self.config), self.config.rows
        found = [outs["o_payload"] for outs, ready in zip(
            outputs[RESET:], self.ready[RESET:], strict=True) if outs["o_valid"] and ready]
        # the drain registers of the first block held what they woke up with
        values = [None if row is None else
                  [layout.from_bits(row).values[c] for c in range(self.config.cols)]
                  for row in found[first:]]
        _compare("row", values, self.expected[first:], self.least)
        if any(outs["overflow"] for outs in outputs[RESET + WARM_UP:]):
            raise RuntimeError("simulated cells: an accumulator overflows")


@dataclass(frozen=True)
class MacCheck:
    """Of a baseline's outputs: the sums, `latency` cycles behind their operands."""

    latency: int
    expected: list[int]

    def __call__(self, outputs: list[dict[str, int | None]]) -> None:
        found = [outs["acc"] for outs in outputs[self.latency:]]
        _compare("sum", found, self.expected, len(found))


def tile_bench(config: Config, columns: int, gemm: Gemm, recipes: dict[str, str],
               cycles: int) -> Bench:
    """All rows and the first columns of a tile, beat after beat as the engine feeds it."""
    cut = replace(config, cols=columns)
    stream = beats(gemm, config)[:WARM_UP + cycles]
    layout = beat_layout(cut)
    idle = {"rst": 1, "clear": 0, "i_valid": 0, "i_payload": 0, "o_ready": 1}
    vectors = [idle] * RESET + [idle | {
        "rst": 0, "clear": int(i < WARM_UP), "i_valid": 1, "i_payload": layout.const({
        "a": (beat.a & 15).tolist(), "b": (beat.b[:columns] & 15).tolist(),
        "a_signed": gemm.a_fmt.signed, "b_format": BFormat.of(gemm.b_fmt),
        "lanes": (1 << cut.lanes) - 1, "rows": cut.rows, "cols": columns,
        "first": beat.first, "last": beat.last}).as_bits()}
        for i, beat in enumerate(stream)]
    ends = [i for i, beat in enumerate(stream) if beat.last]
    # The row that waits behind the output holds nothing known until the output has: once, while
    # the first block leaves, and the second one comes a cycle later to make up for it.
    vectors.insert(RESET + ends[0] + 1, idle | {"rst": 0, "clear": 1})
    vectors[RESET + ends[0] + MacTile.latency(cut) + 2]["o_ready"] = 0
    starts = [0, *(end + 1 for end in ends)]
    expected = [row for start, end in zip(starts, ends, strict=False)
                for row in exact_gemm(
                    np.hstack([beat.a for beat in stream[start:end + 1]]), gemm.a_fmt,
                    np.hstack([beat.b[:columns] for beat in stream[start:end + 1]]),
                    gemm.b_fmt).tolist()]

    due = len(stream) - MacTile.latency(cut) - cut.rows
    check = TileCheck(cut, [bool(vector["o_ready"]) for vector in vectors], expected,
                      sum(end <= due for end in ends[1:]) * cut.rows)
    return Bench(_tile(cut), recipes, vectors, RESET + WARM_UP, check, cut.macs_per_cycle)


@cache
def _tile(config: Config) -> Netlist:
    """The same for every GEMM."""
    library = Library()
    top = library.convert(MacTile, config)
    return Netlist(library.text, top, BOUNDARIES)


def mac_bench(mac: Mac, netlist: Netlist, config: Config, gemm: Gemm, recipes: dict[str, str],
              cycles: int) -> Bench:
    """A baseline in the place of the first result of each block of the grid."""
    a, b = encoded(mac, gemm)
    order = turns(gemm, config, mac.interleave)[:WARM_UP + cycles]
    vectors, expected, totals = [], [], {}
    for m, n, k in order:
        (x, scale_x), (y, scale_y) = (operand.of(row, k, mac.lanes)
                                      for operand, row in ((a, m), (b, n)))
        total = step(mac, x, y, totals.get((m, n), 0), scale_x, scale_y)
        if not finite(mac, total):
            raise RuntimeError(f"{netlist.top}: a sum overflows")
        totals[m, n] = total
        vectors.append({"rst": 0, "a": word(mac, mac.a, x, scale_x),
                        "b": word(mac, mac.b, y, scale_y), "enable": 1, "first": int(k == 0)})
        expected.append(total)

    check = MacCheck(mac.latency, expected)
    return Bench(netlist, recipes, vectors, WARM_UP, check, mac.lanes)


def _compare(what: str, found: list, expected: list, least: int) -> None:
    for i, (here, there) in enumerate(zip(found, expected, strict=False)):
        if here != there:
            raise RuntimeError(f"simulated cells: {what} {i} is {here}, expected {there}")
    if len(found) < least or not least:
        raise RuntimeError(f"simulated cells: {len(found)} {what}s, expected {least} or more")
