# SPDX-License-Identifier: Apache-2.0
"""The order of memory: a job waits for all but the one before it, and with a barrier for that too.

The core rounds one row after the other, so slowly that a job which does not wait has read before.
Results that run ahead of the job before are their own job's fault.
"""

import numpy as np
import pytest

from driver.accelerator import Accelerator, Result
from driver.verilated_core import VerilatedCore
from golden.adaptive import Adapt
from golden.descriptor import CoreFault
from golden.dyadic import Dyadic
from golden.formats import INT4, INT4_SYM, INT32
from golden.rescale import Rescale, rescale
from golden.solver import SolveMode
from hdl.arithmetic.serial import row_cycles
from verif.bench.benches import CORES
from verif.driver.mirrored import BASE, SIZE, Mirrored

THEN = Rescale(INT4, Dyadic(40000, 20))
SYMMETRIC = Rescale(INT4_SYM, Dyadic(40000, 19))
CONFIG = CORES["fpga"]
ROUNDING = 16 * 16 // CONFIG.cols * row_cycles(CONFIG)  # cycles that a job of 16 x 16 takes


@pytest.fixture(scope="module")
def core():
    with VerilatedCore(CONFIG, quick=True, latency=9) as core:
        yield core


def run(core: VerilatedCore, between: int, *, barrier: bool, others: tuple[int, int] = (1, 1),
        ) -> int:
    """A product of what a job before it writes, with `between` others in between; its cycles.
    AssertionError if a byte is not the golden core's, which runs one job after the other."""
    core.reset()
    both = Mirrored(core, seed=between)
    with Accelerator(both, (BASE, SIZE), ring=8) as device:
        rng = np.random.default_rng(between)
        x, other = (device.upload(rng.integers(-40, 40, shape), INT32)
                    for shape in ((16, 16), others))
        w = device.upload(rng.integers(-7, 8, (5, 16)), INT4_SYM)
        before = core.cycles
        codes = device.quantise(x, THEN).codes
        for _ in range(between):
            device.quantise(other, THEN, barrier=False)
        device.gemm(codes, w, transpose_a=True, barrier=barrier)
        device.wait()
        took = core.cycles - before
    both.compare()
    return took


def test_the_job_before_is_waited_for_with_a_barrier(core):
    """Without one its results are read before they are there."""
    run(core, 0, barrier=True)
    with pytest.raises(AssertionError, match="bytes differ"):
        run(core, 0, barrier=False)


@pytest.mark.parametrize("between", [1, 2, 3])
@pytest.mark.parametrize("others", [(1, 1), (16, 16)])
def test_those_before_that_are_waited_for_anyhow(core, between, others):
    run(core, between, barrier=False, others=others)


def test_operands_come_while_the_job_before_is_computed(core):
    early, late = (run(core, 1, barrier=barrier, others=(16, 16)) for barrier in (False, True))
    assert early < late - 50 and late > 2 * ROUNDING


def product(core: VerilatedCore, turned: bool, written: str, early: str) -> int:
    """A product with an operand that the job before it writes, and a zero point and bias, which it
    does not; its cycles. AssertionError as of `run`."""
    core.reset()
    both = Mirrored(core, seed=3)
    with Accelerator(both, (BASE, SIZE), ring=8) as device:
        rng = np.random.default_rng(3)
        x = device.upload(rng.integers(-40, 40, (16, 16)), INT32)
        kept = device.upload(rng.integers(-7, 8, (16, 16)), INT4_SYM)
        bias, mask = device.upload(rng.integers(-9, 9, 16), INT32), device.upload(
            rng.random((16, 16)) < 0.7, None)
        before = core.cycles
        codes = device.quantise(x, SYMMETRIC).codes
        a, b = (codes, kept) if written == "a" else (kept, codes)
        device.gemm(a, b, THEN, transpose_a=turned, transpose_b=turned, a_zero=3, bias=bias,
                    mask=mask, early=early)
        device.wait()
        took = core.cycles - before
    both.compare()
    return took


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("written, kept", ["ab", "ba"])
def test_an_operand_may_come_before_the_barrier(core, turned, written, kept):
    """The other one waits; one that does not is read before it is there."""
    late, early = (product(core, turned, written, which) for which in ("", kept))
    assert early < late - 10
    for which in (written, "ab"):
        with pytest.raises(AssertionError, match="bytes differ"):
            product(core, turned, written, which)


def test_a_mask_waits_for_the_barrier(core):
    """Whatever operands do: of the job before, it is its clip mask."""
    core.reset()
    both = Mirrored(core, seed=4)
    with Accelerator(both, (BASE, SIZE), ring=8) as device:
        rng = np.random.default_rng(4)
        x = device.upload(rng.integers(-400, 400, (16, 16)), INT32)
        a, b = (device.upload(rng.integers(-7, 8, (16, 16)), INT4_SYM) for _ in range(2))
        first = device.quantise(x, THEN, clip_mask=True)
        device.gemm(a, b, mask=first.mask, early="ab")
        device.wait()
    both.compare()


def test_a_fence_is_a_barrier(core):
    core.reset()
    both = Mirrored(core)
    with Accelerator(both, (BASE, SIZE), ring=8) as device:
        x = device.upload(np.arange(256).reshape(16, 16) - 128, INT32)
        w = device.upload(np.ones((5, 16), np.int8), INT4_SYM)
        codes = device.quantise(x, THEN).codes
        device.fence()
        device.gemm(codes, w, transpose_a=True, barrier=False)
        device.wait()
    both.compare()


@pytest.mark.parametrize("adds", [True, False], ids=["accumulate", "bias"])
@pytest.mark.parametrize("name", CORES)
def test_an_overflow_ahead_is_the_fault_of_its_job(name, adds):
    """The first job waits for its scale while the second one's sums leave 32 bits."""
    with VerilatedCore(CORES[name], quick=True, latency=9) as core:
        device = Accelerator(Mirrored(core), (BASE, SIZE), ring=8)
        rng = np.random.default_rng(1)
        values = rng.integers(-40, 40, (2, 9))
        x, most = device.upload(values, INT32), device.upload(np.full((1, 3), INT32.hi), INT32)
        a, b = device.upload(np.ones((1, 4), np.int8), INT4), device.upload(
            np.ones((3, 4), np.int8), INT4_SYM)
        first = device.quantise(x, THEN, adapt=Adapt(0, solve=SolveMode.SAWB))
        if adds:
            device.gemm(a, b, accumulate=True, out=Result(most), barrier=False)
        else:
            device.quantise(most, Rescale(), bias=most, barrier=False)
        with pytest.raises(CoreFault, match="OVERFLOW in descriptor 1"):
            device.wait()
        device.wait()
        np.testing.assert_array_equal(device.download(first.codes), rescale(values, THEN).codes)
        assert device.report(first)[0].statistics.count == values.size
