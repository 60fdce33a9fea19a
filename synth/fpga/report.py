# SPDX-License-Identifier: Apache-2.0
"""FPGA results for people: a table for the terminal, and tables and a plot for report.html."""

from html import escape

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.console import Console
from rich.table import Table

from synth.cells.plots import COLOURS, GRID, MUTED, OTHERS, WIDTH

HEADINGS = ("design", "device", "LUT4", "per MAC", "FFs", "BRAM", "DSP", "MHz")
EXPLANATION = (
    "<p>Placed and routed by nextpnr; LUT4 are logic cells as it counts them, carry cells "
    "included. MHz is the median over the seeds, a seed that failed counting as 0, in brackets the "
    "slowest and the fastest that did not. Ports are left open: paths are timed from register to "
    "register. Rows in grey are not placed.</p>")


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
    table = Table(title="On FPGAs", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right")
    for design in fpga["designs"]:
        table.add_row(*cells(design))
    console.print(table)
    slow = [d for d in fpga["designs"] if d["met"] is False]
    if slow:
        targets = dict.fromkeys(f"{d['target_mhz']:.0f} MHz on {d['device']}" for d in slow)
        console.print(f"* slower than the target, {', '.join(targets)}", highlight=False)
    for text in (*(f"absent: {text}" for text in fpga["missing"]),
                 *(f"failed: {f['design']}, {f['step']}: {f['message']} ({f['log']})"
                   for f in fpga["failures"])):
        console.print(text, highlight=False)


def sections(fpga: dict) -> list[tuple[str, str, Figure | None]]:
    """Title, text and figure of each section of the page."""
    if not fpga["designs"] and not fpga["missing"] and not fpga["failures"]:
        return []
    absent = [*fpga["missing"], *(f"{f['design']}, {f['step']}: {f['message']}; log {f['log']}"
                                  for f in fpga["failures"])]
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    rows = ""
    for design in fpga["designs"]:
        grey = "" if design["placed"] else ' style="color: #868e96"'
        rows += f"<tr{grey}>" + "".join(
            f"<td>{escape(cell)}</td>" for cell in cells(design)) + "</tr>"
    tools = ", ".join(f"{name} {version}" for name, version in fpga["tools"].items())
    text = EXPLANATION + "".join(
        f'<p class="absent">Absent: {escape(text)}</p>' for text in absent) + (
        f"<table><thead><tr>{head}</tr></thead>{rows}</table>"
        f"<p>* slower than the target that placement aimed at. {escape(tools)}. "
        f"{'A subset (QUICK=1)' if fpga['quick'] else 'All designs'}.</p>")
    return [("On FPGAs", text, plot(fpga))]


def plot(fpga: dict) -> Figure | None:
    """LUT4 and clock of every placed design, a bar and its seeds; None if none is placed."""
    shown = [d for d in fpga["designs"] if d["fmax_by_seed"]][::-1]
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 1.1 + 0.27 * len(shown)), layout="constrained")
    size, speed = figure.subplots(1, 2, sharey=True)
    names = [", ".join(cells(d)[:2]) for d in shown]
    colours = [(COLOURS[0] if d["device"].startswith("LFE5U") else COLOURS[1]) if d["ours"]
               else OTHERS[0] for d in shown]
    bars = size.barh(names, [d["luts"] for d in shown], height=0.62, color=colours)
    size.bar_label(bars, [f"{d['luts']:,}" for d in shown], fontsize=7, color=MUTED, padding=3)
    size.set(xscale="log", xlabel="LUT4", xlim=(min(d["luts"] for d in shown) / 2,
                                                max(d["luts"] for d in shown) * 4))
    size.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for place, (design, colour) in enumerate(zip(shown, colours, strict=True)):
        found = list(design["fmax_by_seed"].values())
        speed.plot([min(found), max(found)], [place, place], color=colour, lw=1.2, alpha=0.5)
        speed.scatter(found, [place] * len(found), s=12, color=colour, alpha=0.6, lw=0)
        speed.scatter([design["fmax_mhz"]], [place], s=46, color=colour, marker="|", lw=2)
        speed.plot([design["target_mhz"]] * 2, [place - 0.4, place + 0.4], color=MUTED, lw=0.9,
                   ls=":")
    speed.set(xlabel="MHz", xlim=(0, None))
    for axes in (size, speed):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color=GRID, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
    speed.legend(handles=[
        Line2D([], [], color=MUTED, marker="|", ms=8, mew=2, lw=0, label="median"),
        Line2D([], [], color=MUTED, marker="o", ms=3.5, lw=0, label="one seed"),
        Line2D([], [], color=MUTED, lw=0.9, ls=":", label="target")],
        frameon=False, fontsize=7, loc="upper right", ncols=3,
        bbox_to_anchor=(1.0, 1.0 + 0.4 / len(shown)))
    return figure
