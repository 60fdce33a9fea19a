# SPDX-License-Identifier: Apache-2.0
"""The integer multiply-accumulator."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from synth.baselines.arithmetic import Columns, add, compress, named
from synth.baselines.pipeline import Mac, MacParameters, register

WIDTH, SUM_WIDTH = 8, 32


def signed_array(a: Value, b: Value) -> Columns:
    """Partial products of signed a b + 2^(2n-1): C. R. Baugh and B. A. Wooley (1973).

    A product of one sign bit counts negatively: -x = ~x - 1, and the ones sum up to 2^(2n-1) - 2^n.
    """
    n = len(a)
    columns: Columns = [[] for _ in range(2 * n)]
    for i in range(n):
        for j in range(n):
            bit = a[i] & b[j]
            columns[i + j].append(~bit if (i == n - 1) != (j == n - 1) else bit)
    columns[n].append(Const(1, 1))
    return columns


class Int8Mac(Mac):
    """acc <- a b + acc of signed 8-bit operands, modulo 2^32. See `Mac` for the ports."""

    places = ("tree", "half")
    entry = None  # the loop is the addition alone, or each half of it
    cuts = ((), ("tree",), ("tree", "half"))

    def __init__(self, config: MacParameters):
        super().__init__(config, signed(WIDTH), signed(WIDTH), signed(SUM_WIDTH))

    def elaborate(self, platform):
        m = Module()

        # Operand registers.
        a, b, enable, first = register(
            m, "operand", self.a.as_unsigned(), self.b.as_unsigned(), self.enable, self.first)

        # Product.
        rows = compress(m, signed_array(a & enable.replicate(WIDTH), b))
        *rows, first = self.cut(m, "tree", *rows, first)

        # Accumulate: the product's offset is taken off again at its weight.
        half = 2 * WIDTH - 1
        split = "half" in self.cuts[self.config.stages]
        total = Signal(SUM_WIDTH, reset_less=True)
        width = half if split else SUM_WIDTH
        columns: Columns = [[bit] for bit in named(m, Mux(first, 0, total[:width]))]
        columns += [[] for _ in range(half + 2 - width)]  # two bits of carry
        for row in rows:
            for weight, bit in enumerate(row):
                columns[weight].append(bit)
        if not split:
            for column in columns[half:]:
                column.append(Const(1, 1))
            m.d.sync += total.eq(add(m, *compress(m, columns)))
            m.d.comb += self.acc.eq(total)
            return m
        lower = named(m, add(m, *compress(m, columns)))
        m.d.sync += total[:half].eq(lower)
        # the upper half adds the lower one's carry, 0..2, less the offset a cycle later
        shown, carry, first = self.cut(m, "half", total[:half], lower[half:], first)
        columns = [[bit, ~carry.any()] for bit in named(m, Mux(first, 0, total[half:]))]
        columns[0].append(carry[1])
        m.d.sync += total[half:].eq(add(m, *compress(m, columns)))
        m.d.comb += self.acc.eq(Cat(shown, total[half:]))
        return m
