# SPDX-License-Identifier: Apache-2.0
"""A transport to a simulated core with a golden core beside it, which is told the same."""

import numpy as np

from driver.golden_core import GoldenTransport
from driver.verilated_core import VerilatedCore
from hdl.core.register_map import register_map

BASE, SIZE = 0x4_0000_0000, 1 << 18


class Mirrored:
    """Both cores have memory of their own, and what software writes is written to both.

    Members
    -------
    changed : values that registers are read as instead of their own. waits : calls of `wait`.
    """

    def __init__(self, core: VerilatedCore, seed: int = 1):
        self.core, self.changed = core, {}
        self.found = np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)
        core.attach({BASE: self.found})
        self.golden = GoldenTransport(core.config, (BASE, self.found.copy()))
        self.address = {name: each.address for name, each in register_map().registers.items()}
        self.waits = 0

    def read32(self, address: int) -> int:
        return self.changed.get(address, self.core.read32(address))

    def write32(self, address: int, value: int) -> None:
        self.core.write32(address, value)
        self.golden.write32(address, value)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self.core.read_memory(address, size)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self.core.write_memory(address, data)
        self.golden.write_memory(address, data)

    def wait(self) -> bool:
        self.waits += 1
        return self.core.wait()

    def compare(self) -> None:
        """AssertionError unless every byte of both memories is the same."""
        wrong = np.flatnonzero(self.found != self.golden.data)
        assert not wrong.size, f"{wrong.size} bytes differ, the first at {BASE + wrong[0]:#x}"
