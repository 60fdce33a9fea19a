# SPDX-License-Identifier: Apache-2.0
"""A step of every task on torch kernels, golden model and verilated core: the same bits."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from driver.checked import open_backend  # noqa: E402
from golden.config import preset  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution  # noqa: E402
from train.study import check  # noqa: E402
from train.study.check import difference, trained  # noqa: E402
from train.study.run import Run  # noqa: E402
from train.study.tasks import TASKS, task  # noqa: E402
from verif.train.study.test_run import small_data  # noqa: E402

TINY = preset("tiny")
WIDTHS = {"bible": 16, "bible_lstm": 16, "words_lstm": 8}


@pytest.mark.parametrize("name", TASKS)
def test_a_step_has_the_same_bits_on_all_three(name):
    what = replace(task(name), batch=2, context=6 if task(name).context else 0)
    data = small_data(what)
    run = Run(name, "tetra", seed=5, width=WIDTHS.get(name, 8))
    with open_backend("rtl", "tiny") as rtl:
        torch_, golden, core = (trained(run, what, data, execution, 1) for execution in (
            TorchExecution(TINY), JobExecution(GoldenBackend(TINY)), JobExecution(rtl)))
    assert difference(torch_, golden) == "" and difference(torch_, core) == ""
    assert len(torch_.work) > 8 and len(set(torch_.work.values())) > 8
    assert {len(golden.gradients), len(core.state)} == {len(torch_.gradients), len(torch_.state)}


class Wrong(TorchExecution):
    """One code of the last operand is another one."""

    def quantise(self, x, to):
        found = super().quantise(x, to)
        if to.seed is not None and to.scale.ndim == 0:
            found.values[-1, -1] += 1
        return found


def test_a_difference_is_found_and_named():
    what = replace(task("digits"), batch=2)
    data = small_data(what)
    run = Run("digits", "tetra", width=8)
    right, wrong = (trained(run, what, data, execution(TINY), 2)
                    for execution in (TorchExecution, Wrong))
    assert difference(right, right) == ""
    assert " in FP4_R2" in difference(right, wrong)
    assert difference(right, right._replace(losses=[1.0])).startswith("losses 0")
    assert difference(right, right._replace(state={})).startswith("state ")


def test_the_program_says_what_differs(monkeypatch, capsys):
    monkeypatch.setattr(check.Task, "load", small_data)
    monkeypatch.setattr(check, "executions", lambda config: {
        "torch kernels": TorchExecution(config), "golden model": Wrong(config)})
    arguments = ["--task", "vowels", "--preset", "tiny", "--steps", "1"]
    assert check.main(arguments) == 1
    assert "golden model: differs from the torch kernels in work" in capsys.readouterr().err
    monkeypatch.setattr(check, "executions", lambda config: {
        "torch kernels": TorchExecution(config), "golden model": check.Elsewhere(config, "cpu")})
    assert check.main(arguments) == 0
    assert "the same bits" in capsys.readouterr().out
