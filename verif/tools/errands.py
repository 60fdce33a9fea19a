# SPDX-License-Identifier: Apache-2.0
"""What the tests of jobs let workers do."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tools.cache import digest
from tools.errors import ToolError
from tools.tasks import Task


def after(seconds: float, value):
    time.sleep(seconds)
    return value


def refuse(value):
    raise ValueError(f"{value} is refused")


class OddError(Exception):
    """It cannot be unpickled: its constructor wants more than its message."""

    def __init__(self, one, two):
        super().__init__(one + two)


def refuse_oddly():
    raise OddError("odd", "ity")


def die(folder: Path, times: int) -> int:
    """Kill the worker's process the first times that this runs; returns how often it has run."""
    runs = len(list(folder.iterdir())) + 1
    (folder / str(runs)).touch()
    if runs <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return runs


def variables(name: str) -> tuple[int, str, str]:
    return os.getpid(), os.getcwd(), os.environ[name]


def spawn(folder: Path) -> None:
    """A program of a program, neither of which ends by itself; temporary files are removed."""
    (folder / "temporary").touch()
    try:
        subprocess.run(["sh", "-c", f"sleep 600 & echo $! >{folder}/pid; wait"])
    finally:
        (folder / "temporary").unlink()


class Squares(Task):
    """Products that count how often they were made."""

    kind, products = "square", ("square", "made")

    def __init__(self, number: int, tool: str = "1"):
        self.number, self.tool = number, tool

    @property
    def key(self) -> str:
        return digest(str(self.number), self.tool)

    def make(self, folder: Path) -> None:
        if self.number < 0:
            raise ToolError(f"{self.number} is negative")
        (folder / "square").write_text(str(self.number ** 2))
        (folder / "made").write_text(f"by {os.getpid()}")

    def read(self, folder: Path) -> int:
        return int((folder / "square").read_text())
