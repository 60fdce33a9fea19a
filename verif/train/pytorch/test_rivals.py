# SPDX-License-Identifier: Apache-2.0
"""Layers under the recipes of others: which operand is rounded how, in each of the three GEMMs."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from golden.config import preset  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from train.pytorch import rivals  # noqa: E402
from train.pytorch.blocks import mxfp4, nvfp4, rotated, rotation  # noqa: E402
from train.pytorch.convert import compute_with, convert, products  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution  # noqa: E402
from train.pytorch.policy import POLICIES, Policy, Role, policy  # noqa: E402
from verif.train.pytorch.test_convert import LAYERS, Language, same, trained, vision  # noqa: E402

RIVALS = [name for name, each in POLICIES.items() if each.rival is not None]
GOLDEN = JobExecution(GoldenBackend(preset("base")))


def whole(name: str) -> Policy:
    return policy(name).but(edges=True, attention=True)


def layer(name: str, seed: int = 0) -> nn.Sequential:
    """72 inputs, 40 outputs: no multiple of 16 or 32, so that blocks end early."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(72, 40, bias=False))
    convert(model, whole(name), seed=seed)
    return model


def step(model: nn.Module, x, dy) -> tuple:
    """What came out, and the gradients of input and weight."""
    x = x.clone().requires_grad_()
    model.zero_grad()
    y = model(x)
    y.backward(dy)
    return y.detach(), x.grad, model[0].weight.grad.clone()


def operands(tokens: int = 24):
    torch.manual_seed(1)
    return torch.randn(tokens, 72), torch.randn(tokens, 40)


def error(found, wanted) -> float:
    return ((found - wanted).norm() / wanted.norm()).item()


def test_recipes_are_named():
    assert RIVALS == ["mxfp4", "nvfp4"]
    assert all(policy(name).emulated and not policy(name).edges for name in RIVALS)


@pytest.mark.parametrize("name", RIVALS)
def test_gemms_round_what_the_recipe_says(name):
    """In `eval()`, where nothing is random but the signs, which are recomputed here."""
    model, (x, dy) = layer(name).eval(), operands()
    y, dx, dw = step(model, x, dy)
    w = model[0].weight.detach()
    if name == "mxfp4":
        assert torch.equal(y, mxfp4(x) @ mxfp4(w).T)
        # whatever the signs, the error is that of both operands, each rounded along the sum
        assert 0.1 < error(dx, dy @ w) < 0.25 and 0.1 < error(dw, dy.T @ x) < 0.25
    else:
        assert torch.equal(y, nvfp4(x) @ nvfp4(w, square=True).T)
        assert error(dx, nvfp4(dy) @ nvfp4(w, square=True)) < 1e-6
        turn = rotation(16, 0, x.device)
        wanted = nvfp4(rotated(dy.T, turn)) @ nvfp4(rotated(x.T, turn)).T
        assert error(dw, wanted) < 1e-6


@pytest.mark.parametrize("name", RIVALS)
def test_mean_of_gradients(name):
    """MXFP4's is the exact gradient, of whatever scale; NVFP4's that of rounded weights, and of
    the input as wgrad rounds it."""
    model, (x, dy) = layer(name), operands()
    w = model[0].weight.detach()
    if name == "mxfp4":
        wanted = dy @ w, dy.T @ x
    else:
        turn = rotation(16, 0, x.device)
        wanted = dy @ nvfp4(w, square=True), rotated(dy.T, turn) @ nvfp4(rotated(x.T, turn)).T
    total = [torch.zeros_like(part) for part in wanted]
    count = 60
    for number in range(count):
        _, *gradients = step(model, x, dy)
        for sum_of, gradient, exact in zip(total, gradients, wanted, strict=True):
            sum_of += gradient / count
            assert number or 0.08 < error(gradient, exact) < 0.5
    for sum_of, exact in zip(total, wanted, strict=True):
        assert error(sum_of, exact) < 0.06, name


@pytest.mark.parametrize("name", RIVALS)
def test_random_words_follow_from_seed_layer_step_and_gemm(name, monkeypatch):
    """Operands that are all the same symmetric tensor, and signs that are always the same: only
    the words of rounding can differ."""
    signs: list[tuple[int, int]] = []
    monkeypatch.setattr(rivals, "rotation", lambda size, seed, device: (
        signs.append((size, seed)), rotation(size, 0, device))[1])
    torch.manual_seed(0)
    x = torch.randn(32, 32)
    x += x.T.clone()
    found = []
    for seed in (0, 0, 1):
        model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False))
        for part in model:
            part.weight.data.copy_(x)
        convert(model, whole(name), seed=seed)
        for part in model:
            again = [step(nn.Sequential(part), x, x)[1:] for _ in range(2)]
            found.append([gradient for pair in again for gradient in pair])
    assert same(found[0], found[2]) and same(found[1], found[3])
    for one, other in ((found[0], found[1]), (found[0], found[4]), (found[0][:2], found[0][2:])):
        assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    for dx, dw in zip(found[0][::2], found[0][1::2], strict=True):
        assert (dx - dx.T).abs().max() > 0.1  # not both operands with the same words
        assert not torch.equal(dx, dw)
    gemms = len(found) * 4
    if name == "mxfp4":
        assert len(signs) == gemms and len(set(signs)) == gemms * 2 // 3  # of seeds 0, 0, 1
        assert all(size == 64 for size, _ in signs)
    else:
        assert signs == [(16, 0)] * (gemms // 2)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", RIVALS)
def test_every_layer_is_near_its_float_self(name, kind):
    make, shapes, arguments = LAYERS[kind]
    torch.manual_seed(0)
    one = make()
    holder = nn.Sequential(copy.deepcopy(one))
    convert(holder, whole(name))
    found = []
    for each in (one, holder[0]):
        torch.manual_seed(1)
        inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
        y = each(*inputs, **arguments)
        y = y[0] if isinstance(y, tuple) else y
        y.mul(torch.randn(y.shape)).sum().backward()
        grown = torch.cat([p.grad.flatten() for p in (*inputs, *each.parameters())])
        found.append((y.detach().flatten(), grown))
    for (a, b), least in zip(zip(*found, strict=True), (0.85, 0.8), strict=True):
        likeness = nn.functional.cosine_similarity(a, b, dim=0)
        assert least < likeness < 0.99999, likeness


@pytest.mark.parametrize("name", RIVALS)
def test_a_resumed_run_repeats_the_bits(name):
    model, _ = trained("language", whole(name), TorchExecution(), steps=1)
    kept = copy.deepcopy(model.state_dict())
    _, straight = trained("language", whole(name), None, steps=1, model=model)
    other, _ = trained("language", whole(name), TorchExecution(), steps=0)
    other.load_state_dict(kept)
    torch.rand(3)  # torch's generator has no say
    _, resumed = trained("language", whole(name), None, steps=1, model=other)
    assert same(straight, resumed)
    assert torch.isfinite(straight[0])


@pytest.mark.parametrize("name", RIVALS)
def test_edges_and_attention_stay_unless_the_policy_says_so(name):
    told = dict((where, what) for where, _, what in convert(vision(), name).layers)
    assert told["0"] == told["7"] == "left: the policy keeps the first and the last layer"
    for how, count in ((policy(name).but(edges=True), 4), (whole(name), 6)):
        model = Language()
        convert(model, how)
        assert sum("self_attn" in where for where in products(model)) == count


@pytest.mark.parametrize("how", [*RIVALS, policy("luq").but(name="ten", wgrad=Role("FP4_R10"))],
                         ids=str)
def test_no_core_computes_it(how):
    name = how if isinstance(how, str) else how.name
    message = f"execution = JobExecution with policy {name}: no core .* use a TorchExecution"
    with pytest.raises(ValueError, match=message):
        convert(vision(), how, execution=GOLDEN)
    model = vision()
    convert(model, how)
    with pytest.raises(ValueError, match=message):
        compute_with(model, GOLDEN)
    assert all(isinstance(p.execution, TorchExecution) for p in products(model).values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", RIVALS)
def test_what_is_not_finite_stops_and_names_the_layer(name, bad):
    model, (x, dy) = layer(name), operands()
    step(model, x, dy)
    dy[1, 2] = bad
    with pytest.raises(FloatingPointError, match=r" in 0\.dgrad, .* applied for the 2\. time"):
        step(model, x, dy)


@pytest.mark.parametrize("changes, message", [
    ({"weight": Role("INT4")}, r"weight = .* with rival = .*: the recipe says how"),
    ({"rival": "mxfp8"}, "unknown rival 'mxfp8': expected one of mxfp4, nvfp4"),
    ({"rival": 4}, "unknown rival 4"),
])
def test_policies_that_mean_nothing(changes, message):
    with pytest.raises(ValueError, match=message):
        policy("mxfp4").but(**changes)
