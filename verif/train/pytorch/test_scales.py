# SPDX-License-Identifier: Apache-2.0
"""Scales that are no tensor's of this step alone: those of recurrent states, and in hindsight."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from golden.formats import INT4_SYM, UINT4  # noqa: E402
from train.pytorch import recurrent  # noqa: E402
from train.pytorch.convert import convert  # noqa: E402
from train.pytorch.execution import TorchExecution  # noqa: E402
from train.pytorch.policy import Role, policy  # noqa: E402
from train.pytorch.quantiser import Quantiser  # noqa: E402


@pytest.fixture
def states(monkeypatch):
    """The operands that the states of recurrent layers become, in order."""
    seen, forward = [], recurrent.StateQuantiser.forward
    monkeypatch.setattr(recurrent.StateQuantiser, "forward", lambda self, *args, **how: (
        seen.append(found := forward(self, *args, **how)), found)[1])
    return seen


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("clip", ["max", "sawb", "from_sawb", "learned"])
def test_states_share_a_scale_that_fits(kind, clip, states):
    """All states of a pass are of one unit, the zeros that it begins with included, so that the
    weights' gradient is about that of floats; the first clip is no state's own but 1, and what
    comes after it follows the states: a clip that is not learned is their largest."""
    torch.manual_seed(0)
    plain = kind(8, 32)
    model = nn.Sequential(copy.deepcopy(plain))
    convert(model, policy("int4_forward").but(edges=True, input=Role("INT4_SYM", clip)))
    quantiser, = (part for part in model.modules() if isinstance(part, recurrent.StateQuantiser))
    assert (quantiser.alpha is not None) == (clip == "learned")
    x, times = torch.randn(9, 4, 8), 9
    plain(x)[0].square().sum().backward()
    for number in range(3):
        model.zero_grad()
        states.clear()
        model(x)[0].square().sum().backward()
        unit, = {float(found.unit) for found in states}
        assert len(states) == times and not states[0].values.any()
        largest = max(float(found.values.abs().max()) for found in states) * unit
        assert (unit == 1 / 7) == (number == 0)
        assert clip == "learned" or not number or abs(unit * 7 / largest - 1) < 0.1
        assert unit * 7 < 1.01 * (1 if number == 0 else 3 * largest)
    wanted, found = plain.weight_hh_l0.grad.flatten(), model[0].weight_hh_l0.grad.flatten()
    assert torch.cosine_similarity(wanted, found, 0) > 0.9
    assert 0.8 < found.norm() / wanted.norm() < 1.25


def test_a_state_beyond_one_is_clipped(states):
    """A first state that no cell could have made is clipped to 1, and so is what follows it."""
    model = nn.Sequential(nn.GRU(4, 5))
    convert(model, policy("tetra").but(edges=True))
    for _ in range(2):
        model[0](torch.randn(3, 2, 4), torch.full((1, 2, 5), 100.0))
        assert (states[0].values == 7).all() and {float(s.unit) for s in states} == {1 / 7}
        states.clear()


def test_a_pass_of_next_to_nothing_keeps_the_scale_in_reach(states):
    """States of 1e-14, then of usual size: one unit all the same, for their wgrad takes one."""
    torch.manual_seed(6)
    model = nn.Sequential(nn.GRU(4, 5, bias=False))
    convert(model, policy("int4_forward").but(edges=True, input=Role("INT4_SYM", "max")))
    for size in (1e-14, 1.0):
        states.clear()
        model(size * torch.randn(6, 2, 4))
    assert len({float(state.unit) for state in states}) == 1


def test_recurrent_layers_infer_before_they_are_trained(states):
    """Each state by its own largest then, although small ones are far below 1; nothing is kept."""
    torch.manual_seed(7)
    plain = nn.LSTM(8, 32)
    x = 0.1 * torch.randn(9, 4, 8)
    model = nn.Sequential(copy.deepcopy(plain))
    convert(model, policy("tetra").but(edges=True))
    model.eval()
    kept = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        wanted, found = plain(x)[0], model(x)[0]
    assert (found - wanted).norm() < 0.35 * wanted.norm()
    assert all(float(s.values.abs().max()) == 7 for s in states[1:])
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


def tops(role: Role, tensors, frozen: bool = False) -> list[float]:
    """What the top code stands for, tensor by tensor."""
    quantiser = Quantiser(role, "here", signed=False)
    found = [quantiser(x, TorchExecution(), (1, n), frozen=frozen)
             for n, x in enumerate(tensors)]
    return [float(each.unit) * each.fmt.hi for each in found]


@pytest.mark.parametrize("clip", ["max", "sawb"])
def test_hindsight_is_one_step_late(clip):
    """The first tensor has its own, a tensor of zeros changes nothing, and inference follows
    nothing."""
    torch.manual_seed(2)
    tensors = [torch.randn(16, 32) * size for size in (1.0, 3.0, 0.2, 50.0)]
    tensors.insert(2, torch.zeros(16, 32))
    exact = tops(Role("INT4_SYM", clip), tensors)
    late = tops(Role("INT4_SYM", clip, when="hindsight"), tensors)
    del exact[2], late[2]  # zeros are zeros by any scale
    assert late == pytest.approx([exact[0], exact[0], exact[1], exact[2]], rel=2**-14)
    frozen = tops(Role("INT4_SYM", clip, when="hindsight"), tensors, frozen=True)
    assert frozen[0] == exact[0] and frozen[3:] == exact[2:]  # nothing is kept to go by


def test_sawb_without_signs_has_half_the_steps():
    """Of what a ReLU leaves of a normal distribution: near the scale with the least error, and
    with less of it than with steps as large as INT4_SYM's."""
    torch.manual_seed(3)
    x = torch.randn(64, 256).relu()
    quantiser = Quantiser(Role("INT4_SYM", "sawb"), "here", signed=False)
    found = quantiser(x, TorchExecution(), (1,), frozen=False)
    signed = Quantiser(Role("INT4_SYM", "sawb"), "here")(x, TorchExecution(), (1,), frozen=False)
    assert found.fmt == UINT4 and signed.fmt == INT4_SYM
    assert float(found.unit) * 2 == float(signed.unit)

    def error(unit: float) -> float:
        return float(((x / unit).round().clamp(0, UINT4.hi) * unit - x).square().mean())

    least = min(error(unit / 1000) for unit in range(20, 1000, 5))
    assert error(float(found.unit)) < 1.6 * least < 0.5 * error(float(signed.unit))


def test_signs_say_what_clips():
    """Of an input with signs SAWB, whose clip stays 0; of one without a learned one. Both as those
    alone do."""
    torch.manual_seed(4)
    for signed, clip in ((True, "sawb"), (False, "learned")):
        found = []
        for name in ("by_sign", clip):
            torch.manual_seed(5)
            model = nn.Sequential(nn.Linear(8, 6))
            convert(model, policy("luq").but(edges=True, input=Role("INT4_SYM", name)))
            optimizer = torch.optim.AdamW(model.parameters(), 0.01)
            for _ in range(3):
                x = torch.randn(5, 8, requires_grad=True)  # else dgrad is left out
                optimizer.zero_grad()
                y = model(x if signed else x.relu())
                y.square().sum().backward()
                optimizer.step()
            found.append([y, model[0].weight])
            alpha = model[0].product.input.alpha
            if name == "by_sign":
                assert (alpha == 0) == signed and alpha.grad is not None
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("signed", [True, False])
def test_a_clip_from_sawb_starts_there_and_learns(signed):
    """With signs it starts with the alpha that `sawb` applies, without as `learned` does; then it
    goes the way of a learned clip that is put there."""
    torch.manual_seed(6)
    x = torch.randn(40, 8) if signed else torch.randn(40, 8).relu()
    found, start = [], None
    for name in ("from_sawb", "learned"):
        torch.manual_seed(7)
        model = nn.Sequential(nn.Linear(8, 6))
        convert(model, policy("luq").but(edges=True, input=Role("INT4_SYM", name)))
        quantiser = model[0].product.input
        model(x)
        if start is None:
            start = quantiser.alpha.detach().clone()
            alone = Quantiser(Role("INT4_SYM", "sawb" if signed else "learned"), "here",
                              signed=False)
            unit = alone(x, TorchExecution(), (1,), frozen=False).unit
            assert float(start) == pytest.approx(float(unit) * alone.fmt.hi, rel=2**-14)
        quantiser.alpha.data.copy_(start)
        optimizer = torch.optim.AdamW(model.parameters(), 0.01)
        for _ in range(3):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
        found.append([quantiser.alpha.detach(), model[0].weight.detach()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert found[0][0] != start


def test_a_clip_from_sawb_of_zeros_waits():
    quantiser = Quantiser(Role("INT4_SYM", "from_sawb"), "here")
    for frozen in (True, False):
        found = quantiser(torch.zeros(4, 8), TorchExecution(), (1,), frozen=frozen)
        assert not found.values.any() and quantiser.alpha == 0 and not quantiser.started
    quantiser(torch.full((4, 8), 0.5), TorchExecution(), (2,), frozen=False)
    assert quantiser.alpha > 0
