# SPDX-License-Identifier: Apache-2.0
"""Jobs on processes of this machine: order, failures, workers that die, and the end of it all."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tools import cache, jobs, tasks
from tools.cache import ROOT
from tools.checkout import FOLDERS
from tools.errors import LostError, ToolError, UnfitError
from tools.jobs import Job, open_pool
from tools.tasks import run_all
from verif.here import Here
from verif.tools.errands import Squares, after, die, refuse, refuse_oddly, variables


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def test_results_come_as_they_are_done_and_errors_among_them():
    with open_pool(2) as pool:
        todo = [Job("slow", after, (3.0, 1)), Job("wrong", refuse, (2,)), Job("odd", refuse_oddly),
                Job("quick", after, (0.0, 3))]
        found = {done.job.key: done for done in pool.run(iter(todo))}
        again = [done.value for done in pool.run([Job(0, after, (0.0, 4))])]
    assert list(found) == ["wrong", "odd", "quick", "slow"] and again == [4]
    assert found["slow"].value == 1 and found["quick"].value == 3
    wrong, odd = found["wrong"].error, found["odd"].error
    assert isinstance(wrong, ValueError) and str(wrong) == "2 is refused"
    assert "in refuse\n" in wrong.__notes__[0]
    assert isinstance(odd, RuntimeError) and str(odd) == "OddError: oddity"


def test_jobs_are_read_as_workers_become_free():
    read = []

    def endless():
        while True:
            read.append(len(read))
            yield Job(read[-1], after, (0.0, read[-1]))

    with open_pool(2) as pool:
        for done in pool.run(endless()):
            assert done.value == done.job.key
            assert len(read) <= done.value + 4
            if done.value >= 6:
                break
    assert not pool.busy and not pool.idle


def test_processes_stay_and_have_one_thread_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with open_pool(1) as pool:
        first, second = (done.value for done in pool.run(
            Job(name, variables, (name,)) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")))
    assert first == second == (first[0], str(ROOT), "1") and first[0] != os.getpid()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # the user's own word counts
    with open_pool(1) as pool:
        (done,) = pool.run([Job(0, variables, ("OMP_NUM_THREADS",))])
    assert done.value[2] == "3"


def test_a_worker_that_is_killed_loses_one_job_which_runs_again(tmp_path):
    other = Job("other", after, (1.0, "other"))
    with open_pool(2) as pool:
        found = {done.job.key: done for done in pool.run([Job("dies", die, (tmp_path, 1)), other])}
    assert found["dies"].value == 2 and found["other"].value == "other"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_job_that_kills_its_workers_is_given_up(tmp_path):
    with open_pool(1) as pool:
        lost, other = pool.run([Job("bad", die, (tmp_path, 9)), Job("good", after, (0.0, 1))])
    assert isinstance(lost.error, LostError) and other.value == 1
    assert str(lost.error) == "2 workers died of job bad, the last one with status -9"
    assert len(list(tmp_path.iterdir())) == jobs.DEATHS


@pytest.mark.parametrize("function", [lambda: 1, Path.cwd().joinpath, partial(after, 0.0)],
                         ids=["lambda", "method", "partial"])
def test_functions_that_workers_cannot_import(function):
    with open_pool(1) as pool, pytest.raises(ValueError, match=r"is out of reach: expected one"):
        next(pool.run([Job(0, function)]))


PROGRAM = """
import signal, sys
from pathlib import Path
from tools.jobs import Job, open_pool
from verif.tools.errands import after, spawn

def mine(value):
    return value

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with open_pool(2) as pool:
        for done in pool.run([Job(0, mine, (1,)), Job(1, spawn, (Path(sys.argv[1]),)),
                              Job(2, after, (600.0, None))]):
            print(done.value, flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_program_is_the_end_of_its_jobs(how, tmp_path):
    """What was done is kept; workers end, and what they have started, whatever ends the program."""
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, "-m", "program", tmp_path], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"})
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    assert program.stdout.readline() == "1\n"
    process = int((tmp_path / "pid").read_text())
    assert alive(process) and (tmp_path / "temporary").exists()
    begin = time.monotonic()
    program.send_signal(how)
    try:
        _, err = program.communicate(timeout=30)
    finally:
        program.kill()
        program.wait()
    assert time.monotonic() - begin < 10
    assert err.count("Traceback") == (how == signal.SIGINT)  # the program's own, no worker's
    until(lambda: not alive(process) and not (tmp_path / "temporary").exists())


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


def test_products_of_workers_come_into_the_callers_cache(own_cache):
    seen = []
    with open_pool(2) as pool:
        found = run_all(pool, {n: Squares(n) for n in (-1, 2, 3)}, seen.append)
    assert found[2] == 4 and found[3] == 9 and seen == [1, 2, 3]
    assert isinstance(found[-1], ToolError) and str(found[-1]) == "-1 is negative"
    # another process made them, in a cache that was not this one
    made = [path.read_text() for path in cache.CACHE.glob("square-*/made")]
    assert len(made) == 2 and f"by {os.getpid()}" not in made

    class Never(Here):
        def run(self, todo):
            assert not list(todo)
            return iter(())

    assert run_all(Never(), {n: Squares(n) for n in (2, 3)}, seen.append) == {2: 4, 3: 9}


def test_products_of_other_tools_are_refused(own_cache):
    with pytest.raises(UnfitError, match="another version of a tool that Squares runs: install"):
        tasks.contents(Squares(2), Squares(2, tool="2").key)
    task = Squares(2)
    assert task.key and "key" in vars(task)
    assert "key" not in vars(pickle.loads(pickle.dumps(task)))  # a worker computes its own


def test_there_is_no_other_pool():
    """Whoever runs many things at once does it by `tools.jobs`."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
             if not path.name.startswith("test_")
             and re.search(r"^\s*(from|import) (concurrent\b|joblib\b|multiprocessing (?!conn))",
                           path.read_text(), re.M)]
    assert found == [ROOT / "tools" / "jobs.py"]  # which has its pipes from there


def test_a_task_that_cannot_be_read_is_a_failure(own_cache, monkeypatch):
    def damaged(self, folder):
        raise RuntimeError("no square")

    monkeypatch.setattr(Squares, "read", damaged)
    assert str(run_all(Here(), {2: Squares(2)}, lambda n: None)[2]) == "no square"
