# SPDX-License-Identifier: Apache-2.0
"""Memory as a core sees it: regions of bytes, windows, and rows that are read or written."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from golden import checks
from golden.descriptor import CoreFault, Fault

WIDTH = 64  # bits of an address, unless the bus has fewer
END = 2**WIDTH  # behind the last address


class Window(NamedTuple):
    """Addresses that may be accessed, `limit` included; none where base > limit."""

    base: int = 0
    limit: int = END - 1


EVERYWHERE, NOWHERE = Window(), Window(1, 0)  # NOWHERE is what reset leaves


class Rows(NamedTuple):
    """`number` rows of `size` bytes, `stride` bytes apart."""

    address: int
    number: int
    size: int
    stride: int = 0


class Memory:
    """What lies behind a core's bus.

    Parameters
    ----------
    regions : bytes by address, uint8 arrays of one axis, which writes change in place. Where there
        is no region the bus answers DECERR, also to a row that lies in two of them.
    failing : (first, last) addresses where it answers SLVERR to every row that touches them.

    ValueError for regions that are none, overlap or reach beyond 2**64.
    """

    def __init__(self, regions: Mapping[int, np.ndarray],
                 failing: Iterable[tuple[int, int]] = ()):
        self.regions = dict(sorted(regions.items()))
        self.failing = list(failing)
        end = 0
        for base, data in self.regions.items():
            checks.as_integer("address of a region", base, 0, END - 1)
            if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
                raise ValueError(f"region {base:#x} = {checks.shown(data)}: expected a uint8 array "
                                 "of one axis")
            if base < end or base + data.size > END:
                raise ValueError(f"region {base:#x} of {data.size} bytes overlaps the one before, "
                                 "or reaches beyond 2**64")
            end = base + data.size

    def copy(self) -> "Memory":
        """The same bytes, in arrays of its own."""
        return Memory({base: data.copy() for base, data in self.regions.items()}, self.failing)

    def read(self, rows: Rows, window: Window = EVERYWHERE, width: int = WIDTH) -> np.ndarray:
        """The bytes of all rows, uint8 (number, size), by a bus with so many bits of an address;
        CoreFault of the first row that is wrong."""
        _check_window(rows, window, Fault.READ_WINDOW, 2**width)
        if (whole := self._whole(rows)) is not None:
            return whole.copy()
        places = self._places(rows, Fault.READ_SLVERR, Fault.READ_DECERR)
        return np.stack([data[start : start + rows.size] for data, start in places])

    def write(self, rows: Rows, data: np.ndarray, window: Window = EVERYWHERE,
              width: int = WIDTH) -> None:
        """Write the bytes of all rows, uint8 (number, size), the later over the earlier where they
        overlap, as `read`; CoreFault of the first row that is wrong, and nothing is written."""
        _check_window(rows, window, Fault.WRITE_WINDOW, 2**width)
        if rows.stride >= rows.size and (whole := self._whole(rows)) is not None:
            whole[...] = data
            return
        places = self._places(rows, Fault.WRITE_SLVERR, Fault.WRITE_DECERR)
        for (region, start), row in zip(places, data, strict=True):
            region[start : start + rows.size] = row

    def _whole(self, rows: Rows) -> np.ndarray | None:
        """The rows as one view, (number, size), where they lie in one region and none can fail."""
        end = rows.address + (rows.number - 1) * rows.stride + rows.size
        for base, data in self.regions.items():
            if base <= rows.address and end <= base + data.size and not self.failing:
                return np.lib.stride_tricks.as_strided(
                    data[rows.address - base:], (rows.number, rows.size),
                    (rows.stride * data.strides[0], data.strides[0]))
        return None

    def _places(self, rows: Rows, slverr: Fault, decerr: Fault) -> list[tuple[np.ndarray, int]]:
        """Of every row the region, and where in it the row starts."""
        found = []
        for first in (rows.address + row * rows.stride for row in range(rows.number)):
            last = first + rows.size - 1
            if any(low <= last and first <= high for low, high in self.failing):
                raise CoreFault(slverr, first)
            inside = [(data, first - base) for base, data in self.regions.items()
                      if base <= first and last < base + data.size]
            if not inside:
                raise CoreFault(decerr, first)
            found += inside
        return found


def _check_window(rows: Rows, window: Window, code: Fault, end: int) -> None:
    """CoreFault at the first row with a byte outside the window, or beyond the last address."""
    spare = min(window.limit, end - 1) - (rows.address + rows.size - 1)  # bytes behind row 0
    if window.base > window.limit or rows.address < window.base or spare < 0:
        bad = 0
    elif rows.stride and spare // rows.stride < rows.number - 1:
        bad = spare // rows.stride + 1
    else:
        return
    first = rows.address + bad * rows.stride
    wraps = first + rows.size > end
    raise CoreFault(Fault.WRAP if wraps else code, first % end)
