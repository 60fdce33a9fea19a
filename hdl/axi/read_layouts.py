# SPDX-License-Identifier: Apache-2.0
"""What is read: segments, and the runs that they become."""

from amaranth.lib import data

from golden.config import Config
from hdl.axi.layouts import ADDRESS, BYTES, FAULT_LAYOUT
from hdl.layouts import Field, Payload

READ_TAG = data.StructLayout({"bits": 32})  # what the reader of a segment wants to know of it
TAG = Field(READ_TAG, "of the segment; comes out with each of its runs")

READ_FAULT = Payload({
    **FAULT_LAYOUT.docs,
    "tag": Field(READ_TAG, "of the segment"),
})

READ_COMMAND = Payload({
    "address": ADDRESS,
    "bytes": BYTES,
    "tag": TAG,
})


def run_bytes(config: Config) -> int:
    """Bytes of a run: `lanes` codes."""
    return config.lanes // 2


def unit_bytes(config: Config) -> int:
    """Bytes that are taken from the beats at once: a run, or as much of it as a beat holds."""
    return min(run_bytes(config), config.bus_width // 8)


def run_layout(config: Config) -> Payload:
    """A run: the next bytes of a segment."""
    return Payload({
        "data": Field(8 * run_bytes(config), "bytes, the first one lowest; 0 behind the segment"),
        "tag": TAG,
        "first": Field(1, "1 in the first run of a segment"),
        "last": Field(1, "1 in the last run of a segment"),
    })


def unit_layout(config: Config) -> Payload:
    """The next bytes of a segment, as many as `unit_bytes`."""
    return Payload({
        "data": Field(8 * unit_bytes(config), "bytes, the first one lowest; 0 behind the segment"),
        "tag": TAG,
        "first": Field(1, "1 in the first unit of a segment"),
        "last": Field(1, "1 in the last unit of a segment"),
    })
