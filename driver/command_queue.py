# SPDX-License-Identifier: Apache-2.0
"""A core's registers and its command ring, over any transport."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from driver.transport import Transport, Waiting
from golden import checks, descriptor
from golden.config import VERSION, Config
from golden.descriptor import BYTES, CoreFault, Descriptor, Fault
from golden.memory import END
from golden.ring import MAX_SIZE
from hdl.core.register_map import register_map

WINDOWS = ("read_base", "read_limit", "write_base", "write_limit")
ALL_INTERRUPTS, OF_STOP_OR_IDLE = 0b111, 0b110
CLOSED_BASE, CLOSED_LIMIT = 1, 0  # of a window without a byte


class CommandQueue:
    """Descriptors in, faults out.

    Parameters
    ----------
    transport : Transport, with `wait` (see `driver.transport.Waiting`) or without.
    base : address of the ring in memory, a multiple of 256. entries : of the ring, a power of two
        2..32768; one of them stays unused. window : first and last address of what the core may
        read and write. timeout : seconds without progress after which a core counts as hung.

    Members
    -------
    config : Config with what the core says that it can; pipeline, target and serial, which
        software does not see, are as `Config` has them. queued, ended : descriptors since the
        last reset; the first one is number 0.

    ValueError for what is no core of this version, for a ring that is none and for locked windows.
    The core is reset, whatever it was doing.
    """

    def __init__(self, transport: Transport, base: int, entries: int, window: tuple[int, int],
                 timeout: float = 60.0):
        self.transport = transport
        self._map = register_map()
        self.entries = _power_of_two("ring", entries)
        self.base = checks.as_integer("base", base, 0, END - 1)
        if self.base % BYTES:
            raise ValueError(f"base = {self.base:#x} of the ring is no multiple of {BYTES}")
        self.timeout = checks.as_real("timeout", timeout, checks.POSITIVE)
        self.queued = self.ended = 0
        self._quiet = False  # the end of all that the tail covers has been seen
        self._check_identity()
        self.config = self._capabilities()
        if max(window) >> self.config.address_width:
            raise ValueError(f"memory up to {max(window):#x}: this core's bus has "
                             f"{self.config.address_width} bits of an address; give memory that "
                             "it reaches")
        self.reset()
        self._open(window)

    def read(self, name: str, field: str | None = None) -> int:
        """A register by name, or a field of it."""
        register = self._map[name]
        value = self.transport.read32(register.address)
        if field is None:
            return value
        place = register[field]
        return value >> place.low & (1 << place.width) - 1

    def write(self, name: str, value: int) -> None:
        if name == "ring_tail":
            self._quiet = False
        self.transport.write32(self._map[name].address, value)

    def read64(self, name: str) -> int:
        return self.read(f"{name}_low") | self.read(f"{name}_high") << 32

    def write64(self, name: str, value: int) -> None:
        self.write(f"{name}_low", value & 0xFFFF_FFFF)
        self.write(f"{name}_high", value >> 32)

    def set(self, name: str, *fields: str) -> None:
        """Write a register whose other fields become 0."""
        self.write(name, sum(1 << self._map[name][field].low for field in fields))

    def enqueue(self, job: Descriptor) -> int:
        """Queue a descriptor behind the others, and return its number.

        Where the ring is full, wait until it is not. CoreFault of an earlier descriptor if the
        core has stopped meanwhile: it has been acknowledged, and this descriptor is not queued.
        """
        checks.as_instance("job", job, Descriptor)
        self._await(lambda: self.queued - self.ended < self.entries - 1, "a free entry")
        at = self.base + BYTES * (self.queued % self.entries)
        self.transport.write_memory(at, np.frombuffer(job.pack(), np.uint8))
        self.queued += 1
        self.write("ring_tail", self.queued % self.entries)
        return self.queued - 1

    def wait(self) -> None:
        """Wait until all that is queued has ended.

        CoreFault, with the number of the descriptor as `enqueue` gave it, if the core has stopped.
        It is acknowledged, so that the core goes on behind that descriptor; the table of scales is
        unset. Wait again for those behind it. TimeoutError without progress.
        """
        if not self._quiet:
            self._await(lambda: False, "the end")
            self._quiet = True

    def reset(self) -> None:
        """Forget all that is queued or under way, and the table of scales."""
        self.set("control", "soft_reset")
        self.queued = self.ended = 0
        limit = time.monotonic() + self.timeout
        while not self.read("status", "idle"):
            if time.monotonic() > limit:
                raise TimeoutError(f"no end of a soft reset: {self._state()}")
        self.write("interrupt_status", ALL_INTERRUPTS)

    def restart(self) -> None:
        """Reset, and take descriptors again."""
        self.reset()
        self.set("control", "enable")

    def close(self) -> None:
        """Reset the core and let it do nothing more: no interrupts, and unless they are locked no
        window."""
        self.reset()
        self.write("interrupt_enable", 0)
        for kind in ("read", "write"):
            self.write64(f"{kind}_base", CLOSED_BASE)
            self.write64(f"{kind}_limit", CLOSED_LIMIT)

    def counters(self, *, clear: bool = False) -> dict[str, int]:
        """All counters by name, as they are in one cycle; then make them 0 if `clear`."""
        fields = ("snapshot", "clear") if checks.as_flag("clear", clear) else ("snapshot",)
        self.set("counter_control", *fields)
        return {name: self.read64(name) for name in self._map.counters}

    def _check_identity(self) -> None:
        found, expected = self.read("id"), self._map["id"]["value"].reset
        if found != expected:
            raise ValueError(f"id = {found:#010x}: expected {expected:#010x}; there is no Tetra "
                             "core at this address")
        version = tuple(self.read("version", part) for part in ("major", "minor", "patch"))
        wanted = tuple(map(int, VERSION.split(".")))
        if version[:2] != wanted[:2]:  # before 1.0 minor versions have registers of their own
            raise ValueError(f"version = {'.'.join(map(str, version))} of the core: expected "
                             f"{wanted[0]}.{wanted[1]}; use the driver of that version")
        if (number := self.read("interfaces", "descriptor")) != descriptor.VERSION:
            raise ValueError(f"version = {number} of descriptors: expected {descriptor.VERSION}; "
                             "use the driver of the core's version")

    def _capabilities(self) -> Config:
        places = {"shape": ("rows", "cols", "lanes"),
                  "arithmetic": ("accumulator_width", "dim_width"),
                  "buffers": ("depth", "strip"), "interfaces": ("bus_width", "tensors"),
                  "addresses": ("address_width",)}
        sizes: dict[str, Any] = {
            field: self.read(register, field)
            for register, fields in places.items() for field in fields}
        radices = tuple(radix for radix in (4, 2) if self.read("arithmetic", f"fp4_r{radix}"))
        return Config(**sizes, radices=radices,
                      stochastic=bool(self.read("arithmetic", "stochastic")))

    def _open(self, window: tuple[int, int]) -> None:
        """Ring, windows and interrupts; then the core is enabled."""
        self.write64("ring_base", self.base)
        self.write("ring_size", self.entries.bit_length() - 1)
        for name, value in zip(WINDOWS, 2 * window, strict=True):
            self.write64(name, value)
            if (found := self.read64(name)) != value:
                raise ValueError(f"{name} = {found:#x} is locked: expected {value:#x}; give memory "
                                 "that the windows allow, or reset the core by its input")
        self.write("interrupt_enable", OF_STOP_OR_IDLE)
        self.set("control", "enable")

    def _await(self, enough: Callable[[], bool], what: str) -> None:
        """Until the core is idle or `enough` holds; CoreFault where it has stopped."""
        if enough():
            return
        limit = time.monotonic() + self.timeout
        while True:
            self.write("interrupt_status", ALL_INTERRUPTS)  # before looking: none is missed
            status = self.read("status")
            progress = self._progress()
            if status >> self._map["status"]["stopped"].low & 1:
                raise self._fault()
            idle = status >> self._map["status"]["idle"].low & 1
            if enough() or (idle and self.ended == self.queued):
                return
            if progress:
                limit = time.monotonic() + self.timeout
            elif time.monotonic() > limit:
                raise TimeoutError(f"{self.timeout:g} s without progress, waiting for {what}: "
                                   f"{self._state()}; reset the core, or give a longer timeout")
            if isinstance(self.transport, Waiting):
                self.transport.wait()

    def _progress(self) -> int:
        """How many descriptors have ended since the last call."""
        ended = (self.read("ring_head") - self.ended) % self.entries
        self.ended += ended
        return ended

    def _fault(self) -> CoreFault:
        """Why the core has stopped; it goes on."""
        code, address = Fault(self.read("error", "code")), self.read64("error_address")
        number = None if code == Fault.RING else self.ended  # it is the head at which it stops
        self.set("control", "enable", "acknowledge")
        return CoreFault(code, address, number)

    def _state(self) -> str:
        return (f"status {self.read('status'):#x}, head {self.read('ring_head')}, "
                f"tail {self.read('ring_tail')}")


def _power_of_two(name: str, value: int) -> int:
    number = checks.as_integer(name, value, 2, 2**MAX_SIZE)
    if number & (number - 1):
        raise ValueError(f"{name} = {number} entries: expected a power of two, 2..{2**MAX_SIZE}")
    return number
