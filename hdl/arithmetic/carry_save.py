# SPDX-License-Identifier: Apache-2.0
"""Addition of many rows of bits: carry-save, where no carry travels, or by an FPGA's carry chains.

A full adder is one cell of an ASIC library but two look-up tables of an FPGA, whose carry chains
add two bits in one.
"""

from amaranth.hdl import Cat, Const, Module
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


def reduce_rows(m: Module, platform, rows: list, height: int, name: str,
                chains: bool = False) -> list:
    """At most `height` (2 or more) rows with the same sum as `rows`.

    A row is a pair: the column of its lowest bit, and an unsigned value. The adders become
    submodules of `m` called `name`_0 and on; `chains` : they are carry chains.
    """
    count = 0
    taken, add = (2, _chain) if chains else (3, _add)
    while len(rows) > height:
        # rows that begin alike fit together; a carry chain goes on to the end of the longer row
        rows = sorted(rows, key=lambda row: row[0] + chains * len(row[1]))
        groups = min(len(rows) // taken, len(rows) - height)
        after = rows[taken * groups:]
        for i in range(groups):
            after += add(m, platform, rows[taken * i:taken * (i + 1)], f"{name}_{count}")
            count += 1
        rows = after
    return rows


def add_rows(rows: list):
    """The sum of rows, as one value."""
    return sum(Cat(Const(0, low), value) for low, value in rows)


def _add(m: Module, platform, rows: list, name: str) -> list:
    """Three rows, lowest first, as two: full adders only from where the third begins to where but
    one has ended."""
    (low, a), (middle, b), (start, _) = rows
    assert len(a) >= start - low, "the lowest row ends below the third: there is a gap"
    stop = max(sorted(low + len(value) for low, value in rows)[1], start)
    adder = place(m, platform, name, CarrySaveAdder(stop - start))
    for port, (begin, value) in zip((adder.a, adder.b, adder.c), rows, strict=True):
        m.d.comb += port.eq(value[start - begin:stop - begin])
    above = Cat(value[stop - begin:] for begin, value in rows)  # of the longest
    total = low, Cat(a[:start - low], adder.total, above)
    if middle < start:
        carry = middle, Cat(b[:start - middle], Const(0, 1), adder.carry)
    else:
        carry = start + 1, adder.carry
    return [total, carry]


def _chain(m: Module, platform, rows: list, name: str) -> list:
    """Two rows as one: what lies below the higher one is the sum already."""
    (low, a), (start, b) = sorted(rows, key=lambda row: row[0])
    below, above = a[:start - low], a[start - low:]
    if not len(above):
        return [(low, Cat(below, Const(0, start - low - len(below)), b))]
    adder = place(m, platform, name, CarryChainAdder(max(len(above), len(b))))
    m.d.comb += [adder.a.eq(above), adder.b.eq(b)]
    return [(low, Cat(below, adder.total))]
