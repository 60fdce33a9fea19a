# SPDX-License-Identifier: Apache-2.0
"""Statistics: golden against big integers, and the unit against golden, job after job."""

import cocotb
import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from golden.config import Config
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
from hdl.arithmetic.columns import Columns
from hdl.arithmetic.serial import row_cycles
from hdl.arithmetic.squares import add_square, square_digits
from hdl.layouts import measured_layout, outcome_layout
from hdl.packing import Packing, packing
from hdl.scales.layouts import STATISTICS_LAYOUT
from hdl.scales.statistics import StatisticsUnit
from verif.bench.benches import BENCHES, SERIAL, TINY, run_bench
from verif.bench.runner import Settings
from verif.bench.watchdog import watched

STATISTICS = Packing(STATISTICS_LAYOUT)


def jobs(rng, config: Config, count: int):
    """Random jobs: their cycles (row, outcome, valid, first, last), and the statistics that must
    come. Outcomes come with their rows or later."""
    measured, outcome = packing(measured_layout, config), packing(outcome_layout, config)
    latency = StatisticsUnit.latency(config)
    for number in range(count):
        height = int(rng.choice([1, 1, 2, int(rng.integers(1, 20))]))
        bits = int(rng.integers(1, 33))
        values = rng.integers(-(2**31), 2**31, (height, config.cols)) >> (32 - bits)
        if rng.random() < 0.2:
            values[:] = rng.choice([INT32.lo, INT32.hi, 0])
        kept = np.arange(config.cols) < rng.integers(1, config.cols + 1, (height, 1))
        share = 0.3
        if number == 0 and config.dim_width == 4:  # sums as large as any job can make them
            height, share = config.max_dim**2 // config.cols, 1.0
            values = np.full((height, config.cols), INT32.lo)
            kept = np.full((height, config.cols), True)
        clamped, vanished = (rng.random((2, height, config.cols)) < share) & kept
        rows, outcomes = [], []
        for r in range(height):
            if r:
                rows += [not_valid(rng, measured) for _ in range(row_cycles(config) - 1)]
            while rng.random() < 0.2:  # what does not count
                rows.append(not_valid(rng, measured))
            rows.append(measured.pack({
                "signs": bits_of(kept[r] & (values[r] < 0)),
                "magnitudes": np.where(kept[r], abs(values[r]), 0).tolist(),
                "keep": bits_of(kept[r]),
                "first": int(r == 0), "valid": 1}))
            outcomes += [(random_bits(rng, outcome), 0, 1, 1)] * (len(rows) - len(outcomes) - 1)
            outcomes.append((outcome.pack({
                "clamped": bits_of(clamped[r]), "vanished": bits_of(vanished[r])}),
                1, int(r == 0), int(r == height - 1)))
        late = int(rng.integers(4))
        rows += [not_valid(rng, measured)] * (late + latency)
        outcomes = ([(0, 0, 1, 1)] * late + outcomes
                    + [(random_bits(rng, outcome), 0, 1, 1)] * latency)
        yield (list(zip(rows, *zip(*outcomes, strict=True), strict=True)),
               measure(values[kept], clamped.sum(), vanished.sum()))


def bits_of(flags) -> int:
    return sum(int(flag) << i for i, flag in enumerate(flags))


def not_valid(rng, packed: Packing) -> int:
    return random_bits(rng, packed) & ~packed.pack({"valid": 1})


def random_bits(rng, packed: Packing) -> int:
    return int.from_bytes(rng.bytes(packed.width // 8 + 1)) & (1 << packed.width) - 1


@cocotb.test()
async def random_jobs(dut):
    settings = Settings.current()
    rng = np.random.default_rng(settings.seed)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value, dut.valid.value, dut.row.value, dut.clear.value = 1, 0, 0, 0
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    expected, rows = [], []
    for job, statistics in jobs(rng, settings.config, 200 * settings.length):
        rows += job
        expected.append(statistics)
    found = []
    rows += [(0, 0, 0, 0, 0)]
    for row, outcome, valid, first, last in rows:
        dut.row.value, dut.outcome.value, dut.valid.value = row, outcome, valid
        dut.first.value, dut.last.value = first, last
        await FallingEdge(dut.clk)
        if dut.done.value:
            found.append(STATISTICS.unpack(int(dut.result.value)))
            wanted = vars(expected[len(found) - 1])
            assert found[-1] == wanted, (
                f"job {len(found) - 1}: expected {wanted}, got {found[-1]}; "
                f"repeat with: {settings.repeat}")
    assert len(found) == len(expected)
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    await FallingEdge(dut.clk)
    assert STATISTICS.unpack(int(dut.result.value)) == vars(NOTHING)


@pytest.mark.parametrize("config", BENCHES["statistics"].configs, ids=repr)
def test_verilator(config):
    run_bench("statistics", config)


@pytest.mark.parametrize("config", [TINY, SERIAL], ids=repr)
def test_amaranth_simulator(config):
    dut = StatisticsUnit(config)
    expected, rows, found = [], [], []
    for job, statistics in jobs(np.random.default_rng(4), config, 60):
        rows += job
        expected.append(vars(statistics))

    async def bench(ctx):
        for row, outcome, valid, first, last in [*rows, (0, 0, 0, 0, 0)]:
            ctx.set(dut.row, measured_layout(config).from_bits(row))
            ctx.set(dut.outcome, outcome_layout(config).from_bits(outcome))
            ctx.set(dut.valid, valid)
            ctx.set(dut.first, first)
            ctx.set(dut.last, last)
            await ctx.tick()
            if ctx.get(dut.done):
                found.append(STATISTICS.unpack(ctx.get(dut.result).as_bits()))

    watched(dut, bench, cycles=len(rows) + 1)
    assert found == expected


@pytest.mark.parametrize("width", [2, 4, 6, 8])
def test_squares_of_every_word(width):
    """Two squares at once, through the carry-save tree: every word with its neighbour."""
    m, x, y = Module(), Signal(signed(width)), Signal(signed(width))
    columns, total = Columns(2 * width + 1), Signal(2 * width + 1)
    columns.add_constant(sum(add_square(m, columns, word, square_digits(word), name)
                             for word, name in ((x, "x"), (y, "y"))))
    m.d.comb += total.eq(sum(columns.reduced(m, None, 2, "tree").rows))

    async def bench(ctx):
        for value in range(-(1 << width - 1), 1 << width - 1):
            ctx.set(x, value)
            ctx.set(y, ~value)
            assert ctx.get(total) == value**2 + (~value)**2

    watched(m, bench)


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
