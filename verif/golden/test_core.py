# SPDX-License-Identifier: Apache-2.0
"""The golden core against one in plain Python integers, and adapting jobs against the backend."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from golden.adaptive import Adapt, Use
from golden.config import Config, preset
from golden.core import GoldenCore, outputs, rows_of
from golden.descriptor import TENSORS, CoreFault, Descriptor, Fault
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4, INT4_SYM, UINT4, pack
from golden.memory import Memory, Rows
from golden.report import Entry
from golden.report_words import pack_report
from golden.rescale import Rescale
from golden.solver import SolveMode
from verif.golden.slow_core import SlowCore, draw, fill

CONFIGS = [Config(4, 1, 4, depth=8, strip=8, radices=(4,)), Config(4, 4, 4, depth=16, strip=8),
           Config(2, 2, 8, depth=16, strip=16, stochastic=False), Config(8, 4, 8, depth=8, strip=8)]
DRAWS = 60  # per configuration and shard


def undefined(d: Descriptor, config: Config, base: int, size: int) -> np.ndarray:
    """Which bytes of memory the descriptor may write."""
    found = np.zeros(size, bool)
    for rows in outputs(d, config):
        for row in range(rows.number):
            start = rows.address + row * rows.stride - base
            found[start : start + rows.size] = True
    return found


def compare(seed: int, config: Config, **given) -> tuple[Descriptor, bool]:
    """One drawn job, on both: all of memory is the same, and whether a sum overflowed."""
    rng = np.random.default_rng(seed)
    d, base, size = draw(rng, config, **given)
    image = fill(rng, d, base, size)
    slow_image, memory = bytearray(image.tobytes()), Memory({base: image.copy()})
    slow = SlowCore(config, slow_image, base, d.pack())
    core, told = GoldenCore(config), f"seed {seed}, {config}\n{d}"
    try:
        assert core.run(memory, [d]) is memory
    except CoreFault as fault:
        assert (fault.code, fault.address, fault.descriptor) == (Fault.OVERFLOW, 0, 0), told
    else:
        assert not slow.overflow, told
    different = memory.regions[base] != np.frombuffer(slow_image, np.uint8)
    if slow.overflow:
        different &= ~undefined(d, config, base, size)
    else:
        assert core.macs == d.m * d.n * d.k * d.batch, told
    assert not different.any(), f"{told}\nfirst at {base + int(different.argmax()):#x}"
    changed = memory.regions[base] != image
    assert not (changed & ~undefined(d, config, base, size)).any(), told
    return d, slow.overflow


@pytest.mark.parametrize("shard", range(2))
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_random_jobs(config, shard):
    seen = Counter()
    for seed in range(shard * DRAWS, (shard + 1) * DRAWS):
        d, overflow = compare(seed, config)
        seen.update([f"overflow {overflow}", f"format {d.format}", f"op {d.op}",
                     f"split {d.k > config.depth}"])
    assert seen["split True"] > 5 and seen["op 1"] > 5
    assert all(seen[f"format {fmt}"] for fmt in range(5 if config.radices == (4,) else 6))


@pytest.mark.parametrize("turn", range(8), ids=lambda turn: f"{turn:03b}")
def test_every_transpose_with_every_format(turn):
    turns = {f"transpose_{name}": bool(turn >> i & 1) for i, name in enumerate("abc")}
    for fmt in range(6):
        for k in (7, 13, 16, 17, 40):  # of a depth of 16: one chunk, and up to three
            given = {"op": 0, "k": k, "format": fmt, "accumulate": False, "bias": k == 13,
                     "zero_point": 0, "mask_out": fmt < 3, "stochastic": fmt != 3 and k == 7,
                     "a_zero": k - 8, **turns}
            compare(100 * turn + 10 * fmt + k, CONFIGS[1], **given)


def test_every_alignment():
    """Codes at every byte of 16, words at every word of it; ragged and whole rows."""
    config = CONFIGS[1]
    for at in range(16):
        for n in (1, 2, 7, 8):
            d = Descriptor(m=3, n=n, k=5, format=at % 3, mask_in=True, mask_out=True,
                           multiplier=40000, shift=20, transpose_c=n == 7)
            names, place = ("a", "b", "c", "mask_in", "mask_out"), 4096 + at
            for name in names:
                rows = rows_of(d, name)
                d = replace(d, **{f"{name}_address": place, f"{name}_stride": rows.size})
                place += 32 * rows.number + 1
            image = np.random.default_rng(at).integers(0, 256, place - 4096, dtype=np.uint8)
            slow_image, memory = bytearray(image.tobytes()), Memory({4096: image})
            SlowCore(config, slow_image, 4096, d.pack())
            GoldenCore(config).run(memory, [d])
            assert memory.regions[4096].tobytes() == slow_image


def laid(config=CONFIGS[1], **members) -> tuple[Descriptor, Memory]:
    """A job whose tensors lie in a region each, 1 MiB apart, of random bytes and 100 spare ones."""
    rng, base = np.random.default_rng(8), 1 << 20
    d, regions = Descriptor(**members), {}
    for i, name in enumerate(TENSORS):
        rows = rows_of(d, name)
        stride = rows.size + (-rows.size % 4)
        ends = {"address": base * (i + 1), "stride": stride, "batch_stride": rows.number * stride}
        d = replace(d, **{f"{name}_{end}": value for end, value in ends.items()
                          if hasattr(d, f"{name}_{end}")})
        size = d.batch * rows.number * stride + 100
        regions[base * (i + 1)] = rng.integers(0, 256, size, dtype=np.uint8)
        if name in ("x", "bias", "c"):
            words = regions[base * (i + 1)][: size // 4 * 4].view("<i4")
            words >>= 12
    return d, Memory(regions)


def of(d: Descriptor, memory: Memory, name: str, element: int = 0) -> np.ndarray:
    return memory.read(rows_of(d, name, element))


def test_scratch_holds_the_sums_before_bias_and_mask():
    d, memory = laid(m=5, n=6, k=41, batch=2, bias=True, mask_in=True, a_zero=3, format=0)
    before = memory.copy()
    GoldenCore(CONFIGS[1]).run(memory, [d])
    codes = [np.stack([of(d, before, name, 1) & 15, of(d, before, name, 1) >> 4], axis=2)
             for name in "ab"]
    a, b = (each.reshape(len(each), -1)[:, :41].astype(int) for each in codes)
    sums = (a - 3) @ np.where(b > 7, b - 16, b).T
    np.testing.assert_array_equal(of(d, memory, "scratch").view("<i4"), sums)
    d, memory = laid(m=5, n=6, k=16)  # one chunk, INT32: scratch is not touched
    before = memory.copy()
    GoldenCore(CONFIGS[1]).run(memory, [d])
    np.testing.assert_array_equal(of(d, memory, "scratch"), of(d, before, "scratch"))


def test_one_sum_and_chunks_give_the_same():
    """But for what lies in scratch, nobody sees that K was split."""
    wide = replace(CONFIGS[1], depth=512)
    for members in ({}, {"format": 4, "stochastic": True, "seed": 9},
                    {"format": 2, "mask_out": True, "zero_point": 3, "a_zero": -7, "report": True,
                     "adapt_enable": True, "adapt_solve": True, "adapt_mode": 4}):
        d, memory = laid(m=9, n=11, k=100, b_format=2, bias=True, mask_in=True, shift=21, batch=2,
                         **members)
        whole = GoldenCore(wide).run(memory.copy(), [d])
        split = GoldenCore(CONFIGS[1]).run(memory, [d])
        for name in ("c", "c_odd", "mask_out", "report"):
            for element in range(2):
                np.testing.assert_array_equal(of(d, whole, name, element),
                                              of(d, split, name, element))


def test_adapting_jobs_are_the_backends():
    """Batch elements measure, solve and report for themselves, and use what the last one solved."""
    config = CONFIGS[1]
    backend, core = GoldenBackend(config), GoldenCore(config)
    backend.run(Job.table(Adapt(3, preset=Entry(Dyadic(40000, 30), -2, 5, True))))
    preset_entry, memory = laid(op=2, adapt_enable=True, adapt_tensor=3, adapt_preset=True,
                                multiplier=40000, shift=30, zero_point=-2, adapt_exponent=5,
                                adapt_valid=True, report=True, interrupt=True)
    core.run(memory, [preset_entry])
    assert core.table.entries == backend.table.entries and core.interrupts == 1
    d, memory = laid(op=1, m=6, n=10, batch=3, format=0, mask_out=True, adapt_enable=True,
                     adapt_tensor=3, adapt_use=1, adapt_solve=True, adapt_mode=0, report=True,
                     stochastic=True, seed=2**32 - 1)
    core.run(memory, [d])
    underflowed = 0
    for element in range(3):
        then = Rescale(INT4, Dyadic(32768, 15), seed=(element - 1) % 2**32)
        expected = backend.run(Job.quantise(
            of(d, memory, "x", element).view("<i4"), then, strips=True,
            adapt=Adapt(3, Use.ENTRY, SolveMode.RANGE)))
        np.testing.assert_array_equal(of(d, memory, "c", element), pack(expected.codes))
        assert of(d, memory, "report", element).tobytes() == pack_report(expected.told)
        underflowed += expected.told.statistics.underflowed
    assert core.table.entries == backend.table.entries
    assert core.underflowed == underflowed > 0


def test_a_table_job_reports_its_own_scale():
    """Also without a preset; whatever the format, the zero point is told."""
    d, memory = laid(op=2, adapt_enable=True, adapt_tensor=2, multiplier=50000, shift=3,
                     zero_point=-77, format=3, report=True, adapt_solve=True, adapt_mode=3,
                     adapt_alpha=12345, adapt_exponent=-9)
    core = GoldenCore(CONFIGS[1])
    core.run(memory, [d])
    table = GoldenBackend(CONFIGS[1]).table
    told = table.finish(Adapt(2, solve=SolveMode.PACT, alpha=12345, exponent=-9),
                        Rescale(INT4_SYM, Dyadic(50000, 3), -77))
    assert of(d, memory, "report").tobytes() == pack_report(told)
    assert core.table.entries == table.entries and told.zero_point == -77


def test_discard_writes_the_report_alone():
    d, memory = laid(op=1, m=6, n=10, format=4, adapt_enable=True, adapt_discard=True, report=True,
                     adapt_solve=True, adapt_mode=2)
    before = memory.copy()
    core = GoldenCore(CONFIGS[1])
    core.run(memory, [d])
    for name in ("c", "c_odd", "mask_out"):
        np.testing.assert_array_equal(of(d, memory, name), of(d, before, name))
    assert (of(d, memory, "report") != of(d, before, "report")).any()
    assert core.table.entries[0].valid and core.macs == 0 and core.saturated > 0


def test_counters_count_results_of_jobs_that_adapt():
    d, memory = laid(m=4, n=5, k=33, batch=2, format=2, shift=30, b_format=1, interrupt=True,
                     adapt_enable=True)
    core = GoldenCore(CONFIGS[1])
    core.run(memory, [d, replace(d, interrupt=False, shift=2)])
    codes = [of(d, memory, "c", e) for e in range(2)]
    top = sum(int((each & 15 == 15).sum() + (each[:, :2] >> 4 == 15).sum()) for each in codes)
    assert core.macs == 2 * 2 * 4 * 5 * 33 and core.interrupts == 1
    assert core.saturated >= top > 0


def test_a_fence_does_nothing():
    core, memory = GoldenCore(preset("tiny")), Memory({0: np.arange(99, dtype=np.uint8)})
    core.table.entries[0] = Entry(exponent=3)
    core.run(memory, [Descriptor(op=3, barrier=True, c_address=5), Descriptor(op=3).pack()])
    assert memory.read(Rows(0, 1, 99)).ravel().tolist() == list(range(99))
    assert core.table.entries[0].exponent == 3


OVERFLOWS = [  # of one sum of 32 bits each: how it is brought about
    {"op": 1, "bias": True},
    {"k": 8, "bias": True},
    {"k": 8, "bias": True, "a_zero": 127},
    {"k": 8, "accumulate": True},
    {"k": 20, "bias": True},
    {"k": 20, "accumulate": True, "shift": 15},
    {"op": 1, "bias": True, "mask_in": True},  # of elements that the mask drops
    {"op": 1, "bias": True, "adapt_enable": True, "adapt_discard": True},
]


@pytest.mark.parametrize("members", OVERFLOWS, ids=range(len(OVERFLOWS)))
def test_sums_beyond_32_bits_stop_the_core(members):
    d, memory = laid(m=2, n=3, b_format=1, **members)
    most, core = np.frombuffer(b"\xff\xff\xff\x7f" * 3, np.uint8), GoldenCore(CONFIGS[1])
    codes = np.full((3, 20), 0x11, np.uint8)  # UINT4 1 times FP4 1
    for name in "ab":
        rows = rows_of(d, name)
        memory.write(rows, codes[: rows.number, : rows.size])
    for name in ("x", "bias", "c"):
        rows = rows_of(d, name)
        memory.write(rows, np.tile(most, (rows.number, 1)))
    if d.mask_in:
        memory.write(rows_of(d, "mask_in"), np.zeros((2, 1), np.uint8))
    if d.a_zero:  # -127 * 8 and then 1 * 8: neither overflows beside a bias that leaves room
        memory.write(rows_of(d, "bias"), np.frombuffer(b"\0\0\0\x80" * 3, np.uint8)[None])
    core.table.entries[1] = Entry(exponent=4)
    with pytest.raises(CoreFault, match=r"^OVERFLOW in descriptor 0, address 0x0$"):
        core.run(memory, [d])
    assert core.table.entries[1] == Entry() and core.macs == 0


LONG = [  # K, a_zero, depth: chunks whose sum in scratch leaves 32 bits, and one that does alone
    (3666, -128, 16, False), (3667, -128, 16, True), (3640, -128, 1024, False),
    (3680, -128, 1024, True), (8192, 127, 8192, True), (4095, -128, 4096, True),
    (4096, 127, 4096, False), (4128, 127, 8192, False), (4129, 127, 8192, True),
]


@pytest.mark.parametrize("sign", [0, 8], ids=["plus", "minus"])
@pytest.mark.parametrize(("k", "a_zero", "depth", "overflows"), LONG, ids=range(len(LONG)))
def test_long_sums(k, a_zero, depth, overflows, sign):
    """Codes 15 (or 0) times 4096 of either sign, to both sides of 2**31, in pieces and at once."""
    d, memory = laid(m=1, n=1, k=k, b_format=1, a_zero=a_zero)
    code = 15 if a_zero < 0 else 0
    for name, value in (("a", code * 17), ("b", (7 + sign) * 17)):
        memory.write(rows_of(d, name), np.full((1, rows_of(d, name).size), value, np.uint8))
    core = GoldenCore(replace(CONFIGS[1], depth=depth))
    if overflows:
        with pytest.raises(CoreFault, match="OVERFLOW"):
            core.run(memory, [d])
        return
    core.run(memory, [d])
    total = k * (code - a_zero) * (-4096 if sign else 4096)
    assert of(d, memory, "c").view("<i4").tolist() == [[total]]


def test_what_the_rescaling_clamps_is_no_fault():
    d, memory = laid(m=8, n=9, k=8, b_format=1, multiplier=65535, shift=0, adapt_enable=True)
    core = GoldenCore(CONFIGS[1])
    core.run(memory, [d])
    assert core.saturated > 0 and (np.abs(of(d, memory, "c").view("<i4").astype(int)) > 0).any()


def test_radix_4_gives_both_phases():
    d, memory = laid(op=1, m=4, n=5, format=4, shift=33, transpose_c=True)
    GoldenCore(CONFIGS[1]).run(memory, [d])
    result = GoldenBackend(CONFIGS[1]).run(
        Job.quantise(of(d, memory, "x").view("<i4"), Rescale(FP4_R4, Dyadic(32768, 33))))
    np.testing.assert_array_equal(of(d, memory, "c"), pack(result.codes.T))
    np.testing.assert_array_equal(of(d, memory, "c_odd"), pack(result.odd.T))


@pytest.mark.parametrize(("members", "text"), [
    ({"rows": 1}, "rows = 1: a core takes 2 or more"),
    ({"lanes": 2, "rows": 2, "cols": 1}, "lanes = 2: a core takes at least 4"),
    ({"rows": 8}, "lanes = 4: a core takes at least 4, and at least rows and cols, 8 and 4"),
    ({"cols": 8}, "lanes = 4: a core takes at least 4, and at least rows and cols, 4 and 8"),
    ({"accumulator_width": 20}, "depth = 16: this accumulator_width and dim_width allow 1..8 "),
    ({"dim_width": 4}, "depth = 16: this accumulator_width and dim_width allow 1..15 "),
])
def test_configurations_that_no_core_has(members, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        GoldenCore(replace(CONFIGS[1], **members))
    assert GoldenCore(CONFIGS[1]).config is CONFIGS[1] and UINT4.hi == 15
