# SPDX-License-Identifier: Apache-2.0
"""`make study`: every task under every policy, ablations and sensitivity, to build/study.

What is done is not done again: the study takes as many invocations as it takes, and a run that was
stopped goes on behind its last epoch with the same bits.
"""

import sys
import time
from collections.abc import Iterable
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tools.arguments import Parser, add_switch, add_workers, integer, one_of
from tools.cache import ROOT
from tools.console import open_console
from tools.errors import ToolError
from tools.files import write_atomically
from tools.jobs import Job, open_pool
from tools.pool import Pool
from train.study import figures, plan
from train.study import run as study
from train.study.report import amount, render
from train.study.results import Result, gather, record
from train.study.run import DEVICES, RECIPE, Run, train
from train.study.summary import summarise, write
from train.study.tasks import TASKS
from train.study.variants import roles


def main() -> int:
    parser = Parser("make study", __doc__)
    add_switch(parser, "quick", "one seed, three tasks, four policies")
    add_switch(parser, "known", "take the results of train/study/figures.json as done")
    add_workers(parser)
    parser.add_argument("--task", type=one_of(TASKS), action="append",
                        help="run these tasks alone; the report has all")
    parser.add_argument("--device", type=one_of(DEVICES), default="cpu")
    parser.add_argument("--minutes", type=integer(0, 100_000),
                        help="start no run after so long; 0: report what is done")
    parser.add_argument("--runs-only", action="store_true", help="no report")
    parser.add_argument("--update", action="store_true",
                        help="write train/study/figures.json anew from what is done")
    o = parser.parse_args()
    console = open_console()
    parts = plan.parts(o.quick)
    known = figures.known() if o.known else []
    runs = [run for run in plan.every(parts) if not o.task or run.task in o.task]
    try:
        with open_pool(o.jobs, o.scheduler) as pool:
            failed = run_all(runs, known, pool, o.device, o.minutes, console)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the next run goes on from here", file=sys.stderr)
        return 130
    if not o.runs_only:
        conclude(parts, known, o.quick, o.update, console)
    return 1 if failed else 0


def conclude(parts: dict[str, list[Run]], known: list[Result], quick: bool, update: bool,
             console: Console) -> None:
    """Write summary and report of what is done, print the comparison, and with `update` keep all
    of it in figures.json."""
    every = plan.every(parts)
    own = summarise(parts, gather(every), quick)
    results = gather(every, known)
    summary = summarise(parts, results, quick) if known else own
    summary["against_figures"] = figures.compare(own, figures.kept_summary(quick))
    write(summary, study.FOLDER / "summary.json")
    write_atomically(study.FOLDER / "report.html", render(summary).encode())
    show(summary, console)
    print((study.FOLDER / "report.html").relative_to(ROOT))
    if update:
        figures.update(summary, results)
        print(figures.FIGURES.relative_to(ROOT))


def show(summary: dict[str, Any], console: Console) -> None:
    """A row per task and policy, and how much of the plan that is."""
    table = Table(title="Four bits beside bf16, on the parts to test", title_justify="left")
    names = ("task", "policy", "metric", "mean", "deviation", "seeds", "worse than bf16 by",
             "committed mean")
    for name in names:
        table.add_column(name, justify="left" if name in names[:3] else "right")
    beside = {(each["task"], each["policy"]): each for each in summary["against_figures"]}
    before = ""
    for entry in summary["tasks"]:
        known = beside.get((entry["task"], entry["policy"]))
        table.add_row(
            entry["task"] if entry["task"] != before else "", entry["policy"], entry["metric"],
            "diverged" if entry["mean"] is None else f"{entry['mean']:.3f}",
            "one seed" if entry["std"] is None else f"{entry['std']:.3f}",
            str(len(entry["seeds"])),
            "" if entry["gap"] is None or entry["policy"] == plan.REFERENCE else amount(entry),
            "" if known is None else f"{known['known']:.3f}, {VERDICTS[known['within']]}")
        before = entry["task"]
    console.print(table)
    print("; ".join(f"{part}: {count['done']} of {count['planned']} runs"
                    for part, count in summary["plan"].items() if count["planned"]))


VERDICTS = {True: "within its spread", False: "beyond its spread", None: "no spread known"}


def run_all(runs: list[Run], known: Iterable[Result], pool: Pool, device: str,
            minutes: int | None, console: Console) -> int:
    """Do what is neither done nor known; returns how many runs failed, each with a line."""
    done = gather(runs, known)
    todo = [run for run in runs if run not in done]
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=len(runs), completed=len(runs) - len(todo))
        for finished in pool.run(Job(run, attempt, (run, device))
                                 for run in todo if time.monotonic() < end):
            progress.advance(bar)
            run = finished.job.key
            assert isinstance(run, Run)
            if finished.error is not None:
                failed += 1
                console.print(f"{run}: {finished.error}", style="red", markup=False)
                continue
            record(run, finished.value, device)
    return failed


def attempt(run: Run, device: str) -> dict:
    """In a worker: a run's result; of one that diverged the reason instead of a metric."""
    try:
        return train(run, device=device)
    except FloatingPointError as error:
        return {**vars(run), "roles": roles(run.policy), "recipe": RECIPE,
                "torch": torch.__version__, "device": device, "test": None, "diverged": str(error)}


if __name__ == "__main__":
    sys.exit(main())
