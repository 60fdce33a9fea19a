# SPDX-License-Identifier: Apache-2.0
"""`make regress`: every bench with many seeds, in parallel, and the engine behind its binding.

The binding runs preset `base` and configurations that are drawn from each seed. What its jobs have
met is counted and printed; from `ENOUGH` jobs on a bin that was not hit is a failure.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.config import Config, preset
from tools.arguments import positive
from verif.bench.benches import BENCHES, bench_named, run_bench
from verif.bench.coverage import Coverage
from verif.bench.stimuli import random_config
from verif.fuzz import fuzz_engine

BINDING = "binding"  # jobs of whole engines through the C++ harness, with random stalls
DRAWN = 2  # configurations per seed, besides `base`
JOBS = 100  # per configuration, seed and LENGTH
ENOUGH = 5000  # jobs after which every bin should have been hit


def drawn_configs(seed: int) -> list[Config]:
    """The configurations of a seed, always the same."""
    rng = np.random.default_rng(seed)
    return [random_config(rng) for _ in range(DRAWN)]


def run_one(block: str, config: Config, seed: int, length: int) -> tuple[str | None, Coverage]:
    """One run: None if it passes, else its report; and what it has met."""
    coverage = Coverage()
    try:
        if block == BINDING:
            fuzz_engine(config, seed=seed, jobs=JOBS * length, coverage=coverage)
        else:
            run_bench(block, config, seed=seed, length=length)
    except (AssertionError, RuntimeError) as error:
        return f"{block} {config}: {error}", coverage
    return None, coverage


def runs(block: str, seeds: range, length: int):
    """Every (block, config, seed, length) that is to run; ValueError for an unknown block."""
    if block and block != BINDING:
        bench_named(block)
    for seed in seeds:
        for name, bench in BENCHES.items():
            if block in ("", name):
                yield from ((name, config, seed, length) for config in bench.configs)
        if block in ("", BINDING):
            yield from ((BINDING, config, seed, length)
                        for config in (preset("base"), *drawn_configs(seed)))


def uncovered(coverage: Coverage, jobs: int) -> list[str]:
    """The bins that so many jobs should have hit and have not."""
    return coverage.missed if jobs >= ENOUGH else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="make regress", description=__doc__)
    parser.add_argument("--block", default="")
    parser.add_argument("--seeds", type=positive, default=10)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=positive, default=2)
    parser.add_argument("--length", type=positive, default=5)
    o = parser.parse_args()
    console = Console()
    try:
        todo = list(runs(o.block, range(o.seed, o.seed + o.seeds), o.length))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    fuzzed = [(config, seed) for block, config, seed, _ in todo if block == BINDING]
    for config, seed in fuzzed:
        console.print(f"{BINDING}, seed {seed}: {config}", highlight=False, soft_wrap=True)
    failures, coverage = [], Coverage()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(o.jobs) as pool:
        task = progress.add_task(f"seeds {o.seed}..{o.seed + o.seeds - 1}", total=len(todo))
        futures = [pool.submit(run_one, *run) for run in todo]
        try:
            for done in as_completed(futures):
                progress.advance(task)
                report, met = done.result()
                coverage.update(met)
                if report:
                    failures.append(report)
                    console.print(report, style="red", markup=False, highlight=False)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            print("interrupted", file=sys.stderr)
            return 130
    if fuzzed:
        console.print(coverage.table())
    missed = uncovered(coverage, JOBS * o.length * len(fuzzed))
    for name in missed:
        console.print(f"not covered: {name}", style="red", markup=False, highlight=False)
    print(f"{len(todo) - len(failures)} passed, {len(failures)} failed, {len(missed)} not covered")
    return 1 if failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
