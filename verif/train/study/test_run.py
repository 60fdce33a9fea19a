# SPDX-License-Identifier: Apache-2.0
"""Runs of the study: done once, resumed with the same bits, stopped by what is damaged."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from tools.errors import ToolError  # noqa: E402
from train.pytorch.convert import convert  # noqa: E402
from train.pytorch.policy import Clip  # noqa: E402
from train.pytorch.quantiser import Quantiser  # noqa: E402
from train.study import run as study  # noqa: E402
from train.study.datasets import Dataset, Part  # noqa: E402
from train.study.run import Run, converted, train  # noqa: E402
from train.study.tasks import ACCURACY, BITS, PSNR, TASKS, Task, task  # noqa: E402
from train.study.variants import VARIANTS, roles, variant  # noqa: E402

SHAPES = {"fashion_mnist": (28, 28), "digits": (8, 8), "photographs": (12, 12),
          "japanese_vowels": (29, 12), "words": (60, 40)}
SMALL = Run("vowels", "luq", seed=3, epochs=3, share=10)


def small_data(self: Task, folder=None) -> Dataset:
    """Random examples in the shapes of the task's own."""
    rng = np.random.default_rng(0)

    def part(count: int) -> Part:
        if self.context:
            text = rng.integers(0, 9, count * 8)
            return Part(text, text)
        shape = SHAPES[self.data]
        inputs = rng.integers(0, 16, (count, *shape)).astype(np.uint8)
        labels = inputs if self.data == "photographs" else rng.integers(0, 9, count)
        return Part(inputs.astype(np.float32) / 16 if shape == (29, 12) else inputs, labels)

    return Dataset("small", 9, part(300), part(40), part(40))


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    monkeypatch.setattr(Task, "load", small_data)


def test_a_killed_run_goes_on_with_the_same_bits(monkeypatch, tmp_path):
    straight = train(SMALL)
    monkeypatch.setattr(study, "FOLDER", tmp_path / "again")
    step, count = study.step, 0

    def killed(*arguments):
        nonlocal count
        count += 1
        if count == 3:  # after the first epoch of two steps
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(study, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL)
    monkeypatch.setattr(study, "step", step)
    assert not (SMALL.folder() / "result.json").exists()
    assert train(SMALL) == straight
    assert len(straight["history"]) == 3 and straight["history"][2]["loss"] > 0


def test_a_run_that_is_done_is_not_done_again(monkeypatch):
    found = train(SMALL)
    monkeypatch.setattr(study, "step", None)
    assert train(SMALL) == found == json.loads((SMALL.folder() / "result.json").read_text())


def test_other_runs_have_other_folders():
    others = [Run("vowels", "tetra", 3, 3, 10), Run("vowels", "luq", 4, 3, 10),
              Run("vowels", "luq", 3, 4, 10), Run("vowels", "luq", 3, 3, 11),
              Run("vowels", "luq", 3, 3, 10, width=8), Run("vowels", "luq", 3, 3, 10, batch=8),
              Run("bible", "luq", 3, 3, 10, layers=2)]
    folders = {run.folder() for run in [SMALL, *others]} | {SMALL.folder("cuda")}
    assert len(folders) == 9


def test_sizes_of_a_run():
    """Of the model, where it has such a size, and of a step."""
    model = converted(Run("bible", "fp32", width=32, layers=2), 9)
    assert len(model.blocks) == 2 and model.head.in_features == 32
    assert train(replace(SMALL, batch=9, epochs=1))["steps"] == 4  # a tenth of 300 examples
    with pytest.raises(ValueError, match=r"^layers = 3: the model of vowels has no such size"):
        Run("vowels", "luq", layers=3)


def test_one_scale_is_that_of_the_largest_gradient():
    """As GradScale on the largest magnitude of all layers: the least exponent of each's own."""
    run = Run("digits", "sun2020:one-scale", width=8)
    what = replace(task("digits"), batch=4)
    model = converted(run, 9)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    data = small_data(what)
    for inputs, labels in what.batches(data.train, np.arange(12)):
        study.step(model, optimizer, what.goal.loss, inputs, labels)
        own = [int(q.exponent) for q in gradients(model)]
        study.share_scale(model)
        assert {int(q.exponent) for q in gradients(model)} == {min(own)}
    assert len(own) == 4


def gradients(model):
    return [part for part in model.modules()
            if isinstance(part, Quantiser) and part.role.clip == Clip.GRADSCALE]


def test_names_of_policies(monkeypatch):
    """Equal where the bits are, whatever the name; and a shared scale is another thing."""
    monkeypatch.setitem(VARIANTS, "again", VARIANTS["tetra"].but(name="again"))
    assert roles("again") == roles("tetra") != roles("luq")
    assert roles("sun2020:one-scale") != roles("sun2020")
    distinct = {roles(name) for name in VARIANTS}
    assert len(distinct) == len(VARIANTS) - 1
    with pytest.raises(ValueError, match="unknown policy 'luq:none': expected one of fp32"):
        variant("luq:none")


def test_a_damaged_checkpoint_is_named():
    train(SMALL)
    (SMALL.folder() / "result.json").unlink()
    path = SMALL.folder() / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ToolError, match=r"checkpoint\.pt is damaged"):
        train(SMALL)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_trains(name, monkeypatch):
    monkeypatch.setitem(TASKS, name, replace(
        task(name), batch=8, context=7 if task(name).context else 0))
    found = train(Run(name, "tetra", epochs=1, share=1))
    assert np.isfinite(found["test"]) and found["parameters"] > 20_000
    assert 0 <= found["test"] <= 100


@pytest.mark.parametrize("name", TASKS)
def test_luq_reaches_every_layer_of_every_task(name):
    """Forward and backward in four bits: all layers but the edges are converted, and learn."""
    what = replace(task(name), context=7 if task(name).context else 0)
    data = what.load()
    model = what.model(data.classes)
    told = convert(model, "luq")
    kept = [fate for _, kind, fate in told.layers if "converted" != fate and kind != "Embedding"
            and "no four-bit form" not in fate]
    assert kept == ["left: the policy keeps the first and the last layer"] * 2
    assert any(fate == "converted" for _, _, fate in told.layers)
    inputs, labels = what.tensors(data.train, np.arange(4), what.context)
    loss = what.goal.loss(model(inputs), labels)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any()
               for name, p in model.named_parameters() if name.endswith("weight"))


def test_goals():
    """Against what they are by definition."""
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
    labels = torch.tensor([[1, 1]])
    chances = logits.softmax(-1)[0, :, 1]
    assert ACCURACY.score(logits, labels).tolist() == [[100, 0]]
    assert torch.allclose(BITS.score(logits, labels), -chances.log2())
    assert torch.allclose(BITS.loss(logits, labels), -chances.log().mean())
    clean = torch.zeros(2, 1, 3, 3)
    noisy = clean + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    assert torch.allclose(PSNR.score(noisy, clean), torch.tensor([20.0, 40.0]))
    assert torch.allclose(PSNR.loss(noisy, clean), torch.tensor(0.0101 / 2))


def test_evaluation_weighs_examples_alike():
    """The last batch is smaller, yet each of its examples counts as much as another."""
    what = replace(task("digits"), batch=3)
    part = Part(np.zeros((4, 8, 8), np.uint8), np.array([0, 0, 0, 1]))

    class Always(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([0.0, 1.0]).expand(len(x), 2)

    assert what.evaluate(Always(), part) == 25


def test_divergence_stops_a_run(monkeypatch):
    monkeypatch.setitem(TASKS, "vowels", replace(task("vowels"), rate=1e38))
    with pytest.raises(FloatingPointError):
        train(Run("vowels", "fp32", epochs=3, share=30))


@pytest.mark.parametrize("arguments, message", [
    ({"task": "cifar"}, "unknown task 'cifar': expected one of digits, fashion"),
    ({"policy": "int2"}, "unknown policy 'int2'"), ({"epochs": 0}, "epochs = 0"),
    ({"share": 101}, "share = 101"), ({"seed": -1}, "seed = -1")])
def test_runs_that_there_are_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        Run(**{"task": "vowels", "policy": "luq", **arguments})
