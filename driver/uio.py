# SPDX-License-Identifier: Apache-2.0
"""A core on a board, through files that the kernel maps: /dev/uio0, /dev/mem, a reserved region."""

import mmap
import os
import select
from pathlib import Path
from typing import NamedTuple

import numpy as np

from golden import checks
from golden.memory import END
from hdl.core.register_map import ADDRESS_WIDTH, WORD_BYTES

SPAN = 1 << ADDRESS_WIDTH  # bytes of registers


class Window(NamedTuple):
    """A piece of a file: `size` bytes from `offset` on, which the core sees at `address`."""

    path: str | Path
    offset: int = 0
    size: int = SPAN
    address: int = 0


class MappedFiles:
    """Registers in one window, memory in another (`driver.transport`).

    Parameters
    ----------
    registers : Window of 4 KiB; its address does not count. memory : Window that the core sees
        uncached or coherently; offsets are multiples of the page size. interrupt : the file of a
        UIO device (4 bytes written enable its interrupt, 4 bytes read wait for it), or None to
        ask registers again and again. patience : seconds that `wait` waits at most.

    ValueError for windows that the files do not have, OSError for files that cannot be mapped.

    A register is accessed with one load or store of 32 bits. Before a register is written the end
    of what was last written to memory is read back, so that a bus that keeps reads behind writes
    has delivered it. Tested on ordinary files, not yet on a board.
    """

    def __init__(self, registers: Window, memory: Window,
                 interrupt: str | Path | None = None, patience: float = 0.1):
        if registers.size != SPAN:
            raise ValueError(f"size = {registers.size} of the registers: expected {SPAN}")
        checks.as_integer("address of memory", memory.address, 0, END - 1)
        self.patience = checks.as_real("patience", patience, checks.POSITIVE)
        self.memory = memory
        self._interrupt: int | None = None
        self._written: int | None = None
        self._maps: list[mmap.mmap] = []
        try:
            self._words = memoryview(self._map("registers", registers)).cast("I")
            self._bytes = memoryview(self._map("memory", memory))
            if interrupt is not None:
                self._interrupt = os.open(interrupt, os.O_RDWR)
        except BaseException:
            self.close()
            raise

    def read32(self, address: int) -> int:
        return self._words[_word(address)]

    def write32(self, address: int, value: int) -> None:
        place = _word(address)
        if self._written is not None:
            self._bytes[self._written]
            self._written = None
        self._words[place] = checks.as_integer("value", value, 0, 2**32 - 1)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        at = self._place(address, size)
        return np.frombuffer(bytes(self._bytes[at:at + size]), np.uint8).copy()

    def write_memory(self, address: int, data: np.ndarray) -> None:
        at = self._place(address, data.size)
        self._bytes[at:at + data.size] = np.ascontiguousarray(data, np.uint8).data
        if data.size:
            self._written = at + data.size - 1

    def wait(self) -> bool:
        """Until the interrupt, or for `patience`; without one a moment. Whether it came."""
        if self._interrupt is None:
            select.select([], [], [], min(self.patience, 1e-4))
            return False
        os.write(self._interrupt, (1).to_bytes(4, "little"))
        ready, _, _ = select.select([self._interrupt], [], [], self.patience)
        if ready:
            os.read(self._interrupt, 4)
        return bool(ready)

    def close(self) -> None:
        """Unmap everything."""
        for name in ("_words", "_bytes"):
            if name in self.__dict__:
                getattr(self, name).release()
        while self._maps:
            self._maps.pop().close()
        if self._interrupt is not None:
            os.close(self._interrupt)
            self._interrupt = None

    def __enter__(self) -> "MappedFiles":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def _map(self, name: str, window: Window) -> mmap.mmap:
        checks.as_integer(f"size of {name}", window.size, 1)
        checks.as_integer(f"offset of {name}", window.offset, 0)
        if window.offset % mmap.ALLOCATIONGRANULARITY:
            raise ValueError(f"offset = {window.offset:#x} of {name}: expected a multiple of "
                             f"{mmap.ALLOCATIONGRANULARITY}, the page size")
        descriptor = os.open(window.path, os.O_RDWR | os.O_SYNC)  # O_SYNC: /dev/mem uncached
        try:
            found = mmap.mmap(descriptor, window.size, mmap.MAP_SHARED,
                              mmap.PROT_READ | mmap.PROT_WRITE, offset=window.offset)
        except ValueError as error:
            raise ValueError(f"{name}: {window.path} has no {window.size} bytes from "
                             f"{window.offset:#x} on ({error})") from None
        finally:
            os.close(descriptor)
        self._maps.append(found)
        return found

    def _place(self, address: int, size: int) -> int:
        at = address - self.memory.address
        if at < 0 or at + size > self.memory.size:
            last = self.memory.address + self.memory.size - 1
            raise OSError(f"no memory at {address:#x}, {size} bytes: the window is "
                          f"{self.memory.address:#x}..{last:#x}")
        return at


def _word(address: int) -> int:
    """The place of a register."""
    if not 0 <= address < SPAN or address % WORD_BYTES:
        raise OSError(f"no register at {address:#x}")
    return address // WORD_BYTES
