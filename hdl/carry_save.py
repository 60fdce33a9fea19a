# SPDX-License-Identifier: Apache-2.0
"""Carry-save addition: many rows become few without a carry that travels."""

from amaranth.hdl import Cat, Module, Value
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


def reduce_rows(m: Module, platform, rows: list, height: int, width: int, name: str) -> list:
    """At most `height` (2 or more) rows with the same sum as `rows`, modulo 2**width.

    Rows are unsigned values; their submodules of `m` are called `name`_0 and on.
    """
    rows = [(0, row) for row in rows]  # with the number of carries on the way: rows of an age align
    count = 0
    while len(rows) > height:
        rows.sort(key=lambda row: row[0])
        groups = min(len(rows) // 3, len(rows) - height)
        after = rows[3 * groups:]
        for i in range(groups):
            (_, a), (_, b), (age, c) = rows[3 * i:3 * i + 3]
            adder = place(m, platform, f"{name}_{count}", CarrySaveAdder(width))
            m.d.comb += [adder.a.eq(a), adder.b.eq(b), adder.c.eq(c)]
            after += [(age, adder.total), (age + 1, Cat(0, adder.carry)[:width])]
            count += 1
        rows = after
    return [Value.cast(row) for _, row in rows]
