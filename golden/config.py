# SPDX-License-Identifier: Apache-2.0
"""`Config`: the only source of parameters for the RTL, the golden checks and the benches."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

from golden import checks
from golden.formats import A_FORMATS, FP4_R2, FP4_R4, Format, IntFormat, LogFormat, max_product

VERSION = "0.2.0"
TARGETS = ("asic", "fpga")


@dataclass(frozen=True)
class Config:
    """Shape of a Tetra core; immutable and validated.

    Members
    -------
    rows, cols : the grid of dot products; powers of two, 1..64. A tile has rows x cols results.
    lanes : products per dot product and cycle; a power of two, 1..64.
    accumulator_width : bits of the exact signed accumulators, 20..32; bounds K (`max_k`).
    dim_width : bits of M, N and K in a job descriptor, 4..16: statistics hold 2**32 elements.
    radices : log-FP4 radices that the multipliers and encoders take: (4,), (2,) or (4, 2).
    stochastic : whether the rescaling unit can round stochastically.
    tensors : entries of the table of adaptive scales, 1..256.
    pipeline : register stages of a dot product, 1..3; changes speed and latency, not results.
    target : what the RTL is made for, "asic" or "fpga"; changes size and speed, not results. For an
        FPGA carry chains add what full adders add in an ASIC, operand b is decoded for look-up
        tables, and the table of scales is a memory.
    bus_width : bits of a core's data bus, a power of two, 64..512.
    depth : codes of K that a core's buffers hold, a power of two, 4..8192, at least lanes.
    strip : columns of the result whose operand b a core keeps while operand a passes, a power of
        two, 8..512, at least cols and lanes; jobs with `strips` are computed in that order.
    address_width : bits of an address on a core's data bus, 32..64; those in descriptors and
        registers have 64, and what needs more bits than the bus has lies beyond its last byte.
    serial : whether the rescaling unit takes one row after the other, multiplies and squares two
        bits per cycle: a fraction of the size, a row in 1 + 17 cycles per column; the same results.

    Raises ValueError that names the value and the allowed range.
    """

    rows: int
    cols: int
    lanes: int
    accumulator_width: int = 32
    dim_width: int = 16
    radices: tuple[int, ...] = (4, 2)
    stochastic: bool = True
    tensors: int = 16
    pipeline: int = 2
    target: str = "asic"
    serial: bool = False
    bus_width: int = 512
    depth: int = 1024
    strip: int = 64
    address_width: int = 64

    def __post_init__(self):
        for name in ("rows", "cols", "lanes"):
            self._check_power_of_two(name, 1, 64)
        self._check_power_of_two("bus_width", 64, 512)
        self._check_power_of_two("depth", max(4, self.lanes), 8192)
        self._check_power_of_two("strip", max(8, self.cols, self.lanes), 512)
        checks.integer(self, "accumulator_width", 20, 32)
        checks.integer(self, "dim_width", 4, 16)
        checks.integer(self, "tensors", 1, 256)
        checks.integer(self, "pipeline", 1, 3)
        checks.integer(self, "address_width", 32, 64)
        checks.flag(self, "stochastic", "serial")
        if not isinstance(self.target, str) or self.target not in TARGETS:
            expected = " or ".join(map(repr, TARGETS))
            raise ValueError(f"target = {checks.shown(self.target)}: expected {expected}")
        checks.put(self, "radices", _radices(self.radices))

    def _check_power_of_two(self, name: str, low: int, high: int) -> None:
        checks.integer(self, name, low, high)
        value = getattr(self, name)
        if value & (value - 1):
            below = 1 << (value.bit_length() - 1)
            raise ValueError(f"{name} = {value} is not a power of two: use {below} or {2 * below}")

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols * self.lanes

    @property
    def is_fpga(self) -> bool:
        return self.target == "fpga"

    @property
    def log_formats(self) -> tuple[LogFormat, ...]:
        return tuple(f for f in (FP4_R4, FP4_R2) if f.radix in self.radices)

    @property
    def max_dim(self) -> int:
        """Largest M, N or K of one job."""
        return 2**self.dim_width - 1

    def max_k(self, a: IntFormat, b: IntFormat | LogFormat) -> int:
        """Largest K for which no accumulator can overflow, whatever the codes.

        ValueError for formats that operands a and b cannot have.
        """
        exact = (2 ** (self.accumulator_width - 1) - 1) // max_product(a, b)
        return min(exact, self.max_dim)

    def check_core(self) -> None:
        """ValueError unless a whole core can be made of it, not only an engine."""
        if self.rows < 2:
            raise ValueError(f"rows = {self.rows}: a core takes 2 or more, so that results lie on "
                             "bytes when they are transposed")
        if self.lanes < max(4, self.rows, self.cols):
            raise ValueError(f"lanes = {self.lanes}: a core takes at least 4, and at least rows and"
                             f" cols, {self.rows} and {self.cols}")
        formats: tuple[Format, ...] = (A_FORMATS[0], *self.log_formats)
        limit = min(self.max_k(a, b) for a in A_FORMATS for b in formats)
        if self.depth > limit:
            raise ValueError(f"depth = {self.depth}: this accumulator_width and dim_width allow "
                             f"1..{limit} products per sum")

    @property
    def dot_width(self) -> int:
        """Bits of one dot product's signed sum: the largest product times the lanes, and a sign."""
        formats: tuple[Format, ...] = (A_FORMATS[0], *self.log_formats)
        return (max(max_product(a, b) for a in A_FORMATS for b in formats)
                * self.lanes).bit_length() + 1

    def as_dict(self) -> dict:
        return asdict(self)


def _radices(value: Any) -> tuple[int, ...]:
    """`value` as a tuple of plain ints, in any order and none twice."""
    known = (FP4_R4.radix, FP4_R2.radix)
    with suppress(ValueError):
        if isinstance(value, tuple):
            found = tuple(checks.as_integer("radix", radix, min(known), max(known))
                          for radix in value)
            if found in [order for n in (1, 2) for order in permutations(known, n)]:
                return found
    raise ValueError(
        f"radices = {checks.shown(value)}: expected (4,), (2,) or (4, 2); other bases exist in the "
        "golden model only"
    )


PRESETS = {
    "tiny": Config(4, 1, 4, dim_width=12, tensors=8, target="fpga", serial=True, bus_width=64,
                   depth=128, strip=16, address_width=32),
    "small": Config(4, 4, 16, pipeline=3, target="fpga", bus_width=128, depth=256, strip=32,
                    address_width=32),
    "base": Config(8, 4, 32, pipeline=3),
    "lean": Config(8, 4, 32, pipeline=3, radices=(2,)),
    "big": Config(16, 8, 32, pipeline=3, strip=128),
}


def preset(name: str) -> Config:
    """The preset called `name`; ValueError that lists the names otherwise."""
    return PRESETS[checks.as_choice("preset", name, PRESETS)]
