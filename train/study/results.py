# SPDX-License-Identifier: Apache-2.0
"""Results of runs: where they lie, and what they say over seeds."""

import dataclasses
import json
from typing import Any

from tools.files import write_atomically
from train.study.run import FOLDER, RECIPE, Run
from train.study.variants import roles

FIELDS = tuple(field.name for field in dataclasses.fields(Run) if field.name != "policy")


def record(run: Run, result: dict[str, Any], device: str) -> None:
    """Keep what a worker made, which may have another disk."""
    path = run.folder(device) / "result.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


def done(run: Run) -> dict[str, Any] | None:
    """The result of a run, if there is one: of any device and version of torch, on which its bits
    depend and its metric hardly does, and under any name of its policy."""
    for path in sorted(FOLDER.glob(f"{run.task}-*-{run.seed}-*/result.json")):
        result = json.loads(path.read_text())
        if matches(result, run):
            return result
    return None


def matches(result: dict[str, Any], run: Run) -> bool:
    """Whether this is what the run would give, but for floats of another device."""
    return (result["recipe"], result["roles"]) == (RECIPE, roles(run.policy)) and all(
        result[field] == getattr(run, field) for field in FIELDS)
