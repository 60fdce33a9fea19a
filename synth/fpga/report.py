# SPDX-License-Identifier: Apache-2.0
"""FPGA results for people: a table for the terminal, and tables and a plot for report.html."""

from functools import partial

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.console import Console
from rich.table import Table

from tools.figures import (
    BLUE,
    MUTED,
    ORANGE,
    VERMILION,
    grid,
    legend,
    linear,
    logarithmic,
)
from tools.figures import narrow as is_narrow
from tools.page import paragraph, picture, section, table

SUBSET = ": a subset of the designs (QUICK=1)"
HEADINGS = ("design", "device", "LUT4", "per MAC", "FFs", "BRAM", "DSP", "MHz")
EXPLANATION = (
    "nextpnr placed and routed these designs; LUT4 are logic cells as it counts them, carry cells "
    "included. MHz is the median over the seeds, a seed that failed counting as 0, in brackets the "
    "slowest and the fastest that did not. Ports are left open: paths are timed from register to "
    "register. Rows in grey are not placed.")


def cells(design: dict) -> list[str]:
    """One row of the table."""
    dsp = ", no DSP" if design["device"].startswith("LFE5U") and not design["dsp"] else ""
    speeds, failed = design["fmax_by_seed"].values(), design["seeds_failed"]
    if design["fits"] is False:
        mhz = "too large"
    elif speeds:
        mhz = (f"{'' if design['met'] else '* '}{design['fmax_mhz']:,.0f} "
               f"({min(speeds):,.0f}..{max(speeds):,.0f})")
    elif design["placed"]:
        mhz = "no register"
    else:
        mhz = "not placed" if failed else "mapped only"
    mhz += f", {failed} failed" if failed else ""
    per_mac = design["luts_per_mac"]
    return [f"{design['block'].removeprefix('tetra_')}, {design['preset']}",
            design["device"] + dsp, f"{design['luts']:,}", "" if per_mac is None else
            f"{per_mac:,.1f}", f"{design['flip_flops']:,}", str(design["brams"] or ""),
            str(design["dsps"] or ""), mhz]


def show(fpga: dict, console: Console) -> None:
    """The table, then what is absent and what failed."""
    shown = Table(title="On FPGAs" + (SUBSET if fpga["quick"] else ""), title_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right")
    for design in fpga["designs"]:
        shown.add_row(*cells(design))
    console.print(shown)
    slow = [d for d in fpga["designs"] if d["met"] is False]
    if slow:
        targets = dict.fromkeys(f"{d['target_mhz']:.0f} MHz on {d['device']}" for d in slow)
        console.print(f"* slower than the target, {', '.join(targets)}", highlight=False)
    for text in (*(f"absent: {text}" for text in fpga["missing"]),
                 *(f"failed: {f['design']}, {f['step']}: {f['message']} ({f['log']})"
                   for f in fpga["failures"])):
        console.print(text, highlight=False)


def sections(fpga: dict) -> list[str]:
    """The HTML of each section of the page."""
    designs = fpga["designs"]
    if not designs and not fpga["missing"] and not fpga["failures"]:
        return []
    absent = [*fpga["missing"], *(f"{f['design']}, {f['step']}: {f['message']}; log {f['log']}"
                                  for f in fpga["failures"])]
    tools = ", ".join(f"{name} {version}" for name, version in fpga["tools"].items())
    placed = [d for d in designs if d["fmax_by_seed"]]
    return [section(
        "On FPGAs" + (SUBSET if fpga["quick"] else ""), paragraph(EXPLANATION),
        *(paragraph(f"Absent: {text}", "absent") for text in absent),
        table(map(cells, designs), HEADINGS, about="FPGA results", words=(1,),
              muted=lambda i: not designs[i]["placed"]),
        paragraph(f"* slower than the target that placement aimed at. {tools}."),
        *([picture(partial(plot, placed), "Bars of the LUT4 of every placed design, and beside or "
                   "below them its clock with each seed: " + "; ".join(
                       f"{', '.join(cells(d)[:2])}: {d['luts']:,} LUT4, {d['fmax_mhz']:,.0f} MHz"
                       for d in placed) + ".",
                   "The bars show the size of each design on a logarithmic scale, the marks its "
                   "clock with each seed: the wider they spread, the more luck placement needs. "
                   "The core is blue on ECP5 and orange on iCE40, baselines are vermilion.")]
          if placed else []))]


def plot(placed: list[dict], width: float) -> Figure:
    """LUT4 and clock of placed designs, a bar and its seeds."""
    shown = placed[::-1]
    slim = is_narrow(width)
    shape, high = ((2, 1), 0.38) if slim else ((1, 2), 0.27)
    figure, every = grid(width, 0.4 + shape[0] * (0.6 + high * len(shown)), *shape, sharey=True)
    size, speed = every.flat
    names = [("\n" if slim else ", ").join(cells(d)[:2]) for d in shown]
    # Not by name: two designs may have the same, and would share a bar.
    places = range(len(shown))
    colours = [(BLUE if d["device"].startswith("LFE5U") else ORANGE) if d["ours"] else VERMILION
               for d in shown]
    bars = size.barh(places, [d["luts"] for d in shown], height=0.62, color=colours)
    size.bar_label(bars, [f"{d['luts']:,}" for d in shown], fontsize=8, color=MUTED, padding=3)
    size.set_yticks(places, names)
    logarithmic(size.xaxis, 3 if slim else 4)
    size.set(xlabel="LUT4", xlim=(min(d["luts"] for d in shown) / 2,
                                  max(d["luts"] for d in shown) * 6))
    for place, (design, colour) in enumerate(zip(shown, colours, strict=True)):
        found = list(design["fmax_by_seed"].values())
        speed.plot([min(found), max(found)], [place, place], color=colour, lw=1.2, alpha=0.5)
        speed.scatter(found, [place] * len(found), s=12, color=colour, alpha=0.6, lw=0)
        speed.scatter([design["fmax_mhz"]], [place], s=60, color=colour, marker="|", lw=2)
        speed.plot([design["target_mhz"]] * 2, [place - 0.4, place + 0.4], color=MUTED, lw=1.1,
                   ls=":")
    speed.set(xlabel="clock (MHz)", xlim=(0, None))
    linear(speed.xaxis, 5)
    for axes in (size, speed):
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.03)
        axes.tick_params(axis="y", labelsize=8)
    legend(figure, speed, 3, [
        Line2D([], [], color=MUTED, marker="|", ms=8, mew=2, lw=0, label="median"),
        Line2D([], [], color=MUTED, marker="o", ms=3.5, lw=0, label="one seed"),
        Line2D([], [], color=MUTED, lw=1.1, ls=":", label="target")])
    return figure
