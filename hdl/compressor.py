# SPDX-License-Identifier: Apache-2.0
"""Addition of ragged columns of bits, without a carry that travels (Wallace 1964, Dadda 1965)."""

from itertools import zip_longest

from amaranth.hdl import Cat, Const, Module, Signal

from hdl.carry_save import CarrySaveAdder
from hdl.library import place


class Columns:
    """Bits to be added modulo 2**width: `bits[c]` have the weight 2**c."""

    def __init__(self, width: int):
        self.bits: list[list] = [[] for _ in range(width)]

    def add(self, value, place: int = 0):
        """One unsigned signal or list of bits, of weight 2**place, modulo 2**width."""
        for column, bit in zip(self.bits[place:], value, strict=False):
            column.append(bit)

    def add_constant(self, number: int):
        number %= 1 << len(self.bits)
        for column in range(len(self.bits)):
            if number >> column & 1:
                self.bits[column].append(Const(1, 1))

    @property
    def height(self) -> int:
        return max(map(len, self.bits))

    @property
    def rows(self) -> list:
        """The bits as unsigned values with the same sum, as many as the columns are high."""
        return [Cat(row) for row in zip_longest(*self.bits, fillvalue=Const(0, 1))]

    def registered(self, m: Module, name: str, enable=1) -> "Columns":
        """The same bits one cycle later, held while not enabled; constants need no register."""
        after = Columns(len(self.bits))
        for c, column in enumerate(self.bits):
            after.bits[c] = [bit for bit in column if isinstance(bit, Const)]
        held = [[bit for bit in column if not isinstance(bit, Const)] for column in self.bits]
        for r, row in enumerate(zip_longest(*held, fillvalue=Const(0, 1))):
            register = Signal(len(row), name=f"{name}_{r}", reset_less=True)
            with m.If(enable):
                m.d.sync += register.eq(Cat(row))
            for c, column in enumerate(held):
                if r < len(column):
                    after.bits[c].append(register[c])
        return after

    def reduced(self, m: Module, platform, height: int, name: str,
                levels: int | None = None) -> "Columns":
        """Columns of at most `height` (2 or more) bits, of the same sum; or as low as `levels`
        full adders in a chain can make them, where that is higher.

        Every level adds all the triples that it finds (few bits remain to be registered), and two
        bits where a column would else stay above the height that the next levels can reduce.
        """
        lowest = self.height
        for _ in range(levels or 0):
            lowest = -(-lowest * 2 // 3)
        now, level = self, 0
        while now.height > max(height, lowest if levels else 0):
            target = max(height, lowest if levels else 0)
            while target * 3 // 2 < now.height:
                target = target * 3 // 2
            now = now._level(m, platform, target, f"{name}_{level}")
            level += 1
        return now

    def _level(self, m: Module, platform, target: int, name: str) -> "Columns":
        width = len(self.bits)
        after = Columns(width)
        carries, waiting = [0] * (width + 1), [0] * width  # into each column; not added
        groups: dict[tuple[int, int], tuple] = {}  # (which adder of the column, column) -> bits
        for c, column in enumerate(self.bits):
            left, sums = list(column), 0
            while len(left) >= 3 or (len(left) == 2 and carries[c] + sums + len(left) > target):
                groups[sums, c] = (*(left.pop(0) for _ in range(min(3, len(left)))), Const(0, 1))
                sums += 1
            carries[c + 1] = sums
            # the bits that have waited come first
            waiting[c] = len(left)
            after.bits[c] = left + [None] * sums
        for first in sorted(groups):
            if (first[0], first[1] - 1) in groups:
                continue  # within a run that another column began
            run = [first[1]]
            while (first[0], run[-1] + 1) in groups:
                run.append(run[-1] + 1)
            adder = place(m, platform, f"{name}_{first[0]}_{first[1]}", CarrySaveAdder(len(run)))
            bits = zip(*(groups[first[0], c][:3] for c in run), strict=True)
            m.d.comb += [port.eq(Cat(row)) for port, row in zip(
                (adder.a, adder.b, adder.c), bits, strict=True)]
            for i, c in enumerate(run):
                after.bits[c][waiting[c] + first[0]] = adder.total[i]
                if c + 1 < width:
                    after.bits[c + 1].append(adder.carry[i])
        return after
