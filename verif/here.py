# SPDX-License-Identifier: Apache-2.0
"""A pool for tests that change what a job calls: jobs run in this process, one after the other."""

from collections.abc import Iterable, Iterator

from tools.jobs import Done, Job, Pool
from tools.worker import answer


class Here(Pool):
    """Arguments and values are pickled all the same, as on the way to a worker."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        for job in jobs:
            yield Done.of(job, answer(job.payload))

    def close(self) -> None:
        """Nothing runs between jobs."""
