# SPDX-License-Identifier: Apache-2.0
"""Converted models: torch's own results in floating point, the same bits wherever they compute."""

import copy
import itertools

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from driver.checked import open_backend  # noqa: E402
from golden.config import preset  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from train.pytorch.convert import compute_with, convert, products  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution  # noqa: E402
from train.pytorch.policy import POLICIES, Policy, Role, policy  # noqa: E402
from train.pytorch.product import Product  # noqa: E402

FLOAT = Policy("float", edges=True, attention=True)  # every layer swapped, nothing rounded


def vision() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2, groups=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 16, 20), nn.ReLU(), nn.Linear(20, 10))


class Language(nn.Module):
    """A layer of each kind in a row."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(24, 8)
        self.head = nn.Linear(8, 11)

    def forward(self, x):
        x = self.lstm(self.block(self.embedding(x)))[0]
        return self.head(self.gru(x)[0]).transpose(1, 2)


TASKS = {
    "vision": (vision, lambda: (torch.randn(6, 1, 8, 8), torch.randint(0, 10, (6,)))),
    "language": (Language, lambda: (torch.randint(0, 11, (3, 5)),) * 2),
}


def trained(task: str, how, execution, steps: int = 2, model: nn.Module | None = None):
    """The model after some steps, and all numbers that it went through."""
    make, data = TASKS[task]
    torch.manual_seed(1)
    fresh = make()
    inputs, labels = data()
    if model is None:
        model = fresh
        convert(model, how, seed=3, execution=execution)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    numbers = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        numbers += [loss.detach(), *(p.grad.clone() for p in model.parameters())]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        numbers.append(model(inputs))
    model.train()
    return model, numbers


def same(one: list, other: list) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


LAYERS = {
    "lstm": (lambda: nn.LSTM(5, 7, 2, bidirectional=True), [(6, 3, 5)], {}),
    "lstm, no bias": (lambda: nn.LSTM(5, 7, batch_first=True, bias=False), [(6, 3, 5)], {}),
    "lstm, one sequence": (lambda: nn.LSTM(5, 7), [(6, 5)], {}),
    "gru": (lambda: nn.GRU(5, 7, 2, bidirectional=True, batch_first=True), [(6, 3, 5)], {}),
    "gru, one sequence": (lambda: nn.GRU(5, 7), [(6, 5)], {}),
    "linear": (lambda: nn.Linear(5, 7, bias=False), [(2, 3, 5)], {}),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True),
                  [(2, 6, 8), (2, 5, 8), (2, 5, 8)], {}),
    "attention, padded": (
        lambda: nn.MultiheadAttention(8, 2), [(6, 2, 8), (5, 2, 8), (5, 2, 8)],
        {"key_padding_mask": torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]).bool()}),
    "attention, other sizes": (lambda: nn.MultiheadAttention(8, 2, kdim=3, vdim=4),
                               [(6, 2, 8), (5, 2, 3), (5, 2, 4)], {"need_weights": False}),
    "attention, causal": (
        lambda: nn.MultiheadAttention(8, 2, bias=False), [(6, 8)] * 3,
        {"attn_mask": torch.ones(6, 6).triu(1).bool(), "average_attn_weights": False}),
    "convolution, strided": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), [(2, 4, 9, 8)], {}),
    "convolution, groups": (lambda: nn.Conv2d(4, 6, 3, dilation=2, groups=2), [(2, 4, 9, 8)], {}),
    "convolution, depthwise": (lambda: nn.Conv2d(4, 8, (1, 3), groups=4), [(2, 4, 9, 8)], {}),
    "convolution, same": (lambda: nn.Conv2d(4, 6, 3, padding="same"), [(2, 4, 9, 8)], {}),
    "convolution, circular": (
        lambda: nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="circular"), [(2, 4, 9, 8)], {}),
    "convolution, one image": (lambda: nn.Conv2d(4, 6, 3, bias=False), [(4, 9, 8)], {}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_rounds_nothing_is_torchs_own(name):
    make, shapes, arguments = LAYERS[name]
    torch.manual_seed(0)
    one = make()
    holder = nn.Sequential(copy.deepcopy(one))
    convert(holder, FLOAT)
    other = holder[0]
    assert type(other) is not type(one) and isinstance(other, type(one))
    found = []
    for layer in (one, other):
        torch.manual_seed(1)
        inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
        outputs = layer(*inputs, **arguments)
        flat = [y for y in (outputs if isinstance(outputs, tuple) else (outputs,))
                if y is not None]
        flat = [part for y in flat for part in (y if isinstance(y, tuple) else (y,))]
        sum(y.square().sum() for y in flat).backward()
        found.append([*flat, *(x.grad for x in (*layer.parameters(), *inputs))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [name for name, each in POLICIES.items()
                                  if name not in ("fp32", "bf16") and not each.emulated])
def test_golden_model_and_torch_give_the_same_bits(name, task):
    how = policy(name).but(edges=True, attention=True)
    _, fast = trained(task, how, TorchExecution())
    _, jobs = trained(task, how, JobExecution(GoldenBackend(preset("base"))))
    assert same(fast, jobs)


@pytest.mark.parametrize("task", TASKS)
def test_the_core_gives_the_same_bits(task):
    how = policy("tetra").but(edges=True, attention=True)
    with open_backend("rtl", "tiny") as rtl:
        _, core = trained(task, how, JobExecution(rtl), steps=1)
    _, fast = trained(task, how, TorchExecution(preset("tiny")), steps=1)
    assert same(fast, core)


def test_a_resumed_run_repeats_the_bits():
    how = policy("sun2020").but(edges=True, attention=True,
                                wgrad=Role("FP4_R2", rounding="stochastic", axis="column"))
    model, _ = trained("language", how, TorchExecution())
    kept = copy.deepcopy(model.state_dict())
    _, straight = trained("language", how, None, model=model)
    other, _ = trained("language", how, TorchExecution(), steps=0)
    other.load_state_dict(kept)
    _, resumed = trained("language", how, None, model=other)
    assert same(straight, resumed)


def test_inference_leaves_the_state_as_it_is():
    model, _ = trained("vision", policy("luq").but(edges=True), TorchExecution())
    kept = copy.deepcopy(model.state_dict())
    model.eval()
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(model(x), model(x))
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


# torch's own compiler looks at a gradient that it then does not use
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_compiled_model_gives_the_same_bits():
    how = policy("luq").but(edges=True)
    torch.manual_seed(1)
    plain, compiled = vision(), vision()
    compiled.load_state_dict(plain.state_dict())
    x = torch.randn(6, 1, 8, 8)
    gradients = []
    for model in (plain, compiled):
        convert(model, how)
        call = torch.compile(model, backend="eager") if model is compiled else model
        call(x).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert same(*gradients)


def test_four_bits_learn():
    torch.manual_seed(0)
    x = torch.randn(256, 16)
    labels = (x[:, :4].sum(1) > 0).long() + 2 * (x[:, 4:8].sum(1) > 0).long()
    losses = {}
    for name in ("fp32", "sun2020", "luq", "tetra"):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                              nn.Linear(64, 4))
        convert(model, name)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
        losses[name] = loss.item()
    assert max(losses.values()) < 0.35, losses  # ln 4 = 1.39 before


def test_what_was_left_is_listed():
    model = Language()
    told = convert(model, "tetra", filter=lambda name, layer: name != "head")
    assert dict((name, what) for name, _, what in told.layers) == {
        "embedding": "left: it has no four-bit form", "block.self_attn": "converted",
        "block.linear1": "converted", "block.linear2": "converted",
        "block.norm1": "left: it has no four-bit form",
        "block.norm2": "left: it has no four-bit form", "lstm": "converted", "gru": "converted",
        "head": "left: the filter says so"}
    assert "block.self_attn" in str(told)
    edges = dict((name, what) for name, _, what in convert(vision(), "tetra").layers)
    assert edges["0"] == edges["7"] == "left: the policy keeps the first and the last layer"


def test_parameters_stay_the_same_objects():
    model = vision()
    before = list(model.parameters())
    weights = copy.deepcopy(model.state_dict())
    convert(model, "tetra")
    assert all(any(p is q for q in model.parameters()) for p in before)
    assert all(torch.equal(weights[name], model.state_dict()[name]) for name in weights)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stops_and_names_the_layer(bad):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    convert(model, "tetra")
    x = torch.ones(2, 4)
    model(x).sum().backward()
    x[1, 2] = bad
    with pytest.raises(FloatingPointError, match=r" in 1\.input, .* applied for the 2\. time"):
        model(x)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="unknown policy 'tetr': expected one of fp32, "):
        convert(vision(), "tetr")
    with pytest.raises(ValueError, match="a ReLU without a layer to convert: expected one of"):
        convert(nn.ReLU(), "tetra")
    with pytest.raises(ValueError, match=r"a single Linear: put it into an nn\.Sequential"):
        convert(nn.Linear(2, 2), FLOAT)
    with pytest.raises(ValueError, match="seed = -1"):
        convert(vision(), "tetra", seed=-1)
    with pytest.raises(ValueError, match="proj_size = 2: expected 0"):
        convert(nn.Sequential(nn.LSTM(4, 4, proj_size=2)), FLOAT)
    with pytest.raises(ValueError, match="expected a padded tensor"):
        layer = nn.Sequential(nn.LSTM(4, 4))
        convert(layer, FLOAT)
        layer(nn.utils.rnn.pack_sequence([torch.ones(3, 4)]))


def test_a_policy_that_the_core_cannot_run_says_which_field():
    core = preset("base")
    config = type(core)(**{**core.as_dict(), "radices": (4,)})
    model = vision()
    convert(model, policy("luq").but(edges=True))
    compute_with(model, JobExecution(GoldenBackend(config)))
    with pytest.raises(ValueError, match=r"FP4_R2 needs radix 2: this configuration has radices"):
        model(torch.randn(2, 1, 8, 8)).sum().backward()
    assert [product.where for product in products(model).values()] == ["0", "2", "5", "7"]


@pytest.mark.parametrize("changes, message", [
    ({"dgrad": Role("FP4_R2", axis="column")}, r"dgrad.axis = column: the GEMM sums along"),
    ({"wgrad": Role("FP4_R2", axis="row")}, r"wgrad.axis = row: the GEMM sums along"),
    ({"input": Role("INT4", axis="column")}, r"input.axis = column: the GEMM sums along"),
    ({"input": Role("FP4_R2")}, r"input.fmt = FP4_R2: the multiplier takes it as a gradient"),
    ({"weight": Role("UINT4")}, "weight.fmt = UINT4: weights have signs"),
    ({"dgrad": Role("UINT4")}, "a gradient is FP4_R2"),
    ({"input": Role("INT4", "learned", "row")}, "input.axis = row with clip = learned"),
    ({"edges": 2}, "edges = 2"),
])
def test_policies_that_no_hardware_runs(changes, message):
    with pytest.raises(ValueError, match=message):
        policy("tetra").but(**changes)


@pytest.mark.parametrize("arguments, message", [
    ({"fmt": "INT5"}, "unknown fmt 'INT5': expected one of INT4, "),
    ({"fmt": 4}, "fmt = 4: expected one of INT4, "),
    ({"fmt": "INT4", "axis": "diagonal"}, "unknown axis 'diagonal': expected one of tensor, "),
    ({"fmt": "FP4_R2", "phase": "odd"}, "phase = odd with FP4_R2: only FP4_R4"),
    ({"fmt": "INT4", "clip": "sawb", "axis": "row"}, "it is one number per tensor"),
    ({"fmt": "INT4", "when": "hindsight", "axis": "row"}, "when = hindsight with axis = row"),
    ({"fmt": "FP4_R2", "clip": "learned"}, "clip = learned with a gradient's format"),
])
def test_roles_that_mean_nothing(arguments, message):
    with pytest.raises(ValueError, match=message):
        Role(**arguments)


def test_every_role_that_is_allowed_computes_alike():
    """Formats, clips, axes, rounding and hindsight in all combinations, one step of a layer each
    after a first one that sets what they keep."""
    inputs = [Role(*r) for r in itertools.product(
        ("INT4", "INT4_SYM", "UINT4"), ("max", "learned"), ("tensor", "row"),
        ("nearest", "stochastic"))
        if r[1:3] != ("learned", "row")]
    weights = [Role(*r) for r in itertools.product(
        ("INT4", "INT4_SYM"), ("max", "learned"), ("tensor", "row"), ("nearest", "stochastic"))]
    weights += [Role("INT4_SYM", "sawb"), Role("INT4_SYM", "sawb", when="hindsight")]
    inputs += [Role("INT4_SYM", "sawb"), Role("UINT4", "sawb", when="hindsight"),
               *(Role(fmt, "by_sign", when="hindsight") for fmt in ("INT4", "INT4_SYM", "UINT4"))]
    rows = [Role(*r) for r in itertools.product(
        ("FP4_R2", "FP4_R4", "INT4"), ("max",), ("tensor", "row"), ("nearest", "stochastic"))]
    rows += [Role("FP4_R4", "gradscale"), Role("FP4_R2", when="hindsight"),
             Role("FP4_R4", "max", phase="odd")]
    jobs = JobExecution(GoldenBackend(preset("base")))
    torch.manual_seed(6)
    x, w, dy = torch.randn(1, 5, 6), torch.randn(1, 7, 6), torch.randn(1, 5, 7)
    for n in range(max(len(inputs), len(weights), len(rows))):
        column = rows[(n + 5) % len(rows)]
        column = Role(column.fmt, column.clip, "column" if column.axis.value == "row" else "tensor",
                      column.rounding, column.when, column.phase)
        how = Policy(f"{n}", inputs[n % len(inputs)], weights[n % len(weights)],
                     rows[n % len(rows)], column)
        found = []
        for execution in (TorchExecution(), jobs):
            product = Product(how, "layer", 9, 7, execution)
            for scale in (1.0, 3.0):
                a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
                y = product(a, b)
                y.backward(scale * dy)
            found.append([y.detach(), a.grad, b.grad, *(p.grad for p in product.parameters())])
        assert same(*found), how
