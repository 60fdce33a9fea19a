# SPDX-License-Identifier: Apache-2.0
"""Segments of memory that are hard to read and to write."""

from golden.config import Config

LONGEST = 1 << 16


def random_segment(rng, space: int) -> tuple[int, int]:
    """Address and bytes: of all sizes, often across or beside 4 KiB, at both ends of memory."""
    size = int(rng.choice([rng.integers(1, 9), rng.integers(1, 80), rng.integers(1, 701)]))
    kind = rng.random()
    if kind < 0.4:  # near a page's end
        page = int(rng.integers(1, space >> 12)) << 12
        address = page - int(rng.integers(0, size + 2))
    elif kind < 0.5:
        address = space - size - int(rng.integers(0, 3)) * int(rng.integers(0, 70))
    elif kind < 0.6:
        address = int(rng.integers(0, 70))
    else:
        address = int(rng.integers(0, space, dtype="uint64"))
    return min(address, space - size), size


def misaligned_segments(config: Config, short: int) -> list[tuple[int, int]]:
    """Every place in a beat, with sizes around that of a beat and of `short` bytes."""
    width, space = config.bus_width // 8, 1 << config.address_width
    sizes = sorted({size for size in (1, 2, short - 1, short, short + 1, 2 * short + 1, width - 1,
                                      width, width + 1, 2 * width + 3) if size > 0})
    return [(0x1234567890000 % space + 0x1000 * i + place, size)
            for i, size in enumerate(sizes) for place in range(width)]
