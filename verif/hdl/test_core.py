# SPDX-License-Identifier: Apache-2.0
"""The whole core between masters and memories that know nothing of it, beside the golden core."""

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge

from golden.descriptor import BYTES, Fault
from golden.memory import Window
from verif.bench.axi import DECERR, SLVERR
from verif.bench.benches import BENCHES, run_bench
from verif.bench.core_bus import SimulatedCore
from verif.bench.cores import Bench, kinds
from verif.bench.descriptors import random_image, reference
from verif.bench.runner import Settings

MUST = {"GEMM", "QUANTISE", "TABLE", "FENCE", "batch", "zero point", "chunks", "accumulate",
        "transpose_a", "transpose_b", "transpose_c", "transpose_mask", "mask_out", "report",
        "a before the barrier", "b before the barrier"}
PATIENCE = {True: 50_000, False: 20_000}  # cycles for a descriptor, of a serial core and of another
TIMINGS = ((0, 0), (60, 0), (0, 120), (12, 40))  # latency, stall


def random_bench(dut) -> tuple[Bench, int]:
    """A bench, and the seed of its first list."""
    settings = Settings.current()
    return Bench(SimulatedCore(dut), PATIENCE[settings.config.serial]), 1000 * settings.seed


def time_it(bench: Bench, seed: int) -> None:
    latency, stall = TIMINGS[seed % len(TIMINGS)]
    bench.core.set_timing(latency=latency, stall=stall)


@cocotb.test()
async def random_lists(dut):
    """Every byte of memory, reports, counters, heads; random latency and backpressure."""
    bench, first = random_bench(dut)
    covered: set[str] = set()
    for seed in range(first, first + 16 * Settings.current().length):
        image = random_image(np.random.default_rng(seed), bench.config, 6)
        time_it(bench, seed)
        await bridge(bench.run)(image, f"list {seed}")
        covered.update(kind for d in image.descriptors for kind in kinds(d, bench.config))
    cocotb.log.warning("%s %s", covered, dict(bench.faults))
    assert not (missing := MUST - covered), f"expected lists that reach {missing}"


@cocotb.test()
async def errors_on_every_beat(dut):
    """SLVERR and DECERR in turn, of each beat that a list reads or writes: code, address, a stop
    after which the core goes on to the list's end, and nothing beside the outputs."""
    bench, _ = random_bench(dut)
    image = reference(bench.config)
    await bridge(bench.run)(image, "the list alone")
    beats = sorted(set(bench.core.target.touched))
    bench.core.set_timing(latency=3)
    codes = {SLVERR: (Fault.READ_SLVERR, Fault.WRITE_SLVERR),
             DECERR: (Fault.READ_DECERR, Fault.WRITE_DECERR)}
    for number, beat in enumerate(beats):
        for error, allowed in codes.items():
            if number % 2 != (error == SLVERR) and Settings.current().length == 1:
                continue
            bench.core.target.error = error
            await bridge(failing)(bench, image, beat, allowed)
    cocotb.log.warning("%d beats, %s", len(beats), dict(bench.faults))
    assert {code.name for code in bench.faults} >= {
        "READ_SLVERR", "WRITE_SLVERR", "READ_DECERR", "WRITE_DECERR"}


def failing(bench: Bench, image, beat: int, allowed: tuple[Fault, ...]) -> None:
    """The list with a beat that fails: the first stop has a code of these, and acknowledged the
    core goes on to the end."""
    where = (beat, beat + bench.core.width - 1)
    data = image.data.copy()
    bench.core.attach({image.base: data}, [where])
    bench.start(image)
    for _ in range(len(image.descriptors) + 1):
        bench.wait(f"a list whose beat at {beat:#x} fails")
        if bench.read("status") & 1:
            break
        code = Fault(bench.read("error"))
        assert code in allowed, f"{beat:#x}: {code.name}, expected one of {allowed}"
        at = bench.read("error_address_low") | bench.read("error_address_high") << 32
        assert at <= where[1] and (code.name.startswith("WRITE") or at >= where[0]), (
            f"{beat:#x}: the address of the error is {at:#x}")
        bench.faults[code] += 1
        bench.core.attach({image.base: data})  # once
        bench.acknowledge()
    assert bench.read("ring_head") == len(image.descriptors)
    bench.compare_outputs(image, data, f"a list whose beat at {beat:#x} fails")
    assert not bench.core.strays


@cocotb.test()
async def windows(dut):
    """Of a descriptor with a byte outside no address reaches the bus."""
    bench, first = random_bench(dut)
    for seed in range(first, first + 4 * Settings.current().length):
        rng = np.random.default_rng(seed)
        image = random_image(rng, bench.config, 4, largest=2)
        ring = BYTES << len(image.descriptors).bit_length()
        limits = Window(image.base, image.base + int(rng.integers(ring, len(image.data))))
        time_it(bench, seed)
        bench.core.target.touched.clear()
        await bridge(bench.run)(image, f"windows {seed}", read=limits, write=limits)
        last = limits.limit // bench.core.width * bench.core.width
        assert all(image.base <= beat <= last for beat in bench.core.target.touched)
    assert bench.faults, "expected that a window is left"


@cocotb.test()
async def resets(dut):
    """Both, in the middle of a list that the bus holds up: it falls quiet, and a list runs."""
    bench, first = random_bench(dut)
    image = reference(bench.config)
    for turn, cycles in enumerate(np.random.default_rng(first).integers(1, 1500, 12)):
        time_it(bench, turn)
        await bridge(interrupted)(bench, image, int(cycles), soft=bool(turn % 2))
    await bridge(bench.run)(image, "after resets")
    assert not bench.faults


def interrupted(bench: Bench, image, cycles: int, *, soft: bool) -> None:
    data = image.data.copy()
    bench.core.attach({image.base: data})
    bench.start(image)
    bench.core.run(cycles)
    if soft:
        bench.forget(f"a soft reset after {cycles} cycles")
    else:
        bench.core.reset()
    bench.compare_outputs(image, data, f"a reset after {cycles} cycles")


@pytest.mark.parametrize("config", BENCHES["core"].configs, ids=repr)
def test_verilator(config):
    run_bench("core", config)
