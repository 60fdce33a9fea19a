# SPDX-License-Identifier: Apache-2.0
"""A cocotb 2 bench of @PREFIX@tetra_engine that needs nothing but the generated files.

Expected values are computed here, with Python's integers; every stream stalls at random.
"""

import importlib
import random
from fractions import Fraction

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

layouts = importlib.import_module("@PREFIX@tetra_layouts")
ROWS, COLS, LANES = layouts.ROWS, layouts.COLS, layouts.LANES
M, N, K = 5, 7, 9
ONE = {"params_multiplier": 32768, "params_shift": 15}  # the scale 1 is 32768 * 2**-15


class Engine:
    """The engine with its streams. Drivers change signals after a rising edge and look at the
    falling one, by when all that depends on them has settled."""

    def __init__(self, dut):
        self.dut = dut
        self.packed = hasattr(dut, "job_payload")  # PORTS=packed, else a port per field

    async def reset(self):
        Clock(self.dut.clk, 10, unit="ns").start()
        for name in ("job", "a", "b", "x", "bias", "mask"):
            self.signal(f"{name}_valid").value = 0
        for name in ("result_ready", "report_ready", "clear"):
            self.signal(name).value = 0
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    def signal(self, name):
        return getattr(self.dut, name)

    def put(self, name, payload):
        """A payload, a number or the fields of a descriptor, on a stream's ports."""
        if isinstance(payload, int):
            self.signal(f"{name}_payload").value = payload
        elif self.packed:
            self.signal(f"{name}_payload").value = layouts.pack(name, **payload)
        else:
            for field in layouts.LAYOUTS[name]:
                self.signal(f"{name}_{field}").value = payload.get(field, 0)

    def get(self, name):
        """The fields of a payload, name -> value."""
        if self.packed:
            port = self.signal(name if name == "flags" else f"{name}_payload")
            return layouts.unpack(name, int(port.value.to_unsigned()))
        found = {}
        for field, (_, width, signed) in layouts.LAYOUTS[name].items():
            value = int(self.signal(f"{name}_{field}").value)
            found[field] = value - (1 << width) if signed and value >> width - 1 else value
        return found

    async def send(self, name, payloads):
        """Offer payloads, each until it is taken."""
        valid, ready = self.signal(f"{name}_valid"), self.signal(f"{name}_ready")
        for payload in payloads:
            while random.random() < 0.3:
                await RisingEdge(self.dut.clk)
            self.put(name, payload)
            valid.value = 1
            taken = False
            while not taken:
                await FallingEdge(self.dut.clk)
                taken = ready.value == 1
                await RisingEdge(self.dut.clk)
            valid.value = 0

    async def receive(self, name, count):
        """Take so many payloads."""
        valid, ready = self.signal(f"{name}_valid"), self.signal(f"{name}_ready")
        found = []
        while len(found) < count:
            willing = random.random() < 0.7
            ready.value = int(willing)
            await FallingEdge(self.dut.clk)
            if willing and valid.value == 1:
                found.append(self.get(name))
            await RisingEdge(self.dut.clk)
        ready.value = 0
        return found

    async def run(self, job, results, report=False, **streams):
        """Run a job; returns its results as a matrix of words, and its report or None."""
        senders = [cocotb.start_soon(self.send(name, payloads))
                   for name, payloads in {"job": [job], **streams}.items()]
        reports = cocotb.start_soon(self.receive("report", int(report)))
        rows = await self.receive("result", results)
        for sender in senders:
            await sender
        flags = self.get("flags")
        assert not any(flags.values()), flags
        return matrix(job["m"], job["n"], rows) if rows else None, next(iter(await reports), None)


def blocks(m, n):
    """The first row and column of each block, in the order of the engine."""
    return [(row, col) for row in range(0, m, ROWS) for col in range(0, n, COLS)]


def operand(codes, first, vectors):
    """The beats of a block: `vectors` rows of a matrix of codes, LANES steps of K per beat. What
    lies beyond the matrix is ignored, so it is random."""
    depth = len(codes[0])
    for k in range(0, depth, LANES):
        beat = 0
        for vector in range(vectors):
            for lane in range(LANES):
                exists = first + vector < len(codes) and k + lane < depth
                code = codes[first + vector][k + lane] if exists else random.randrange(16)
                beat |= (code & 15) << 4 * (vector * LANES + lane)
        yield beat


def words(x):
    """The beats of a job that quantises: each row of each block, 32 bits a column."""
    for row, col in blocks(len(x), len(x[0])):
        for r in range(row, min(row + ROWS, len(x))):
            row_of_block = enumerate(x[r][col:col + COLS])
            yield sum((value & 0xFFFFFFFF) << 32 * c for c, value in row_of_block)


def matrix(m, n, rows):
    """Result rows, put together; checks which columns exist and that the last is the last."""
    found, rest = [[None] * n for _ in range(m)], iter(rows)
    for row, col in blocks(m, n):
        for r in range(row, min(row + ROWS, m)):
            beat = next(rest)
            width = min(COLS, n - col)
            assert beat["tag_keep"] == (1 << width) - 1
            assert beat["tag_last"] == (r == m - 1 and col + width == n)
            for c in range(width):
                found[r][col + c] = beat["data"] >> 32 * c & 0xFFFFFFFF
    return found


def signed(word, bits):
    return word - (1 << bits) if word >> bits - 1 & 1 else word


def result_beats(m, n):
    return m * -(-n // COLS)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def gemm(dut):
    """INT4 x INT4, ragged, to INT32."""
    engine = Engine(dut)
    await engine.reset()
    a = [[random.randrange(-8, 8) for _ in range(K)] for _ in range(M)]
    b = [[random.randrange(-8, 8) for _ in range(K)] for _ in range(N)]
    job = {"op": layouts.OP_GEMM, "m": M, "n": N, "k": K, "a_signed": 1,
           "b_format": layouts.B_FORMAT_INT4, "params_format": layouts.FORMAT_INT32, **ONE}
    found, _ = await engine.run(
        job, result_beats(M, N),
        a=[beat for row, _ in blocks(M, N) for beat in operand(a, row, ROWS)],
        b=[beat for _, col in blocks(M, N) for beat in operand(b, col, COLS)])
    for r in range(M):
        for c in range(N):
            expected = sum(a[r][k] * b[c][k] for k in range(K))
            assert signed(found[r][c], 32) == expected, f"row {r}, column {c}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def quantise(dut):
    """Measure a matrix and let the engine solve its scale, then quantise the matrix with that."""
    engine = Engine(dut)
    await engine.reset()
    x = [[random.randrange(-100_000, 100_000) for _ in range(N)] for _ in range(M)]
    magnitudes = [abs(value) for row in x for value in row]
    job = {"op": layouts.OP_QUANTISE, "m": M, "n": N, "params_format": layouts.FORMAT_INT4_SYM,
           **ONE, "adapt_enable": 1, "adapt_tensor": layouts.TENSORS - 1}
    measure = {**job, "adapt_solve": 1, "adapt_mode": layouts.MODE_SYMMETRIC, "adapt_discard": 1}
    _, report = await engine.run(measure, 0, report=True, x=words(x))
    assert report["statistics_count"] == M * N
    assert report["statistics_largest"] == max(magnitudes)
    assert report["statistics_sum_abs"] == sum(magnitudes)
    assert report["statistics_sum_squares"] == sum(value**2 for value in magnitudes)
    assert report["entry_valid"] == 1
    multiplier, shift = nearest(Fraction(7, max(magnitudes)))
    assert report["entry_scale_multiplier"] == multiplier
    assert report["entry_scale_shift"] == shift

    found, report = await engine.run({**job, "adapt_use": layouts.USE_ENTRY}, result_beats(M, N),
                                     report=True, x=words(x))
    assert report["applied_multiplier"] == multiplier and not report["unset"]
    for r in range(M):
        for c in range(N):
            scaled = round(Fraction(x[r][c] * multiplier, 2**shift))  # ties go to even
            expected = max(-7, min(7, scaled))
            assert signed(found[r][c] & 15, 4) == expected, f"row {r}, column {c}"


def nearest(scale):
    """The scale as multiplier * 2**-shift with a multiplier of 32768..65535."""
    shift = 0
    while scale * 2**shift < 32768:
        shift += 1
    multiplier = round(scale * 2**shift)
    return (multiplier >> 1, shift - 1) if multiplier == 65536 else (multiplier, shift)
