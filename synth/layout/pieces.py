# SPDX-License-Identifier: Apache-2.0
"""What a router lays: straight wires and vias. Lengths are in `kit.DBU`."""

from dataclasses import dataclass
from functools import cached_property

from synth.layout.kit import DBU, LAYERS, VIAS, Box

Point = tuple[int, int]


@dataclass(frozen=True)
class Wire:
    """A straight piece on one layer, from end to end of its middle line.

    `half` : of its width, 0 for the layer's own. `beyond` : whether its metal goes on for so much
    at either end, as DEF has it of nets and not of special nets.
    """

    layer: str
    start: Point
    end: Point
    half: int = 0
    beyond: bool = True

    @property
    def box(self) -> Box:
        half = self.half or LAYERS[self.layer].half
        (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(self.start, self.end, strict=True))
        across, along = (half, half if self.beyond else 0)
        dx, dy = (along, across) if y0 == y1 and x0 != x1 else (across, along)
        return x0 - dx, y0 - dy, x1 + dx, y1 + dy

    @property
    def length(self) -> int:
        return abs(self.start[0] - self.end[0]) + abs(self.start[1] - self.end[1])


@dataclass(frozen=True)
class Via:
    """A cut and where: `name` is one of kit.VIAS."""

    name: str
    at: Point

    @property
    def layers(self) -> tuple[str, str]:
        """Below and above."""
        below = VIAS.index(self.name) + 1
        return f"metal{below}", f"metal{below + 1}"


@dataclass(frozen=True)
class Routed:
    """net -> its paths, each of wires and vias that follow each other; `failed` : nets that the
    router says it left open."""

    paths: dict[str, list[list[Wire | Via]]]
    failed: list[str]

    @cached_property
    def nets(self) -> dict[str, list[Wire | Via]]:
        return {net: [piece for path in paths for piece in path]
                for net, paths in self.paths.items()}

    @cached_property
    def length(self) -> float:
        """Micrometres of wire."""
        return sum(piece.length for pieces in self.nets.values() for piece in pieces
                   if isinstance(piece, Wire)) / DBU
