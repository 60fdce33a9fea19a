# SPDX-License-Identifier: Apache-2.0
"""`make study`: every task under every policy, ablations and sensitivity, to build/study.

What is done is not done again: the study takes as many invocations as it takes, and a run that was
stopped goes on behind its last epoch with the same bits.
"""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tools.arguments import Parser, add_switch, add_workers, integer, one_of
from tools.console import open_console
from tools.errors import ToolError
from tools.jobs import Job, open_pool
from tools.pool import Pool
from train.study import plan
from train.study.results import done, record
from train.study.run import DEVICES, RECIPE, Run, train
from train.study.tasks import TASKS
from train.study.variants import roles


def main() -> int:
    parser = Parser("make study", __doc__)
    add_switch(parser, "quick", "one seed, three tasks, four policies")
    add_workers(parser)
    parser.add_argument("--task", type=one_of(TASKS), action="append", help="these tasks alone")
    parser.add_argument("--device", type=one_of(DEVICES), default="cpu")
    parser.add_argument("--minutes", type=integer(1, 100_000), help="start no run after so long")
    parser.add_argument("--runs-only", action="store_true", help="no report")
    o = parser.parse_args()
    console = open_console()
    runs = [run for run in (plan.quick() if o.quick else plan.full())
            if not o.task or run.task in o.task]
    try:
        with open_pool(o.jobs, o.scheduler) as pool:
            failed = run_all(runs, pool, o.device, o.minutes, console)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the next run goes on from here", file=sys.stderr)
        return 130
    return 1 if failed else 0


def run_all(runs: list[Run], pool: Pool, device: str, minutes: int | None, console: Console) -> int:
    """Do what is not done; returns how many runs failed, each with a line."""
    todo = [run for run in runs if done(run) is None]
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
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
        return {**vars(run), "roles": roles(run.policy), "recipe": RECIPE, "device": device,
                "test": None, "diverged": str(error)}


if __name__ == "__main__":
    sys.exit(main())
