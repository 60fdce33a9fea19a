# SPDX-License-Identifier: Apache-2.0
"""Values of a payload as its bits, and back.

Amaranth's `Layout.const` does the same by way of expressions, which takes milliseconds for one beat
of operands: most of the time of a bench that sends thousands. Here widths and offsets are asked of
the layout once.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

from golden.config import Config


class Packing:
    """How values lie in the bits of a shape: a layout, or what one is made of in the end.

    Values of a structure are a mapping by name, those of an array a sequence; a member that is
    not there is 0. A number, an enum's member or a bool is the value of a single field.
    """

    def __init__(self, shape: Any):
        cast = Shape.cast(shape)
        self.width, self._signed = cast.width, cast.signed
        self._range = (range(-(1 << cast.width - 1), 1 << cast.width - 1) if cast.signed
                       else range(1 << cast.width))
        self._sequence = isinstance(shape, data.ArrayLayout)
        self._members = None
        if isinstance(shape, data.Layout):
            self._members = {name: (field.offset, Packing(field.shape)) for name, field in shape}

    def pack(self, value: Any) -> int:
        """The bits of a value; a layout's own bits count as its value too.

        ValueError for a number that does not fit, or a member that does not exist.
        """
        if self._members is None or isinstance(value, int):
            number = int(getattr(value, "value", value))
            if number not in self._range:
                raise ValueError(f"{number} does not fit {self.width} bits: expected "
                                 f"{self._range[0]}..{self._range[-1]}")
            return number & (1 << self.width) - 1
        bits = 0
        for name, inner in enumerate(value) if self._sequence else value.items():
            if name not in self._members:
                raise ValueError(f"no member {name!r}: expected one of "
                                 f"{', '.join(map(str, self._members))}")
            offset, packing = self._members[name]
            bits |= packing.pack(inner) << offset
        return bits

    def unpack(self, bits: int) -> Any:
        """The value of the lowest bits: a dict of a structure, a list of an array, else an int,
        also of an enum."""
        if self._members is None:
            found = bits & (1 << self.width) - 1
            return found - (1 << self.width) if self._signed and found >> self.width - 1 else found
        values = {name: packing.unpack(bits >> offset)
                  for name, (offset, packing) in self._members.items()}
        return list(values.values()) if self._sequence else values


@cache
def packing(layout: Callable[[Config], data.Layout], config: Config) -> Packing:
    """That of a layout of a configuration, made once."""
    return Packing(layout(config))
