# SPDX-License-Identifier: Apache-2.0
"""Pictures of layouts: cells by what they are, wires by layer, to one scale."""

import json
from collections.abc import Sequence

from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from synth.cells.libraries import NANGATE45
from synth.layout.kit import DBU, LAYERS, ROW, macros
from synth.layout.layout import Result
from synth.layout.pieces import Wire
from synth.layout.route import read
from tools.figures import BLUE, GREEN, GRID, INK, ORANGE, PURPLE, SKY, VERMILION, WINE, narrow

KINDS = {"registers and clock gates": BLUE, "full and half adders": ORANGE, "other cells": GRID}
COLOURS = dict(zip(list(LAYERS)[1:], (VERMILION, GREEN, PURPLE, SKY, WINE), strict=True))


def layouts(results: Sequence[Result], titles: Sequence[str], width: float,
            wires: bool = True) -> Figure:
    """Layouts beside each other, or below on a phone, all to one scale; `wires` : over the cells.
    """
    shapes = [json.loads((result.folder / "placed.json").read_text()) for result in results]
    sizes = [(shape["width"] / DBU, shape["height"] / DBU) for shape in shapes]
    below = narrow(width) and len(results) > 1
    # tens of thousands of shapes are pixels, at this resolution, in a drawing too
    figure = Figure(figsize=_size(sizes, width, below), layout="constrained", dpi=200)
    every = figure.subplots(len(results) if below else 1, 1 if below else len(results),
                            squeeze=False,
                            **{"height_ratios" if below else "width_ratios":
                               [size[below] for size in sizes]})
    widest, highest = (max(size[i] for size in sizes) for i in (0, 1))
    for axes, result, shape, size, title in zip(every.flat, results, shapes, sizes, titles,
                                                strict=True):
        axes.add_patch(Rectangle((0, 0), *size, fc="none", ec=INK, lw=0.8, clip_on=False))
        _cells(axes, shape)
        if wires:
            _wires(axes, result)
        axes.set(xlim=(0, widest if below else size[0]), ylim=(0, size[1] if below else highest),
                 aspect="equal", anchor="W" if below else "S")
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.tick_params(colors=INK, labelsize=8, length=0)
        axes.spines[:].set_visible(False)
    every.flat[0].set_ylabel("um", fontsize=9)
    handles = [Patch(color=colour, label=name) for name, colour in KINDS.items()]
    handles += [Patch(color=colour, label=layer) for layer, colour in COLOURS.items()
                if wires]
    figure.legend(handles=handles, ncols=2 if narrow(width) else 4, loc="outside lower center",
                  frameon=False, fontsize=8.5)
    return figure


def _size(sizes: Sequence[tuple[float, float]], width: float, below: bool) -> tuple[float, float]:
    across = max(w for w, _ in sizes) if below else sum(w for w, _ in sizes)
    up = sum(h for _, h in sizes) if below else max(h for _, h in sizes)
    return width, 0.95 * width * up / across + (1.8 if below else 0.9)


def _cells(axes, shape: dict) -> None:
    boxes: dict[str, list] = {kind: [] for kind in KINDS}
    for name, (x, y, _) in shape["at"].items():
        cell = shape["kinds"][name]
        left, right = x / DBU, (x + macros()[cell].width) / DBU
        bottom, top = y / DBU, (y + ROW) / DBU
        boxes[_kind(cell)].append([(left, bottom), (right, bottom), (right, top), (left, top)])
    for kind, found in boxes.items():
        axes.add_collection(PolyCollection(found, facecolors=KINDS[kind], edgecolors="white",
                                           linewidths=0.2, rasterized=True))


def _kind(cell: str) -> str:
    registers, adders, others = KINDS
    library = NANGATE45
    if cell in (library.full_adder.cell, library.half_adder.cell):
        return adders
    clocked = cell.startswith(library.flip_flop.partition("_")[0]) or cell in library.clock_gates
    return registers if clocked else others


def _wires(axes, result: Result) -> None:
    lines: dict[str, list] = {}
    for pieces in read(result.folder / "routed.def", "").nets.values():
        for piece in pieces:
            if isinstance(piece, Wire) and piece.layer in COLOURS:
                lines.setdefault(piece.layer, []).append(
                    [(x / DBU, y / DBU) for x, y in (piece.start, piece.end)])
    for layer, found in sorted(lines.items()):
        axes.add_collection(LineCollection(found, colors=COLOURS[layer], linewidths=0.35,
                                           alpha=0.75, rasterized=True))
