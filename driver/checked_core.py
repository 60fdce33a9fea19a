# SPDX-License-Identifier: Apache-2.0
"""A simulated core beside the golden one: both are told the same, and their memories compared."""

import time
from collections import Counter
from pathlib import Path

import numpy as np

from driver.checked import POLICIES, MismatchError
from driver.golden_core import GoldenTransport
from driver.verilated_core import VerilatedCore
from golden import checks
from golden.config import Config, preset
from golden.core import outputs, rows_of
from golden.descriptor import BYTES, CoreOp, Descriptor
from hdl.core.register_map import register_map

BASE = 0x8000_0000
# what the counters of a busy core count; a cycle in which it multiplies while a result waits to be
# stored is in both
CAUSES = {"computing": "multiplying", "stalled_operands": "waiting for operands",
          "stalled_results": "waiting to store", "stalled_solver": "solving scales",
          "stalled_descriptors": "reading descriptors"}


class CheckedCore:
    """A transport that counts the jobs of a core, and compares its memory with the golden core's
    whenever software reads from it.

    Both start with the same random bytes, so that a byte that a core must not write shows. What
    software writes goes to both. The golden core runs a job at its doorbell. Jobs that a core
    faults leave their outputs undefined: this is for software whose jobs do not.

    Parameters
    ----------
    name : "rtl", the verilated core, or "golden", the golden one alone. core : its preset's name,
        or a Config of your own.
    size : bytes of memory, from `BASE` on. policy : "all" compares always, "first" in epoch 0,
        "none" never. trace : (file, first job, number of jobs) of an FST waveform, or None.
    seed : for the message of a difference, and of the random bytes. quick : as of `VerilatedCore`.

    Members
    -------
    memory : (base, size). epoch : the epoch in progress; the trainer's program sets it.
    jobs, gemms, checked, mismatches : int. macs : of GEMMs that were queued, by phase.
    seconds : of host time in simulation, None if golden.

    ValueError for names that do not exist. MismatchError where a byte differs.
    """

    def __init__(self, name: str, core: str | Config, size: int, policy: str = "all", *,
                 seed: int = 0, trace: tuple[Path, int, int] | None = None, quick: bool = False):
        self.name = checks.as_choice("backend", name, ("rtl", "golden"))
        self.policy = checks.as_choice("check", policy, POLICIES)
        self.preset_name = "custom" if isinstance(core, Config) else core
        self.config = core if isinstance(core, Config) else preset(core)
        self.seed = seed
        self.memory = (BASE, checks.as_integer("size of memory", size, BYTES))
        self.epoch = 0
        self.jobs = self.gemms = self.checked = self.mismatches = 0
        self.macs: Counter[str] = Counter()
        self.seconds: float | None = None
        self._closed: dict[str, int] | None = None  # the cycles, when the simulator is gone
        registers = register_map().registers
        self._soft_reset = registers["control"]["soft_reset"].mask
        self._at = {name: registers[name].address for name in (
            "control", "ring_tail", "ring_base_low", "ring_base_high", "ring_size")}
        self._written: dict[int, int] = {}  # by software, by address
        self._tail = 0
        self._since: list[tuple[int, Descriptor]] = []  # jobs since the latest comparison
        random = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
        self._golden: GoldenTransport | None = None
        if name == "golden" or policy != "none":
            self._golden = GoldenTransport(self.config, (BASE, random.copy()))
        self._rtl: VerilatedCore | None = None
        self._traced = trace[1:] if trace else None
        if name == "rtl":
            self.seconds = 0.0
            self._rtl = VerilatedCore(self.config, trace=trace and trace[0], quick=quick)
            self._rtl.dump(False)
            self._rtl.attach({BASE: random})
            self._data = random

    @property
    def cycle_count(self) -> int | None:
        """Simulated so far, those of register accesses too; None if golden."""
        return self._rtl.cycles if self._rtl else None

    @property
    def cycles(self) -> dict[str, int] | None:
        """All cycles by what the core did in them, as its counters tell; None if golden."""
        if self._rtl is None or self._closed is not None:
            return self._closed
        counters = register_map().counters
        self._rtl.write32(register_map().registers["counter_control"].address, 1)  # a snapshot
        found = {}
        for name, each in counters.items():
            low, high = (self._rtl.read32(each.address + end) for end in (0, 4))
            found[name] = high << 32 | low
        told = {cause: found[name] for name, cause in CAUSES.items()}
        return {**told, "rounding, storing": max(0, found["cycles"] - sum(told.values())),
                "host": self._rtl.cycles - found["cycles"]}

    def utilization(self) -> float | None:
        """Share of the multipliers at work, over all cycles, 0..1; None without cycles."""
        cycles = self.cycle_count
        return self.macs.total() / (cycles * self.config.macs_per_cycle) if cycles else None

    def read32(self, address: int) -> int:
        if self._rtl is None:
            return self._golden_core.read32(address)
        start = time.perf_counter()
        value = self._rtl.read32(address)
        self._took(start)
        return value

    def write32(self, address: int, value: int) -> None:
        self._written[address] = value
        if address == self._at["ring_tail"]:
            self._doorbell(value)
        elif address == self._at["control"] and value & self._soft_reset:
            self._tail = 0
        if self._checks:
            self._golden_core.write32(address, value)
        if self._rtl:
            start = time.perf_counter()
            self._rtl.write32(address, value)
            self._took(start)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        self.compare()
        return (self._rtl or self._golden_core).read_memory(address, size)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        for each in (self._rtl, self._golden if self._checks else None):
            if each:
                each.write_memory(address, data)

    def wait(self) -> bool:
        if self._rtl is None:
            return True
        start = time.perf_counter()
        came = self._rtl.wait()
        self._took(start)
        if self._traced and self.jobs >= sum(self._traced):
            self._rtl.dump(False)
        return came

    def compare(self) -> None:
        """MismatchError unless both memories are the same; for an idle core."""
        if self._rtl is None or not self._checks:
            self._since.clear()
            return
        wrong = np.flatnonzero(self._data != self._golden_core.data)
        if wrong.size:
            self.mismatches += 1
            raise MismatchError(self._told(wrong))
        self.checked += len(self._since)
        self._since.clear()

    def close(self) -> None:
        """Release the simulator, if there is one; what it counted stays."""
        if self._rtl and self._closed is None:
            self._closed = self.cycles
            self._rtl.close()

    @property
    def _checks(self) -> bool:
        """Whether the golden core follows."""
        if self._rtl is not None and self.policy == "first" and self.epoch:
            self._golden = None
        return self._golden is not None

    @property
    def _golden_core(self) -> GoldenTransport:
        assert self._golden is not None
        return self._golden

    def _took(self, start: float) -> None:
        self.seconds = (self.seconds or 0.0) + time.perf_counter() - start

    def _doorbell(self, tail: int) -> None:
        """Note the jobs that it makes the core run."""
        source = self._rtl or self._golden_core
        low, high, size = (self._written[self._at[name]] for name in (
            "ring_base_low", "ring_base_high", "ring_size"))
        while self._tail != tail:
            at = (high << 32 | low) + BYTES * self._tail
            job = Descriptor.unpack(source.read_memory(at, BYTES).tobytes())
            if self._rtl and self._traced and self._traced[0] <= self.jobs < sum(self._traced):
                self._rtl.dump(True)
            self._since.append((self.jobs, job))
            self.jobs += 1
            if job.op == CoreOp.GEMM:
                self.gemms += 1
                self.macs[phase_of(job)] += job.batch * job.m * job.n * job.k
            self._tail = (self._tail + 1) % (1 << size)

    def _told(self, wrong: np.ndarray) -> str:
        """Where the memories differ, and which job should have written there."""
        at = BASE + int(wrong[0])
        found, expected = self._data[wrong[0]], self._golden_core.data[wrong[0]]
        whose = "no job since the last comparison writes there"
        for number, job in self._since:
            if tensor := covers(job, at, self.config):
                whose = (f"{tensor} of job {number}, {CoreOp(job.op).name} {job.m} x {job.n}"
                         + (f" x {job.k}" if job.k else ""))
        return (f"RTL and golden core differ in {wrong.size} bytes, the first at {at:#x}: "
                f"{found:#04x} instead of {expected:#04x}\n  {whose}; epoch {self.epoch + 1}, seed "
                f"{self.seed}, preset {self.preset_name}\n  the jobs {self._since[0][0]} to "
                f"{self._since[-1][0]} were compared; with their waveform: the same command with "
                f"TRACE={self._since[0][0]}:{len(self._since)}")


def phase_of(job: Descriptor) -> str:
    """Which product of a layer's step a GEMM is: the gradient's codes are no integers, and wgrad
    sums over tokens, so that it takes them transposed."""
    if job.b_format == 0:
        return "fprop"
    return "wgrad" if job.transpose_b else "dgrad"


def covers(job: Descriptor, address: int, config: Config) -> str | None:
    """The tensor of a job's outputs in whose rows an address lies."""
    written = {rows: None for rows in outputs(job, config)}
    for tensor in ("c", "c_odd", "mask_out", "report", "scratch"):
        for element in range(job.batch):
            rows = rows_of(job, tensor, element)
            if rows in written:
                offset = address - rows.address
                line = offset // rows.stride if rows.stride else 0
                if 0 <= line < rows.number and 0 <= offset - line * rows.stride < rows.size:
                    return tensor
    return None
