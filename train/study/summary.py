# SPDX-License-Identifier: Apache-2.0
"""What the study's results say over seeds: `build/study/summary.json`.

Every difference is signed so that positive is worse, whichever direction the metric has, and is
taken seed by seed: two runs of one seed share their first weights and the order of examples, so
much of their spread is common and cancels. Errors are standard errors of means of such
differences; one seed has none, and None stands for it.
"""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from golden.config import VERSION
from tools.files import write_atomically
from train.study.area import areas
from train.study.plan import POLICIES, REFERENCE
from train.study.results import Result
from train.study.run import RECIPE, Run
from train.study.tasks import TASKS

SIZES = ("width", "layers", "batch")
Seeds = dict[int, Result]  # results of runs that differ in their seed alone
Score = Callable[[Result], float]


def summarise(parts: Mapping[str, list[Run]], results: Mapping[Run, Result], quick: bool,
              ) -> dict[str, Any]:
    """The summary of a plan's parts, see `plan.parts`, from the results that there are: plain
    lists and numbers. Results that the plan does not name count nowhere."""
    every = dict.fromkeys(run for part in parts.values() for run in part)
    results = {run: results[run] for run in every if run in results}
    groups = by_seed(results)
    return {
        "version": VERSION, "recipe": RECIPE, "quick": quick,
        "runs": {"planned": len(every), "done": len(results)},
        "plan": {part: {"planned": len(runs), "done": sum(run in results for run in runs)}
                 for part, runs in parts.items()},
        "missing": missing(parts, results),
        "devices": sorted({f"{r['device']}, torch {r['torch']}" for r in results.values()}),
        "tasks": comparison(parts["comparison"], groups),
        "curves": curves(groups),
        "ablations": ablations(parts["ablations"], groups),
        "sensitivity": (swept := sensitivity(parts["sensitivity"], groups)),
        "trends": trends(swept),
        "areas": areas(POLICIES),
        "diverged": [{"task": run.task, "policy": run.policy, "seed": run.seed,
                      **{name: getattr(run, name) for name in (*SIZES, "epochs")},
                      "reason": result["diverged"]}
                     for run, result in results.items() if "diverged" in result],
    }


def write(summary: Mapping[str, Any], path: Path) -> None:
    """As JSON, whole or not at all; ValueError for NaN and infinity, which JSON has not."""
    write_atomically(path, (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())


def by_seed(results: Mapping[Run, Result]) -> dict[Run, Seeds]:
    """Results of runs that differ in their seed alone, under that of seed 0, in seeds' order."""
    found: dict[Run, Seeds] = defaultdict(dict)
    for run in sorted(results, key=lambda run: run.seed):
        found[replace(run, seed=0)][run.seed] = results[run]
    return dict(found)


def missing(parts: Mapping[str, list[Run]], results: Mapping[Run, Result]) -> list[dict[str, Any]]:
    """How many runs each part still lacks, by task and policy."""
    count: dict[tuple[str, str, str], int] = defaultdict(int)
    for part, runs in parts.items():
        for run in runs:
            count[part, run.task, run.policy] += run not in results
    return [{"part": part, "task": task, "policy": policy, "runs": lacking}
            for (part, task, policy), lacking in count.items() if lacking]


def comparison(runs: Iterable[Run], groups: Mapping[Run, Seeds]) -> list[dict[str, Any]]:
    """Every task under every policy: the test metric, and how much worse it is than the
    reference's."""
    found = []
    for run in _unseeded(runs):
        seeds = groups.get(run, {})
        if not seeds:
            continue
        ours, theirs = scores(seeds, tested), scores(groups.get(_reference(run), {}), tested)
        goal = TASKS[run.task].goal
        found.append({
            "task": run.task, "model": _name(TASKS[run.task].model), "policy": run.policy,
            "metric": goal.metric, "unit": goal.unit, "higher_is_better": goal.higher_is_better,
            **over_seeds(ours), "reference": over_seeds(theirs)["mean"],
            **paired(ours, theirs, goal.higher_is_better),
            "epochs": run.epochs, "share": run.share,
            "diverged": [seed for seed, result in seeds.items() if "diverged" in result]})
    return found


def curves(groups: Mapping[Run, Seeds]) -> list[dict[str, Any]]:
    """The validation metric after every epoch, of each task's longest training of several epochs
    at its usual size."""
    longest: dict[str, int] = defaultdict(int)
    usual = {run: seeds for run, seeds in groups.items()
             if not any(getattr(run, size) for size in SIZES) and ":" not in run.policy
             and scores(seeds, tested) and run.epochs > 1}
    for run in usual:
        longest[run.task] = max(longest[run.task], run.epochs)
    found = []
    for run, seeds in usual.items():
        if run.epochs == longest[run.task]:
            lines = np.array([[epoch["validation"] for epoch in result["history"]]
                              for result in seeds.values() if "diverged" not in result])
            found.append({
                "task": run.task, "policy": run.policy, "epochs": run.epochs,
                "metric": TASKS[run.task].goal.metric, "unit": TASKS[run.task].goal.unit,
                "seeds": list(scores(seeds, tested)), "mean": lines.mean(0).tolist(),
                "std": lines.std(0, ddof=1).tolist() if len(lines) > 1 else None})
    return found


def ablations(runs: Iterable[Run], groups: Mapping[Run, Seeds]) -> list[dict[str, Any]]:
    """What one change of a policy costs: the validation metric against that of its base, the
    policy before the colon. Parts to test stay unseen, since choices are made by this."""
    found = []
    for run in _unseeded(runs):
        base = run.policy.split(":")[0]
        seeds = groups.get(run, {})
        if not seeds:
            continue
        goal = TASKS[run.task].goal
        ours = scores(seeds, validated)
        theirs = scores(groups.get(replace(run, policy=base), {}), validated)
        found.append({"task": run.task, "policy": run.policy, "base": base, "metric": goal.metric,
                      "unit": goal.unit, **over_seeds(ours),
                      **paired(ours, theirs, goal.higher_is_better)})
    return found


def sensitivity(runs: list[Run], groups: Mapping[Run, Seeds]) -> list[dict[str, Any]]:
    """The gap to the reference of the same size, by each setting that was swept; the usual size is
    a point of every one."""
    points: dict[tuple[str, str, str], dict[int, Run]] = defaultdict(dict)
    for run in _unseeded(runs):
        if run.policy == REFERENCE:
            continue
        name, value = setting(run)
        usual = replace(run, width=0, layers=0, batch=0, epochs=TASKS[run.task].epochs[0])
        points[run.task, name, run.policy] |= {value: run, usual_size(run.task, name): usual}
    found = []
    for (task, name, policy), swept in points.items():
        goal = TASKS[task].goal
        for value, run in sorted(swept.items()):
            gap = paired(scores(groups.get(run, {}), tested),
                         scores(groups.get(_reference(run), {}), tested), goal.higher_is_better)
            if gap["paired"]:
                found.append({"task": task, "setting": name, "policy": policy, "value": value,
                              "usual": value == usual_size(task, name), "unit": goal.unit, **gap})
    return found


def trends(swept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How the gap grows with width: the least-squares line over log2(width), through every seed,
    and where it is at four times the largest width. None of fewer than three widths."""
    lines: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for point in swept:
        if point["setting"] == "width":
            lines[point["task"], point["policy"]].append(point)
    found = []
    for (task, policy), points in lines.items():
        if len(points) < 3:
            continue
        widths = [point["value"] for point in points for _ in point["gaps"]]
        gaps = [gap for point in points for gap in point["gaps"]]
        (slope, start), covariance = np.polyfit(np.log2(widths), gaps, 1, cov=True)
        there = 4 * max(widths)
        found.append({"task": task, "policy": policy, "unit": points[0]["unit"],
                      "widths": [point["value"] for point in points],
                      "per_doubling": float(slope), "error": float(covariance[0, 0] ** 0.5),
                      "beyond": there, "gap_beyond": float(start + slope * np.log2(there))})
    return found


def setting(run: Run) -> tuple[str, int]:
    """What a run of the sweep varies, and the value: a size, else the epochs."""
    for name in SIZES:
        if value := getattr(run, name):
            return name, value
    return "epochs", run.epochs


def usual_size(task: str, name: str) -> int:
    """What a task has where a run says 0, and its epochs in the full study."""
    what = TASKS[task]
    if name in ("batch", "epochs"):
        return what.batch if name == "batch" else what.epochs[0]
    return inspect.signature(what.model).parameters[name].default


def tested(result: Result) -> float:
    return result["test"]


def validated(result: Result) -> float:
    return result["history"][-1]["validation"]


def scores(seeds: Seeds, score: Score) -> dict[int, float]:
    """By seed, of what did not diverge."""
    return {seed: score(result) for seed, result in seeds.items() if "diverged" not in result}


def over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
    """Mean and sample standard deviation: None of nothing, or of one."""
    found = list(values.values())
    return {"mean": float(np.mean(found)) if found else None,
            "std": float(np.std(found, ddof=1)) if len(found) > 1 else None,
            "seeds": list(values)}


def paired(ours: Mapping[int, float], theirs: Mapping[int, float], higher_is_better: bool,
           ) -> dict[str, Any]:
    """By how much ours is worse, over the seeds that both have: mean, its standard error, and the
    difference of each seed."""
    sign = -1 if higher_is_better else 1
    gaps = {seed: sign * (ours[seed] - theirs[seed]) for seed in ours if seed in theirs}
    found = over_seeds(gaps)
    error = None if found["std"] is None else found["std"] / len(gaps) ** 0.5
    return {"gap": found["mean"], "gap_error": error, "paired": list(gaps),
            "gaps": list(gaps.values())}


def _unseeded(runs: Iterable[Run]) -> list[Run]:
    return list(dict.fromkeys(replace(run, seed=0) for run in runs))


def _reference(run: Run) -> Run:
    return replace(run, policy=REFERENCE)


def _name(model: Any) -> str:
    return model.__name__
