# SPDX-License-Identifier: Apache-2.0
"""Energy per multiply-accumulate with the wires of a layout, where there is one.

What toggles is simulated as `synth.energy` does it, with the delays of wires by fanout; each net
then has the capacitance of its wire beside that of its pins. A tile is simulated with one column
and with two, so those are what is placed; routed are the others alone.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from synth.cells.libraries import NANGATE45
from synth.cells.recipes import QUICK
from synth.cells.sweep import Point
from synth.energy.energy import Energies, measure
from synth.layout.layout import Layout, Result
from tools.jobs import Pool

_NET = re.compile(r"^\*D_NET (\S+) (\S+)$", re.M)


class Wires(Layout):
    """A layout, of which the femtofarads of its nets' wires are read: routed, or as placed."""

    def read(self, folder: Path) -> dict[str, float]:
        return {net: float(farads)
                for net, farads in _NET.findall((folder / "wires.spef").read_text())}


def energies(points: list[Point], laid: dict, pool: Pool,
             progress: Callable[[str, int, int], None]) -> tuple[list[dict], Energies]:
    """Of every point pJ per MAC without wires, with those of its placement, and with routed ones
    where `laid`, by design, has a Result that is its netlist; and all that failed or is missing."""
    routed = [point for point in points
              if isinstance(found := laid.get(point.design), Result) and "opens" in found.figures
              and found.clean]
    plan = {"no wires": (points, None), "placed": (points, partial(Wires, routed=False)),
            "routed": (routed, partial(Wires, routed=True))}
    whole, found = Energies(), {str(point.design): {} for point in points}
    for wires, (chosen, wiring) in plan.items():
        if not chosen:
            continue
        measured = measure(chosen, QUICK, NANGATE45, True, pool,
                           partial(progress, f"energy, {wires}"), wiring)
        whole.failures += measured.failures
        whole.missing = measured.missing
        for design in measured.designs:
            found[design["name"]][wires] = design["pj_per_mac"]
    return [{"name": name, "pj_per_mac": by} for name, by in found.items() if by], whole
