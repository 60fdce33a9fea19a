# SPDX-License-Identifier: Apache-2.0
"""Adaptive scales end to end: corners of every solve mode, both policies, the table, throughput."""

import numpy as np
import pytest

from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden.adaptive import Adapt, Entry, Use
from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4
from golden.rescale import Rescale
from golden.solver import Request, SolveError, SolveMode, solve
from hdl.engine.engine import Engine
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from verif.bench.benches import WORDS
from verif.bench.stimuli import random_codes

LO, HI = INT32.lo, INT32.hi
CORNERS = {
    "all zero": np.zeros((3, 5), int),
    "all equal": np.full((4, 9), -77),
    "single element": np.array([[12345]]),
    "least": np.array([[LO]]),
    "extremes": np.array([[LO, HI], [0, -1]]),
    "all least": np.full((9, 8), LO),
    "ties": np.arange(-15, 16).reshape(1, -1),
    "one outlier": np.eye(16, dtype=int) * 10**9,
    "far from zero": np.arange(10**6, 10**6 + 16).reshape(4, 4),
}
TARGET = {SolveMode.RANGE: INT4, SolveMode.SYMMETRIC: INT4_SYM, SolveMode.SAWB: INT4_SYM,
          SolveMode.LUQ: FP4_R2}


@pytest.fixture(scope="module")
def pair():
    with RtlBackend(WORDS) as rtl:
        yield rtl, GoldenBackend(rtl.config)


@pytest.fixture(scope="module")
def grid():
    """With rows that drain one after the other."""
    with RtlBackend(Config(8, 4, 4), few_jobs=True) as rtl:
        yield rtl, GoldenBackend(rtl.config)


def both(pair, job):
    """Run a job on both backends, which must agree; returns the result."""
    rtl, golden = pair
    expected = golden.run(job)
    assert first_difference(expected, rtl.run(job)) is None
    return expected


def clear(pair, tensor, **entry):
    both(pair, Job.table(Adapt(tensor, preset=Entry(**entry))))


@pytest.mark.parametrize("mode", TARGET, ids=lambda m: m.name)
@pytest.mark.parametrize("name", CORNERS)
def test_corners_in_both_policies(pair, mode, name):
    x, own = CORNERS[name], Rescale(TARGET[mode], IDENTITY)
    clear(pair, 3)
    measured = both(pair, Job.quantise(x, own, adapt=Adapt(3, solve=mode, discard=True))).report
    assert measured.statistics.count == x.size
    exact = both(pair, Job.quantise(x, own, adapt=Adapt(3, Use.ENTRY)))
    assert exact.report.unset == measured.degenerate  # nothing solved: the job's own scale
    assert measured.degenerate or exact.report.scale == measured.entry.scale
    clear(pair, 4)
    first = both(pair, Job.quantise(x, own, adapt=Adapt(4, Use.ENTRY, mode)))
    assert first.report.unset and first.report.scale == own.scale  # nothing to look back at
    second = both(pair, Job.quantise(x, own, adapt=Adapt(4, Use.ENTRY, mode)))
    assert np.array_equal(second.codes, exact.codes) and second.report.scale == exact.report.scale


def test_range_mode_reaches_both_ends(pair):
    x = np.rint(np.linspace(0, 1, 4096).reshape(64, 64) * 2**30).astype(int)
    own = Rescale(INT4, IDENTITY)
    clear(pair, 0)
    both(pair, Job.quantise(x, own, adapt=Adapt(0, solve=SolveMode.RANGE, discard=True)))
    codes = both(pair, Job.quantise(x, own, adapt=Adapt(0, Use.ENTRY))).codes
    assert (codes[0, 0], codes[-1, -1], len(np.unique(codes))) == (-8, 7, 16)


def test_gradscale_follows_the_rule(pair):
    """From far below, the scale doubles each round until the largest is in (32, 64]."""
    g, own = np.array([[3, -1, 0]]), Rescale(FP4_R4, IDENTITY)
    clear(pair, 1)
    seen = [both(pair, Job.quantise(g, own, adapt=Adapt(1, Use.EXPONENT, SolveMode.GRADSCALE)))
            .report.entry.exponent for _ in range(7)]
    assert seen == [1, 2, 3, 4, 4, 4, 4]  # 3 * 2**4 = 48
    clear(pair, 1, exponent=40)
    report = both(pair, Job.quantise(g * 0 + 1, Rescale(FP4_R4, Dyadic(2**15, 63)), adapt=Adapt(
        1, Use.EXPONENT, SolveMode.GRADSCALE))).report
    assert report.limited and report.entry.exponent == 40
    report = both(pair, Job.quantise(g, own, adapt=Adapt(1, Use.EXPONENT))).report
    assert report.clipped and report.scale.shift == 0


def test_frozen_entries_stay(pair):
    entry = Entry(Dyadic(40000, 20), 5, -3, valid=True, frozen=True)
    both(pair, Job.table(Adapt(2, preset=entry)))
    for mode in SolveMode:
        job = Job.quantise(CORNERS["ties"], Rescale(INT4, IDENTITY), adapt=Adapt(
            2, solve=mode, alpha=7))
        assert both(pair, job).report.entry == entry
    assert both(pair, Job.table(Adapt(2))).report.entry == entry


def test_a_degenerate_round_keeps_the_scale(pair):
    clear(pair, 5)
    own = Rescale(INT4_SYM, IDENTITY)
    solved = both(pair, Job.quantise(CORNERS["ties"], own, adapt=Adapt(
        5, solve=SolveMode.SYMMETRIC))).report.entry
    after = both(pair, Job.quantise(CORNERS["all zero"], own, adapt=Adapt(
        5, solve=SolveMode.SYMMETRIC))).report
    assert after.degenerate and after.entry == solved
    assert both(pair, Job.table(Adapt(6, solve=SolveMode.RANGE))).report.degenerate  # no elements
    with pytest.raises(SolveError, match="no SYMMETRIC scale: the tensor is empty or has no ext"):
        solve(Request(SolveMode.SYMMETRIC), strict=True)


def test_unreachable_scales_are_flagged(pair):
    for alpha, exponent in ((2**32 - 1, -64), (1, 63)):
        adapt = Adapt(7, solve=SolveMode.PACT, alpha=alpha, exponent=exponent)
        assert both(pair, Job.table(adapt)).report.unreachable


def test_unknown_tensors_are_refused(pair):
    for backend in pair:
        with pytest.raises(ValueError, match=r"tensor 16 is unknown: .* has tensors 0\.\.15"):
            backend.run(Job.table(Adapt(16)))


def test_entries_and_requests_out_of_range():
    with pytest.raises(ValueError, match=r"exponent = 100 is out of range: .* -64\.\.63"):
        Adapt(0, solve=SolveMode.PACT, alpha=5, exponent=100)
    with pytest.raises(ValueError, match=r"zero_point = 40000 is out of range: .* -32768\.\.32767"):
        Entry(zero_point=40000)
    with pytest.raises(ValueError, match=r"exponent = 41 is out of range: .* -40\.\.40"):
        Entry(exponent=41)
    assert type(Adapt(np.int64(3), alpha=np.uint32(7)).alpha) is int


def test_formats_without_a_zero_point_ignore_the_entrys(pair):
    entry = Entry(Dyadic(2**15, 16), zero_point=-8, valid=True)
    both(pair, Job.table(Adapt(8, preset=entry)))
    for fmt in (INT32, FP4_R4, FP4_R2, INT4):
        job = Job.quantise(CORNERS["ties"], Rescale(fmt, IDENTITY), adapt=Adapt(8, Use.ENTRY))
        assert both(pair, job).report.zero_point == (-8 if fmt == INT4 else 0)


@pytest.mark.parametrize("fmt", [INT32, UINT4, FP4_R4, FP4_R2], ids=lambda f: f.name)
def test_measuring_never_stalls_the_tile(grid, fmt):
    """At K = rows x lanes every format streams one row per cycle, statistics included."""
    rtl, _ = grid
    config, rng = rtl.config, np.random.default_rng(1)
    k = config.rows * config.lanes
    job = Job.gemm(
        random_codes(rng, UINT4, (128, k)), UINT4, random_codes(rng, FP4_R4, (128, k)), FP4_R4,
        Rescale(fmt, Dyadic(2**15, 30)), phase=f"full speed {fmt.name}",
        adapt=Adapt(0, solve=SolveMode.GRADSCALE))
    both(grid, job)
    busy = job.macs // config.macs_per_cycle
    epilogue = StatisticsUnit.latency(config) + ScaleSolver.latencies[SolveMode.GRADSCALE] + 8
    assert rtl.cycles[job.phase] <= busy + Engine.latency(config) + config.rows + epilogue
