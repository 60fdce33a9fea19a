# SPDX-License-Identifier: Apache-2.0
"""What is there to be compared with: gradients of radix 10, and PACT's gradient of a clip."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from golden import logfp4  # noqa: E402
from golden.config import preset  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from train.pytorch import kernels  # noqa: E402
from train.pytorch.convert import convert  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution  # noqa: E402
from train.pytorch.policy import FP4_R10, POLICIES, Role, policy  # noqa: E402
from train.pytorch.product import Product  # noqa: E402
from train.pytorch.quantiser import Quantiser  # noqa: E402
from verif.train.pytorch.test_convert import same, trained  # noqa: E402

# Radix 10


def around_levels(rng) -> np.ndarray:
    """Random magnitudes and both neighbours of every level and boundary, with both signs."""
    spread = 64 * 10.0 ** rng.uniform(-8, 1, 5_000)
    special = np.concatenate([logfp4.levels(10.0), logfp4.boundaries(10.0)])
    special = np.concatenate([special, np.nextafter(special, 0), np.nextafter(special, 99)])
    return np.concatenate([spread, special, -spread, -special])


def near_ties(words: np.ndarray) -> np.ndarray:
    """Magnitudes right below and right above where these words tie: by all their bits below the
    lowest level, by the top half between two."""
    levels = logfp4.levels(10.0)
    lower = np.arange(len(words)) % 7
    drawn = np.where(lower == 0, (words + 0.5) / 2**24, ((words >> 12) + 0.5) / 2**12)
    beside = np.where(np.arange(len(words)) % 2, 0.25, -0.25) / np.where(lower == 0, 2**24, 2**12)
    return levels[lower] + np.diff(levels)[lower] * (drawn + beside)


@pytest.mark.parametrize("stochastic", [False, True])
def test_radix_10_is_the_golden_models(stochastic):
    rng = np.random.default_rng(0)
    y = around_levels(rng)
    words = None
    if stochastic:
        words = rng.integers(0, 2**24, len(y) + 7_000)
        y = np.concatenate([y, near_ties(words[len(y):])])
    codes = logfp4.encode(y, 10.0, words=words, bits=24)
    found = kernels.encode(torch.from_numpy(y), FP4_R10, words=None if words is None else (
        torch.from_numpy(words).int()))
    np.testing.assert_allclose(found.double().numpy() * FP4_R10.unit(),
                               logfp4.decode(codes, 10.0), rtol=1e-14)
    assert set(np.abs(found.numpy())) == {0, *(10**n for n in range(7))}


@pytest.mark.parametrize("axis", ["tensor", "row"])
def test_radix_10_reaches_from_the_largest_down(axis):
    role = Role("FP4_R10", "max", axis)
    x = torch.tensor([[3.0, -0.3, 0.2, 1e-3, 3e-6, 1.6e-6, 1e-6], [6.0] + [-0.6] * 6])
    found = Quantiser(role, "here")(x, TorchExecution(), (1,), frozen=False)
    unit = found.unit.reshape(-1, 1)
    top = np.float32(3.0 if axis == "row" else 6.0)
    first = np.abs((found.values * unit)[0].numpy())
    wanted = logfp4.decode(logfp4.encode(x[0].double().numpy() * 64 / top, 10.0), 10.0) * top / 64
    np.testing.assert_allclose(first, np.abs(wanted), rtol=1e-4)


def test_radix_10_trains_and_is_unbiased_where_stochastic():
    gradient = Role("FP4_R10", "max", rounding="stochastic")
    how = policy("luq").but(name="ten", edges=True, dgrad=gradient, wgrad=gradient)
    assert how.emulated and not any(POLICIES[name].emulated for name in ("luq", "tetra", "fp32"))
    _, numbers = trained("vision", how, TorchExecution())
    assert all(torch.isfinite(n).all() for n in numbers)
    product = Product(how, "layer", 1, 8, TorchExecution())
    torch.manual_seed(0)
    dy = torch.randn(1, 6, 8)
    found = product.encode("dgrad", dy.repeat(1, 600, 1), 1)
    mean = (found.values * found.unit.float()).view(600, 6, 8).mean(0)
    assert (mean - dy).abs().max() < 0.2 and (mean - dy).norm() / dy.norm() < 0.08


# PACT


@pytest.mark.parametrize("fmt, least", [("INT4_SYM", -1.0), ("INT4", -8 / 7), ("UINT4", 0.0)])
@pytest.mark.parametrize("alpha", [0.7, -0.7])
def test_pact_is_the_gradient_of_the_clamp(fmt, least, alpha):
    """torch's own of `clamp`, with the gradient that reaches the layer's input."""
    torch.manual_seed(0)
    how = policy("int4_forward").but(name="pact", edges=True, input=Role(fmt, "pact"))
    model = nn.Sequential(nn.Linear(8, 8, bias=False))
    convert(model, how)
    model(torch.full((2, 8), 1.0 if fmt == "UINT4" else -1.0))
    mine = model[0].product.input.alpha
    mine.data.fill_(alpha)
    x, dy = torch.randn(30, 8, requires_grad=True), torch.randn(30, 8)
    model(x).backward(dy)
    # dy @ the rounded weights, which the layer told nobody: a second layer without a clip does
    wide = x.detach().clone().requires_grad_()
    float_input = nn.Sequential(nn.Linear(8, 8, bias=False))
    float_input[0].weight.data.copy_(model[0].weight.data)
    convert(float_input, how.but(input=Role()))
    float_input(wide).backward(dy)
    clip, at = torch.tensor(alpha, requires_grad=True), x.detach().clone().requires_grad_()
    torch.clamp(at, clip.abs() * least, clip.abs()).backward(wide.grad)
    np.testing.assert_allclose(mine.grad, clip.grad, rtol=1e-4, atol=1e-5)
    inside = (x > abs(alpha) * least) & (x < abs(alpha))
    np.testing.assert_allclose(x.grad, torch.where(inside, wide.grad, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["vision", "language"])
def test_pact_runs_on_the_core(task):
    how = policy("luq").but(name="pact", edges=True, attention=True,
                            input=Role("INT4_SYM", "pact"))
    _, fast = trained(task, how, TorchExecution(), steps=1)
    _, jobs = trained(task, how, JobExecution(GoldenBackend(preset("base"))), steps=1)
    assert same(fast, jobs)
    _, learned = trained(task, policy("luq").but(edges=True, attention=True), TorchExecution(),
                         steps=1)
    assert torch.equal(fast[0], learned[0]) and not same(fast, learned)


@pytest.mark.parametrize("changes, message", [
    ({"weight": Role("INT4_SYM", "pact")}, "weight.clip = pact: it is for inputs; use sawb"),
    ({"weight": Role("INT4_SYM", "by_sign")}, "weight.clip = by_sign: it is for inputs; use sawb"),
    ({"weight": Role("INT4_SYM", "from_sawb")}, "weight.clip = from_sawb: it is for inputs"),
    ({"input": Role("INT4", "from_sawb", "row")}, "input.axis = row with clip = from_sawb: tokens"),
    ({"dgrad": Role("INT4", "by_sign")}, "dgrad = .*: a gradient is FP4_R2, FP4_R4, FP4_R10, INT4"),
    ({"wgrad": Role("INT4", "pact")}, "wgrad = .*: a gradient is FP4_R2, FP4_R4, FP4_R10, INT4"),
    ({"input": Role("INT4", "pact", "row")}, "input.axis = row with clip = pact: tokens are"),
    ({"input": Role("FP4_R10")}, "input.fmt = FP4_R10: the multiplier takes it as a gradient"),
])
def test_policies_that_no_hardware_runs(changes, message):
    with pytest.raises(ValueError, match=message):
        policy("tetra").but(**changes)


@pytest.mark.parametrize("arguments, message", [
    ({"fmt": "FP4_R10", "clip": "pact"}, "clip = pact with a gradient's format"),
    ({"fmt": "FP4_R10", "phase": "odd"}, "phase = odd with FP4_R10: only FP4_R4"),
])
def test_roles_that_mean_nothing(arguments, message):
    with pytest.raises(ValueError, match=message):
        Role(**arguments)
