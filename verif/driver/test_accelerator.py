# SPDX-License-Identifier: Apache-2.0
"""`Accelerator` on the simulated core: against numpy, and byte by byte against the golden core."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from driver.accelerator import Accelerator, Result
from driver.device_memory import ALIGN
from driver.verilated_core import VerilatedCore
from golden.adaptive import Adapt, Use
from golden.descriptor import CoreFault, CoreOp, Descriptor, Fault
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4
from golden.gemm import mac_values
from golden.report import Entry
from golden.rescale import Rescale, rescale
from golden.solver import SolveMode
from verif.bench.benches import CORES
from verif.driver.mirrored import BASE, SIZE, Mirrored

CONFIG = CORES["asic"]
MEMORY = (BASE, SIZE)
SCALED = Rescale(INT4, Dyadic(40000, 19))


@pytest.fixture(scope="module")
def core():
    with VerilatedCore(CONFIG, quick=True, latency=9) as core:
        yield core


@pytest.fixture
def both(core):
    core.reset()
    return Mirrored(core)


@pytest.fixture
def device(both):
    with Accelerator(both, MEMORY, ring=4, timeout=20) as device:
        yield device


def codes(rng, fmt, *shape) -> np.ndarray:
    return rng.integers(fmt.lo, fmt.hi + 1, shape)


def check(device: Accelerator) -> None:
    device.wait()
    device.transport.compare()


def test_the_core_says_what_it_is(device):
    assert device.config == CONFIG


def test_products(device):
    """Every transpose, formats of both operands, a zero point, K of one chunk and of several."""
    rng = np.random.default_rng(1)
    turns = itertools.product((False, True), repeat=3)
    formats = [(INT4, INT4), (UINT4, FP4_R2), (INT4_SYM, INT4_SYM), (UINT4, FP4_R4)] * 2
    for (turn_a, turn_b, turn_c), (a_fmt, b_fmt) in zip(turns, formats, strict=True):
        m, n, k = rng.integers(1, 20), rng.integers(1, 20), rng.choice([5, 16, 37])
        a, b = codes(rng, a_fmt, m, k), codes(rng, b_fmt, n, k)
        zero = int(rng.integers(-20, 20))
        on_a = device.upload(a.T if turn_a else a, a_fmt)
        on_b = device.upload(b.T if turn_b else b, b_fmt)
        result = device.gemm(on_a, on_b, transpose_a=turn_a, transpose_b=turn_b,
                             transpose_c=turn_c, a_zero=zero)
        expected = (a - zero) @ mac_values(b, b_fmt).T
        np.testing.assert_array_equal(device.download(result.c),
                                      expected.T if turn_c else expected)
        device.free(on_a, on_b, result)
    check(device)


def test_options_of_a_product(device):
    """Bias, mask, clip mask and scale, with a K in chunks; then sums added to sums."""
    rng = np.random.default_rng(2)
    a, b = codes(rng, INT4, 6, 40), codes(rng, INT4, 9, 40)
    bias, mask = rng.integers(-500, 500, 9), rng.random((6, 9)) < 0.7
    on_a, on_b = device.upload(a, INT4), device.upload(b, INT4)
    expected = rescale((a @ b.T + bias) * mask, SCALED)
    for turned, laid in ((False, mask), (True, mask.T)):
        result = device.gemm(on_a, on_b, SCALED, bias=device.upload(bias, INT32), clip_mask=True,
                             mask=device.upload(laid, None), transpose_mask=turned)
        np.testing.assert_array_equal(device.download(result.c), expected.codes)
        np.testing.assert_array_equal(device.download(result.mask), expected.mask)
    sums = device.gemm(on_a, on_b)
    assert device.gemm(on_a, on_b, accumulate=True, out=sums) == sums
    np.testing.assert_array_equal(device.download(sums.c), 2 * (a @ b.T))
    check(device)


def test_batches(device):
    """Three matrices with one operand of their own and one for all, biases of their own."""
    rng = np.random.default_rng(3)
    a, b = codes(rng, INT4, 3, 5, 7), codes(rng, INT4, 4, 7)
    bias = rng.integers(-99, 99, (3, 1, 4))
    on_a, on_b, on_bias = device.upload(a, INT4), device.upload(b, INT4), device.upload(bias, INT32)
    result = device.gemm(on_a, on_b, bias=on_bias)
    np.testing.assert_array_equal(device.download(result.c), a @ b.T + bias)
    seeded = Rescale(FP4_R4, Dyadic(50000, 20), seed=5)
    rounded = device.quantise(result.c, seeded, adapt=Adapt(1, solve=SolveMode.LUQ))
    reports = device.report(rounded)
    golden = GoldenBackend(CONFIG)
    for i in range(3):
        expected = golden.run(Job.quantise(a[i] @ b.T + bias[i], replace(seeded, seed=5 + i),
                                           adapt=Adapt(1, solve=SolveMode.LUQ)))
        np.testing.assert_array_equal(device.download(rounded.c)[i], expected.codes)
        np.testing.assert_array_equal(device.download(rounded.odd)[i], expected.odd)
        assert reports[i] == expected.report
    check(device)


def test_scales_that_adapt(device):
    """A preset is used; only measuring writes a report and nothing else."""
    rng = np.random.default_rng(4)
    x = device.upload(rng.integers(-9999, 9999, (5, 6)), INT32)
    entry = Entry(Dyadic(40000, 26), 3, 0, True)
    device.preset(Adapt(2, preset=entry))
    used = device.quantise(x, Rescale(UINT4), adapt=Adapt(2, Use.ENTRY))
    assert device.report(used)[0].scale == entry.scale
    np.testing.assert_array_equal(
        device.download(used.c),
        rescale(device.download(x), Rescale(UINT4, entry.scale, 3)).codes)
    measured = device.quantise(x, Rescale(UINT4), adapt=Adapt(2, discard=True,
                                                            solve=SolveMode.RANGE))
    assert measured == Result(None, report=measured.report)
    assert device.report(measured)[0].entry.valid
    device.fence()
    check(device)


def test_the_ring_wraps_and_fills(device):
    """Forty jobs through four entries without waiting, each on what the last one wrote."""
    rng = np.random.default_rng(5)
    x = device.upload(rng.integers(-999, 999, (4, 4)), INT32)
    one = device.upload(np.ones(4, int), INT32)
    result, numbers = Result(x), []
    for _ in range(20):
        result = device.quantise(result.c, Rescale(), bias=one)
        numbers.append(device.fence())
    assert numbers == list(range(1, 40, 2))
    np.testing.assert_array_equal(device.download(result.c), device.download(x) + 20)
    assert device.queue.ended == device.queue.queued == 40
    check(device)


BAD = Descriptor(op=CoreOp.GEMM, m=2, n=2, k=0)
OUTSIDE = Descriptor(op=CoreOp.QUANTISE, m=1, n=1, x_address=BASE + SIZE, c_address=BASE)


def test_faults_are_raised_and_the_core_goes_on(device):
    """Code, address and number; jobs behind a bad one run; every bad one is told of."""
    x = device.upload(np.arange(6).reshape(2, 3), INT32)
    good = [device.quantise(x, Rescale())]
    numbers = [device.enqueue(bad) for bad in (OUTSIDE, BAD)]
    with pytest.raises(CoreFault) as fault:
        device.wait()
    assert (fault.value.code, fault.value.address) == (Fault.READ_WINDOW, BASE + SIZE)
    assert fault.value.descriptor == numbers[0] == 1
    good.append(device.quantise(x, Rescale()))
    with pytest.raises(CoreFault, match="SIZE in descriptor 2, address 0x0"):
        device.download(x)
    for result in good:
        np.testing.assert_array_equal(device.download(result.c), [[0, 1, 2], [3, 4, 5]])
    check(device)


def test_a_window_is_exactly_the_memory(device):
    """Words and bytes beside it are neither read nor written, its last byte is."""
    for address in (BASE - 4, BASE + SIZE):
        device.enqueue(replace(OUTSIDE, x_address=BASE, c_address=address))
        with pytest.raises(CoreFault, match="WRITE_WINDOW"):
            device.wait()
        device.enqueue(replace(OUTSIDE, x_address=address, c_address=BASE))
        with pytest.raises(CoreFault, match="READ_WINDOW"):
            device.wait()
    byte = replace(OUTSIDE, x_address=BASE + SIZE - 4, format=INT4.encoding, mask_in=True,
                   mask_in_address=BASE + SIZE - 1, c_address=BASE + SIZE - 1)
    for bad, text in ((replace(byte, c_address=BASE + SIZE), "WRITE_WINDOW"),
                      (replace(byte, mask_in_address=BASE + SIZE), "READ_WINDOW")):
        device.enqueue(bad)
        with pytest.raises(CoreFault, match=text):
            device.wait()
    device.enqueue(byte)
    check(device)


def test_a_full_ring_that_has_stopped(device):
    """Queueing raises what stopped the core, does not queue, and leaks nothing."""
    x = device.upload(np.arange(4), INT32)
    left, faults = device.memory.free_bytes, []
    for _ in range(3):
        device.enqueue(BAD)
    with pytest.raises(CoreFault, match="SIZE in descriptor 0"):
        device.quantise(x, Rescale())
    assert device.queue.queued == 3
    for _ in range(2):
        with pytest.raises(CoreFault) as fault:
            device.wait()
        faults.append(fault.value.descriptor)
    assert faults == [1, 2]
    device.wait()
    assert device.memory.free_bytes == left
    result = device.quantise(x, Rescale())
    np.testing.assert_array_equal(device.download(result.c)[0], np.arange(4))
    check(device)


def test_a_sum_that_overflows(device):
    x = device.upload(np.full(3, 2**31 - 1), INT32)
    result = device.quantise(x, Rescale(), bias=x)
    with pytest.raises(CoreFault, match="OVERFLOW in descriptor 0"):
        device.download(result.c)
    device.quantise(x, Rescale(), out=result)
    np.testing.assert_array_equal(device.download(result.c), np.full((1, 3), 2**31 - 1))


def test_a_tail_beyond_the_ring(device):
    """Not the driver's doing: told without a descriptor, and the driver's next doorbell counts."""
    device.queue.write("ring_tail", 4)
    with pytest.raises(CoreFault) as fault:
        device.wait()
    assert (fault.value.code, fault.value.descriptor) == (Fault.RING, None)


def test_reset_and_close(both):
    device = Accelerator(both, MEMORY, ring=4, timeout=20)
    x = device.upload(np.arange(100).reshape(10, 10), INT32)
    for cycles in (1, 40, 333):
        for _ in range(3):
            device.free(device.quantise(x, Rescale()))
        both.core.run(cycles)
        device.reset()
        assert device.queue.queued == device.queue.ended == 0
        result = device.quantise(x, Rescale())
        np.testing.assert_array_equal(device.download(result.c), device.download(x))
    device.enqueue(BAD)
    device.close()
    assert device.queue.read("interrupt_enable") == device.queue.read("control") == 0
    assert device.queue.read64("read_base") > device.queue.read64("read_limit")
    again = Accelerator(both, MEMORY, ring=8, timeout=20)
    again.fence()
    again.wait()
    assert again.queue.ended == 1


def test_counters(device):
    rng = np.random.default_rng(8)
    a = device.upload(codes(rng, INT4, 5, 7), INT4)
    device.counters(clear=True)
    device.gemm(a, a)
    device.wait()
    found = device.counters(clear=True)
    assert found["macs"] == 5 * 5 * 7 and found["beats_written"] >= 13
    assert 0 < found["computing"] < found["cycles"]
    assert set(device.counters().values()) == {0}


class Bare:
    """The four calls alone."""

    def __init__(self, whole):
        self.read32, self.write32 = whole.read32, whole.write32
        self.read_memory, self.write_memory = whole.read_memory, whole.write_memory


def test_without_interrupts(both):
    with Accelerator(Bare(both), MEMORY, timeout=20) as device:
        x = device.upload(np.arange(9), INT32)
        for _ in range(20):
            last = device.quantise(x, Rescale())
        np.testing.assert_array_equal(device.download(last.c)[0], np.arange(9))
    assert not both.waits
    both.compare()


def test_interrupts_end_waits(device):
    """One wait per stop or idle, not one until patience ends, and none that returns at once."""
    x = device.upload(np.arange(9), INT32)
    for turn in range(1, 4):
        device.quantise(x, Rescale())
        before = device.transport.core.cycles
        device.wait()
        assert device.transport.waits == turn
        assert device.transport.core.cycles - before < 1000


def test_a_hang_is_told(both):
    device = Accelerator(both, MEMORY, ring=4, timeout=0.05)
    device.queue.write("control", 0)
    device.fence()
    with pytest.raises(TimeoutError, match=r"0\.05 s without progress, waiting for the end: "
                                           r"status 0x1, head 0, tail 1; reset the core"):
        device.wait()
    device.reset()
    device.fence()
    device.wait()


def test_memory_is_given_back(device):
    left = device.memory.free_bytes
    assert left == SIZE - 4 * 256
    tensors = [device.empty(1, size, INT32) for size in (16, 5, 16)]
    assert [t.address % ALIGN for t in tensors] == [0, 0, 0]
    device.free(tensors[1])
    assert device.empty(4, 4, INT4).address == tensors[1].address
    with pytest.raises(ValueError, match="freed twice"):
        device.free(tensors[1]._replace(address=BASE + 8))
    whole = device.memory.free_bytes // 64 * 16 - 16
    large = device.empty(1, whole, INT32)
    with pytest.raises(ValueError, match=f"{4 * whole} bytes do not fit: .* free tensors, or give"):
        device.empty(1, whole, INT32)
    device.fence()
    device.free(large)
    assert device.memory.free_bytes < 4 * whole  # while a job may use it
    assert device.empty(1, whole, INT32).address == large.address


def test_what_is_no_core(both):
    for register, value, text in (
            ("id", 0, "id = 0x00000000: expected 0x52544554; there is no Tetra core"),
            ("version", 7, r"version = 0\.0\.7 of the core: expected 0\.2; use the driver of"),
            ("interfaces", 2 << 12, "version = 2 of descriptors: expected 1"),
            ("shape", 0, "rows = 0 is out of range")):
        both.changed = {both.address[register]: value}
        with pytest.raises(ValueError, match=text):
            Accelerator(both, MEMORY)
    both.changed = {}
    for memory, ring, text in (
            ((BASE, 4095), 16, "memory of 4095 bytes: a ring of 16 entries takes 4096"),
            ((BASE + 1, 4096), 16, "takes 4351"), (MEMORY, 12, "ring = 12 entries: expected a"),
            (MEMORY, 1, "ring = 1 is out of range"), ((BASE, 2**64), 16, "size of memory = "),
            ((-1, 4096), 16, "base of memory = -1 is out of range")):
        with pytest.raises(ValueError, match=text):
            Accelerator(both, memory, ring)


def test_locked_windows(both):
    device = Accelerator(both, MEMORY)
    device.queue.set("window_lock", "lock")
    Accelerator(both, MEMORY).wait()
    with pytest.raises(ValueError, match="read_base = 0x400000000 is locked: expected 0x400000100"):
        Accelerator(both, (BASE + 256, SIZE - 256))


def test_what_does_not_fit_is_refused_before_it_is_queued(device):
    rng = np.random.default_rng(9)
    a, b = device.upload(codes(rng, INT4, 3, 8), INT4), device.upload(codes(rng, INT4, 2, 9), INT4)
    x, mask = device.upload(np.ones((3, 2), int), INT32), device.upload(np.ones((3, 2), bool), None)
    pair, triple = (device.upload(codes(rng, INT4, n, 3, 8), INT4) for n in (2, 3))
    result = device.quantise(x, Rescale())
    device.wait()
    left, queued = device.memory.free_bytes, device.queue.queued
    device.free(wide := device.upload(np.ones((300, 1), int), INT32))
    for call, text in (
            (lambda: device.gemm(a, b), r"K = 8 of a, \(3, 8\), and 9 of b, \(2, 9\): expected"),
            (lambda: device.gemm(x, x), "a is INT32: expected INT4 or INT4_SYM or UINT4"),
            (lambda: device.gemm(a, mask), "K = 8 of a"),
            (lambda: device.gemm(a, a, accumulate=True), "accumulate without out"),
            (lambda: device.gemm(pair, triple), "batch = 2 of a: expected 1 or 3"),
            (lambda: device.gemm(a, a, bias=x), r"bias of shape \(3, 2\): expected \(1, 3\)"),
            (lambda: device.gemm(a, a, mask=x), "mask is INT32: expected mask"),
            (lambda: device.gemm(a, a, a_zero=128), "a_zero = 128 is out of range"),
            (lambda: device.gemm(a, a, out=result), "out = .*: expected the result of a job"),
            (lambda: device.quantise(a, SCALED), "x is INT4: expected INT32"),
            (lambda: device.quantise(x, Rescale(), clip_mask=True), "clip_mask with INT32: only"),
            (lambda: device.quantise(wide, SCALED), r"m = 300 is out of range: expected 1\.\.255"),
            (lambda: device.quantise(x, SCALED, adapt=Adapt(99)),
             "the core refuses this job, ADAPT: The adapt fields name no entry"),
            (lambda: device.preset(Adapt(0, Use.ENTRY)), "the core refuses this job, ADAPT"),
            (lambda: device.upload(np.ones((2, 2)), INT4), "dtype float64: expected an integer"),
            (lambda: device.upload([[8]], INT4), r"code 8 of 'values' at index \(0, 0\) is not"),
            (lambda: device.upload([[2**31]], INT32), "values hold 2147483648 at index"),
            (lambda: device.upload([[1]], None), "mask of dtype int64: expected bool"),
            (lambda: device.upload(np.ones((1, 1, 1, 1), int), INT4), "values of shape"),
            (lambda: device.update(a, [[1, 2]]), r"values of shape \(1, 1, 2\): expected \(3, 8\)"),
            (lambda: device.report(result), "no report: the job did not adapt")):
        with pytest.raises(ValueError, match=text):
            call()
    assert (device.memory.free_bytes, device.queue.queued) == (left, queued)
