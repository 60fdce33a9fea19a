# SPDX-License-Identifier: Apache-2.0
"""Power of cells whose nets toggled, from the library's tables of energy.

Energy inside a cell is charged to the toggles of its pins, as Liberty says: those of an output at
the energy of the input that caused them, so of each input by how often it toggles and by the
probability of the condition under which the entry applies. OpenSTA 2.0.17 adds the entries of all
inputs up instead, rise and fall at that: two times too much for an inverter, six for a full adder,
so that designs with many adders would look worse than they are. What it reports for nets is what
is computed here.
"""

import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from synth.cells.libraries import CellLibrary
from synth.energy.vcd import Activity

SLEW = 0.02  # nanoseconds, typical of these designs; the energies hardly depend on it


@dataclass(frozen=True)
class Entry:
    """Femtojoules of a toggle (mean of rise and fall) at loads in femtofarads.

    `related` : the input that causes it, "" for an input's own. when : pins and their values.
    """

    related: str
    when: dict[str, bool]
    loads: list[float]
    energies: list[float]

    def energy(self, load: float) -> float:
        """At a load, on the line through the neighbouring points."""
        if len(self.loads) < 2:
            return self.energies[0]
        i = min(max(bisect(self.loads, load), 1), len(self.loads) - 1)
        (x, v), (y, w) = zip(self.loads[i - 1:i + 1], self.energies[i - 1:i + 1], strict=True)
        return v + (w - v) * (load - x) / (y - x)


@dataclass(frozen=True)
class Cell:
    """Leakage in nanowatts, and the entries of every pin; `outputs` : the pins that are driven."""

    leakage: float
    entries: dict[str, list[Entry]]
    outputs: list[str]


@dataclass(frozen=True)
class Power:
    """Watts. `clocked` : of registers and clock gates and at their clock, not what they drive."""

    total: float
    internal: float
    switching: float
    leakage: float
    clocked: float


def power(cells: dict[str, tuple[str, dict[str, str]]], outputs: list[str],
          active: dict[str, Activity], seconds: float, library: CellLibrary,
          parasitics: Mapping[str, float] | None = None) -> Power:
    """What the cells draw whose nets did that in so many seconds.

    `cells` : instance -> (cell, {pin: net}). `parasitics` : femtofarads of wires by net. The nets
    of inputs and of the clock are charged like any other. RuntimeError if a net was not seen, or
    was unknown.
    """
    tables, capacitances = cells_of(library.path), library.capacitances
    load = dict.fromkeys(active, 0.0) | dict.fromkeys(outputs, library.load)
    for net, farads in (parasitics or {}).items():
        if net not in load:
            raise RuntimeError(f"parasitics of net {net}, which the simulation has not")
        load[net] += farads
    clocks: set[str] = set()
    for name, (kind, pins) in cells.items():
        for pin, net in pins.items():
            if net.startswith("1'"):
                continue
            if net not in active or active[net].unknown:
                raise RuntimeError(f"{name}/{pin}: net {net} is unknown in the simulation")
            if pin in capacitances[kind]:
                load[net] += capacitances[kind][pin]
            if pin == library.clock_pin:
                clocks.add(net)
    internal = leakage = clocked = 0.0
    for kind, pins in cells.values():
        cell = tables[kind]
        seen = {pin: Activity(0, float(net[-1]), False) if net.startswith("1'") else active[net]
                for pin, net in pins.items()}
        own = sum(_energy(cell, pin, seen, load.get(net, 0.0)) for pin, net in pins.items())
        internal += own
        leakage += cell.leakage
        if library.clock_pin in pins:
            clocked += own * 1e-15 / seconds + cell.leakage * 1e-9
    charge = {net: 0.5e-15 * farads * library.voltage ** 2 * active[net].toggles / seconds
              for net, farads in load.items()}
    clocked += sum(charge[net] for net in clocks)
    internal, leakage, switching = internal * 1e-15 / seconds, leakage * 1e-9, sum(charge.values())
    return Power(internal + switching + leakage, internal, switching, leakage, clocked)


def _energy(cell: Cell, pin: str, seen: dict[str, Activity], load: float) -> float:
    """Femtojoules inside a cell that the toggles of one pin cost."""
    entries, toggles = cell.entries.get(pin, []), seen[pin].toggles
    if not entries or not toggles:
        return 0.0
    state = next((output for output in cell.outputs if output in seen), None)
    weights = []
    for entry in entries:
        weight = 1.0
        if entry.related:
            weight *= seen[entry.related].toggles if entry.related in seen else 0
        for other, value in entry.when.items():
            if other in seen and (other not in cell.outputs or other == state):
                weight *= seen[other].duty if value else 1 - seen[other].duty
        weights.append(weight)
    total = sum(weights)
    if pin not in cell.outputs:
        total = 1.0  # what no condition covers costs nothing
    elif not total:  # toggles that no input explains: a mean of all
        weights, total = [1.0] * len(entries), float(len(entries))
    return toggles * sum(weight * entry.energy(load)
                         for weight, entry in zip(weights, entries, strict=True)) / total


@cache
def cells_of(path: Path) -> dict[str, Cell]:
    """The cells of a liberty file."""
    found = {}
    for text in re.split(r"^\s*cell ?\(", path.read_text(), flags=re.M)[1:]:
        head, *pins = re.split(r"^\s*pin ?\(", text, flags=re.M)
        entries, outputs = {}, []
        for pin in pins:
            name = re.match(r'"?(\w+)', pin)[1]
            entries[name] = [_entry(group) for group in re.split(r"internal_power ?\(\)", pin)[1:]]
            if re.search(r"direction\s*:\s*\"?output", pin):
                outputs.append(name)
        found[re.match(r'"?(\w+)', head)[1]] = Cell(
            float((re.search(r"cell_leakage_power\s*:\s*([\d.]+)", text) or [0, 0])[1]), entries,
            outputs)
    return found


def _entry(group: str) -> Entry:
    def word(key: str) -> str:
        found = re.search(rf'{key}\s*:\s*"([^"]*)"', group)
        return found[1] if found else ""

    curves = []
    for edge in ("rise", "fall"):
        _, _, table = group.partition(f"{edge}_power")
        axes = {i: _numbers(found[1]) for i in (1, 2)
                if (found := re.search(rf'index_{i} ?\("([^"]*)"',
                                       table[:table.index("values")]))}
        values = table[table.index("values"):].partition(";")[0]
        rows = [_numbers(row) for row in re.findall(r'"([^"]*)"', values)]
        curves.append((axes.get(2, [0.0]), _at_slew(axes.get(1), rows, 2 in axes)))
    (loads, rise), (other, fall) = curves
    if len(rise) != len(fall):  # a scalar stands for a constant
        longest = max(len(rise), len(fall))
        rise, fall = (curve * (longest // len(curve)) for curve in (rise, fall))
        loads = max(loads, other, key=len)
    when = {literal.strip().lstrip("!"): not literal.strip().startswith("!")
            for literal in word("when").split("&") if literal.strip()}
    return Entry(word("related_pin"), when, loads,
                 [(up + down) / 2 for up, down in zip(rise, fall, strict=True)])


def _at_slew(slews: list[float] | None, rows: list[list[float]], two: bool) -> list[float]:
    """A table's column of energies by load, at `SLEW`."""
    if not slews:
        return rows[0][:1]
    columns = rows if two else [[value] for value in rows[0]]
    i = min(max(bisect(slews, SLEW), 1), len(slews) - 1)
    share = (SLEW - slews[i - 1]) / (slews[i] - slews[i - 1])
    return [a + (b - a) * share for a, b in zip(columns[i - 1], columns[i], strict=True)]


def _numbers(text: str) -> list[float]:
    return [float(value) for value in text.split(",")]
