# SPDX-License-Identifier: Apache-2.0
"""Which backend runs the training, and the check of its every result against the golden model."""

import shlex
import threading
from collections import Counter
from pathlib import Path

from driver.reproducer import describe, first_difference, save_job
from golden.adaptive import Entry
from golden.checks import as_choice, as_instance, as_integer, shown
from golden.config import PRESETS, Config, preset
from golden.engine import Backend, GoldenBackend, Job, Op, as_backend
from golden.rescale import Rescaled

BACKENDS = ("rtl", "golden")
POLICIES = ("all", "first", "none")


class MismatchError(Exception):
    """The RTL and the golden model differ; the message says where and how to repeat it."""


def open_backend(
    name: str, preset_name: str, trace: tuple[Path, int, int] | None = None
) -> Backend:
    """The backend called `name`, "rtl" or "golden", of a preset; ValueError if there is none.

    `trace` is (file, first job, number of jobs) of an FST waveform to record; RTL only.
    """
    config = preset(preset_name)
    if name == "golden":
        if trace:
            raise ValueError("a trace of the golden backend: only the RTL has waveforms")
        return GoldenBackend(config)
    if name != "rtl":
        raise ValueError(f"unknown backend {shown(name)}: expected one of {', '.join(BACKENDS)}")
    try:
        from driver.verilated import RtlBackend  # late: the golden backend needs no simulator
    except ImportError as error:
        raise ValueError(
            f"the RTL backend cannot start ({error}): install the pinned tools, "
            "or train on the golden model with BACKEND=golden"
        ) from error
    return RtlBackend(config, trace=trace)


class CheckedBackend:
    """Counts the jobs of `device` and compares their results with the golden model's.

    Parameters
    ----------
    device : Backend that runs the jobs and whose results are returned.
    policy : "all" checks every job, "first" those of epoch 0, "none" nothing.
    seed, preset_name, folder : for the message and the reproducer, `folder`/mismatch-*.npz.

    Members
    -------
    epoch : the epoch in progress; the trainer's program sets it.
    jobs, gemms, checked, mismatches : int. macs : int by phase.
    degenerate : jobs that were to solve a scale for a tensor without extent, and left it alone.
    cycles, seconds : of the RTL: clock cycles by phase, host time in simulation; None if golden.
    """

    def __init__(self, device: Backend, policy: str, *, seed: int, preset_name: str, folder: Path):
        if not isinstance(policy, str) or policy not in POLICIES:
            raise ValueError(f"check {shown(policy)}: expected one of {', '.join(POLICIES)}")
        self.device, self.policy = as_backend(device), policy
        self.golden = GoldenBackend(device.config)
        self.seed = as_integer("seed", seed, 0)
        self.preset_name = as_choice("preset", preset_name, PRESETS)
        self.folder = Path(folder)
        self.epoch = 0
        self.jobs = self.gemms = self.checked = self.mismatches = self.degenerate = 0
        self.macs: Counter[str] = Counter()
        self._lock = threading.Lock()  # the golden table follows the device's, job by job

    @property
    def config(self) -> Config:
        return self.device.config

    @property
    def cycles(self) -> dict[str, int] | None:
        return getattr(self.device, "cycles", None)

    @property
    def cycle_count(self) -> int | None:
        """Simulated so far; None if golden."""
        return sum(self.cycles.values()) if self.cycles else None

    @property
    def seconds(self) -> float | None:
        return getattr(self.device, "seconds", None)

    def utilization(self, phase: str | None = None) -> float | None:
        """Share of the MACs that worked, of one phase or overall, 0..1; None without cycles."""
        if not self.cycles:
            return None
        phases = [phase] if phase else list(self.cycles)
        cycles = sum(self.cycles[p] for p in phases)
        macs = sum(self.macs[p] for p in phases)
        return macs / (cycles * self.config.macs_per_cycle) if cycles else None

    def run(self, job: Job) -> Rescaled:
        """The device's results; `MismatchError` at the first one that is not the golden model's.

        A checked job that the device does not bring to an end (RuntimeError) is such a one.
        """
        with self._lock:
            checks = self.policy == "all" or (self.policy == "first" and self.epoch == 0)
            self.jobs += 1
            try:
                result = self.device.run(job)
            except RuntimeError as error:
                if checks:
                    self.checked += 1
                    raise self._mismatch(job, self._entry(job), error) from error
                raise
            as_instance("result", result, Rescaled)
            self.gemms += job.op == Op.GEMM
            self.macs[job.phase] += job.macs
            self.degenerate += result.report is not None and result.report.degenerate
            if checks:
                self._check(job, result)
            return result

    def reset(self) -> None:
        """Unset the scales of the device and of the golden model."""
        with self._lock:
            self.device.reset()
            self.golden.reset()

    def close(self) -> None:
        """Release the simulator, if there is one."""
        getattr(self.device, "close", lambda: None)()

    def _check(self, job: Job, result: Rescaled) -> None:
        self.checked += 1
        entry = self._entry(job)
        if difference := first_difference(self.golden.run(job), result):
            raise self._mismatch(job, entry, difference)

    def _entry(self, job: Job) -> Entry | None:
        """The job's entry in the table of scales, before the golden model runs the job."""
        return self.golden.table.entries[job.adapt.tensor] if job.adapt else None

    def _mismatch(self, job: Job, entry: Entry | None, what: object) -> MismatchError:
        """What is to be raised; the job is recorded."""
        self.mismatches += 1
        path = self.folder / f"mismatch-seed{self.seed}-job{self.jobs}.npz"
        repeat = (f"  repeat just this job: make replay FILE={shlex.quote(str(path))}\n"
                  f"  and with its waveform: make replay FILE={shlex.quote(str(path))} TRACE=1")
        try:
            save_job(path, job, self.preset_name, entry)
        except OSError as error:
            repeat = f"  the job could not be recorded in {path} ({error.strerror})"
        return MismatchError(
            f"RTL and golden model differ in job {self.jobs}, epoch {self.epoch + 1}, "
            f"seed {self.seed}, preset {self.preset_name}\n"
            f"  {describe(job)}\n"
            f"  {what}\n{repeat}"
        )
