# SPDX-License-Identifier: Apache-2.0
"""Columns: single bits, sorted by weight, and their compression (Wallace 1964, Dadda 1965).

No carry travels: levels of full adders turn three bits of a column into one, and one of the next
column. For what has holes or comes at different times: squares, digits, counts. Whole numbers that
come together are quicker to write and to read as addends (`hdl.arithmetic.addends`).
"""

from itertools import zip_longest

from amaranth.hdl import Cat, Const, Module, Signal

from hdl.arithmetic.addends import CarrySaveAdder
from hdl.library import place

# Of a full adder, from each input.
TOTAL_DELAYS, CARRY_DELAYS = (12, 12, 9), (10, 10, 8)


class Columns:
    """Bits to be added modulo 2**width: `bits[c]` have the weight 2**c.

    `times[c]` : when each bit arrives, in hundredths of a nanosecond behind the first, or the
    like. A full adder's third input is its fastest.
    """

    def __init__(self, width: int):
        self.bits: list[list] = [[] for _ in range(width)]
        self.times: list[list[int]] = [[] for _ in range(width)]

    def add(self, value, place: int = 0, time: int = 0):
        """One unsigned signal or list of bits, of weight 2**place, modulo 2**width."""
        for c, bit in enumerate(value, place):
            if c < len(self.bits):
                self._append(c, bit, time)

    def add_constant(self, number: int):
        number %= 1 << len(self.bits)
        for c in range(len(self.bits)):
            if number >> c & 1:
                self._append(c, Const(1, 1), 0)

    def _append(self, c: int, bit, time: int):
        self.bits[c].append(bit)
        self.times[c].append(time)

    @property
    def height(self) -> int:
        return max(map(len, self.bits))

    @property
    def rows(self) -> list:
        """The bits as unsigned values with the same sum, as many as the columns are high."""
        return [Cat(row) for row in zip_longest(*self.bits, fillvalue=Const(0, 1))]

    def registered(self, m: Module, name: str, enable=1, counts=None, none=()) -> "Columns":
        """The same bits one cycle later, held while not enabled, 0 if they do not count.

        Constants need no register where everything counts; else registers of `none`, which say that
        nothing counts, share them: inverted, to be able to drive them all.
        """
        after = Columns(len(self.bits))
        held: list[list] = [[] for _ in self.bits]
        constants = [Const(1, 1)]
        if counts is not None:
            constants = []
            for i, value in enumerate(none):
                register = Signal(name=f"{name}_none_{i}", reset_less=True)
                with m.If(enable):
                    m.d.sync += register.eq(value)
                constants.append(~register)
        for c, column in enumerate(self.bits):
            for bit in column:
                if isinstance(bit, Const):
                    after._append(c, constants[c % len(constants)], 0)
                else:
                    held[c].append(bit)
        for r, row in enumerate(zip_longest(*held, fillvalue=Const(0, 1))):
            register = Signal(len(row), name=f"{name}_{r}", reset_less=True)
            with m.If(enable):
                m.d.sync += register.eq(
                    Cat(row) if counts is None else Cat(row) & counts.replicate(len(row)))
            for c, column in enumerate(held):
                if r < len(column):
                    after._append(c, register[c], 0)
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
        final = max(height, lowest) if levels else height
        now, level = self, 0
        while now.height > final:
            target = final
            while target * 3 // 2 < now.height:
                target = target * 3 // 2
            now = now._level(m, platform, target, f"{name}_{level}")
            level += 1
        return now

    def _level(self, m: Module, platform, target: int, name: str) -> "Columns":
        width = len(self.bits)
        after = Columns(width)
        carries = [0] * (width + 1)  # into each column
        groups: dict[tuple[int, int], list] = {}  # (which adder of the column, column) -> bits
        for c, column in enumerate(self.bits):
            # those that come first are added first, the last of three by the fastest input
            order = sorted(range(len(column)), key=lambda i, c=c: self.times[c][i])
            left, sums = [(column[i], self.times[c][i]) for i in order], 0
            while len(left) >= 3 or (len(left) == 2 and carries[c] + sums + len(left) > target):
                groups[sums, c] = [left.pop(0) for _ in range(min(3, len(left)))]
                sums += 1
            carries[c + 1] = sums
            for bit, time in left:
                after._append(c, bit, time)
        for first in sorted(groups):
            if (first[0], first[1] - 1) in groups:
                continue  # within a run that another column began
            run = [first[1]]
            while (first[0], run[-1] + 1) in groups:
                run.append(run[-1] + 1)
            adder = place(m, platform, f"{name}_{first[0]}_{first[1]}", CarrySaveAdder(len(run)))
            for i, c in enumerate(run):
                times = [time for _, time in groups[first[0], c]]
                total = max(time + TOTAL_DELAYS[n] for n, time in enumerate(times))
                carry = max(time + CARRY_DELAYS[n] for n, time in enumerate(times))
                after._append(c, adder.total[i], total)
                if c + 1 < width:
                    after._append(c + 1, adder.carry[i], carry)
            added = [[*(bit for bit, _ in groups[first[0], c]), Const(0, 1)][:3] for c in run]
            m.d.comb += [
                adder.a.eq(Cat(bits[0] for bits in added)),
                adder.b.eq(Cat(bits[1] for bits in added)),
                adder.c.eq(Cat(bits[2] for bits in added)),
            ]
        return after
