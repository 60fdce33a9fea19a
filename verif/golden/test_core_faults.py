# SPDX-License-Identifier: Apache-2.0
"""Where memory may not be accessed, who says so with which address, and how the ring goes on."""

from dataclasses import replace

import numpy as np
import pytest

from golden.config import Config
from golden.core import GoldenCore, outputs, rows_of
from golden.descriptor import TENSORS, CoreFault, Descriptor, Fault
from golden.memory import EVERYWHERE, NOWHERE, Memory, Rows, Window
from golden.report import Entry
from golden.ring import CommandRing

CONFIG = Config(4, 4, 4, depth=16, strip=8)
# address of each tensor, its job, and the codes that reads and writes of it have
REACHED = [("a", {}, "READ"), ("b", {}, "READ"), ("c", {}, "WRITE"),
           ("bias", {"bias": True}, "READ"), ("c", {"accumulate": True}, "READ"),
           ("mask_in", {"mask_in": True}, "READ"), ("c_odd", {"format": 4}, "WRITE"),
           ("mask_out", {"mask_out": True, "format": 0}, "WRITE"),
           ("c", {"format": 5, "transpose_c": True}, "WRITE"), ("x", {"op": 1, "k": 0}, "READ"),
           ("report", {"adapt_enable": True, "report": True}, "WRITE"),
           ("scratch", {"k": 17}, "WRITE"), ("scratch", {"k": 33}, "READ"),
           ("a", {"transpose_a": True}, "READ"), ("b", {"transpose_b": True}, "READ")]
IDS = [f"{name}-{access}-{i}" for i, (name, _, access) in enumerate(REACHED)]
SPARE = 2**31  # of every tensor to the next


def job(tensor: str, members: dict, address: int | None = None) -> tuple[Descriptor, Memory]:
    """A job of two batch elements whose tensors lie far from each other; `address` of one."""
    d = Descriptor(**{"m": 5, "n": 6, "k": 7, "batch": 2, **members})
    regions = {}
    for i, name in enumerate(TENSORS):
        where = address if name == tensor and address is not None else SPARE * (i + 1)
        ends = {"address": where, "stride": 64, "batch_stride": 1024}
        d = replace(d, **{f"{name}_{end}": value for end, value in ends.items()
                          if hasattr(d, f"{name}_{end}")})
        regions[where] = np.full(min(4096, 2**64 - where), 1, np.uint8)
    return d, Memory(regions)


def span(d: Descriptor, tensor: str) -> tuple[int, int]:
    """The first and the last byte of a tensor, all batch elements."""
    last = rows_of(d, tensor, d.batch - 1)
    return (getattr(d, f"{tensor}_address"),
            last.address + (last.number - 1) * last.stride + last.size - 1)


def fault_of(d: Descriptor, memory: Memory, core: GoldenCore) -> tuple[Fault, int] | None:
    core.table.entries[9] = Entry(exponent=1)
    try:
        core.run(memory, [Descriptor(op=3), d])
    except CoreFault as fault:
        assert fault.descriptor == 1 and core.table.entries[9] == Entry()
        return fault.code, fault.address
    assert core.table.entries[9] == Entry(exponent=1)
    return None


def beside(core: GoldenCore, access: str, window: Window) -> GoldenCore:
    setattr(core, f"{access.lower()}_window", window)
    return core


@pytest.mark.parametrize(("tensor", "members", "access"), REACHED, ids=IDS)
def test_windows_to_the_byte(tensor, members, access):
    """Of the first and the last tensor in memory; the window of the other direction is no help."""
    for end in (0, 1):
        d, memory = job(tensor, members, 2**20 if end == 0 else 2**50)
        first, last = span(d, tensor)
        window = (Window(first, 2**64 - 1), Window(0, last))[end]
        assert fault_of(d, memory.copy(), beside(GoldenCore(CONFIG), access, window)) is None
        tight = (Window(first + 1, 2**64 - 1), Window(0, last - 1))[end]
        found = fault_of(d, memory.copy(), beside(GoldenCore(CONFIG), access, tight))
        row = (first, last + 1 - rows_of(d, tensor).size)[end]
        assert found == (Fault[f"{access}_WINDOW"], row)


@pytest.mark.parametrize(("tensor", "members", "access"), REACHED, ids=IDS)
def test_rows_that_wrap(tensor, members, access):
    """The last byte of memory may be used; the byte behind it is no byte 0."""
    d, memory = job(tensor, members)
    first, last = span(d, tensor)
    top = 2**64 - (last - first + 1)
    words = tensor in ("x", "bias", "report", "scratch") or (tensor == "c" and d.format == 3)
    d, memory = job(tensor, members, top - top % 4 if words else top)
    assert fault_of(d, memory, GoldenCore(CONFIG)) is None
    d, memory = job(tensor, members, top + 4 if words else top + 1)
    row = (span(d, tensor)[1] + 1 - rows_of(d, tensor).size) % 2**64
    assert fault_of(d, memory, GoldenCore(CONFIG)) == (Fault.WRAP, row)


@pytest.mark.parametrize(("tensor", "members", "access"), REACHED, ids=IDS)
def test_answers_of_the_bus(tensor, members, access):
    d, memory = job(tensor, members)
    first, last = span(d, tensor)
    row = last + 1 - rows_of(d, tensor).size
    whole = memory.regions.pop(first)
    seen = "WRITE" if tensor == "scratch" else "READ" if tensor == "c" and d.accumulate else access
    memory = Memory({**memory.regions, first: whole[: last - first]})
    assert fault_of(d, memory, GoldenCore(CONFIG)) == (Fault[f"{seen}_DECERR"], row)
    for where in (row, last):
        memory = Memory({**memory.regions, first: whole}, failing=[(where, where)])
        assert fault_of(d, memory, GoldenCore(CONFIG)) == (Fault[f"{seen}_SLVERR"], row)
    memory = Memory(memory.regions, failing=[(last + 1, last + 1)])
    assert fault_of(d, memory, GoldenCore(CONFIG)) is None


def test_empty_windows_allow_nothing():
    d, memory = job("a", {})
    before = memory.copy()
    assert fault_of(d, memory, GoldenCore(CONFIG, NOWHERE)) == (Fault.READ_WINDOW, d.a_address)
    assert fault_of(d, memory, GoldenCore(CONFIG, EVERYWHERE, NOWHERE)) == (
        Fault.WRITE_WINDOW, d.c_address)
    assert all((memory.regions[at] == data).all() for at, data in before.regions.items())
    fence = GoldenCore(CONFIG, NOWHERE, NOWHERE)
    fence.run(memory, [Descriptor(op=3), Descriptor(op=2, adapt_enable=True)])


def test_outputs_are_all_that_is_written():
    d, _ = job("c", {"k": 17, "format": 4, "adapt_enable": True, "report": True})
    assert outputs(d, CONFIG) == [rows_of(d, name, e) for name in (
        "c", "c_odd", "report", "scratch") for e in range(2)]
    assert outputs(Descriptor(op=3), CONFIG) == []


def test_memory():
    memory = Memory({100: np.arange(10, dtype=np.uint8), 110: np.arange(10, dtype=np.uint8)})
    assert memory.read(Rows(101, 3, 2, 6)).tolist() == [[1, 2], [7, 8], [3, 4]]
    memory.write(Rows(101, 3, 2, 6), np.array([[91, 92], [93, 94], [95, 96]]))
    assert memory.regions[100].tolist() == [0, 91, 92, 3, 4, 5, 6, 93, 94, 9]
    memory.write(Rows(100, 3, 4, 1), np.array([[1] * 4, [2] * 4, [3] * 4]))  # the later wins
    assert memory.regions[100].tolist()[:7] == [1, 2, 3, 3, 3, 3, 6]
    with pytest.raises(CoreFault, match=r"^READ_DECERR, address 0x6d$"):  # in two regions
        memory.read(Rows(103, 2, 2, 6))
    with pytest.raises(CoreFault, match=r"^WRITE_DECERR, address 0x78$"):
        memory.write(Rows(118, 2, 2, 2), np.zeros((2, 2)))
    for regions, text in (({0: np.zeros(4)}, "expected a uint8 array of one axis"),
                          ({0: np.zeros((2, 2), np.uint8)}, "expected a uint8 array of one axis"),
                          ({-1: np.zeros(4, np.uint8)}, "address of a region = -1 is out of range"),
                          ({2**64 - 3: np.zeros(4, np.uint8)}, "or reaches beyond"),
                          ({5: np.zeros(1, np.uint8), 2: np.zeros(4, np.uint8)}, "0x5 of 1 bytes")):
        with pytest.raises(ValueError, match=text):
            Memory(regions)


def ring_of(descriptors, base: int = 2**12, window: Window = EVERYWHERE) -> CommandRing:
    """A ring of four entries with these in its first ones, beside the tensors of `job`."""
    _, memory = job("a", {})
    data = b"".join(each.pack() for each in descriptors).ljust(1024, b"\0")
    memory = Memory({**memory.regions, base: np.frombuffer(data, np.uint8).copy()})
    return CommandRing(GoldenCore(CONFIG, window), memory, base, 2)


def test_the_ring_runs_to_its_tail_and_round():
    d, _ = job("a", {"batch": 1, "interrupt": True})
    ring = ring_of([replace(d, c_address=d.c_address + 256 * i) for i in range(4)])
    ring.doorbell(3)
    assert (ring.head, ring.core.interrupts, ring.fault) == (3, 3, None)
    ring.doorbell(3)
    assert ring.core.interrupts == 3
    ring.doorbell(1)  # entries 3 and 0
    assert (ring.head, ring.tail, ring.core.interrupts) == (1, 1, 5)


def test_a_fault_stops_the_ring_until_it_is_acknowledged():
    good, _ = job("a", {"batch": 1})
    ring = ring_of([good, replace(good, version=2), replace(good, m=0), good])
    ring.core.table.entries[2] = Entry(exponent=3)
    ring.doorbell(3)
    assert (ring.head, ring.fault.code, ring.fault.descriptor) == (1, Fault.VERSION, 1)
    assert ring.core.table.entries[2] == Entry() and ring.core.macs == 5 * 6 * 7
    ring.doorbell(0)  # is kept, and the first fault too
    ring.doorbell(4)
    assert (ring.head, ring.tail, ring.fault.code) == (1, 0, Fault.VERSION)
    ring.acknowledge()
    assert (ring.head, ring.fault.code, ring.fault.descriptor) == (2, Fault.SIZE, 2)
    ring.acknowledge()
    assert (ring.head, ring.fault, ring.core.macs) == (0, None, 2 * 5 * 6 * 7)
    ring.acknowledge()
    assert ring.head == 0


def test_a_tail_that_is_no_index():
    good, _ = job("a", {"batch": 1})
    ring = ring_of([good] * 4)
    ring.doorbell(1)
    ring.core.table.entries[2] = Entry(exponent=3)
    ring.doorbell(4)
    assert (ring.fault.code, ring.fault.descriptor, ring.head, ring.tail) == (Fault.RING, 1, 1, 1)
    assert ring.core.table.entries[2] == Entry()
    ring.acknowledge()
    assert (ring.fault, ring.head, ring.core.macs) == (None, 1, 5 * 6 * 7)
    ring.doorbell(3)
    assert (ring.fault, ring.head, ring.core.macs) == (None, 3, 3 * 5 * 6 * 7)


def test_descriptors_are_read_through_the_window():
    good, _ = job("a", {"batch": 1})
    ring = ring_of([good] * 4, window=Window(2**12 + 256, 2**64 - 1))
    ring.doorbell(2)
    assert (ring.fault.code, ring.fault.address, ring.head) == (Fault.READ_WINDOW, 2**12, 0)
    ring.acknowledge()
    assert (ring.fault, ring.head) == (None, 2)
    ring = CommandRing(GoldenCore(CONFIG), Memory({0: np.zeros(256, np.uint8)}), 0, 15)
    ring.head, ring.tail = 1, 1
    ring.doorbell(2)
    assert (ring.fault.code, ring.fault.address, ring.entries) == (Fault.READ_DECERR, 256, 2**15)


def test_rings_that_are_none():
    core, memory = GoldenCore(CONFIG), Memory({})
    for base, size, text in ((1, 2, "base = 0x1 is no multiple of 256"), (0, 0, "size = 0 is out"),
                             (0, 16, "size = 16 is out"), (2**64, 2, "base = 1844")):
        with pytest.raises(ValueError, match=f"^{text}"):
            CommandRing(core, memory, base, size)
    with pytest.raises(ValueError, match=r"^tail = -1 is out of range"):
        CommandRing(core, memory, 0, 1).doorbell(-1)
