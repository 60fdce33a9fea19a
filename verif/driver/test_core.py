# SPDX-License-Identifier: Apache-2.0
"""The verilated core beside its golden model: random lists of descriptors, faults, resets."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from driver.verilated_core import VerilatedCore
from golden.config import Config
from golden.core import rows_of
from golden.descriptor import (
    BYTES,
    FIELDS,
    USED,
    WORDS,
    CoreFault,
    CoreOp,
    Descriptor,
    Fault,
)
from golden.formats import INT4
from golden.memory import Window
from golden.refused import decode
from hdl.core.load import EARLY
from verif.bench.benches import CORES
from verif.bench.cores import PATIENCE, Bench, kinds
from verif.bench.descriptors import (
    BASE,
    INPUTS,
    Image,
    Places,
    placed,
    random_image,
    reads,
    reference,
)

LATENCIES, STALLS = (50, 1, 7, 200), (0, 0, 100)
LISTS = {"asic": 120, "fpga": 72}
FENCE = Descriptor(op=CoreOp.FENCE)
WIDE = Config(2, 2, 32, bus_width=128, depth=32, strip=32, dim_width=8)


@pytest.fixture(scope="module", params=CORES)
def bench(request):
    with VerilatedCore(CORES[request.param], quick=True) as core:
        yield Bench(core)


def timed(bench: Bench, seed: int) -> None:
    bench.core.set_timing(latency=LATENCIES[seed % 4], stall=STALLS[seed % 3], seed=seed)


def test_random_lists(bench):
    """Results, reports and counters; random timing; the table of scales from job to job."""
    covered: Counter[str] = Counter()
    lists = LISTS["fpga" if bench.config.serial else "asic"]
    for seed in range(lists):
        image = random_image(np.random.default_rng(seed), bench.config, 6)
        timed(bench, seed)
        bench.run(image, f"list {seed}")
        covered.update(kind for d in image.descriptors for kind in kinds(d, bench.config))
        covered.update(f"{name} of the job before"
                       for before, d in pairwise(image.descriptors)
                       for name in reads(d, before, bench.config))
    print(dict(covered), dict(bench.faults))
    missing = {"chunks added to C", "transpose_mask", "batch", "zero point", "strips", "groups",
               "b early", "b in halves", "a before the barrier", "b before the barrier",
               "both before the barrier", "chunks", "one element", "adapt_discard", "FENCE",
               "TABLE", *(f"{name} of the job before" for name in INPUTS)} - {
                   kind for kind, count in covered.items() if count >= 2}
    assert not missing, f"random lists never reach {missing}"
    assert bench.faults[Fault.OVERFLOW] > 0


def alone(image: Image, *descriptors: Descriptor | bytes) -> Image:
    """The image with another ring; the tensors stay where they are."""
    data = image.data.copy()
    ring = b"".join(d.pack() if isinstance(d, Descriptor) else d for d in descriptors)
    room = 1 << len(image.descriptors).bit_length()
    assert len(descriptors) < room
    data[:len(ring)] = np.frombuffer(ring, np.uint8)
    return image._replace(data=data, descriptors=list(descriptors))


def test_refused_descriptors(bench):
    """Random bits of a descriptor are flipped, in fields and between them: the code is the golden
    model's, nothing is written, and the next descriptor runs."""
    codes: Counter[Fault] = Counter()
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        image = random_image(rng, bench.config, 6)
        broken = broken_descriptor(rng, bench.config, image.descriptors)
        with pytest.raises(CoreFault) as refused:
            decode(broken, bench.config)
        codes[refused.value.code] += 1
        timed(bench, seed)
        _run_refused(bench, alone(image, broken, FENCE), f"flip {seed}")
    print(codes)
    assert len(codes) >= 6


def test_descriptors_of_which_several_words_are_read_at_once():
    """Lists, and a bit of every word that is no field's."""
    rng = np.random.default_rng(12)
    with VerilatedCore(WIDE, quick=True) as core:
        bench = Bench(core)
        for seed in range(12):
            timed(bench, seed)
            bench.run(random_image(np.random.default_rng(seed), WIDE, 6), f"list {seed}")
        image = random_image(rng, WIDE, 6)
        good = int.from_bytes(image.descriptors[0].pack(), "little")
        for word in range(WORDS):
            unused = [at for at in range(32 * word, 32 * word + 32) if not USED >> at & 1]
            if unused:
                broken = (good ^ 1 << int(rng.choice(unused))).to_bytes(BYTES, "little")
                _run_refused(bench, alone(image, broken, FENCE), f"word {word}")


def broken_descriptor(rng, config: Config, descriptors: list[Descriptor]) -> bytes:
    """One of these with a few bits flipped, such that it is refused."""
    while True:
        bits = bytearray(descriptors[rng.integers(len(descriptors))].pack())
        for _ in range(int(rng.integers(1, 4))):
            field = FIELDS[rng.integers(30)]  # the rest are addresses and strides
            at = 32 * field.word + field.low + int(rng.integers(field.width))
            if rng.random() < 0.1:
                at = int(rng.integers(8 * BYTES))
            bits[at // 8] ^= 1 << at % 8
        try:
            decode(bytes(bits), config)
        except CoreFault:
            return bytes(bits)


def _run_refused(bench: Bench, image: Image, shown: str) -> None:
    data, before = image.data.copy(), image.data.copy()
    bench.core.attach({image.base: data})
    bench.start(image)
    bench.wait(shown)
    with pytest.raises(CoreFault) as refused:
        decode(image.descriptors[0], bench.config)
    assert Fault(bench.read("error")) == refused.value.code, shown
    assert bench.read("ring_head") == 0, shown
    np.testing.assert_array_equal(data, before, err_msg=shown)
    bench.acknowledge()
    bench.wait(shown)
    assert bench.read("ring_head") == 2 and not bench.read("status") & 4, shown


def test_faults_of_the_bus(bench):
    """Windows and answers of the memory: the code, whose fault it is, and not a byte elsewhere."""
    for seed in range(40):
        rng = np.random.default_rng(2000 + seed)
        image = random_image(rng, bench.config, 5)
        span = len(image.data)
        first = int(rng.integers(1 << (len(image.descriptors)).bit_length() + 8, span))
        limits = Window(image.base, image.base + first)
        timed(bench, seed)
        kind = seed % 3
        if kind == 0:
            bench.run(image, f"read window {seed}", read=limits)
        elif kind == 1:
            bench.run(image, f"write window {seed}", write=limits)
        else:
            at = image.base + first // 64 * 64
            bench.run(image, f"failing memory {seed}", failing=[(at, at + 63)])
    print(bench.faults)
    for code in (Fault.READ_WINDOW, Fault.WRITE_WINDOW, Fault.READ_SLVERR, Fault.WRITE_SLVERR):
        assert bench.faults[code], code


@pytest.mark.parametrize("turned", (False, True))
@pytest.mark.parametrize("columns", (1, 2, 5))
@pytest.mark.parametrize("groups", (EARLY, EARLY + 1))
def test_no_byte_behind_operand_b_is_read(bench, groups, columns, turned):
    """The window ends with it; its last strip has few columns, and comes early, or in halves."""
    config, rng = bench.config, np.random.default_rng(8)
    place = Places(rng, BASE + 2 * BYTES)
    d = placed(rng, Descriptor(
        op=CoreOp.GEMM, m=groups * config.lanes + 1, n=config.strip + columns, k=config.lanes + 1,
        multiplier=2**15, shift=18, format=INT4.encoding, transpose_b=turned), config, place)
    rows = rows_of(d, "b")
    size = (rows.number - 1) * rows.stride + rows.size
    d = replace(d, b_address=place.take(size))
    data = rng.integers(0, 256, place.end - BASE, dtype=np.uint8)
    data[:BYTES] = np.frombuffer(d.pack(), np.uint8)
    bench.faults.clear()
    bench.run(Image(config, BASE, data, [d]), "b at the end", read=Window(BASE, place.end - 1))
    assert not bench.faults


def test_tail_beyond_the_ring(bench):
    image = random_image(np.random.default_rng(5), bench.config, 3)
    bench.core.attach({image.base: image.data})
    bench.start(image, tail=4)  # of a ring of four
    bench.wait("a tail beyond the ring")
    assert Fault(bench.read("error")) == Fault.RING
    bench.write("ring_tail", 0)
    bench.acknowledge()
    bench.wait("after it")
    assert bench.read("ring_head") == 0


def test_ring_wraps(bench):
    """Many more descriptors than entries, one by one: the head follows the tail."""
    image = random_image(np.random.default_rng(9), bench.config, 3)
    image = alone(image, FENCE, FENCE, FENCE)
    image.data[3 * BYTES:4 * BYTES] = np.frombuffer(FENCE.pack(), np.uint8)
    bench.core.attach({image.base: image.data})
    bench.start(image, tail=1)
    for turn in range(1, 20):
        bench.wait(f"turn {turn}")
        assert bench.read("ring_head") == turn % 4
        bench.write("interrupt_status", 7)
        bench.write("ring_tail", (turn + 1) % 4)


@pytest.mark.parametrize("soft", (False, True), ids=("reset", "soft reset"))
def test_reset_in_every_cycle(bench, soft):
    """Of a reference list, or in every ninth of a serial core, which takes longer: no byte beside
    its outputs, a quiet bus, and what runs next, up to the next reset or to its end, does so as
    ever."""
    image = reference(bench.config)
    bench.core.set_timing(latency=7)
    bench.faults.clear()
    bench.run(image, "the list alone")
    assert not bench.faults

    def run(cycles: int, reset: bool) -> np.ndarray:
        """The bytes that so many cycles of the list leave, or all of it."""
        data = image.data.copy()
        bench.core.attach({image.base: data})
        bench.start(image, reset=reset)
        bench.core.run(cycles)
        return data

    begin = bench.core.cycles
    after = run(PATIENCE, True)
    length = bench.core.cycles - begin
    for cycles in range(1, length + 1, 9 if bench.config.serial else 1):
        data = run(cycles, not soft)
        if soft:
            bench.forget(f"a soft reset after {cycles} cycles")
        bench.compare_outputs(image, data, f"a reset after {cycles} cycles")
        if cycles % 8:
            continue
        again = run(PATIENCE, not soft)
        if soft:
            bench.forget("the last one")
        wrong = np.flatnonzero(again != after)
        assert not wrong.size, f"list after {cycles} cycles and a reset: byte {wrong[0]} differs"
    assert not bench.core.strays
    print(f"{length} cycles")


def test_a_soft_reset_forgets_a_fault_of_the_same_cycle(bench):
    """In every cycle up to a stop."""
    data = np.zeros(8 * BYTES, np.uint8)
    data[:BYTES] = 0xEE
    image = Image(bench.config, BASE, data, [bytes(data[:BYTES])])
    bench.core.set_timing(latency=3)
    bench.core.attach({BASE: data})
    begin = bench.core.cycles
    bench.start(image)
    bench.wait("the stop")
    assert bench.read("error") == Fault.VERSION
    for cycles in range(bench.core.cycles - begin):
        bench.start(image)
        bench.core.run(cycles)
        bench.forget(f"a soft reset after {cycles} cycles")
        assert not bench.read("error"), f"a soft reset after {cycles} cycles leaves an error"


def test_hostile_descriptors(bench):
    """Random bytes, and good descriptors at nonsense addresses: no hang, no stray byte."""
    for seed in range(40):
        rng = np.random.default_rng(3000 + seed)
        image = random_image(rng, bench.config, 6)
        broken = []
        for d in image.descriptors:
            changes = {f.name: int(rng.integers(2**63)) & ~3 for f in FIELDS
                       if f.name.endswith("address") and rng.random() < 0.3}
            broken.append(replace(d, **changes))
        timed(bench, seed)
        hostile = alone(image, *broken)
        guard = hostile.data.copy()
        bench.core.attach({hostile.base: hostile.data})
        inside = Window(hostile.base, hostile.base + len(guard) - 1)
        bench.start(hostile, read=inside, write=inside)
        for _ in range(len(broken) + 1):
            bench.wait(f"hostile list {seed}")
            if bench.read("status") & 1:
                break
            bench.acknowledge()
        assert bench.read("ring_head") == len(broken)
    assert not bench.core.strays
