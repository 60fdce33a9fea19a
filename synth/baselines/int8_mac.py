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

    places = ("tree", "product")
    entry = None
    cuts = ((), ("tree",), ("tree", "product"))

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
        alone = "product" in self.cuts[self.config.stages]
        if alone:
            rows = [add(m, *rows)]
        *rows, first = self.cut(m, "product", *rows, first)

        # Accumulate.
        total = Signal(SUM_WIDTH, reset_less=True)
        m.d.comb += self.acc.eq(total)
        addend = named(m, Mux(first, 0, total))
        sign = 2 * WIDTH - 1
        if alone:
            rows = [Cat(rows[0][:sign], (~rows[0][sign]).replicate(SUM_WIDTH - sign)), addend]
        else:
            columns: Columns = [[bit] for bit in addend]
            for weight in range(SUM_WIDTH):
                columns[weight] += [row[weight] for row in rows if weight < 2 * WIDTH]
                columns[weight] += [Const(1, 1)] * (weight >= sign)  # less 2^(2n-1)
            rows = compress(m, columns)
        m.d.sync += total.eq(add(m, *rows))
        return m
