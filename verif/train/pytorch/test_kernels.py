# SPDX-License-Identifier: Apache-2.0
"""The torch kernels against the golden model: every bit, and where tensors are cut into jobs."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from golden import random_words  # noqa: E402
from golden.config import Config, preset  # noqa: E402
from golden.dyadic import Dyadic  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from golden.formats import (  # noqa: E402
    A_FORMATS,
    B_FORMATS,
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    UINT4,
    LogFormat,
    Phase,
)
from golden.gemm import gemm, mac_values  # noqa: E402
from golden.rescale import Rescale, rescale  # noqa: E402
from golden.statistics import measure  # noqa: E402
from train.pytorch import kernels, native  # noqa: E402
from train.pytorch.execution import (  # noqa: E402
    Encoding,
    JobExecution,
    TorchExecution,
    dyadic,
    pieces,
)
from verif.hdl.test_encoder import near_ties  # noqa: E402

CODES = (INT4, INT4_SYM, UINT4, FP4_R2, FP4_R4)


def magnitudes(rng, count: int) -> np.ndarray:
    """Integers of every magnitude, those at the ends and powers of two among them."""
    values = rng.integers(-2**31, 2**31, count) >> rng.integers(0, 32, count)
    powers = 1 << np.arange(31)
    corners = [0, 2**31 - 1, -2**31, *powers, *-powers, *(3 * powers[:30] // 2), *(powers - 1)]
    return np.concatenate([values, corners]).clip(-2**31, 2**31 - 1)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("fmt", CODES, ids=lambda fmt: fmt.name)
def test_encode_is_the_rescaling_unit(fmt, stochastic):
    rng = np.random.default_rng(1)
    reached = set()
    for shift in range(0, 64, 3):
        multiplier = int(rng.choice([32768, 40960, 65535, rng.integers(32768, 65536)]))
        scale = Dyadic(multiplier, shift)
        x = magnitudes(rng, 20_000)
        words = rng.integers(0, 2**24, len(x)) if stochastic else None
        wanted = rescale(x, Rescale(fmt, scale, seed=0 if stochastic else None), words=words)
        y = torch.from_numpy(x).double() * scale.value
        given = None if words is None else torch.from_numpy(words).int()
        for phase, codes in ((Phase.EVEN, wanted.codes), (Phase.ODD, wanted.odd)):
            if codes is not None:
                found = kernels.encode(y, fmt, phase, given)
                np.testing.assert_array_equal(found.numpy(), mac_values(codes, fmt))
                reached |= set(found.tolist())
    assert reached == set(mac_values(np.arange(fmt.lo, fmt.hi + 1), fmt).tolist())


@pytest.mark.parametrize("exponent", [None, 0, 2, 4])
@pytest.mark.parametrize("fmt", [FP4_R2, FP4_R4], ids=lambda fmt: fmt.name)
def test_encode_beside_the_ties_of_words(fmt, exponent):
    """A unit below, on and above the value at which a word ties, which random values never meet."""
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, 2**24, 3_000)
    x, shift = near_ties(fmt, exponent, drawn, rng.integers(-1, 2, len(drawn)))
    scale = Dyadic(2**15, shift)
    wanted = rescale(x, Rescale(fmt, scale, seed=0), words=drawn)
    found = kernels.encode(torch.from_numpy(x).double() * scale.value, fmt, Phase.EVEN,
                           torch.from_numpy(drawn).int())
    np.testing.assert_array_equal(found.numpy(), mac_values(wanted.codes, fmt))


def test_random_words():
    rng = np.random.default_rng(2)
    for seed in (0, 1, 2**31, 2**32 - 1, int(rng.integers(2**32))):
        rows = np.concatenate([np.arange(50), [2**31 - 1]])
        found = kernels.random_words(
            kernels.as_int32(torch.full((len(rows),), seed)), torch.from_numpy(rows).int(), 5)
        np.testing.assert_array_equal(found.numpy(), random_words.words(seed, rows, 5))


@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "native"])
def test_words_without_a_tensor(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(native, "library", lambda device: None)
    for seed, first in ((0, 0), (2**32 - 1, 5), (77, 2**32 - 100)):
        found = native.random_words(seed, first, 100, 16, torch.device("cpu"))
        wanted = random_words.words(seed, np.arange(first, first + 100), 16)
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_dyadic_is_the_nearest():
    rng = np.random.default_rng(3)
    values = np.concatenate([np.exp2(rng.uniform(-48, 15.9, 2_000)), [1.0, 65535, 2.0**-48],
                             7 / rng.integers(1, 2**30, 2_000), 64 / 2.0 ** np.arange(30)])
    ties = (2 * rng.integers(32768, 65535, 200) + 1) * 2.0**-20  # between two multipliers
    values = np.concatenate([values, ties])
    found = dyadic(torch.from_numpy(values)).tolist()
    assert found == [Dyadic.nearest(value).value for value in values]


def test_a_compiler_compiles_what_rounds():
    """All else would pass without it: the torch kernels take its place."""
    assert native.library("cpu") is not None
    assert native.library("another device") is None


def test_a_compiler_that_fails_is_told_of(monkeypatch):
    """Once, since everything goes on, slowly."""
    monkeypatch.setattr(native, "CPU", ["--no-such-option"])
    native.library.cache_clear()
    try:
        with pytest.warns(UserWarning, match="many times slower: .*no-such-option"):
            assert native.library("cpu") is None
        assert native.library("cpu") is None
    finally:
        native.library.cache_clear()


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("seed", [None, 77, 2**32 - 3])
@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "native"])
@pytest.mark.parametrize("config", [Config(4, 2, 4, dim_width=4), Config(2, 8, 4, dim_width=4)],
                         ids=["4x2", "2x8"])
def test_pieces_are_those_of_jobs(config, compiled, seed, by_row):
    """Shapes that one job cannot hold, on cores whose jobs take 15 rows and columns at most."""
    fast, jobs = TorchExecution(config, native=compiled), JobExecution(GoldenBackend(config))
    rng = torch.Generator().manual_seed(4)
    for shape in ((1, 1), (5, 3), (8, 8), (9, 17), (20, 33), (3, 7)):
        x = torch.randn(shape, generator=rng)
        for fmt in CODES:
            for phase in Phase if fmt == FP4_R4 else (Phase.EVEN,):
                top = LogFormat.TOP if isinstance(fmt, LogFormat) else fmt.hi
                largest = x.abs().amax(1) if by_row else x.abs().max()
                to = Encoding(fmt, 28, dyadic(top / (largest.double() * 2**28)), seed, phase)
                one, other = fast.quantise(x, to), jobs.quantise(x, to)
                assert torch.equal(one.values, other.values), (shape, fmt)
                if one.inside is not None:
                    assert torch.equal(one.inside, other.inside)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("fmt", CODES, ids=lambda fmt: fmt.name)
def test_compiled_code_is_the_torch_kernels(fmt, stochastic):
    """Every magnitude, both phases, more rows and columns than a thread and a vector take."""
    one, other = TorchExecution(native=True), TorchExecution(native=False)
    rng = np.random.default_rng(8)
    values = magnitudes(rng, 300 * 257 - 180)[:300 * 257]
    x = torch.from_numpy(rng.permutation(np.resize(values, 300 * 257)).reshape(300, 257))
    for shift in (0, 7, 20, 28):
        for phase in Phase if fmt == FP4_R4 else (Phase.EVEN,):
            to = Encoding(fmt, 0, dyadic(torch.tensor(40961 * 2.0**-15 * 2.0**-shift)),
                          9 if stochastic else None, phase)
            found, wanted = one.quantise(x.float(), to), other.quantise(x.float(), to)
            assert torch.equal(found.values, wanted.values)
            if wanted.inside is not None:
                assert torch.equal(found.inside, wanted.inside)


@pytest.mark.parametrize("fmt", CODES, ids=lambda fmt: fmt.name)
def test_compiled_code_beside_ties(fmt):
    """Halves between codes and boundaries between levels, and a unit beside them."""
    one, other = TorchExecution(native=True), TorchExecution(native=False)
    ties = np.concatenate([np.arange(-40, 41) * 2**19, 3 * 2**np.arange(28),
                           5 * 2**np.arange(27)])
    x = torch.from_numpy(np.concatenate([ties + near for near in (-1, 0, 1)])).float()[None]
    for phase in Phase if fmt == FP4_R4 else (Phase.EVEN,):
        to = Encoding(fmt, 0, dyadic(torch.tensor(2.0**-20)), None, phase)
        assert torch.equal(one.quantise(x, to).values, other.quantise(x, to).values)


@pytest.mark.parametrize("exponent", [None, 0, 2, 4])
@pytest.mark.parametrize("fmt", [FP4_R2, FP4_R4], ids=lambda fmt: fmt.name)
def test_compiled_code_beside_the_ties_of_words(fmt, exponent):
    """A unit below, on and above the value at which the word of its place ties."""
    rng = np.random.default_rng(11)
    execution = TorchExecution(native=True)
    to = Encoding(fmt, 0, dyadic(torch.tensor(1.0)), 5)
    drawn = execution._words(torch.empty(1, 3_000), slice(0, 1), to)[0].numpy().astype(np.int64)
    x, shift = near_ties(fmt, exponent, drawn, rng.integers(-1, 2, len(drawn)))
    near = np.abs(x) < 2**24  # which float32 holds
    x = np.where(near, x, 0)
    to = to._replace(scale=dyadic(torch.tensor(2.0 ** (15 - shift))))
    wanted = rescale(x, Rescale(fmt, Dyadic(2**15, shift), seed=0), words=drawn)
    found = execution.quantise(torch.from_numpy(x).float()[None], to).values[0]
    np.testing.assert_array_equal(found.numpy(), mac_values(wanted.codes, fmt))
    assert near.sum() > 1_000


def test_moments_are_the_statistics():
    """Of integers of all magnitudes up to 2**30, as the rescaling unit measures them."""
    rng = np.random.default_rng(12)
    for count in (1, 7, 5_000):
        x = magnitudes(rng, count).clip(-2**30, 2**30)[:count]
        assert kernels.moments(torch.from_numpy(x).double(), 0) == measure(x)
    x = torch.full((10_000,), -2.0**30)
    assert kernels.moments(x, 0) == measure(np.full(10_000, -2**30))


@pytest.mark.parametrize("fmt", A_FORMATS, ids=lambda fmt: fmt.name)
def test_the_clip_mask_leaves_out_the_ends(fmt):
    """Values that are exactly the lowest and the highest code."""
    x = torch.arange(fmt.lo - 1, fmt.hi + 2)[None].float()
    to = Encoding(fmt, 20, dyadic(torch.tensor(2.0**-20)))
    one, other = (execution.quantise(x, to) for execution in (
        TorchExecution(), JobExecution(GoldenBackend(preset("base")))))
    assert torch.equal(one.inside, other.inside)
    assert x[one.inside].tolist() == list(range(fmt.lo + 1, fmt.hi))


@pytest.mark.parametrize("scale", [torch.ones(()), torch.ones(100)], ids=["tensor", "rows"])
def test_pieces_have_seeds_of_their_own(scale):
    to = Encoding(FP4_R2, 20, scale.double(), 5)
    seeds = [piece.seed for piece in pieces((100, 100), to, Config(4, 2, 4, dim_width=4))]
    assert len(set(seeds)) == len(seeds) > 100


@pytest.mark.parametrize("b_fmt", B_FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("a_fmt", A_FORMATS, ids=lambda fmt: fmt.name)
def test_multiply_is_exact_for_any_depth(a_fmt, b_fmt):
    rng = np.random.default_rng(5)
    most = 2**24 // (a_fmt.magnitude * b_fmt.magnitude)
    for k in (1, most, min(most, 20_000) + 1):
        a = rng.integers(a_fmt.lo, a_fmt.hi + 1, (3, k))
        b = rng.integers(b_fmt.lo, b_fmt.hi + 1, (2, k))
        a[0], b[0] = a_fmt.hi, 7  # the largest sums
        values = [torch.from_numpy(mac_values(codes, fmt, np.float32))[None]
                  for codes, fmt in ((a, a_fmt), (b, b_fmt))]
        wanted = gemm(a, a_fmt, b, b_fmt)
        fast = kernels.multiply(values[0], a_fmt, values[1], b_fmt)
        np.testing.assert_array_equal(fast[0].numpy(), wanted)
        if k <= preset("base").max_dim:
            jobs = JobExecution(GoldenBackend(preset("base")))
            found = jobs.multiply(values[0], a_fmt, values[1], b_fmt, "fprop")
            np.testing.assert_array_equal(found[0].numpy(), wanted)
