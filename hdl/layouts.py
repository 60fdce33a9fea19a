# SPDX-License-Identifier: Apache-2.0
"""Every payload that crosses a block boundary, derived from `Config` and the format specs."""

from typing import Any, NamedTuple

from amaranth.hdl import signed
from amaranth.lib import data, enum

from golden import random_words
from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import (
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    ZERO_POINT_WIDTH,
    IntFormat,
    LogFormat,
)


class Field(NamedTuple):
    """A member of a payload: its shape, what it means (units included), and which operations or
    modes read it, if not all do."""

    shape: Any
    doc: str
    read_by: str = ""


class Payload(data.StructLayout):
    """A structure whose members say what they mean: `docs` is name -> `Field`. The manifest, the C
    header and the documentation have it from here."""

    def __init__(self, fields: dict[str, Field]):
        self.docs = fields
        super().__init__({name: field.shape for name, field in fields.items()})


WORD = 32  # bits of the rescaling unit's input and of one result


class BFormat(enum.Enum, shape=2):
    """How the MAC reads operand b."""

    INT4 = 0
    FP4_R4 = 1
    FP4_R2 = 2

    @classmethod
    def of(cls, fmt: IntFormat | LogFormat) -> "BFormat":
        return cls[fmt.name] if isinstance(fmt, LogFormat) else cls.INT4


class OutFormat(enum.Enum, shape=3):
    """What the rescaling unit makes; the encodings are those of the format specs."""

    INT4 = INT4.encoding
    INT4_SYM = INT4_SYM.encoding
    UINT4 = UINT4.encoding
    INT32 = INT32.encoding
    FP4_R4 = FP4_R4.encoding
    FP4_R2 = FP4_R2.encoding


A_SIGNED = Field(1, "1: codes of operand a are INT4 or INT4_SYM, 0: UINT4")
B_FORMAT = Field(BFormat, "how codes of operand b are read; FP4 codes are of the phase that the "
                          "GEMM takes, even or odd")
CODES = "4-bit codes: bits 4 * lane + 3 .. 4 * lane of the {0}, {0} 0 in the lowest bits"


def codes_layout(config: Config, vectors: int) -> data.ArrayLayout:
    """`vectors` rows or columns of `lanes` 4-bit codes: one operand beat."""
    return data.ArrayLayout(data.ArrayLayout(4, config.lanes), vectors)


def beat_layout(config: Config) -> Payload:
    """One beat into the tile: `lanes` steps of K for every row and column."""
    return Payload({
        "a": Field(codes_layout(config, config.rows), CODES.format("row")),
        "b": Field(codes_layout(config, config.cols), CODES.format("column")),
        "a_signed": A_SIGNED,
        "b_format": B_FORMAT,
        "lanes": Field(config.lanes, "bit mask: the lanes that take part, 1 each; the others count "
                                     "as zero"),
        "rows": Field(range(config.rows + 1), "number of rows to drain, 1..rows",
                      "beats with last"),
        "cols": Field(range(config.cols + 1), "number of columns that exist, 1..cols; the others "
                                              "count as zero. The same in all beats of a block"),
        "first": Field(1, "1 in the first beat of a block: the sums start from zero"),
        "last": Field(1, "1 in the last beat of a block: its sums are complete"),
    })


def row_layout(config: Config) -> Payload:
    """One result row of the tile."""
    return Payload({
        "values": Field(data.ArrayLayout(signed(config.accumulator_width), config.cols),
                        "the row's exact sums, column 0 in the lowest bits"),
        "last": Field(1, "1 in the last row of a block"),
    })


def words_layout(config: Config) -> data.ArrayLayout:
    """One 32-bit signed word per column: fixed-point input, or bias."""
    return data.ArrayLayout(signed(WORD), config.cols)


DYADIC_MEMBERS = {
    "multiplier": Field(Dyadic.WIDTH, "a scale is multiplier * 2**-shift; 32768..65535, or 0. The "
                                      "scale 1 is 32768 with shift 15. Others are not refused, but "
                                      "nothing verifies them"),
    "shift": Field(Dyadic.SHIFT_WIDTH, "see multiplier; 0..63"),
}
SCALE_MEMBERS = {
    **DYADIC_MEMBERS,
    "zero_point": Field(signed(ZERO_POINT_WIDTH), "added after scaling and rounding, before "
                        "clamping", "formats INT4, INT4_SYM and UINT4"),
}
SCALE_LAYOUT = Payload(SCALE_MEMBERS)  # what a tensor is scaled by

RESCALE_LAYOUT = Payload({
    "format": Field(OutFormat, "what the values become"),
    **SCALE_MEMBERS,
    "stochastic": Field(1, "1: round up with a probability that is the fraction, by random words; "
                           "0: round to nearest, ties to even"),
    "seed": Field(random_words.WIDTH, "of the job's random words, which depend on it, on the row's "
                                      "number in the job and on the column", "stochastic = 1"),
})


def tag_layout(config: Config) -> Payload:
    """What travels through the rescaling unit untouched."""
    return Payload({
        "keep": Field(config.cols, "bit mask: the columns that exist: fewer in a ragged block"),
        "first": Field(1, "1 in the first row of the job"),
        "last": Field(1, "1 in the last row of the job"),
        "measure": Field(1, "1: the row counts in the statistics of the job"),
        "discard": Field(1, "1: the row is not wanted as a result, only measured"),
    })


def rescale_layout(config: Config) -> Payload:
    """One row into the rescaling unit, with the parameters that apply to it."""
    return Payload({
        "values": Field(words_layout(config), "one signed 32-bit word per column, column 0 lowest"),
        "bias": Field(words_layout(config), "added to the values first; the sum saturates"),
        "mask": Field(config.cols, "bit mask: 0 makes the column's input count as zero"),
        "params": Field(RESCALE_LAYOUT, "how the row is scaled and rounded"),
        "tag": Field(tag_layout(config), "comes out with the row"),
    })


def result_layout(config: Config) -> Payload:
    """One row of results."""
    return Payload({
        "data": Field(data.ArrayLayout(WORD, config.cols),
                      "32 bits per column, column 0 lowest. INT32: the signed word. 4-bit integers "
                      "and FP4_R2: the code in bits 3..0. FP4_R4: the code of the even phase in "
                      "bits 3..0, of the odd phase in bits 7..4. All bits above a code are 0"),
        "mask": Field(config.cols, "clip mask of INT4, INT4_SYM and UINT4, a bit per column: 1 "
                                   "where the scaled value, before it was rounded, lay strictly "
                                   "between the format's ends: there the gradient of the clip "
                                   "passes. Other formats: 0"),
        "tag": Field(tag_layout(config), "of the row that came in"),
    })


def measured_layout(config: Config) -> Payload:
    """One row's inputs (after bias and mask), for the statistics."""
    return Payload({
        "signs": Field(config.cols, "a bit per column: 1 where the input is negative"),
        "magnitudes": Field(data.ArrayLayout(WORD, config.cols),
                            "absolute values of the inputs; 0 where a column does not exist"),
        "keep": Field(config.cols, "bit mask: the columns that exist"),
        "first": Field(1, "1 in the first row of the job"),
        "valid": Field(1, "1: the row counts"),
    })


def outcome_layout(config: Config) -> Payload:
    """What became of one row, for the statistics."""
    return Payload({
        "clamped": Field(config.cols, "a bit per column: 1 where the value was beyond the format's "
                                      "range; 0 where a column does not exist"),
        "vanished": Field(config.cols, "a bit per column: 1 where a value other than 0 became 0; "
                                       "0 where a column does not exist"),
    })
