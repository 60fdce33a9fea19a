# SPDX-License-Identifier: Apache-2.0
"""Energy per multiply-accumulate with the wires of a layout, where there is one.

What toggles is simulated as `synth.energy` does it, with the delays of wires by fanout; each net
then has the capacitance of its wire beside that of its pins. A tile is simulated with one column
and with two, so those are what is placed; routed are the others alone.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from synth.cells.libraries import NANGATE45
from synth.cells.recipes import Recipe
from synth.cells.sweep import Failure, Point
from synth.energy.energy import measure
from synth.energy.gates import Flat
from synth.layout.kit import DBU, ESTIMATED
from synth.layout.layout import Layout, Result
from synth.layout.place import Placed
from tools.jobs import Pool

KINDS = ("no wires", "placed", "routed")
_NET = re.compile(r"^\*D_NET (\S+) (\S+)\n\*CONN\n((?:\*[IP] [^\n]*\n)+)", re.M)


class Parasitics(Layout):
    """A layout of which the femtofarads of its nets' wires are read.

    Of one that is only placed those of the shortest tree between a net's pins, or of half the
    perimeter of their box if that is longer (it counts ports): with many pins, as a clock has, that
    half is far too short. RuntimeError for one that was to be routed and is not its netlist.
    """

    def read(self, folder: Path) -> dict[str, float]:
        nets = _NET.findall((folder / "wires.spef").read_text())
        found = {net: float(farads) for net, farads, _ in nets}
        if self.routed:
            if "routed_ns" not in json.loads((folder / "layout.json").read_text()):
                raise RuntimeError(f"layout: that of {self.top} is not its netlist")
            return found
        laid = json.loads((folder / "placed.json").read_text())
        cells = {name: (kind, {}) for name, kind in laid["kinds"].items()}
        placed = Placed(Flat(folder / "flat.v", self.top, [], [], cells), laid["width"],
                        laid["height"], laid["at"], {})
        per_length = ESTIMATED.femtofarads / DBU
        for net, _, ends in nets:
            pins = [placed.pin(*end.split(":")) for end in re.findall(r"^\*I (\S+)", ends, re.M)]
            if len(pins) > 3:  # up to three it is half the perimeter
                found[net] = max(found[net], tree(pins) * per_length)
        return found


def tree(points: Sequence[tuple[int, int]]) -> int:
    """The length of the shortest tree whose branches run from point to point, along x and y."""
    left, total = np.array(points), 0
    at, left = left[0], left[1:]
    distance = np.abs(left - at).sum(axis=1)
    while len(left):
        nearest = distance.argmin()
        total += int(distance[nearest])
        at, left = left[nearest], np.delete(left, nearest, axis=0)
        distance = np.minimum(np.delete(distance, nearest), np.abs(left - at).sum(axis=1))
    return total


def energies(points: list[Point], recipes: list[Recipe], laid: dict, pool: Pool,
             progress: Callable[[str, int, int], None],
             ) -> tuple[list[dict], list[Failure], list[str]]:
    """Of every point pJ per MAC without wires, with those of its placement, and with routed ones
    where `laid`, by design, has a Result that is its netlist; all failures, and what is missing.
    `recipes` : among which those are that mapped the points."""
    routed = [point for point in points
              if isinstance(found := laid.get(point.design), Result) and found.clean]
    plan = {"no wires": (points, None), "placed": (points, partial(Parasitics, routed=False)),
            "routed": (routed, partial(Parasitics, routed=True))}
    drawn: dict[str, dict] = {str(point.design): {} for point in points}
    failures: list[Failure] = []
    missing: list[str] = []
    for kind in KINDS:
        chosen, extraction = plan[kind]
        if chosen:
            what = f"energy, {kind}"
            measured = measure(chosen, recipes, NANGATE45, True, pool, partial(progress, what),
                               extraction, what)
            failures += measured.failures
            missing = measured.missing
            for design in measured.designs:
                drawn[design["name"]][kind] = design["pj_per_mac"]
    return ([{"name": name, "pj_per_mac": by} for name, by in drawn.items() if by], failures,
            missing)
