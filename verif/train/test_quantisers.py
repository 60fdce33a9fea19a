# SPDX-License-Identifier: Apache-2.0
"""Quantisers, activations and schemes: scales, zero points, rounding, and inference without trace.

Zero points are checked on the golden model and on the RTL against plain integers.
"""


import numpy as np
import pytest

from driver.checked import CheckedBackend
from driver.verilated import RtlBackend
from golden.adaptive import Adapt, Entry
from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4, Phase
from golden.integer import sawb
from golden.logfp4 import decode
from golden.rescale import Rescale
from golden.solver import SolveMode
from golden.tensor import Quantised
from train.digits.data import digits
from train.network.activations import Pact
from train.network.layers import multiply
from train.network.mlp import quantised_mlp
from train.network.optimizer import Parameter
from train.network.schemes import SCHEMES
from train.quantisers import (
    Fixed,
    Luq,
    Policy,
    RangedInputs,
    Sawb,
    SolvedScale,
    SolvedWeights,
    UnitInterval,
)

BACKEND = GoldenBackend(preset("base"))
SIZES = (64, 24, 16, 10)


@pytest.fixture
def core():
    return GoldenBackend(preset("base"))


@pytest.fixture(scope="module")
def rtl():
    with RtlBackend(preset("base")) as backend:
        yield backend


@pytest.fixture
def batch():
    data = digits(0)
    return data.train_images[:48], data.train_labels[:48]


# Zero points


def integers(codes, fmt, zero_point):
    """What codes stand for in the MAC, zero point removed."""
    if fmt in (FP4_R4, FP4_R2):
        c = codes & 7
        return np.where(c == 0, 0, fmt.radix ** np.maximum(c - 1, 0)) * np.where(codes & 8, -1, 1)
    return codes.astype(np.int64) - zero_point


@pytest.mark.parametrize("b_fmt", [INT4_SYM, INT4, FP4_R4, FP4_R2], ids=lambda f: f.name)
@pytest.mark.parametrize("zero_point", [-8, 7, -3, 0, 300, -1000])
def test_zero_points_leave_the_product_exactly(rtl, zero_point, b_fmt):
    """Golden and RTL, plain integers as the oracle; raw, and rescaled with a bias."""
    rng = np.random.default_rng([zero_point & 0xFFFF, b_fmt.encoding])
    b_range = (0, 16) if b_fmt in (FP4_R4, FP4_R2) else (b_fmt.lo, b_fmt.hi + 1)
    for m, n, k in ((1, 1, 1), (3, 19, 70), (17, 8, 129)):
        a = Quantised(rng.integers(-8, 8, (m, k)), INT4, 1.0, zero_point)
        b = Quantised(rng.integers(*b_range, (n, k)), b_fmt, 1.0)
        bias = rng.integers(-10**5, 10**5, n)
        exact = integers(a.codes, INT4, zero_point) @ integers(b.codes, b_fmt, 0).T
        for backend in (BACKEND, rtl):
            assert np.array_equal(multiply(backend, a, b, phase="wgrad").codes, exact)
            raw = multiply(backend, a, b, bias=bias, phase="fprop").codes
            assert np.array_equal(raw, exact + bias)
            then = Rescale(UINT4, Dyadic(2**15, 22))  # 2**-7
            codes = multiply(backend, a, b, then, bias=bias, phase="fprop").codes
            assert np.array_equal(codes, np.clip(np.rint((exact + bias) / 2**7), 0, 15))


def test_corrections_beyond_32_bits_are_refused():
    ones = Quantised(np.ones((1, 600), int), INT4, 1.0, zero_point=-1000)
    with pytest.raises(ValueError, match=r"bias hold .* out of range: expected integers"):
        multiply(BACKEND, ones, Quantised(np.full((1, 600), 7), FP4_R4, 1.0), phase="wgrad")
    one = Quantised(np.ones((1, 1), int), INT4, 1.0)
    with pytest.raises(ValueError, match=r"fprop, zero point 0: .* leaves -2147483648\.\.21474836"):
        multiply(BACKEND, one, Quantised(one.codes, INT4, 1.0), bias=[INT32.hi], phase="fprop")


@pytest.mark.parametrize("low", [0, 0.2])
def test_ranged_layer_is_exact_on_its_quantised_tensors(batch, core, low):
    """Only quantisation rounds, whatever the zero point: -8 where the range starts at 0."""
    layer = quantised_mlp(SIZES, 1, core, "range").layers[0]
    layer.bias.value[:] = np.random.default_rng(3).normal(0, 0.5, layer.bias.value.shape)
    core.run(Job.table(Adapt(layer.quantise_gradient.tensor, preset=Entry(exponent=6))))
    images = low + 0.7 * batch[0]
    x = RangedInputs(SolvedScale(9, SolveMode.RANGE))(core, images)
    assert x.fmt == INT4 and {x.codes.min(), x.codes.max()} == {-8, 7}
    assert x.zero_point == (-8 if low == 0 else -12)  # 0.2 / 0.7 * 15 = 4.3
    assert x.scale == pytest.approx(0.7 / 15, rel=2**-15)
    y = layer.forward(x)
    w = layer.codes["weights"]
    unit = x.scale * w.scale
    sums = x.dequantise() @ w.dequantise().T + unit * np.rint(layer.bias.value / unit)
    assert (y.fmt, y.zero_point) == (INT4, -8)
    assert y.scale == pytest.approx(sums.max() / 15, rel=2**-15)
    np.testing.assert_allclose(
        y.dequantise(), np.maximum(sums, 0), atol=y.scale * (0.5 + 2**-10))

    g = np.random.default_rng(4).uniform(-1, 1, y.codes.shape)
    dx = layer.backward(Fixed.of(g, 30, name="g"), propagate=True)
    even, passed = layer.codes["gradients"], np.rint(sums / unit) > 0
    assert 0.2 < passed.mean() < 0.8
    # 1.6 below the lowest level, 4**-3, in the scale of 64
    assert np.array_equal(even.codes != 0, passed & (np.abs(g) * 64 >= 4.0**-3 / 1.6))
    np.testing.assert_allclose(
        dx.values * dx.unit, even.dequantise() @ w.dequantise(), rtol=1e-12, atol=1e-14)
    then = Rescale(FP4_R4, Dyadic.nearest(2.0**-24))
    fixed = Fixed.of(g, 30, name="g").values
    odd = decode(core.run(Job.quantise(fixed, then, mask=passed)).odd, FP4_R4, Phase.ODD) / 64
    np.testing.assert_allclose(
        layer.weight.gradient, odd.T @ x.dequantise() / len(g), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.bias.gradient, odd.mean(axis=0), rtol=1e-12, atol=1e-14)


# Scales of the core


@pytest.mark.parametrize("quant", [name for name in SCHEMES if name != "static"])
def test_the_cores_scale_is_what_the_host_believes(batch, core, quant):
    """Frozen entries with odd scales: host and core still agree on what every code is worth."""
    layer = quantised_mlp(SIZES, 1, core, quant).layers[0]
    odd = Dyadic(40000, 36)  # of no tensor here
    for tensor in range(3):
        core.run(Job.table(Adapt(tensor, preset=Entry(odd, 0, 5, True, True))))
    x = UnitInterval()(core, batch[0])
    y = layer.forward(x)
    w = layer.codes["weights"]
    assert w.scale == 2.0**-24 / odd.value
    assert y.scale == x.scale * w.scale / odd.value
    g = Fixed.of(np.full(y.codes.shape, 0.25), 30, name="g")
    codes = layer.quantise_gradient(core, g)
    assert codes.dgrad.scale == (2.0**-5 if quant != "luq" else 2.0**-30 / odd.value)
    assert layer.quantise_gradient.log2_scale == -np.log2(codes.dgrad.scale)


def test_hindsight_falls_back_in_its_first_round(core):
    rng, reports = np.random.default_rng(0), []
    finish = core.table.finish
    core.table.finish = lambda *a, **k: reports.append(finish(*a, **k)) or reports[-1]
    quantise = SolvedWeights(SolvedScale(0, SolveMode.SAWB, Policy.HINDSIGHT))
    tensors = [rng.normal(0, 0.1, (8, 20)) for _ in range(3)]
    scales = [quantise(core, w).scale for w in tensors]
    assert [r.unset for r in reports] == [True, False, False]  # one pass each
    assert scales[0] == pytest.approx(1 / 7, rel=2**-15)  # [-1, 1]
    for before, scale in zip(tensors, scales[1:], strict=False):  # what the last one was worth
        assert scale == pytest.approx(sawb(before).scale, rel=2**-14)


def test_pact_solves_what_the_host_would(core):
    rng = np.random.default_rng(1)
    for _ in range(200):
        alpha, unit = 2.0 ** rng.uniform(-4, 4), 2.0 ** rng.uniform(-12, -3)
        parameter = Parameter("alpha", np.array(alpha))
        host = Pact(parameter).prepare(core, unit)[0].scale
        _, use = Pact(parameter, 3).prepare(core, unit)
        solved = core.table.entries[use.tensor].scale
        assert solved.value == pytest.approx(host.value, rel=2**-15)  # at most one step of M
        exact = 15 * unit / alpha
        assert abs(solved.value - exact) <= exact * 2**-16 * (1 + 1e-4)  # M's own rounding


def test_luq_is_unbiased_and_never_saturates(core):
    x = np.geomspace(1e-4, 1, 40)[None]
    quantise = Luq(SolvedScale(0, SolveMode.LUQ), np.random.default_rng(2))
    g, rounds = Fixed.of(np.repeat(x, 100, axis=0), 30, name="g"), 40
    total = np.zeros(x.shape)
    for _ in range(rounds):
        codes = quantise(core, g)
        assert codes.wgrad is codes.dgrad and codes.dgrad.fmt == FP4_R2
        total += codes.dgrad.dequantise().mean(axis=0) / rounds
    assert codes.dgrad.scale == pytest.approx(1 / 64, rel=2**-15)
    step = np.maximum(2.0 ** np.floor(np.log2(x * 64)), 1) / 64  # between neighbouring levels
    assert (np.abs(total - x) < 5 * step / 2 / np.sqrt(100 * rounds) + x * 2**-11).all()


# Quantisers


def test_quantisers_carry_the_applied_scale():
    images = np.array([[0, 0.5, 1]])
    x = UnitInterval()(BACKEND, images)
    assert x.codes.tolist() == [[0, 8, 15]] and x.fmt == UINT4
    assert x.scale == pytest.approx(1 / 15, rel=2**-15)
    w = np.random.default_rng(0).normal(0, 0.1, (10, 20))
    q = Sawb()(BACKEND, w)
    assert q.fmt == INT4_SYM
    inside = np.abs(q.codes) < 7
    assert np.abs(q.dequantise() - w)[inside].max() <= q.scale * (0.5 + 2**-14)


def test_pact_tells_just_below_alpha_from_alpha():
    pact, unit = Pact(Parameter("alpha", np.array(1.5))), 2.0**-10  # scale exactly 10 * 2**-10
    x = np.array([[-5, 0, 1, 1535, 1536, 9000]])
    y = pact(BACKEND, lambda then, adapt: BACKEND.run(Job.quantise(x, then)), unit)
    assert y.codes.tolist() == [[0, 0, 0, 15, 15, 15]] and y.scale == 0.1
    passed = pact.backward(Fixed(np.array([[1, 2, 4, 8, 16, 32]]), 0.5))
    assert passed.tolist() == [[False, False, True, True, False, False]]
    assert pact.alpha.gradient == 0.5 * (16 + 32)  # those clipped above


def test_symmetric_weights_map_their_largest_onto_seven(core):
    w = np.random.default_rng(0).normal(0, 0.1, (10, 20))
    w[3, 4] = -0.6
    q = SolvedWeights(SolvedScale(0, SolveMode.SYMMETRIC))(core, w)
    assert q.scale == pytest.approx(0.6 / 7, rel=2**-15)
    assert (q.fmt, q.codes[3, 4], q.codes.max() < 7) == (INT4_SYM, -7, True)
    assert np.abs(q.dequantise() - w).max() <= q.scale * (0.5 + 2**-12)  # nothing is clipped


# Tensors without extent


@pytest.mark.parametrize("mode", [SolveMode.SAWB, SolveMode.SYMMETRIC])
def test_degenerate_weights_are_zero_and_keep_the_scale(core, tmp_path, mode):
    checked = CheckedBackend(core, "none", seed=0, preset_name="base", folder=tmp_path)
    for tensor, policy in enumerate(Policy):
        quantise = SolvedWeights(SolvedScale(tensor, mode, policy))
        quantise(checked, np.full((2, 3), 0.25))
        kept, before = core.table.entries[tensor], checked.degenerate
        q = quantise(checked, np.zeros((2, 3)))
        assert not q.codes.any() and core.table.entries[tensor] == kept and kept.valid
        assert checked.degenerate == before + 1
        own = policy == Policy.EXACT  # not the scale of an earlier tensor
        assert q.scale == pytest.approx(1 / 7 if own else 2.0**-24 / kept.scale.value, rel=2**-15)


@pytest.mark.parametrize("value", [0, 0.6, 1])
def test_degenerate_range_takes_its_own_scale(core, value):
    """A constant image after dark ones: on their scale it would be clamped to their maximum."""
    quantise = RangedInputs(SolvedScale(0, SolveMode.RANGE))
    dark = quantise(core, np.array([[0, 0.1]]))
    kept = core.table.entries[0]
    q = quantise(core, np.full((2, 3), value))
    assert (dark.scale, q.scale) == pytest.approx((0.1 / 15, 1 / 15), rel=2**-15)
    assert np.abs(q.dequantise() - value).max() <= q.scale * 0.51
    assert core.table.entries[0] == kept


def test_a_range_far_from_zero_is_refused(core):
    with pytest.raises(ValueError, match=r"tensor 0 of the table: 1073741824\.\.1073\d+ lies too "
                       r"far from zero for a zero point of -32768\.\.32767; subtract its centre"):
        RangedInputs(SolvedScale(0, SolveMode.RANGE))(core, np.array([[1, 1.0001]]))


# Stochastic rounding


X = np.linspace(0.005, 0.95, 40)[None]
ROUNDED = {
    "inputs": lambda rng: UnitInterval(rng),
    "weights": lambda rng: SolvedWeights(SolvedScale(0, SolveMode.SYMMETRIC), rng),
    "activations": lambda rng: lambda core, x, frozen=False: Pact(
        Parameter("alpha", np.array(0.95)), 1, rng)(core, lambda then, adapt: core.run(
            Job.quantise(np.rint(x * 2**20).astype(int), then, adapt=adapt)), 2.0**-20,
            frozen=frozen),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_stochastic_rounding_is_unbiased_and_repeats(core, name):
    quantise, again = (ROUNDED[name](np.random.default_rng(2)) for _ in range(2))
    rows, rounds, total = np.repeat(X, 100, axis=0), 20, 0
    for _ in range(rounds):
        q, twin = quantise(core, rows), again(core, rows)
        assert np.array_equal(q.codes, twin.codes)  # the same seed, the same bits
        assert np.ptp(q.codes, axis=0).max() == 1  # one of the two neighbours
        total += q.dequantise().mean(axis=0) / rounds
    deviation = 5 * q.scale / 2 / np.sqrt(100 * rounds)  # of a coin, five sigma
    assert (np.abs(total - X) < deviation + q.scale * 2**-12 + 2**-15).all()


@pytest.mark.parametrize("name", ROUNDED)
def test_inference_rounds_to_nearest(core, name):
    quantise = ROUNDED[name](np.random.default_rng(2))
    quantise(core, X)
    q = quantise(core, X, frozen=True)
    assert np.abs(q.dequantise() - X).max() <= q.scale * (0.5 + 2**-11)
    again = ROUNDED[name](np.random.default_rng(2))
    again(core, X)
    assert np.array_equal(quantise(core, X).codes, again(core, X).codes)  # no seed was drawn


# Inference


class Recorded(GoldenBackend):
    """Keeps its jobs."""

    def __init__(self):
        super().__init__(preset("base"))
        self.jobs = []

    def run(self, job):
        self.jobs.append(job)
        return super().run(job)


def test_schemes_reach_every_mode_of_the_core(batch):
    """All solve modes but SAWB of UINT4, for no scheme clips activations by moments; each format to
    nearest or stochastically, as the scheme says."""
    jobs = {}
    for quant in SCHEMES:
        core = Recorded()
        quantised_mlp(SIZES, 5, core, quant).backpropagate(*batch)
        jobs[quant] = core.jobs
    solved = {job.adapt.solve for found in jobs.values() for job in found if job.adapt}
    assert solved == {*SolveMode, None} - {SolveMode.SAWB_UNSIGNED}
    rounded = {quant: {(job.then.fmt, job.then.seed is not None) for job in found}
               for quant, found in jobs.items()}
    nearest, integers = {(INT32, False)}, (UINT4, INT4_SYM)
    for quant in ("adaptive", "hindsight", "symmetric", "static"):
        assert rounded[quant] == nearest | {(fmt, False) for fmt in (*integers, FP4_R4)}
    assert rounded["range"] == nearest | {(fmt, False) for fmt in (INT4, INT4_SYM, FP4_R4)}
    assert rounded["stochastic"] == nearest | {(fmt, False) for fmt in integers} | {(FP4_R4, True)}
    assert rounded["stochastic-all"] == nearest | {(fmt, True) for fmt in (*integers, FP4_R4)}
    assert rounded["luq"] == nearest | {(fmt, False) for fmt in integers} | {(FP4_R2, True)}
    seeds = [job.then.seed for job in jobs["stochastic-all"]
             if job.then.seed is not None and not (job.adapt and job.adapt.discard)]
    assert len(set(seeds)) == len(seeds) == 1 + 3 + 2 + 3  # inputs, weights, activations, gradients


@pytest.mark.parametrize("quant", SCHEMES)
def test_inference_leaves_no_trace(batch, quant):
    """Training goes the same way with tests in between, which solve nothing and draw nothing."""
    def train(infer):
        core, found = Recorded(), []
        network = quantised_mlp(SIZES, 5, core, quant)
        for _ in range(3):
            network.backpropagate(*batch)
            for p in network.parameters:
                p.value -= 0.05 * p.gradient  # so that fresh scales would be others
            found += [p.gradient.copy() for p in network.parameters]
            if infer:
                table, first = list(core.table.entries), len(core.jobs)
                logits = network.logits(digits(0).test_images[:40])
                assert np.array_equal(network.logits(digits(0).test_images[:40]), logits)
                assert core.table.entries == table
                for job in core.jobs[first:]:
                    assert job.then.seed is None and job.phase in ("fprop", "quantise")
                    assert job.adapt is None or job.adapt.solve is None
        return found, core.table.entries

    found, table = train(True)
    expected, expected_table = train(False)
    assert table == expected_table
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("quant", SCHEMES)
def test_inference_needs_no_training(batch, core, quant):
    """Without solved scales there are fixed ones: [-1, 1], [0, 1], and alpha's."""
    logits = quantised_mlp(SIZES, 5, core, quant).logits(batch[0])
    twin = quantised_mlp(SIZES, 5, core, "static").logits(batch[0])
    assert np.corrcoef(logits.ravel(), twin.ravel())[0, 1] > 0.8


# On the RTL


@pytest.mark.parametrize("quant", SCHEMES)
def test_every_scheme_trains_on_the_rtl(batch, rtl, tmp_path, quant):
    """Two steps and a test between them, every job compared with the golden model."""
    backend = CheckedBackend(rtl, "all", seed=0, preset_name="base", folder=tmp_path)
    network = quantised_mlp(SIZES, 3, backend, quant)
    network.backpropagate(*batch)
    network.predict(batch[0])
    network.backpropagate(*batch)
    assert backend.checked == backend.jobs > 30 and backend.mismatches == 0
