# SPDX-License-Identifier: Apache-2.0
"""Sums that leave 32 bits, each in one place only: which are faults, and whose."""

from itertools import product

import numpy as np
import pytest

from driver.verilated_core import VerilatedCore
from golden.core import rows_of
from golden.descriptor import BYTES, CoreOp, Descriptor, Fault
from golden.formats import INT4, INT32
from golden.solver import SolveMode
from verif.bench.benches import CORES
from verif.bench.cores import Bench
from verif.bench.descriptors import BASE, Image, Places, placed

LAST = 2**31 - 1
ZERO = -128  # of operand a: a word per column is its bias + 128 * 7 * K


@pytest.fixture(scope="module", params=CORES)
def bench(request):
    with VerilatedCore(CORES[request.param], quick=True) as core:
        yield Bench(core)


def gemm(n: int, k: int, m: int = 1, **fields) -> Descriptor:
    return Descriptor(op=CoreOp.GEMM, m=m, n=n, k=k, multiplier=2**15, shift=15,
                      **{"format": INT32.encoding} | fields)


def listed(config, jobs) -> Image:
    """A ring of (descriptor, codes of a, its words by index): all codes of b are 7, all other
    words 0, of bias, x or C."""
    rng = np.random.default_rng(1)
    place = Places(rng, BASE + (BYTES << len(jobs).bit_length()))
    made = [(placed(rng, d, config, place), a, words) for d, a, words in jobs]
    data = np.zeros(place.end - BASE + 64, np.uint8)
    for d, a, words in made:
        values = {"a": a * 0x11, "b": 0x77} if d.op == CoreOp.GEMM else {}
        for name, byte in values.items():
            rows = rows_of(d, name)
            for row in range(rows.number):
                at = rows.address + row * rows.stride - BASE
                data[at:at + rows.size] = byte
        name = "bias" if d.bias else "x" if d.op == CoreOp.QUANTISE else "c"
        rows = rows_of(d, name) if words else None
        for index, word in words.items():
            row, column = divmod(index, rows.size // 4)
            if row == rows.number:
                break
            at = rows.address + row * rows.stride + 4 * column - BASE
            data[at:at + 4] = np.array([word], "<i4").view(np.uint8)
    ring = b"".join(d.pack() for d, _, _ in made)
    data[:len(ring)] = np.frombuffer(ring, np.uint8)
    return Image(config, BASE, data, [d for d, _, _ in made])


def test_a_word_of_any_column_is_a_fault(bench):
    """Of every block, not only the last one; one less is none."""
    config = bench.config
    n, k = config.strip + config.cols + 1, config.lanes
    end = LAST + ZERO * 7 * k
    for column, beyond in product(range(n), (0, 1)):
        d = gemm(n, k, bias=True, a_zero=ZERO)
        bench.faults.clear()
        bench.run(listed(config, [(d, 0, {column: end + beyond})]), f"column {column}")
        assert bench.faults == ({Fault.OVERFLOW: 1} if beyond else {})


def test_columns_that_do_not_exist_are_no_fault(bench):
    """What buffers hold there would leave 32 bits."""
    config = bench.config
    for cols in range(1, config.cols):
        whole, part = (gemm(n, config.lanes, bias=True, a_zero=zero)
                       for n, zero in ((config.strip, 0), (cols, ZERO)))
        full = dict.fromkeys(range(config.strip), LAST)
        bench.faults.clear()
        # both slots of the buffers
        bench.run(listed(config, [(whole, 0, full), (whole, 0, full), (part, 0, {}),
                                  (part, 0, {})]), f"{cols} columns")
        assert not bench.faults


def kinds(config) -> dict:
    k = config.lanes
    return {
        "plain": (gemm(1, k), 1, {}),
        "corrected": (gemm(1, k, a_zero=ZERO), 0, {}),
        "word": (gemm(1, k, a_zero=ZERO, bias=True), 0, {0: LAST}),
        "word at the end": (gemm(1, k, a_zero=ZERO, bias=True), 0, {0: LAST + ZERO * 7 * k}),
        "corrected bias": (gemm(1, k, a_zero=ZERO, bias=True), 0, {}),
        "full bias": (gemm(1, k, bias=True), 0, {0: LAST}),
        "full": (gemm(1, k, accumulate=True), 0, {0: LAST}),
        "sum": (gemm(1, k, accumulate=True), 1, {}),
        "row": (gemm(1, k, bias=True), 1, {0: LAST}),
        "added": (gemm(1, k, accumulate=True), 1, {0: LAST}),
        "discarded": (Descriptor(op=CoreOp.QUANTISE, m=1, n=1, multiplier=2**15, shift=15,
                                 format=INT32.encoding, adapt_enable=True, adapt_discard=True,
                                 bias=True), 0, {0: LAST}),
    }


def pairs(bench, before: dict, behind: dict) -> None:
    """Runs any of the first, and any of the others behind it."""
    for first, second in product(before.items(), behind.items()):
        bench.run(listed(bench.config, [first[1], second[1]]), f"{first[0]}, {second[0]}")


@pytest.mark.parametrize("latency", (1, 60))
def test_a_fault_while_the_job_before_is_computed(bench, latency):
    """It is not the other's: the sum of any of the two may leave 32 bits. The report of the first
    comes late."""
    bench.core.set_timing(latency=latency)
    late = {"format": INT4.encoding, "adapt_enable": True, "adapt_solve": True, "report": True,
            "adapt_mode": int(SolveMode.SYMMETRIC)}
    slow = {f"solved, {zero}": (gemm(1, bench.config.lanes, a_zero=zero, **late), 1, {})
            for zero in (0, ZERO)}
    pairs(bench, slow, kinds(bench.config) | slow)


def test_a_fault_while_the_job_before_is_written(bench):
    bench.core.set_timing(latency=1, answer=900)
    made = kinds(bench.config)
    pairs(bench, {name: made[name] for name in ("plain", "corrected")}, made)


def test_a_fault_behind_any_job(bench):
    """What is added comes late, and registers hold what the job before has left."""
    bench.core.set_timing(latency=60)
    pairs(bench, kinds(bench.config), kinds(bench.config))


@pytest.mark.parametrize("latency", (1, 20))
def test_a_row_as_the_job_before_ends(bench, latency):
    """Any row may be the one that leaves 32 bits; no fault of the job behind it."""
    config = bench.config
    bench.core.set_timing(latency=latency)
    rows = 4 * config.rows
    for row in range(rows):
        jobs = [(gemm(config.strip, config.lanes, config.rows), 0, {}),
                (gemm(1, config.lanes, rows, accumulate=True), 1, {row: LAST}),
                (gemm(1, config.lanes), 0, {})]
        bench.faults.clear()
        bench.run(listed(config, jobs), f"row {row}")
        assert bench.faults == {Fault.OVERFLOW: 1}
