# SPDX-License-Identifier: Apache-2.0
"""Results of runs: where they lie, and what they say over seeds."""

import dataclasses
import json
from typing import Any

from tools.files import write_atomically
from train.study.run import FOLDER, RECIPE, Run

FIELDS = tuple(field.name for field in dataclasses.fields(Run))


def record(run: Run, result: dict[str, Any], device: str) -> None:
    """Keep what a worker made, which may have another disk."""
    path = run.folder(device) / "result.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


def done(run: Run) -> dict[str, Any] | None:
    """The result of a run on any device with any version of torch, if there is one: its metric does
    not depend on them, but its bits do."""
    return next(iter(found(run)), None)


def found(run: Run) -> list[dict[str, Any]]:
    name = run.policy.replace(":", "-")
    results = [json.loads(path.read_text()) for path in sorted(
        FOLDER.glob(f"{run.task}-{name}-{run.seed}-*/result.json"))]
    return [result for result in results if result.get("recipe") == RECIPE
            and all(result.get(field) == getattr(run, field) for field in FIELDS)]
