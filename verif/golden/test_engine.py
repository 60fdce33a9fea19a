# SPDX-License-Identifier: Apache-2.0
"""Jobs of the golden backend: a GEMM, then rescaling, both against literal arithmetic."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import A_FORMATS, B_FORMATS, FP4_R2, FP4_R4, INT4, INT32, UINT4, Phase
from golden.rescale import RAW, Rescale
from verif.golden.oracles import LOGS, MAC, RANGES, nearest_codes, rescaled

BACKEND = GoldenBackend(preset("base"))


def random_codes(rng, fmt, shape):
    lo, hi = RANGES.get(fmt.name, (0, 15))
    return rng.integers(lo, hi + 1, shape, dtype=np.int8)


def check(job, totals):
    """`totals` are the exact sums with bias; the mask and the rescaling remain to be checked."""
    kept = totals if job.mask is None else np.where(job.mask, totals, 0)
    result, then = BACKEND.run(job), job.then
    if then.fmt.name in RANGES:
        expected = [rescaled(v, then.scale.multiplier, then.scale.shift, then.zero_point, then.fmt)
                    for v in kept.ravel().tolist()]
        assert result.codes.ravel().tolist() == [code for code, _ in expected]
        if then.fmt != INT32:
            assert result.mask.ravel().tolist() == [inside for _, inside in expected]
        return
    scaled, shift = kept * then.scale.multiplier, -then.scale.shift
    for fmt, phase, levels, ratio in LOGS:
        if fmt == then.fmt:
            codes = result.odd if phase == Phase.ODD else result.codes
            np.testing.assert_array_equal(codes, nearest_codes(scaled, shift, levels, ratio))


THENS = [RAW, Rescale(INT4, Dyadic(50000, 24), -3), Rescale(UINT4, Dyadic(40000, 22)),
         Rescale(INT32, Dyadic(65535, 18)), Rescale(FP4_R4, Dyadic(33333, 23)),
         Rescale(FP4_R2, Dyadic(60000, 24))]


@pytest.mark.parametrize("then", THENS, ids=lambda t: t.fmt.name)
def test_gemm_jobs(then):
    rng = np.random.default_rng(8)
    for a_fmt, b_fmt in product(A_FORMATS, B_FORMATS):
        m, n, k = (int(v) for v in rng.integers(1, 40, 3))
        a, b = random_codes(rng, a_fmt, (m, k)), random_codes(rng, b_fmt, (n, k))
        bias = rng.integers(-5000, 5000, n) if rng.random() < 0.5 else None
        mask = rng.random((m, n)) < 0.7 if rng.random() < 0.5 else None
        job = Job.gemm(a, a_fmt, b, b_fmt, then, bias=bias, mask=mask, phase="dgrad")
        assert (job.shape, job.macs, job.phase) == ((m, n, k), m * n * k, "dgrad")
        b_values = np.array(MAC[b_fmt.name])[b] if b_fmt.name in MAC else b.astype(np.int64)
        totals = np.einsum("mk,nk->mn", a.astype(np.int64), b_values)
        check(job, totals if bias is None else totals + bias)


@pytest.mark.parametrize("then", THENS, ids=lambda t: t.fmt.name)
def test_quantise_jobs(then):
    rng = np.random.default_rng(9)
    for m, n in ((1, 1), (3, 7), (20, 5)):
        x = rng.integers(-(2**20), 2**20, (m, n))
        bias = rng.integers(-1000, 1000, n)
        mask = rng.random((m, n)) < 0.7
        for job, totals in ((Job.quantise(x, then), x),
                            (Job.quantise(x, then, bias=bias.tolist(), mask=mask.tolist()),
                             x + bias)):
            assert (job.shape, job.macs, job.phase) == ((m, n, 0), 0, "quantise")
            check(job, totals)


def test_raw_is_the_default():
    job = Job.gemm([[1, 2]], INT4, [[3, 4]], INT4)
    assert job.then is RAW and job.phase == "fprop"
    assert BACKEND.run(job).codes.tolist() == [[11]]


def test_split_k_adds_up():
    """A K beyond the bound is split; the INT32 results add up to the whole."""
    rng = np.random.default_rng(10)
    a, b = random_codes(rng, UINT4, (2, 40_000)), random_codes(rng, FP4_R4, (2, 40_000))
    with pytest.raises(ValueError, match="K = 40000 is beyond the exact bound"):
        BACKEND.run(Job.gemm(a, UINT4, b, FP4_R4))
    parts = [BACKEND.run(Job.gemm(a[:, s], UINT4, b[:, s], FP4_R4)).codes
             for s in (slice(30_000), slice(30_000, None))]
    whole = np.einsum("mk,nk->mn", a.astype(np.int64), np.array(MAC["FP4_R4"])[b])
    np.testing.assert_array_equal(sum(parts), whole)


def test_jobs_beyond_the_configuration():
    def ones(*shape):
        return np.ones(shape, dtype=np.int8)

    narrow = replace(preset("tiny"), dim_width=4, accumulator_width=20)
    for name, job in (("M", Job.gemm(ones(16, 1), INT4, ones(1, 1), INT4)),
                      ("N", Job.gemm(ones(1, 1), INT4, ones(16, 1), INT4)),
                      ("K", Job.gemm(ones(1, 16), INT4, ones(1, 16), INT4)),
                      ("M", Job.quantise(ones(16, 1), RAW)), ("N", Job.quantise(ones(1, 16), RAW))):
        text = f"{name} = 16 is out of range: one job takes 1..15 (dim_width = 4); split it"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            GoldenBackend(narrow).run(job)
    text = ("K = 9 is beyond the exact bound: UINT4 x FP4_R4 in 20-bit accumulators takes 1..8; "
            "split K and add the INT32 results")
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        GoldenBackend(narrow).run(Job.gemm(ones(1, 9), UINT4, ones(1, 9), FP4_R4))
    GoldenBackend(narrow).run(Job.gemm(ones(1, 8), UINT4, ones(1, 8), FP4_R4))
    one_radix = GoldenBackend(replace(preset("tiny"), radices=(4,)))
    text = "FP4_R2 needs radix 2: this configuration has radices (4,)"
    for job in (Job.gemm(ones(1, 1), INT4, ones(1, 1), FP4_R2),
                Job.quantise(ones(1, 1), Rescale(FP4_R2))):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            one_radix.run(job)


def test_bias_and_mask_of_the_wrong_shape():
    a, b = np.ones((2, 4), dtype=np.int8), np.ones((3, 4), dtype=np.int8)

    def gemm_job(**kwargs):
        return Job.gemm(a, INT4, b, INT4, **kwargs)

    def quantise_job(**kwargs):
        return Job.quantise(np.ones((2, 3), int), RAW, **kwargs)

    for job in (gemm_job, quantise_job):
        for bias in (np.ones(2, int), np.ones((1, 3), int), np.array(1)):
            text = f"bias of shape {bias.shape}: expected (3,), one per column"
            with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
                job(bias=bias)
        for mask in (np.ones((3, 2), bool), np.ones((2, 3), int)):
            text = (f"mask of shape {mask.shape} and dtype {mask.dtype}: "
                    "expected bool of shape (2, 3)")
            with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
                job(mask=mask)
        with pytest.raises(ValueError, match="bias have dtype float64: expected integers"):
            job(bias=np.zeros(3))
        with pytest.raises(ValueError, match=r"bias hold .* out of range: expected integers"):
            job(bias=np.full(3, 2**31))


def test_inputs_that_make_no_job():
    for shape in ((3,), (2, 3, 4), (0, 3), (3, 0)):
        text = f"x of shape {shape}: expected (M, N) with M and N from 1; reshape it"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            Job.quantise(np.zeros(shape, int), RAW)
    with pytest.raises(ValueError, match=r"x hold .* out of range: expected integers"):
        Job.quantise(np.full((1, 1), 2**31), RAW)
    with pytest.raises(ValueError, match="x have dtype float64: expected integers"):
        Job.quantise(np.zeros((1, 1)), RAW)
    with pytest.raises(ValueError, match=r"operands of shapes \(2, 3\) and \(2, 4\) do not fit"):
        Job.gemm(np.zeros((2, 3), int), INT4, np.zeros((2, 4), int), INT4)
