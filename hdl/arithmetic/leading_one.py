# SPDX-License-Identifier: Apache-2.0
"""Where the leading one of a number is, as a tree of halves."""

from amaranth.hdl import Cat, Const, Mux


def leading_one(bits, width: int):
    """The number of the highest of 2**width - 1 bits that is set, from 1; 0 if none is."""
    return _numbered(bits, width)[1]


def _numbered(bits, width: int):
    """Whether any of 2**width - 1 bits is set; the number of the highest one, from 1, else 0."""
    if width == 1:
        return bits[0], bits[0]
    middle = (1 << width - 1) - 1
    low_any, low = _numbered(bits[:middle], width - 1)
    high_any, high = _highest(bits[middle:], width - 1)
    return high_any | low_any, Cat(Mux(high_any, high, low), high_any)


def _highest(bits, width: int):
    """Whether any of 2**width bits is set, and the number of the highest one, from 0."""
    if not width:
        return bits[0], Const(0, 0)
    middle = 1 << width - 1
    low_any, low = _highest(bits[:middle], width - 1)
    high_any, high = _highest(bits[middle:], width - 1)
    return high_any | low_any, Cat(Mux(high_any, high, low), high_any)
