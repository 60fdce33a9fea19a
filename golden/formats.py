# SPDX-License-Identifier: Apache-2.0
"""Number formats of Tetra: one frozen spec per format, shared by the golden model and the RTL.

The RTL imports these specs (ranges, radices, encodings), never the golden algorithms, so that
equality between the two means something. Every value and tie is tabulated in `docs/formats.md`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from golden import checks
from golden.flushing import check_kept

ZERO_POINT_WIDTH = 16  # bits of an integer format's zero point, signed
ZERO_POINTS = -(1 << (ZERO_POINT_WIDTH - 1)), (1 << (ZERO_POINT_WIDTH - 1)) - 1


class Phase(IntEnum):
    """Rounding phase of a log-FP4 code ([Sun20] 3.1, two-phase rounding)."""

    EVEN = 0
    ODD = 1


@dataclass(frozen=True)
class IntFormat:
    """A linear integer format: codes `lo..hi`, `x ~ scale * (code - zero_point)`.

    `encoding` is the number that stands for the format in a job descriptor.
    """

    name: str
    lo: int
    hi: int
    encoding: int

    def __post_init__(self):
        checks.instance(self, "name", str)
        checks.integer(self, "lo", None, 0)
        checks.integer(self, "hi", 1)
        checks.integer(self, "encoding", 0, 7)

    @property
    def signed(self) -> bool:
        return self.lo < 0

    @property
    def magnitude(self) -> int:
        """Largest absolute value of a code."""
        return max(-self.lo, self.hi)


@dataclass(frozen=True)
class LogFormat:
    """Four-bit logarithmic format `[sign 1, exponent 3]`; `c = 0` is zero, no NaN, no Inf.

    In the MAC a code stands for the integer `(-1)**sign * radix**(c - 1)`; the tensor's scale
    carries the rest, so that the top level of the even phase is worth `TOP` times the scale.
    """

    name: str
    radix: int
    encoding: int

    lo, hi = 0, 15  # of the bit pattern
    TOP = 64.0  # value of c = 7 in the even phase, for every radix
    LEVELS = 7  # non-zero magnitudes

    def __post_init__(self):
        checks.instance(self, "name", str)
        checks.integer(self, "radix", 2, 256)
        if self.radix & (self.radix - 1):
            raise ValueError(f"radix = {self.radix} is not a power of two")
        checks.integer(self, "encoding", 0, 7)

    @property
    def log2_radix(self) -> int:
        """Shift between neighbouring levels, in bits."""
        return self.radix.bit_length() - 1

    @property
    def magnitude(self) -> int:
        """Largest absolute value in the MAC's integer units."""
        return self.radix ** (self.LEVELS - 1)

    def unit(self, phase: Phase = Phase.EVEN) -> float:
        """Value of `c = 1`, that is of one MAC unit, for a tensor of scale 1."""
        unit = self.TOP / self.magnitude
        return unit / self.radix**0.5 if phase == Phase.ODD else unit

    @property
    def mac_values(self) -> np.ndarray:
        """The 16 codes as integers in MAC units, int64, shape (16,)."""
        levels = [0] + [self.radix**c for c in range(self.LEVELS)]
        return np.array(levels + [-v for v in levels], dtype=np.int64)


INT4 = IntFormat("INT4", -8, 7, encoding=0)
INT4_SYM = IntFormat("INT4_SYM", -7, 7, encoding=1)
UINT4 = IntFormat("UINT4", 0, 15, encoding=2)
INT32 = IntFormat("INT32", -(2**31), 2**31 - 1, encoding=3)
FP4_R4 = LogFormat("FP4_R4", radix=4, encoding=4)
FP4_R2 = LogFormat("FP4_R2", radix=2, encoding=5)

FORMATS = {f.name: f for f in (INT4, INT4_SYM, UINT4, INT32, FP4_R4, FP4_R2)}
A_FORMATS = (INT4, INT4_SYM, UINT4)  # what operand a of a product may be
B_FORMATS = (INT4, INT4_SYM, FP4_R4, FP4_R2)  # what operand b may be


def format_named(name: str) -> IntFormat | LogFormat:
    """The format called `name`; ValueError that lists the names otherwise."""
    try:
        return FORMATS[name]
    except KeyError:
        raise ValueError(
            f"unknown format {name!r}: expected one of {', '.join(FORMATS)}"
        ) from None


Format = IntFormat | LogFormat


def as_format(name: str, value: Any) -> Format:
    """`value` if it is a format that the hardware knows; a name is none."""
    if not isinstance(value, IntFormat | LogFormat) or value not in FORMATS.values():
        raise ValueError(
            f"{name} = {value!r} is no format: expected one of {', '.join(FORMATS)} of "
            "golden.formats; use format_named to find one by its name"
        )
    return value


def max_product(a: IntFormat, b: IntFormat | LogFormat) -> int:
    """Largest |a * b| over all codes, in MAC units: 120 for UINT4 x INT4, 61,440 for FP4."""
    return a.magnitude * b.magnitude


def check_finite(name: str, x) -> np.ndarray:
    """`x` as float64; ValueError naming the tensor and the first NaN or Inf otherwise."""
    check_kept(f"tensor {name!r}", x)
    x = np.asarray(x, dtype=np.float64)
    bad = ~np.isfinite(x)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"tensor {name!r} holds {x[index]} at index {index}: "
            "only finite values can be quantised; clip or drop it first"
        )
    return x


def check_codes(name: str, codes, fmt: IntFormat | LogFormat) -> np.ndarray:
    """`codes` as an integer array if all lie in the format's range, ValueError otherwise."""
    if not isinstance(fmt, IntFormat | LogFormat):
        as_format(f"format of {name!r}", fmt)
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise ValueError(
            f"codes of {name!r} have dtype {codes.dtype}: expected an integer dtype; quantise first"
        )
    if codes.size and (codes.min() < fmt.lo or codes.max() > fmt.hi):
        index = tuple(int(i) for i in np.argwhere((codes < fmt.lo) | (codes > fmt.hi))[0])
        raise ValueError(
            f"code {int(codes[index])} of {name!r} at index {index} is not a {fmt.name} code: "
            f"the range is {fmt.lo}..{fmt.hi}"
        )
    return codes


def pack(codes) -> np.ndarray:
    """Pack 4-bit codes two to a byte along the last axis, low nibble first.

    Parameters: `codes` integer array (..., n), values -8..15. An odd n is padded with code 0.
    Returns uint8 array (..., ceil(n / 2)).
    """
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu" or (codes.size and (codes.min() < -8 or codes.max() > 15)):
        raise ValueError("pack takes 4-bit integer codes: the range is -8..15")
    nibbles = codes.astype(np.uint8) & 15
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4


def unpack(packed, count: int, fmt: IntFormat | LogFormat) -> np.ndarray:
    """Undo `pack`: uint8 (..., ceil(count / 2)) to int8 codes (..., count) of the format."""
    packed = np.asarray(packed, dtype=np.uint8)
    if not 0 <= count <= 2 * packed.shape[-1] or packed.shape[-1] != (count + 1) // 2:
        raise ValueError(
            f"{packed.shape[-1]} bytes do not hold {count} codes: "
            f"expected {(count + 1) // 2} bytes along the last axis"
        )
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1)
    nibbles = nibbles.reshape(*packed.shape[:-1], 2 * packed.shape[-1])[..., :count].astype(np.int8)
    if isinstance(fmt, IntFormat) and fmt.signed:
        nibbles = np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8)
    return nibbles
