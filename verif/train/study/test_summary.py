# SPDX-License-Identifier: Apache-2.0
"""What results say over seeds: signs, pairs, spreads, what is missing and what diverged."""

import json
import math
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from train.study import figures, plan
from train.study import run as study
from train.study.results import gather, record
from train.study.run import Run
from train.study.summary import summarise, write
from train.study.tasks import TASKS
from train.study.variants import VARIANTS
from verif.train.study.made_up import result, results


def compared(values: dict[Run, float | None], planned: list[Run] | None = None) -> dict:
    """The summary of a plan that compares these runs and no others."""
    parts = {"comparison": planned or list(values), "ablations": [], "sensitivity": []}
    return summarise(parts, results(values), quick=False)


def entry(summary: dict, policy: str, part: str = "tasks") -> dict:
    found, = (each for each in summary[part] if each["policy"] == policy)
    return found


@pytest.mark.parametrize("task, ours, theirs, gap", [
    ("bible", 2.6, 2.5, 0.1), ("bible", 2.4, 2.5, -0.1), ("vowels", 88.0, 90.0, 2.0),
    ("denoise", 30.5, 30.0, -0.5)])
def test_positive_is_worse(task, ours, theirs, gap):
    """Whether the metric is to be high or low."""
    found = compared({Run(task, "bf16"): theirs, Run(task, "luq"): ours})
    assert entry(found, "luq")["gap"] == pytest.approx(gap)
    assert entry(found, "bf16")["gap"] == 0


def test_pairs_have_one_seed():
    """bf16's seed 0 and luq's seed 3 have no partner; what both share by seed is no spread."""
    theirs = {0: 95.0, 1: 80.0, 2: 90.0}
    ours = {1: 78.0, 2: 87.0, 3: 10.0}
    found = entry(compared({Run("vowels", "bf16", seed): value for seed, value in theirs.items()}
                           | {Run("vowels", "luq", seed): value for seed, value in ours.items()}),
                  "luq")
    assert (found["paired"], found["gaps"], found["gap"]) == ([1, 2], [2.0, 3.0], 2.5)
    assert found["gap_error"] == pytest.approx(math.sqrt(0.5) / math.sqrt(2))
    assert found["seeds"] == [1, 2, 3] and found["mean"] == pytest.approx(175 / 3)
    assert found["reference"] == pytest.approx(265 / 3)


def test_the_spread_is_that_of_a_sample():
    found = compared({Run("vowels", "bf16", seed): value for seed, value in enumerate((1, 2, 6))})
    assert entry(found, "bf16")["std"] == pytest.approx(math.sqrt(7))


def test_one_seed_has_no_spread():
    found = entry(compared({Run("vowels", "bf16"): 90.0, Run("vowels", "luq"): 89.0}), "luq")
    assert (found["mean"], found["std"], found["gap"], found["gap_error"]) == (89, None, 1, None)


def test_without_a_reference_there_is_no_gap():
    found = entry(compared({Run("vowels", "bf16", 1): 90.0, Run("vowels", "luq", 0): 89.0}), "luq")
    assert (found["gap"], found["paired"], found["reference"]) == (None, [], 90)
    found = entry(compared({Run("vowels", "luq", 0): 89.0}), "luq")
    assert (found["gap"], found["reference"]) == (None, None)


def test_what_diverged_counts_in_no_mean():
    found = compared({Run("vowels", "bf16", 0): 90.0, Run("vowels", "bf16", 1): 90.0,
                      Run("vowels", "luq", 0): 89.0, Run("vowels", "luq", 1): None})
    luq = entry(found, "luq")
    assert (luq["mean"], luq["seeds"], luq["paired"], luq["diverged"]) == (89, [0], [0], [1])
    assert [(each["policy"], each["seed"], each["reason"]) for each in found["diverged"]] == [
        ("luq", 1, "the loss is nan")]
    assert found["missing"] == [] and found["runs"] == {"planned": 4, "done": 4}
    luq = entry(compared({Run("vowels", "bf16"): 90.0, Run("vowels", "luq"): None}), "luq")
    assert (luq["mean"], luq["std"], luq["gap"]) == (None, None, None)


def test_what_is_missing_is_counted():
    planned = [Run("vowels", policy, seed) for policy in ("bf16", "luq") for seed in range(3)]
    other = Run("vowels", "luq", 0, epochs=7)  # which the plan does not name
    found = compared({planned[0]: 90.0, planned[3]: 89.0, other: 1.0}, planned)
    assert found["runs"] == {"planned": 6, "done": 2}
    assert found["plan"]["comparison"] == {"planned": 6, "done": 2}
    assert found["missing"] == [
        {"part": "comparison", "task": "vowels", "policy": policy, "runs": 2}
        for policy in ("bf16", "luq")]
    assert entry(found, "luq")["mean"] == 89


def test_ablations_read_the_last_validation_and_the_base():
    """Not the part to test, and not the reference."""
    luq, rows = Run("vowels", "luq", epochs=2), Run("vowels", "luq:radix-4", epochs=2)
    bf16 = replace(luq, policy="bf16")
    made = {bf16: result(bf16, 99.0), luq: result(luq, 50.0, [10.0, 80.0]),
            rows: result(rows, 60.0, [70.0, 77.0])}
    parts = {"comparison": [bf16, luq], "ablations": [rows], "sensitivity": []}
    found = entry(summarise(parts, made, False), "luq:radix-4", "ablations")
    assert (found["base"], found["mean"], found["gap"]) == ("luq", 77, 3)


def swept(widths: dict[int, float]) -> dict:
    """The summary of a sweep of the width of bible's Transformer, whose usual one is 128."""
    usual = Run("bible", "luq")
    values = {replace(usual, policy="bf16"): 2.5, usual: 2.5 + widths[128]}
    runs = []
    for width, gap in widths.items():
        if width != 128:
            run = replace(usual, width=width)
            runs += [replace(run, policy="bf16"), run]
            values |= {runs[-2]: 3.0, run: 3.0 + gap}
    return summarise({"comparison": list(values)[:2], "ablations": [], "sensitivity": runs},
                     results(values), False)


def test_a_sweep_compares_equal_sizes():
    found = swept({32: 0.3, 64: 0.2, 128: 0.1})
    assert [(each["setting"], each["value"], each["usual"]) for each in found["sensitivity"]] == [
        ("width", 32, False), ("width", 64, False), ("width", 128, True)]
    assert [each["gap"] for each in found["sensitivity"]] == pytest.approx([0.3, 0.2, 0.1])


def test_the_trend_is_the_line_through_three_widths():
    trend, = swept({32: 0.3, 64: 0.2, 128: 0.1})["trends"]
    assert trend["per_doubling"] == pytest.approx(-0.1)
    assert (trend["beyond"], trend["gap_beyond"]) == (512, pytest.approx(-0.1))
    assert trend["error"] == pytest.approx(0, abs=1e-6)
    assert swept({32: 0.3, 128: 0.1})["trends"] == []


def test_curves_are_of_the_longest_training():
    made = {}
    for epochs, seed in ((1, 0), (2, 0), (2, 1), (3, 0)):
        run = Run("vowels", "luq", seed, epochs)
        made[run] = result(run, 90.0, [50.0 + 10 * seed] * epochs)
    wide = Run("vowels", "luq", 0, 9, width=8)
    made[wide] = result(wide, 90.0)
    parts = {"comparison": list(made), "ablations": [], "sensitivity": []}
    curve, = summarise(parts, made, False)["curves"]
    assert (curve["epochs"], curve["mean"], curve["std"]) == (3, [50, 50, 50], None)
    parts["comparison"] = [run for run in made if run.epochs < 3]
    curve, = summarise(parts, made, False)["curves"]
    assert (curve["mean"], curve["std"]) == ([55, 55], pytest.approx([math.sqrt(50)] * 2))


FIELDS = {"task": str, "model": str, "policy": str, "metric": str, "unit": str, "mean": float,
          "std": float, "seeds": list, "reference": float, "gap": float}


def test_the_file_fits_its_schema(tmp_path):
    parts = plan.parts()
    values = {run: 80.0 + run.seed - len(run.policy) for run in plan.every(parts)}
    summary = summarise(parts, results(values), quick=False)
    path = tmp_path / "summary.json"
    write(summary, path)
    found = json.loads(path.read_text())
    assert found == summary
    more = sum(map(len, plan.MORE.values()))
    assert len(found["tasks"]) == len(TASKS) * len(plan.POLICIES) + more
    for each in found["tasks"]:
        assert {name: type(each[name]) for name in FIELDS} == FIELDS
        assert each["seeds"] == list(plan.SEEDS) == each["paired"]
    assert found["missing"] == [] and found["plan"] == {
        part: {"planned": len(runs), "done": len(runs)} for part, runs in parts.items()}
    assert {each["setting"] for each in found["sensitivity"]} == {
        "width", "layers", "batch", "epochs"}
    assert all(len(each["widths"]) >= 3 for each in found["trends"]) and found["trends"]


def test_what_json_has_not_is_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "summary.json"
    write({"mean": 1.0}, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write({"mean": math.nan}, path)
    assert json.loads(path.read_text()) == {"mean": 1.0}


def test_areas_are_those_of_the_formats():
    areas = {each["policy"]: each for each in compared({})["areas"]}
    assert areas["bf16"]["area"] == 1
    assert 0 < areas["luq"]["area"] == areas["tetra"]["area"] < areas["sun2020"]["area"] < 0.2
    assert areas["sun2020"]["block"].startswith("tetra_mac_tile/base, radix 4 alone/")
    assert areas["tetra"]["block"].startswith("tetra_mac_tile/lean/")
    for policy in ("int4_forward", "nvfp4", "mxfp4"):
        assert areas[policy]["area"] is None and areas[policy]["why"]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "figures.json")


def test_results_are_found_by_what_they_did(kept, monkeypatch):
    """Under another name of the policy and of another device, but not of another recipe or size."""
    monkeypatch.setitem(VARIANTS, "again", VARIANTS["tetra"].but(name="again"))
    tetra, rows = Run("vowels", "tetra"), Run("vowels", "again")
    record(tetra, result(tetra, 88.0) | {"device": "cuda"}, "cuda")
    assert gather([rows, Run("vowels", "luq"), replace(tetra, seed=1), replace(tetra, width=8)]
                  ) == {rows: result(tetra, 88.0) | {"device": "cuda"}}
    old = Run("vowels", "luq", 5)
    record(old, result(old, 88.0) | {"recipe": 0}, "cpu")
    assert gather([old]) == {}


def test_the_disk_counts_before_what_is_known(kept):
    first, second = Run("vowels", "luq", 0), Run("vowels", "luq", 1)
    record(first, result(first, 88.0), "cpu")
    known = [result(first, 1.0), result(second, 87.0)]
    found = gather([first, second], known)
    assert (found[first]["test"], found[second]["test"]) == (88, 87)
    assert gather([first, second]).keys() == {first}


def test_kept_results_come_back(kept):
    runs = [Run("vowels", "luq", seed, 2) for seed in range(3)]
    made = {runs[0]: result(runs[0], 88.123456789, [1.0, 2.5]), runs[1]: result(runs[1], None)}
    parts = {"comparison": runs, "ablations": [], "sensitivity": []}
    figures.update(summarise(parts, made, True) | {"against_figures": []}, made)
    figures.update(summarise(parts, {}, False), {})
    found = gather(runs, figures.known())
    assert found.keys() == set(runs[:2])
    assert found[runs[0]]["test"] == 88.123457 and found[runs[1]]["diverged"] == "the loss is nan"
    assert [each["validation"] for each in found[runs[0]]["history"]] == [1, 2.5]
    assert figures.kept_summary(True)["tasks"][0]["seeds"] == [0]
    assert figures.kept_summary(False)["tasks"] == []
    quick = json.loads(figures.FIGURES.read_text())["quick"]
    assert quick["complete"] == "2 of 3 runs" and "--quick" in quick["command"]


@pytest.mark.parametrize("mean, within", [(90.0, True), (92.1, True), (92.4, False)])
def test_means_are_compared_within_their_spread(mean, within):
    """Four seeds of deviation 1 each and one new one: up to 2 * sqrt(5 / 4) = 2.2 is chance."""
    spread = [90 - math.sqrt(0.75), 90 + math.sqrt(0.75)] * 2
    old = compared({Run("vowels", "luq", seed): value for seed, value in enumerate(spread)})
    assert entry(old, "luq")["std"] == pytest.approx(1)
    told, = figures.compare(compared({Run("vowels", "luq"): mean}), old)
    assert (told["mean"], told["known"], told["within"]) == (mean, pytest.approx(90), within)


def test_what_cannot_be_compared():
    single = compared({Run("vowels", "luq"): 90.0})
    told, = figures.compare(single, single)
    assert told["within"] is None
    assert figures.compare(single, compared({Run("vowels", "luq", epochs=2): 90.0})) == []
    assert figures.compare(single, None) == []
