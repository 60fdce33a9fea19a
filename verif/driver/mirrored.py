# SPDX-License-Identifier: Apache-2.0
"""A transport to a simulated core with a golden core beside it, which is told the same."""

import numpy as np

from driver.verilated_core import VerilatedCore
from golden.core import GoldenCore
from golden.memory import Memory, Window
from golden.ring import CommandRing
from hdl.core.register_map import register_map

BASE, SIZE = 0x4_0000_0000, 1 << 18
RESET, ACKNOWLEDGE = 2, 4  # bits of control


class Mirrored:
    """Both cores have memory of their own, and what software writes is written to both.

    Members
    -------
    changed : values that registers are read as instead of their own. waits : calls of `wait`.
    """

    def __init__(self, core: VerilatedCore, seed: int = 1):
        self.core, self.changed = core, {}
        self.found = np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)
        self.expected = self.found.copy()
        core.attach({BASE: self.found})
        self.memory = Memory({BASE: self.expected})
        self.address = {name: each.address for name, each in register_map().registers.items()}
        self.ring: CommandRing | None = None
        self.waits = 0

    def read32(self, address: int) -> int:
        return self.changed.get(address, self.core.read32(address))

    def write32(self, address: int, value: int) -> None:
        self.core.write32(address, value)
        if address == self.address["control"] and value & RESET:
            self.ring = None
        elif address == self.address["control"] and value & ACKNOWLEDGE:
            self.ring.acknowledge()
        elif address == self.address["ring_tail"]:
            if self.ring is None:
                self.ring = self._new_ring()
            self.ring.doorbell(value)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self.core.read_memory(address, size)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self.core.write_memory(address, data)
        self.expected[address - BASE:address - BASE + data.size] = data

    def wait(self) -> bool:
        self.waits += 1
        return self.core.wait()

    def compare(self) -> None:
        """AssertionError unless every byte of both memories is the same."""
        wrong = np.flatnonzero(self.found != self.expected)
        assert not wrong.size, f"{wrong.size} bytes differ, the first at {BASE + wrong[0]:#x}"

    def _new_ring(self) -> CommandRing:
        def both(name: str) -> int:
            low, high = (self.core.read32(self.address[f"{name}_{end}"]) for end in ("low", "high"))
            return high << 32 | low

        read, write = (Window(both(f"{kind}_base"), both(f"{kind}_limit"))
                       for kind in ("read", "write"))
        golden = GoldenCore(self.core.config, read, write)
        return CommandRing(golden, self.memory, both("ring_base"),
                           self.core.read32(self.address["ring_size"]))
