# SPDX-License-Identifier: Apache-2.0
"""The tile: random blocks, idle and backpressure, against the golden GEMM."""

from itertools import product

import cocotb
import numpy as np
import pytest

from golden.config import Config
from golden.formats import A_FORMATS, INT4, UINT4, max_product
from golden.gemm import gemm
from hdl.layouts import BFormat, beat_layout, row_layout
from hdl.tile.mac_tile import MacTile
from verif.bench.benches import BENCHES, run_bench
from verif.bench.stimuli import operand_beats, random_codes
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench


def block(rng, config: Config, k: int):
    """A random block: the payloads of its beats, and the rows that must come."""
    a_fmt = A_FORMATS[rng.integers(len(A_FORMATS))]
    b_fmt = (INT4, *config.log_formats)[rng.integers(1 + len(config.log_formats))]
    rows = int(rng.integers(1, config.rows + 1))
    a = random_codes(rng, a_fmt, (config.rows, k))
    b = random_codes(rng, b_fmt, (config.cols, k))
    layouts = beat_layout(config)
    beats = []
    pairs = list(zip(operand_beats(a, config, config.rows, rng),
                     operand_beats(b, config, config.cols, rng), strict=True))
    for i, (a_beat, b_beat) in enumerate(pairs):
        beats.append(layouts.const({
            "a": layouts["a"].shape.from_bits(a_beat),
            "b": layouts["b"].shape.from_bits(b_beat),
            "a_signed": int(a_fmt.signed),
            "b_format": BFormat.of(b_fmt),
            "lanes": (1 << min(config.lanes, k - i * config.lanes)) - 1,
            "rows": rows if i == len(pairs) - 1 else int(rng.integers(config.rows + 1)),
            "first": int(i == 0),
            "last": int(i == len(pairs) - 1),
        }).as_bits())
    result = gemm(a, a_fmt, b, b_fmt)
    expected = [(result[r].tolist(), r == rows - 1) for r in range(rows)]
    return beats, expected, (a_fmt.name, b_fmt.name, k, rows)


class TileBench(StreamBench):
    def __init__(self, dut, idle: float, pause: float):
        super().__init__(dut)
        self.config = self.settings.config
        self.rng = np.random.default_rng(self.settings.seed)
        self.source = Source(dut, "i", self.rng, idle)
        self.board = Scoreboard(self.settings, "row")
        self.sink = Sink(dut, "o", self.rng, self._check, pause)
        self.sources, self.sinks = [self.source], [self.sink]
        dut.clear.value = 0

    def _check(self, payload: int):
        row = row_layout(self.config).from_bits(payload)
        self.board.check(([row["values"][c] for c in range(self.config.cols)], bool(row.last)))

    def add(self, k: int):
        beats, expected, inputs = block(self.rng, self.config, k)
        self.source.queue.extend(beats)
        for row in expected:
            self.board.expect(row, inputs)
        return len(beats)


@cocotb.test()
async def random_blocks(dut):
    """Ragged blocks of every mode with idle sources and a pausing sink."""
    for idle, pause in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.6), (0.4, 0.4)):
        bench = TileBench(dut, idle, pause)
        await bench.reset()
        for _ in range(40 * bench.settings.length):
            bench.add(int(bench.rng.integers(1, 5 * bench.config.lanes)))
        await bench.run(lambda bench=bench: bench.board.done)
        assert dut.overflow.value == 0


@cocotb.test()
async def full_speed(dut):
    """Blocks of at least `rows` beats never wait for draining; the latency is as documented."""
    bench = TileBench(dut, 0.0, 0.0)
    await bench.reset()
    beats = sum(bench.add(bench.config.rows * bench.config.lanes) for _ in range(10))
    await bench.run(lambda: bench.source.taken == beats)
    assert bench.cycle == beats, f"{beats} beats took {bench.cycle} cycles"
    rows = bench.sink.taken
    await bench.run(lambda: bench.sink.taken > rows)
    await bench.run(lambda: bench.board.done)
    single = TileBench(dut, 0.0, 0.0)
    await single.reset()
    single.add(1)
    await single.run(lambda: single.sink.taken == 1)
    assert single.cycle == 1 + MacTile.latency(single.config)


@cocotb.test()
async def overflow_is_sticky(dut):
    """In each cell alone, in both directions: not a beat too early, sticky, cleared on request."""
    bench = TileBench(dut, 0.2, 0.0)
    config = bench.config
    await bench.reset()
    bench.sink.check = lambda payload: None
    fmt = config.log_formats[0]
    layout = beat_layout(config)
    k = config.max_k(UINT4, fmt)
    fit = k // config.lanes
    # where a job's dimensions bind, a longer block may be flagged or fit
    lengths = (fit, fit + 1) if k < config.max_dim else (fit,)
    cases = list(product(range(config.rows), range(config.cols), (7, 15)))
    for r, c, top in cases if fit < 100 else cases[-1:]:  # wide accumulators take long to fill
        beat = {"a": [[15 * (i == r)] * config.lanes for i in range(config.rows)],
                "b": [[top * (i == c)] * config.lanes for i in range(config.cols)],
                "a_signed": 0, "b_format": BFormat.of(fmt), "lanes": (1 << config.lanes) - 1,
                "rows": config.rows}
        for beats in lengths:
            bench.source.queue.extend(
                layout.const({**beat, "first": int(i == 0), "last": int(i == beats - 1)}).as_bits()
                for i in range(beats))
            await bench.run(lambda: not bench.source.queue)
            await bench.run(lambda: False, limit=MacTile.latency(config) + config.rows)
            assert dut.overflow.value == int(beats > fit), (r, c, top, beats)
        dut.clear.value = 1
        await bench.run(lambda: False, limit=1)
        dut.clear.value = 0
        await bench.run(lambda: False, limit=1)
        assert dut.overflow.value == 0


@cocotb.test()
async def overflow_outranks_clear(dut):
    """An overflow in the cycle of a clear is not lost."""
    bench = TileBench(dut, 0.0, 0.0)
    config = bench.config
    await bench.reset()
    bench.sink.check = lambda payload: None
    fmt = config.log_formats[0]
    layout = beat_layout(config)
    beats = 2 ** (config.accumulator_width - 1) // (config.lanes * max_product(UINT4, fmt)) + 1
    top = {"a": [[15] * config.lanes] * config.rows, "b": [[7] * config.lanes] * config.cols,
           "a_signed": 0, "b_format": BFormat.of(fmt), "lanes": (1 << config.lanes) - 1,
           "rows": config.rows}
    bench.source.queue.extend(
        layout.const({**top, "first": int(i == 0), "last": int(i == beats - 1)}).as_bits()
        for i in range(beats))
    dut.clear.value = 1
    await bench.run(lambda: dut.overflow.value == 1, limit=beats + 20)
    assert dut.overflow.value == 1


@pytest.mark.parametrize("config", BENCHES["mac_tile"].configs, ids=repr)
def test_verilator(config):
    run_bench("mac_tile", config)
