# SPDX-License-Identifier: Apache-2.0
"""What both DMA parts know: a segment of memory, and what went wrong."""

from amaranth.lib import enum

from golden.descriptor import Fault
from hdl.axi.signatures import ADDRESS_WIDTH
from hdl.layouts import Field, Payload

BYTES_WIDTH = 16  # of a segment's length
ADDRESS = Field(ADDRESS_WIDTH, "of the segment's first byte; any alignment")
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


FAULT_LAYOUT = Payload({
    "valid": Field(1, "1: something went wrong"),
    "code": Field(FaultCode, "what, if it did"),
    "address": Field(ADDRESS_WIDTH, "where: the segment that is not all in the window, the beat "
                                    "that was read, or the burst that was written"),
})
