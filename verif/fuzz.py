# SPDX-License-Identifier: Apache-2.0
"""Random jobs through the verilated engine at full simulation speed, against the golden model."""

from pathlib import Path

import numpy as np

from driver.reproducer import describe, first_difference
from driver.verilated import RtlBackend
from golden.config import Config
from golden.engine import GoldenBackend
from verif.bench.coverage import Coverage
from verif.bench.stimuli import random_job

LONGEST = 2**16  # beats of a job: of K as long as any configuration takes it


class FuzzError(AssertionError):
    """The first job that differs: job `index`, from 0."""

    def __init__(self, index: int, message: str):
        super().__init__(message)
        self.index = index


def fuzz_engine(config: Config, *, seed: int, jobs: int, stall: int | None = None,
                coverage: Coverage | None = None, few_jobs: bool = False,
                trace: tuple[Path, int, int] | None = None) -> int:
    """Run random jobs; returns how many results were compared.

    `stall` idles every stream in so many of 256 cycles; None draws it anew from the seed.
    `coverage` counts what the jobs have met. `few_jobs`, `trace` : as of `RtlBackend`.
    FuzzError with seed and job at the first difference, or where the RTL ends a job badly.
    """
    rng = np.random.default_rng(seed)
    stall = int(rng.choice([0, 40, 120])) if stall is None else stall
    golden = GoldenBackend(config)
    compared = 0
    with RtlBackend(config, stall=stall, seed=seed, few_jobs=few_jobs,
                    trace=trace) as rtl:
        for index in range(jobs):
            job = random_job(rng, config, longest=LONGEST)
            expected = golden.run(job)
            if coverage is not None:
                coverage.add(config, job, expected)
            try:
                difference: object = first_difference(expected, rtl.run(job))
            except RuntimeError as error:
                difference = error
            if difference:
                raise FuzzError(
                    index,
                    f"job {index} of seed {seed}, stall {stall}: {describe(job)}: {difference}; "
                    f"repeat with: make regress BLOCK=binding SEEDS=1 SEED={seed}")
            compared += expected.codes.size
    return compared
