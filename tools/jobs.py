# SPDX-License-Identifier: Apache-2.0
"""Many jobs at once: on processes of this machine, or on the workers of a Dask scheduler.

    with open_pool(workers=8, scheduler="") as pool:
        for done in pool.run(Job(seed, measure, (seed,)) for seed in range(100)):
            ...

A job is a function of a module and its arguments. It runs in another process, perhaps on another
machine without a shared disk: what it needs comes in its arguments, what it makes goes back as its
value, as content, and the caller keeps it (`tools.tasks`). A worker that dies loses its one job,
which runs again.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from tools.cache import ROOT
from tools.errors import LostError
from tools.pool import Done, Job, Pool
from tools.worker import GRACE

DEATHS = 2  # of workers, after which a job is taken for the cause
# Processes are what runs at once: the libraries' threads would only get into each other's way.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def open_pool(workers: int, scheduler: str = "") -> Pool:
    """So many processes of this machine, started when there is work for them; or all workers of the
    Dask scheduler at that address, `tcp://host:port`. ToolError if that is none."""
    if not scheduler:
        return LocalPool(workers)
    from tools.cluster import DaskPool

    return DaskPool(scheduler)


class LocalPool(Pool):
    """A process per worker, with a pipe: which of them has died is never in doubt."""

    def __init__(self, workers: int):
        self.workers = workers
        self.idle: list[_Process] = []
        self.busy: dict[Connection, tuple[_Process, Job, int]] = {}

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        jobs = iter(jobs)
        try:
            self._fill(jobs)
            while self.busy:
                found = [done for pipe in wait(self.busy) if (done := self._receive(pipe))]
                self._fill(jobs)
                yield from found
        finally:
            self._end([process for process, *_ in self.busy.values()])
            self.busy.clear()

    def close(self) -> None:
        self._end(self.idle)
        self.idle.clear()

    def _fill(self, jobs: Iterator[Job]) -> None:
        while len(self.busy) < self.workers and (job := next(jobs, None)):
            self._start(job)

    def _start(self, job: Job, deaths: int = 0) -> None:
        payload = job.payload
        process = self.idle.pop() if self.idle else _Process()
        self.busy[process.pipe] = process, job, deaths
        process.send(payload)

    def _receive(self, pipe: Any) -> Done | None:
        """None if the worker has died and the job runs again."""
        process, job, deaths = self.busy.pop(pipe)
        try:
            found = Done.of(job, pipe.recv_bytes())
        except (EOFError, OSError):
            status = process.end()
            if deaths + 1 < DEATHS:
                self._start(job, deaths + 1)
                return None
            return Done(job, None, LostError(
                f"{DEATHS} workers died of job {job.key}, the last one with status {status}"))
        self.idle.append(process)
        return found

    @staticmethod
    def _end(processes: list["_Process"]) -> None:
        for process in processes:
            process.pipe.close()  # all of them begin to end
        for process in processes:
            process.end()


class _Process:
    """A worker in a process group of its own, which the terminal's Ctrl-C does not reach."""

    def __init__(self):
        self.pipe, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.worker", str(theirs.fileno())], cwd=ROOT,
                env=THREADS | os.environ, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                process_group=0)

    def send(self, payload: bytes) -> None:
        try:
            self.pipe.send_bytes(payload)
        except OSError:
            pass  # it has died: the pipe says so to whoever reads it

    def end(self) -> int:
        """End it and all that it has started; returns the status of its process."""
        self.pipe.close()
        try:
            return self.process.wait(GRACE + 1)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
