# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one self-contained page about the study, as far as it has come."""

from functools import partial
from typing import Any

from tools.page import page, paragraph, picture, section, table
from train.study import plots
from train.study.plots import STYLES, difference, gapped
from train.study.published import PUBLISHED

Summary = dict[str, Any]
REFERENCE = "bf16"
HALF = (REFERENCE, "int4_forward")  # their backward GEMMs have more than four bits
NOISE = 2  # standard errors within which a gap may be chance


def render(summary: Summary) -> str:
    """The page as a string."""
    done, planned = summary["runs"]["done"], summary["runs"]["planned"]
    quick = " (QUICK=1: a subset)" if summary["quick"] else ""
    return page("Tetra: the study" + quick, "Which recipe trains best in four bits" + quick, [
        paragraph(finding(summary), "lead"),
        *([paragraph(f"{done} of {planned} planned runs are done: what follows is of those.",
                     "subset")] if done < planned else []),
        *sections(summary)],
        f"Tetra {summary['version']}, recipe {summary['recipe']} of the runs; computed on "
        f"{'; '.join(summary['devices']) or 'nothing yet'}.")


def finding(summary: Summary) -> str:
    """The main result in two or three sentences."""
    shown = [entry for entry in gapped(summary) if entry["policy"] not in HALF]
    if not shown:
        return "No run with four bits in all three GEMMs is done beside bf16's yet."
    worse = []
    for policy in STYLES:
        ours = [e for e in shown if e["policy"] == policy and e["gap_error"] is not None]
        if ours:
            count = sum(e["gap"] > NOISE * e["gap_error"] for e in ours)
            worse.append(f"{policy} in {count} of {len(ours)}")
    best = []
    for task in dict.fromkeys(entry["task"] for entry in shown):
        first = min((e for e in shown if e["task"] == task), key=lambda e: e["gap"])
        best.append(f"{task} {amount(first)} of {first['policy']}")
    told = (f"Worse than bf16 by more than {NOISE} standard errors, four bits in all three GEMMs: "
            f"{', '.join(worse)} tasks. " if worse else
            "One seed has no spread: nothing here tells a gap from chance. ")
    return f"{told}The least gaps, positive where bf16 is better: {', '.join(best)}."


def sections(summary: Summary) -> list[str]:
    """The HTML of each section."""
    return [
        section("Gap to bf16", *_gaps(summary)),
        section("Learning curves", *_curves(summary)),
        section("One change at a time", *_ablations(summary)),
        section("Where four bits break", *_sensitivity(summary)),
        section("Accuracy against area", *_area(summary)),
        section("Beside published figures", *_published()),
        section("What broke", *_broken(summary)),
        section("Every result", _results(summary)),
        section("What is missing", *_missing(summary))]


def amount(entry: Summary) -> str:
    """+0.132 ± 0.006 bit: a gap with its standard error, if it has one."""
    return f"{_gap(entry)} {difference(entry['unit'])}"


def _gap(entry: Summary) -> str:
    if entry["gap"] is None:
        return "none"
    error = "" if entry["gap_error"] is None else f" ± {entry['gap_error']:.3f}"
    return f"{entry['gap']:+.3f}{error}"


def _gaps(summary: Summary) -> list[str]:
    shown = gapped(summary)
    if not shown:
        return [paragraph("No policy has a run beside one of bf16 from the same seed yet.",
                          "absent")]
    tasks = {entry["task"]: difference(entry["unit"]) for entry in shown}
    policies = [name for name in STYLES if any(e["policy"] == name for e in shown)]
    known = {(entry["task"], entry["policy"]): _gap(entry) for entry in shown}
    least, most = (how(len(entry["paired"]) for entry in shown) for how in (min, max))
    seeds = str(most) if least == most else f"{least} to {most}"
    return [
        picture(partial(plots.gaps, summary),
                "Dots with error bars, per task and policy: how much worse than bf16 the test "
                "metric is. " + "; ".join(f"{e['task']}, {e['policy']} {amount(e)}"
                                          for e in shown),
                "Each large dot is how much worse than bf16 a policy is on the part to test, the "
                "mean over seeds; its bar is one standard error to either side, small dots are "
                "single seeds. Left of the line a policy is better than bf16."),
        table([[task, unit, *(known.get((task, policy), "") for policy in policies)]
               for task, unit in tasks.items()], ("task", "unit", *policies),
              about="Gap to bf16 per task and policy", words=(1,)),
        paragraph(f"Positive is worse. Both runs of a pair share their seed; {seeds} pairs each. "
                  "± is one standard error of the mean difference"
                  + (", which a single pair has not." if least == 1 else "."))]


def _curves(summary: Summary) -> list[str]:
    shown = summary["curves"]
    if not shown:
        return [paragraph("No training of several epochs is done yet.", "absent")]
    tasks = {entry["task"] for entry in shown}
    flat = [t for t in dict.fromkeys(e["task"] for e in summary["tasks"]) if t not in tasks]
    return [picture(
        partial(plots.curves, summary),
        "Line charts, one per task: the validation metric after every epoch, a line per policy. "
        "At the end: " + "; ".join(f"{e['task']}, {e['policy']} {e['mean'][-1]:.3f}"
                                   for e in shown),
        "Each task's longest trainings: lines are means over seeds of the metric on the part to "
        "validate, bands one standard "
        "deviation to either side; a single seed has no band. Axes do not start at 0, and those of "
        "long trainings leave out the worst of their first sixth."),
        *([paragraph(f"Trained for one epoch so far, and so without a curve: {', '.join(flat)}.")]
          if flat else [])]


def _ablations(summary: Summary) -> list[str]:
    shown = [entry for entry in summary["ablations"] if entry["gap"] is not None]
    if not shown:
        return [paragraph("No ablation has a run beside one of its base from the same seed"
                          + (": the quick study has none." if summary["quick"] else " yet."),
                          "absent")]
    single = sum(entry["gap_error"] is None for entry in shown)
    return [
        picture(partial(plots.ablations, summary),
                "Bars around 0: what each change of a policy costs. "
                + "; ".join(f"{e['task']}, {e['policy']} {amount(e)}" for e in shown),
                "Each bar is how much worse the metric on the part to validate gets when one thing "
                "of the policy before the colon changes, after the last epoch; to the left of the "
                "line the change helps. Lines on bars are one standard error to either side."),
        *([paragraph(f"{single} of the {len(shown)} bars come from one seed and have no spread.",
                     "absent")] if single else [])]


def _sensitivity(summary: Summary) -> list[str]:
    shown = [entry for entry in summary["sensitivity"] if not entry["usual"]]
    if not shown:
        return [paragraph("No other width, depth, batch or length of training is done"
                          + (": the quick study has none." if summary["quick"] else " yet."),
                          "absent")]
    rows = [[each["task"], each["policy"], ", ".join(map(str, each["widths"])),
             f"{each['per_doubling']:+.3f} ± {each['error']:.3f} {difference(each['unit'])}",
             f"{each['gap_beyond']:+.3f} at {each['beyond']}"] for each in summary["trends"]]
    return [
        picture(partial(plots.sensitivity, summary),
                "Line charts: the gap to bf16 against width, layers, batch and epochs. "
                + "; ".join(f"{e['task']}, {e['setting']} {e['value']}, {e['policy']} {amount(e)}"
                            for e in shown),
                "Each point compares a policy with bf16 of the same size on the part to test; a "
                "line that rises means that four bits cost more there. Bars are one standard "
                "error to either side."),
        *([table(rows, ("task", "policy", "widths", "gap per doubling", "extrapolated"),
                 about="Gap against width", words=(1, 2)),
           paragraph("A straight line over the logarithm of the width through every seed; the last "
                     "column goes four times beyond the widest network that was trained, where "
                     "nothing was measured.")] if rows else
          [paragraph("Fewer than three widths are done: no trend is fitted.", "absent")])]


def _area(summary: Summary) -> list[str]:
    known = [each for each in summary["areas"] if each["area"] is not None]
    drawn = {e["policy"] for e in gapped(summary)} & {each["policy"] for each in known}
    without = [f"{each['policy']} ({each['why']})" for each in summary["areas"] if each["why"]]
    return [
        picture(partial(plots.area, summary),
                "Scatter charts: the gap to bf16 against the area that does as many MACs per "
                "second, in percent of 16 bits. "
                + "; ".join(f"{each['policy']} {each['area']:.1%}" for each in known),
                "Further left is less silicon for the same MACs per second in training, lower is "
                "closer to bf16. Policies of one tile have its area, and stand beside each other "
                "to be told apart. Bars are one standard error to either side.")
        if drawn else paragraph("No policy that a tile computes has a gap yet.", "absent"),
        table([[each["policy"], each["block"].removeprefix("tetra_"), f"{each['area']:.1%}"]
               for each in known], ("policy", "block", "area"), about="Area of each policy",
              words=(1,)),
        paragraph("NanGate 45 nm, before layout (make synth), the tile alone: what rounds and "
                  "finds scales is not in it, nor are layers that a policy leaves in floats. bf16 "
                  "has the area of the densest multiply-accumulator of 16 bits, whichever format. "
                  f"Without an area: {'; '.join(without)}.")]


def _published() -> list[str]:
    rows = [[each.model, each.metric, each.policy, f"{each.reference:.2f}",
             f"{each.figure:.2f}", f"{each.gap:+.2f}", each.source] for each in PUBLISHED]
    return [
        paragraph("What others report, positive gaps worse. Their models are larger and their data "
                  "come in no package, so none of it is repeated here: directions can be compared, "
                  "sizes of gaps cannot. NVFP4's reference is FP8, the others' is FP32."),
        table(rows, ("model", "metric", "like", "reference", "4 bits", "gap", "source"),
              about="Published figures", words=(1, 2, 6))]


def _broken(summary: Summary) -> list[str]:
    found = [paragraph(f"Diverged: {each['task']}, {each['policy']}, seed {each['seed']}: "
                       f"{each['reason']}.", "absent") for each in summary["diverged"]]
    lost = sorted((e for e in gapped(summary)
                   if e["gap_error"] is not None and e["gap"] > NOISE * e["gap_error"]),
                  key=lambda e: e["gap"] / (e["gap_error"] or 1e-9), reverse=True)
    return [
        *(found or [paragraph("No run diverged.")]),
        *([paragraph(f"Gaps beyond {NOISE} standard errors, the surest first: "
                     + "; ".join(f"{e['task']}, {e['policy']} {amount(e)}" for e in lost) + ".")]
          if lost else [paragraph(f"No gap is beyond {NOISE} standard errors.")])]


def _results(summary: Summary) -> str:
    rows = [[e["task"], e["policy"], e["model"], f"{e['metric']} ({e['unit']})",
             "none" if e["mean"] is None else f"{e['mean']:.3f}",
             "one seed" if e["std"] is None else f"{e['std']:.3f}", str(len(e["seeds"])),
             "reference" if e["policy"] == REFERENCE else _gap(e)] for e in summary["tasks"]]
    return table(rows, ("task", "policy", "model", "metric", "mean", "deviation", "seeds", "gap"),
                 about="Every result", words=(1, 2, 3))


def _missing(summary: Summary) -> list[str]:
    rows = [[part, str(count["done"]), str(count["planned"])]
            for part, count in summary["plan"].items() if count["planned"]]
    lacking: dict[tuple[str, str], int] = {}
    for each in summary["missing"]:
        key = each["part"], each["task"]
        lacking[key] = lacking.get(key, 0) + each["runs"]
    return [table(rows, ("part", "done", "planned"), about="Runs by part"),
            *(paragraph(f"{part}: " + ", ".join(
                f"{task} {runs}" for (of, task), runs in lacking.items() if of == part)
                + " runs to do.") for part in dict.fromkeys(part for part, _ in lacking))]
