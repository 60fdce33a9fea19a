# SPDX-License-Identifier: Apache-2.0
"""Jobs whose products stay in the cache: made once, by whoever has time, kept by who asked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tools.cache import cached, kept
from tools.errors import UnfitError
from tools.jobs import Job, Pool


class Task(ABC):
    """What makes products out of content: it holds no paths, so that any machine can do it.

    Members
    -------
    kind, products : the name of its folder in the cache, and of the files in it.
    """

    kind: ClassVar[str]
    products: tuple[str, ...]

    @property
    @abstractmethod
    def key(self) -> str:
        """A digest of all that the products depend on, the versions of tools too."""

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Write the products into the empty folder; RuntimeError if that fails."""

    @abstractmethod
    def read(self, folder: Path) -> Any:
        """What the products say; RuntimeError if that is no sense."""

    def run(self) -> Any:
        """Make the products, here, or take what was made before, and read them."""
        return self.read(cached(self.kind, self.key, self.products, self.make))

    def __getstate__(self) -> dict:
        """Without the key, if it was computed: on another machine it is of that one's tools."""
        return {name: value for name, value in self.__dict__.items() if name != "key"}


def run_all(pool: Pool, tasks: Mapping[Hashable, Task], progress: Callable[[int], None]) -> dict:
    """What `read` says of every task, or the RuntimeError that it ended with.

    What is in the cache is taken from there; what workers make is put there. `progress` hears how
    many are done.
    """
    found, todo = {}, []
    for name, task in tasks.items():
        if folder := kept(task.kind, task.key, task.products):
            found[name] = _read(task, folder)
            progress(len(found))
        else:
            todo.append(Job(name, contents, (task, task.key)))
    for done in pool.run(todo):
        task = tasks[done.job.key]
        if done.error is None:
            def write(folder: Path, made: dict[str, bytes] = done.value) -> None:
                for name, content in made.items():
                    (folder / name).write_bytes(content)

            found[done.job.key] = _read(task, cached(task.kind, task.key, task.products, write))
        elif isinstance(done.error, RuntimeError) and not isinstance(done.error, UnfitError):
            found[done.job.key] = done.error
        else:
            raise done.error
        progress(len(found))
    return found


def contents(task: Task, key: str) -> dict[str, bytes]:
    """In a worker: the products, by name. UnfitError if they would be of other tools than the
    caller's, who has `key`."""
    try:
        fit = task.key == key
    except RuntimeError as error:
        raise UnfitError(f"a worker lacks what the caller has: {error}") from error
    if not fit:
        raise UnfitError(f"a worker has another version of a tool that {type(task).__name__} runs: "
                         "install the caller's (opensta, iverilog, nextpnr)")
    folder = cached(task.kind, task.key, task.products, task.make)
    return {name: (folder / name).read_bytes() for name in task.products}


def _read(task: Task, folder: Path) -> Any:
    try:
        return task.read(folder)
    except RuntimeError as error:
        return error
