# SPDX-License-Identifier: Apache-2.0
"""Results that nobody computed, for tests of what is made of results."""

from typing import Any

from train.study.run import RECIPE, Run
from train.study.variants import roles


def result(run: Run, test: float | None, validation: list[float] | None = None) -> dict[str, Any]:
    """As `train` returns it; where `test` is None the run has diverged."""
    found = {**vars(run), "roles": roles(run.policy), "recipe": RECIPE, "torch": "2.13.0",
             "device": "cpu", "test": test}
    if test is None:
        return found | {"diverged": "the loss is nan"}
    values = [test] * run.epochs if validation is None else validation
    return found | {"history": [{"loss": 1.0, "validation": value} for value in values]}


def results(values: dict[Run, float | None]) -> dict[Run, dict[str, Any]]:
    """By run, from the metric of each."""
    return {run: result(run, value) for run, value in values.items()}
