# SPDX-License-Identifier: Apache-2.0
"""One run of the study: a task under a policy from one seed, `python -m train.study.run`.

A run is named by all that its bits depend on; one that is done is not done again, and one that was
stopped goes on behind its last epoch with the same bits.
"""

import dataclasses
import io
import json
import math
import sys
from dataclasses import dataclass
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
from train.pytorch.policy import POLICIES, policy
from train.study.tasks import TASKS, Task, task

FOLDER = ROOT / "build" / "study"
CLIP = 1.0  # of the gradient's norm over all parameters
RECIPE = 1  # to be raised with every change of what a run does


@dataclass(frozen=True)
class Run:
    """What a run is.

    Members
    -------
    task, policy : names. seed : of the first weights, the order of examples and random words.
    epochs : how often it sees its data. share : of the data to train, in percent, from 1.
    edges, attention : in place of the policy's own; None: as it has them.
    """

    task: str
    policy: str
    seed: int = 0
    epochs: int = 1
    share: int = 100
    edges: bool | None = None
    attention: bool | None = None

    def __post_init__(self):
        checks.as_choice("task", self.task, TASKS)
        checks.as_choice("policy", self.policy, POLICIES)
        checks.integer(self, "seed", 0, 2**32 - 1)
        checks.integer(self, "epochs", 1, 10_000)
        checks.integer(self, "share", 1, 100)
        for name in ("edges", "attention"):
            if getattr(self, name) is not None:
                checks.flag(self, name)

    @property
    def folder(self) -> Path:
        """Where its checkpoint and its result lie."""
        how = json.dumps([dataclasses.asdict(self), RECIPE, VERSION, torch.__version__])
        return FOLDER / f"{self.task}-{self.policy}-{self.seed}-{digest(how)}"


def train(run: Run, progress: Progress | None = None) -> dict[str, Any]:
    """The result of a run: its own if it is done, else what is left of it is done first.

    ToolError if the data cannot be had or a checkpoint is damaged; FloatingPointError where
    training diverges, and the checkpoint of the epoch before stays.
    """
    result = run.folder / "result.json"
    run.folder.mkdir(parents=True, exist_ok=True)
    with locked(run.folder / "lock"):
        if result.exists():
            return json.loads(result.read_text())
        found = _train(run, task(run.task), progress)
        write_atomically(result, (json.dumps(found, indent=2) + "\n").encode())
        return found


def _train(run: Run, what: Task, progress: Progress | None) -> dict[str, Any]:
    data = what.load()
    torch.manual_seed(run.seed)
    model = what.model(data.classes)
    changes = {name: getattr(run, name) for name in ("edges", "attention")
               if getattr(run, name) is not None}
    convert(model, policy(run.policy).but(**changes), seed=run.seed)
    optimizer = torch.optim.AdamW(model.parameters(), what.rate, weight_decay=0.01)
    examples = max(what.batch, what.examples(data.train) * run.share // 100)
    steps = -(-examples // what.batch)
    epoch, history = resume(run, model, optimizer)
    bar = None if progress is None else progress.add_task(
        f"{run.task}, {run.policy}, seed {run.seed}", total=run.epochs * steps,
        completed=epoch * steps)
    while epoch < run.epochs:
        order = np.random.default_rng([run.seed, epoch]).permutation(what.examples(data.train))
        losses = []
        for number, (inputs, labels) in enumerate(what.batches(data.train, order[:examples])):
            done = (epoch * steps + number) / (run.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = what.rate * min(1.0, 20 * done + 0.05) * (
                    1 + math.cos(math.pi * done)) / 2
            losses.append(step(model, optimizer, what.goal.loss, inputs, labels))
            if progress is not None and bar is not None:
                progress.advance(bar)
        history.append({"loss": float(np.mean(losses)),
                        "validation": what.evaluate(model, data.validation)})
        epoch += 1
        save(run, model, optimizer, epoch, history)
    return {**dataclasses.asdict(run), "metric": what.goal.metric,
            "unit": what.goal.unit,
            "parameters": sum(p.numel() for p in model.parameters()), "steps": run.epochs * steps,
            "history": history, "test": what.evaluate(model, data.test)}


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


def save(run: Run, model, optimizer, epoch: int, history: list) -> None:
    """Write all that the rest of a run depends on, behind the digest of it."""
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch,
                "history": history}, buffer)
    content = buffer.getvalue()
    write_atomically(run.folder / "checkpoint.pt", digest(content).encode() + content)


def resume(run: Run, model, optimizer) -> tuple[int, list]:
    """The number of epochs that are done, and what they gave; the states are as they left them."""
    path = run.folder / "checkpoint.pt"
    if not path.exists():
        return 0, []
    content = path.read_bytes()
    size = len(digest(b""))
    if content[:size] != digest(content[size:]).encode():
        raise ToolError(f"{path} is damaged, its digest is another: remove it, and the run starts "
                        "anew")
    kept = torch.load(io.BytesIO(content[size:]), weights_only=True)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    return kept["epoch"], kept["history"]


def main() -> int:
    parser = Parser("python -m train.study.run", __doc__)
    parser.add_argument("--task", type=one_of(TASKS), required=True)
    parser.add_argument("--policy", type=one_of(POLICIES), default="tetra")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--epochs", type=integer(1, 10_000), default=None)
    parser.add_argument("--share", type=integer(1, 100), default=100, help="percent of the data")
    o = parser.parse_args()
    run = Run(o.task, o.policy, o.seed, o.epochs or task(o.task).epochs[0], o.share)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    try:
        with Progress(*columns, console=open_console()) as progress:
            found = train(run, progress)
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
