# SPDX-License-Identifier: Apache-2.0
"""Placement by Coloquinte: cells in rows, ports around them."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from synth.cells.libraries import MissingError
from synth.energy.gates import Flat
from synth.layout.kit import DBU, ROW, SITE, TRACKS_X, TRACKS_Y, Polygon, macros

try:
    import coloquinte
except ImportError:
    coloquinte = None

UTILISATION = 0.75  # cells' area over that of the rows
EFFORT, SEED = 3, 1


@dataclass(frozen=True)
class Placed:
    """A placed design, in `DBU`.

    Members
    -------
    flat : its cells and nets. width, height : of the rows, which begin at (0, 0).
    at : instance -> x, y of its lower left corner, and whether it is turned over ("FS", else "N").
    ports : port -> x, y, on the edge and on the router's grid.
    """

    flat: Flat
    width: int
    height: int
    at: dict[str, tuple[int, int, str]]
    ports: dict[str, tuple[int, int]]

    @property
    def area(self) -> float:
        """Square micrometres."""
        return self.width * self.height / DBU ** 2

    def pin(self, instance: str, name: str) -> tuple[int, int]:
        """Where a pin's centre lies."""
        centre = macros()[self.flat.cells[instance][0]].centre(name)
        return self.shapes(instance, [[centre]])[0][0]

    def shapes(self, instance: str, polygons: list[Polygon]) -> list[Polygon]:
        """Shapes of a cell, where it lies."""
        x, y, turned = self.at[instance]
        return [[(x + dx, y + (ROW - dy if turned == "FS" else dy)) for dx, dy in points]
                for points in polygons]

    def half_perimeters(self) -> dict[str, int]:
        """Of the box around each net's pins and ports."""
        found = {}
        for net, pins in self.flat.nets.items():
            points = [self.pin(*pin) for pin in pins]
            points += [self.ports[net]] if net in self.ports else []
            x, y = zip(*points, strict=True)
            found[net] = max(x) - min(x) + max(y) - min(y)
        return found


def place(flat: Flat) -> Placed:
    """Place a flat design in a square: twice, without ports and then with each where its net drew
    it. MissingError without the placer; RuntimeError if it leaves cells over each other."""
    if coloquinte is None:
        raise MissingError("the placer Coloquinte: not installed; make setup")
    sizes = {name: macros()[kind].width for name, (kind, _) in flat.cells.items()}
    rows = max(1, round(math.sqrt(sum(sizes.values()) * ROW / UTILISATION) / ROW))
    width = math.ceil(sum(sizes.values()) / UTILISATION / rows / SITE) * SITE
    height = rows * ROW
    slots = _slots(width, height)
    names = [*flat.inputs, *flat.outputs, "clk"]
    names = [name for name in names if name in flat.nets]
    if len(names) > len(slots):
        raise RuntimeError(f"placement: {len(names)} ports, and an edge of {len(slots)} places")
    free = Placed(flat, width, height, _run(flat, sizes, width, height, {}), {})
    nets = flat.nets
    middles = np.array([np.mean([free.pin(*pin) for pin in nets[name]], axis=0) for name in names])
    distance = np.abs(middles[:, None, :] - np.array(slots)[None]).sum(2)
    chosen = {names[i]: slots[j] for i, j in zip(*linear_sum_assignment(distance), strict=True)}
    return Placed(flat, width, height, _run(flat, sizes, width, height, chosen), chosen)


def _slots(width: int, height: int) -> list[tuple[int, int]]:
    """Every second track that meets an edge, where a port may lie."""
    (x0, dx), (y0, dy) = TRACKS_X, TRACKS_Y
    right, top = x0 + (width - 1 - x0) // dx * dx, y0 + (height - 1 - y0) // dy * dy
    return ([(x, y) for x in range(x0 + 2 * dx, right - dx, 2 * dx) for y in (y0, top)]
            + [(x, y) for y in range(y0 + 2 * dy, top - dy, 2 * dy) for x in (x0, right)])


def _run(flat: Flat, sizes: Mapping[str, int], width: int, height: int,
         ports: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int, str]]:
    """Where Coloquinte puts every cell, the ports being where they are."""
    names = list(sizes)
    index = {name: i for i, name in enumerate([*names, *(("port", port) for port in ports)])}
    circuit = coloquinte.Circuit(len(index))
    fixed = len(ports)
    circuit.cell_width = [*sizes.values(), *[0] * fixed]
    circuit.cell_height = [*[ROW] * len(names), *[0] * fixed]
    circuit.cell_is_fixed = [*[False] * len(names), *[True] * fixed]
    circuit.cell_is_obstruction = [*[True] * len(names), *[False] * fixed]
    circuit.cell_x = [*[0] * len(names), *(x for x, _ in ports.values())]
    circuit.cell_y = [*[0] * len(names), *(y for _, y in ports.values())]
    circuit.setup_rows(coloquinte.Rectangle(0, width, 0, height), ROW, True, True)
    circuit.cell_row_polarity = [coloquinte.CellRowPolarity.SAME] * len(index)
    known = macros()
    for net, pins in flat.nets.items():
        ends = [(index[name], *known[flat.cells[name][0]].centre(pin)) for name, pin in pins]
        ends += [(index["port", net], 0, 0)] if net in ports else []
        if len(ends) > 1:
            circuit.add_net(*map(list, zip(*ends, strict=True)))
    parameters = coloquinte.ColoquinteParameters(EFFORT, SEED)
    with _quiet():
        circuit.place_global(parameters, None)
        circuit.legalize(parameters, None)
        circuit.place_detailed(parameters, None)
    turned = {coloquinte.CellOrientation.N: "N", coloquinte.CellOrientation.FS: "FS"}
    # it knows no sites: a whole number of them lies between cells whose places are rounded down
    found = {name: (x // SITE * SITE, y, turned[orientation]) for name, x, y, orientation in zip(
        names, circuit.cell_x, circuit.cell_y, circuit.cell_orientation, strict=False)}
    accept(found, sizes, width, height)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """What the placer prints, in a language of its own, goes nowhere."""
    with tempfile.TemporaryFile() as nowhere:
        kept = os.dup(1)
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def accept(found: Mapping[str, tuple[int, int, str]], sizes: Mapping[str, int], width: int,
           height: int) -> None:
    """RuntimeError if a cell is outside the rows, off their sites, or over another."""
    rows: dict[int, list[tuple[int, int, str]]] = {}
    for name, (x, y, turned) in found.items():
        if (x % SITE or y % ROW or not 0 <= x <= width - sizes[name] or not 0 <= y < height
                or turned != ("N", "FS")[y // ROW % 2]):
            raise RuntimeError(f"placement: {name} is off the rows, at {x}, {y} {turned}")
        rows.setdefault(y, []).append((x, x + sizes[name], name))
    for row in rows.values():
        row.sort()
        for (_, end, name), (start, _, other) in pairwise(row):
            if start < end:
                raise RuntimeError(f"placement: {name} and {other} lie over each other")
