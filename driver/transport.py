# SPDX-License-Identifier: Apache-2.0
"""How software reaches a core: its registers and its memory."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from golden import checks


class Transport(Protocol):
    """What `Accelerator` needs; `driver.verilated_core` and `driver.uio` are such.

    All addresses are those that the core sees: of a register from that of the core's first one, of
    a byte of memory as descriptors name it. What `write_memory` has written the core reads once a
    later `write32` has returned. OSError where registers or memory do not answer.
    """

    def read32(self, address: int) -> int:
        """A register."""

    def write32(self, address: int, value: int) -> None:
        """Write a register, 32 bits in one access."""

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Bytes of memory, a uint8 array of its own."""

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes, a uint8 array of one axis."""


@runtime_checkable
class Waiting(Protocol):
    """A transport that can sleep; others are asked again and again."""

    def wait(self) -> bool:
        """Return when the interrupt is up, or after a while that is short for a human: whether it
        is up."""


def as_bytes(data: Any) -> np.ndarray:
    """`data` if it is an array of bytes along one axis; other integers would wrap silently."""
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError(f"data of memory = {checks.shown(data)}: expected an array of uint8 with "
                         "one axis")
    return data
