# SPDX-License-Identifier: Apache-2.0
"""What is written: segments, and the items of data that fill them."""

from golden.config import Config
from hdl.layouts import Field, Payload


def item_bytes(config: Config) -> int:
    """Bytes of an item: a result row of INT32 or a run, whichever is longer."""
    return max(4 * config.cols, config.lanes // 2)


def part_bytes(config: Config) -> int:
    """Bytes that are put into a beat at once: an item, or as much of it as a beat holds."""
    return min(item_bytes(config), config.bus_width // 8)


def item_layout(config: Config, size: int | None = None) -> Payload:
    """The next bytes to write: an item, or as many as `size` of one."""
    size = size or item_bytes(config)
    return Payload({
        "data": Field(8 * size, "bytes, the first one lowest"),
        "count": Field(range(size + 1), "bytes of it that count, 1 or more"),
    })
