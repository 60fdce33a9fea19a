# SPDX-License-Identifier: Apache-2.0
"""The synthesis report's figures. Each function returns a matplotlib Figure."""

from collections import defaultdict
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

COLOURS = ("#0b7285", "#22b8cf", "#1864ab", "#74c0fc", "#2b8a3e")  # of the core
OTHERS = ("#e8590c", "#c2255c", "#e67700", "#862e9c")  # of baselines
GRID, MUTED = "#dee2e6", "#868e96"
WIDTH = 9.0


def frontier(summary: dict) -> Figure:
    """Rate per area: area of one MAC against clock, a mark per design and recipe."""
    figure, axes = _figure(5.0)
    shown = [d for d in summary["designs"] if sum(d["macs_per_cycle"].values())
             and d["block"] in compared(summary)]
    per_mac = defaultdict(list)
    for design in shown:
        for point in design["points"]:
            area = point["fmax_mhz"] / point["density"]["training"]
            best = point["recipes"] == design["best"]["recipes"]
            per_mac[design["block"]].append((area, point["fmax_mhz"], 46 if best else 12))
    colours = _colours(summary)
    for block in colours:
        area, clock, size = zip(*per_mac[block], strict=True)
        axes.scatter(area, clock, s=size, color=colours[block], alpha=0.75, lw=0, label=block)
    everything = [found for block in per_mac.values() for found in block]
    areas = np.array([min(a for a, _, _ in everything) * 0.6,
                      max(a for a, _, _ in everything) * 1.25])
    clocks = [clock for _, clock, _ in everything]
    bottom, top = min(clocks) * 0.7, max(clocks) * 1.15
    for density in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        axes.plot(areas, areas * density, color=MUTED, lw=0.9, ls=":", zorder=0)
        # labelled where the line enters the figure
        where = max(areas[0] * 1.1, bottom * 1.08 / density)
        if where < areas[1] / 1.5 and where * density < top / 1.1:
            axes.annotate(f"{density * 1000:,.0f} GMAC/s per mm²", (where, where * density),
                          color=MUTED, fontsize=7, ha="left", va="center", zorder=0.5,
                          bbox={"fc": "white", "ec": "none", "pad": 1.0})
    axes.set(xscale="log", yscale="log", xlim=areas, ylim=(bottom, top),
             xlabel="area per MAC and cycle (um²)", ylabel="clock (MHz)")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _plain(axes)
    return figure


def depth(summary: dict) -> Figure:
    """Fastest clock against the number of pipeline stages, of the preset that the headline has."""
    figure, axes = _figure(3.6)
    lines = defaultdict(dict)
    for design in summary["designs"]:
        if design["block"] in compared(summary) and design["preset"] == summary["preset"]:
            lines[design["block"]][design["depth"]] = design["fastest_mhz"]
    for block, colour in _colours(summary).items():
        stages = sorted(lines[block])
        axes.plot(stages, [lines[block][s] for s in stages], marker="o", ms=4, color=colour,
                  label=block)
    axes.set(xlabel="pipeline stages", ylabel="clock (MHz)", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def area(summary: dict) -> Figure | None:
    """Stacked shares of area of every design with several blocks; None if there is none."""
    shown = {}
    for design in summary["designs"]:
        if len(design["best"]["blocks"]) > 1:
            name = f"{design['block'].removeprefix('tetra_')}, {design['preset']}"
            name += f", {design['depth']} stages" if design["depth"] else ""
            shown[name] = design["best"]["blocks"]
    if not shown:
        return None
    blocks = sorted({block for found in shown.values() for block in found})
    figure, axes = _figure(1.0 + 0.32 * len(shown))
    names = list(shown)[::-1]
    left = np.zeros(len(names))
    totals = np.array([sum(b["instances"] * b["area"] for b in shown[n].values()) for n in names])
    for i, block in enumerate(blocks):
        share = np.array([shown[n].get(block, {"instances": 0, "area": 0})["area"]
                          * shown[n].get(block, {"instances": 0})["instances"] for n in names])
        share = share / totals
        axes.barh(names, share, left=left, height=0.7, label=block,
                  color=colormaps["tab20"](i))
        left += share
    axes.set(xlim=(0, 1), xlabel="share of the design's area")
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def energy(summary: dict) -> Figure:
    """Picojoules per MAC of every design, a group of bars per GEMM."""
    figure, axes = _figure(3.6)
    shown = summary["energy"]
    colours = _colours(summary)
    gemms = [gemm for gemm in shown[0]["pj_per_mac"] if gemm != "training"] + ["training"]
    wide = 0.8 / len(shown)
    for i, design in enumerate(shown):
        places = np.arange(len(gemms)) + (i - (len(shown) - 1) / 2) * wide
        bars = axes.bar(places, [design["pj_per_mac"][gemm] for gemm in gemms], wide * 0.9,
                        color=colours[design["block"]], label=design["name"])
        axes.bar_label(bars, fmt="%.2f", fontsize=7, color=MUTED)
    axes.set_xticks(range(len(gemms)), gemms)
    axes.set(ylabel="pJ per MAC")
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def compared(summary: dict) -> set[str]:
    """Blocks with MACs in the preset of the headline."""
    return {d["block"] for d in summary["designs"]
            if d["preset"] == summary["preset"] and sum(d["macs_per_cycle"].values())}


def _colours(summary: dict) -> dict[str, str]:
    """A colour for each block with MACs, the core's first and in colours of their own."""
    ours = {d["block"]: d["ours"] for d in summary["designs"] if d["block"] in compared(summary)}
    core, others = ([b for b in sorted(ours) if ours[b] is mine] for mine in (True, False))
    return dict(zip(core, cycle(COLOURS), strict=False)) | dict(
        zip(others, cycle(OTHERS), strict=False))


def _plain(axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.set_minor_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(which="both", labelsize=7)


def _figure(height: float):
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes
