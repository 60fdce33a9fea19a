# SPDX-License-Identifier: Apache-2.0
"""`make study-check`: a whole short training on torch kernels, on the golden model and on the
verilated core, compared bit for bit: scales, codes, products, gradients and all that is kept."""

import sys
from typing import NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from driver.verilated import RtlBackend
from golden.config import PRESETS, Config, preset
from golden.engine import GoldenBackend
from golden.formats import Format, IntFormat
from tools.arguments import Parser, integer, one_of
from tools.cache import digest
from tools.console import open_console
from tools.errors import ToolError
from train.pytorch.convert import compute_with
from train.pytorch.execution import Encoding, Execution, JobExecution, Rounded, TorchExecution
from train.pytorch.policy import POLICIES
from train.study.datasets import Dataset
from train.study.run import Run, converted, step
from train.study.tasks import TASKS, Task, task


class Outcome(NamedTuple):
    """What a training leaves: a digest of each by its name, in the order in which they came."""

    work: dict[str, str]
    losses: list[float]
    gradients: dict[str, str]
    state: dict[str, str]


class Traced:
    """An execution that keeps a digest of every scale, of what was rounded by it, and of every
    product."""

    def __init__(self, execution: Execution):
        self.execution, self.work = execution, dict[str, str]()

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        found = self.execution.quantise(x, to)
        tensors = [to.scale, found.values, *([] if found.inside is None else [found.inside])]
        self._note(f"{tuple(x.shape)} in {to.fmt.name}", *tensors)
        return found

    def multiply(self, a: torch.Tensor, a_fmt: IntFormat, b: torch.Tensor, b_fmt: Format,
                 phase: str) -> torch.Tensor:
        found = self.execution.multiply(a, a_fmt, b, b_fmt, phase)
        self._note(f"{phase} {tuple(found.shape)} of {a_fmt.name} and {b_fmt.name}", found)
        return found

    def _note(self, what: str, *tensors: torch.Tensor) -> None:
        self.work[f"{len(self.work)}: {what}"] = _digest(*tensors)


class Elsewhere:
    """Torch kernels on another device than the model's, whose floats are the CPU's."""

    def __init__(self, config: Config, device: str):
        self.execution, self.device = TorchExecution(config), device

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        found = self.execution.quantise(
            x.to(self.device), to._replace(scale=to.scale.to(self.device)))
        inside = None if found.inside is None else found.inside.to(x.device)
        return Rounded(found.values.to(x.device), inside)

    def multiply(self, a: torch.Tensor, a_fmt: IntFormat, b: torch.Tensor, b_fmt: Format,
                 phase: str) -> torch.Tensor:
        return self.execution.multiply(
            a.to(self.device), a_fmt, b.to(self.device), b_fmt, phase).to(a.device)


def _digest(*tensors: torch.Tensor) -> str:
    """Of their numbers: zeros have no sign here, and integers no width."""
    return digest(*((tensor.detach().cpu().double() + 0.0).numpy().tobytes()
                    for tensor in tensors))


def executions(config: Config) -> dict[str, Execution]:
    """The three, by name, and a GPU where there is one. ToolError where the core's model cannot be
    built."""
    found: dict[str, Execution] = {"torch kernels": TorchExecution(config)}
    if torch.cuda.is_available():
        found["torch kernels on a GPU"] = Elsewhere(config, "cuda")
    return found | {"golden model": JobExecution(GoldenBackend(config)),
                    "verilated core": JobExecution(RtlBackend(config))}


def trained(run: Run, what: Task, data: Dataset, execution: Execution, steps: int,
            advance=lambda: None) -> Outcome:
    """What so many steps leave, of batches in the order of the data."""
    model = converted(run, data.classes)
    traced = Traced(execution)
    compute_with(model, traced)
    optimizer = torch.optim.AdamW(model.parameters(), what.rate, weight_decay=0.01)
    losses = []
    order = torch.arange(steps * what.batch).numpy() % what.examples(data.train)
    for inputs, labels in what.batches(data.train, order):
        losses.append(step(model, optimizer, what.goal.loss, inputs, labels))
        advance()
    gradients = {name: _digest(p.grad) for name, p in model.named_parameters()
                 if p.grad is not None}
    return Outcome(traced.work, losses, gradients,
                   {name: _digest(value) for name, value in model.state_dict().items()})


def difference(one: Outcome, other: Outcome) -> str:
    """The first thing in which two trainings differ; nothing if they do not."""
    for kind in Outcome._fields:
        first, second = (dict(enumerate(value) if isinstance(value, list) else value) for value in (
            getattr(one, kind), getattr(other, kind)))
        for name in first | second:
            if first.get(name) != second.get(name):
                return f"{kind} {name}"
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("make study-check", __doc__)
    parser.add_argument("--task", type=one_of(TASKS), default="digits")
    parser.add_argument("--policy", type=one_of(POLICIES), default="tetra")
    parser.add_argument("--preset", type=one_of(PRESETS), default="base")
    parser.add_argument("--steps", type=integer(1, 10_000), default=45, help="an epoch of digits")
    o = parser.parse_args(arguments)
    what, found = task(o.task), dict[str, Outcome]()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    try:
        data = what.load()
        run = Run(o.task, o.policy)
        with Progress(*columns, console=open_console()) as progress:
            for name, execution in executions(preset(o.preset)).items():
                bar = progress.add_task(f"{o.task}, {o.policy}, {name}", total=o.steps)
                found[name] = trained(run, what, data, execution, o.steps,
                                      lambda bar=bar: progress.advance(bar))
    except (ToolError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    first, *others = found
    wrong = {name: difference(found[first], found[name]) for name in others}
    for name, where in wrong.items():
        if where:
            print(f"{name}: differs from the {first} in {where}", file=sys.stderr)
    if any(wrong.values()):
        return 1
    told = found[first]
    print(f"{o.task}, {o.policy}, {o.steps} steps on {', '.join(found)}: {len(told.work):,} "
          f"tensors and products, {len(told.gradients)} gradients, {len(told.state)} states, loss "
          f"{told.losses[0]:.4f} to {told.losses[-1]:.4f}: the same bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
