# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one self-contained page about one sweep, its figures embedded."""

from html import escape

from matplotlib.figure import Figure

from golden.config import VERSION
from synth.cells import plots
from synth.cells.summary import HEADLINE, MEASURES, PUBLISHED
from synth.fpga import report as fpga_report
from train.digits.plots import data_uri

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tetra: synthesis</title>
<style>
  body {{ font: 16px/1.55 system-ui, sans-serif; color: #212529; background: #fff;
         max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
  h1 {{ font-size: 1.7rem; margin-bottom: 0.2rem; }}
  h2 {{ font-size: 1.15rem; margin: 2.6rem 0 0.4rem; }}
  .lead {{ color: #495057; margin-top: 0; }}
  table {{ border-collapse: collapse; margin: 1rem 0; width: 100%; font-size: 0.92rem; }}
  th, td {{ text-align: right; padding: 0.3rem 0 0.3rem 0.9rem; font-weight: normal;
           border-bottom: 1px solid #dee2e6; font-variant-numeric: tabular-nums; }}
  th:first-child, td:first-child, .text {{ text-align: left; padding-left: 0; }}
  thead th {{ color: #495057; font-size: 0.85rem; }}
  img {{ max-width: 100%; display: block; margin: 0.4rem auto; }}
  .absent {{ color: #c92a2a; }}
  .note {{ color: #868e96; font-size: 0.85rem; margin-top: 3rem; }}
</style>
<h1>What Tetra costs in silicon</h1>
<p class="lead">{lead}</p>
{absent}
{sections}
<p class="note">{note}</p>
</html>
"""


def render(summary: dict) -> str:
    """The page as a string; of a summary that knows FPGAs only, their part alone."""
    if "designs" not in summary:
        return PAGE.format(
            lead="FPGAs only.", absent="", note=f"Tetra {VERSION}.",
            sections="".join(_section(*each) for each in fpga_report.sections(summary["fpga"])))
    absent = [*summary["missing"], *(f"{f['design']}, {f['block']} by {f['recipe']} "
                                     f"({f['library']}): {f['message']}; log {f['log']}"
                                     for f in summary["failures"])]
    return PAGE.format(
        lead=escape(f"{summary['title']}. Cells only, before placement and routing. Timing: "
                    f"{summary['timing']}."),
        absent="".join(f'<p class="absent">Absent: {escape(text)}</p>' for text in absent),
        sections="".join(_section(*section) for section in _sections(summary)),
        note="Tetra {}, Yosys (pyosys) {}, OpenSTA {}. {}".format(
            summary["version"], summary["tools"]["pyosys"],
            summary["tools"]["opensta"] or "absent",
            "A subset (QUICK=1)." if summary["quick"] else "The full sweep."))


def _sections(summary: dict) -> list[tuple[str, str, Figure | None]]:
    found = [("Density against the toughest baseline", _ratios(summary), None),
             ("Beside published figures", _published(summary), None)]
    if plots.compared(summary):
        found.append(("Every design and recipe",
                      "<p>One mark per design and recipe, baselines in the grid with shared "
                      "operand registers; best is towards the top left. Lines of equal density are "
                      "dotted.</p>", plots.frontier(summary)))
        found.append(("Clock and depth",
                      f"<p>The fastest clock that any recipe reaches, {summary['preset']}.</p>",
                      plots.depth(summary)))
    if summary["energy"]:
        found.append(("Energy", _energy(summary), plots.energy(summary)))
    if blocks := plots.area(summary):
        found.append(("Where the area goes", "<p>At each design's best point.</p>", blocks))
    found.append(("Best point of every design", _designs(summary), None))
    return found + (fpga_report.sections(summary["fpga"]) if "fpga" in summary else [])


def _section(title: str, text: str, figure: Figure | None) -> str:
    image = f'<img alt="{escape(title)}" src="{data_uri(figure)}">' if figure else ""
    return f"<h2>{escape(title)}</h2>{text}{image}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return (f"<table><thead>{line(head, 'th')}</thead>"
            + "".join(line(row, "td") for row in rows) + "</table>")


def _ratios(summary: dict) -> str:
    rows = []
    for found in (summary, *summary["second_libraries"]):
        for level in HEADLINE:
            ratio = found["ratios"][level]
            if ratio:
                rows.append([f"{level}, {ratio['design']}", found["library"],
                             found["ratios"]["against"], *(f"{ratio[m]:.2f}" for m in MEASURES),
                             f"{ratio['training_without_shared_registers']:.2f}"])
    energy = summary["energy_ratio"]
    energy = escape(energy["reason"]) if energy["training"] is None else (
        f"{energy['training']:.2f} times less per MAC in training than {energy['against']}")
    return _table(["level", "library", "against", *MEASURES, "registers not shared"], rows) + (
        "<p>MACs per second and area, as a multiple of the densest binary16 or 1-6-9 "
        "multiply-accumulator at its own best depth and recipe. Training is the harmonic mean over "
        f"the three GEMMs. Energy: {energy}.</p>")


def _energy(summary: dict) -> str:
    rows = [[design["name"], f"{design['clock_mhz']:,.0f}",
             *(f"{design['pj_per_mac'][m]:.3f}" for m in MEASURES),
             "; ".join(f"{part['glitches'] / part['total']:.0%}"
                       for part in design["parts"].values() if "glitches" in part),
             design["operands"], "; ".join(dict.fromkeys(design["recipes"].values()))]
            for design in summary["energy"]]
    return ("<p>pJ per MAC at each design's best clock, equal supply, from simulation of its cells "
            "with their delays, glitches included, on operands recorded in the middle of a "
            "training run. Clock tree and wires are not in it.</p>" + _table(
                ["design", "MHz", *MEASURES, "of it glitches", "operands", "recipe"], rows))


def _published(summary: dict) -> str:
    tile = summary["ratios"]["tile"]
    here = [["Tetra tile, measured here", summary["title"].split(" (")[0],
             f"{tile['training']:.1f}" if tile else "absent"]]
    return _table(["training in 4 bits", "basis", "density against 16 bits"],
                  here + [list(row) for row in PUBLISHED])


def _designs(summary: dict) -> str:
    rows = []
    for design in summary["designs"]:
        best = design["best"]
        rows.append([
            f"{design['block']}, {design['preset']}", str(design["depth"]),
            f"{best['area_um2']:,.0f}", f"{best['gate_equivalents']:,.0f}",
            f"{best['fmax_mhz']:,.0f}", f"{design['fastest_mhz']:,.0f}",
            f"{best['density']['training'] * 1000:,.0f}" if design["macs_per_cycle"] else "",
            "; ".join(dict.fromkeys(best["recipes"].values()))])
    return _table(["design", "depth", "um²", "gates", "MHz", "fastest MHz", "GMAC/s per mm²",
                   "recipe"], rows)
