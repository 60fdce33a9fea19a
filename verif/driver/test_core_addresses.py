# SPDX-License-Identifier: Apache-2.0
"""Tensors at the end of what the bus can address, and behind it: never the first bytes instead."""

from types import SimpleNamespace

import numpy as np
import pytest

from driver.accelerator import Accelerator
from driver.verilated_core import VerilatedCore
from golden.core import GoldenCore
from golden.descriptor import BYTES, CoreFault, CoreOp, Descriptor, Fault
from golden.memory import Memory
from verif.bench.benches import CORES
from verif.bench.cores import Bench
from verif.golden.test_core_faults import IDS, REACHED, job

RING, SIZE = 0x1000, 4096
FENCE = Descriptor(op=CoreOp.FENCE)


@pytest.fixture(scope="module", params=CORES)
def bench(request):
    with VerilatedCore(CORES[request.param], quick=True, latency=9) as core:
        yield Bench(core)


def regions_of(memory: Memory, end: int, descriptor: Descriptor) -> dict[int, np.ndarray]:
    """The job's, none of them longer than the bus reaches; the ring; and what a tensor that began
    again at address 0 would find."""
    found = {at: data[:end - at].copy() for at, data in memory.regions.items() if at < end}
    found[0] = np.full(SIZE, 1, np.uint8)
    found[RING] = np.zeros(SIZE, np.uint8)
    packed = np.frombuffer(descriptor.pack(), np.uint8)
    found[RING][:packed.size] = packed
    return found


# of a tensor's first byte to the end: the second element is beyond, the second row, a part of the
# first row, all
DISTANCES = (1024, 64, 16, 0)


@pytest.mark.parametrize(("tensor", "members", "access"), REACHED, ids=IDS)
def test_behind_the_last_address(bench, tensor, members, access):
    """The code and the address of golden, and of the bytes at 0 none is read or written."""
    config = bench.config
    end = 1 << config.address_width
    for distance in DISTANCES:
        if distance == 0 and end == 2**64:  # no descriptor can say it
            continue
        d, memory = job(tensor, members, end - distance)
        expected, code = None, None
        try:
            GoldenCore(config).execute(Memory(regions_of(memory, end, d)), d)
        except CoreFault as fault:
            expected, code = (fault.code, fault.address), fault.code
        if code == Fault.FORMAT:
            assert members["format"] == 4 and 4 not in config.radices
            continue
        # all elements share scratch, and not every K needs it
        spared = tensor == "scratch" and (distance == 1024 or d.k <= config.depth)
        assert code == (None if spared else Fault.WRAP)
        found = regions_of(memory, end, d)
        bench.core.attach(found)
        bench.start(SimpleNamespace(base=RING, descriptors=[d]))
        bench.wait(f"a job, {distance} bytes before the end")
        if code is None:
            assert bench.read("ring_head") == 1
            continue
        assert error_of(bench) == expected, f"{distance} bytes before the end"
        np.testing.assert_array_equal(found[0], 1)


def error_of(bench: Bench) -> tuple[Fault, int]:
    return (Fault(bench.read("error")),
            bench.read("error_address_low") | bench.read("error_address_high") << 32)


def test_a_ring_behind_the_last_address(bench):
    """Its second entry, or all of it."""
    end = 1 << bench.config.address_width
    for first in (end - BYTES, end):
        if first == 2**64:  # the register cannot say it
            continue
        fence = np.frombuffer(FENCE.pack(), np.uint8).copy()
        bench.core.attach({end - BYTES: fence, 0: fence.copy()})
        bench.start(SimpleNamespace(base=first, descriptors=[FENCE, FENCE]))
        bench.wait("two fences")
        assert error_of(bench) == (Fault.WRAP, 0) and bench.read("ring_head") == (first < end)


def test_memory_that_the_bus_does_not_reach():
    with (VerilatedCore(CORES["fpga"], quick=True) as core,
          pytest.raises(ValueError, match=r"memory up to 0x10000000ff: this core's bus has 36 bits "
                                          "of an address; give memory that it reaches")):
        Accelerator(core, (2**36 - SIZE, SIZE + 256))
