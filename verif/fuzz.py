# SPDX-License-Identifier: Apache-2.0
"""Random jobs through the verilated engine at full simulation speed, against the golden model."""

import numpy as np

from driver.reproducer import describe, first_difference
from driver.verilated import RtlBackend
from golden.config import Config
from golden.engine import GoldenBackend
from verif.bench.coverage import Coverage
from verif.bench.stimuli import random_job

LONGEST = 2**16  # beats of a job: of K as long as any configuration takes it


def fuzz_engine(config: Config, *, seed: int, jobs: int, stall: int | None = None,
                coverage: Coverage | None = None, few_jobs: bool = False) -> int:
    """Run random jobs; returns how many results were compared.

    `stall` idles every stream in so many of 256 cycles; None draws it anew from the seed.
    `coverage` counts what the jobs have met. `few_jobs` : as of `RtlBackend`.
    AssertionError with seed and job at the first difference.
    """
    rng = np.random.default_rng(seed)
    stall = int(rng.choice([0, 40, 120])) if stall is None else stall
    golden = GoldenBackend(config)
    compared = 0
    with RtlBackend(config, stall=stall, seed=seed, few_jobs=few_jobs) as rtl:
        for index in range(jobs):
            job = random_job(rng, config, longest=LONGEST)
            expected, actual = golden.run(job), rtl.run(job)
            if coverage is not None:
                coverage.add(config, job, expected)
            if difference := first_difference(expected, actual):
                raise AssertionError(
                    f"job {index} of seed {seed}, stall {stall}: {describe(job)}: {difference}; "
                    f"repeat with: make regress BLOCK=binding SEEDS=1 SEED={seed}")
            compared += expected.codes.size
    return compared
