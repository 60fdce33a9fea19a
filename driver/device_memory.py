# SPDX-License-Identifier: Apache-2.0
"""Which bytes of a device's memory are free, and the tensors that lie in it."""

from typing import NamedTuple

import numpy as np

from golden import checks
from golden.formats import CODE_FORMATS, INT32, Format, as_format, check_codes, pack, unpack

ALIGN = 64  # bytes: a beat of the widest bus


class DeviceMemory:
    """Hands out bytes of [base, base + size), the first free place that is large enough.

    ValueError for what does not fit, and for an address that has not been handed out.
    """

    def __init__(self, base: int, size: int):
        self.base, self.size = base, size
        self._taken: dict[int, int] = {}  # size by address, in the order of addresses

    @property
    def free_bytes(self) -> int:
        return self.size - sum(self._taken.values())

    def take(self, size: int) -> int:
        """The address of `size` bytes, a multiple of 64 bytes."""
        at = self._aligned(self.base)
        for address, taken in self._taken.items():
            if at + size <= address:
                break
            at = self._aligned(address + taken)
        if at + size > self.base + self.size:
            raise ValueError(f"{size} bytes do not fit: {self.free_bytes} of {self.size} bytes of "
                             "device memory are free, the largest piece is smaller; free tensors, "
                             "or give the accelerator more memory")
        self._taken = dict(sorted([*self._taken.items(), (at, size)]))
        return at

    def check_taken(self, address: int) -> None:
        if address not in self._taken:
            raise ValueError(f"address {address:#x} is not that of a tensor on the device: freed "
                             "twice, or of another device?")

    def release(self, address: int) -> None:
        self.check_taken(address)
        del self._taken[address]

    @staticmethod
    def _aligned(address: int) -> int:
        return -(-address // ALIGN) * ALIGN


class Tensor(NamedTuple):
    """A row-major matrix on the device, or `batch` of them behind each other.

    Members
    -------
    address : of its first byte. rows, cols : its shape. fmt : a 4-bit format (two codes to a byte,
    low nibble first), INT32 (little endian), or None: a mask, one bit per element. batch : how
    many matrices. pitch : bytes from a row to the next, if others lie between them; 0: none do. A
    row starts on a byte.
    """

    address: int
    rows: int
    cols: int
    fmt: Format | None
    batch: int = 1
    pitch: int = 0

    @property
    def row_bytes(self) -> int:
        bits = 1 if self.fmt is None else 32 if self.fmt == INT32 else 4
        return -(-self.cols * bits // 8)

    @property
    def stride(self) -> int:
        """Bytes from a row to the next."""
        return self.pitch or self.row_bytes

    def first(self, cols: int) -> "Tensor":
        """Its first columns, where they are. A job writes whole bytes: 0 to a code or mask bits
        behind. ValueError for more columns than it has."""
        if cols == self.cols:
            return self
        return self._replace(cols=checks.as_integer("cols", cols, 1, self.cols), pitch=self.stride)

    @property
    def batch_stride(self) -> int:
        """Bytes of a matrix."""
        return self.rows * self.stride

    @property
    def size(self) -> int:
        return self.batch * self.batch_stride

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The bytes of values of this shape."""
        if self.fmt is None:
            data = np.packbits(values, axis=-1, bitorder="little")
        elif self.fmt == INT32:
            data = np.ascontiguousarray(values, "<i4").view(np.uint8)
        else:
            data = pack(values)
        return data.reshape(-1)

    def decode(self, data: np.ndarray) -> np.ndarray:
        """The values in bytes: int8 codes, int32 or bool; (batch, rows, cols), of one matrix
        (rows, cols)."""
        rows = data.reshape(self.batch, self.rows, self.stride)[..., :self.row_bytes]
        if self.fmt is None:
            bits = np.unpackbits(rows, axis=-1, bitorder="little")
            values = bits[..., :self.cols].astype(bool)
        elif self.fmt == INT32:
            values = np.ascontiguousarray(rows).view("<i4").astype(np.int32)
        else:
            values = unpack(rows, self.cols, self.fmt)
        return values if self.batch > 1 else values[0]


def described(values, fmt: Format | None) -> tuple[Tensor, np.ndarray]:
    """A tensor without an address for values of one to three axes, and the values as they are
    uploaded; ValueError for values that the format does not have."""
    if fmt is None:
        values = checks.as_array("mask", values)
        if values.dtype != bool:
            raise ValueError(f"mask of dtype {values.dtype}: expected bool; compare with 0 first")
    elif as_format("fmt", fmt) == INT32:
        values = checks.as_integers("values", values, INT32.lo, INT32.hi)
    else:
        values = check_codes("values", values, as_format("fmt", fmt, CODE_FORMATS))
    if not 1 <= values.ndim <= 3 or not values.size:
        raise ValueError(f"values of shape {values.shape}: expected (rows, cols), (batch, rows, "
                         "cols), or one row, and one element or more")
    batch, rows, cols = (1, 1, 1, *values.shape)[-3:]
    return Tensor(0, rows, cols, fmt, batch), values.reshape(batch, rows, cols)
