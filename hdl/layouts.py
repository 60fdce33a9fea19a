# SPDX-License-Identifier: Apache-2.0
"""Every payload that crosses a block boundary, derived from `Config` and the format specs."""

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


def codes_layout(config: Config, vectors: int) -> data.ArrayLayout:
    """`vectors` rows or columns of `lanes` 4-bit codes: one operand beat."""
    return data.ArrayLayout(data.ArrayLayout(4, config.lanes), vectors)


def beat_layout(config: Config) -> data.StructLayout:
    """One beat into the tile: `lanes` steps of K for every row and column."""
    return data.StructLayout({
        "a": codes_layout(config, config.rows),
        "b": codes_layout(config, config.cols),
        "a_signed": 1,
        "b_format": BFormat,
        "lanes": config.lanes,  # those that take part, a bit each: the others count as zero
        "rows": range(config.rows + 1),  # rows to drain, 1..rows; read with `last`
        "cols": range(config.cols + 1),  # columns that exist, 1..cols: the others count as zero
        "first": 1,
        "last": 1,
    })


def row_layout(config: Config) -> data.StructLayout:
    """One result row of the tile; `last` ends a block."""
    return data.StructLayout({
        "values": data.ArrayLayout(signed(config.accumulator_width), config.cols),
        "last": 1,
    })


def words_layout(config: Config) -> data.ArrayLayout:
    """One 32-bit signed word per column: fixed-point input, or bias."""
    return data.ArrayLayout(signed(WORD), config.cols)


DYADIC_MEMBERS = {"multiplier": Dyadic.WIDTH, "shift": Dyadic.SHIFT_WIDTH}
SCALE_MEMBERS = {**DYADIC_MEMBERS, "zero_point": signed(ZERO_POINT_WIDTH)}
SCALE_LAYOUT = data.StructLayout(SCALE_MEMBERS)  # what a tensor is scaled by

RESCALE_LAYOUT = data.StructLayout({
    "format": OutFormat,
    **SCALE_MEMBERS,
    "stochastic": 1,
    "seed": random_words.WIDTH,  # of the random words
})


def tag_layout(config: Config) -> data.StructLayout:
    """What travels through the rescaling unit untouched."""
    return data.StructLayout({
        "keep": config.cols,  # columns that exist (the last block may be ragged)
        "first": 1,  # first row of the job
        "last": 1,  # last row of the job
        "measure": 1,  # the row counts in the statistics
        "discard": 1,  # the row is not wanted as a result
    })


def rescale_layout(config: Config) -> data.StructLayout:
    """One row into the rescaling unit, with the parameters that apply to it."""
    return data.StructLayout({
        "values": words_layout(config),
        "bias": words_layout(config),
        "mask": config.cols,  # 0: the input counts as zero
        "params": RESCALE_LAYOUT,
        "tag": tag_layout(config),
    })


def result_layout(config: Config) -> data.StructLayout:
    """One row of results.

    `data` holds per column: INT32 the word; 4-bit integers and radix 2 the code in bits 0..3;
    radix 4 the even code in bits 0..3 and the odd code in bits 4..7. `mask` is the clip mask.
    """
    return data.StructLayout({
        "data": data.ArrayLayout(WORD, config.cols),
        "mask": config.cols,
        "tag": tag_layout(config),
    })


def measured_layout(config: Config) -> data.StructLayout:
    """One row's inputs (after bias and mask), for the statistics."""
    return data.StructLayout({
        "signs": config.cols,
        "magnitudes": data.ArrayLayout(WORD, config.cols),  # 0 where a column does not exist
        "keep": config.cols,
        "first": 1,  # of the job
        "valid": 1,  # the row counts
    })


def outcome_layout(config: Config) -> data.StructLayout:
    """What became of one row, for the statistics; 0 where a column does not exist."""
    return data.StructLayout({"clamped": config.cols, "vanished": config.cols})
