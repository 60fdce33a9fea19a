# SPDX-License-Identifier: Apache-2.0
"""Jobs on a Dask scheduler; its workers are processes, each in a clone and on a disk of its own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import distributed
import pytest

from tools import cache, checkout, cluster
from tools.cache import ROOT
from tools.errors import ToolError, UnfitError
from tools.jobs import Job, open_pool
from tools.tasks import run_all
from verif.tools.errands import Squares, after, die, refuse, variables


def clone(folder):
    """What a clone holds, without what was built."""
    for name in checkout.FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in checkout.LOCKS:
        shutil.copy(ROOT / name, folder)
    return folder


class Dask:
    """A scheduler, and the workers that are started."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address, self.started = f"tcp://127.0.0.1:{port}", []
        self._start("scheduler", "--host", "127.0.0.1", "--port", str(port))

    def worker(self, folder, threads: int = 1) -> subprocess.Popen:
        return self._start("worker", self.address, "--no-nanny", "--nthreads", str(threads),
                           "--local-directory", str(folder / "dask"), folder=folder)

    def _start(self, *arguments: str, folder=ROOT) -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.started.append(subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"], cwd=folder,
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self.started[-1]


@pytest.fixture
def dask(monkeypatch) -> Iterator[Dask]:
    monkeypatch.setattr(cluster, "PATIENCE", 120)  # a busy machine starts them slowly
    found = Dask()
    yield found
    for process in found.started:
        process.kill()
        process.wait()


def test_two_workers_without_a_shared_disk(dask, tmp_path, monkeypatch, capfd):
    clones = [clone(tmp_path / name) for name in "ab"]
    workers = {dask.worker(folder).pid for folder in clones}
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    with open_pool(1, dask.address) as pool:
        pool.client.wait_for_workers(2)
        # values, errors among them; which of the two workers has which job is Dask's choice
        todo = [Job("slow", after, (0.5, 1)), Job("wrong", refuse, (2,))]
        todo += [Job(name, variables, (name,)) for name in ("HOME", "PATH")]
        found = {done.job.key: done for done in pool.run(todo)}
        assert len(found) == 4 and found["slow"].value == 1
        assert isinstance(found["wrong"].error, ValueError)
        assert "in refuse\n" in found["wrong"].error.__notes__[0]
        assert {found["HOME"].value[0], found["PATH"].value[0]} <= workers

        # products come back by content: this cache has them all, each clone those it made
        made = run_all(pool, {n: Squares(n) for n in range(8)}, lambda n: None)
        assert made == {n: n * n for n in range(8)}
        here = {path.name for path in cache.CACHE.glob("square-*") if path.is_dir()}
        there = [{path.name for path in (folder / "build/cache").glob("square-*") if path.is_dir()}
                 for folder in clones]
        assert len(here) == 8 and there[0] | there[1] == here and not there[0] & there[1]

        # one is killed in the middle: its job runs again on the other, no result is lost
        (tmp_path / "runs").mkdir()
        todo = [Job("dies", die, (tmp_path / "runs", 1)),
                *(Job(n, after, (0.1, n)) for n in range(10))]
        found = {done.job.key: done for done in pool.run(todo)}
        assert found.pop("dies").value == 2
        assert {key: done.value for key, done in found.items()} == {n: n for n in range(10)}
        ended = [process.pid for process in dask.started if process.poll() is not None]
        assert len(ended) == 1 and ended[0] in workers

        # the scheduler is killed
        todo = pool.run([Job(0, after, (0.0, 1)), Job(1, after, (600.0, 2))])
        assert next(todo).value == 1
        dask.started[0].kill()
        with pytest.raises(ToolError, match=r"could not run a job \(.*\): do scheduler and "):
            next(todo)
    assert "Traceback" not in capfd.readouterr().err


def test_workers_that_are_refused(dask, tmp_path):
    """Another checkout, more threads than one; each in one line, and no result is taken."""
    folder = clone(tmp_path / "other")
    with open(folder / "golden" / "gemm.py", "a") as source:
        source.write("# another line\n")
    other = dask.worker(folder)
    with open_pool(1, dask.address) as pool:
        with pytest.raises(UnfitError, match=r"^worker tcp://\S+ has another checkout \(the source "
                                             r"\w+ there, \w+ here\): update it, `make setup`"):
            list(pool.run([Job(0, after, (0.0, 1))]))
        other.kill()
        dask.worker(clone(tmp_path / "threads"), threads=2)
        with pytest.raises(UnfitError, match=r"runs 2 jobs in one process: start it with --nthrea"):
            list(pool.run([Job(0, after, (0.0, 1))]))


def test_a_scheduler_without_workers_or_none_at_all(dask, monkeypatch):
    distributed.Client(dask.address, timeout=120, set_as_default=False).close()  # until it is up
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(ToolError, match=rf"^SCHEDULER = '{dask.address}' has no worker: start it"):
        open_pool(1, dask.address)
    dask.started[0].kill()
    with pytest.raises(ToolError, match=rf"^SCHEDULER = '{dask.address}' did not answer within 1 "):
        open_pool(1, dask.address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ToolError, match=r"needs the package distributed: `make setup` brings it$"):
        open_pool(1, dask.address)


def test_checkouts_differ_by_what_is_pinned_and_by_sources(monkeypatch):
    here = checkout.checkout()
    assert {"Python", "numpy", "the source"} <= set(here) and here["numpy"][0].isdigit()
    assert checkout.difference(here, dict(here)) == ""
    there = here | {"numpy": "1.0"}
    assert checkout.difference(here, there) == f"numpy 1.0 there, {here['numpy']} here"
    assert checkout.difference(here, {"Python": here["Python"]}).endswith(" here")
