# SPDX-License-Identifier: Apache-2.0
"""What the jobs of a training step cost on a core: an estimate of its cycles, traffic and energy,
and of the same step by 16-bit multiply-accumulators on as much silicon.

Densities and energies are those of `synth/figures.json`, measured before layout. The 16-bit side
gets what is not known as a gift: all its MACs are useful in every cycle, and it rounds nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from driver.cycles import Blocks, alone, back_to_back
from golden.config import PRESETS, Config
from golden.formats import FP4_R4, INT32, Format, LogFormat
from tools.cache import ROOT
from train.pytorch.recorder import Work

PHASES = ("quantise", "fprop", "dgrad", "wgrad")
FIGURES = ROOT / "synth" / "figures.json"
MEASURED = "base"  # the preset whose tile's energy is known
BASELINES = ("tetra_fp16_mac", "tetra_dlfloat16_mac")


@dataclass
class Cost:
    """What jobs take.

    Members
    -------
    jobs, macs, cycles : numbers; cycles of each job alone, as the verilated engine counts them.
    slots : MACs that their beats could have done. read, written : bytes.
    """

    jobs: int = 0
    macs: int = 0
    cycles: int = 0
    slots: int = 0
    read: float = 0.0
    written: float = 0.0

    def __iadd__(self, other: "Cost") -> "Cost":
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def cost(work: Work, config: Config) -> Cost:
    """Of one job. The streams a, b and x are read as often as the engine takes them, lanes and
    columns that do not exist included; results count where they exist."""
    m, n, _ = work.size
    blocks = Blocks.of(config, work.size)
    read = blocks.all_beats * (config.rows + config.cols) * config.lanes / 2
    if not work.size.k:
        read = blocks.all_rows * config.cols * 4
    return Cost(1, work.size.macs, alone(config, work.size),
                blocks.all_beats * config.macs_per_cycle, read, m * n * result_bits(work.to) / 8)


def result_bits(fmt: Format) -> int:
    """Bits that are kept of a result: INT32, or a code and whether it was clipped, or the codes of
    a gradient, two for the phases of radix 4."""
    if fmt == INT32:
        return 32
    return 5 if not isinstance(fmt, LogFormat) else 8 if fmt == FP4_R4 else 4


@dataclass
class Estimate:
    """What a step costs.

    Members
    -------
    config : of the core. costs : by layer and phase. overlapped : cycles of all jobs if none waited
        for results of another.
    """

    config: Config
    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)
    overlapped: int = 0

    def total(self, phase: str = "") -> Cost:
        """Of one phase, or of all."""
        found = Cost()
        for (_, name), each in self.costs.items():
            if phase in ("", name):
                found += each
        return found

    @property
    def preset(self) -> str | None:
        """The name of the configuration, if it has one."""
        return next((name for name, each in PRESETS.items() if each == self.config), None)

    @property
    def utilization(self) -> float:
        """MACs of the step over what the tile could do in its cycles."""
        whole = self.total()
        return whole.macs / (whole.cycles * self.config.macs_per_cycle)

    def speed(self) -> float | None:
        """Time of a step in 16 bits on the area of this engine over the step's own. None where the
        engine's density was not measured.

        Either side's time is MACs over (density * area * utilisation), and the area is the same.
        """
        full = figures()["full"]
        ours = full.get(f"tetra_engine/{self.preset}/{self.config.pipeline}")
        toughest = max(value for name, value in full.items() if name.split("/")[0] in BASELINES)
        return None if ours is None else self.utilization * ours / toughest

    def energy(self) -> tuple[float, float] | None:
        """Joules of the tile, each beat as a whole one, and of 16-bit multiply-accumulators for the
        step's MACs alone. None of a core whose tile was not measured."""
        if self.preset != MEASURED:
            return None
        measured = figures()["energy"]
        known = measured.get("full") or measured["quick"]
        tile = known[f"tetra_mac_tile/{MEASURED}/{self.config.pipeline}"]
        thriftiest = min((each for name, each in known.items()
                          if name.split("/")[0] in BASELINES), key=lambda each: sum(each.values()))
        gemms = {phase: self.total(phase) for phase in PHASES if phase in tile}
        return (sum(each.slots * tile[phase] for phase, each in gemms.items()) * 1e-12,
                sum(each.macs * thriftiest[phase] for phase, each in gemms.items()) * 1e-12)

    def as_dict(self) -> dict[str, Any]:
        """For a file: what `python -m train.study.estimate` writes."""
        energy = self.energy()
        return {
            "config": self.config.as_dict(), "preset": self.preset,
            "layers": [{"layer": layer, "phase": phase, **vars(each)}
                       for (layer, phase), each in self.costs.items()],
            "total": vars(self.total()), "overlapped_cycles": self.overlapped,
            "utilization": self.utilization, "fp16_time_ratio": self.speed(),
            "tile_joules": energy and energy[0], "fp16_joules": energy and energy[1],
            "fp16_energy_ratio": energy and energy[1] / energy[0]}


def estimate(jobs: Iterable[Work], config: Config) -> Estimate:
    """What these jobs cost, by layer in the order of their coming, and phase. ValueError for none.
    """
    jobs = list(jobs)
    if not jobs:
        raise ValueError("no jobs to estimate: nothing of the model is rounded to four bits; use a "
                         "policy whose operands are codes, such as tetra")
    costs: dict[tuple[str, str], Cost] = defaultdict(Cost)
    known: dict[Work, Cost] = {}
    for work in jobs:
        if work not in known:
            known[work] = cost(work, config)
        costs[work.layer, work.phase] += known[work]
    layers = dict.fromkeys(layer for layer, _ in costs)
    ordered = {key: costs[key] for layer in layers for phase in PHASES
               if (key := (layer, phase)) in costs}
    return Estimate(config, ordered, back_to_back(config, (work.size for work in jobs)))


def figures() -> dict[str, Any]:
    """What was measured of the silicon."""
    return json.loads(FIGURES.read_text())
