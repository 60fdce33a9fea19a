# SPDX-License-Identifier: Apache-2.0
"""The tile: random blocks, idle and backpressure, against the golden GEMM."""

from itertools import product

import cocotb
import numpy as np
import pytest

from golden.config import TARGETS, Config
from golden.formats import A_FORMATS, B_FORMATS, INT4, INT4_SYM, UINT4, LogFormat, max_product
from golden.gemm import gemm, mac_values
from hdl.layouts import BFormat, beat_layout, row_layout
from hdl.packing import packing
from hdl.tile.mac_cell import held_width, partial_worth
from hdl.tile.mac_tile import MacTile
from verif.bench.benches import BENCHES, run_bench
from verif.bench.stimuli import operand_beats, random_codes
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench


def block(rng, config: Config, k: int):
    """A random block: the payloads of its beats, and the rows that must come."""
    a_fmt = A_FORMATS[rng.integers(len(A_FORMATS))]
    b_fmt = (INT4, *config.log_formats)[rng.integers(1 + len(config.log_formats))]
    rows = int(rng.integers(1, config.rows + 1))
    cols = int(rng.integers(1, config.cols + 1))
    a = random_codes(rng, a_fmt, (rows, k))
    b = random_codes(rng, b_fmt, (cols, k))
    return (block_beats(rng, config, a, a_fmt, b, b_fmt), result_rows(config, a, a_fmt, b, b_fmt),
            (a_fmt.name, b_fmt.name, k, rows, cols))


def block_beats(rng, config: Config, a, a_fmt, b, b_fmt, absent: int | None = None) -> list[int]:
    """A block's beats. Rows and columns that do not exist, and lanes beyond K, hold the code
    `absent`, or random ones."""
    (rows, k), cols = a.shape, len(b)
    beats = []
    pairs = list(zip(operand_beats(a, config, config.rows, rng, absent),
                     operand_beats(b, config, config.cols, rng, absent), strict=True))
    for i, (a_beat, b_beat) in enumerate(pairs):
        beats.append(packing(beat_layout, config).pack({
            "a": a_beat,
            "b": b_beat,
            "a_signed": int(a_fmt.signed),
            "b_format": BFormat.of(b_fmt),
            "lanes": (1 << min(config.lanes, k - i * config.lanes)) - 1,
            "rows": rows if i == len(pairs) - 1 else int(rng.integers(config.rows + 1)),
            "cols": cols,
            "first": int(i == 0),
            "last": int(i == len(pairs) - 1),
        }))
    return beats


def alike(config: Config, beat: dict, count: int) -> list[int]:
    """A block of so many beats that differ in `first` and `last` alone."""
    packed = packing(beat_layout, config)
    middle = packed.pack(beat)
    return [middle | packed.pack({"first": int(i == 0), "last": int(i == count - 1)})
            for i in range(count)]


def result_rows(config: Config, a, a_fmt, b, b_fmt) -> list:
    """The rows that must come: a column that does not exist counts as zero."""
    result = np.zeros((len(a), config.cols), np.int64)
    result[:, :len(b)] = gemm(a, a_fmt, b, b_fmt)
    return [(row.tolist(), r == len(a) - 1) for r, row in enumerate(result)]


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
        row = packing(row_layout, self.config).unpack(payload)
        self.board.check((row["values"], bool(row["last"])))

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
    k = config.max_k(UINT4, fmt)
    fit = k // config.lanes
    # where a job's dimensions bind, a longer block may be flagged or fit
    lengths = (fit, fit + 1) if k < config.max_dim else (fit,)
    cases = list(product(range(config.rows), range(config.cols), (7, 15)))
    for r, c, top in cases if fit < 100 else cases[-1:]:  # wide accumulators take long to fill
        beat = {"a": [[15 * (i == r)] * config.lanes for i in range(config.rows)],
                "b": [[top * (i == c)] * config.lanes for i in range(config.cols)],
                "a_signed": 0, "b_format": BFormat.of(fmt), "lanes": (1 << config.lanes) - 1,
                "rows": config.rows, "cols": config.cols}
        for beats in lengths:
            bench.source.queue.extend(alike(config, beat, beats))
            await bench.run(lambda: not bench.source.queue)
            await bench.run(lambda: False, limit=MacTile.latency(config) + config.rows)
            assert dut.overflow.value == int(beats > fit), (r, c, top, beats)
        await clear(bench)


@cocotb.test()
async def overflow_outranks_clear(dut):
    """An overflow in the cycle of a clear is not lost."""
    bench = TileBench(dut, 0.0, 0.0)
    config = bench.config
    await bench.reset()
    bench.sink.check = lambda payload: None
    fmt = config.log_formats[0]
    beats = 2 ** (config.accumulator_width - 1) // (config.lanes * max_product(UINT4, fmt)) + 1
    top = {"a": [[15] * config.lanes] * config.rows, "b": [[7] * config.lanes] * config.cols,
           "a_signed": 0, "b_format": BFormat.of(fmt), "lanes": (1 << config.lanes) - 1,
           "rows": config.rows, "cols": config.cols}
    bench.source.queue.extend(alike(config, top, beats))
    dut.clear.value = 1
    await bench.run(lambda: dut.overflow.value == 1, limit=beats + 20)
    assert dut.overflow.value == 1


@cocotb.test()
async def a_sum_that_has_wrapped_is_remembered(dut):
    """However small a sum looks after it has wrapped, the block is flagged; the next is not."""
    bench = TileBench(dut, 0.0, 0.0)
    config, rng = bench.config, bench.rng
    await bench.reset()
    fmt = config.log_formats[0]
    beats = -(-2 ** held_width(config) // (config.lanes * max_product(UINT4, fmt)))
    if beats > LONGEST:
        return
    a = np.full((config.rows, (beats + 2) * config.lanes), 15)
    a[:, beats * config.lanes:] = 0
    b = np.full((config.cols, a.shape[1]), 7)
    await alone(bench, block_beats(rng, config, a, UINT4, b, fmt), None, None)
    assert dut.overflow.value == 1, f"overflow: expected 1 for {beats} beats of 15 and two of 0"
    await clear(bench)
    a = a[:, -config.lanes:]
    expected = result_rows(config, a, UINT4, b[:, :config.lanes], fmt)
    await alone(bench, block_beats(rng, config, a, UINT4, b[:, :config.lanes], fmt), expected, a)
    assert dut.overflow.value == 0


LONGEST = 1024  # beats of a block that is worth a bench's time


@cocotb.test()
async def every_pair_at_its_max_k(dut):
    """Every pair of formats, all codes at an extreme, whatever is ignored: at `max_k` the sums are
    right and nothing is flagged; one step beyond, what does not fit is."""
    bench = TileBench(dut, 0.0, 0.0)
    config, rng = bench.config, bench.rng
    await bench.reset()
    limit = 2 ** (config.accumulator_width - 1)
    for a_fmt, b_fmt in product(A_FORMATS, b_formats(config)):
        most = config.max_k(a_fmt, b_fmt)
        if most > LONGEST * config.lanes:
            continue  # `DRAWN` reaches the bound of every pair
        for a_code, b_code in product((a_fmt.lo, a_fmt.hi), extremes(b_fmt)):
            reach = int(mac_values(a_code, a_fmt) * mac_values(b_code, b_fmt))
            fits = -limit <= reach * (most + 1) < limit
            for k in (most,) if fits else (most, most + 1):
                beats, expected, inputs = corner(rng, config, k, a_fmt, a_code, b_fmt, b_code)
                await alone(bench, beats, expected if k == most else None, inputs)
                flag = int(k > most)
                assert dut.overflow.value == flag, f"overflow: expected {flag} for {inputs}"
                await clear(bench)


@cocotb.test()
async def what_does_not_exist_raises_no_flag(dut):
    """Where all results are zero, rows and columns that do not exist may hold anything for ever."""
    bench = TileBench(dut, 0.0, 0.0)
    config, rng = bench.config, bench.rng
    await bench.reset()
    for b_fmt in b_formats(config):
        k = 3 * 2 ** held_width(config) // partial_worth(b_fmt)
        if k > LONGEST * config.lanes:
            continue
        # no digit is negative, so the zero cell's sum is zero too: once that one is lost, nobody
        # can tell what any sum was
        most = 7 if isinstance(b_fmt, LogFormat) else 5
        for a_code, b_code in product((0, 15), (0, most)):
            if a_code * b_code:
                continue
            for _ in range(4):
                beats, expected, inputs = corner(rng, config, k, UINT4, a_code, b_fmt, b_code)
                await alone(bench, beats, expected, inputs)
                assert dut.overflow.value == 0, f"overflow: expected 0 for {inputs}"


def b_formats(config: Config) -> list:
    return [f for f in B_FORMATS if not isinstance(f, LogFormat) or f in config.log_formats]


def extremes(b_fmt) -> tuple[int, int]:
    return (7, 15) if isinstance(b_fmt, LogFormat) else (b_fmt.lo, b_fmt.hi)


def corner(rng, config: Config, k: int, a_fmt, a_code: int, b_fmt, b_code: int):
    """A block of equal codes among the most hostile or random ones: as `block`."""
    rows, cols = (int(rng.integers(1, most + 1)) for most in (config.rows, config.cols))
    absent = (None, 8, 7, 15)[rng.integers(4)]
    more = max(-(-k // config.lanes) - 3, 0)  # beats like the second
    short = k - more * config.lanes
    beats = block_beats(rng, config, np.full((rows, short), a_code), a_fmt,
                        np.full((cols, short), b_code), b_fmt, absent)
    beats[1:1] = beats[1:2] * more
    result = k * int(mac_values(a_code, a_fmt) * mac_values(b_code, b_fmt))
    values = [result] * cols + [0] * (config.cols - cols)
    inputs = (config, a_fmt.name, a_code, b_fmt.name, b_code, k, rows, cols, absent)
    return beats, [(values, r == rows - 1) for r in range(rows)], inputs


async def alone(bench: TileBench, beats: list[int], expected: list | None, inputs):
    """One block until its last row has come; its rows are checked if they are `expected`."""
    if expected is not None:
        for row in expected:
            bench.board.expect(row, inputs)
    check, taken = bench.sink.check, bench.sink.taken
    bench.sink.check = check if expected is not None else lambda payload: None
    bench.source.queue.extend(beats)
    await bench.run(lambda: bench.sink.taken > taken)
    await bench.run(lambda: False, limit=bench.config.rows)
    bench.sink.check = check
    assert bench.board.done


async def clear(bench: TileBench):
    bench.dut.clear.value = 1
    await bench.run(lambda: False, limit=1)
    bench.dut.clear.value = 0
    await bench.run(lambda: False, limit=1)
    assert bench.dut.overflow.value == 0


def draw(rng, accumulator_width: int) -> Config:
    """A small configuration in which the accumulators bound K, to `LONGEST` beats at most."""
    while True:
        rows, cols, lanes = (2 ** int(rng.integers(bits + 1)) for bits in (2, 1, 6))
        config = Config(
            rows, cols, lanes, accumulator_width, dim_width=int(rng.integers(4, 17)),
            radices=((4, 2), (2, 4), (4,), (2,))[rng.integers(4)],
            pipeline=int(rng.integers(1, 4)), target=TARGETS[rng.integers(2)])
        bounds = [config.max_k(*pair) for pair in product(A_FORMATS, b_formats(config))]
        bound = config.max_k(INT4_SYM, config.log_formats[0]) < config.max_dim
        if bound and max(bounds) <= LONGEST * lanes and config.macs_per_cycle <= 128:
            return config


SEED = 16
RNG = np.random.default_rng(SEED)
DRAWN = (Config(1, 1, 1, accumulator_width=20, dim_width=5),
         *(draw(RNG, bits) for bits in (20, 24, int(RNG.integers(20, 32)), 31)))


@pytest.mark.parametrize("config", BENCHES["mac_tile"].configs, ids=repr)
def test_verilator(config):
    run_bench("mac_tile", config)


@pytest.mark.parametrize("config", DRAWN, ids=repr)
def test_drawn_configurations(config):
    print(f"seed {SEED}: {config}")
    run_bench("mac_tile", config)
