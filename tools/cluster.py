# SPDX-License-Identifier: Apache-2.0
"""Jobs on the workers of a Dask scheduler, which may be on other machines.

Scheduler and workers run in checkouts like this one, without a shared disk.
"""

import contextlib
import logging
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from tools.checkout import checkout
from tools.errors import LostError, ToolError, UnfitError
from tools.pool import Done, Job, Pool
from tools.worker import serve

PATIENCE = 10  # seconds to wait for an answer, and for a first worker
AHEAD = 2  # jobs per worker that the scheduler has: one that runs, and the one that comes next
HOW = "start it in a checkout with `.venv/bin/python -m dask"


class DaskPool(Pool):
    """All workers of a scheduler, those that come later too.

    A job whose worker dies goes to another one. The scheduler gives it up after as many deaths as
    its setting `allowed-failures` says, 3 unless it was told otherwise.
    """

    def __init__(self, scheduler: str):
        """ToolError if there is no scheduler at the address, or none that has workers."""
        try:
            import distributed
        except ImportError as error:
            raise ToolError(f"SCHEDULER = {scheduler!r} needs the package distributed: `make "
                            "setup` brings it") from error
        # it logs the tracebacks of what is raised here in one line
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self.distributed, self.scheduler = distributed, scheduler
        try:
            self.client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ToolError(f"SCHEDULER = {scheduler!r} did not answer within {PATIENCE} s: {HOW} "
                            "scheduler`") from error
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            self.client.close()
            raise ToolError(f"SCHEDULER = {scheduler!r} has no worker: {HOW} worker {scheduler} "
                            "--nworkers auto --nthreads 1`") from error

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        jobs, here = iter(jobs), checkout()
        running: dict[Any, Job] = {}  # by future
        finished = self.distributed.as_completed(loop=self.client.loop)

        def fill() -> None:
            width = AHEAD * max(1, len(self.client.nthreads()))
            while len(running) < width and (job := next(jobs, None)):
                future = self.client.submit(serve, zlib.compress(job.payload, 1), here, pure=False)
                running[future] = job
                finished.add(future)

        try:
            fill()
            for future in finished:
                done = self._done(running.pop(future), future)
                fill()
                yield done
        finally:
            with contextlib.suppress(Exception):  # a scheduler that is gone runs nothing
                self.client.cancel(list(running))

    def close(self) -> None:
        self.client.close()

    def _done(self, job: Job, future) -> Done:
        """ToolError if the worker is unfit for every job, or gone with its scheduler."""
        try:
            return Done.of(job, zlib.decompress(future.result()))
        except UnfitError:
            raise
        except self.distributed.KilledWorker as error:
            return Done(job, None, LostError(f"workers died of job {job.key}: {error}"))
        except Exception as error:  # of Dask itself: a job's own is in the answer
            what = (str(error) or type(error).__name__).splitlines()[0]
            raise ToolError(f"SCHEDULER = {self.scheduler!r} could not run a job ({what}): do "
                            "scheduler and workers still run, in a checkout like this one?"
                            ) from error
