# SPDX-License-Identifier: Apache-2.0
"""Statistics: golden against big integers, and the unit against golden, job after job."""

import cocotb
import numpy as np
import pytest
from amaranth.sim import Simulator
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from golden.config import Config, preset
from golden.formats import INT32
from golden.statistics import (
    COUNT_WIDTH,
    LARGEST_WIDTH,
    MAX_ELEMENTS,
    NOTHING,
    SUM_ABS_WIDTH,
    SUM_SQUARES_WIDTH,
    measure,
)
from hdl.layouts import measured_layout
from hdl.statistics import STATISTICS_LAYOUT, StatisticsUnit
from verif.benches import BENCHES, run_bench
from verif.runner import Settings


def jobs(rng, config: Config, count: int):
    """Random jobs: their rows (payload, valid, first, last), and the statistics that must come."""
    layout = measured_layout(config)
    for _ in range(count):
        height = int(rng.choice([1, 1, 2, int(rng.integers(1, 20))]))
        bits = int(rng.integers(1, 33))
        values = rng.integers(-(2**31), 2**31, (height, config.cols)) >> (32 - bits)
        if rng.random() < 0.2:
            values[:] = rng.choice([INT32.lo, INT32.hi, 0])
        clamped, vanished = rng.random((2, height, config.cols)) < 0.3
        kept = np.arange(config.cols) < rng.integers(1, config.cols + 1, (height, 1))
        rows = []
        for r in range(height):
            while rng.random() < 0.2:  # rows that do not count
                rows.append((int.from_bytes(rng.bytes(layout.size // 8)), 0, 1, 1))
            rows.append((layout.const({
                "lanes": [{"magnitude": abs(int(v)), "negative": int(v < 0), "clamped": int(c),
                           "vanished": int(z)}
                          for v, c, z in zip(values[r], clamped[r], vanished[r], strict=True)],
                "keep": sum(int(k) << i for i, k in enumerate(kept[r])),
            }).as_bits(), 1, int(r == 0), int(r == height - 1)))
        yield rows, measure(values[kept], clamped[kept].sum(), vanished[kept].sum())


def unpack(bits: int) -> dict:
    return {name: int(getattr(STATISTICS_LAYOUT.from_bits(bits), name))
            for name, _ in STATISTICS_LAYOUT}


@cocotb.test()
async def random_jobs(dut):
    settings = Settings.current()
    rng = np.random.default_rng(settings.seed)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value, dut.valid.value = 1, 0
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    expected, rows = [], []
    for job, statistics in jobs(rng, settings.config, 200 * settings.length):
        rows += job
        expected.append(statistics)
    found = []
    rows += [(0, 0, 0, 0)] * (StatisticsUnit.latency + 1)
    for payload, valid, first, last in rows:
        dut.row.value, dut.valid.value = payload, valid
        dut.first.value, dut.last.value = first, last
        await FallingEdge(dut.clk)
        if dut.done.value:
            found.append(unpack(int(dut.result.value)))
            wanted = vars(expected[len(found) - 1])
            assert found[-1] == wanted, (
                f"job {len(found) - 1}: expected {wanted}, got {found[-1]}; "
                f"repeat with: {settings.repeat}")
    assert len(found) == len(expected)


@pytest.mark.parametrize("config", BENCHES["statistics"].configs, ids=repr)
def test_verilator(config):
    run_bench("statistics", config)


def test_amaranth_simulator():
    config = preset("tiny")
    dut = StatisticsUnit(config)
    expected, rows, found = [], [], []
    for job, statistics in jobs(np.random.default_rng(4), config, 60):
        rows += job
        expected.append(vars(statistics))

    async def bench(ctx):
        for payload, valid, first, last in rows + [(0, 0, 0, 0)] * (StatisticsUnit.latency + 1):
            ctx.set(dut.row, measured_layout(config).from_bits(payload))
            ctx.set(dut.valid, valid)
            ctx.set(dut.first, first)
            ctx.set(dut.last, last)
            await ctx.tick()
            if ctx.get(dut.done):
                found.append(unpack(ctx.get(dut.result).as_bits()))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == expected


@pytest.mark.parametrize("seed", range(20))
def test_measure_equals_big_integers(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2**31), 2**31, int(rng.integers(1, 3000))) >> int(rng.integers(0, 32))
    x[rng.random(x.size) < 0.1] = INT32.lo
    values = x.tolist()
    found = measure(x, 3, 4)
    assert (found.count, found.low, found.high) == (len(values), min(values), max(values))
    assert found.largest == max(map(abs, values))
    assert found.sum_abs == sum(map(abs, values))
    assert found.sum_squares == sum(v * v for v in values)
    assert (found.saturated, found.underflowed) == (3, 4)


def test_no_elements():
    assert measure(np.zeros((0, 3), np.int64)) == NOTHING


def test_widths_hold_the_largest_tensor():
    """2**32 elements of the largest magnitude fit, and one bit less would not do."""
    for width, most in ((COUNT_WIDTH, MAX_ELEMENTS), (LARGEST_WIDTH, 2**31),
                        (SUM_ABS_WIDTH, MAX_ELEMENTS * 2**31),
                        (SUM_SQUARES_WIDTH, MAX_ELEMENTS * 2**62)):
        assert 2 ** (width - 1) <= most < 2**width
