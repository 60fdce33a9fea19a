# SPDX-License-Identifier: Apache-2.0
"""Runs of the study: done once, resumed with the same bits, stopped by what is damaged."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from tools.errors import ToolError  # noqa: E402
from train.study import run as study  # noqa: E402
from train.study.datasets import Dataset, Part  # noqa: E402
from train.study.run import Run, train  # noqa: E402
from train.study.tasks import TASKS, Task, task  # noqa: E402

SMALL = Run("vowels", "luq", seed=3, epochs=3, share=10)


def small_data(self: Task, folder=None) -> Dataset:
    """Random examples in the shapes of the task's own."""
    rng = np.random.default_rng(0)

    def part(count: int) -> Part:
        if self.context:
            text = rng.integers(0, 9, count * 8)
            return Part(text, text)
        shape = (28, 28) if self.data == "fashion_mnist" else (29, 12)
        inputs = rng.integers(0, 255, (count, *shape)).astype(np.uint8)
        inputs = inputs if shape == (28, 28) else inputs.astype(np.float32) / 255
        return Part(inputs, rng.integers(0, 9, count))

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
    assert not (SMALL.folder / "result.json").exists()
    assert train(SMALL) == straight
    assert len(straight["history"]) == 3 and straight["history"][2]["loss"] > 0


def test_a_run_that_is_done_is_not_done_again(monkeypatch):
    found = train(SMALL)
    monkeypatch.setattr(study, "step", None)
    assert train(SMALL) == found == json.loads((SMALL.folder / "result.json").read_text())


def test_other_runs_have_other_folders():
    others = [Run("vowels", "tetra", 3, 3, 10), Run("vowels", "luq", 4, 3, 10),
              Run("vowels", "luq", 3, 4, 10), Run("vowels", "luq", 3, 3, 11),
              Run("vowels", "luq", 3, 3, 10, edges=True)]
    assert len({run.folder for run in [SMALL, *others]}) == 6


def test_a_damaged_checkpoint_is_named():
    train(SMALL)
    (SMALL.folder / "result.json").unlink()
    path = SMALL.folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ToolError, match=r"checkpoint\.pt is damaged"):
        train(SMALL)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_trains(name, monkeypatch):
    monkeypatch.setitem(TASKS, name, Task(**{
        **vars(task(name)), "batch": 8, "context": 7 if task(name).context else 0}))
    found = train(Run(name, "tetra", epochs=1, share=1))
    assert np.isfinite(found["test"]) and found["parameters"] > 20_000
    assert 0 <= found["test"] <= 100


def test_divergence_stops_a_run(monkeypatch):
    monkeypatch.setitem(TASKS, "vowels", Task(**{**vars(task("vowels")), "rate": 1e38}))
    with pytest.raises(FloatingPointError):
        train(Run("vowels", "fp32", epochs=3, share=30))


@pytest.mark.parametrize("arguments, message", [
    ({"task": "cifar"}, "unknown task 'cifar': expected one of fashion"),
    ({"policy": "int2"}, "unknown policy 'int2'"), ({"epochs": 0}, "epochs = 0"),
    ({"share": 101}, "share = 101"), ({"seed": -1}, "seed = -1")])
def test_runs_that_there_are_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        Run(**{"task": "vowels", "policy": "luq", **arguments})
