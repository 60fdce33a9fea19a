# SPDX-License-Identifier: Apache-2.0
"""The scale solver: corners and random requests in every mode, against the golden solver."""

from dataclasses import replace
from fractions import Fraction

import cocotb
import numpy as np
import pytest

from golden.config import preset
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import INT32
from golden.gradscale import GradScale
from golden.solver import (
    ALPHA_WIDTH,
    EXPONENT_WIDTH,
    SAWB_MODES,
    Request,
    Solution,
    SolveMode,
    sawb_divisor,
    sawb_is_below_mean,
    solve,
)
from golden.statistics import MAX_ELEMENTS, NOTHING, Statistics, measure
from hdl.packing import Packing
from hdl.scales.layouts import REQUEST_LAYOUT, SOLUTION_LAYOUT
from hdl.scales.solver import ScaleSolver
from verif.bench.benches import BENCHES, run_bench
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench
from verif.bench.watchdog import watched

REQUEST, SOLUTION = Packing(REQUEST_LAYOUT), Packing(SOLUTION_LAYOUT)
SLOWEST = {  # requests that take the documented latency; those of SAWB nine tenths of the bound
    SolveMode.RANGE: Request(SolveMode.RANGE, Statistics(2, low=0, high=481)),
    SolveMode.SYMMETRIC: Request(SolveMode.SYMMETRIC, Statistics(1, largest=1)),
    SolveMode.LUQ: Request(SolveMode.LUQ, Statistics(1, largest=1)),
    SolveMode.PACT: Request(SolveMode.PACT, alpha=1),
    **{mode: Request(mode, Statistics(
        34617516, 0, 30667764, 30667764, 498604934891712, 15284721516836105161056))
       for mode in SAWB_MODES},
    SolveMode.GRADSCALE: Request(SolveMode.GRADSCALE, measure([1]), scale=Dyadic(2**16 - 1, 47)),
}


def repeated(stats: Statistics, times: int) -> Statistics:
    """Statistics of a tensor that repeats another one, too large to be held."""
    return replace(stats, **{name: getattr(stats, name) * times
                             for name in ("count", "sum_abs", "sum_squares")})


def rounding_ties() -> list[Request]:
    """SAWB sums whose quotient lies half-way: 175 n is odd, has 17 bits, and is divided by 2**31.

    (15, 7 and 64 have no odd factor of 17 bits: their quotients cannot lie half-way.)
    """
    found = {}
    root = -(-(2**42) // 2407)
    for count in range(375, 749, 2):
        squares = -(-(root**2 << 20) // count)
        if sawb_divisor(count, 0, squares)[0] == 2**31:
            stats = Statistics(count, sum_squares=squares)
            found[175 * count // 2 % 2] = Request(SolveMode.SAWB, stats)
    return [found[0], found[1]]  # M even and M odd


def two_levels(v: int, w: int, half: int) -> Request:
    """SAWB of as many v as w."""
    sums = half * (v + w), half * (v**2 + w**2)
    return Request(SolveMode.SAWB, Statistics(2 * half, w, v, max(v, w), *sums))


def near_the_mean(rng) -> list[Request]:
    """SAWB of equal magnitudes, and of two levels whose alpha is their mean within a few steps: the
    smaller one is 0.41347 of the other."""
    found = [two_levels(v, v, half)
             for v in (1, 3, 2**31 - 1) for half in (1, 5, MAX_ELEMENTS // 2)]
    ratio = Fraction(41347, 100_000)
    for _ in range(20):
        v, half = int(rng.integers(2, 2**31)), int(rng.integers(1, MAX_ELEMENTS // 2))
        v >>= int(rng.integers(0, v.bit_length() - 1))
        low, high = int(v * (ratio - Fraction(1, 1000))), int(v * (ratio + Fraction(1, 1000))) + 1
        while high - low > 1:
            w = (low + high) // 2
            below = is_below_mean(two_levels(v, w, half))
            low, high = (low, w) if below else (w, high)
        found += [two_levels(v, w, half) for w in range(max(0, low - 1), high + 2)]
    # alpha is the mean exactly: r = 2606, S1 = 2407
    exact = Statistics(2606**2, 1, 2606, 2606, 2407 * 2606, 2606**2)
    return [*found, Request(SolveMode.SAWB, exact)]


def is_below_mean(request: Request) -> bool:
    """Whether SAWB's alpha is less than the mean magnitude, and so the largest."""
    stats = request.statistics
    return sawb_is_below_mean(
        *sawb_divisor(stats.count, stats.sum_abs, stats.sum_squares), stats.sum_abs)


def sensitive_sums(rng) -> list[Request]:
    """SAWB of tensors with two magnitudes, and quotients close to half-way.

    Their alpha is little more than their mean, where cancellation counts most: a bit more or less
    of the square, of the root or of the sum changes M.
    """
    found = []
    for _ in range(2000):
        v, half = int(rng.integers(2**16, 2**31)), int(rng.integers(1, MAX_ELEMENTS // 2))
        request = two_levels(v, int(v * (0.41 - 0.05 * rng.random())), half)
        stats = request.statistics
        count = stats.count
        divisor, exponent = sawb_divisor(count, stats.sum_abs, stats.sum_squares)
        shift = solve(request).scale.shift
        quotient = Fraction(1400 * count, divisor) * Fraction(2) ** (shift - exponent)
        found.append((abs(quotient % 1 - Fraction(1, 2)), request))
    return [request for _, request in sorted(found, key=lambda pair: pair[0])[:40]]


def tensors(rng) -> list[Statistics]:
    """Corners: empty, one element, all equal, outliers, extremes, the largest count."""
    ones = [measure(x) for x in ([0], [1], [-1], [7], [INT32.lo], [INT32.hi], [100_000])]
    few = [measure(x) for x in (
        [5, 5], [-5, 5], [40_000] * 3, [-40_000] * 3, [INT32.lo, INT32.hi], [0, 1], [1, 0, 0],
        [3, 3, 3, 4], [INT32.hi, *[0] * 99], [INT32.lo] * 5, [0, INT32.hi], [-32760, -32759])]
    many = [repeated(stats, MAX_ELEMENTS // stats.count) for stats in (*ones, *few)]
    outlier = measure([INT32.lo])
    sparse = [replace(stats, count=MAX_ELEMENTS) for stats in (measure([1]), outlier)]
    spread = measure(rng.integers(INT32.lo, INT32.hi + 1, 100))
    return [measure([]), *ones, *few, *many, *sparse, spread]


def corners(rng) -> list[Request]:
    """Every mode on the corner tensors; ends of PACT's and GradScale's ranges; ties."""
    found = [Request(mode, stats) for stats in tensors(rng)
             for mode in (SolveMode.RANGE, SolveMode.SYMMETRIC, SolveMode.LUQ, *SAWB_MODES)]
    # an empty tensor in the modes that need none, too
    found += [Request(mode, NOTHING) for mode in SolveMode]
    # half-way zero points: the scale is 1 / 16
    found += [Request(SolveMode.RANGE, Statistics(2, low, low + 15 * 16))
              for low in (8 * odd for odd in (-31, -3, -1, 1, 3, 5, 29))]
    found += [Request(SolveMode.PACT, alpha=alpha, exponent=exponent)
              for alpha in (0, 1, 2**31, 2**32 - 1) for exponent in (-64, -32, -16, 0, 12, 13, 63)]
    # 15 / alpha just below a power of two: the mantissa carries
    found += [Request(SolveMode.PACT, alpha=15 * 2**28 + 1, exponent=e) for e in (0, 44, -20, -21)]
    for units in (0, 1, 2**17 - 1, 2**17, 2**17 + 1, 2**18 - 1, 2**18, 2**18 + 1, 2**31):
        found += [Request(SolveMode.GRADSCALE, Statistics(1, largest=units), exponent=exponent,
                          scale=Dyadic(2**15, 15 + 12)) for exponent in (-40, -39, 0, 39, 40)]
    found += [Request(SolveMode.GRADSCALE, Statistics(1, largest=2**32 - 1), scale=scale)
              for scale in (Dyadic(0, 0), Dyadic(2**16 - 1, 0), Dyadic(2**16 - 1, 63))]
    sums = [*rounding_ties(), *near_the_mean(rng), *sensitive_sums(rng)]
    unsigned = [replace(request, mode=SolveMode.SAWB_UNSIGNED) for request in sums]
    return [*found, *sums, *unsigned, *SLOWEST.values()]


def random_request(rng, mode: SolveMode) -> Request:
    """A random tensor or random operands of any magnitude."""
    bits = int(rng.integers(1, 33))
    size = int(rng.integers(1, 50))
    x = rng.integers(-(2**31), 2**31, size) >> 32 - bits
    if rng.random() < 0.3:
        x = np.clip(x + (rng.integers(-(2**31), 2**31) >> rng.integers(0, 32)), INT32.lo, INT32.hi)
    if rng.random() < 0.3:  # nearly all equal: SAWB's worst cancellation
        x = np.where(rng.random(size) < 0.1, x, x[0])
    stats = repeated(measure(x), int(rng.integers(1, MAX_ELEMENTS // size + 1)) >> int(
        rng.integers(0, 32)) or 1)
    scale = Dyadic(int(rng.integers(2**15, 2**16)), int(rng.integers(64)))
    if mode == SolveMode.GRADSCALE and rng.random() < 0.7:  # near the thresholds
        scale = Dyadic(scale.multiplier, min(63, max(
            0, stats.largest.bit_length() + 9 + int(rng.integers(-2, 3)))))
    limit = GradScale.LIMIT if mode == SolveMode.GRADSCALE else 30
    return Request(mode, stats, alpha=int(rng.integers(2**32)) >> int(rng.integers(32)),
                   exponent=int(rng.integers(-limit, limit + 1)), scale=scale)


def random_requests(rng, count: int):
    return [random_request(rng, mode) for _ in range(count) for mode in SolveMode]


READ = {  # operands that a mode reads; the others are random bits, or 0
    SolveMode.RANGE: {"count", "low", "high", "exponent"},
    SolveMode.SYMMETRIC: {"count", "largest", "exponent"},
    SolveMode.LUQ: {"count", "largest", "exponent"},
    SolveMode.PACT: {"alpha", "exponent"},
    SolveMode.SAWB: {"count", "largest", "sum_abs", "sum_squares", "exponent"},
    SolveMode.GRADSCALE: {"largest", "multiplier", "shift", "exponent"},
}
READ[SolveMode.SAWB_UNSIGNED] = READ[SolveMode.SAWB]


def payload(request: Request, rng) -> int:
    """The request's bits."""
    size = REQUEST.width
    other = REQUEST.unpack(
        int(rng.integers(2)) * (int.from_bytes(rng.bytes(size // 8 + 1)) % 2**size))
    fields = {"alpha": request.alpha, "exponent": request.exponent,
              "multiplier": request.scale.multiplier, "shift": request.scale.shift}
    read = READ[request.mode]
    return REQUEST.pack({
        "mode": request.mode,
        "statistics": {name: getattr(request.statistics, name) if name in read
                       else other["statistics"][name] for name in vars(request.statistics)},
        **{name: value if name in read else other[name] for name, value in fields.items()},
    })


def unpack(bits) -> Solution:
    found = SOLUTION.unpack(bits)
    scale, flags = found["scale"], {name: bool(flag) for name, flag in found["flags"].items()}
    return Solution(Dyadic(scale["multiplier"], scale["shift"]), scale["zero_point"],
                    found["exponent"], **flags)


class SolverBench(StreamBench):
    def __init__(self, dut, idle=0.0, pause=0.0):
        super().__init__(dut)
        self.rng = np.random.default_rng(self.settings.seed)
        self.board = Scoreboard(self.settings, "solution")
        self.source = Source(dut, "i", self.rng, idle)
        self.sink = Sink(dut, "o", self.rng, self.check, pause)
        self.sources, self.sinks = [self.source], [self.sink]
        self.compare = True

    def check(self, bits):
        if self.compare:
            self.board.check(unpack(bits))

    def add(self, request: Request):
        self.source.queue.append(payload(request, self.rng))
        self.board.expect(solve(request), request)

    async def finish(self):
        await self.run(lambda: self.board.done)


@cocotb.test()
async def requests(dut):
    """Corners and random requests, idle sources, a pausing sink."""
    for idle, pause in ((0.0, 0.0), (0.5, 0.5)):
        bench = SolverBench(dut, idle, pause)
        await bench.reset()
        known = corners(bench.rng) if idle else []
        for request in [*known, *random_requests(bench.rng, 15 * bench.settings.length)]:
            bench.add(request)
        await bench.finish()


@cocotb.test()
async def latency(dut):
    """The documented worst cases take as long as documented, then one cycle to be taken; of SAWB a
    bound is documented."""
    bench = SolverBench(dut)
    await bench.reset()
    for mode, request in SLOWEST.items():
        start = bench.cycle
        bench.add(request)
        await bench.finish()
        cycles = bench.cycle - start
        most = ScaleSolver.latencies[mode] + 1
        least = 0.88 * most if mode in SAWB_MODES else most
        assert least <= cycles <= most, f"{mode!r} took {cycles} cycles"


@cocotb.test()
async def always_answers(dut):
    """Unknown modes and sums that no tensor has are answered; a reset ends any request."""
    bench = SolverBench(dut)
    await bench.reset()
    for mode in {*range(8)} - {*SolveMode}:
        bench.source.queue.append(REQUEST.pack({"mode": mode}))
        bench.board.expect(Solution(IDENTITY, degenerate=True), f"mode {mode}")
    await bench.finish()

    bench.compare = False
    for _ in range(60):
        bits = int.from_bytes(bench.rng.bytes(REQUEST.width // 8 + 1)) % 2**REQUEST.width
        bench.source.queue.append(bits)
        taken = bench.sink.taken
        await bench.run(lambda taken=taken: bench.sink.taken > taken)

    bench.compare = True
    for mode in SolveMode:
        bench.source.queue.append(payload(SLOWEST[mode], bench.rng))
        await bench.run(lambda: False, limit=int(bench.rng.integers(ScaleSolver.latencies[mode])))
        await bench.reset()
        bench.add(random_request(bench.rng, mode))
        await bench.finish()


@pytest.mark.parametrize("config", BENCHES["solver"].configs, ids=repr)
def test_verilator(config):
    run_bench("solver", config)


def test_corners_reach_every_flag():
    """The corners are what they claim to be."""
    rng = np.random.default_rng(1)
    solutions = [solve(request) for request in corners(rng)]
    for flag in ("degenerate", "unreachable", "saturated", "limited"):
        assert {getattr(solution, flag) for solution in solutions} == {False, True}
    even, odd = (solve(request).scale.multiplier for request in rounding_ties())
    assert even % 2 == odd % 2 == 0
    assert {request.mode for request in corners(rng)} == {*SolveMode}
    near = [is_below_mean(request) for request in near_the_mean(rng)]
    assert 20 <= sum(near) <= len(near) - 20
    assert (REQUEST_LAYOUT["alpha"].width, ALPHA_WIDTH) == (32, 32) and EXPONENT_WIDTH == 7


def test_amaranth_simulator():
    """The second simulator agrees, request by request, and no request is slower than documented."""
    rng = np.random.default_rng(7)
    dut = ScaleSolver(preset("tiny"))
    cases = random_requests(rng, 6) + corners(rng)[::5]

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for request in cases:
            ctx.set(dut.i.payload, REQUEST_LAYOUT.from_bits(payload(request, rng)))
            cycles = 0
            while not ctx.get(dut.o.valid):
                await ctx.tick()
                cycles += 1
                assert cycles <= ScaleSolver.latencies[request.mode], request
            assert unpack(ctx.get(dut.o.payload).as_bits()) == solve(request), request
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    longest = sum(ScaleSolver.latencies[request.mode] + 1 for request in cases)
    watched(dut, bench, cycles=longest)
