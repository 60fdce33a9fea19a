# SPDX-License-Identifier: Apache-2.0
"""`make regress`: every bench with many seeds, in parallel, and the engine behind its binding."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.config import Config, preset
from tools.arguments import positive
from verif.bench.benches import BENCHES, bench_named, run_bench
from verif.fuzz import fuzz_engine

BINDING = "binding"  # jobs of the `base` engine through the C++ harness, with random stalls


def run_one(block: str, config: Config, seed: int, length: int) -> str | None:
    """One run; None if it passes, else its report."""
    try:
        if block == BINDING:
            fuzz_engine(config, seed=seed, jobs=100 * length)
        else:
            run_bench(block, config, seed=seed, length=length)
    except (AssertionError, RuntimeError) as error:
        return f"{block} {config}: {error}"
    return None


def runs(block: str, seeds: range, length: int):
    """Every (block, config, seed, length) that is to run; ValueError for an unknown block."""
    if block and block != BINDING:
        bench_named(block)
    for seed in seeds:
        for name, bench in BENCHES.items():
            if block in ("", name):
                yield from ((name, config, seed, length) for config in bench.configs)
        if block in ("", BINDING):
            yield BINDING, preset("base"), seed, length


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
    failures = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(o.jobs) as pool:
        task = progress.add_task(f"seeds {o.seed}..{o.seed + o.seeds - 1}", total=len(todo))
        futures = [pool.submit(run_one, *run) for run in todo]
        try:
            for done in as_completed(futures):
                progress.advance(task)
                if report := done.result():
                    failures.append(report)
                    console.print(report, style="red", markup=False, highlight=False)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            print("interrupted", file=sys.stderr)
            return 130
    print(f"{len(todo) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
