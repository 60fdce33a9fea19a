# SPDX-License-Identifier: Apache-2.0
"""What models and training loops do to converted layers that no tidy example does."""

import copy
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from golden.config import preset  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from train.pytorch.convert import compute_with, convert, products  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution  # noqa: E402
from train.pytorch.policy import Policy, Role, policy  # noqa: E402
from train.pytorch.product import Product  # noqa: E402

FLOAT = Policy("float", edges=True, attention=True)
FOUR = policy("tetra").but(edges=True)


def linear(how=FOUR, sizes=(8, 8), **arguments) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    convert(model, how, **arguments)
    return model


# What the first tensors decide


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", ["luq", "tetra"])
def test_a_first_tensor_of_zeros_decides_nothing(name, sign):
    model = linear(policy(name).but(edges=True))
    quantise = model[0].product.input
    model(torch.zeros(4, 8))
    assert not quantise.started
    model(sign * torch.ones(4, 8))
    assert quantise.started and quantise.unsigned == (sign > 0)
    assert (quantise.alpha > 0.5) == (name == "luq" or sign > 0)
    assert name == "luq" or sign > 0 or quantise.top > 0.5


def test_states_have_signs_and_a_clip_of_their_own():
    """The first one is zero in every pass."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.LSTM(8, 16))
    convert(model, FOUR)
    model(torch.randn(10, 4, 8))
    product = model[0].states[0]
    assert 0.01 < product.input.top < 1 and product.input.started
    found = product.encode("input", torch.tensor([[-0.9, 0.9]]), 1)
    assert found.values[0, 0] == -found.values[0, 1] < 0


def test_inference_before_training_decides_nothing():
    model = linear()
    model.eval()
    kept = copy.deepcopy(model.state_dict())
    x = torch.rand(4, 8)
    assert model(x).abs().max() > 0.01
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("role", [Role("FP4_R4", "gradscale"), Role("FP4_R2", when="hindsight")])
def test_a_gradient_that_is_zero_once(role):
    """GradScale starts with the first that is not; hindsight keeps the last that was not."""
    how = FOUR.but(dgrad=role, wgrad=role)
    product = Product(how, "layer", 1, 8, TorchExecution())
    x, w = torch.randn(1, 4, 8, requires_grad=True), torch.randn(1, 8, 8)
    for scale in (0.0, 1e-6, 0.0, 1e-6):
        x.grad = None
        product(x, w).backward(torch.full((1, 4, 8), scale))
        wanted = scale * w[0].sum(0).abs().max().item()
        assert x.grad.abs().max().item() == pytest.approx(wanted, rel=0.6)


# The learned clip


@pytest.mark.parametrize("start", [-0.5, -1e-9, 0.0, 1e-10, 3.0])
def test_a_clip_finds_its_way_from_anywhere(start):
    """Its gradient is finite, and steps against it make the error smaller."""
    model = linear(policy("int4_forward").but(edges=True))
    x = torch.randn(64, 8)
    with torch.no_grad():
        wanted = nn.functional.linear(x, model[0].weight, model[0].bias)
    model(x)
    alpha = model[0].product.input.alpha
    alpha.data.fill_(start)
    losses = []
    optimizer = torch.optim.SGD([alpha], 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (model(x) - wanted).square().mean()
        loss.backward()
        assert torch.isfinite(alpha.grad)
        nn.utils.clip_grad_norm_([alpha], 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= losses[0] + 1e-3 and 0.3 < alpha.abs() < 4


# Attention and encoders


@pytest.mark.parametrize("left", ["attention", "feed-forward", "nothing"])
def test_fused_inference_does_not_compute_around_products(left, monkeypatch):
    applied, apply_product = [], Product._apply_product
    monkeypatch.setattr(Product, "_apply_product", lambda self, *arguments: (
        applied.append(self.where), apply_product(self, *arguments))[1])
    torch.manual_seed(0)
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
    part = {"attention": "self_attn", "feed-forward": "linear"}.get(left, "no such layer")
    convert(model, FOUR, filter=lambda name, layer: part not in name)
    x = torch.randn(2, 5, 8)
    model(x)
    model.eval()
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    for arguments in ({}, {"src_key_padding_mask": mask}):
        found = []
        for enabled in (True, False):
            applied.clear()
            with torch.set_grad_enabled(enabled):
                y = model(x, **arguments)
            found.append([*applied])
        assert found[0] == found[1] and len(found[0]) == len(products(model))
        assert torch.isfinite(y).all()


def test_a_row_that_may_look_at_nothing_gives_zeros():
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True))
    convert(model, FOUR)
    mask = torch.tensor([[True] * 5, [False] * 5])
    y = model[0](torch.randn(2, 5, 8), src_key_padding_mask=mask)
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.long, torch.uint8])
def test_masks_of_integers_are_refused(dtype):
    model = nn.Sequential(nn.MultiheadAttention(8, 2, batch_first=True))
    convert(model, FOUR)
    x = torch.randn(2, 5, 8)
    with pytest.raises(ValueError, match=r"a mask of torch.*: expected bool, True where"):
        model[0](x, x, x, key_padding_mask=torch.zeros(2, 5, dtype=dtype))


# Models


def test_a_layer_with_two_names_is_swapped_under_both():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    convert(model, FOUR)
    assert model[0] is model[2] and type(model[0]) is not nn.Linear


def test_parts_have_seeds_of_their_own():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    for number in range(3):
        convert(model, FOUR, filter=lambda name, layer, number=number: name == str(number))
    assert len({int(product.seed) for product in products(model).values()}) == 3


def test_one_layer_that_cannot_be_converted_leaves_all():
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4, proj_size=2))
    with pytest.raises(ValueError, match="proj_size = 2"):
        convert(model, FOUR)
    assert type(model[0]) is nn.Linear


def test_what_is_converted_already_is_told():
    model = linear()
    told = convert(model, FOUR)
    assert [what for _, _, what in told.layers] == ["left: it is converted already"]
    plain = nn.Sequential(nn.Linear(2, 2))
    assert convert(plain, "fp32").layers[0][2] == "left: the policy rounds nothing"
    assert type(plain[0]) is nn.Linear


def test_what_is_no_execution():
    for wrong in ("golden", GoldenBackend(preset("tiny")), preset("tiny")):
        with pytest.raises(ValueError, match=r"execution = .*: expected a TorchExecution"):
            linear(execution=wrong)
        with pytest.raises(ValueError, match=r"execution = .*: expected a TorchExecution"):
            compute_with(linear(), wrong)
    with pytest.raises(ValueError, match="of which nothing is converted"):
        compute_with(nn.Linear(2, 2), JobExecution(GoldenBackend(preset("tiny"))))


def test_states_of_the_float_model_load_strictly():
    model, plain = linear(), nn.Sequential(nn.Linear(8, 8))
    model(torch.randn(2, 8))
    kept = model[0].product.input.alpha.item()
    model.load_state_dict(plain.state_dict())
    assert torch.equal(model[0].weight, plain[0].weight)
    assert model[0].product.input.alpha.item() == kept
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({"0.weight": plain[0].weight})


def test_the_seed_is_part_of_the_state():
    one, other = linear(seed=1), linear(seed=2)
    other.load_state_dict(one.state_dict())
    gradients = []
    for model in (one, other):
        model(torch.ones(2, 8)).backward(torch.linspace(0.1, 1, 16).reshape(2, 8))
        gradients.append(model[0].weight.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_go_through(dtype):
    model = linear(sizes=(8, 8, 8)).to(dtype)
    y = model(torch.randn(3, 8, dtype=dtype))
    y.sum().backward()
    assert y.dtype == dtype == model[0].weight.grad.dtype
    assert torch.isfinite(model[0].weight.grad).all()


def test_autocast_changes_no_bit():
    model = linear(sizes=(1024, 16))
    model(torch.randn(4, 1024))
    model.eval()
    x = torch.randn(4, 1024, requires_grad=True)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = model(x)
            found += [y, *torch.autograd.grad(y.float().sum(), [x])]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])


@pytest.mark.parametrize("which", ["input", "weight"])
def test_changes_in_place_are_noticed(which):
    model = linear(FLOAT)
    x = torch.ones(3, 8) * 1
    y = model(x)
    with torch.no_grad():
        (x if which == "input" else model[0].weight).mul_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_gradient_of_the_input_alone_adds_nothing(kind):
    torch.manual_seed(0)
    plain = kind(4, 5)
    model = nn.Sequential(copy.deepcopy(plain))
    convert(model, FLOAT)
    for layer in (plain, model[0]):
        torch.manual_seed(1)
        x = torch.randn(6, 3, 4, requires_grad=True)
        loss = layer(x)[0].square().sum()
        torch.autograd.grad(loss, x, retain_graph=True)
        loss.backward()
    torch.testing.assert_close(plain.weight_hh_l0.grad, model[0].weight_hh_l0.grad)


def test_first_states_of_another_shape_are_refused():
    model = nn.Sequential(nn.GRU(4, 5))
    convert(model, FLOAT)
    with pytest.raises(ValueError, match=r"a first state of shape \(1, 1, 5\): expected \(1, 2, 5"):
        model[0](torch.ones(3, 2, 4), torch.zeros(1, 1, 5))
    with pytest.raises(ValueError, match=r"an input of shape \(3, 2, 6\): expected"):
        model[0](torch.ones(3, 2, 6))
    with pytest.raises(ValueError, match=r"an input of shape \(2, 7\): expected \(\.\.\., 8\)"):
        linear()(torch.ones(2, 7))


def test_empty_batches():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    convert(model, FOUR)
    assert model(torch.zeros(0, 1, 4, 4)).shape == (0, 3)


def test_binary_inputs_pass_their_gradient():
    model = linear()
    x = torch.ones(4, 8, requires_grad=True)
    model(x).sum().backward()
    assert x.grad.abs().max() > 0
