# SPDX-License-Identifier: Apache-2.0
"""What a training step of a task costs on a core, estimated: `python -m train.study.estimate`.

CHECK runs that step on the verilated engine, job by job, and fails where its cycles are others.
"""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import nn

from driver.verilated import RtlBackend
from golden.config import PRESETS, Config, preset
from golden.engine import Job
from tools.arguments import Parser, integer, one_of
from tools.cache import ROOT
from tools.console import open_console
from tools.errors import ToolError
from tools.files import write_atomically
from train.pytorch.convert import Execution, compute_with, convert
from train.pytorch.execution import JobExecution
from train.pytorch.recorder import record
from train.study.costs import PHASES, Cost, Estimate, estimate
from train.study.tasks import TASKS, task
from train.study.variants import VARIANTS, file_name, variant

FOLDER = ROOT / "build" / "study" / "estimate"
TOLERANCE = 0.02  # of the cycles of a step
# those that round to four bits which a core has
ON_CORE = [name for name, each in VARIANTS.items() if each.input.coded and not each.emulated]


class Step:
    """One training step of a task under a policy, of its first `batch` examples, which may be run
    many times: each time from the same weights, with the same random words.

    ToolError if the data cannot be had or has fewer examples.
    """

    def __init__(self, name: str, how: str, batch: int | None = None):
        what = task(name)
        what = dataclasses.replace(what, batch=what.batch if batch is None else batch)
        data = what.load()
        most = what.examples(data.train)
        if not 1 <= what.batch <= most:
            raise ToolError(f"BATCH = {what.batch} is out of range: {name} has 1..{most} examples "
                            "to train")
        self.batch = what.batch
        self.inputs = next(iter(what.batches(data.train, np.arange(what.batch))))[0]
        self._make: Callable[[], nn.Module] = lambda: what.model(data.classes)
        self._policy = variant(how)

    def model(self) -> nn.Module:
        """The converted model as it is before the step."""
        torch.manual_seed(0)
        model = self._make()
        convert(model, self._policy)
        return model

    def run(self, model: nn.Module) -> None:
        """Forward and backward. Which jobs there are depends on no loss, so any will do."""
        model(self.inputs).square().mean().backward()

    def estimate(self, config: Config) -> Estimate:
        """What the step costs on a core of this configuration; ValueError if the policy has no
        codes, so that nothing runs there."""
        model = self.model()
        return estimate(record(model, config, lambda: self.run(model)), config)

    def measure(self, execution: Execution) -> None:
        """Let another execution compute the step."""
        model = self.model()
        compute_with(model, execution)
        self.run(model)


class Counting:
    """A backend that tells after every job that one more is done."""

    def __init__(self, backend: RtlBackend, done: Callable[[], object]):
        self.backend, self.config, self.done = backend, backend.config, done

    def run(self, job: Job):
        result = self.backend.run(job)
        self.done()
        return result

    def reset(self) -> None:
        self.backend.reset()


def measured_cycles(step: Step, config: Config, jobs: int, console: Console) -> Counter[str]:
    """Cycles of the step on the verilated engine, by phase; a bar shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with RtlBackend(config) as rtl, Progress(*columns, console=console) as progress:
        bar = progress.add_task("jobs on the verilated engine", total=jobs)
        step.measure(JobExecution(Counting(rtl, lambda: progress.advance(bar))))
        return rtl.cycles


def deviations(found: Estimate, cycles: Counter[str]) -> dict[str, float]:
    """By how much the estimated cycles are above those that were counted, by phase and in `total`;
    ValueError where one side has cycles and the other none."""
    estimated = {phase: found.total(phase).cycles for phase in PHASES}
    pairs = {phase: (estimated[phase], cycles[phase]) for phase in PHASES
             if estimated[phase] or cycles[phase]}
    pairs["total"] = sum(estimated.values()), cycles.total()
    for phase, pair in pairs.items():
        if 0 in pair:
            raise ValueError(f"{phase} has {pair[0]} cycles in the estimate and {pair[1]} on the "
                             "engine: expected some in both")
    return {phase: ours / counted - 1 for phase, (ours, counted) in pairs.items()}


def show(found: Estimate, title: str, console: Console) -> None:
    """A row per layer and phase, the totals, and the comparison with 16 bits."""
    table = Table(title=title, title_justify="left")
    names = ("layer", "phase", "jobs", "MACs", "cycles", "of all", "busy", "read kB", "written kB")
    for name in names:
        table.add_column(name, justify="left" if name in names[:2] else "right")
    whole = found.total()
    layer_before = ""
    for (layer, phase), each in found.costs.items():
        table.add_row(layer if layer != layer_before else "", phase, *_cells(each, whole, found))
        layer_before = layer
    table.add_section()
    for phase in PHASES:
        table.add_row("all", phase, *_cells(found.total(phase), whole, found))
    table.add_row("all", "step", *_cells(whole, whole, found))
    console.print(table)
    print(f"{found.overlapped:,} cycles if no job waited for results of another")
    speed, energy = found.speed(), found.energy()
    print("16-bit multiply-accumulators on the area of this engine, always busy, would take "
          f"{speed:.2f} times as long (estimate, before layout)" if speed is not None else
          "no comparison with 16 bits: the density of this engine was not measured")
    if energy is not None:
        print(f"the tile takes {energy[0] * 1e6:,.2f} uJ, the 16-bit multiply-accumulators "
              f"{energy[1] * 1e6:,.2f} uJ, {energy[1] / energy[0]:.1f} times as much (estimate, "
              "before layout, without rescaling unit, memories and wires)")


def _cells(each: Cost, whole: Cost, found: Estimate) -> list[str]:
    could = each.cycles * found.config.macs_per_cycle
    return [f"{each.jobs:,}", f"{each.macs:,}", f"{each.cycles:,}",
            f"{each.cycles / whole.cycles:.1%}", f"{each.macs / could:.1%}" if could else "",
            f"{each.read / 1000:,.1f}", f"{each.written / 1000:,.1f}"]


def main() -> int:
    parser = Parser("python -m train.study.estimate", __doc__)
    parser.add_argument("--task", type=one_of(TASKS), required=True)
    parser.add_argument("--policy", type=one_of(ON_CORE), default="tetra")
    parser.add_argument("--preset", type=one_of(PRESETS), default="base")
    parser.add_argument("--batch", type=integer(1, 2**16), default=None,
                        help="examples in the step; the task's own unless given")
    parser.add_argument("--check", action="store_true",
                        help=f"fail if the verilated engine differs by more than {TOLERANCE:.0%}%")
    o = parser.parse_args()
    console = open_console()
    try:
        step = Step(o.task, o.policy, o.batch)
        config = preset(o.preset)
        found = step.estimate(config)
        show(found, f"Estimate of a step: {o.task}, {o.policy}, batch {step.batch}, {o.preset}",
             console)
        name = f"{o.task}-{file_name(o.policy)}-{o.preset}-{step.batch}"
        path = FOLDER / f"{name}.json"
        write(path, {"task": o.task, "policy": o.policy, "batch": step.batch, **found.as_dict()})
        print(path.relative_to(ROOT))
        return check(step, found, console) if o.check else 0
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def check(step: Step, found: Estimate, console: Console) -> int:
    """The exit code: 1 if the engine's cycles differ too much, in any phase."""
    apart = deviations(found, measured_cycles(step, found.config, found.total().jobs, console))
    for phase, deviation in apart.items():
        print(f"{phase}: {deviation:+.2%} against the verilated engine")
    return int(any(abs(deviation) > TOLERANCE for deviation in apart.values()))


if __name__ == "__main__":
    sys.exit(main())
