# SPDX-License-Identifier: Apache-2.0
"""The random stimuli reach every coverpoint; a regression says so, or fails."""

import numpy as np
import pytest
from rich.console import Console

from golden.config import preset
from golden.engine import GoldenBackend
from golden.formats import INT32
from verif import regress
from verif.bench.coverage import POINTS, Coverage
from verif.bench.stimuli import random_job
from verif.fuzz import LONGEST


def test_random_jobs_hit_every_bin():
    """A short regression's jobs, on the golden model alone."""
    coverage = Coverage()
    for run in regress.runs(regress.BINDING, range(1, 11), 1):
        config = run.config
        rng, golden = np.random.default_rng(run.seed), GoldenBackend(config)
        for _ in range(200):
            job = random_job(rng, config, longest=LONGEST)
            coverage.add(config, job, golden.run(job))
    assert not coverage.missed


def test_a_bin_without_a_hit_is_named():
    coverage = Coverage()
    coverage.hits.update((point, name) for point, names in POINTS.items() for name in names)
    assert not coverage.missed
    del coverage.hits["seed", "0"]
    assert coverage.missed == ["seed: 0"]
    with pytest.raises(KeyError, match="coverpoint 'seed' has no bin 'two'"):
        coverage._hit("seed", "two")
    console = Console(record=True, width=200)
    console.print(coverage.table())
    assert "0: 0, 1: 1, 2**32 - 1: 1, another: 1" in console.export_text()


def test_results_fall_into_one_bin_each():
    """The classes of a format are disjoint and complete."""
    coverage = Coverage()
    ends = [INT32.lo, INT32.hi]
    codes = np.array([*ends, *(sign * 2**bit for bit in range(31) for sign in (1, -1)), 0])
    coverage._count_results("INT32, even shift", INT32, codes)
    found = {name: count for (_, name), count in coverage.hits.items()}
    assert found == {"lowest": 1, "highest": 1, "zero": 1, "< 2**10": 20, "< 2**20": 20,
                     "< 2**30": 20, ">= 2**30": 2}


def test_a_long_regression_draws_configurations():
    found = [run.config for run in regress.runs(regress.BINDING, range(1, 11), 1)]
    drawn = {config for config in found if config != preset("base")}
    assert len(drawn) >= 20
    assert regress.drawn_configs(7) == regress.drawn_configs(7)
    assert {c.serial for c in drawn} == {c.stochastic for c in drawn} == {True, False}
    assert {c.radices for c in drawn} == {(4, 2), (4,), (2,)}
    assert {20, 32} <= {c.accumulator_width for c in drawn}
    assert {1, 256} <= {c.tensors for c in drawn}


def test_what_a_regression_should_have_hit():
    coverage = Coverage()
    assert regress.uncovered(coverage, regress.ENOUGH - 1) == []
    assert regress.uncovered(coverage, regress.ENOUGH) == coverage.missed != []
