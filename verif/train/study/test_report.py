# SPDX-License-Identifier: Apache-2.0
"""The study's page and program: what they say and draw of complete, sparse and empty results."""

import json
import re
import sys
from html import unescape

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from tools.figures import NARROW, WIDE
from train.study import __main__ as program
from train.study import figures, plan, plots
from train.study import run as study
from train.study.published import PUBLISHED
from train.study.report import finding, render
from train.study.results import gather, record
from train.study.run import Run
from train.study.summary import summarise
from train.study.tasks import TASKS
from verif.train.study.made_up import result, results

COST = {"bf16": 0.0, "tetra": 0.5, "luq": 1.0}  # of others 2
SPREAD = 0.01  # between pairs


def metric(run: Run) -> float:
    """Of a run that loses what COST says, and a little that depends on the seed."""
    lost = COST.get(run.policy, 2.0) * (1 + SPREAD * run.seed)
    return 50 - lost if TASKS[run.task].goal.higher_is_better else 50 + lost


def made(parts: dict[str, list[Run]], quick: bool = False) -> dict:
    return summarise(parts, results({run: metric(run) for run in plan.every(parts)}), quick)


@pytest.fixture(scope="module")
def whole() -> dict:
    return made(plan.parts())


def text(html: str) -> str:
    """What a reader sees, pictures' descriptions included."""
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    html = re.sub(r'(src|srcset)="data:[^"]*"', "", html)
    return unescape(re.sub(r"<(?!img)[^>]*>", " ", html))


def test_the_page_of_a_complete_study(whole):
    page = render(whole)
    told = text(page)
    for title in ("Gap to bf16", "Learning curves", "One change at a time", "Where four bits break",
                  "Accuracy against area", "Beside published figures", "What broke",
                  "Every result", "What is missing"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<figure>") == 5
    assert not re.search(r'(src|href|srcset)="(?!data:)', page)  # all is in the page
    assert "planned runs are done" not in told and "runs to do" not in told
    assert "bible, tetra +0.510" in told and "vowels, sun2020 +2.040" in told
    assert "No run diverged." in told and "no tile for its blocks" in told
    assert all(each.source in told and f"{each.gap:+.2f}" in told for each in PUBLISHED)


def test_the_finding_follows_from_the_data(whole):
    told = finding(whole)
    assert "sun2020 in 8 of 8, luq in 8 of 8, tetra in 8 of 8" in told
    assert "bible +0.510 ± 0.004 bit of tetra" in told and "int4_forward" not in told
    other = made({"comparison": [Run("vowels", policy, seed) for seed in range(3)
                                 for policy in ("bf16", "luq", "sun2020", "int4_forward")],
                  "ablations": [], "sensitivity": []})
    assert "luq in 1 of 1 tasks" in finding(other) and "points of luq" in finding(other)


def test_a_gap_within_its_error_is_no_loss():
    runs = {Run("vowels", policy, seed): value for policy, values in (
        ("bf16", (90, 90)), ("luq", (89, 90.9))) for seed, value in enumerate(values)}
    summary = summarise({"comparison": list(runs), "ablations": [], "sensitivity": []},
                        results(runs), False)
    assert "luq in 0 of 1 tasks" in finding(summary)
    assert "No gap is beyond 2 standard errors" in render(summary)


def test_the_quick_page_says_what_it_has_not():
    summary = made(plan.parts(short=True), quick=True)
    told = text(render(summary))
    assert "QUICK=1: a subset" in told
    assert "One seed has no spread: nothing here tells a gap from chance." in told
    assert "which a single pair has not" in told and "one seed" in told
    assert "No ablation has a run beside one of its base from the same seed: the quick" in told
    assert "No other width, depth, batch or length of training is done: the quick study" in told
    assert "Trained for one epoch so far, and so without a curve: denoise." in told
    assert "±" not in told.replace("± is one standard error", "")


def test_a_page_of_nothing():
    summary = summarise(plan.parts(), {}, False)
    told = text(render(summary))
    assert "No run with four bits in all three GEMMs is done beside bf16's yet." in told
    assert f"0 of {len(plan.every(plan.parts()))} planned runs are done" in told
    assert "<figure>" not in render(summary)
    assert f"comparison: digits {len(plan.POLICIES) * len(plan.SEEDS)}" in told


def test_what_diverged_is_told():
    runs = {Run("vowels", "bf16"): 90.0, Run("vowels", "luq", 4): None}
    told = text(render(summarise(
        {"comparison": list(runs), "ablations": [], "sensitivity": []}, results(runs), False)))
    assert "Diverged: vowels, luq, seed 4: the loss is nan." in told
    assert "No run diverged" not in told


def test_few_widths_have_no_trend():
    usual = [Run("bible", policy) for policy in ("bf16", "luq")]
    wide = [Run("bible", policy, width=256) for policy in ("bf16", "luq")]
    told = text(render(made({"comparison": usual, "ablations": [], "sensitivity": wide})))
    assert "Fewer than three widths are done: no trend is fitted." in told
    assert "four times beyond" not in told


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pictures_show_the_numbers(whole, width):
    """Dots stand at the gaps, bars are as long as differences, and a panel each is not too many."""
    points = plots.gaps(whole, width).axes[0]
    drawn = {float(line.get_xdata()[0]) for line in points.get_lines()
             if line.get_marker() not in ("", "None", None)}
    gaps = {each["gap"] for each in whole["tasks"] if each["unit"] == "%"
            and each["policy"] != "bf16"}
    assert drawn == gaps
    assert [axes.get_xlabel() for axes in plots.gaps(whole, width).axes] == [
        f"worse than bf16 by ({unit})" for unit in ("points", "dB", "bit")]
    first = plots.ablations(whole, width).axes[0]
    bars = [patch.get_width() for patch in first.patches]
    assert bars == [each["gap"] for each in whole["ablations"] if each["task"] == "bible"]
    assert len(plots.curves(whole, width).axes) == len({e["task"] for e in whole["curves"]}) == 7
    assert len(plots.sensitivity(whole, width).axes) == 5  # a panel per task and setting
    assert len(plots.area(whole, width).axes) == len(TASKS)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("draw", [plots.gaps, plots.curves, plots.sensitivity, plots.area])
def test_legends_fit(whole, draw, width):
    figure = draw(whole, width)
    figure.canvas.draw()
    for legend in figure.legends:
        extent = legend.get_window_extent()
        assert 0 <= extent.x0 <= extent.x1 <= width * figure.dpi


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of results and a file of figures of one's own."""
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(program, "ROOT", tmp_path)


def start(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    return program.main()


def no_training(*_, **__):
    raise AssertionError("a run was started")


def summary_file() -> dict:
    return json.loads((study.FOLDER / "summary.json").read_text())


def test_the_program_reports_what_is_done(own, monkeypatch, capsys):
    monkeypatch.setattr(program, "Job", no_training)
    for run in plan.parts(short=True)["comparison"][:3]:
        record(run, result(run, metric(run)), "cpu")
    assert start(monkeypatch, "--quick", "--minutes", "0") == 0
    told = capsys.readouterr().out
    assert "comparison: 3 of 12 runs" in told and "study/report.html" in told
    assert re.search(r"digits .*bf16 .*50\.000 .*one seed", told)
    assert "+2.000 points" in told
    assert summary_file()["runs"] == {"planned": 12, "done": 3}
    assert "3 of 12 planned runs" in (study.FOLDER / "report.html").read_text()
    assert not figures.FIGURES.exists()


def test_known_results_count_only_when_asked_for(own, monkeypatch, capsys):
    runs = plan.parts(short=True)["comparison"]
    for run in runs:
        record(run, result(run, metric(run)), "cpu")
    assert start(monkeypatch, "--quick", "--minutes", "0", "--update") == 0
    monkeypatch.setattr(study, "FOLDER", study.FOLDER.with_name("another"))
    assert gather(runs) == {}
    record(runs[0], result(runs[0], metric(runs[0])), "cpu")
    monkeypatch.setattr(program, "Job", no_training)
    assert start(monkeypatch, "--quick", "--minutes", "0") == 0
    assert summary_file()["runs"]["done"] == 1
    capsys.readouterr()
    assert start(monkeypatch, "--quick", "--known") == 0  # without a limit: nothing is left to do
    assert summary_file()["runs"]["done"] == 12
    assert [each["policy"] for each in summary_file()["against_figures"]] == ["bf16"]
    assert re.search(r"bf16 .*50\.000, no spread known", capsys.readouterr().out)


def test_runs_only_writes_no_report(own, monkeypatch):
    assert start(monkeypatch, "--quick", "--minutes", "0", "--runs-only") == 0
    assert not (study.FOLDER / "report.html").exists()


def test_settings_that_there_are_not(monkeypatch, capsys):
    for arguments, message in ((["--minutes", "-1"], "MINUTES = '-1' is out of range"),
                               (["--known=yes"], "KNOWN = 'yes' is neither on nor off"),
                               (["--task", "cifar"], "TASK = 'cifar' is unknown")):
        with pytest.raises(SystemExit) as stopped:
            start(monkeypatch, *arguments)
        assert stopped.value.code == 2 and message in capsys.readouterr().err
