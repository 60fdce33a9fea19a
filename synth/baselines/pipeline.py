# SPDX-License-Identifier: Apache-2.0
"""What the baselines share: their ports, their parameters and where their pipelines are cut."""

from dataclasses import dataclass
from itertools import islice, pairwise

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from synth.baselines.arithmetic import Columns, heights, lower


@dataclass(frozen=True)
class MacParameters:
    """`stages` : cuts of the path from operand registers to accumulator, 0..`Mac.deepest`."""

    stages: int = 0

    @property
    def variant(self) -> str:
        """What else there is to choose, in words."""
        return ""


@dataclass(frozen=True)
class LaneParameters(MacParameters):
    """`stages` : as of `MacParameters`. lanes : products per cycle, 4, 8, 16 or 32; ValueError for
    others."""

    lanes: int = 8

    def __post_init__(self):
        if self.lanes not in (4, 8, 16, 32):
            raise ValueError(f"lanes = {self.lanes!r} is out of range: expected 4, 8, 16 or 32")

    @property
    def variant(self) -> str:
        return f"{self.lanes} lanes"


class Mac(wiring.Component):
    """A multiply-accumulator: acc <- a b + acc, `interleave` sums in rotation.

    Members
    -------
    a, b : In, operands. enable : In(1), add their product to the sum whose turn it is.
    first : In(1), that sum starts from +0 (and stays there without `enable`).
    acc : Out, the sum as of the operands of `latency` cycles ago.

    Latency: `latency`. Throughput: one product per cycle; cycles t and t + `interleave` address the
    same sum. The sums live in the pipeline's own registers, which never stop: without `enable` a
    sum passes through unchanged.
    Supported parameter sets: `stages` of 0..`deepest`; ValueError otherwise.

    Subclasses give `places` (where cuts are possible, in order of the dataflow), `cuts` (per number
    of stages, the places that are cut), `entry` (the first place in the loop, if one is). Dot
    products have several `lanes` in an operand, and above them `scale_bits` that these share.
    """

    scale_bits = 0

    places: tuple[str, ...]
    cuts: tuple[tuple[str, ...], ...]
    entry: str | None

    def __init__(self, config: MacParameters, a, b, acc):
        if config.stages not in range(len(self.cuts)):
            self._MustUse__used = True  # refused, not forgotten
            raise ValueError(f"stages = {config.stages!r} is out of range: expected "
                             f"0..{self.deepest}")
        self.config = config
        super().__init__({"a": In(a), "b": In(b), "enable": In(1), "first": In(1),
                          "acc": Out(acc)})

    @property
    def deepest(self) -> int:
        return len(self.cuts) - 1

    @property
    def lanes(self) -> int:
        return 1

    @property
    def latency(self) -> int:
        """Cycles from operands to the sum with their product."""
        return self.config.stages + 2  # and operand registers, accumulator

    @property
    def interleave(self) -> int:
        """Sums in rotation: registers in the loop."""
        loop = self.places[self.places.index(self.entry):] if self.entry else ()
        return 1 + sum(place in loop for place in self.cuts[self.config.stages])

    def cut(self, m: Module, place: str, *values: Value) -> list[Value]:
        """The values behind a place: registered where the pipeline is cut there."""
        if place not in self.places:
            raise ValueError(f"place {place!r}: expected one of {', '.join(self.places)}")
        if place not in self.cuts[self.config.stages]:
            return list(values)
        return register(m, place, *values)

    def levels(self, m: Module, columns: Columns, places: tuple[str, ...], *beside: Value) -> list:
        """Columns with the same sum behind those of these places that are cut, which divide the
        levels of the tree's adders evenly, and the values beside them."""
        levels = heights(columns)
        inner = [place for place in self.cuts[self.config.stages] if place in places]
        ends = [len(levels) * i // (len(inner) + 1) for i in range(len(inner) + 1)]
        for place, (start, end) in zip(inner, pairwise(ends), strict=True):
            for height in levels[start:end]:
                lower(m, columns, height)
            found = self.cut(m, place, *(bit for column in columns for bit in column), *beside)
            behind = iter(found)
            columns = [list(islice(behind, len(column))) for column in columns]
            beside = tuple(behind)
        return [columns, *beside]


def register(m: Module, name: str, *values: Value) -> list[Value]:
    """The values one cycle later; nothing needs a reset, since a sum begins with `first`."""
    found = []
    for i, value in enumerate(values):
        if isinstance(value, Const):
            found.append(value)
            continue
        behind = Signal(value.shape(), name=f"{name}_{i}", reset_less=True)
        m.d.sync += behind.eq(value)
        found.append(behind)
    return found
