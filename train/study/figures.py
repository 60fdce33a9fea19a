# SPDX-License-Identifier: Apache-2.0
"""`figures.json`: results that are committed, of the full study and of the quick one.

A user's own results are compared with them, and a study that is asked to goes on from them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tools.files import write_atomically
from train.study.results import FIELDS, Result
from train.study.run import Run

FIGURES = Path(__file__).with_name("figures.json")
DIGITS = 6  # behind the point, of what is kept
WITHIN = 2  # standard errors of the difference of two means


def update(summary: Mapping[str, Any], results: Mapping[Run, Result]) -> None:
    """Keep a summary and the results it is of; the other of full and quick stays as it is."""
    content = _read()
    quick = " --quick" if summary["quick"] else ""
    content[_part(summary["quick"])] = {
        "command": f"python -m train.study{quick} --update",
        "complete": "{done} of {planned} runs".format(**summary["runs"]),
        "summary": {key: value for key, value in summary.items() if key != "against_figures"},
        "runs": [_kept(run, result) for run, result in results.items()]}
    text = json.dumps(content, indent=1, allow_nan=False)
    # a line for each list of numbers instead of one for each number
    text = re.sub(r"\[[^][{}]*]", lambda found: " ".join(found[0].split()), text)
    write_atomically(FIGURES, (text + "\n").encode())


def known() -> list[Result]:
    """The results that are kept, as `train` returns them but for losses."""
    return [{**kept, "history": [{"validation": value} for value in kept["validation"]]}
            for part in _read().values() for kept in part["runs"]]


def kept_summary(quick: bool) -> dict[str, Any] | None:
    """The summary of the quick study or of the full one, if it is kept."""
    part = _read().get(_part(quick))
    return part and part["summary"]


def compare(own: Mapping[str, Any], kept: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Means of a summary beside those kept, per task and policy, of trainings of equal length, and
    whether they are as close as their spread lets one expect.

    The spread of single runs is that of the task, over all its policies in `kept`: five seeds of
    one policy tell too little of it. Where every policy has one seed, there is none.
    """
    if kept is None:
        return []
    before = {(e["task"], e["policy"], e["epochs"], e["share"]): e for e in kept["tasks"]
              if e["mean"] is not None}
    found = []
    for entry in own["tasks"]:
        other = before.get((entry["task"], entry["policy"], entry["epochs"], entry["share"]))
        if other is None or entry["mean"] is None:
            continue
        spreads = [e["std"] for e in kept["tasks"]
                   if e["task"] == entry["task"] and e["std"] is not None]
        within = None
        if spreads:
            error = np.sqrt(np.mean(np.square(spreads)) * (
                1 / len(entry["seeds"]) + 1 / len(other["seeds"])))
            within = bool(abs(entry["mean"] - other["mean"]) <= WITHIN * error)
        found.append({"task": entry["task"], "policy": entry["policy"], "mean": entry["mean"],
                      "known": other["mean"], "within": within})
    return found


def _kept(run: Run, result: Result) -> dict[str, Any]:
    found = {"policy": run.policy, **{name: result[name] for name in (
        *FIELDS, "roles", "recipe", "torch", "device")}}
    if "diverged" in result:
        return found | {"test": None, "validation": [], "diverged": result["diverged"]}
    return found | {"test": round(result["test"], DIGITS), "validation": [
        round(epoch["validation"], DIGITS) for epoch in result["history"]]}


def _read() -> dict[str, Any]:
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def _part(quick: bool) -> str:
    return "quick" if quick else "full"
