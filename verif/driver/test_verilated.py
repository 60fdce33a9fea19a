# SPDX-License-Identifier: Apache-2.0
"""The verilated engine behind its numpy binding: many random jobs, every rescale mode, errors."""

import numpy as np
import pytest

from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden.config import Config, preset
from golden.engine import GoldenBackend, Job
from golden.formats import FORMATS, FP4_R4, INT4, INT32, UINT4
from golden.rescale import Rescale
from verif.bench.benches import WORDS
from verif.bench.stimuli import random_codes, random_data_job, random_rescale
from verif.fuzz import fuzz_engine


@pytest.fixture(scope="module")
def base():
    with RtlBackend(preset("base")) as rtl:
        yield rtl


@pytest.mark.parametrize("stall", [0, 40, 120])
@pytest.mark.parametrize("seed", [1, 2])
def test_random_jobs(seed, stall):
    """1,200 jobs on `base` in all, ragged and full, without reset in between."""
    assert fuzz_engine(preset("base"), seed=seed, jobs=200, stall=stall) > 0


@pytest.fixture(scope="module")
def words():
    with RtlBackend(WORDS) as rtl:
        yield rtl


def test_seeded_fault_is_found(base):
    """The comparison itself: one flipped bit of one result must be reported."""
    rng = np.random.default_rng(3)
    job = random_data_job(rng, base.config)
    result = base.run(job)
    assert first_difference(GoldenBackend(base.config).run(job), result) is None
    result.codes[-1, -1] ^= 1
    assert "codes" in str(first_difference(GoldenBackend(base.config).run(job), result))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_million_words_per_rescale_mode(words, fmt):
    rng = np.random.default_rng(list(FORMATS).index(fmt.name))
    golden, count = GoldenBackend(words.config), 0
    while count < 2**20:
        bits = int(rng.integers(1, 33))
        x = rng.integers(-(2**31), 2**31, (2048, 16)) >> (32 - bits)
        bias = rng.integers(-(2**31), 2**31, 16) >> int(rng.integers(0, 32))
        job = Job.quantise(x, random_rescale(rng, words.config, fmt, 2 ** (bits - 1)), bias=bias)
        difference = first_difference(golden.run(job), words.run(job))
        assert difference is None, f"{job.then}: {difference}"
        count += x.size


def test_utilisation_with_operands_always_ready(base):
    """256 x 256 x 256 keeps the `base` tile busy in both modes, and is exact."""
    rng = np.random.default_rng(5)
    for b_fmt in (INT4, FP4_R4):
        job = Job.gemm(random_codes(rng, UINT4, (256, 256)), UINT4,
                       random_codes(rng, b_fmt, (256, 256)), b_fmt, phase=b_fmt.name)
        assert first_difference(GoldenBackend(base.config).run(job), base.run(job)) is None
        assert job.macs / (base.cycles[b_fmt.name] * base.config.macs_per_cycle) >= 0.95


def test_the_longest_exact_k(base):
    """K at the bound of the accumulators, all products extreme and of one sign."""
    k = base.config.max_k(UINT4, FP4_R4)
    assert k == 34_952
    a, b = np.full((1, k), 15, np.int8), np.array([[7], [15]], np.int8).repeat(k, axis=1)
    job = Job.gemm(a, UINT4, b, FP4_R4)
    assert base.run(job).codes.tolist() == [[61_440 * k, -61_440 * k]]


def test_jobs_that_do_not_fit_are_refused(base):
    a = np.zeros((1, 34_953), np.int8)
    with pytest.raises(ValueError, match="K = 34953 is beyond the exact bound: UINT4 x FP4_R4"):
        base.run(Job.gemm(a, UINT4, a, FP4_R4))
    with pytest.raises(ValueError, match=r"M = 65536 is out of range: one job takes 1\.\.65535"):
        base.run(Job.quantise(np.zeros((65_536, 1), np.int32), Rescale(INT32)))
    with pytest.raises(ValueError, match=r"stall = 256 is out of range: .* integer 0\.\.255"):
        RtlBackend(base.config, stall=256)
    assert base.run(Job.quantise(np.ones((1, 1), np.int32), Rescale(INT32))).codes == 1


def test_saturated_bias_is_flagged_per_job(base):
    x = np.full((3, 5), INT32.hi)
    assert base.run(Job.quantise(x, Rescale(INT32), bias=np.ones(5, np.int64))).bias_saturated
    assert not base.run(Job.quantise(x, Rescale(INT32), bias=np.zeros(5, int))).bias_saturated


def test_closed_engine_says_so():
    rtl = RtlBackend(preset("tiny"), few_jobs=True)
    rtl.close()
    rtl.close()
    with pytest.raises(RuntimeError, match="the engine is closed: make a new RtlBackend"):
        rtl.run(Job.quantise(np.zeros((1, 1), int), Rescale(INT32)))


@pytest.mark.parametrize("config", [Config(1, 1, 1, dim_width=4), Config(4, 2, 4, radices=(4,)),
                                    Config(2, 16, 2, radices=(2,), stochastic=False)], ids=repr)
def test_other_shapes(config):
    """Degenerate and lopsided grids."""
    assert fuzz_engine(config, seed=9, jobs=60, stall=30, few_jobs=True) > 0
