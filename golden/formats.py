# SPDX-License-Identifier: Apache-2.0
"""Number formats of Tetra: one frozen spec per format, shared by the golden model and the RTL.

The RTL imports these specs (ranges, radices, encodings), never the golden algorithms, so that
equality between the two means something. Every value and tie is tabulated in `docs/formats.md`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from golden import checks
from golden.flushing import check_kept

ZERO_POINT_WIDTH = 16  # bits of an integer format's zero point, signed
ZERO_POINTS = -(1 << (ZERO_POINT_WIDTH - 1)), (1 << (ZERO_POINT_WIDTH - 1)) - 1
# of the host's ranges: float64 holds every `code - zero_point` exactly, with codes of -15..15
HOST_ZERO_POINT = 2**53 - 15


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
        """Value of `c = 1`, that is of one MAC unit, for a tensor of scale 1.

        ValueError for a phase that is none.
        """
        unit = self.TOP / self.magnitude
        odd = checks.as_member("phase", phase, Phase) == Phase.ODD
        return unit / self.radix**0.5 if odd else unit

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
CODE_FORMATS = (*A_FORMATS, FP4_R4, FP4_R2)  # those of 4-bit codes


def format_named(name: str) -> IntFormat | LogFormat:
    """The format called `name`; ValueError that lists the names otherwise."""
    return FORMATS[checks.as_choice("format", name, FORMATS)]


Format = IntFormat | LogFormat


def as_format(name: str, value: Any, among: Collection[Format] = tuple(FORMATS.values())) -> Format:
    """`value` if it is one of these formats, those that the hardware knows; a name is none."""
    if not isinstance(value, IntFormat | LogFormat) or value not in among:
        raise ValueError(
            f"{name} = {checks.shown(value)} is no format: expected one of "
            f"{', '.join(f.name for f in among)} of golden.formats; use format_named to find one "
            "by its name"
        )
    return value


def max_product(a: IntFormat, b: IntFormat | LogFormat) -> int:
    """Largest |a * b| over all codes, in MAC units: 120 for UINT4 x INT4, 61,440 for FP4.

    ValueError for formats that operands a and b cannot have.
    """
    check_operand_formats(a, b)
    return a.magnitude * b.magnitude


def check_operand_formats(a_fmt: Any, b_fmt: Any) -> None:
    """ValueError unless the MAC multiplies codes of these formats."""
    for name, fmt, allowed in (("a", a_fmt, A_FORMATS), ("b", b_fmt, B_FORMATS)):
        if as_format(f"{name}_fmt", fmt) not in allowed:
            raise ValueError(
                f"operand {name} cannot be {fmt.name}: "
                f"expected one of {', '.join(f.name for f in allowed)}"
            )


def check_finite(name: str, x) -> np.ndarray:
    """`x` as float64; ValueError naming the tensor and the first NaN or Inf otherwise.

    Floats and integers of any width are numbers; bools, strings, dates and objects are not.
    """
    given, x = x, checks.as_array(f"tensor {name!r}", x)
    # "V": floats of other libraries, bfloat16 for one, which numpy knows how to widen
    if x.dtype.kind not in "fiu" and not (
            x.dtype.kind == "V" and np.can_cast(x.dtype, np.float64)):
        raise ValueError(f"tensor {name!r} = {checks.shown(given)} has dtype {x.dtype}: expected "
                         "floats or integers")
    check_kept(f"tensor {name!r}", x)
    with np.errstate(over="ignore"):  # of a wider float to Inf, which is reported below
        x = x.astype(np.float64, copy=False)
    bad = ~np.isfinite(x)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"tensor {name!r} holds {x[index]} at index {index}: "
            "only finite values can be quantised; clip or drop it first"
        )
    return x


def check_codes(name: str, codes, fmt: IntFormat | LogFormat) -> np.ndarray:
    """`codes` as an integer array if all lie in the 4-bit format's range, ValueError otherwise."""
    as_format(f"format of {name!r}", fmt, CODE_FORMATS)
    codes = checks.as_array(f"codes of {name!r}", codes)
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
    Returns uint8 array (..., ceil(n / 2)). ValueError for other values, and without an axis.
    """
    codes = checks.as_integers("codes", codes, -8, 15)
    if not codes.ndim:
        raise ValueError(f"codes = {codes}: expected one axis or more, to pack along the last")
    nibbles = codes.astype(np.uint8) & 15
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4


def unpack(packed, count: int, fmt: IntFormat | LogFormat) -> np.ndarray:
    """Undo `pack`: bytes (..., ceil(count / 2)) to int8 codes (..., count) of a 4-bit format.

    ValueError for what is no byte, a count that does not fit, and nibbles that are no codes.
    """
    as_format("fmt", fmt, CODE_FORMATS)
    packed = checks.as_integers("packed bytes", packed, 0, 255).astype(np.uint8, copy=False)
    if not packed.ndim:
        raise ValueError(f"packed bytes = {packed}: expected one axis or more")
    count = checks.as_integer("count", count, 0)
    if packed.shape[-1] != (count + 1) // 2:
        raise ValueError(
            f"{packed.shape[-1]} bytes do not hold {checks.shown(count)} codes: "
            f"expected {checks.shown((count + 1) // 2)} bytes along the last axis"
        )
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1)
    nibbles = nibbles.reshape(*packed.shape[:-1], 2 * packed.shape[-1])[..., :count].astype(np.int8)
    if isinstance(fmt, IntFormat) and fmt.signed:
        nibbles = np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8)
    return check_codes("packed", nibbles, fmt)
