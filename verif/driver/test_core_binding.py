# SPDX-License-Identifier: Apache-2.0
"""What callers may do to a simulated core and to tensors without harm: clear errors, never another
process's memory."""

import copy
import pickle
import threading

import numpy as np
import pytest

from driver.accelerator import Accelerator
from driver.golden_core import GoldenTransport
from driver.verilated_core import VerilatedCore
from golden.config import preset
from golden.formats import INT4, INT32
from golden.rescale import RAW
from hdl.core.register_map import register_map

SIZE = 1 << 16


@pytest.fixture
def core():
    with VerilatedCore(preset("tiny"), memory=(0, SIZE), quick=True) as core:
        yield core


@pytest.fixture
def device():
    return Accelerator(GoldenTransport(preset("tiny"), (0, SIZE)), (0, SIZE))


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_core_is_not_copied(core, way):
    with pytest.raises(TypeError, match="VerilatedCore cannot be copied or pickled: it owns a"):
        way(core)
    assert core.read32(0) == register_map(core.config)["id"]["value"].reset


def test_half_a_core_goes_quietly():
    VerilatedCore.__new__(VerilatedCore).close()


def test_threads_take_turns(core):
    """Every thread reads its own register; the one that closes waits."""
    registers = register_map(core.config).registers
    expected = {registers[name].address: registers[name].reset for name in ("id", "version")
                if name in registers} or {0: registers["id"].reset}
    expected[4] = core.read32(4)
    wrong = []

    def read(address: int) -> None:
        wrong.extend(found for _ in range(300)
                     if (found := core.read32(address)) != expected[address])

    threads = [threading.Thread(target=read, args=(address,)) for address in (0, 4, 0)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    runs = threading.Thread(target=core.run, args=(20_000,))
    runs.start()
    core.close()
    runs.join(60)
    assert not runs.is_alive()
    with pytest.raises(ValueError, match="the core is closed"):
        core.read32(0)


@pytest.mark.parametrize("memory", [
    {0: np.zeros(64, np.int32)}, {0: np.zeros((8, 8), np.uint8)}, {0: [1, 2]},
    {0: np.broadcast_to(np.zeros(1, np.uint8), (1 << 20,))}, {0: np.zeros(64, np.uint8)[::2]},
    {-64: np.zeros(64, np.uint8)}, {2**64 - 1: np.zeros(64, np.uint8)},
    {0: np.frombuffer(b"constant", np.uint8)}, {0: np.zeros(0, np.uint8)}])
def test_memory_is_checked_and_the_old_one_stays(core, memory):
    with pytest.raises(ValueError, match="memory"):
        core.attach(memory)
    assert core.read_memory(0, SIZE).size == SIZE


@pytest.mark.parametrize("call", [
    lambda c: c.read32(1 << 32), lambda c: c.read32(-4), lambda c: c.write32(0x10, 1 << 33),
    lambda c: c.write32(0x10, -1), lambda c: c.run(-1), lambda c: c.run(1.5),
    lambda c: c.write_memory(0, np.array([300, -1])), lambda c: c.write_memory(0, b"bytes")])
def test_what_would_wrap_is_refused(core, call):
    with pytest.raises(ValueError, match=r"expected"):
        call(core)


def test_the_golden_core_refuses_the_same():
    transport = GoldenTransport(preset("tiny"), (0, 64))
    with pytest.raises(ValueError, match="expected an array of uint8"):
        transport.write_memory(0, np.array([300, -1]))
    with pytest.raises(ValueError, match="value of a register = "):
        transport.write32(register_map(transport.config).registers["ring_tail"].address, 1 << 33)


@pytest.mark.parametrize("shape", [(1.5, 3, INT4), (0, 3, INT4), (-1, 3, INT4), (1, 3, "INT4"),
                                   (1, 3, INT4, 0), (None, 3, INT4), (1, True, INT4)])
def test_what_is_no_shape_takes_no_memory(device, shape):
    free = device.memory.free_bytes
    with pytest.raises(ValueError, match=r"rows|cols|batch|fmt"):
        device.empty(*shape)
    assert device.memory.free_bytes == free


def test_numpys_integers_are_shapes(device):
    tensor = device.empty(np.uint16(300), np.int8(4), INT32)
    assert tensor.size == 4800 and type(tensor.rows) is int
    assert device.upload(np.zeros((2, 2), int), INT32).address >= tensor.address + 4800


def test_memory_is_given_back_once(device):
    x = device.upload(np.ones((2, 2), int), INT32)
    device.fence()
    device.quantise(x, RAW)
    with pytest.raises(ValueError, match="what is freed = "):
        device.free(np.zeros(3))
    device.free(x)
    with pytest.raises(ValueError, match="freed twice"):
        device.free(x)
    device.wait()


def test_arguments_are_named(device):
    x = device.upload(np.ones((2, 2), int), INT4)
    for call, name in ((lambda: device.gemm(None, x), "a = "), (lambda: device.gemm(x, 3), "b = "),
                       (lambda: device.quantise(None, RAW), "x = "),
                       (lambda: device.report(None), "result = "),
                       (lambda: device.gemm(x, x, out=x), "out = ")):
        with pytest.raises(ValueError, match=name):
            call()
