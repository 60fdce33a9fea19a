# SPDX-License-Identifier: Apache-2.0
"""One run of the study: a task under a policy from one seed, `python -m train.study.run`.

A run is named by all that its bits depend on; one that is done is not done again, and one that was
stopped goes on behind its last epoch with the same bits.
"""

import dataclasses
import inspect
import io
import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from golden import checks
from golden.config import VERSION
from tools.arguments import Parser, integer, one_of, seed
from tools.cache import ROOT, digest, locked
from tools.console import open_console
from tools.errors import ToolError
from tools.files import write_atomically
from train.pytorch.convert import convert
from train.pytorch.policy import Clip
from train.pytorch.quantiser import Quantiser
from train.study.tasks import TASKS, task
from train.study.variants import ONE_SCALE, VARIANTS, file_name, roles, variant

FOLDER = ROOT / "build" / "study"
DEVICES = ("cpu", "cuda")
CLIP = 1.0  # of the gradient's norm over all parameters
RECIPE = 3  # to be raised with every change of what a run does


@dataclass(frozen=True)
class Run:
    """What a run is.

    Members
    -------
    task, policy : names. seed : of the first weights, the order of examples and random words.
    epochs : how often it sees its data. share : of the data to train, in percent, from 1.
    width, layers : of the model, batch : of a step; 0: the task's own.
    """

    task: str
    policy: str
    seed: int = 0
    epochs: int = 1
    share: int = 100
    width: int = 0
    layers: int = 0
    batch: int = 0

    def __post_init__(self):
        checks.as_choice("task", self.task, TASKS)
        checks.as_choice("policy", self.policy, VARIANTS)
        checks.integer(self, "seed", 0, 2**32 - 1)
        checks.integer(self, "epochs", 1, 10_000)
        checks.integer(self, "share", 1, 100)
        for name in ("width", "layers", "batch"):
            checks.integer(self, name, 0, 4096)
        able = inspect.signature(task(self.task).model).parameters
        for name in ("width", "layers"):
            if getattr(self, name) and name not in able:
                raise ValueError(f"{name} = {getattr(self, name)}: the model of {self.task} has no "
                                 "such size; leave it 0")

    def folder(self, device: str = "cpu") -> Path:
        """Where its checkpoint and its result lie, which devices' floats tell apart."""
        how = json.dumps([dataclasses.asdict(self), RECIPE, VERSION, torch.__version__, device])
        return FOLDER / f"{self.task}-{file_name(self.policy)}-{self.seed}-{digest(how)}"


def train(run: Run, progress: Progress | None = None, device: str = "cpu") -> dict[str, Any]:
    """The result of a run: its own if it is done, else what is left of it is done first.

    ToolError if the data cannot be had or a checkpoint is damaged; FloatingPointError where
    training diverges, and the checkpoint of the epoch before stays.
    """
    folder = run.folder(device)
    result = folder / "result.json"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        if result.exists():
            return json.loads(result.read_text())
        found = _train(run, folder, progress, device)
        write_atomically(result, (json.dumps(found, indent=2) + "\n").encode())
        return found


def _train(run: Run, folder: Path, progress: Progress | None, device: str) -> dict[str, Any]:
    what = task(run.task)
    what = replace(what, batch=run.batch or what.batch)
    data = what.load()
    model = converted(run, data.classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), what.rate, weight_decay=0.01)
    examples = max(what.batch, what.examples(data.train) * run.share // 100)
    steps = -(-examples // what.batch)
    epoch, history = resume(folder, model, optimizer)
    bar = None if progress is None else progress.add_task(
        f"{run.task}, {run.policy}, seed {run.seed}", total=run.epochs * steps,
        completed=epoch * steps)
    while epoch < run.epochs:
        order = np.random.default_rng([run.seed, epoch]).permutation(what.examples(data.train))
        losses = []
        for number, (inputs, labels) in enumerate(what.batches(
                data.train, order[:examples], device)):
            done = (epoch * steps + number) / (run.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = what.rate * min(1.0, 20 * done + 0.05) * (
                    1 + math.cos(math.pi * done)) / 2
            losses.append(step(model, optimizer, what.goal.loss, inputs, labels))
            if run.policy in ONE_SCALE:
                share_scale(model)
            if progress is not None and bar is not None:
                progress.advance(bar)
        history.append({"loss": float(np.mean(losses)),
                        "validation": what.evaluate(model, data.validation)})
        epoch += 1
        save(folder, model, optimizer, epoch, history)
    return {**dataclasses.asdict(run), "metric": what.goal.metric, "unit": what.goal.unit,
            "parameters": sum(p.numel() for p in model.parameters()), "steps": run.epochs * steps,
            "roles": roles(run.policy), "recipe": RECIPE, "torch": torch.__version__,
            "device": device,
            "history": history, "test": what.evaluate(model, data.test)}


def converted(run: Run, classes: int) -> nn.Module:
    """The run's model as it is before the first step, on the CPU, where its weights are drawn."""
    torch.manual_seed(run.seed)
    sizes = {name: getattr(run, name) for name in ("width", "layers") if getattr(run, name)}
    model = task(run.task).model(classes, **sizes)
    convert(model, variant(run.policy), seed=run.seed)
    return model


def share_scale(model: nn.Module) -> None:
    """One loss scale for all layers, that of the largest gradient anywhere, instead of GradScale's
    own for each: exponents have moved by one at most, and the least of them is the common one."""
    exponents = [part.exponent for part in model.modules()
                 if isinstance(part, Quantiser) and part.role.clip == Clip.GRADSCALE
                 and part.started]
    if exponents:
        least = torch.stack(exponents).min()
        for exponent in exponents:
            exponent.copy_(least)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, criterion, inputs, labels) -> float:
    """One step; returns the loss by `criterion`. FloatingPointError if that is not finite."""
    optimizer.zero_grad()
    loss = criterion(model(inputs), labels)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}: training has diverged; use a smaller "
                                 "learning rate")
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    return loss.item()


def save(folder: Path, model, optimizer, epoch: int, history: list) -> None:
    """Write all that the rest of a run depends on, behind the digest of it."""
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch,
                "history": history}, buffer)
    content = buffer.getvalue()
    write_atomically(folder / "checkpoint.pt", digest(content).encode() + content)


def resume(folder: Path, model, optimizer) -> tuple[int, list]:
    """The number of epochs that are done, and what they gave; the states are as they left them."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, []
    content = path.read_bytes()
    size = len(digest(b""))
    if content[:size] != digest(content[size:]).encode():
        raise ToolError(f"{path} is damaged, its digest is another: remove it, and the run starts "
                        "anew")
    device = next(model.parameters()).device
    kept = torch.load(io.BytesIO(content[size:]), map_location=device, weights_only=True)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    return kept["epoch"], kept["history"]


def main() -> int:
    parser = Parser("python -m train.study.run", __doc__)
    parser.add_argument("--task", type=one_of(TASKS), required=True)
    parser.add_argument("--policy", type=one_of(VARIANTS), default="tetra")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--epochs", type=integer(1, 10_000), default=None)
    parser.add_argument("--device", type=one_of(DEVICES), default="cpu")
    parser.add_argument("--share", type=integer(1, 100), default=100, help="percent of the data")
    o = parser.parse_args()
    run = Run(o.task, o.policy, o.seed, o.epochs or task(o.task).epochs[0], o.share)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    try:
        with Progress(*columns, console=open_console()) as progress:
            found = train(run, progress, o.device)
    except (ToolError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on behind the last epoch", file=sys.stderr)
        return 130
    print(f"{run.task}, {run.policy}, seed {run.seed}: test {found['metric']} "
          f"{found['test']:.3f} {found['unit']} after {found['steps']:,} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
