# SPDX-License-Identifier: Apache-2.0
"""The golden core as a transport: software runs on it as on a real one, without a simulator."""

import numpy as np

from driver.transport import as_bytes
from golden import checks
from golden.config import Config
from golden.core import GoldenCore
from golden.memory import END, Memory, Window
from golden.ring import CommandRing
from hdl.core.register_map import register_map


class GoldenTransport:
    """Registers and memory of a core that has done all that it is told when a write returns.

    It has no clock: counters but those of `golden.core` stay 0, and no interrupt is needed.

    Parameters
    ----------
    config : Config. memory : (base, size) of the bytes that it sees, zeros at first, or the bytes
        themselves as (base, uint8 array).

    Members
    -------
    memory : golden.memory.Memory. base : its first address. data : its bytes.
    """

    def __init__(self, config: Config, memory: tuple[int, int | np.ndarray]):
        self.config = config
        self.base, content = memory
        checks.as_integer("base of memory", self.base, 0, END - 1)
        if not isinstance(content, np.ndarray):
            size = checks.as_integer("size of memory", content, 1, END - self.base)
            content = np.zeros(size, np.uint8)
        self.data = content
        self.memory = Memory({self.base: content})
        self.core = GoldenCore(config)
        self._map = register_map(config)
        self._names = {each.address: name for name, each in self._map.registers.items()}
        self._values = {name: each.reset for name, each in self._map.registers.items()}
        self._windows = {f"{kind}_{end}_{half}" for kind in ("read", "write")
                         for end in ("base", "limit") for half in ("low", "high")}
        self._ring: CommandRing | None = None

    def read32(self, address: int) -> int:
        """A register; OSError where there is none."""
        name, ring = self._name(address), self._ring
        fault = None if ring is None else ring.fault
        counters = {f"{each}_low": getattr(self.core, each) for each in (
            "macs", "saturated", "underflowed")}
        own = {
            "status": self._field("status", "stopped" if fault else "idle"),
            "ring_head": ring.head if ring else 0,
            "error": fault.code if fault else 0,
            "error_address_low": fault.address % 2**32 if fault else 0,
            "error_address_high": fault.address >> 32 if fault else 0,
            "error_descriptor": fault.descriptor if fault else 0,
            **{key: value % 2**32 for key, value in counters.items()},
            **{key.replace("low", "high"): value >> 32 for key, value in counters.items()},
        }
        return int(own.get(name, self._values[name]) or 0)

    def write32(self, address: int, value: int) -> None:
        """Write a register, and do what it asks for; OSError where there is none."""
        name = self._name(address)
        checks.as_integer("value of a register", value, 0, 2**32 - 1)
        if name == "counter_control":
            if value & self._field(name, "clear"):
                self.core.macs = self.core.saturated = self.core.underflowed = 0
            return
        locked = self._values["window_lock"] & 1
        was_enabled = self._values["control"] & self._field("control", "enable")
        if name == "window_lock":
            self._values[name] |= value & 1
        elif name != "interrupt_status" and not (locked and name in self._windows):
            self._values[name] = value
        if name == "control":
            if value & self._field(name, "soft_reset"):
                self._ring = None
                self._values["ring_tail"] = self._values[name] = 0
                self.core.reset()
            elif self._ring and value & self._field(name, "acknowledge"):
                self._ring.acknowledge()
        enabled = self._values["control"] & self._field("control", "enable")
        if enabled and (name == "ring_tail" or not was_enabled):
            self._ring = self._ring or self._new_ring()
            self._ring.doorbell(self._values["ring_tail"])

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Bytes of the memory; OSError where there is none."""
        return self._bytes(address, size).copy()

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Change bytes of the memory; OSError where there is none."""
        self._bytes(address, as_bytes(data).size)[...] = data

    def _bytes(self, address: int, size: int) -> np.ndarray:
        at = address - self.base
        if at < 0 or at + size > self.data.size:
            raise OSError(f"no memory at {address:#x}, {size} bytes")
        return self.data[at:at + size]

    def _name(self, address: int) -> str:
        if address not in self._names:
            raise OSError(f"no register at {address:#x}")
        return self._names[address]

    def _field(self, register: str, name: str) -> int:
        return self._map[register][name].mask

    def _new_ring(self) -> CommandRing:
        def pair(name: str) -> int:
            return self._values[f"{name}_low"] | self._values[f"{name}_high"] << 32

        read, write = (Window(pair(f"{kind}_base"), pair(f"{kind}_limit"))
                       for kind in ("read", "write"))
        self.core.read_window, self.core.write_window = read, write
        return CommandRing(self.core, self.memory, pair("ring_base"), self._values["ring_size"])
