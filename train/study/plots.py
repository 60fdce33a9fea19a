# SPDX-License-Identifier: Apache-2.0
"""The figures of the study's report. Each function returns a matplotlib Figure `width` inches wide.

All draw from the summary, see `train.study.summary`; positive gaps are worse.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tools.figures import (
    BLACK,
    BLUE,
    GREEN,
    INK,
    MUTED,
    OLIVE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WINE,
    at_least,
    grid,
    legend,
    linear,
    logarithmic,
)
from tools.figures import narrow as is_narrow
from train.study.plan import FROM_SAWB, LEARNED, RUNNER_UP

# A colour and a mark of its own for each policy, in the order of legends.
STYLES = {"bf16": (BLACK, "o"), "int4_forward": (MUTED, "v"), "sun2020": (VERMILION, "s"),
          "luq": (ORANGE, "^"), "tetra": (BLUE, "D"), LEARNED: (SKY, "p"), FROM_SAWB: (OLIVE, "*"),
          RUNNER_UP: (WINE, "h"), "nvfp4": (GREEN, "P"), "mxfp4": (PURPLE, "X")}
Summary = dict[str, Any]


def gaps(summary: Summary, width: float) -> Figure:
    """Gap to the reference per task and policy, a panel per unit: a dot per mean with its standard
    error, and a small one per seed."""
    shown = gapped(summary)
    units = _unique(entry["unit"] for entry in shown)
    tasks = {unit: _unique(entry["task"] for entry in shown if entry["unit"] == unit)
             for unit in units}
    policies = [name for name in STYLES if any(entry["policy"] == name for entry in shown)]
    counts = [len(tasks[unit]) for unit in units]
    line = 0.135 * len(policies) + 0.12  # inches that a task takes
    figure, every = grid(width, 0.7 + line * sum(counts) + 0.55 * len(units), len(units), 1,
                         height_ratios=[line * count + 0.3 for count in counts])
    for axes, unit in zip(every[:, 0], units, strict=True):
        for entry in shown:
            if entry["unit"] != unit:
                continue
            colour, mark = STYLES[entry["policy"]]
            place = tasks[unit].index(entry["task"]) + (
                policies.index(entry["policy"]) - (len(policies) - 1) / 2) * 0.8 / len(policies)
            axes.scatter(entry["gaps"], [place] * len(entry["gaps"]), s=7, color=colour, alpha=0.4,
                         lw=0)
            axes.errorbar(entry["gap"], place, xerr=entry["gap_error"], color=colour, marker=mark,
                          ms=5, lw=1.3)
        axes.axvline(0, color=INK, lw=0.9)
        axes.set_yticks(range(len(tasks[unit])), tasks[unit])
        axes.set(ylim=(len(tasks[unit]) - 0.5, -0.5),
                 xlabel=f"worse than bf16 by ({difference(unit)})")
        axes.grid(axis="y", visible=False)
        linear(axes.xaxis, 5 if is_narrow(width) else 8)
    legend(figure, every[0, 0], _columns(width), _handles(policies, joined=False))
    return figure


def curves(summary: Summary, width: float) -> Figure:
    """Validation metric after every epoch, a panel per task; bands are one standard deviation."""
    shown = summary["curves"]
    tasks = _unique(entry["task"] for entry in shown)
    figure, panels = _panels(width, 2.6, len(tasks))
    for axes, task in zip(panels, tasks, strict=True):
        lines = [entry for entry in shown if entry["task"] == task]
        for entry in lines:
            colour, mark = STYLES[entry["policy"]]
            epochs, mean = np.arange(1, entry["epochs"] + 1), np.array(entry["mean"])
            axes.plot(epochs, mean, color=colour, lw=1.4, marker=mark, ms=4,
                      markevery=max(1, entry["epochs"] // 8))
            if entry["std"] is not None:
                axes.fill_between(epochs, mean - entry["std"], mean + entry["std"], color=colour,
                                  alpha=0.13, lw=0)
        late = [value for entry in lines for value in entry["mean"][entry["epochs"] // 6:]]
        if lines[0]["epochs"] >= 6:
            axes.set_ylim(at_least(late, 0.01 * abs(max(late))))
        axes.set_title(task, fontsize=10)
        axes.set(xlabel="epoch", ylabel=_axis(lines[0]))
        linear(axes.xaxis, 5, integer=True)
        linear(axes.yaxis)
    legend(figure, panels[0], _columns(width), _handles(
        [name for name in STYLES if any(entry["policy"] == name for entry in shown)]))
    return figure


def ablations(summary: Summary, width: float) -> Figure:
    """What each change costs, a bar per ablation around the base at 0, a panel per task: with names
    in common side by side, with those that it has on a phone."""
    shown = [entry for entry in summary["ablations"] if entry["gap"] is not None]
    tasks = _unique(entry["task"] for entry in shown)
    slim = is_narrow(width)
    names = {task: _unique(entry["policy"] for entry in shown
                           if not slim or entry["task"] == task) for task in tasks}
    heights = [0.19 * len(names[task]) + 0.8 for task in (tasks if slim else tasks[:1])]
    shape = (len(tasks), 1) if slim else (1, len(tasks))
    figure, every = grid(width, sum(heights) + 0.3, *shape, height_ratios=heights)
    for axes, task in zip(every.flat, tasks, strict=True):
        here = [entry for entry in shown if entry["task"] == task]
        for entry in here:
            axes.barh(names[task].index(entry["policy"]), entry["gap"], 0.7,
                      xerr=entry["gap_error"], color=STYLES[entry["base"]][0], alpha=0.8,
                      error_kw={"ecolor": INK, "lw": 1.0})
        axes.axvline(0, color=INK, lw=0.9)
        axes.set_yticks(range(len(names[task])), names[task], fontsize=8)
        axes.set(xlabel=f"worse than its base by ({difference(here[0]['unit'])})",
                 ylim=(len(names[task]) - 0.4, -0.6))
        axes.set_title(task, fontsize=10)
        axes.tick_params(labelleft=slim or axes is every[0, 0])
        linear(axes.xaxis, 5)
    return figure


def sensitivity(summary: Summary, width: float) -> Figure:
    """Gap against each setting that was swept, a panel per task and setting, a line per policy."""
    shown = summary["sensitivity"]
    panels = _unique((entry["task"], entry["setting"]) for entry in shown if not entry["usual"])
    figure, every = _panels(width, 2.4, len(panels), 4)
    for axes, (task, setting) in zip(every, panels, strict=True):
        here = [entry for entry in shown if (entry["task"], entry["setting"]) == (task, setting)]
        for policy in _unique(entry["policy"] for entry in here):
            colour, mark = STYLES[policy]
            points = [entry for entry in here if entry["policy"] == policy]
            axes.errorbar([p["value"] for p in points], [p["gap"] for p in points],
                          [p["gap_error"] or 0.0 for p in points], color=colour, marker=mark, ms=4,
                          lw=1.3)
        values = sorted({entry["value"] for entry in here})
        logarithmic(axes.xaxis)
        axes.set_xticks(values, map(str, values))
        axes.axhline(0, color=INK, lw=0.9)
        axes.set_title(task, fontsize=10)
        axes.set(xlabel=setting, ylabel=f"gap ({difference(here[0]['unit'])})")
        linear(axes.yaxis, 5)
    legend(figure, every[0], _columns(width), _handles(
        [name for name in STYLES if any(entry["policy"] == name for entry in shown)]))
    return figure


def area(summary: Summary, width: float) -> Figure:
    """Gap against the silicon for equally many MACs per second, a panel per task; policies of the
    same block stand beside each other."""
    blocks: dict[str, list[str]] = {}
    for each in summary["areas"]:
        blocks.setdefault(each["block"], []).append(each["policy"])
    silicon = {each["policy"]: 100 * each["area"] * 1.1 ** blocks[each["block"]].index(
        each["policy"]) for each in summary["areas"] if each["area"] is not None}
    shown = [entry for entry in gapped(summary, reference=True) if entry["policy"] in silicon]
    tasks = _unique(entry["task"] for entry in shown)
    figure, panels = _panels(width, 2.3, len(tasks), 4)
    for axes, task in zip(panels, tasks, strict=True):
        here = [entry for entry in shown if entry["task"] == task]
        for entry in here:
            colour, mark = STYLES[entry["policy"]]
            axes.errorbar(silicon[entry["policy"]], entry["gap"], entry["gap_error"] or 0.0,
                          color=colour, marker=mark, ms=5.5, lw=1.3)
        axes.axhline(0, color=INK, lw=0.9)
        axes.set_title(task, fontsize=10)
        axes.set(xlabel="area (% of 16 bits)", ylabel=f"gap ({difference(here[0]['unit'])})")
        axes.margins(x=0.12)
        logarithmic(axes.xaxis, 5)
        linear(axes.yaxis, 5)
    legend(figure, panels[0], _columns(width), _handles(
        [name for name in STYLES if name in {entry["policy"] for entry in shown}], joined=False))
    return figure


def gapped(summary: Summary, reference: bool = False) -> list[Summary]:
    """The entries of the comparison that have a gap; the reference's own only if asked for."""
    return [entry for entry in summary["tasks"] if entry["gap"] is not None
            and (reference or entry["policy"] != "bf16")]


def difference(unit: str) -> str:
    """The unit of a difference: shares differ by points."""
    return "points" if unit == "%" else unit


def _panels(width: float, height: float, count: int, most: int = 3):
    """The figure and `count` axes: side by side, at most so many in a row; on a phone one each."""
    columns = 1 if is_narrow(width) else min(most, count)
    rows = -(-count // columns)
    figure, every = grid(width, height * rows + 0.4, rows, columns)
    for unused in every.flat[count:]:
        unused.remove()
    return figure, list(every.flat[:count])


def _handles(policies: list[str], joined: bool = True) -> list[Line2D]:
    return [Line2D([], [], color=STYLES[name][0], marker=STYLES[name][1], ms=5,
                   lw=1.4 if joined else 0, label=name) for name in policies]


def _axis(entry: Summary) -> str:
    return f"{entry['metric']} ({entry['unit']})"


def _unique(items) -> list:
    return list(dict.fromkeys(items))


def _columns(width: float) -> int:
    return 2 if is_narrow(width) else 5
