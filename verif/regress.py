# SPDX-License-Identifier: Apache-2.0
"""`make regress`: every bench with many seeds, in parallel, and the engine behind its binding.

The binding runs preset `base` and configurations that are drawn from each seed. What its jobs have
met is counted and printed; from `ENOUGH` jobs on a bin that was not hit is a failure. A failure is
one line; its log is in build/regress.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.config import Config, preset
from tools.arguments import MAX_SEED, Parser, add_workers, integer, seed
from tools.cache import ROOT
from tools.console import open_console
from tools.errors import LostError
from tools.files import write_atomically
from tools.jobs import Job, Pool, open_pool
from verif.bench.benches import BENCHES, run_bench
from verif.bench.coverage import Coverage
from verif.bench.stimuli import random_config
from verif.fuzz import fuzz_engine

BINDING = "binding"  # jobs of whole engines through the C++ harness, with random stalls
BLOCKS = (*BENCHES, BINDING)
DRAWN = 2  # configurations per seed, besides `base`
JOBS = 100  # per configuration, seed and LENGTH
ENOUGH = 5000  # jobs after which every bin should have been hit
MAX_CASE, MAX_SEEDS, MAX_LENGTH = 1000, 100_000, 1000
LOGS = ROOT / "build" / "regress"


@dataclass(frozen=True)
class Run:
    """A block in its configuration number `case`, from 0, with a seed; `length` as in LENGTH=."""

    block: str
    case: int
    config: Config
    seed: int
    length: int

    @property
    def log(self) -> Path:
        return LOGS / f"{self.block}-case{self.case}-seed{self.seed}-length{self.length}.log"

    @property
    def settings(self) -> str:
        """Of the commands that repeat this run alone."""
        return f"BLOCK={self.block} CASE={self.case} SEED={self.seed} LENGTH={self.length}"

    def failure(self) -> str:
        """All that a person needs, in one line."""
        log = self.log.relative_to(ROOT) if self.log.is_relative_to(ROOT) else self.log
        return (f"FAILED {self.block}, {brief(self.config)}, seed {self.seed}"
                f"; repeat: make regress {self.settings} SEEDS=1"
                f"; wave: make wave {self.settings}; log: {log}")

    def keep_log(self, wrong: str) -> None:
        """Write what is wrong; if nothing is, the log of an earlier run that failed goes."""
        if wrong:
            write_atomically(self.log, f"{self.failure()}\n{asdict(self)}\n{wrong}\n".encode())
        else:
            self.log.unlink(missing_ok=True)


def brief(config: Config) -> str:
    """The grid, and what is not as it is by default."""
    others = [f"{f.name}={getattr(config, f.name)!r}" for f in fields(Config)[3:]
              if getattr(config, f.name) != f.default]
    return " ".join([f"{config.rows} x {config.cols} x {config.lanes}", *others])


def drawn_configs(seed: int) -> list[Config]:
    """The configurations of a seed, always the same."""
    rng = np.random.default_rng(seed)
    return [random_config(rng) for _ in range(DRAWN)]


def configs(block: str, seed: int) -> tuple[Config, ...]:
    """What CASE= counts; ValueError that lists the blocks for an unknown one."""
    if block == BINDING:
        return (preset("base"), *drawn_configs(seed))
    if block not in BENCHES:
        raise ValueError(f"BLOCK = {block!r} is unknown: expected one of {', '.join(BLOCKS)}")
    return BENCHES[block].configs


def case_of(block: str, case: int, seed: int) -> Config:
    """One configuration; ValueError where the block has none of that number."""
    found = configs(block, seed)
    if not case < len(found):
        raise ValueError(f"CASE = {case} is out of range: {block} has the configurations "
                         f"0..{len(found) - 1}")
    return found[case]


def runs(block: str, seeds: range, length: int, case: int | None = None) -> Iterator[Run]:
    """All that is to run, of one block or of all; ValueError for an unknown block or case."""
    if case is not None and not block:
        raise ValueError(f"CASE = {case} without a block: expected BLOCK= too, one of "
                         f"{', '.join(BLOCKS)}")
    for one in seeds:
        for name in [block] if block else BLOCKS:
            chosen = configs(name, one) if case is None else {case: case_of(name, case, one)}
            numbered = chosen.items() if isinstance(chosen, dict) else enumerate(chosen)
            yield from (Run(name, number, config, one, length) for number, config in numbered)


def run_one(block: str, case: int, seed: int, length: int) -> tuple[str, Coverage]:
    """In a worker: what is wrong, "" if nothing is, and what the run has met."""
    config, coverage = case_of(block, case, seed), Coverage()
    try:
        if block == BINDING:
            fuzz_engine(config, seed=seed, jobs=JOBS * length, coverage=coverage)
        else:
            run_bench(block, config, seed=seed, length=length)
    except (AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}", coverage
    return "", coverage


def uncovered(coverage: Coverage, jobs: int) -> list[str]:
    """The bins that so many jobs should have hit and have not."""
    return coverage.missed if jobs >= ENOUGH else []


def run_all(todo: list[Run], pool: Pool, title: str, console: Console
            ) -> tuple[list[Run], Coverage]:
    """What failed, and what was met; each failure is printed when it is known."""
    failed, coverage = [], Coverage()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=len(todo))
        for done in pool.run(Job(run, run_one, (run.block, run.case, run.seed, run.length))
                             for run in todo):
            progress.advance(task)
            if isinstance(done.error, LostError):
                wrong, met = str(done.error), Coverage()
            elif done.error:
                raise done.error
            else:
                wrong, met = done.value
            coverage.update(met)
            done.job.key.keep_log(wrong)
            if wrong:
                failed.append(done.job.key)
                console.print(failed[-1].failure(), style="red", markup=False, soft_wrap=True)
    return failed, coverage


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("make regress", __doc__)
    parser.add_argument("--block", default="")
    parser.add_argument("--case", type=integer(0, MAX_CASE), help="one configuration of the block")
    parser.add_argument("--seeds", type=integer(1, MAX_SEEDS), default=10)
    parser.add_argument("--seed", type=seed, default=1, help="the first seed")
    add_workers(parser)
    parser.add_argument("--length", type=integer(1, MAX_LENGTH), default=5)
    o = parser.parse_args(arguments)
    console = open_console()
    last = o.seed + o.seeds - 1
    try:
        if last > MAX_SEED:
            raise ValueError(f"SEED = {o.seed} is out of range: with SEEDS={o.seeds} expected an "
                             f"integer 0..{MAX_SEED - o.seeds + 1}")
        todo = list(runs(o.block, range(o.seed, last + 1), o.length, o.case))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    fuzzed = [run for run in todo if run.block == BINDING]
    for run in fuzzed:
        console.print(f"{BINDING}, seed {run.seed}: {brief(run.config)}", soft_wrap=True)
    try:
        with open_pool(o.jobs, o.scheduler) as pool:
            failed, coverage = run_all(todo, pool, f"seeds {o.seed}..{last}", console)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if fuzzed:
        console.print(coverage.table())
    missed = uncovered(coverage, JOBS * o.length * len(fuzzed))
    for name in missed:
        console.print(f"not covered: {name}", style="red", markup=False, soft_wrap=True)
    print(f"{len(todo) - len(failed)} passed, {len(failed)} failed, {len(missed)} not covered")
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
