# SPDX-License-Identifier: Apache-2.0
"""What `Config.serial` puts in place of multipliers and squares: two bits of a number per cycle.

A digit of a number is -1, 0, 1 or 2, found from the lowest on: two bits and a carry, 3 and 4 being
-1 and 0 with a carry into the next. With two bits of control, a look-up table has the multiple of
one bit.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import INT32
from golden.statistics import SUM_ABS_WIDTH, SUM_SQUARES_WIDTH
from hdl.layouts import WORD
from hdl.library import place


def digit(bits, carry):
    """The digit of two bits and the carry from below, as flags: one, two, negative; and the carry
    into the next."""
    odd = bits[0] ^ carry
    negative = bits[1] & odd
    return ~bits[1] & odd, (bits[1] & ~bits[0] & ~carry) | (~bits[1] & bits[0] & carry), \
        negative, bits[1] & (bits[0] | carry)


class SerialMultiplier(wiring.Component):
    """A magnitude times a positive number.

    Members
    -------
    magnitude : In(32), at most 2**31. number : In(17). start : In(1), both are there and hold.
    product : Out(48), magnitude * number, `cycles` cycles after `start`, until the next one.
    """

    NUMBER = 17
    cycles = 1 + (NUMBER + 1) // 2  # load, then a digit per cycle

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"magnitude": In(WORD), "number": In(self.NUMBER), "start": In(1),
                          "product": Out(WORD - 1 + self.NUMBER)})

    def elaborate(self, platform):
        m = Module()
        top = Signal(signed(WORD + 1), reset_less=True)  # of the product so far, and
        low = Signal(self.NUMBER + 1, reset_less=True)  # the number's digits, which make room
        carry = Signal(reset_less=True)
        one, two, negative, above = digit(low[:2], carry)
        multiple = Signal(signed(WORD + 2))
        total = Signal(signed(WORD + 3))
        once = Mux(two, self.magnitude << 1, self.magnitude)[:WORD + 1]
        m.d.comb += [
            multiple.eq(Cat((once & (one | two | negative).replicate(WORD + 1))
                            ^ negative.replicate(WORD + 1), negative).as_signed()),
            # the lowest place carries the one that comes in
            total.eq((Cat(Const(1, 1), top).as_signed()
                      + Cat(negative, multiple).as_signed()) >> 1),
            self.product.eq(Cat(low, top)),
        ]
        left = Signal(range(self.cycles))
        with m.If(self.start):
            m.d.sync += [top.eq(0), low.eq(self.number), carry.eq(0), left.eq(self.cycles - 1)]
        with m.Elif(left != 0):
            m.d.sync += [top.eq(total >> 2), low.eq(Cat(low[2:], total[:2])), carry.eq(above),
                         left.eq(left - 1)]
        return m


class SerialMoments(wiring.Component):
    """Sums of squares and of magnitudes, and the largest magnitude, of one word after the other.

    Members
    -------
    magnitude : In(32), at most 2**31; counts with `start` : In(1), at most once in `cycles` cycles.
    clear : In(1), forget all that was before; never while a word is added.
    sum_squares, sum_abs, largest : Out, `cycles` cycles after the last word; exact for as many
        words as a job can have.
    """

    cycles = 1 + WORD // 2  # load, then a digit per cycle

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"magnitude": In(WORD), "start": In(1), "clear": In(1),
                          "sum_squares": Out(SUM_SQUARES_WIDTH), "sum_abs": Out(SUM_ABS_WIDTH),
                          "largest": Out(WORD)})

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self.cycles))
        multiplicand = Signal(2 * WORD, reset_less=True)
        digits = Signal(WORD, reset_less=True)
        carry = Signal(reset_less=True)
        # no wider than a job's elements can make them: (2**WORD / 2)**2 each, and 2**WORD / 2
        bits = 2 * self.config.dim_width
        squares = Signal(min(SUM_SQUARES_WIDTH, 2 * WORD - 2 + bits), reset_less=True)
        absolute = Signal(min(SUM_ABS_WIDTH, WORD - 1 + bits), reset_less=True)
        largest = Signal.like(self.largest, reset_less=True)
        m.d.comb += [self.sum_squares.eq(squares), self.sum_abs.eq(absolute),
                     self.largest.eq(largest)]
        loaded = Signal()
        one, two, negative, above = digit(digits[:2], carry)
        multiple = Signal(2 * WORD + 1)
        m.d.comb += multiple.eq(
            (Mux(two, multiplicand << 1, multiplicand) & (one | two).replicate(2 * WORD + 1))
            | (~Cat(multiplicand, Const(0, 1)) & negative.replicate(2 * WORD + 1)))
        total = Signal.like(squares)
        wide = Cat(multiple, negative.replicate(len(squares) - len(multiple)))
        m.d.comb += total.eq((Cat(Const(1, 1), squares) + Cat(negative, wide))[1:])
        m.d.sync += loaded.eq(self.start)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.start):
            m.d.sync += [digits.eq(self.magnitude), multiplicand.eq(self.magnitude), carry.eq(0),
                         left.eq(WORD // 2)]
        with m.Else():
            m.d.sync += [digits.eq(digits >> 2), multiplicand.eq(multiplicand << 2),
                         carry.eq(above)]
        with m.If(self.clear):
            m.d.sync += [squares.eq(0), absolute.eq(0), largest.eq(0)]
        with m.Else():
            with m.If(left != 0):
                m.d.sync += squares.eq(total)
            with m.If(loaded):
                m.d.sync += absolute.eq(absolute + digits)
                with m.If(digits > largest):
                    m.d.sync += largest.eq(digits)
        return m


def row_cycles(config: Config) -> int:
    """Cycles from one row into the rescaling unit to the next: what its statistics need."""
    return 1 + SerialMoments.cycles * config.cols if config.serial else 1


def serial_latency(config: Config) -> int:
    """Of a serial statistics unit, from the last outcome to `done`."""
    return row_cycles(config) + 1


def serial_statistics(unit, platform) -> Module:
    """What a `StatisticsUnit` is if rows come `row_cycles` apart: a word after the other."""
    m = Module()
    config, row = unit.config, unit.row
    # Cycle 0: a row's words wait for their turn.
    magnitudes = Signal(WORD * config.cols, reset_less=True)
    signs = Signal(config.cols, reset_less=True)
    keep = Signal(config.cols, reset_less=True)
    waiting = Signal(range(config.cols + 1))
    busy = Signal(range(SerialMoments.cycles))
    clear = Signal()
    start = Signal()
    m.d.comb += [clear.eq((row.valid & row.first) | unit.clear),
                 start.eq((waiting != 0) & (busy == 0))]
    with m.If(row.valid):
        m.d.sync += [magnitudes.eq(row.magnitudes), signs.eq(row.signs), keep.eq(row.keep),
                     waiting.eq(config.cols)]
    with m.Elif(start):
        m.d.sync += [magnitudes.eq(magnitudes >> WORD), signs.eq(signs >> 1), keep.eq(keep >> 1),
                     waiting.eq(waiting - 1)]
    with m.If(start):
        m.d.sync += busy.eq(SerialMoments.cycles - 1)
    with m.Elif(busy != 0):
        m.d.sync += busy.eq(busy - 1)
    # Next cycles: sums, word by word.
    moments = place(m, platform, "moments", SerialMoments(config))
    magnitude = magnitudes[:WORD]
    word = Signal(signed(WORD))
    m.d.comb += word.eq(Mux(signs[0], -magnitude, magnitude))
    low, high = (Signal(signed(WORD), name=name, reset_less=True) for name in ("low", "high"))
    m.d.comb += [moments.magnitude.eq(magnitude), moments.start.eq(start), moments.clear.eq(clear)]
    with m.If(unit.clear):
        m.d.sync += [low.eq(0), high.eq(0)]
    with m.Elif(clear):
        m.d.sync += [low.eq(INT32.hi), high.eq(INT32.lo)]
    with m.Elif(start & keep[0]):
        with m.If(word < low):
            m.d.sync += low.eq(word)
        with m.If(word > high):
            m.d.sync += high.eq(word)
    m.d.comb += [getattr(unit.result, name).eq(value) for name, value in (
        ("low", low), ("high", high), ("largest", moments.largest),
        ("sum_abs", moments.sum_abs), ("sum_squares", moments.sum_squares))]
    # Counts, a cycle late so that the first row of a job can clear them.
    for name, counted, bits in (
            ("count", row.valid, row.keep), ("saturated", unit.valid, unit.outcome.clamped),
            ("underflowed", unit.valid, unit.outcome.vanished)):
        more = Signal(config.cols, name=f"{name}_more")
        total = Signal(min(len(unit.result[name]), 2 * config.dim_width), name=f"{name}_total",
                       reset_less=True)
        m.d.sync += more.eq(bits & counted.replicate(config.cols))
        m.d.comb += unit.result[name].eq(total)
        with m.If(clear):
            m.d.sync += total.eq(0)
        with m.Else():
            m.d.sync += total.eq(total + sum(more))
    # Until the last word is added.
    left = Signal(range(serial_latency(config)))
    with m.If(unit.valid & unit.last):
        m.d.sync += left.eq(serial_latency(config) - 1)
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    m.d.sync += unit.done.eq(left == 1)
    return m
