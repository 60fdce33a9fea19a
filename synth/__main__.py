# SPDX-License-Identifier: Apache-2.0
"""`make synth`: designs mapped by recipes, to build/synth/summary.json and report.html.

`make fpga` is the part of it that concerns FPGAs, alone.
"""

import json
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from synth.cells.designs import (
    Design,
    contenders,
    designs,
    dots,
    others,
    quick_designs,
    second_library_designs,
)
from synth.cells.libraries import NANGATE45, OSU180, CellLibrary
from synth.cells.recipes import QUICK, SWEEP, Recipe
from synth.cells.summary import (
    FORMATS,
    TOLERANCE,
    energy_figures,
    figures,
    finalists,
    regressions,
    summarise,
)
from synth.cells.sweep import Outcome, sweep
from synth.energy.energy import Energies, chosen_points, measure
from synth.fpga import report as fpga_report
from synth.fpga.designs import fpga_designs, quick_fpga_designs
from synth.fpga.sweep import fpga_sweep
from synth.report import BOUNDS, RATIOS, SUBSET, ratios, render
from tools.arguments import Parser, add_switch, add_workers, one_of
from tools.cache import ROOT
from tools.console import open_console
from tools.files import write_atomically
from tools.jobs import Pool, open_pool

STEPS = {"map": "mapping to {}", "time": "timing to {}", "energy": "simulating in {}",
         "lut": "mapping to {}", "place": "placing on {}"}
FOLDER = ROOT / "build" / "synth"
FIGURES = ROOT / "synth" / "figures.json"


def main() -> int:
    parser = Parser("make synth", __doc__)
    add_switch(parser, "quick", "a few designs, a few recipes")
    known = {str(design): design for design in (*designs(), *dots("base"))}
    parser.add_argument("designs", nargs="*", type=one_of(known), metavar="DESIGN",
                        help="these alone, by the recipes of QUICK, to the terminal alone")
    parser.add_argument("--fpga", action="store_true", help="FPGAs only, no cell libraries")
    add_workers(parser)
    parser.add_argument("--check", action="store_true",
                        help=f"fail if a density fell by more than {TOLERANCE:.0%}%")
    parser.add_argument("--update", action="store_true", help=f"write {FIGURES.name} anew")
    o = parser.parse_args()
    console = open_console()
    try:
        with open_pool(o.jobs, o.scheduler) as pool:
            if o.designs:
                return some([known[name] for name in o.designs], pool, console)
            if o.fpga:
                return fpga_alone(o.quick, pool, console)
            outcomes, energies = run(o.quick, pool, console)
            fpga = run_fpga(o.quick, pool, console)
    except KeyboardInterrupt:
        print("\ninterrupted: the next run goes on from here", file=sys.stderr)
        return 130
    summary = summarise(outcomes, energies, o.quick) | {"fpga": fpga}
    write(summary)
    show(summary, console)
    fpga_report.show(fpga, console)
    console.print(f"{(FOLDER / 'report.html').relative_to(ROOT)}", highlight=False)
    return compare(summary, "quick" if o.quick else "full", o.check, o.update)


def some(chosen: list[Design], pool: Pool, console: Console) -> int:
    """Single designs, named as in summary.json; nothing is written."""
    with _bars(console) as bars:
        found = sweep(chosen, QUICK, NANGATE45, pool, _progress(bars, console, NANGATE45.name))
    show(summarise({NANGATE45.name: found}, Energies(), True), console)
    return int({point.design for point in found.points} != set(chosen))


def run(quick: bool, pool: Pool, console: Console) -> tuple[dict[str, Outcome], Energies]:
    """The sweep of each library, then energy in the first, with a bar for each step."""
    outcomes: dict[str, Outcome] = {}
    with _bars(console) as bars:
        def add(library: CellLibrary, part: str, chosen: list[Design], recipes: list[Recipe]):
            outcomes.setdefault(library.name, Outcome()).add(sweep(
                chosen, recipes, library, pool, _progress(bars, console, library.name + part)))

        if quick:
            add(NANGATE45, "", quick_designs(), QUICK)
        else:
            add(NANGATE45, "", contenders(), SWEEP)
            # a dot product of 32 lanes has as many cells as a hundred multiply-accumulators
            add(NANGATE45, ", others", [*others(), *dots("base")], QUICK)
            add(NANGATE45, ", finalists", finalists(outcomes[NANGATE45.name].points),
                [recipe for recipe in SWEEP if recipe not in QUICK])
            add(OSU180, "", second_library_designs(), QUICK)
        recipes = QUICK if quick else SWEEP
        points = chosen_points(outcomes[NANGATE45.name].points, NANGATE45, quick)
        energies = measure(points, recipes, NANGATE45, quick, pool, partial(
            _progress(bars, console, NANGATE45.name), "energy"))
    return outcomes, energies


def run_fpga(quick: bool, pool: Pool, console: Console) -> dict:
    """What summary.json holds under `fpga`, with a bar for each step."""
    with _bars(console) as bars:
        return {"quick": quick} | fpga_sweep(quick_fpga_designs() if quick else fpga_designs(),
                                             pool, _progress(bars, console, "FPGAs"))


def fpga_alone(quick: bool, pool: Pool, console: Console) -> int:
    """`make fpga`: only that part of the summary is new; what else it holds stays."""
    known = known_summary(console)
    fpga = run_fpga(quick, pool, console)
    write(known | {"fpga": fpga})
    fpga_report.show(fpga, console)
    console.print(f"{(FOLDER / 'report.html').relative_to(ROOT)}", highlight=False)
    return 0


def known_summary(console: Console) -> dict:
    """What summary.json holds beside FPGAs; nothing, and a word of it, if it is damaged or of old.
    """
    path = FOLDER / "summary.json"
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text())
        known.pop("fpga", None)
        if known:
            render(known)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        console.print(f"{path.relative_to(ROOT)} is damaged or of another version ({error!r}): "
                      "its figures are dropped, `make synth` measures them anew", highlight=False)
        return {}
    return known


def write(summary: dict) -> None:
    write_atomically(FOLDER / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    write_atomically(FOLDER / "report.html", render(summary).encode())


def _bars(console: Console) -> Progress:
    return Progress(TextColumn("{task.description:24}"), BarColumn(bar_width=32),
                    MofNCompleteColumn(), TimeRemainingColumn(compact=True), console=console,
                    disable=not console.is_terminal)


def _progress(bars: Progress, console: Console, name: str):
    """`progress(step, done, total)`: a bar per step, or a line now and then without a terminal."""
    steps: dict = {}

    def progress(step: str, done: int, total: int):
        title = STEPS[step].format(name)
        if step not in steps:
            steps[step] = bars.add_task(title, total=total)
        bars.update(steps[step], completed=done)
        if not console.is_terminal and (done == total or done % 10 == 0):
            console.print(f"{title}: {done} of {total}", highlight=False)

    return progress


def show(summary: dict, console: Console) -> None:
    """The best point of every design, the ratios, and what is absent."""
    table = Table(title=f"{summary['title']}: best points, before layout"
                  + (f"; {SUBSET}" if summary["quick"] else ""), title_justify="left")
    for heading in ("design", "depth", "um2", "MHz", "GMAC/s per mm2", "recipe"):
        table.add_column(heading, justify="left" if heading in ("design", "recipe") else "right")
    for design in summary["designs"]:
        best = design["best"]
        density = f"{best['density']['training'] * 1000:,.0f}" if design["macs_per_cycle"] else ""
        table.add_row(", ".join(filter(None, (design["block"], design["preset"],
                                              design["variant"]))), str(design["depth"]),
                      f"{best['area_um2']:,.0f}", f"{best['fmax_mhz']:,.0f}", density,
                      "; ".join(dict.fromkeys(best["recipes"].values())))
    console.print(table)
    if ratios(summary):
        console.print(_ratios(summary))
    if summary["quick"]:
        console.print(f"These are figures of {SUBSET}: {BOUNDS}.", highlight=False)
    for text in summary["missing"]:
        console.print(f"absent: {text}", highlight=False)
    for failure in summary["failures"]:
        console.print(f"failed: {failure['design']} {failure['block']} by {failure['recipe']}: "
                      f"{failure['message']} ({failure['log']})", highlight=False)


def _ratios(summary: dict) -> Table:
    found = Table(title="times as dense, and as thrifty, as the densest of each kind, by radices "
                  f"of gradients ({', '.join(FORMATS)})", title_justify="left")
    for number, heading in enumerate(RATIOS):
        found.add_column(heading, justify="left" if number < 3 else "right")
    for row in ratios(summary):
        found.add_row(*row)
    return found


def compare(summary: dict, mode: str, check: bool, update: bool) -> int:
    """The exit code: 1 if `check` finds a regression, 2 if there is nothing to compare."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if not summary["designs"] and (check or update):
        print("error: no figures: " + "; ".join(summary["missing"] or ["every recipe failed"]),
              file=sys.stderr)
        return 2
    now = figures(summary)
    if update:
        known[mode] = now
        if found := energy_figures(summary):
            known["energy"] = known.get("energy", {}) | {mode: found}
        write_atomically(FIGURES, (json.dumps(known, indent=1) + "\n").encode())
    if not check:
        return 0
    if not known.get(mode):
        print(f"error: nothing to compare: no {mode} figures in {Path(FIGURES).name}, write them "
              "with --update", file=sys.stderr)
        return 2
    worse = regressions(now, known[mode])
    for text in worse:
        print(f"regression: {text}", file=sys.stderr)
    print(f"{len(known[mode])} figures compared, {len(worse)} more than {TOLERANCE:.0%} worse")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
