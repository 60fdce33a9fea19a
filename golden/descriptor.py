# SPDX-License-Identifier: Apache-2.0
"""The core's descriptor: 64 little-endian words of 32 bits that say what one job is.

The members of `Descriptor` are its only source: `FIELDS` has name, place, width and meaning of
each, and the RTL's layout, the C header and the documentation are made of it. Which descriptors a
core refuses, and with which `Fault`, says `golden.refused`.
"""

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, NamedTuple

from golden import checks, random_words
from golden.adaptive import TENSOR_WIDTH
from golden.dyadic import IDENTITY, Dyadic
from golden.engine import Op
from golden.formats import FP4_R2, FP4_R4, INT4, INT32, ZERO_POINT_WIDTH, Format
from golden.solver import ALPHA_WIDTH, EXPONENT_WIDTH

VERSION = 1
WORDS, WORD = 64, 32
BYTES = WORDS * WORD // 8
SIZE_WIDTH = 24  # bits of K and of the number of batch elements that a core takes
B_FORMATS: tuple[Format, ...] = (INT4, FP4_R4, FP4_R2)  # their places are the numbers of b_format
TENSORS = ("a", "b", "c", "c_odd", "x", "bias", "mask_in", "mask_out", "report", "scratch")


class CoreOp(IntEnum):
    """What a descriptor asks for."""

    GEMM = Op.GEMM
    QUANTISE = Op.QUANTISE
    TABLE = Op.TABLE
    FENCE = 3  # no job: what follows sees all that was written before


class Fault(IntEnum):
    """Why a core stopped; its register keeps the first one."""

    NONE = 0
    VERSION = 1  # the descriptor is of another version
    RESERVED = 2  # a bit of the descriptor that must be 0 is 1
    OPERATION = 3  # an operation that does not exist
    SIZE = 4  # M, N, K or the number of batch elements is 0 or too large
    FORMAT = 5  # a format or rounding that the core does not have, a scale that is none
    ADAPT = 6  # a use of the table of scales that does not exist
    COMBINATION = 7  # an option that the operation or the format does not have
    ALIGNMENT = 8  # an address or stride of 32-bit words is no multiple of 4
    WRAP = 9  # a row of a tensor reaches behind the last address of the bus
    READ_WINDOW = 10  # a row lies outside the window of reads
    WRITE_WINDOW = 11  # a row lies outside the window of writes
    READ_SLVERR = 12  # a memory answered with an error
    READ_DECERR = 13  # there is no memory at the address
    WRITE_SLVERR = 14
    WRITE_DECERR = 15
    RING = 16  # the tail is no index of the ring
    OVERFLOW = 17  # a sum left 32 bits


class CoreFault(Exception):  # noqa: N818 (as the registers and the RTL call it)
    """A core stopped.

    Members
    -------
    code : Fault. descriptor : index of the descriptor, or None where nobody has counted.
    address : the first byte of the row of a tensor, in as many bits as the bus has, that WRAP and
        later faults up to WRITE_DECERR are about; otherwise 0.
    """

    def __init__(self, code: Fault, address: int = 0, descriptor: int | None = None):
        self.code, self.address, self.descriptor = Fault(code), address, descriptor
        where = "" if descriptor is None else f" in descriptor {descriptor}"
        super().__init__(f"{self.code.name}{where}, address {address:#x}")


class BitField(NamedTuple):
    """Where a member of the descriptor lies: `width` bits from bit `low` of word `word` on."""

    name: str
    word: int
    low: int
    width: int
    signed: bool
    default: int
    doc: str

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest value."""
        half = 1 << (self.width - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


def _bits(word: int, low: int, width: int, doc: str, *, default: int = 0,
          signed: bool = False) -> Any:
    return field(default=default, metadata={"word": word, "low": low, "width": width,
                                            "signed": signed, "default": default, "doc": doc})


def _flag(word: int, low: int, doc: str) -> Any:
    return _bits(word, low, 1, doc, default=False)


def _address(word: int, doc: str) -> Any:
    return _bits(word, 0, 2 * WORD, f"address of {doc}")


def _stride(word: int, doc: str) -> Any:
    return _bits(word, 0, WORD, f"bytes from one row of {doc} to the next")


def _batch(word: int, doc: str) -> Any:
    return _bits(word, 0, WORD, f"bytes from {doc} of one batch element to that of the next")


@dataclass(frozen=True)
class Descriptor:
    """A descriptor that fits its bits, whether or not a core would refuse it.

    Members
    -------
    See `FIELDS`. Members of one bit are bool, the others int in the range of their bits; enums are
    `CoreOp`, `golden.adaptive.Use`, `golden.solver.SolveMode` and the formats' encodings. What is
    not given asks for nothing: the result is INT32 with scale 1, there is one batch element.

    ValueError that names the member otherwise.
    """

    version: int = _bits(0, 0, 8, "of the descriptor: 1", default=VERSION)
    op: int = _bits(0, 8, 4, "GEMM 0: C = rescaled A times B; QUANTISE 1: C = rescaled x; TABLE 2: "
                    "only the table of scales changes; FENCE 3: no job, a barrier")
    barrier: bool = _flag(0, 12, "1: all that earlier jobs write is acknowledged before this job's "
                          "first load, but for those of early_a and early_b")
    interrupt: bool = _flag(0, 13, "1: interrupt when all writes of the job are acknowledged")
    accumulate: bool = _flag(0, 14, "1: C = C + result, format INT32 without adapt")
    transpose_a: bool = _flag(0, 15, "1: A lies as (K, M), 0: as (M, K)")
    transpose_b: bool = _flag(0, 16, "1: B lies as (K, N), 0: as (N, K)")
    transpose_c: bool = _flag(0, 17, "1: C and C odd lie as (N, M), 0: as (M, N)")
    transpose_mask: bool = _flag(0, 25, "1: mask in lies as (N, M), 0: as (M, N)")
    early_a: bool = _flag(0, 26, "1, with barrier: A and bias may be read before that (GEMM)")
    early_b: bool = _flag(0, 27, "1, with barrier: B and bias may be read before that (GEMM)")
    bias: bool = _flag(0, 18, "1: N words are added to every row of sums or inputs")
    mask_in: bool = _flag(0, 19, "1: sums or inputs, with bias, count as 0 where a bit is 0")
    mask_out: bool = _flag(0, 20, "1: the clip mask is written, of 4-bit integer formats")
    report: bool = _flag(0, 21, "1: the report of an adapting job is written")
    a_signed: bool = _flag(0, 22, "1: codes of A are INT4, 0: UINT4")
    b_format: int = _bits(0, 23, 2, "codes of B: INT4 0, FP4_R4 1, FP4_R2 2")
    m: int = _bits(1, 0, WORD, "rows of the result")
    n: int = _bits(2, 0, WORD, "columns of the result")
    k: int = _bits(3, 0, WORD, "products per sum; 0 but for GEMM")
    batch: int = _bits(4, 0, WORD, "how many times the job is done, with tensors of their own",
                       default=1)
    multiplier: int = _bits(5, 0, Dyadic.WIDTH, "results are scaled by multiplier * 2**-shift: "
                            "32768..65535, or 0", default=IDENTITY.multiplier)
    shift: int = _bits(5, 16, Dyadic.SHIFT_WIDTH, "see multiplier", default=IDENTITY.shift)
    format: int = _bits(5, 24, 3, "of the results: INT4 0, INT4_SYM 1, UINT4 2, INT32 3, FP4_R4 4, "
                        "FP4_R2 5", default=INT32.encoding)
    stochastic: bool = _flag(5, 27, "1: round stochastically, formats of 4 bits; 0: to nearest")
    seed: int = _bits(6, 0, random_words.WIDTH, "of random words; batch element i has seed + i")
    zero_point: int = _bits(7, 0, ZERO_POINT_WIDTH, "added to the codes of 4-bit integer formats, "
                            "else 0", signed=True)
    a_zero: int = _bits(7, 16, 8, "zero point of operand a: A stands for its codes minus a_zero",
                        signed=True)
    adapt_enable: bool = _flag(8, 0, "1: the job uses the table of scales; 0: nothing else of "
                               "adapt is read")
    adapt_tensor: int = _bits(8, 1, TENSOR_WIDTH, "the entry of the table")
    adapt_use: int = _bits(8, 9, 2, "NOTHING 0: the job's own scale; ENTRY 1: the entry's; "
                           "EXPONENT 2: the job's own times 2**exponent of the entry")
    adapt_solve: bool = _flag(8, 11, "1: the job's statistics give the entry's next scale")
    adapt_mode: int = _bits(8, 12, 3, "how to solve: RANGE 0, SYMMETRIC 1, LUQ 2, PACT 3, SAWB 4, "
                            "GRADSCALE 5, SAWB_UNSIGNED 6")
    adapt_preset: bool = _flag(8, 15, "1: multiplier, shift, zero_point, exponent, valid and "
                               "frozen become the entry (TABLE)")
    adapt_valid: bool = _flag(8, 16, "what a preset writes")
    adapt_frozen: bool = _flag(8, 17, "what a preset writes")
    adapt_discard: bool = _flag(8, 18, "1: only measure, of the results only the report is written "
                                "(QUANTISE)")
    adapt_exponent: int = _bits(8, 19, EXPONENT_WIDTH, "of PACT's alpha, or what a preset writes",
                                signed=True)
    adapt_alpha: int = _bits(9, 0, ALPHA_WIDTH, "PACT's clipping value")
    a_address: int = _address(12, "A: 4-bit codes")
    b_address: int = _address(14, "B: 4-bit codes")
    c_address: int = _address(16, "C: 4-bit codes, of FP4_R4 the even phase's, or INT32")
    c_odd_address: int = _address(18, "C odd: the odd phase's codes of FP4_R4")
    x_address: int = _address(20, "x: INT32 (M, N), what is quantised")
    bias_address: int = _address(22, "bias: INT32 (N,)")
    mask_in_address: int = _address(24, "mask in: bits (M, N), or (N, M)")
    mask_out_address: int = _address(26, "mask out: bits (M, N)")
    report_address: int = _address(28, "report, as `golden.report_words` has it")
    scratch_address: int = _address(30, "scratch: INT32 (M, N), sums of a K beyond the buffers")
    a_stride: int = _stride(32, "A")
    b_stride: int = _stride(33, "B")
    c_stride: int = _stride(34, "C")
    c_odd_stride: int = _stride(35, "C odd")
    x_stride: int = _stride(36, "x")
    mask_in_stride: int = _stride(37, "mask in")
    mask_out_stride: int = _stride(38, "mask out")
    scratch_stride: int = _stride(39, "scratch")
    a_batch_stride: int = _batch(40, "A")
    b_batch_stride: int = _batch(41, "B")
    c_batch_stride: int = _batch(42, "C")
    c_odd_batch_stride: int = _batch(43, "C odd")
    x_batch_stride: int = _batch(44, "x")
    bias_batch_stride: int = _batch(45, "bias")
    mask_in_batch_stride: int = _batch(46, "mask in")
    mask_out_batch_stride: int = _batch(47, "mask out")
    report_batch_stride: int = _batch(48, "report")

    def __post_init__(self):
        for place in FIELDS:
            if isinstance(place.default, bool):
                checks.flag(self, place.name)
            else:
                checks.integer(self, place.name, *place.range)

    def pack(self) -> bytes:
        """The 256 bytes."""
        bits = 0
        for place in FIELDS:
            value = int(getattr(self, place.name)) & ((1 << place.width) - 1)
            bits |= value << (WORD * place.word + place.low)
        return bits.to_bytes(BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes) -> "Descriptor":
        """The members in 256 bytes; bits that are no member's are not looked at.

        ValueError for another number of bytes.
        """
        bits = as_bits(data)
        values: dict[str, Any] = {}
        for place in FIELDS:
            value = bits >> (WORD * place.word + place.low) & ((1 << place.width) - 1)
            if place.signed and value >> (place.width - 1):
                value -= 1 << place.width
            values[place.name] = bool(value) if isinstance(place.default, bool) else value
        return cls(**values)

    def rows_of(self, tensor: str, element: int = 0) -> tuple[int, int]:
        """Address and row stride of one of `TENSORS` in a batch element; of a tensor of one row
        the stride is 0, and scratch is the same for all elements."""
        address = getattr(self, f"{tensor}_address")
        address += element * getattr(self, f"{tensor}_batch_stride", 0)
        return address, getattr(self, f"{tensor}_stride", 0)


FIELDS = tuple(BitField(name=each.name, **each.metadata) for each in fields(Descriptor))
USED = sum(((1 << place.width) - 1) << (WORD * place.word + place.low) for place in FIELDS)


def as_bits(data: bytes) -> int:
    """The bits of a descriptor's 256 bytes; ValueError for what is none."""
    if not isinstance(data, bytes) or len(data) != BYTES:
        found = f"{len(data)} bytes" if isinstance(data, bytes) else checks.shown(data)
        raise ValueError(f"descriptor of {found}: expected {BYTES} bytes")
    return int.from_bytes(data, "little")
