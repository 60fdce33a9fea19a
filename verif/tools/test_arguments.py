# SPDX-License-Identifier: Apache-2.0
"""Settings of every program: what is wrong is refused in one line; make hands them on whole."""

import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from importlib import import_module
from importlib.util import find_spec

import pytest
from rich.console import Console

import driver.replay
import synth.__main__
import synth.area
import synth.energy.__main__
import verif.formal.__main__
from golden.config import PRESETS
from tools import start
from tools.arguments import one_of
from tools.cache import ROOT
from tools.errors import LostError, ToolError
from tools.jobs import Done
from train.digits import __main__ as digits
from train.digits.device import ABOUT
from verif import random_check, regress, suite, wave
from verif.here import Here

SEEDS = "expected an integer 0..4294967295"
WRONG = [
    (digits, ["--seed=-1"], f"SEED = '-1' is out of range: {SEEDS}, like SEED=0"),
    (digits, ["--seed="], f"SEED = '' is out of range: {SEEDS}"),
    (digits, ["--seed=1_0"], "SEED = '1_0' is out of range"),
    (digits, ["--epochs=$(ls)"], "EPOCHS = '$(ls)' is out of range: expected an integer 1..1000"),
    (digits, ["--batch=" + "9" * 5000], "is out of range: expected an integer 1..1024"),
    (digits, ["--out="], "OUT = '' names no folder: expected one that you may write to"),
    (digits, ["--trace=-1:2"], "TRACE = '-1:2' is not a window of jobs: expected FIRST:COUNT"),
    (digits, ["--trace="], "TRACE = '' is not a window of jobs"),
    (digits, ["--preset=ba se"], "PRESET = 'ba se' is unknown: expected one of tiny, small"),
    (digits, ["--backend=golden", "--trace=0:1"], "TRACE with BACKEND=golden: only the RTL has"),
    (regress, ["--seed=-1"], f"SEED = '-1' is out of range: {SEEDS}, like SEED=1"),
    (regress, ["--seed=4294967295"], "with SEEDS=10 expected an integer 0..4294967286"),
    (regress, ["--length="], "LENGTH = '' is out of range: expected an integer 1..1000"),
    (regress, ["--jobs=0"], "JOBS = '0' is out of range: expected an integer 1..1024"),
    (regress, ["--scheduler=there"], "SCHEDULER = 'there' is no address: expected tcp://host:port"),
    (synth.__main__, ["--scheduler=tcp://:1"], "SCHEDULER = 'tcp://:1' is no address"),
    (regress, ["--block=foo"], "BLOCK = 'foo' is unknown: expected one of multiplier, "),
    (regress, ["--block=engine", "--case=99"], "CASE = 99 is out of range: engine has the"),
    (regress, ["--case=1"], "CASE = 1 without a block: expected BLOCK= too"),
    (wave, ["--block="], "BLOCK = '' is unknown: expected one of multiplier, "),
    (wave, ["--block=engine", "--seed=x"], f"SEED = 'x' is out of range: {SEEDS}"),
    (suite, ["--tests=foo"], "TESTS = 'foo' does not exist: expected paths of tests"),
    (suite, ["--tests="], "TESTS = '' names no tests: expected paths"),
    (suite, ["--workers=-1"], "WORKERS = '-1' is out of range: expected an integer 1..1024"),
    (driver.replay, ["--trace=x", "file"], "TRACE = 'x' is neither on nor off: expected 1"),
    (driver.replay, ["--backend=gpu"], "BACKEND = 'gpu' is unknown: expected one of rtl, golden"),
    (synth.__main__, ["tetra_mac_til/lean/3"], "unknown: expected one of tetra_mac_tile/lean/3, "),
    (synth.energy.__main__, ["tetra_engine/base/3"], "'tetra_engine/base/3' is unknown"),
    (synth.__main__, ["--quick=yes"], "QUICK = 'yes' is neither on nor off"),
    (synth.area, ["--preset="], "PRESET = '' is unknown: expected one of tiny"),
    (random_check, ["--quick=2"], "QUICK = '2' is neither on nor off"),
    (verif.formal.__main__, ["--block=x y"], "BLOCK = 'x y' is unknown: expected one of"),
]


@pytest.mark.parametrize(("program", "arguments", "text"), WRONG, ids=lambda x: str(x)[:30])
def test_wrong_settings(program, arguments, text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    try:
        status = program.main()
    except SystemExit as error:
        status = error.code
    error = capsys.readouterr().err
    assert status == 2 and text in error and error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("value", ["", "two words", "it's", "$HOME;ls `ls` \"x\" | &", "-1"])
def test_make_hands_settings_on_whole(value):
    show = ("include Makefile\nshow:\n\t@printf '[%s]' $(call quoted,$(BLOCK)) "
            "$(call given,SEED,s)\n")
    given = value.replace("$", "$$")
    shown = subprocess.run(["make", "-s", "-f", "-", "show", f"BLOCK={given}", f"SEED={given}"],
                           cwd=ROOT, text=True, capture_output=True, check=True, input=show)
    assert shown.stdout == f"[{value}][--s={value}]"


PROGRAMS = [
    "driver.core_bench", "driver.replay", "hdl.emit.export", "synth", "synth.area", "synth.energy",
    "synth.layout", "train.bench", "train.core.bench", "train.digits", "train.digits.seeds",
    "train.study", "train.study.check", "train.study.estimate", "train.study.run", "verif.formal",
    "verif.gates", "verif.golden.correlations", "verif.random_check", "verif.regress",
    "verif.suite", "verif.synth.baselines", "verif.wave"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_shows_its_help(name, monkeypatch, capsys):
    """A per cent sign by itself is a traceback there."""
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    module = name if find_spec(name).submodule_search_locations is None else f"{name}.__main__"
    with pytest.raises(SystemExit) as left:
        import_module(module).main()
    assert not left.value.code and "usage: " in capsys.readouterr().out


def test_of_many_names_the_nearest_are_listed():
    few, many = one_of(["one", "two"]), one_of([f"design/{i}" for i in range(100)])
    with pytest.raises(ArgumentTypeError, match=r"^'x' is unknown: expected one of one, two$"):
        few("x")
    with pytest.raises(ArgumentTypeError, match=r"expected one of design/77, .*or another of 100$"):
        many("design77")
    assert many("design/99") == "design/99"


def test_help_lists_every_setting_of_every_target():
    text = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, text=True, capture_output=True).stdout
    told = {name: set(re.findall(r"[a-z-]+", " ".join(re.findall(r"\(([^)]*)\)", line))))
            for line in re.findall(r"^  ([A-Z]+=.*)$", shown, re.M)
            for name in re.findall(r"\b([A-Z]+)=", line)}
    for target, recipe in re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", text, re.M):
        for name in re.findall(r"\$\((?:call given,)?([A-Z]+)[,)]", recipe):
            assert name in ("PY", "RUN", "MAKE") or target in told[name], f"{target}: {name}"
    assert f"PRESET={'|'.join(PRESETS)}:" in shown and f"QUANT={'|'.join(ABOUT)}:" in shown


@pytest.mark.parametrize(("raised", "status", "text"), [
    (KeyboardInterrupt(), 130, "interrupted: "),
    (ToolError("no compiler"), 2, "error: no compiler"),
    (PermissionError(13, "Permission denied", "x"), 2, "error: [Errno 13] Permission denied: 'x'"),
])
def test_programs_end_in_one_line(raised, status, text, monkeypatch, capsys):
    def run_module(*_, **__):
        raise raised

    monkeypatch.setattr("runpy.run_module", run_module)
    monkeypatch.setattr(start, "_be_quiet", lambda: None)
    monkeypatch.setattr(sys, "argv", ["start", "module"])
    assert start.main() == status
    error = capsys.readouterr().err
    assert error.startswith(text) and error.count("\n") == 1


@pytest.mark.parametrize("home", ["/proc/nowhere", ""])
def test_a_home_that_cannot_be_written(home, monkeypatch):
    monkeypatch.setenv("HOME", home or "/proc")
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    start.settle_caches()
    assert os.environ.pop("MPLCONFIGDIR").startswith(os.environ.pop("XDG_CACHE_HOME"))


def test_a_failing_run_is_one_line_and_a_log(monkeypatch, tmp_path, capsys):
    def fail(*_, **__):
        raise AssertionError("1 of 7 tests failed\n" + "a line of the log\n" * 60)

    monkeypatch.setattr(regress, "LOGS", tmp_path)
    monkeypatch.setattr(regress, "run_bench", fail)
    (run,) = regress.runs("engine", range(3, 4), 5, case=1)
    failed, _ = regress.run_all([run], Here(), "seed 3", Console(quiet=True))
    assert failed == [run]
    assert "a line of the log" in run.log.read_text()
    line = run.failure()
    assert line.startswith("FAILED engine, 4 x 2 x 4 accumulator_width=20 radices=(4,) ")
    for part in ("seed 3;", "make regress BLOCK=engine CASE=1 SEED=3 LENGTH=5 SEEDS=1;",
                 "make wave BLOCK=engine CASE=1 SEED=3 LENGTH=5;", f"log: {run.log}"):
        assert part in line
    assert "\n" not in line
    monkeypatch.setattr(regress, "run_bench", lambda *_, **__: 7)
    assert regress.run_all([run], Here(), "seed 3", Console(quiet=True))[0] == []
    assert not run.log.exists()


def test_a_run_that_ends_its_workers_is_a_failure(monkeypatch, tmp_path):
    """A simulator that crashes must not take the other runs with it."""
    class Lossy(Here):
        def run(self, jobs):
            yield from (Done(job, None, LostError("2 workers died")) for job in jobs)

    monkeypatch.setattr(regress, "LOGS", tmp_path)
    (run,) = regress.runs("engine", range(3, 4), 5, case=1)
    assert regress.run_all([run], Lossy(), "seed 3", Console(quiet=True))[0] == [run]
    assert "2 workers died" in run.log.read_text()
