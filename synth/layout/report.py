# SPDX-License-Identifier: Apache-2.0
"""`report.html` of layouts: one self-contained page."""

from collections.abc import Mapping, Sequence
from functools import partial

from synth.cells.designs import Design
from synth.layout import pictures
from synth.layout.energy import KINDS
from synth.layout.layout import Result
from synth.layout.summary import TIMINGS
from tools.page import page, paragraph, picture, section, table


def render(found: Mapping[Design, Result], summary: dict) -> str:
    """The page as a string."""
    parts = [
        paragraph(f"{summary['library']}; every design at {summary['utilisation']:.0%} of its "
                  "rows: placed by Coloquinte, routed by qrouter in six layers, extracted and "
                  "compared with its netlist by KLayout, timed by OpenSTA. Routed, "
                  f"connectivity-checked; not a sign-off: without {summary['without']}.", "lead"),
        *(paragraph(f"Absent: {text}", "absent") for text in summary["missing"]),
        *(paragraph(text, "absent") for text in unclean(summary)),
        *(paragraph(text) for text in mended(summary)),
        *(paragraph(f"Failed: {each['design']}: {each['message']}; log {each['log']}", "absent")
          for each in summary["failures"])]
    if side_by_side := compared(found, summary):
        parts.append(section("Cells of the tile and a multiply-add", picture(
            partial(pictures.layouts, *side_by_side),
            f"Layouts to one scale: {'; '.join(side_by_side[1])}.".replace("\n", ", "),
            "All to one scale. Cells are coloured by what they are, wires by their layer.")))
    head = ["design", "cells", "core um²", "wire um", *TIMINGS, "opens", "shorts", "too close"]
    parts.append(section("Layouts", table(rows(summary), head, about="Layouts", words=(0,)),
                         paragraph("Periods in ns; " + "; ".join(
                             f"{name}: {text}" for name, text in TIMINGS.items()) + ". Markers of "
                             "what is too close are KLayout's by the kit's least distances.")))
    parts.append(section("Density, ours over the rival", table(
        [[ratio["ours"], ratio["rival"],
          *(f"{ratio[t]:.2f}" if t in ratio else "" for t in TIMINGS)]
         for ratio in summary["ratios"]],
        ["ours", "rival", *TIMINGS], about="Ratios of density", words=(0, 1)),
        paragraph("MACs per second and area of cells, operand registers of rivals shared by a grid "
                  "as in synthesis.")))
    if summary["energies"]:
        parts.append(section("Energy", table(
            energy_rows(summary), ["design", *KINDS], about="pJ per MAC in training",
            words=(0,)), paragraph(
                "Picojoules per MAC, mean of the three GEMMs, on operands of a training step. "
                "Wires have the capacitance that the layout gives them: routed, or as trees "
                "between their pins' places. What toggles is simulated with delays by fanout. "
                "Tiles are placed with one column and with two. Wires of a grid around rivals are "
                "not counted.")))
    return page("Tetra: layouts", "What Tetra costs with its wires", parts,
                f"Tetra {summary['version']}, {summary['router'] or 'no router'}.")


def unclean(summary: dict) -> list[str]:
    """What is not connected as its netlist says, and has no period with wires for that."""
    return [f"not clean: {design['name']}: " + "; ".join(
        f"{name}: {', '.join(map(str, design[name][:9]))}{' ...' * (len(design[name]) > 9)}"
        for name in ("failed", "opens", "shorts") if design[name])
        for design in summary["designs"] if design["clean"] is False]


def mended(summary: dict) -> list[str]:
    """Nets in which something that the router left out was put back."""
    return [f"mended in {design['name']}: {', '.join(design['mended'])}"
            for design in summary["designs"] if design.get("mended")]


def rows(summary: dict) -> list[list[str]]:
    """A row of the table per design."""
    found = []
    for design in summary["designs"]:
        wire = (f"{sum(design['wire_um'].values()):,.0f}" if "wire_um" in design else
                f"({design['half_perimeter_um']:,.0f})")
        found.append([
            design["name"], f"{design['cells']:,}", f"{design['core_area_um2']:,.0f}", wire,
            *(f"{design['period_ns'][t]:.4f}" if t in design["period_ns"] else ""
              for t in TIMINGS),
            *(str(len(design[name])) if name in design else "" for name in ("opens", "shorts")),
            str(design["markers"]) if "close" in design else ""])
    return found


def energy_rows(summary: dict) -> list[list[str]]:
    """A row per design: its energy in training with each kind of wires."""
    return [[design["name"], *(f"{design['pj_per_mac'][wires]['training']:.3f}"
                               if wires in design["pj_per_mac"] else "" for wires in KINDS)]
            for design in summary["energies"]]


def compared(found: Mapping[Design, Result], summary: dict,
             ) -> tuple[Sequence[Result], Sequence[str]] | None:
    """Our cells and the multiply-add that counts, if both were routed; with their titles."""
    chosen = [(design, result) for design, result in found.items() if "opens" in result.figures
              and (design.ours or str(design) == summary["against"])]
    if len({design.ours for design, _ in chosen}) < 2:
        return None
    titles = []
    for design, result in chosen:
        number, period = design.macs["fprop"], result.figures["period_ns"].get("routed")
        name = f"{design.block}, {design.preset}" if design.ours else design.block
        clock = f"{1 / period:.2f} GHz" if period else "not connected"
        titles.append(f"{name}\n{number} MAC{'s' * (number > 1)} per cycle, {clock}")
    return [result for _, result in chosen], titles
