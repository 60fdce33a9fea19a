# SPDX-License-Identifier: Apache-2.0
"""The live line of a run and the table at its end."""

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from train.digits.device import Device
from train.digits.outcome import Outcome
from train.digits.trainer import Trainer


class Live:
    """Progress bar of a run, a context manager; one plain line per epoch where no terminal is."""

    def __init__(self, console: Console, four_bit: Trainer, fp32: Trainer, backend: Device):
        self.console, self.four_bit, self.fp32, self.backend = console, four_bit, fp32, backend
        self.epochs = four_bit.schedule.epochs
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(
            "", total=self.epochs * four_bit.steps_per_epoch, epoch=f"1/{self.epochs}", status=""
        )
        self.loss: float | None = None  # of the current epoch, smoothed: a single batch says little

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *_):
        self.bar.stop()

    def step(self, loss: float) -> None:
        """After each training step of the 4-bit network."""
        smoothed = loss if self.loss is None else 0.9 * self.loss + 0.1 * loss
        self.loss = smoothed
        self.bar.update(self.task, advance=1, status=self._status(smoothed))

    def epoch(self, index: int) -> None:
        """After both networks' epoch `index`, from 0."""
        self.bar.update(self.task, epoch=f"{min(index + 2, self.epochs)}/{self.epochs}")
        if not self.console.is_terminal:
            status = self._status(self.four_bit.history.loss[-1])
            self.console.print(f"epoch {index + 1}/{self.epochs}  {status}", highlight=False)

    def _status(self, loss: float) -> str:
        parts = [f"loss {loss:.4f}"]
        for name, trainer in (("4 bit", self.four_bit), ("FP32", self.fp32)):
            if trainer.history.accuracy:
                parts.append(f"{name} {trainer.history.accuracy[-1]:.2%}")
        if cycles := self.backend.cycle_count:
            parts.append(f"{cycles / 1e6:.2f} M cycles, {self.backend.utilization():.0%} busy")
        return "  ".join(parts)


def final_table(outcome: Outcome) -> Group:
    """The headline as a table, the facts below it."""
    headline = Table("", title="Handwritten digits, trained at 4 bits", title_justify="left")
    headline.add_column("4 bit", style="bold cyan", justify="right")
    headline.add_column("FP32", justify="right")
    for row in outcome.headline():
        headline.add_row(*row)
    facts = Table.grid(padding=(0, 2))
    for name, value in outcome.facts():
        facts.add_row(f"[dim]{name}", value)
    return Group(headline, facts)
