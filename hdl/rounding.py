# SPDX-License-Identifier: Apache-2.0
"""The one place where anything rounds: magnitudes in fixed point to 4-bit codes or 32-bit words.

Both rounders are combinational. They see |y| as `whole`, `fraction` and `sticky` (bits
below the fraction that are not all zero), which is all that any rounding needs.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import INT4, INT4_SYM, UINT4, LogFormat
from golden.logfp4 import JOINT_STEPS
from golden.rescale import ZERO_POINT_WIDTH
from golden.xorshift import WORD_BITS
from hdl.layouts import WORD, OutFormat

WHOLE_WIDTH = WORD + 1  # integer part; its top bit says 2**32 or more, whatever the others are
LOG_TOP = 6  # exponent of the top level, 64 = 2**6
LOG_BOTTOM = -8  # exponent of the smallest magnitude that nearest can still round up (odd phase)
LOWEST_LEVEL = -7  # exponent of the lowest level of all, in the odd phase
INTEGERS = ((OutFormat.INT4, INT4), (OutFormat.INT4_SYM, INT4_SYM), (OutFormat.UINT4, UINT4))


def fraction_width(config: Config) -> int:
    """Bits below the point: nearest looks two bits below LOG_BOTTOM, a random word reaches
    WORD_BITS below the lowest level."""
    return WORD_BITS - LOWEST_LEVEL if config.stochastic else 2 - LOG_BOTTOM


def magnitude_ports(config: Config) -> dict:
    """The ports that every rounder has."""
    return {
        "sign": In(1),
        "whole": In(WHOLE_WIDTH),
        "fraction": In(fraction_width(config)),
        "sticky": In(1),
        "stochastic": In(1),
        "word": In(WORD_BITS),
        "clamped": Out(1),
        "vanished": Out(1),
    }


class IntegerRounder(wiring.Component):
    """INT4, INT4_SYM, UINT4 and INT32.

    Members
    -------
    Those of `magnitude_ports`; `clamped`: the range changed the result; `vanished`: a magnitude
    that is not zero rounded to zero.
    format : In(OutFormat). zero_point : In(signed 16), not read for INT32.
    code : Out(32), the word for INT32, else the code in bits 0..3. clip_mask : Out(1).

    Arithmetic: `golden.rescale._encode_int`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            **magnitude_ports(config),
            "format": In(OutFormat),
            "zero_point": In(signed(ZERO_POINT_WIDTH)),
            "code": Out(WORD),
            "clip_mask": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        sign, low, beyond = self.sign, self.whole[:WORD], self.whole[WORD]
        half, last = self.fraction[-1], self.whole[0]
        below = Signal()  # half a unit
        inexact, up = Signal(), Signal()
        nearest = half & (below | last)  # ties to even
        if self.config.stochastic:
            rest = Cat(Cat(self.sticky, self.fraction[:-WORD_BITS]).any(),
                       self.fraction[-WORD_BITS:])
            m.d.comb += up.eq(Mux(self.stochastic, Cat(Const(0, 1), self.word) < rest, nearest))
        else:
            m.d.comb += up.eq(nearest)
        # -(n + up) = ~n + (1 - up), of whatever width
        carry = Signal()
        m.d.comb += [
            below.eq(self.fraction[:-1].any() | self.sticky),
            inexact.eq(half | below),
            carry.eq(up ^ sign),
        ]

        # INT32.
        word, wide = Signal(WORD), Signal()
        m.d.comb += [
            word.eq((low ^ sign.replicate(WORD)) + carry),
            wide.eq(beyond | Mux(sign, low[-1] & ~word[-1], low[-1] | word[-1])),
        ]

        # The codes: 16 * above + code, before the clamp.
        is_signed, is_symmetric, is_unsigned = (
            Signal(name=f"is_{fmt.name.lower()}") for _, fmt in INTEGERS)
        m.d.comb += [flag.eq(self.format == name) for flag, (name, _) in zip(
            (is_signed, is_symmetric, is_unsigned), INTEGERS, strict=True)]
        is_code = is_signed | is_symmetric | is_unsigned
        near = self.whole[:ZERO_POINT_WIDTH + 1]  # more than that is beyond any zero point
        far = self.whole[len(near):].any()
        wanted = Signal(signed(len(near) + 2))  # less the carry
        code, carried = Signal(4), Signal()
        above = wanted[4:]
        low_half, high_half = Signal(), Signal()  # 0..15; -16..-1, of which -8..-1 are codes
        lowest, highest = Signal(4), Signal(4)
        inside = Signal()
        m.d.comb += [
            wanted.eq(Cat(near ^ sign.replicate(len(near)), sign).as_signed() + self.zero_point),
            Cat(code, carried).eq(wanted[:4] + carry),
            low_half.eq(Mux(carried, above.all(), ~above.any())),
            high_half.eq(above.all() & ~carried),
            lowest.eq(Mux(is_unsigned, UINT4.lo, Mux(is_symmetric, INT4_SYM.lo, INT4.lo))),
            highest.eq(Mux(is_unsigned, UINT4.hi, INT4.hi)),
            inside.eq(~far & Mux(
                is_unsigned, low_half,
                Mux(code[3], high_half & ~(is_symmetric & (code[:3] == 0)), low_half))),
        ]
        end = Mux(Mux(far, sign, wanted[-1]), lowest, highest)
        raised = carry & (inexact | ~sign)  # above the floor, which tells where the exact value is
        m.d.comb += [
            self.clamped.eq(Mux(is_code, ~inside, wide)),
            self.vanished.eq((self.whole == 0) & ~up & inexact),
            self.code.eq(Mux(is_code, Mux(inside, code, end),
                             Mux(wide, Cat((~sign).replicate(WORD - 1), sign), word))),
            self.clip_mask.eq(is_code & inside
                              & ~((code == lowest) & (raised | ~inexact))
                              & ~((code == highest) & ~raised)),
        ]
        return m


class LogRounder(wiring.Component):
    """Log FP4 of one radix; radix 4 in both phases at once.

    Nearest finds the leading one: radix 4 takes both phases from the joint level
    `q = clip(floor(log2(1.6 |y|)) + 8, 0, 14)`, radix 2 `c = clip(floor(log2(4/3 |y|)) + 1, 0, 7)`.
    Stochastic rounding compares the word with the position between two levels.

    Members
    -------
    Those of `magnitude_ports`; `clamped`: beyond the top level (of the even phase); `vanished`: a
    magnitude that is not zero became the code of zero (in the even phase).
    code : Out(8), the code in bits 0..3, for radix 4 the odd phase's in bits 4..7.

    Arithmetic: `golden.rescale._encode_log`.
    """

    radix: int

    def __init__(self, config: Config):
        self.config = config
        super().__init__({**magnitude_ports(config), "code": Out(8)})

    def elaborate(self, platform):
        m = Module()
        fraction = len(self.fraction)
        # bits of |y| from the lowest fraction bit to the one that tells clamping from rounding
        magnitude = Signal(fraction + LOG_TOP + 2)
        beyond = Signal()
        whole = Cat(self.fraction, self.whole)
        m.d.comb += [magnitude.eq(whole), beyond.eq(whole[len(magnitude):].any())]
        codes, clamped = self._nearest(m, magnitude, beyond, fraction)
        if self.config.stochastic:
            top = magnitude[fraction + LOG_TOP + 1] | beyond
            inside = magnitude[:fraction + LOG_TOP].any() | self.sticky
            past_top = top | (magnitude[fraction + LOG_TOP] & inside)
            clamped = Mux(self.stochastic, past_top, clamped)
            codes = [Mux(self.stochastic, self._between(m, magnitude, top, fraction, phase), code)
                     for phase, code in enumerate(codes)]
        levels = [Signal(3, name=f"level_{phase}") for phase in range(len(codes))]
        m.d.comb += [level.eq(code) for level, code in zip(levels, codes, strict=True)]
        m.d.comb += [
            self.clamped.eq(clamped),
            self.vanished.eq((levels[0] == 0) & (whole.any() | self.sticky)),
            self.code.eq(Cat(Cat(level, self.sign & level.any()) for level in levels)),
        ]
        return m

    def _nearest(self, m: Module, magnitude, beyond, fraction: int):
        """The levels of each phase, and whether nearest would go beyond the top level."""
        steps = JOINT_STEPS if self.radix == 4 else LogFormat.LEVELS
        bottom = LOG_BOTTOM if self.radix == 4 else -1
        level = Const(0, range(steps + 1))
        clamped = Const(0)
        for exponent in range(bottom, LOG_TOP + 2):
            bit = fraction + exponent
            # a mantissa of at least 1.25 (radix 4) or 1.5 (radix 2)
            up = magnitude[bit - 1] | (magnitude[bit - 2] if self.radix == 4 else 0)
            step = exponent - bottom
            level = Mux(magnitude[bit], Mux(up, min(step + 1, steps), min(step, steps)), level)
            top = LOG_TOP + (self.radix == 4)
            clamped = Mux(magnitude[bit], up if exponent == top else Const(exponent > top), clamped)
        found = Signal(range(steps + 1), name="nearest")
        m.d.comb += found.eq(Mux(beyond, steps, level))
        phases = [found[1:4], (found + 1)[1:4]] if self.radix == 4 else [found]
        return phases, beyond | clamped

    def _between(self, m: Module, magnitude, top, fraction: int, phase: int):
        """The level below or above, whichever the word chooses, in one phase."""
        apart = self.radix.bit_length() - 1  # bits between levels
        gap = self.radix - 1  # between levels, in units of the lower one
        lowest = LOG_TOP - apart * (LogFormat.LEVELS - 1) - phase
        level, below = Const(0, 3), Const(0, 1)
        position = magnitude[fraction + lowest - WORD_BITS:fraction + lowest]
        threshold = self.word
        below = magnitude[:fraction + lowest - WORD_BITS].any()
        for c in range(1, LogFormat.LEVELS):
            bit = fraction + lowest + apart * (c - 1)
            here = magnitude[bit:bit + apart].any()
            share = magnitude[bit - WORD_BITS:bit + apart] - (1 << WORD_BITS)
            level = Mux(here, c, level)
            position = Mux(here, share[:WORD_BITS + apart], position)
            threshold = Mux(here, self.word * gap, threshold)
            below = Mux(here, magnitude[:bit - WORD_BITS].any(), below)
        saturated = top | magnitude[fraction + LOG_TOP - phase:].any()
        lower = Signal(3, name=f"lower_{phase}")
        place = Signal(WORD_BITS + apart + 1, name=f"place_{phase}")
        m.d.comb += [lower.eq(level), place.eq(Cat(below | self.sticky, position))]
        return Mux(saturated, LogFormat.LEVELS, lower + ((threshold << 1) < place))


class Radix4Rounder(LogRounder):
    radix = 4


class Radix2Rounder(LogRounder):
    radix = 2
