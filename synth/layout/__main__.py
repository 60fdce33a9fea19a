# SPDX-License-Identifier: Apache-2.0
"""`make layout`: cells of the tile and their rivals placed and routed, to build/layout."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden.config import PRESETS
from synth.baselines.block_dots import MxFp4Dot, NvFp4Dot
from synth.baselines.dot_products import Bf16Dot, Fp8Dot
from synth.cells import sta
from synth.cells.asic import mappings
from synth.cells.designs import Design, baselines, core, dots
from synth.cells.libraries import NANGATE45, MissingError
from synth.cells.recipes import QUICK, Recipe
from synth.cells.summary import TOUGHEST, best
from synth.cells.sweep import Point, failure, sweep
from synth.layout import kit, pictures, report, route
from synth.layout.energy import KINDS, energies
from synth.layout.layout import Layout, Result, package
from synth.layout.summary import TIMINGS, summarise
from tools.arguments import Parser, add_switch, add_workers
from tools.cache import ROOT
from tools.console import open_console
from tools.figures import WIDE, png
from tools.files import write_atomically
from tools.jobs import Pool, open_pool
from tools.tasks import run_all

FOLDER = ROOT / "build" / "layout"
PICTURE = ROOT / "docs" / "layout.png"
FILES = ("layout.gds", "routed.def", "flat.v", "wires.spef", "route.log")
STEPS = {"map": "mapping", "time": "timing", "layout": "placing and routing"}
CORES = ("lean", "base")  # presets
CELL, TILE = "tetra_mac_cell", "tetra_mac_tile"
RIVALS = ((Bf16Dot, "8 into 1-6-9"), (Fp8Dot, "8 into 1-6-9"), (MxFp4Dot, ""), (NvFp4Dot, ""))
BLOCKS_DEPTH = 6  # of rivals in blocks, at which they are densest
# the last one makes the densest multiply-add of all recipes
RECIPES = [*QUICK, Recipe(300, "twice", generic=True)]


def main() -> int:
    parser = Parser("make layout", __doc__)
    add_switch(parser, "quick", "cells of the tile and the densest multiply-add alone")
    add_workers(parser)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name} anew")
    o = parser.parse_args()
    console = open_console()
    try:
        with open_pool(o.jobs, o.scheduler) as pool:
            for text in _tools()[0].values():  # before anyone waits
                console.print(f"absent: {text}", highlight=False)
            found, summary = run(o.quick, pool, console)
    except KeyboardInterrupt:
        print("\ninterrupted: the next run goes on from here", file=sys.stderr)
        return 130
    show(summary, console)
    if not found:
        print("error: nothing was laid out; what an earlier run left in build/layout stays",
              file=sys.stderr)
        return 1
    write(found, summary)
    if o.picture and (compared := report.compared(found, summary)):
        write_atomically(PICTURE, png(pictures.layouts(*compared, WIDE)))
    console.print(f"{(FOLDER / 'report.html').relative_to(ROOT)}", highlight=False)
    unclean = any(design["clean"] is False for design in summary["designs"])
    return 0 if not unclean and not summary["failures"] else 1


def chosen(quick: bool) -> list[Design]:
    """What is laid out: of multiply-adds those with the most cuts, the densest of all recipes."""
    ours = [design for name in CORES for design in core(name)
            if design.depth == PRESETS[name].pipeline]
    macs = [d for d in baselines("base") if d.block in TOUGHEST]
    found = [*(d for d in ours if d.block == CELL),
             *(d for d in macs if d.depth == max(m.depth for m in macs))]
    if not quick:
        for kind, variant in RIVALS:
            depths = [] if variant else [BLOCKS_DEPTH]
            found += [d for d in dots("base", [kind], depths) if variant in d.variant]
        found += [d for d in ours if d.block == TILE]
    return found


def run(quick: bool, pool: Pool, console: Console) -> tuple[dict[Design, Result], dict]:
    """Map, place and route; the results of all designs, and the summary."""
    wanted = chosen(quick)
    with _bars(console) as bars:
        progress = _progress(bars, console)
        outcome = sweep(wanted, RECIPES, NANGATE45, pool, progress)
        points = [best(found, NANGATE45) for design in wanted
                  if (found := [p for p in outcome.points if p.design is design])]
        # of the two multiply-adds the denser
        macs = [point for point in points if point.design.block in TOUGHEST]
        against = best(macs, NANGATE45) if macs else None
        points = [point for point in points if point not in macs or point is against]
        missing, routed = _tools()
        made: dict[Design, Result | Exception] = {}
        if not {"sta", "placer", "placer's cells"} & missing.keys():
            tasks = _tasks(points, routed, pool)
            made = run_all(pool, tasks, lambda n: progress("layout", n, len(tasks)))
        drawn, unmeasured, absent = [], [], []
        if made and not quick:
            units = [p for p in points if p.design.block == TILE or not p.design.ours]
            drawn, unmeasured, absent = energies(units, RECIPES, made, pool, progress)
    failures = [*outcome.failures, *unmeasured, *(
        failure(design, design.block, "layout", f"layout-{design}", NANGATE45, error)
        for design, error in made.items() if isinstance(error, Exception))]
    found = {design: made[design] for design in wanted if isinstance(made.get(design), Result)}
    return found, summarise(found, str(against.design) if against else "",
                            drawn,
                            sorted({*outcome.missing, *missing.values(), *absent}),
                            [vars(each) for each in failures])


def _tools() -> tuple[dict[str, str], bool]:
    """What is missing, and whether anything can be routed and checked."""
    missing = {}
    for name, look in (("sta", sta.tool), ("placer", lambda: package("coloquinte")),
                       ("placer's cells", lambda: kit.file(kit.CELLS)),
                       ("router", route.tool), ("checker", lambda: package("klayout")),
                       ("router's layers", lambda: kit.file(kit.TECHNOLOGY)),
                       ("masks", lambda: kit.file(kit.CELLS_GDS))):
        try:
            look()
        except MissingError as error:
            missing[name] = str(error)
    return missing, not {"router", "checker", "router's layers", "masks"} & missing.keys()


def _tasks(points: list[Point], routed: bool, pool: Pool) -> dict[Design, Layout]:
    """A layout of every point's mapped blocks. A tile would take hours to route: it is placed."""
    blocks = {point.design: [one for name, tried in mappings(
        point.design.netlist(), RECIPES, NANGATE45).items() for one in tried
        if str(one.recipe) == point.recipes[name]] for point in points}
    mapped = run_all(pool, {one.key: one for needed in blocks.values() for one in needed},
                     lambda n: None)
    return {design: Layout(design.netlist().top,
                           tuple(mapped[one.key].verilog for one in needed),
                           routed and design.block != TILE)
            for design, needed in blocks.items()}


def write(found: dict[Design, Result], summary: dict) -> None:
    """summary.json, report.html, and of every design `FILES`."""
    for design, result in found.items():
        folder = FOLDER / str(design).replace("/", "-").replace(", ", "-").replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in FILES:
            if (result.folder / name).stat().st_size:  # of a design that is only placed some are
                shutil.copyfile(result.folder / name, folder / name)
    write_atomically(FOLDER / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    write_atomically(FOLDER / "report.html", report.render(found, summary).encode())


def _bars(console: Console) -> Progress:
    return Progress(TextColumn("{task.description:24}"), BarColumn(bar_width=32),
                    MofNCompleteColumn(), TimeElapsedColumn(), console=console,
                    disable=not console.is_terminal)


def _progress(bars: Progress, console: Console) -> Callable[[str, int, int], None]:
    steps: dict = {}

    def progress(step: str, done: int, total: int):
        if step not in steps:
            steps[step] = bars.add_task(STEPS.get(step, step), total=total)
        bars.update(steps[step], completed=done)
        if not console.is_terminal:
            console.print(f"{STEPS.get(step, step)}: {done} of {total}", highlight=False)

    return progress


def show(summary: dict, console: Console) -> None:
    """Periods, what was left open, the ratios, and what is absent."""
    headings = ("cells", "core um2", "wire um", *TIMINGS, "opens", "shorts", "too close")
    console.print(_table("Layouts, period in ns", headings, report.rows(summary)))
    if summary["energies"]:
        console.print(_table("pJ per MAC in training", KINDS, report.energy_rows(summary)))
    for ratio in summary["ratios"]:
        console.print(f"{ratio['ours']} over {ratio['rival']}: " + ", ".join(
            f"{ratio[timing]:.2f} {timing}" for timing in TIMINGS if timing in ratio),
            highlight=False)
    for text in (*report.unclean(summary), *report.mended(summary)):
        console.print(text, highlight=False)
    for text in summary["missing"]:
        console.print(f"absent: {text}", highlight=False)
    for each in summary["failures"]:
        console.print(f"failed: {each['design']} by {each['recipe']}: {each['message']} "
                      f"({each['log']})", highlight=False)


def _table(title: str, headings: Iterable[str], rows: list[list[str]]) -> Table:
    """Designs and what is found of each."""
    table = Table("design", title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
