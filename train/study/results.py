# SPDX-License-Identifier: Apache-2.0
"""Results of runs: where they lie, and which run each belongs to."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tools.files import write_atomically
from train.study import run as runs
from train.study.run import RECIPE, Run
from train.study.variants import roles

Result = Mapping[str, Any]  # what `train` returns, or what figures.json keeps of that
FIELDS = tuple(field.name for field in dataclasses.fields(Run) if field.name != "policy")


def record(run: Run, result: Result, device: str) -> None:
    """Keep what a worker made, which may have another disk."""
    path = run.folder(device) / "result.json"
    if not path.exists():
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


def gather(wanted: Iterable[Run], known: Iterable[Result] = ()) -> dict[Run, Result]:
    """The results of those runs that are done: on this disk, else among the known ones. They may
    be of any device and version of torch, on which bits depend and metrics hardly do, and stand
    under any name of their policy."""
    on_disk = (json.loads(path.read_text())
               for path in sorted(runs.FOLDER.glob("*/result.json")))
    found: dict[tuple, Result] = {}
    for result in (*on_disk, *known):
        found.setdefault(_identity(result), result)
    wanted_by = {run: (RECIPE, roles(run.policy), *(getattr(run, name) for name in FIELDS))
                 for run in wanted}
    return {run: found[key] for run, key in wanted_by.items() if key in found}


def _identity(result: Result) -> tuple:
    """All that a result depends on, but for floats of another device."""
    return (result["recipe"], result["roles"], *(result[name] for name in FIELDS))
