# SPDX-License-Identifier: Apache-2.0
"""What a layout needs of the NanGate kit: outlines and pins of cells, routing layers, wires.

Lengths are in units of the kit's LEF files, `DBU` to a micrometre.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from synth.cells.libraries import NANGATE45, MissingError

# beside the liberty file
TECHNOLOGY, CELLS, CELLS_GDS = "rtk-tech.lef", "stdcells.lef", "stdcells.gds"
DBU = 2000
SITE, ROW = 380, 2800  # a cell's width is a multiple of the one, its height the other
# The router's grid: tracks of metal 2 (x) and of metal 1 and 3 (y), offset and pitch.
TRACKS_X, TRACKS_Y = (190, 380), (140, 280)
Box = tuple[int, int, int, int]  # left, bottom, right, top


@dataclass(frozen=True)
class Layer:
    """A routing layer: ohms and femtofarads per micrometre of wire, half its width in `DBU`."""

    name: str
    ohms: float
    femtofarads: float
    half: int


# Resistances are the LEF's. Its capacitances lack coupling to neighbours, and metal 5's is a tenth
# of its neighbours'; these are what OpenROAD-flow-scripts calibrated for this kit (setRC.tcl).
LAYERS = {layer.name: layer for layer in (
    Layer("metal1", 5.4286, 0.0741819, 70), Layer("metal2", 3.5714, 0.0674606, 70),
    Layer("metal3", 3.5714, 0.0888758, 70), Layer("metal4", 1.5, 0.107121, 140),
    Layer("metal5", 1.5, 0.108964, 140), Layer("metal6", 1.5, 0.102044, 140))}
# The router takes any via of a cut that it is offered, and leaves opens with most: one each.
VIAS = ("via1_4", "via2_5", "via3_2", "via4_0", "via5_0")
VIA_OHMS = {"via1": 5.0, "via2": 5.0, "via3": 5.0, "via4": 3.0, "via5": 3.0}
ESTIMATED = LAYERS["metal3"]  # stands for all layers before routing


Polygon = list[tuple[int, int]]


@dataclass(frozen=True)
class Macro:
    """A cell, north up.

    Members
    -------
    width. pins : the shapes of each signal pin. supplies : those of power and ground, by name.
    inside : metal that belongs to no pin. All shapes are on metal 1.
    """

    width: int
    pins: dict[str, list[Polygon]]
    supplies: dict[str, list[Polygon]]
    inside: list[Polygon]

    def centre(self, pin: str) -> tuple[int, int]:
        """Of the pin's first shape."""
        x, y = zip(*self.pins[pin][0], strict=True)
        return (min(x) + max(x)) // 2, (min(y) + max(y)) // 2


def file(name: str) -> Path:
    """A file of the kit; MissingError where it is not installed."""
    path = NANGATE45.path.with_name(name)
    if not path.exists():
        raise MissingError(f"{name} of the NanGate kit: not installed; {NANGATE45.install}")
    return path


@cache
def macros() -> dict[str, Macro]:
    """Every cell of the kit."""
    found = {}
    for name, text in re.findall(r"^MACRO (\w+)\n(.*?)^END \1$", file(CELLS).read_text(),
                                 re.M | re.S):
        bodies = dict(re.findall(r"^  PIN (\w+)\n(.*?)^  END \1$", text, re.M | re.S))
        supplies = {pin for pin, body in bodies.items()
                    if re.search(r"USE (?:power|ground)", body)}
        shapes = {pin: _shapes(body) for pin, body in bodies.items()}
        found[name] = Macro(
            _units(re.search(r"SIZE ([\d.]+) BY", text)[1]),
            {pin: found for pin, found in shapes.items() if pin not in supplies},
            {pin: found for pin, found in shapes.items() if pin in supplies},
            _shapes(text.partition("\n  OBS\n")[2]))
    return found


@cache
def via_boxes() -> dict[str, dict[str, Box]]:
    """Of each of `VIAS` its box on every layer that it has, about its middle."""
    return {name: {layer: tuple(map(_units, numbers.split())) for layer, numbers in re.findall(
        r"LAYER (\w+) ;\s+RECT ([-\d. ]+);", body)}
        for name, body in re.findall(r"^VIA (\S+)[^\n]*\n(.*?)^END \1\n", technology(),
                                     re.M | re.S)}


@cache
def spacings() -> dict[str, int]:
    """Of every layer the least distance between two shapes of ordinary width."""
    found = {}
    for name, body in re.findall(r"^LAYER (\w+)\n(.*?)^END \1\n", technology(), re.M | re.S):
        text = re.search(r"^\s*SPACING ([\d.]+)|WIDTH 0\.0000 +([\d.]+)", body, re.M)
        if text:
            found[name] = _units(text[1] or text[2])
    return found


def site() -> str:
    """The name of the places that rows are made of."""
    return re.search(r"^  SITE (\S+) ;", file(CELLS).read_text(), re.M)[1]


def technology() -> str:
    """The technology LEF for the router: one via per cut."""
    text = file(TECHNOLOGY).read_text()
    text = re.sub(r"^VIARULE (\S+) .*?^END \1\n", "", text, flags=re.M | re.S)
    return re.sub(r"^VIA (\S+)[^\n]*\n.*?^END \1\n",
                  lambda via: via[0] if via[1] in VIAS else "", text, flags=re.M | re.S)


def _shapes(text: str) -> list[Polygon]:
    found = []
    for kind, numbers in re.findall(r"(POLYGON|RECT) ([-\d. ]+);", text):
        values = [_units(number) for number in numbers.split()]
        points = list(zip(values[::2], values[1::2], strict=True))
        if kind == "RECT":
            (x, y), (right, top) = points
            points = [(x, y), (right, y), (right, top), (x, top)]
        found.append(points)
    return found


def _units(micrometres: str) -> int:
    return round(float(micrometres) * DBU)
