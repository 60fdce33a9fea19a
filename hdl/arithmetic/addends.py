# SPDX-License-Identifier: Apache-2.0
"""Addends: whole numbers, each at a position, and their reduction to fewer ones of the same sum.

In an ASIC by carry-save adders, where no carry travels; in an FPGA by carry chains: a full adder is
one cell of an ASIC library but two look-up tables of an FPGA, whose carry chains add two bits in
one. Single bits with holes between them are columns (`hdl.arithmetic.columns`).
"""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.library import place


class CarrySaveAdder(wiring.Component):
    """`a + b + c = total + 2 * carry`, bit by bit: a row of full adders.

    Members: a, b, c : In(width). total, carry : Out(width). Combinational.

    A module of its own, so that a synthesis flow can map it to the full adders of its library.
    """

    def __init__(self, width: int):
        self.config = width
        super().__init__({"a": In(width), "b": In(width), "c": In(width),
                          "total": Out(width), "carry": Out(width)})

    def elaborate(self, platform):
        m = Module()
        either = self.a ^ self.b
        m.d.comb += [
            self.total.eq(either ^ self.c),
            self.carry.eq((self.a & self.b) | (either & self.c)),
        ]
        return m


class CarryChainAdder(wiring.Component):
    """`total = a + b`, one bit longer.

    Members: a, b : In(width). total : Out(width + 1). Combinational.

    A module of its own, so that a synthesis flow cannot merge a tree of them into rows of full
    adders.
    """

    def __init__(self, width: int):
        self.config = width
        super().__init__({"a": In(width), "b": In(width), "total": Out(width + 1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.total.eq(self.a + self.b)
        return m


class Addend(NamedTuple):
    """An unsigned number of weight `2**position`."""

    position: int
    bits: ValueLike

    @property
    def end(self) -> int:
        """The position above its highest bit."""
        return self.position + len(self.bits)


def reduce_addends(m: Module, platform, addends: list[Addend], height: int, name: str,
                   chains: bool = False) -> list[Addend]:
    """At most `height` (2 or more) addends with the same sum as `addends`.

    The adders become submodules of `m` called `name`_0 and on; `chains` : they are carry chains.
    """
    count = 0
    taken, add = (2, _chained) if chains else (3, _saved)
    while len(addends) > height:
        # those that begin alike fit together; a carry chain goes on to the end of the longer one
        addends = sorted(addends, key=lambda x: x.end if chains else x.position)
        groups = min(len(addends) // taken, len(addends) - height)
        after = addends[taken * groups:]
        for i in range(groups):
            after += add(m, platform, addends[taken * i:taken * (i + 1)], f"{name}_{count}")
            count += 1
        addends = after
    return addends


def sum_of(addends: list[Addend]):
    """The sum of addends, as one value."""
    return sum(Cat(Const(0, addend.position), addend.bits) for addend in addends)


def _saved(m: Module, platform, addends: list[Addend], name: str) -> list[Addend]:
    """Three addends, lowest first, as two: full adders only from where the third begins to where
    but one has ended."""
    first, second, third = addends
    start = third.position
    assert first.end >= start, "the lowest addend ends below the third: there is a gap"
    stop = max(sorted(addend.end for addend in addends)[1], start)

    def part(addend, begin, end):
        return addend.bits[begin - addend.position:end - addend.position]

    adder = place(m, platform, name, CarrySaveAdder(stop - start))
    m.d.comb += [
        adder.a.eq(part(first, start, stop)),
        adder.b.eq(part(second, start, stop)),
        adder.c.eq(part(third, start, stop)),
    ]
    above = Cat(part(addend, stop, max(addend.end, stop)) for addend in addends)  # of the longest
    total = Addend(first.position, Cat(part(first, first.position, start), adder.total, above))
    if second.position == start:
        return [total, Addend(start + 1, adder.carry)]
    below = part(second, second.position, start)
    return [total, Addend(second.position, Cat(below, Const(0, 1), adder.carry))]


def _chained(m: Module, platform, addends: list[Addend], name: str) -> list[Addend]:
    """Two addends as one: what lies below the higher one is the sum already."""
    lower, higher = sorted(addends, key=lambda addend: addend.position)
    apart = higher.position - lower.position
    below, beside = lower.bits[:apart], lower.bits[apart:]
    if not len(beside):
        gap = Const(0, higher.position - lower.end)
        return [Addend(lower.position, Cat(below, gap, higher.bits))]
    adder = place(m, platform, name, CarryChainAdder(max(len(beside), len(higher.bits))))
    m.d.comb += [adder.a.eq(beside), adder.b.eq(higher.bits)]
    return [Addend(lower.position, Cat(below, adder.total))]
