# SPDX-License-Identifier: Apache-2.0
"""What both DMA parts know: segments of memory, and what went wrong."""

from amaranth.lib import enum

from golden.config import Config
from golden.descriptor import Fault
from hdl.layouts import Field, Payload

BYTES_WIDTH = 16  # of a segment's length
BYTES = Field(BYTES_WIDTH, "of the segment, 1..65535; 0 stands for 65536")


class FaultCode(enum.Enum, shape=5):
    """Why a DMA part has stopped; the core's error codes."""

    NONE = Fault.NONE
    WRAP = Fault.WRAP
    READ_WINDOW = Fault.READ_WINDOW
    WRITE_WINDOW = Fault.WRITE_WINDOW
    READ_SLVERR = Fault.READ_SLVERR
    READ_DECERR = Fault.READ_DECERR
    WRITE_SLVERR = Fault.WRITE_SLVERR
    WRITE_DECERR = Fault.WRITE_DECERR


def segment_layout(config: Config) -> Payload:
    """Bytes of memory, one behind the other."""
    return Payload({
        "address": Field(config.address_width, "of the segment's first byte; any alignment"),
        "bytes": BYTES,
    })


def command_layout(config: Config) -> Payload:
    """A segment that is to be read or written."""
    return Payload({
        **segment_layout(config).docs,
        "beyond": Field(1, "1: the first byte lies behind the last address; its address is modulo "
                           "the number of addresses"),
    })


def fault_layout(config: Config) -> Payload:
    """What went wrong."""
    return Payload({
        "valid": Field(1, "1: something went wrong"),
        "code": Field(FaultCode, "what, if it did"),
        "address": Field(config.address_width, "where: the segment that is not all in the window, "
                         "the beat that was read, or the burst that was written"),
    })
