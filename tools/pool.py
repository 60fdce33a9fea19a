# SPDX-License-Identifier: Apache-2.0
"""What a job is, what comes of it, and what can run it: see `tools.jobs`."""

import pickle
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """A call in another process.

    Members
    -------
    key : what the caller knows it by. function : of a module, so that others can import it; one of
        the program that runs, too, but then arguments and value are not of its classes.
    arguments : whatever can be pickled.
    """

    key: Hashable
    function: Callable
    arguments: tuple = ()

    @property
    def payload(self) -> bytes:
        """What `tools.worker.answer` takes; ValueError for a function that has no name there."""
        module, name = (getattr(self.function, of, "") for of in ("__module__", "__qualname__"))
        if module == "__main__":  # workers are another program
            module = getattr(sys.modules[module].__spec__, "name", "")
        if not module or not name.isidentifier():
            raise ValueError(f"job function {name or self.function!r} is out of reach: expected "
                             "one that a worker can import, of a module, not of a class or another "
                             "function")
        return pickle.dumps((f"{module}:{name}", self.arguments))


@dataclass(frozen=True)
class Done:
    """What came of a job: its value, or the error that it raised; LostError if it was lost."""

    job: Job
    value: Any
    error: Exception | None = None

    @classmethod
    def of(cls, job: Job, answer: bytes) -> "Done":
        """From what `tools.worker.answer` gave."""
        return cls(job, *pickle.loads(answer))


class Pool(ABC):
    """Who runs jobs; a context, at whose end nothing runs any more."""

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """All jobs, as they are done; `jobs` is read as workers become free, so that the arguments
        of thousands need not be there at once."""

    @abstractmethod
    def close(self) -> None:
        """End what runs; what was done is lost unless `run` has given it."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        self.close()
