# SPDX-License-Identifier: Apache-2.0
"""A verilated core beside the golden one: the same ring, the same memory, the same faults."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from golden.core import GoldenCore, outputs, rows_of
from golden.descriptor import CoreFault, CoreOp, Descriptor, Fault
from golden.memory import EVERYWHERE, Memory, Window
from golden.refused import in_chunks
from hdl.core.load import EARLY
from hdl.core.register_map import register_map
from verif.bench.descriptors import Image, tensors

PATIENCE = 500_000  # cycles
POLLS = 300  # of the status, ten cycles apart, until a soft reset counts as a hang
IDLE, STOPPED = 1, 4  # bits of status
ENABLE, ACKNOWLEDGE, SOFT_RESET = 1, 4, 2  # bits of control
QUIET = 0b110  # interrupts of a stop and of being idle


@dataclass
class Bench:
    """A core, verilated or in cocotb, and its registers by name.

    Members
    -------
    patience : cycles without an interrupt or an end of a descriptor that count as a hang.
    faults : how often the core stopped, by code. jobs : descriptors that were done, by operation.
    """

    core: Any
    patience: int = PATIENCE
    faults: Counter = field(default_factory=Counter)
    jobs: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self.config = self.core.config
        self.address = {name: register.address for name, register in register_map(
            self.config).registers.items()}

    def read(self, name: str) -> int:
        return self.core.read32(self.address[name])

    def write(self, name: str, value: int) -> None:
        self.core.write32(self.address[name], value)

    def write64(self, name: str, value: int) -> None:
        self.write(f"{name}_low", value & 0xFFFF_FFFF)
        self.write(f"{name}_high", value >> 32)

    def start(self, image: Image, *, read: Window = EVERYWHERE, write: Window = EVERYWHERE,
              tail: int | None = None, reset: bool = True) -> None:
        """Reset the core, unless it is as new, and hand it a ring that lies at the image's base."""
        if reset:
            self.core.reset()
        for name, value in (("read_base", read.base), ("read_limit", read.limit),
                            ("write_base", write.base), ("write_limit", write.limit),
                            ("ring_base", image.base)):
            self.write64(name, value)
        self.write("ring_size", len(image.descriptors).bit_length())
        self.write("interrupt_enable", QUIET)
        self.write("control", ENABLE)
        self.write("interrupt_status", 7)
        self.write("ring_tail", len(image.descriptors) if tail is None else tail)

    def wait(self, what: str) -> None:
        """Until the core is idle or has stopped; AssertionError if it does neither."""
        head = None
        while not self.core.run(self.patience):
            if (found := self.read("ring_head")) == head:
                raise AssertionError(f"the core hangs in {what}: status {self.read('status')}, "
                                     f"head {head}")
            head = found

    def forget(self, what: str) -> None:
        """A soft reset, to its end; AssertionError if it has none."""
        self.write("control", SOFT_RESET)
        for _ in range(POLLS):
            if self.read("status") & IDLE:
                assert not self.read("ring_head"), f"{what}: the head is not at 0"
                return
            self.core.run(10)
        raise AssertionError(f"no end of {what}: status {self.read('status')}")

    def acknowledge(self) -> None:
        self.write("interrupt_status", 7)
        self.write("control", ENABLE | ACKNOWLEDGE)

    def run(self, image: Image, shown: str, *, failing=(), read: Window = EVERYWHERE,
            write: Window = EVERYWHERE, reset: bool = True) -> None:
        """Run the ring, acknowledging every fault, and compare each stop and the end with the
        golden core, byte by byte; of a descriptor that failed its outputs count as undefined."""
        data, expected = image.data.copy(), image.data.copy()
        memory = Memory({image.base: expected}, failing)
        golden = GoldenCore(self.config, read, write)
        self.core.attach({image.base: data}, failing)
        self.start(image, read=read, write=write, reset=reset)
        index, count, stops = 0, len(image.descriptors), 0
        while index < count:
            self.wait(shown)
            fault = None
            while index < count and fault is None:
                try:
                    golden.execute(memory, image.descriptors[index])
                    self.jobs[CoreOp(image.descriptors[index].op).name] += 1
                    index += 1
                except CoreFault as found:
                    fault = found
            self._compare_stop(fault, index, f"{shown}, descriptor {index}",
                               possible(image, index, golden, memory)
                               if fault and fault.code > Fault.ALIGNMENT else ())
            if fault is not None:
                self.faults[fault.code] += 1
                stops += 1
                if fault.code > Fault.ALIGNMENT:
                    self._forget(image, index, expected, data)
                index += 1
            self._compare_bytes(image, expected, data, f"{shown}, descriptor {index}")
            if fault is not None:
                self.acknowledge()
        if fault is not None:
            self.wait(shown)
        assert not self.core.strays, f"{shown}: {self.core.strays} bursts broke a rule"
        if not stops:
            self._compare_counters(golden, shown)

    def _compare_stop(self, fault: CoreFault | None, index: int, shown: str, others) -> None:
        code, head = Fault(self.read("error")), self.read("ring_head")
        stopped = bool(self.read("status") & STOPPED)
        expected = Fault.NONE if fault is None else fault.code
        assert stopped == (fault is not None), f"{shown}: {code.name}, expected {expected.name}"
        if fault is None:
            assert head == index, f"{shown}: the head is at {head}"
            return
        assert code == expected or code in others, (
            f"{shown}: {code.name}, expected {fault} or one of {others}")
        assert self.read("error_descriptor") == head == index, f"{shown}: the head is at {head}"

    @staticmethod
    def _forget(image: Image, index: int, expected, data) -> None:
        """What a failed descriptor wrote within its outputs is taken over."""
        for rows in outputs(image.descriptors[index], image.config):
            for row in range(rows.number):
                at = rows.address + row * rows.stride - image.base
                expected[max(at, 0):max(at + rows.size, 0)] = data[
                    max(at, 0):max(at + rows.size, 0)]

    @staticmethod
    def _compare_bytes(image: Image, expected, data, shown: str) -> None:
        wrong = np.flatnonzero(expected != data)
        if wrong.size:
            raise AssertionError(f"{shown}: {wrong.size} bytes differ, the first at "
                                 f"{image.base + int(wrong[0]):#x}: {data[wrong[0]]} instead of "
                                 f"{expected[wrong[0]]}")

    @staticmethod
    def compare_outputs(image: Image, data, shown: str) -> None:
        """Nothing has changed but bytes of outputs."""
        kept = np.ones(len(data), bool)
        for d in image.descriptors:
            for rows in outputs(d, image.config):
                for row in range(rows.number):
                    at = rows.address + row * rows.stride - image.base
                    kept[at:at + rows.size] = False
        strays = np.flatnonzero((data != image.data) & kept)
        assert not strays.size, (f"{shown}: {strays.size} bytes beside the outputs have changed, "
                                 f"the first at {image.base + int(strays[0]):#x}")

    def _compare_counters(self, golden: GoldenCore, shown: str) -> None:
        self.write("counter_control", 1)
        found = {name: self.read(f"{name}_low") | self.read(f"{name}_high") << 32
                 for name in ("macs", "saturated", "underflowed")}
        expected = {name: getattr(golden, name) for name in found}
        assert found == expected, f"{shown}: counters {found} instead of {expected}"


def possible(image: Image, index: int, golden: GoldenCore, memory: Memory) -> set[Fault]:
    """What rows of a descriptor are faulty for; where several are, any fault may come first."""
    d, found = image.descriptors[index], set()
    reads = {"a", "b", "x", "bias", "mask_in", "scratch"} | ({"c"} if d.accumulate else set())
    for name in (name for name, used in tensors(d, image.config).items() if used):
        for rows in (rows_of(d, name, element) for element in range(d.batch)):
            for kind, window in (("READ", golden.read_window), ("WRITE", golden.write_window)):
                if kind == "READ" and name not in reads:
                    continue
                if kind == "WRITE" and name in reads - {"c", "scratch"}:
                    continue
                try:
                    memory.read(rows, window)
                except CoreFault as fault:
                    code = fault.code.name.replace("READ", kind)
                    if code.startswith(kind):
                        found.add(Fault[code])
    return found


def kinds(descriptor: Descriptor, config) -> set[str]:
    """What a descriptor makes the core do: the coverpoints of random lists."""
    d = descriptor
    flags = ("barrier", "accumulate", "transpose_a", "transpose_b", "transpose_c", "bias",
             "mask_in", "transpose_mask", "mask_out", "report", "stochastic", "adapt_discard")
    found = {name for name in flags if getattr(d, name)}
    found |= {CoreOp(d.op).name}
    found |= {name for name, holds in {
        "batch": d.batch > 1, "zero point": d.a_zero != 0, "strips": d.n > config.strip,
        "groups": d.m > config.lanes,
        "b early": d.op == CoreOp.GEMM and d.m > EARLY * config.lanes and d.n > config.strip,
        "b in halves": d.op == CoreOp.GEMM and d.m > (EARLY + 1) * config.lanes
        and d.n > config.strip,
        "a before the barrier": d.barrier and d.early_a and not d.early_b,
        "b before the barrier": d.barrier and d.early_b and not d.early_a,
        "both before the barrier": d.barrier and d.early_a and d.early_b,
        "chunks": in_chunks(d, config),
        "chunks added to C": in_chunks(d, config) and d.accumulate,
        "one element": d.m == d.n == 1,
    }.items() if holds}
    return found
