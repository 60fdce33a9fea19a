# SPDX-License-Identifier: Apache-2.0
"""The one place where anything rounds: magnitudes in fixed point to 4-bit codes or 32-bit words.

Every decision but one is a single question, `threshold < position`, where the position is what lies
between two neighbours and the threshold a random word, or a constant where rounding is to nearest.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, UINT4, LogFormat
from golden.rescale import ZERO_POINT_WIDTH
from golden.xorshift import WORD_BITS
from hdl.layouts import WORD, OutFormat

WHOLE_WIDTH = WORD + 1  # integer part; its top bit says 2**32 or more, whatever the others are
LOG_TOP = 6  # exponent of the top level, 64 = 2**6
LOG_BOTTOM = -8  # exponent of the smallest magnitude that nearest can still round up (odd phase)
LOWEST_LEVEL = -7  # exponent of the lowest level of all, in the odd phase
INTEGERS = ((OutFormat.INT4, INT4), (OutFormat.INT4_SYM, INT4_SYM), (OutFormat.UINT4, UINT4))
NEAR = ZERO_POINT_WIDTH + 1  # bits of a magnitude; more than that is beyond any zero point
EXPONENT = 4  # bits of E, the exponent plus 8; 0 is anything below the lowest level
ZERO = -LOWEST_LEVEL + 1  # the exponent 0 as an E

# What a row is rounded to, decoded: at most one of the formats, none is INT32.
KIND_LAYOUT = data.StructLayout({
    **{fmt.name: 1 for _, fmt in INTEGERS}, FP4_R4.name: 1, FP4_R2.name: 1, "stochastic": 1})


def kind_of(params):
    """The bits of `KIND_LAYOUT` of a row's parameters."""
    return Cat(*(params.format == OutFormat[name] for name, _ in KIND_LAYOUT if name.isupper()),
               params.stochastic)


def fraction_width(config: Config) -> int:
    """Bits below the point: nearest looks two bits below LOG_BOTTOM, a random word reaches
    WORD_BITS below the lowest level."""
    return WORD_BITS - LOWEST_LEVEL if config.stochastic else 2 - LOG_BOTTOM


def position_width(config: Config) -> int:
    """Bits of a position between two neighbours: those of a word, or what nearest looks at."""
    return WORD_BITS if config.stochastic else 3


class Rounder(wiring.Component):
    """All formats, in two cycles: normalise and add the zero point; compare and encode.

    With |y| = m * 2**e, 1 <= m < 2, and lo the level at or below |y|: radix 2, and the phase of
    radix 4 that has a level 2**e, round up where `threshold < m - 1` (radix 4: a third of that);
    the other phase, whose lo is half as much, where `threshold < (2 * m - 1) / 3`. Below the lowest
    level, and for integers, the position is the fraction as it is.

    Members
    -------
    enable : In(1). kind : In(KIND_LAYOUT), in the first cycle; kind_1 in the second.
    zero_point : In(signed 16), first cycle; 0 for INT32.
    sign, whole, fraction, sticky : In, first cycle: |y|, `sticky` for bits below the fraction.
    word, thrice : In, second cycle: the random word, and 2**12 + 3 * word.
    code : Out(32), the word for INT32; else the code in bits 0..3, for radix 4 the odd phase's in
        bits 4..7. clip_mask : Out(1).
    clamped : Out(1), the range changed the result; log: beyond the top level (of the even phase).
    vanished : Out(1), a magnitude that is not zero became zero (in the even phase).

    Latency: 2. INT32 rounds to nearest, always. Arithmetic: `golden.rescale`.
    """

    latency = 2

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "enable": In(1),
            "kind": In(KIND_LAYOUT),
            "kind_1": In(KIND_LAYOUT),
            "zero_point": In(signed(ZERO_POINT_WIDTH)),
            "sign": In(1),
            "whole": In(WHOLE_WIDTH),
            "fraction": In(fraction_width(config)),
            "sticky": In(1),
            "word": In(WORD_BITS),
            "thrice": In(WORD_BITS + 2),
            "code": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = position_width(self.config)
        self._stochastic = self.kind_1.stochastic if self.config.stochastic else Const(0)
        self._radix4 = FP4_R4 in self.config.log_formats
        self._radix2 = FP4_R2 in self.config.log_formats

        # Cycle 0: normalise, in two's complement if it is an integer.
        kind, whole, fraction = self.kind, self.whole, self.fraction
        exponent, scaled, lost = self._normalised(m, width)
        number = Signal(WORD)
        wanted = Signal(NEAR + 2)  # less the carry; not read where `far`
        up = Signal()
        below_half = Signal()
        far = whole[NEAR:].any()
        m.d.comb += [
            # -(n + up) = ~n + (1 - up), of whatever width
            number.eq(whole[:WORD] ^ self.sign.replicate(WORD)),
            wanted.eq(number[:len(wanted)] + self.zero_point),
            below_half.eq(fraction[:-1].any() | self.sticky),
            up.eq(fraction[-1] & (below_half | whole[0])),  # ties to even
        ]
        held = {}
        with m.If(self.enable):
            for name, value in {
                "exponent": exponent, "scaled": scaled, "below": lost | self.sticky,
                "number": Cat(wanted, number[len(wanted):]), "far": far, "over": whole[WORD],
                "is_zero": ~(far | whole[:NEAR].any()), "sign": self.sign,
                "carry": up ^ self.sign, "past_top": whole[LOG_TOP + 2:].any(),
            }.items():
                held[name] = Signal(len(value), name=f"{name}_1", reset_less=True)
                m.d.sync += held[name].eq(value)

        # Cycle 1: compare with what lies between the neighbours, and encode.
        kind, sign = self.kind_1, held["sign"]
        up_here, up_half = self._ups(m, held, width)
        levels, log_clamped = self._levels(m, held, up_here, up_half)
        inexact = Signal()  # some bit below the point, or below the leading one
        carry = Signal()  # of a code
        m.d.comb += [
            inexact.eq(held["scaled"][:-1].any() | held["below"]),
            carry.eq(Mux(self._stochastic, up_here ^ sign, held["carry"])),
        ]
        code, inside, clip_mask = self._code(m, held, carry, inexact)
        word, wide = self._word(m, held)
        is_log = Signal()
        is_code = Signal()
        m.d.comb += [
            is_log.eq(kind.FP4_R4 | kind.FP4_R2),
            is_code.eq(Cat(kind[fmt.name] for _, fmt in INTEGERS).any()),
        ]
        log_code = [Cat(level, sign & level.any()) for level in levels]
        vanished = Mux(is_log, ~levels[0].any() & (held["scaled"][-1] | inexact),
                       held["is_zero"] & ~(carry ^ sign) & inexact)
        is_word = Signal()
        m.d.comb += is_word.eq(~(is_log | is_code))
        with m.If(self.enable):
            m.d.sync += [
                self.code.eq(_gated(word, is_word)
                             | _gated(log_code[0], is_log) | _gated(code, is_code)
                             | (_gated(Cat(Const(0, 4), log_code[1]), kind.FP4_R4)
                                if self._radix4 else 0)),
                self.clip_mask.eq(is_code & clip_mask),
                self.clamped.eq(Mux(is_log, log_clamped, Mux(is_code, ~inside, wide))),
                self.vanished.eq(vanished),
            ]
        return m

    def _normalised(self, m: Module, width: int):
        """E; the bits from 2**e on (radix 4 below its lowest level: from that level on; integers
        and radix 2 below 1: from 1 on); and whether there are any below those."""
        kind, whole = self.kind, self.whole
        places = width + 1  # behind the leading one, for the phase whose lo is half of it
        padding = Const(0, places + ZERO - len(self.fraction))
        shifted = Cat(padding, self.fraction, whole[:ZERO])
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(_leading_one(shifted[places + 1:], EXPONENT)[1])
        # others stay at the point, E = 8, unless radix 2 has a leading one above it
        moves = kind.FP4_R4 | (kind.FP4_R2 & exponent[-1])
        by = [moves & exponent[0] | (kind.FP4_R4 & ~exponent.any()), moves & exponent[1],
              moves & exponent[2], exponent[3] | ~kind.FP4_R4]
        lost = []
        for i in reversed(range(EXPONENT)):
            step, select = 1 << i, Signal(name=f"normalise_{1 << i}")
            after = Signal(len(shifted) - step, name=f"normalised_{step}")
            m.d.comb += [select.eq(by[i]),
                         after.eq(Mux(select, shifted[step:], shifted[:len(after)]))]
            lost.append(select & shifted[:step].any())
            shifted = after
        return exponent, shifted, Cat(lost).any()

    def _ups(self, m: Module, held: dict, width: int):
        """Whether to round up from the level 2**e (or an integer, or from nothing to radix 2's
        lowest level), and from half of it (or from nothing to the lowest level)."""
        kind, exponent, scaled = self.kind_1, held["exponent"], held["scaled"]
        stochastic = self._stochastic
        third = kind.FP4_R4 & exponent.any()  # the gap is three times the lower level
        word, thrice = (self.word, self.thrice) if self.config.stochastic else (
            Const(0, width), Const(0, width + 2))
        half = width - 1  # nearest: a half; below the lowest level 5/8 (radix 4) or 6/8
        here = Signal(width + 2, name="threshold_here")
        other = Signal(width + 2, name="threshold")
        nearest = ~stochastic & ~third
        m.d.comb += here.eq(
            _gated(word, stochastic & ~third) | _gated(thrice, stochastic & third)
            | Cat(Const(0, half - 2), nearest & kind.FP4_R4,
                  nearest & kind.FP4_R2 & ~exponent[-1], nearest, Const(0, 1),
                  ~stochastic & third))
        up_here = Signal()
        up_half = Signal()
        tie = held["below"] | ~stochastic
        m.d.comb += up_here.eq(
            Cat(Const(0, 1), here) < Cat(tie | scaled[0], scaled[1:-1], third))
        lowest = exponent[1:] == 0
        m.d.comb += [
            # 2**12 + 3 * 2**11, and 5/8 of 2**14, are one number
            other.eq(_gated(word << 2, stochastic & lowest) | _gated(thrice, stochastic & ~lowest)
                     | Cat(Const(0, half), ~stochastic, Const(0, 1), ~stochastic)),
            up_half.eq(Cat(Const(0, 1), other) < Cat(tie, scaled)),
        ]
        return up_here, up_half

    def _levels(self, m: Module, held: dict, up_here, up_half):
        """The level of each phase; whether the value is beyond the even phase's top level."""
        kind, exponent, past_top = self.kind_1, held["exponent"], held["past_top"]
        top = LogFormat.LEVELS
        if self._radix4:
            odd = exponent[0] | ~exponent.any()  # the odd phase has a level 2**e
            even_up, odd_up = (Mux(flag, up_half, up_here) for flag in (odd, ~odd))
            lower = [exponent[1:], (exponent + 1)[1:]]
            ups, full = [even_up, odd_up], [exponent >= ZERO + LOG_TOP,
                                            exponent >= ZERO + LOG_TOP - 1]
        else:
            lower, ups, full = [Const(0, 3)], [up_here], [Const(0)]
        if self._radix2:
            single = Mux(exponent[-1], (exponent + 1)[:3], 0)
            lower[0] = Mux(kind.FP4_R2, single, lower[0])
            ups[0] = Mux(kind.FP4_R2, up_here, ups[0])
            full[0] = Mux(kind.FP4_R2, exponent >= ZERO + LOG_TOP, full[0])
        levels = []
        for phase, (low, up, stays) in enumerate(zip(lower, ups, full, strict=True)):
            lower_level = Signal(3, name=f"lower_{phase}")
            level = Signal(3, name=f"level_{phase}")
            rises = Signal(name=f"rises_{phase}")
            m.d.comb += [
                lower_level.eq(low), rises.eq(up),
                level.eq(Mux(stays | past_top, top, Mux(rises, lower_level + 1, lower_level)))]
            levels.append(level)
        # above 64 for a random word; where nearest goes up from it: 160, radix 2 96
        beyond = Mux(
            exponent[0], self._stochastic | kind.FP4_R2 | up_half,
            Mux(self._stochastic, held["scaled"][:-1].any() | held["below"],
                kind.FP4_R2 & up_here))
        return levels, past_top | (exponent[1:].all() & beyond)

    def _code(self, m: Module, held: dict, carry, inexact):
        """The integer code, clamped; whether it had to be; and the clip mask."""
        kind, number, far, sign = (self.kind_1, held["number"], held["far"], held["sign"])
        above = number[4:NEAR + 2]  # wanted is 16 * above + code
        all_above = Signal()
        any_above = Signal()
        lowest = Signal(4)
        highest = Signal(4)
        m.d.comb += [
            all_above.eq(above.all()), any_above.eq(above.any()),
            lowest.eq(Mux(kind.UINT4, UINT4.lo, Mux(kind.INT4_SYM, INT4_SYM.lo, INT4.lo))),
            highest.eq(Mux(kind.UINT4, UINT4.hi, INT4.hi)),
        ]
        end = Mux(Mux(far, sign, above[-1]), lowest, highest)
        found = []
        for carried in range(2):  # everything for both carries, which come late
            code, inside, clip = (Signal(width, name=f"{name}_{carried}") for name, width in (
                ("code", 4), ("inside", 1), ("clip", 1)))
            wraps = number[:4].all() if carried else Const(0)
            low_half = Mux(wraps, all_above, ~any_above)  # 0..15
            high_half = all_above & ~wraps  # -16..-1, of which -8..-1 are codes
            # above the floor, which tells where the exact value is
            raised = (inexact | ~sign) if carried else Const(0)
            m.d.comb += [
                code.eq(number[:4] + carried),
                inside.eq(~far & Mux(
                    kind.UINT4, low_half,
                    Mux(code[3], high_half & ~(kind.INT4_SYM & (code[:3] == 0)), low_half))),
                clip.eq(inside & ~((code == lowest) & (raised | ~inexact))
                        & ~((code == highest) & ~raised)),
            ]
            found.append(Cat(Mux(inside, code, end), inside, clip))
        chosen = Signal(6, name="code")
        m.d.comb += chosen.eq(Mux(carry, found[1], found[0]))
        return chosen[:4], chosen[4], chosen[5]

    @staticmethod
    def _word(m: Module, held: dict):
        """INT32, saturated, and whether it was."""
        number, sign = held["number"], held["sign"]
        word = Signal(WORD, name="word_sum")
        wide = Signal()
        m.d.comb += [
            word.eq(number + held["carry"]),
            # the magnitude reached 2**31; with a sign only if it is more than that
            wide.eq(held["over"] | Mux(sign, ~(number[-1] | word[-1]), number[-1] | word[-1])),
        ]
        return Mux(wide, Cat((~sign).replicate(WORD - 1), sign), word), wide


def _leading_one(bits, width: int):
    """Whether any of 2**width - 1 bits is set; the number of the highest one, from 1, else 0."""
    if width == 1:
        return bits[0], bits[0]
    middle = (1 << width - 1) - 1
    low_any, low = _leading_one(bits[:middle], width - 1)
    high, places = bits[middle:], width - 1
    found = _highest(high, places)
    return found[0] | low_any, Cat(Mux(found[0], found[1], low), found[0])


def _highest(bits, width: int):
    """Whether any of 2**width bits is set, and the number of the highest one, from 0."""
    if not width:
        return bits[0], Const(0, 0)
    middle = 1 << width - 1
    low, high = _highest(bits[:middle], width - 1), _highest(bits[middle:], width - 1)
    return low[0] | high[0], Cat(Mux(high[0], high[1], low[1]), high[0])


def _gated(value, enable):
    return value & enable.replicate(len(value))
