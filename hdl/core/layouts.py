# SPDX-License-Identifier: Apache-2.0
"""What the parts of the core tell each other, and the sizes that follow from `Config`."""

from amaranth.hdl import Cat, signed
from amaranth.lib import data, enum

from golden.config import Config
from golden.descriptor import WORD
from hdl.axi.layouts import BYTES_WIDTH
from hdl.axi.read_layouts import run_bytes
from hdl.axi.write_layouts import item_bytes, item_layout
from hdl.layouts import BFormat

__all__ = ["item_bytes", "item_layout"]

STRIDE = WORD  # bits of a row's stride
ZERO = 8  # bits of operand a's zero point
IN_FLIGHT = 4  # descriptors that are fetched and not yet done
NUMBER = 3  # bits that tell them apart
SLOT = 2  # bits: up to four pieces of a tensor at once
INDEX = 13  # bits: a depth of 8,192


class Target(enum.Enum, shape=3):
    """Where the bytes of a segment go that was read."""

    DESCRIPTOR = 0
    A = 1
    B = 2
    X = 3
    BIAS = 4
    MASK = 5


TAG_LAYOUT = data.StructLayout({
    "target": Target,
    "slot": SLOT,
    "turned": 1,  # the codes lie along rows or columns, at one step of K; of a mask along columns
    "end": 1,  # the last segment of its slot
    # the row within the slot, or the step of K; of a turned mask the
    # column, and on top which half of its byte is meant
    "index": INDEX,
    "number": NUMBER,  # of the descriptor, to know whose fault it is
})


def address_width(config: Config) -> int:
    """Bits of an address that the core computes: those of the bus, and on top whether it lies
    behind the last one."""
    return config.address_width + 1


def moved(address, distance):
    """An address so many bytes further; what lies behind the last one stays there."""
    width = len(address) - 1
    reached = address[:width] + distance
    return Cat(reached[:width], address[width] | reached[width:].any())


def segment_layout(config: Config) -> data.StructLayout:
    """Bytes of memory, one behind the other."""
    return data.StructLayout({"address": address_width(config), "bytes": BYTES_WIDTH})


def read_layout(config: Config) -> data.StructLayout:
    """Such bytes that are to be read, and where they go."""
    return data.StructLayout({**dict(segment_layout(config).members), "tag": TAG_LAYOUT})


def run_layout(config: Config) -> data.StructLayout:
    """`lanes` codes, or as many bytes, of a segment that was read."""
    return data.StructLayout({"data": run_bits(config), "tag": TAG_LAYOUT, "first": 1, "last": 1})


def run_bits(config: Config) -> int:
    return 8 * run_bytes(config)


def line_words(config: Config) -> int:
    """Words of a descriptor that are read at once: as many as a run holds."""
    return max(run_bits(config) // WORD, 1)


def sizes_layout(config: Config) -> data.StructLayout:
    """M and N of a result."""
    return data.StructLayout({"m": config.dim_width, "n": config.dim_width})


def load_layout(config: Config) -> data.StructLayout:
    """What is read for one job of the engine."""
    return data.StructLayout({
        "sizes": sizes_layout(config),
        "k": depth_shape(config),
        "number": NUMBER,
        "gemm": 1,
        "bias": 1,
        "mask": 1,
        "x": 1,
        "early_a": 1,  # it and bias need not wait until what the job before writes is there
        "early_b": 1,
        "turn_a": 1,
        "turn_b": 1,
        "turn_mask": 1,
        **{name: address_width(config) for name in ("a", "b", "x_at", "bias_at", "mask_at")},
        **{f"{name}_stride": STRIDE for name in ("a", "b", "x", "mask")},
    })


def feed_layout(config: Config) -> data.StructLayout:
    """The operands of one job of the engine."""
    return data.StructLayout({
        "sizes": sizes_layout(config), "k": depth_shape(config), "zero": signed(ZERO),
        "b_format": BFormat})


def fed_layout(config: Config) -> data.StructLayout:
    """What the zero point has to know of a beat."""
    return data.StructLayout({
        "counts": 1,  # it belongs to the first panel of its strip, and there is a zero point
        "last": 1,  # of its block
        "lanes": config.lanes,  # those that exist
        "zero": signed(ZERO),
        # of each column, by log format: one register would drive the decoders of all columns
        "formats": data.ArrayLayout(len(config.log_formats), config.cols),
    })


def stream_layout(config: Config) -> data.StructLayout:
    """Which of the streams beside the operands a job of the engine has."""
    return data.StructLayout({
        "sizes": sizes_layout(config), "bias": 1, "mask": 1, "turn_mask": 1, "x": 1,
        "accumulate": 1,
        "corrected": 1,  # operand a has a zero point
    })


def store_layout(config: Config) -> data.StructLayout:
    """What is written for one job of the engine."""
    return data.StructLayout({
        "sizes": sizes_layout(config),
        "results": 1,
        "words": 1,  # INT32; else codes
        "odd": 1,
        "mask": 1,
        "turn": 1,
        "adapt": 1,  # the engine gives a report
        "report": 1,  # and it is wanted
        "accumulate": 1,
        "corrected": 1,  # operand a has a zero point
        "done": 1,  # it is the last job of its descriptor
        "interrupt": 1,
        **{name: address_width(config) for name in ("c", "c_odd", "mask_at", "report_at")},
        **{f"{name}_stride": STRIDE for name in ("c", "c_odd", "mask")},
    })


def depth_shape(config: Config):
    """K of one job of the engine."""
    return range(config.depth + 1)


