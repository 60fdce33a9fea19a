# SPDX-License-Identifier: Apache-2.0
"""The command ring: descriptors in memory, a tail that the CPU moves, a head that the core moves.

Entry i lies at `base + 256 * i`, within the window of reads. The core runs what lies from head to
before tail, index behind index, and after the last entry comes the first. A fault stops it: the
head stays at the failed descriptor until the CPU acknowledges, then it moves behind it and the core
goes on. A tail that is no index is not taken: RING, with the index of the head; no descriptor has
failed then, and the head stays where it is. While a core is stopped only the tail changes, and the
fault stays the first one.
"""

from golden import checks
from golden.core import GoldenCore
from golden.descriptor import BYTES, CoreFault, Fault
from golden.memory import END, Memory, Rows

MAX_SIZE = 15  # log2 of the entries of the largest ring


class CommandRing:
    """A core and its ring.

    Parameters
    ----------
    core : GoldenCore. memory : Memory. base : address of entry 0, a multiple of 256.
    size : log2 of the number of entries, 1..15.

    Members
    -------
    head, tail : indices. fault : the CoreFault at which the core has stopped, or None.

    ValueError for a ring that is none.
    """

    def __init__(self, core: GoldenCore, memory: Memory, base: int, size: int):
        self.core, self.memory = core, memory
        self.base = checks.as_integer("base", base, 0, END - 1)
        if self.base % BYTES:
            raise ValueError(f"base = {self.base:#x} is no multiple of {BYTES}")
        self.entries = 1 << checks.as_integer("size", size, 1, MAX_SIZE)
        self.head = self.tail = 0
        self.fault: CoreFault | None = None

    def doorbell(self, tail: int) -> None:
        """Move the tail, and run until the ring is empty or the core stops."""
        if checks.as_integer("tail", tail, 0) < self.entries:
            self.tail = tail
        elif self.fault is None:
            self._stop(CoreFault(Fault.RING))
        self._go()

    def acknowledge(self) -> None:
        """Go on behind the failed descriptor; nothing where the core has not stopped."""
        if self.fault is not None and self.fault.code != Fault.RING:
            self.head = (self.head + 1) % self.entries
        self.fault = None
        self._go()

    def _go(self) -> None:
        while self.fault is None and self.head != self.tail:
            entry = Rows(self.base + BYTES * self.head, 1, BYTES)
            try:
                data = self.memory.read(entry, self.core.read_window,
                                        self.core.config.address_width)
                self.core.execute(self.memory, data.tobytes())
            except CoreFault as fault:
                self._stop(fault)
            else:
                self.head = (self.head + 1) % self.entries

    def _stop(self, fault: CoreFault) -> None:
        self.core.reset()
        self.fault = CoreFault(fault.code, fault.address, self.head)
