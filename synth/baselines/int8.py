# SPDX-License-Identifier: Apache-2.0
"""Integers: the multiply-accumulator, and the dot product that accumulates once for several."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from synth.baselines.arithmetic import Columns, add, compress, named
from synth.baselines.pipeline import LaneParameters, Mac, MacParameters, register

WIDTH, SUM_WIDTH = 8, 32


def signed_array(a: Value, b: Value) -> Columns:
    """Partial products of the sum of signed a b over all lanes, a power of two of them,
    + 2^(2n-1) for each: C. R. Baugh and B. A. Wooley (1973).

    A product of one sign bit counts negatively: -x = ~x - 1, and the ones sum up to 2^(2n-1) - 2^n.
    """
    n, lanes = WIDTH, len(a) // WIDTH
    columns: Columns = [[] for _ in range(2 * n + _log2(lanes))]
    for lane in range(lanes):
        x, y = a.word_select(lane, n), b.word_select(lane, n)
        for i in range(n):
            for j in range(n):
                bit = x[i] & y[j]
                columns[i + j].append(~bit if (i == n - 1) != (j == n - 1) else bit)
    columns[n + _log2(lanes)].append(Const(1, 1))  # 2^n of each lane
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

        # Products, and their sum.
        columns, first = self.summed(m, signed_array(a & enable.replicate(len(a)), b), first)
        *rows, first = self.cut(m, "tree", *compress(m, columns), first)

        # Accumulate: the products' offset, 2^half, is taken off again at its weight.
        half = 2 * WIDTH - 1 + _log2(self.lanes)
        split = "half" in self.cuts[self.config.stages]
        total = Signal(SUM_WIDTH, reset_less=True)
        width = half if split else SUM_WIDTH
        columns = [[bit] for bit in named(m, Mux(first, 0, total[:width]))]
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
        low = named(m, add(m, *compress(m, columns)))
        m.d.sync += total[:half].eq(low)
        # the upper half adds the lower one's carry, 0..2, less the offset a cycle later
        shown, carry, first = self.cut(m, "half", total[:half], low[half:], first)
        columns = [[bit, ~carry.any()] for bit in named(m, Mux(first, 0, total[half:]))]
        columns[0].append(carry[1])
        m.d.sync += total[half:].eq(add(m, *compress(m, columns)))
        m.d.comb += self.acc.eq(Cat(shown, total[half:]))
        return m

    def summed(self, m: Module, columns: Columns, first: Value) -> tuple[Columns, Value]:
        """Columns with the same sum, behind the cuts above "tree", and `first` behind the same."""
        return columns, first


class Int8Dot(Int8Mac):
    """acc <- acc + the dot product of a and b, lanes of signed 8 bits, the first one lowest, exact,
    modulo 2^32. See `Mac` for the other ports.

    Cuts above "tree" divide the levels of its adders evenly.
    """

    places = ("upper", "middle", "tree", "half")
    cuts = ((), ("tree",), ("tree", "half"), ("middle", "tree", "half"),
            ("upper", "middle", "tree", "half"))
    swept = (2, 3, 4)

    def __init__(self, config: LaneParameters):
        Mac.__init__(self, config, WIDTH * config.lanes, WIDTH * config.lanes, signed(SUM_WIDTH))

    @property
    def lanes(self) -> int:
        return self.config.lanes

    def summed(self, m, columns, first):
        return self.levels(m, columns, self.places[:2], first)


def _log2(lanes: int) -> int:
    return lanes.bit_length() - 1
