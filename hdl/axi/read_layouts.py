# SPDX-License-Identifier: Apache-2.0
"""What is read: segments, and the runs that they become."""

from amaranth.lib import data

from golden.config import Config
from hdl.axi.layouts import command_layout, fault_layout, segment_layout
from hdl.layouts import Field, Payload

READ_TAG = data.StructLayout({"bits": 32})  # what the reader of a segment wants to know of it
TAG = Field(READ_TAG, "of the segment; comes out with each of its runs")


def read_fault(config: Config) -> Payload:
    """What went wrong, and with what."""
    return Payload({**fault_layout(config).docs, "tag": Field(READ_TAG, "of the segment")})


def read_command(config: Config) -> Payload:
    """A segment that is to be read."""
    return Payload({**command_layout(config).docs, "tag": TAG})


def read_segment(config: Config) -> Payload:
    """A segment whose address is out."""
    return Payload({**segment_layout(config).docs, "tag": TAG})


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
