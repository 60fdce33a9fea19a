# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: every format with corners and random rows, against the golden datapath."""

from functools import partial

import cocotb
import numpy as np
import pytest

from golden import random_words
from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import INT32, LogFormat
from golden.rescale import Rescale, rescale
from hdl.arithmetic.serial import row_cycles
from hdl.layouts import outcome_layout, rescale_layout, result_layout
from hdl.packing import packing
from hdl.rescaler.rescale import RescaleUnit
from verif.bench.benches import BENCHES, TINY, run_bench
from verif.bench.corners import corners, random_corners
from verif.bench.stimuli import output_formats, random_rescale, result_words
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench
from verif.bench.watchdog import watched

CORNERS = [INT32.lo, INT32.lo + 1, -1, 0, 1, INT32.hi - 1, INT32.hi]


def rows(rng, config: Config, count: int):
    """Rows of inputs with their parameters: (payload, expected (words, mask, saturated), shown)."""
    fmts = output_formats(config)
    number = 0  # of the row, since the first of its job
    for i in range(count):
        fmt = fmts[i % len(fmts)]
        bits = int(rng.integers(1, 33))
        values = rng.integers(-(2**31), 2**31, config.cols) >> (32 - bits)
        values = np.where(rng.random(config.cols) < 0.2, rng.choice(CORNERS, config.cols), values)
        bias = rng.integers(-(2**31), 2**31, config.cols) >> int(rng.integers(0, 32))
        bias = bias if rng.random() < 0.5 else np.zeros(config.cols, np.int64)
        mask = rng.random(config.cols) < 0.8
        keep = (1 << int(rng.integers(1, config.cols + 1))) - 1
        job = random_rescale(rng, config, fmt, 2 ** (bits - 1))
        if rng.random() < 0.3:  # ties: a power of two and half-way values
            shift = int(rng.integers(1, 12))
            zero_point = job.zero_point if abs(job.zero_point) < 100 else 0
            job = Rescale(fmt, Dyadic(2**15, 15 + shift), zero_point, job.seed)
            values = (2 * rng.integers(-40, 40, config.cols) + 1) << (shift - 1)
        first = i == 0 or rng.random() < 0.3
        number = 0 if first else number + 1
        words = None if job.seed is None else (
            random_words.words(job.seed, [number], config.cols)[0])
        yield row(config, values, bias, mask, keep, first, i % 2, job, words)


def first_words(config: Config, seed: int):
    """The random words of a job's first row."""
    return random_words.words(seed, [0], config.cols)[0]


def corner_rows(config: Config, cases):
    """As `rows`: directed corners, as many inputs to a row as there are columns."""
    nothing, everything = np.zeros(config.cols, np.int64), np.ones(config.cols, bool)
    keep = (1 << config.cols) - 1
    for job, inputs in cases:
        words = None if job.seed is None else first_words(config, job.seed)
        for start in range(0, len(inputs), config.cols):
            values = np.resize(inputs[start:start + config.cols], config.cols)
            yield row(config, values, nothing, everything, keep, 1, 0, job, words)


def row(config, values, bias, mask, keep, first, last, job: Rescale, words=None):
    """One row as a payload, with what must come of it."""
    payload = packing(rescale_layout, config).pack({
        "values": values.tolist(), "bias": bias.tolist(),
        "mask": sum(int(b) << i for i, b in enumerate(mask)),
        "params": {"format": job.fmt.encoding, "multiplier": job.scale.multiplier,
                   "shift": job.scale.shift, "zero_point": job.zero_point,
                   "stochastic": int(job.seed is not None), "seed": job.seed or 0},
        "tag": {"keep": keep, "first": int(first), "last": last},
    })
    kept = np.array([bool(keep >> c & 1) for c in range(config.cols)])
    expected = rescale(values, job, bias=bias, mask=mask & kept, words=words)
    counted = rescale(values[kept], job, bias=bias[kept], mask=mask[kept],
                      words=None if words is None else words[kept]).statistics
    words, clip = result_words(expected)
    total = values.astype(np.int64) + bias
    saturated = bool(((total < INT32.lo) | (total > INT32.hi))[kept].any())
    clip_bits = sum(int(b) << i for i, b in enumerate(clip))
    found = (words.tolist(), clip_bits, keep, last, counted.saturated, counted.underflowed)
    return payload, found, saturated, (values, bias, mask, job)


def unpack(config, payload, outcome):
    """A row as `row` expects it; how many results were clamped and how many vanished with it."""
    result = packing(result_layout, config).unpack(payload)
    counts = packing(outcome_layout, config).unpack(outcome)
    return (result["data"], result["mask"], result["tag"]["keep"], result["tag"]["last"],
            counts["clamped"].bit_count(), counts["vanished"].bit_count())


class RescaleBench(StreamBench):
    def __init__(self, dut, idle, pause):
        super().__init__(dut)
        self.config = self.settings.config
        self.rng = np.random.default_rng(self.settings.seed)
        self.source = Source(dut, "i", self.rng, idle)
        self.board = Scoreboard(self.settings, "row")
        self.sink = Sink(dut, "o", self.rng, lambda payload: self.board.check(
            unpack(self.config, payload, int(dut.outcome.value))), pause)
        self.sources, self.sinks = [self.source], [self.sink]
        dut.clear.value = 0

    def add(self, payload, expected, saturated, inputs):
        self.source.queue.append(payload)
        self.board.expect(expected, inputs)
        return saturated


@cocotb.test()
async def random_rows(dut):
    """Parameters that change with every row, idle sources, a pausing sink."""
    for idle, pause in ((0.0, 0.0), (0.3, 0.5)):
        bench = RescaleBench(dut, idle, pause)
        await bench.reset()
        for case in rows(bench.rng, bench.config, 500 * bench.settings.length):
            bench.add(*case)
        await bench.run(lambda bench=bench: bench.board.done)


@cocotb.test()
async def directed_corners(dut):
    """What random rows hardly ever meet (see `verif.bench.corners`)."""
    bench = RescaleBench(dut, 0.0, 0.0)
    await bench.reset()
    for case in corner_rows(bench.config, corners(bench.config)):
        bench.add(*case)
    await bench.run(lambda: bench.board.done)


@cocotb.test()
async def corners_of_random_words(dut):
    """The same of stochastic rounding."""
    bench = RescaleBench(dut, 0.0, 0.0)
    await bench.reset()
    draw = partial(first_words, bench.config)
    for case in corner_rows(bench.config, random_corners(bench.config, draw)):
        bench.add(*case)
    await bench.run(lambda: bench.board.done)


@cocotb.test()
async def saturation_flag(dut):
    """acc + bias beyond 32 bits sets the sticky flag; a column that does not exist cannot."""
    bench = RescaleBench(dut, 0.0, 0.0)
    config = bench.config
    await bench.reset()
    quiet = [case for case in rows(bench.rng, config, 40) if not case[2]]
    for case in quiet:
        bench.add(*case)
    high = np.full(config.cols, INT32.hi)
    hidden = np.zeros(config.cols, np.int64)
    hidden[-1] = 1
    ones = np.ones(config.cols, bool)
    without_last = (1 << config.cols - 1) - 1
    bench.add(*row(config, high, hidden, ones, without_last, 0, 0, Rescale()))
    await bench.run(lambda: bench.board.done)
    assert dut.saturated.value == 0
    bench.add(*row(config, high, hidden, ones, (1 << config.cols) - 1, 0, 0,
                  Rescale()))
    await bench.run(lambda: bench.board.done)
    assert dut.saturated.value == 1
    dut.clear.value = 1
    await bench.run(lambda: False, limit=2)
    assert dut.saturated.value == 0


@cocotb.test()
async def full_speed(dut):
    """As many rows as documented; the latency is as documented."""
    bench = RescaleBench(dut, 0.0, 0.0)
    await bench.reset()
    for case in rows(bench.rng, bench.config, 64):
        bench.add(*case)
    await bench.run(lambda: bench.board.done)
    latency = RescaleUnit.latency(bench.config)
    assert bench.cycle == 63 * row_cycles(bench.config) + 1 + latency


@pytest.mark.parametrize("config", BENCHES["rescale"].configs, ids=repr)
def test_verilator(config):
    run_bench("rescale", config)


def test_amaranth_simulator():
    """The second simulator agrees, row by row."""
    config = TINY
    dut = RescaleUnit(config)
    cases = list(rows(np.random.default_rng(7), config, 300))
    assert {type(case[3][3].fmt) is LogFormat for case in cases} == {True, False}
    results = []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for cycle in range(len(cases) + RescaleUnit.latency(config)):
            if cycle < len(cases):
                ctx.set(dut.i.payload, rescale_layout(config).from_bits(cases[cycle][0]))
            else:
                ctx.set(dut.i.valid, 0)
            if ctx.get(dut.o.valid):
                results.append(unpack(config, ctx.get(dut.o.payload).as_bits(),
                                      ctx.get(dut.outcome).as_bits()))
            await ctx.tick()

    watched(dut, bench, cycles=len(cases) + RescaleUnit.latency(config))
    assert results == [case[1] for case in cases]
