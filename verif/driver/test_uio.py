# SPDX-License-Identifier: Apache-2.0
"""The transport of FPGA boards, on ordinary files."""

import mmap
import os

import numpy as np
import pytest

from driver.accelerator import Accelerator
from driver.transport import Waiting
from driver.uio import SPAN, MappedFiles, Window

PAGE, SIZE, BASE = mmap.ALLOCATIONGRANULARITY, 4096, 0x8000_0000


@pytest.fixture
def files(tmp_path):
    """Files of random bytes: registers from the second page on, memory from the third one."""
    paths = tmp_path / "registers", tmp_path / "memory"
    for path, pages in zip(paths, (3, 4), strict=True):
        path.write_bytes(np.random.default_rng(1).bytes(pages * max(PAGE, SPAN)))
    return paths


def opened(files, **options) -> MappedFiles:
    registers, memory = files
    return MappedFiles(Window(registers, PAGE), Window(memory, 2 * PAGE, SIZE, BASE), **options)


def test_registers_and_memory_lie_in_their_windows(files):
    before = [path.read_bytes() for path in files]
    with opened(files) as device:
        assert device.read32(8) == int.from_bytes(before[0][PAGE + 8:PAGE + 12], "little")
        np.testing.assert_array_equal(
            device.read_memory(BASE + 3, 5), list(before[1][2 * PAGE + 3:2 * PAGE + 8]))
        device.write32(SPAN - 4, 0x89ABCDEF)
        device.write_memory(BASE + SIZE - 3, np.array([1, 2, 255], np.uint8))
        device.write_memory(BASE, np.arange(8, dtype=np.uint8)[::2])
        kept = device.read_memory(BASE, 4)
        device.write_memory(BASE, np.zeros(1, np.uint8))
        assert kept.tolist() == [0, 2, 4, 6]
        device.write32(0, 5)
        assert device.read32(0) == 5
    expected = [bytearray(data) for data in before]
    expected[0][PAGE:PAGE + 4] = b"\5\0\0\0"
    expected[0][PAGE + SPAN - 4:PAGE + SPAN] = b"\xef\xcd\xab\x89"
    expected[1][2 * PAGE:2 * PAGE + 4] = b"\0\2\4\6"
    expected[1][2 * PAGE + SIZE - 3:2 * PAGE + SIZE] = b"\1\2\xff"
    assert [path.read_bytes() for path in files] == expected


def test_what_lies_outside_is_refused(files):
    with opened(files) as device:
        for address in (-4, SPAN, 2, 1 << 40):
            with pytest.raises(OSError, match="no register at"):
                device.read32(address)
            with pytest.raises(OSError, match="no register at"):
                device.write32(address, 0)
        for address, size in ((BASE - 1, 2), (BASE + SIZE - 1, 2), (0, 1)):
            with pytest.raises(OSError, match=r"the window is 0x80000000\.\.0x80000fff"):
                device.read_memory(address, size)
            with pytest.raises(OSError, match="no memory at"):
                device.write_memory(address, np.zeros(size, np.uint8))
        with pytest.raises(ValueError, match=r"value = 4294967296 is out of range"):
            device.write32(0, 2**32)


def test_windows_that_files_do_not_have(files, tmp_path):
    registers, memory = files
    good = Window(registers), Window(memory, 0, SIZE, BASE)
    cases = [
        (good[0]._replace(size=64), good[1], "size = 64 of the registers: expected 4096"),
        (good[0]._replace(offset=8), good[1], "offset = 0x8 of registers: expected a multiple of"),
        (good[0], good[1]._replace(size=1 << 30), "memory: .* has no 1073741824 bytes from 0x0"),
        (good[0], good[1]._replace(address=-1), "address of memory = -1 is out of range"),
    ]
    for first, second, text in cases:
        with pytest.raises(ValueError, match=text):
            MappedFiles(first, second)
    with pytest.raises(FileNotFoundError):
        MappedFiles(good[0], good[1]._replace(path=tmp_path / "nowhere"))


def test_interrupts(files, tmp_path, monkeypatch):
    """A pipe stands for the UIO device; what is written enables its interrupt."""
    pipe = tmp_path / "interrupt"
    os.mkfifo(pipe)
    with opened(files) as device:
        assert isinstance(device, Waiting) and not device.wait()
    with opened(files, interrupt=pipe, patience=0.01) as device:
        assert device.wait()  # a pipe gives back what was written
        written = []
        monkeypatch.setattr(os, "write", lambda file, data: written.append((file, data)))
        assert not device.wait()
        monkeypatch.undo()
        assert [data for _, data in written] == [b"\1\0\0\0"]


def test_no_core_behind_the_files(files):
    with opened(files) as device, pytest.raises(ValueError, match="there is no Tetra core"):
        Accelerator(device, (BASE, SIZE), ring=2)


def test_memory_is_delivered_before_the_doorbell(files):
    """What was written last is read back before a register is written, once."""
    with opened(files) as device:
        real, read = device._bytes, []

        class Watched:
            def __getitem__(self, at):
                read.append(at)
                return real[at]

            def __setitem__(self, at, value):
                real[at] = value

        device._bytes = Watched()
        device.write_memory(BASE + 8, np.zeros(16, np.uint8))
        device.write32(0, 1)
        device.write32(0, 2)
        assert read == [23]
        device._bytes = real
