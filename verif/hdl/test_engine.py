# SPDX-License-Identifier: Apache-2.0
"""The engine: jobs back to back with idle and backpressure, resets, bad descriptors, errors."""

import cocotb
import numpy as np
import pytest

from driver.descriptor import descriptor, unpack_report
from golden.adaptive import Adapt, Entry, Use
from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, INT32, UINT4, max_product
from golden.gradscale import GradScale
from golden.rescale import Rescale
from golden.solver import EXPONENT_WIDTH, SolveMode
from hdl.arithmetic.serial import row_cycles
from hdl.engine.engine import Engine
from hdl.engine.job import Op, job_layout
from hdl.layouts import BFormat
from hdl.scales.layouts import ADAPT_LAYOUT
from verif.bench.benches import BENCHES, run_bench
from verif.bench.stimuli import engine_beats, operand_beats, random_codes, random_job, result_row
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench
from verif.bench.watchdog import watched

INPUTS = ("job", "a", "b", "x", "bias", "mask")


class EngineBench(StreamBench):
    def __init__(self, dut, idle: float, pause: float):
        super().__init__(dut)
        self.config = self.settings.config
        self.rng = np.random.default_rng(self.settings.seed)
        self.source = {name: Source(dut, name, self.rng, idle) for name in INPUTS}
        self.board = Scoreboard(self.settings, "result row")
        self.sink = Sink(dut, "result", self.rng,
                         lambda payload: self.board.check(result_row(payload, self.config)), pause)
        self.reports = Scoreboard(self.settings, "report")
        self.report_sink = Sink(
            dut, "report", self.rng,
            lambda payload: self.reports.check(unpack_report(payload)), pause)
        self.sources, self.sinks = [*self.source.values()], [self.sink, self.report_sink]
        self.golden = GoldenBackend(self.config)
        dut.clear.value = 0

    async def reset(self):
        await super().reset()
        self.golden = GoldenBackend(self.config)
        self.board.expected.clear()
        self.reports.expected.clear()

    def add(self, job: Job, ignored: int = 0):
        """Run a job; `ignored` are bits of its descriptor that must have no effect."""
        beats = engine_beats(job, self.golden, self.rng)
        self.source["job"].queue.append(descriptor(job, self.config) | ignored)
        for name in INPUTS[1:]:
            self.source[name].queue.extend(beats[name])
        shown = (job.shape, job.then, job.a_fmt and job.a_fmt.name, job.b_fmt and job.b_fmt.name)
        for row in beats["result"]:
            self.board.expect(row, shown)
        for report in beats["report"]:
            self.reports.expect(report, (*shown, job.adapt))

    async def finish(self):
        await self.run(lambda: self.board.done and self.reports.done)
        left = {name: len(source.queue) for name, source in self.source.items() if source.queue}
        assert not left, f"beats left untaken: {left}"


@cocotb.test()
async def random_jobs(dut):
    """Jobs back to back, every stream with its own idle cycles, results with backpressure."""
    for idle, pause in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.6), (0.3, 0.3)):
        bench = EngineBench(dut, idle, pause)
        await bench.reset()
        for _ in range(40 * bench.settings.length):
            bench.add(random_job(bench.rng, bench.config))
        await bench.finish()


@cocotb.test()
async def reset_at_every_cycle(dut):
    """Reset at each cycle of a reference job leaves nothing behind: the rerun is bit-exact."""
    bench = EngineBench(dut, 0.0, 0.0)
    config, rng = bench.config, np.random.default_rng(5)
    # ragged, with every stream in use, measured and quick to solve; two blocks each way, or, where
    # a row takes its time and the resets the square of it, one column
    m = min(config.rows + 1, config.max_dim)
    n = 1 if config.serial else min(config.cols + 1, config.max_dim)
    k = min(config.lanes + 1, config.max_k(UINT4, config.log_formats[0]))
    job = Job.gemm(
        random_codes(rng, UINT4, (m, k)), UINT4, random_codes(rng, config.log_formats[0], (n, k)),
        config.log_formats[0], Rescale(config.log_formats[0], Dyadic(2**15, 20)),
        bias=rng.integers(-99, 99, n), mask=rng.random((m, n)) < 0.7,
        adapt=Adapt(0, Use.EXPONENT, SolveMode.GRADSCALE))
    await bench.reset()
    start = bench.cycle
    bench.add(job)
    await bench.finish()
    length = bench.cycle - start
    for at in range(length):
        bench.add(job)
        await bench.run(lambda: False, limit=at)
        await bench.reset()
        bench.add(job)
        await bench.finish()


GOOD = {"m": 1, "n": 1, "k": 1, "b_format": BFormat.INT4, "params": {"format": INT4.encoding}}


def adapt_bits(config, **fields) -> int:
    """The bits of a descriptor's `adapt`, values without a meaning included."""
    start, bits = job_layout(config)["adapt"].offset, 0
    for name, value in fields.items():
        field = ADAPT_LAYOUT[name]
        bits |= (value & (1 << field.width) - 1) << (start + field.offset)
    return bits


def misuses_of_the_table(config) -> list[tuple[Op, dict]]:
    """What a job that names a tensor may not ask for, and the operation of that job."""
    everywhere = [{"tensor": config.tensors}, {"use": 3}, {"solve": 1, "mode": 7},
                  {"solve": 1, "preset": 1}]
    found = [(op, fields) for op in Op for fields in everywhere]
    found += [(op, {"preset": 1}) for op in (Op.GEMM, Op.QUANTISE)]
    found += [(op, {"discard": 1}) for op in (Op.GEMM, Op.TABLE)]
    found += [(Op.TABLE, {"use": use.value}) for use in (Use.ENTRY, Use.EXPONENT)]
    limit = GradScale.LIMIT
    found += [(Op.TABLE, {"preset": 1, "exponent": exponent})
              for exponent in (limit + 1, -limit - 1, 2**(EXPONENT_WIDTH - 1) - 1,
                               -2**(EXPONENT_WIDTH - 1))]
    return found


def refusals(config) -> list[int]:
    """Descriptors that cannot be run."""
    layout = job_layout(config)
    good = layout.const(GOOD).as_bits()
    bad = [layout.const({**GOOD, dim: 0}).as_bits() for dim in "mnk"]
    bad += [good | 3 << layout["b_format"].offset, good | 3 << layout["op"].offset,
            layout.const({**GOOD, "op": Op.TABLE}).as_bits()]
    bad += [good | bits << layout["params"].offset for bits in (6, 7)]
    for fmt in {FP4_R4, FP4_R2} - set(config.log_formats):  # a radix that is not there
        bad += [layout.const({**GOOD, "b_format": BFormat.of(fmt)}).as_bits(),
                layout.const({**GOOD, "params": {"format": fmt.encoding}}).as_bits()]
    if not config.stochastic:
        bad.append(layout.const({**GOOD, "params": {"stochastic": 1}}).as_bits())
    return bad + [layout.const({**GOOD, "op": op}).as_bits()
                  | adapt_bits(config, enable=1, **fields)
                  for op, fields in misuses_of_the_table(config)]


@cocotb.test()
async def bad_descriptors(dut):
    """A descriptor that cannot be run sets the flag, gives nothing, leaves the table alone, and the
    next job is right. The flag stays if it is cleared in the very cycle that sets it."""
    bench = EngineBench(dut, 0.0, 0.0)
    await bench.reset()
    entry = Entry(Dyadic(40000, 20), 5, -GradScale.LIMIT, valid=True)
    bench.add(Job.table(Adapt(0, preset=entry)))
    await bench.finish()
    for bits in refusals(bench.config):
        bench.source["job"].queue.append(bits)
        taken = bench.source["job"].taken
        dut.clear.value = 1
        await bench.run(lambda taken=taken: bench.source["job"].taken > taken)
        dut.clear.value = 0  # from the cycle after that in which the job was taken
        await bench.run(lambda: False, limit=20)
        assert dut.flags.value == 0b100, f"expected that descriptor {bits:#x} is refused"
        dut.clear.value = 1
        await bench.run(lambda: False, limit=2)
        dut.clear.value = 0
        assert dut.flags.value == 0
    bench.add(Job.table(Adapt(0)))  # reports the entry
    bench.add(Job.quantise(np.array([[7]]), Rescale(INT32)))  # k = 0 is not read here
    await bench.finish()
    assert dut.flags.value == 0


@cocotb.test()
async def what_is_not_asked_for_means_nothing(dut):
    """Without `enable` no field of `adapt` has an effect; the mode has none without `solve`, and an
    exponent beyond the limit of GradScale is PACT's good right."""
    bench = EngineBench(dut, 0.0, 0.0)
    config, limit = bench.config, GradScale.LIMIT
    await bench.reset()
    x, codes = np.array([[7, -3]])[:, :config.cols], np.array([[5]], np.int8)
    for fields in ({"discard": 1}, *(fields for _, fields in misuses_of_the_table(config))):
        bench.add(Job.quantise(x, Rescale(INT4)), adapt_bits(config, **fields))
        bench.add(Job.gemm(codes, INT4, codes, INT4), adapt_bits(config, **fields))
    for exponent in (limit, -limit):
        bench.add(Job.table(Adapt(0, preset=Entry(exponent=exponent))))
    bench.add(Job.quantise(x, Rescale(INT4), adapt=Adapt(0)), adapt_bits(config, mode=7))
    for exponent in (limit + 1, -limit - 1):
        bench.add(Job.table(Adapt(0, solve=SolveMode.PACT, alpha=9, exponent=exponent)))
    await bench.finish()
    assert dut.flags.value == 0


@cocotb.test()
async def a_frozen_entry_stays(dut):
    """Whatever is solved, also where the exponent would move."""
    bench = EngineBench(dut, 0.0, 0.0)
    await bench.reset()
    entry = Entry(Dyadic(40000, 20), 5, -7, valid=True, frozen=True)
    x = np.array([[1, -2]])[:, :bench.config.cols]
    bench.add(Job.table(Adapt(0, preset=entry)))
    for mode in SolveMode:
        bench.add(Job.quantise(x, Rescale(INT4), adapt=Adapt(0, solve=mode, alpha=9)))
    bench.add(Job.table(Adapt(0)))  # reports the entry
    await bench.finish()


@cocotb.test()
async def degenerate_and_clipped(dut):
    """Without elements, and PACT with alpha 0, nothing is written. An exponent that would move the
    shift out of its range, to either side, moves it to the end."""
    bench = EngineBench(dut, 0.0, 0.0)
    await bench.reset()
    x = np.array([[1, -2]])[:, :bench.config.cols]
    for exponent in (7, -7):
        bench.add(Job.table(Adapt(0, preset=Entry(Dyadic(40000, 20), 5, exponent, valid=True))))
        for mode in SolveMode:
            bench.add(Job.table(Adapt(0, solve=mode)))
            # which has none of those flags, and in this format no zero point
            bench.add(Job.quantise(x, Rescale(INT32), adapt=Adapt(0, Use.ENTRY)))
        for shift in (6, 7, 56, 57):
            then = Rescale(INT4, Dyadic(2**15, shift))
            bench.add(Job.quantise(x, then, adapt=Adapt(0, Use.EXPONENT)))
    await bench.finish()


@cocotb.test()
async def every_row_has_its_own_number(dut):
    """The most rows that a job can have, each with its random words."""
    bench = EngineBench(dut, 0.0, 0.0)
    config = bench.config
    if not config.stochastic or config.max_dim > 31:
        return  # too many rows
    await bench.reset()
    x = bench.rng.integers(-99, 99, (config.max_dim, config.max_dim))
    bench.add(Job.quantise(x, Rescale(INT4, Dyadic(2**15, 20), seed=3)))
    await bench.finish()


@cocotb.test()
async def flags_rise_and_clear(dut):
    """A saturated bias, and where K can reach it an overflow, are flagged until cleared."""
    bench = EngineBench(dut, 0.0, 0.0)
    config = bench.config
    await bench.reset()

    async def clear():
        dut.clear.value = 1
        await bench.run(lambda: False, limit=1)
        dut.clear.value = 0
        await bench.run(lambda: False, limit=1)
        assert dut.flags.value == 0

    bench.add(Job.quantise(np.array([[INT32.hi]]), Rescale(INT32), bias=np.array([1])))
    await bench.finish()
    await bench.run(lambda: False, limit=1)
    assert dut.flags.value == 0b010
    await clear()
    fmt = config.log_formats[0]
    k = 2 ** (config.accumulator_width - 1) // max_product(UINT4, fmt) + 1
    if k <= min(config.max_dim, 200):
        a, b = np.full((1, k), 15, np.int8), np.full((1, k), 7, np.int8)
        job = Job.gemm(a, UINT4, b, fmt)
        bench.source["job"].queue.append(descriptor(job, config))
        bench.source["a"].queue.extend(operand_beats(a, config, config.rows, bench.rng))
        bench.source["b"].queue.extend(operand_beats(b, config, config.cols, bench.rng))
        bench.sink.check = lambda payload: None
        taken = bench.sink.taken
        await bench.run(lambda: bench.sink.taken > taken)
        await bench.run(lambda: False, limit=1)
        assert dut.flags.value == 0b001
        await clear()


@cocotb.test()
async def discarded_results_need_no_ready(dut):
    """A job that only measures ends although nobody takes results."""
    bench = EngineBench(dut, 0.0, 0.0)
    await bench.reset()
    bench.sink.pause = 1.0
    x = bench.rng.integers(-99, 99, (min(9, bench.config.max_dim), bench.config.cols))
    bench.add(Job.quantise(x, Rescale(INT4), adapt=Adapt(
        0, solve=SolveMode.SYMMETRIC, discard=True)))
    await bench.finish()
    assert bench.report_sink.taken == 1


@cocotb.test()
async def full_utilisation(dut):
    """With operands always ready, a large K keeps every MAC busy."""
    bench = EngineBench(dut, 0.0, 0.0)
    config = bench.config
    await bench.reset()
    # a block takes at least as long as its rows need to drain
    shape = (4 * config.rows, 4 * config.cols,
             4 * config.rows * config.lanes * row_cycles(config))
    a = np.ones((shape[0], shape[2]), np.int8)
    job = Job.gemm(a, INT4, np.ones((shape[1], shape[2]), np.int8), INT4)
    start = bench.cycle
    bench.add(job)
    await bench.finish()
    utilisation = job.macs / (bench.cycle - start) / config.macs_per_cycle
    # job accepted, pipeline, last block's rows
    overhead = 2 + Engine.latency(config) + config.rows * row_cycles(config)
    assert bench.cycle - start <= job.macs // config.macs_per_cycle + overhead, utilisation


@pytest.mark.parametrize("config", BENCHES["engine"].configs, ids=repr)
def test_verilator(config):
    run_bench("engine", config)


def test_amaranth_simulator():
    """The second simulator runs the same kind of jobs and agrees."""
    config = preset("tiny")
    dut = Engine(config)
    rng = np.random.default_rng(11)
    jobs = [random_job(rng, config, largest=2) for _ in range(40)]
    golden = GoldenBackend(config)
    beats = [(job, engine_beats(job, golden, rng)) for job in jobs]
    queues = {"job": [descriptor(job, config) for job in jobs]}
    for name in INPUTS[1:]:
        queues[name] = [beat for _, streams in beats for beat in streams[name]]
    expected = [row for _, streams in beats for row in streams["result"]]
    reports = [report for _, streams in beats for report in streams["report"]]
    results, found = [], []

    def source(name):
        stream = getattr(dut, name)
        shape = stream.payload.shape()

        async def process(ctx):
            for beat in queues[name]:
                bits = shape.from_bits(beat) if hasattr(shape, "from_bits") else beat
                ctx.set(stream.payload, bits)
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

        return process

    async def collect(ctx):
        ctx.set(dut.result.ready, 1)
        while len(results) < len(expected):
            (payload,) = await ctx.tick().sample(dut.result.payload).until(dut.result.valid)
            results.append(result_row(payload.as_bits(), config))

    async def collect_reports(ctx):
        ctx.set(dut.report.ready, 1)
        while len(found) < len(reports):
            (payload,) = await ctx.tick().sample(dut.report.payload).until(dut.report.valid)
            found.append(unpack_report(payload.as_bits()))

    watched(dut, collect_reports, collect, background=[source(name) for name in INPUTS],
            cycles=20_000)
    assert results == expected and found == reports
