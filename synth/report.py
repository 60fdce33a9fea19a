# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one self-contained page about one sweep, its figures embedded."""

from functools import partial

from golden.config import VERSION
from synth.cells import plots
from synth.cells.summary import FORMATS, HEADLINE, KINDS, MEASURES, PUBLISHED
from synth.fpga import report as fpga_report
from tools.page import page, paragraph, picture, section, table

SUBSET = "a subset of designs and recipes (QUICK=1)"
BOUNDS = (
    "a design's density and clock are lower bounds of what the full sweep finds, and a ratio, of "
    "one such bound to another, is no bound at all: quote neither")


def render(summary: dict) -> str:
    """The page as a string; of a summary that knows FPGAs only, their part alone."""
    if "designs" not in summary:
        subset = fpga_report.SUBSET if summary["fpga"]["quick"] else ""
        return page("Tetra: synthesis, FPGAs only" + subset, "What Tetra costs on FPGAs" + subset,
                    fpga_report.sections(summary["fpga"]), f"Tetra {VERSION}.")
    absent = [*summary["missing"], *(f"{f['design']}, {f['block']} by {f['recipe']} "
                                     f"({f['library']}): {f['message']}; log {f['log']}"
                                     for f in summary["failures"])]
    quick = summary["quick"]
    return page(
        "Tetra: synthesis" + (f" of {SUBSET}" if quick else ""),
        "What Tetra costs in silicon" + (f": {SUBSET}" if quick else ""),
        [paragraph(f"{summary['title']}. Before placement and routing. Timing: "
                   f"{summary['timing']}.", "lead"),
         *([paragraph(f"This run mapped few designs by few recipes: {BOUNDS}. make synth, "
                      "without QUICK, makes the full sweep.", "subset")] if quick else []),
         *(paragraph(f"Absent: {text}", "absent") for text in absent),
         *_sections(summary)],
        "Tetra {}, Yosys (pyosys) {}, OpenSTA {}. {}".format(
            summary["version"], summary["tools"]["pyosys"],
            summary["tools"]["opensta"] or "absent",
            "A subset (QUICK=1)." if quick else "The full sweep."))


def _sections(summary: dict) -> list[str]:
    found = [section("Against the densest of each kind", *_ratios(summary)),
             section("Beside published figures", _published(summary))]
    if plots.compared(summary):
        found += _compared(summary)
    if summary["energy"]:
        found.append(section("Energy", *_energy(summary)))
    if plots.has_areas(summary):
        found.append(section("Where the area goes", picture(
            partial(plots.area, summary),
            "Stacked bars: the share of each block in the area of every design that has several.",
            "Each bar is one design at its best point, cut into the shares of area that its "
            "blocks have; a block's own share is without the blocks in it.")))
    found.append(section("Best point of every design", _designs(summary)))
    return found + (fpga_report.sections(summary["fpga"]) if "fpga" in summary else [])


def _compared(summary: dict) -> list[str]:
    best = max((d for d in summary["designs"] if d["block"] in plots.compared(summary)),
               key=lambda d: d["best"]["density"]["training"])
    return [
        section("Every design and recipe", picture(
            partial(plots.frontier, summary),
            "Scatter chart of clock against area per MAC and cycle, a mark per design and recipe. "
            f"The densest is {best['name']} with {best['best']['density']['training'] * 1000:,.0f} "
            "GMAC/s per mm².",
            "Each mark is a design by one recipe, a large one its best; the further towards the "
            "top left, the denser. Dotted lines join equal densities, both axes are logarithmic. "
            "Baselines stand in the grid with shared operand registers.")),
        section("Clock and depth", picture(
            partial(plots.depth, summary),
            "Line chart: the fastest clock of each block against its number of pipeline stages.",
            "Each line shows how much faster one block gets as more registers cut it into shorter "
            "stages: the fastest clock that any of its recipes reaches, preset "
            f"{summary['preset']}. Baselines are dashed. Our depths other than the preset's own "
            "have four recipes.")),
    ]


RATIOS = ["against", "library", "the densest", "its GMAC/s per mm²", *HEADLINE,
          "tile, registers not shared", "energy of the tile"]


def ratios(summary: dict) -> list[list[str]]:
    """How many times as dense, and as thrifty, we are as the densest of each kind, under `RATIOS`;
    by set of `FORMATS`, one after the other."""
    rows = []
    for found in (summary, *summary["second_libraries"]):
        for kind, ratio in found["density_ratio"].items():
            if ratio["against"]:
                energy = found.get("energy_ratio", {}).get(kind, {"tile": {}})
                alone = {formats: times and times * ratio["density"] / ratio["alone"]
                         for formats, times in ratio["tile"].items()}
                rows.append([KINDS[kind], found["library"], ratio["against"],
                             f"{ratio['density'] * 1000:,.0f}", *map(_times, (
                                 *(ratio[level] for level in HEADLINE), alone, energy["tile"]))])
    return rows


def _times(by_formats: dict) -> str:
    """Nothing, where none was measured."""
    if not any(by_formats.values()):
        return ""
    return ", ".join(f"{times:.2f}" if times else "-" for times in by_formats.values())


def _ratios(summary: dict) -> list[str]:
    return [
        table(ratios(summary), RATIOS, about="Density and energy ratios", words=(0, 1, 2)),
        paragraph("MACs per second and area in training (the harmonic mean over the three GEMMs), "
                  "and energy per MAC, as a multiple of the densest unit of each kind at its own "
                  "best depth and recipe. Three figures are those of tiles for gradients of radix "
                  f"{', '.join(FORMATS)}. Rivals stand in a grid of as many MACs, which shares "
                  "operand registers. Dot products share an accumulator among their lanes, as the "
                  "tile does; registers to drain their sums, and control, are not counted, to "
                  "their advantage.")]


def _energy(summary: dict) -> list[str]:
    rows = [[design["name"], f"{design['clock_mhz']:,.0f}",
             *(f"{design['pj_per_mac'][m]:.3f}" for m in MEASURES),
             "; ".join(f"{part['glitches'] / part['total']:.0%}"
                       for part in design["parts"].values() if "glitches" in part),
             design["operands"], "; ".join(dict.fromkeys(design["recipes"].values()))]
            for design in summary["energy"]]
    head = ["design", "MHz", *MEASURES, "of it glitches", "operands", "recipe"]
    return [
        paragraph("pJ per MAC at each design's best clock, equal supply, from simulation of its "
                  "cells with their delays, glitches included, on operands recorded in the middle "
                  "of a training run. Clock tree and wires are not in it."),
        table(rows, head, about="Energy per MAC", words=(len(head) - 2, len(head) - 1)),
        picture(partial(plots.energy, summary),
                "Bars of pJ per MAC, a group per GEMM and a bar per design; in training: "
                + ", ".join(f"{d['name']} {d['pj_per_mac']['training']:.2f}"
                            for d in summary["energy"]) + ".",
                "Each bar is what one multiply-accumulate takes in one design; shorter is better. "
                "Training is the mean of the three GEMMs.")]


def _published(summary: dict) -> str:
    tile = next(iter(summary["density_ratio"]["fma16"]["tile"].values()))
    here = [["Tetra tile, measured here", summary["title"].split(" (")[0],
             f"{tile:.1f}" if tile else "absent"]]
    return table(here + [list(row) for row in PUBLISHED],
                 ["training in 4 bits", "basis", "density against 16 bits"],
                 about="Published figures", words=(1,))


def _designs(summary: dict) -> str:
    rows = []
    for design in summary["designs"]:
        best = design["best"]
        rows.append([
            ", ".join(filter(None, (design["block"], design["preset"], design["variant"]))),
            str(design["depth"]), f"{best['area_um2']:,.0f}", f"{best['gate_equivalents']:,.0f}",
            f"{best['fmax_mhz']:,.0f}", f"{design['fastest_mhz']:,.0f}",
            f"{best['density']['training'] * 1000:,.0f}" if design["macs_per_cycle"] else "",
            "; ".join(dict.fromkeys(best["recipes"].values()))])
    head = ["design", "depth", "um²", "gates", "MHz", "fastest MHz", "GMAC/s per mm²", "recipe"]
    return table(rows, head, about="Best point of every design", words=(len(head) - 1,))
