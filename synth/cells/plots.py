# SPDX-License-Identifier: Apache-2.0
"""The synthesis report's figures. Each function returns a matplotlib Figure `width` inches wide."""

from collections import defaultdict
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from tools.figures import (
    BLACK,
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WINE,
    YELLOW,
    grid,
    legend,
    linear,
    logarithmic,
)
from tools.figures import narrow as is_narrow

# Cold colours are the core's, warm ones the baselines'; a mark of its own tells each block apart
# where colours do not.
CORE = ((BLUE, "o"), (SKY, "s"), (GREEN, "^"), (BLACK, "D"), (MUTED, "v"))
OTHERS = ((VERMILION, "X"), (PURPLE, "P"), (ORANGE, "*"), (WINE, "p"), (VERMILION, "<"),
          (PURPLE, ">"), (ORANGE, "h"), (WINE, "d"), (VERMILION, "."), (PURPLE, "8"),
          (WINE, "H"), (ORANGE, "D"), (VERMILION, "p"), (PURPLE, "d"))
STACKED = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, MUTED)
HATCHES = ("", "///", "...")  # the second time through the colours, and the third


def frontier(summary: dict, width: float) -> Figure:
    """Rate per area: area of one MAC against clock, a mark per design and recipe."""
    per_mac = defaultdict(list)
    for design in summary["designs"]:
        if sum(design["macs_per_cycle"].values()) and design["block"] in compared(summary):
            for point in design["points"]:
                area = point["fmax_mhz"] / point["density"]["training"]
                best = point["recipes"] == design["best"]["recipes"]
                per_mac[design["block"]].append((area, point["fmax_mhz"], 46 if best else 12))
    figure, every = grid(width, 4.4 if is_narrow(width) else 5.2)
    axes = every[0, 0]
    for block, (colour, marker) in _styles(summary).items():
        area, clock, size = zip(*per_mac[block], strict=True)
        axes.scatter(area, clock, s=size, color=colour, marker=marker, alpha=0.75, lw=0)
        axes.scatter([], [], s=40, color=colour, marker=marker, lw=0, label=_short(block))
    everything = np.array([found[:2] for block in per_mac.values() for found in block])
    areas, clocks = (np.array([everything[:, i].min() * 0.7, everything[:, i].max() * 1.3])
                     for i in (0, 1))
    logarithmic(axes.xaxis, 4 if is_narrow(width) else 7)
    logarithmic(axes.yaxis)
    axes.set(xlim=areas, ylim=clocks, xlabel="area per MAC and cycle (um²)", ylabel="clock (MHz)")
    _equal_densities(axes, areas, clocks, width)
    legend(figure, axes, _columns(width))
    return figure


def _equal_densities(axes, areas, clocks, width: float) -> None:
    """Dotted lines of equal density, labelled where they enter the figure if there is room."""
    apart = 0.85 * width / 2 / np.log10(areas[1] / areas[0])  # inches between lines, half a decade
    every = max(1, int(np.ceil(1.3 / apart)))
    for i, density in enumerate((0.03, 0.1, 0.3, 1.0, 3.0, 10.0)):
        axes.plot(areas, areas * density, color=MUTED, lw=0.9, ls=":", zorder=0)
        where = max(areas[0] * 1.05, clocks[0] * 1.05 / density)
        if i % every == 0 and where < areas[1] / 3 and where * density < clocks[1] / 1.1:
            axes.annotate(f"{density * 1000:,.0f} GMAC/s per mm²", (where, where * density),
                          color=MUTED, fontsize=7, ha="left", va="bottom", zorder=0.5,
                          bbox={"fc": "white", "ec": "none", "pad": 0.5})


def depth(summary: dict, width: float) -> Figure:
    """Fastest clock against the number of pipeline stages, of the preset that the headline has."""
    figure, every = grid(width, 3.8)
    axes = every[0, 0]
    lines: dict[str, dict[int, float]] = defaultdict(dict)
    for design in summary["designs"]:
        if design["block"] in compared(summary) and design["preset"] == summary["preset"]:
            of = lines[design["block"]]
            of[design["depth"]] = max(of.get(design["depth"], 0), design["fastest_mhz"])
    for block, (colour, marker) in _styles(summary).items():
        stages = sorted(lines[block])
        axes.plot(stages, [lines[block][s] for s in stages], marker=marker, ms=5, color=colour,
                  ls="-" if colour in dict(CORE) else "--", label=_short(block))
    axes.set(xlabel="pipeline stages", ylabel="clock (MHz)", ylim=(0, None))
    linear(axes.xaxis, integer=True)
    linear(axes.yaxis)
    legend(figure, axes, _columns(width))
    return figure


def has_areas(summary: dict) -> bool:
    """Whether any design has several blocks."""
    return any(len(design["best"]["blocks"]) > 1 for design in summary["designs"])


def area(summary: dict, width: float) -> Figure:
    """Stacked shares of area of every design with several blocks."""
    shown = {}
    for design in summary["designs"]:
        if len(design["best"]["blocks"]) > 1:
            name = f"{_short(design['block'])}, {design['preset']}"
            name += f", {design['depth']} stages" if design["depth"] else ""
            shown[name] = design["best"]["blocks"]
    blocks = sorted({block for found in shown.values() for block in found})
    lines = -(-len(blocks) // _columns(width))
    figure, every = grid(width, 0.9 + 0.32 * len(shown) + 0.22 * lines)
    axes = every[0, 0]
    names = list(shown)[::-1]
    left = np.zeros(len(names))
    totals = np.array([sum(b["instances"] * b["area"] for b in shown[n].values()) for n in names])
    for i, block in enumerate(blocks):
        share = np.array([shown[n].get(block, {"instances": 0, "area": 0})["area"]
                          * shown[n].get(block, {"instances": 0})["instances"] for n in names])
        share = 100 * share / totals
        axes.barh(names, share, left=left, height=0.7, label=_short(block), edgecolor="white",
                  lw=0.5, color=STACKED[i % len(STACKED)],
                  hatch=HATCHES[i // len(STACKED) % len(HATCHES)])
        left += share
    axes.margins(y=0.02)
    axes.set(xlim=(0, 100), xlabel="share of area (%)")
    linear(axes.xaxis, 5)
    axes.tick_params(axis="y", labelsize=8)
    legend(figure, axes, _columns(width))
    return figure


def energy(summary: dict, width: float) -> Figure:
    """Picojoules per MAC of every design, a group of bars per GEMM."""
    shown = summary["energy"]
    gemms = [gemm for gemm in shown[0]["pj_per_mac"] if gemm != "training"] + ["training"]
    figure, every = grid(width, 1.2 + len(gemms) * (0.25 + 0.19 * len(shown)))
    axes = every[0, 0]
    high = 0.8 / len(shown)
    seen: dict[str, int] = {}  # a block of several depths has its colour in several hatchings
    for i, design in enumerate(shown):
        places = np.arange(len(gemms)) + (i - (len(shown) - 1) / 2) * high
        hatch = seen[design["block"]] = seen.get(design["block"], -1) + 1
        bars = axes.barh(places, [design["pj_per_mac"][gemm] for gemm in gemms], high * 0.9,
                         color=_styles(summary)[design["block"]][0], edgecolor="white", lw=0.5,
                         hatch=HATCHES[hatch % len(HATCHES)], label=_short(design["name"]))
        axes.bar_label(bars, fmt="%.2f", fontsize=8, color=MUTED, padding=3)
    axes.set_yticks(range(len(gemms)), gemms)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(xlabel="pJ per MAC")
    linear(axes.xaxis, 5)
    axes.grid(axis="y", visible=False)
    legend(figure, axes, _columns(width))
    return figure


def compared(summary: dict) -> set[str]:
    """Blocks with MACs in the preset of the headline."""
    return {d["block"] for d in summary["designs"]
            if d["preset"] == summary["preset"] and sum(d["macs_per_cycle"].values())}


def _styles(summary: dict) -> dict[str, tuple[str, str]]:
    """Colour and mark of each block with MACs, the core's first and in colours of their own."""
    ours = {d["block"]: d["ours"] for d in summary["designs"] if d["block"] in compared(summary)}
    core, others = ([b for b in sorted(ours) if ours[b] is mine] for mine in (True, False))
    return dict(zip(core, cycle(CORE), strict=False)) | dict(
        zip(others, cycle(OTHERS), strict=False))


def _columns(width: float) -> int:
    return 2 if is_narrow(width) else 5


def _short(name: str) -> str:
    return name.removeprefix("tetra_")
