# SPDX-License-Identifier: Apache-2.0
"""The one place where anything rounds: magnitudes in fixed point to 4-bit codes or 32-bit words.

Every decision but one is a single question, `threshold < position`, where the position is what lies
between two neighbours and the threshold comes from a random word, or is a constant where rounding
is to nearest.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, UINT4, ZERO_POINT_WIDTH, LogFormat
from golden.random_words import COARSE_BITS, WORD_BITS
from hdl.arithmetic.leading_one import leading_one
from hdl.layouts import WORD
from hdl.rescaler.kinds import KIND_LAYOUT, is_code

WHOLE_WIDTH = WORD + 1  # integer part; its top bit says 2**32 or more, whatever the others are
LOG_TOP = 6  # exponent of the top level, 64 = 2**6
LOG_BOTTOM = -8  # exponent of the smallest magnitude that nearest can still round up (odd phase)
LOWEST_EVEN, LOWEST_ODD = -6, -7  # exponents of radix 4's lowest level in each phase
NEAR = ZERO_POINT_WIDTH + 1  # bits of a magnitude; more than that is beyond any zero point
EXPONENT = 4  # bits of E, the exponent plus 8; 0 is anything below the lowest level
ZERO = -LOWEST_ODD + 1  # the exponent 0 as an E
FINE_BITS = WORD_BITS - COARSE_BITS  # of a word, which decide where its top bits do not
TOP = LogFormat.LEVELS


def fraction_width(config: Config) -> int:
    """Bits below the point: nearest looks two bits below LOG_BOTTOM, a random word reaches half of
    its last bit below the lowest level."""
    return WORD_BITS + 1 - LOWEST_ODD if config.stochastic else 2 - LOG_BOTTOM


def position_width(config: Config) -> int:
    """Bits of a position between two neighbours: the top ones of a word, or what nearest looks at.
    """
    return COARSE_BITS if config.stochastic else 3


def behind(config: Config) -> int:
    """Bits behind the leading one that comparisons look at: where the lower level is half of 2**e
    one more than a position has, and with a random word, which is compared at its middle, two."""
    return position_width(config) + 1 + config.stochastic


def random_layout(config: Config) -> data.StructLayout:
    """What a random word w is in the second cycle."""
    return data.StructLayout({
        "coarse": position_width(config),  # its top bits, c
        "thrice": position_width(config) + 3,  # 2**13 + 3 * (2 * c + 1)
        "fine_here": 1,  # whether its other bits round up where its top bits are equal:
        "fine_half": 1,  # as `up_here` asks, and as `up_half` does
    })


def held_layout(config: Config) -> data.StructLayout:
    """What the rounder holds between its two cycles."""
    return data.StructLayout({
        "sign": 1,
        "exponent": EXPONENT,  # E
        "scaled": behind(config) + 1,  # the bits from 2**e on, see `_normalise`
        "below": 1,  # there are bits below those
        "past_top": 1,  # far beyond every level
        "number": WORD,  # an integer in two's complement, less its carry; its code has a zero point
        "carry": 1,  # of an integer that is rounded to nearest
        "far": 1,  # beyond any zero point
        "over": 1,  # 2**32 or more
        "is_zero": 1,  # no integer part
        **({"random": random_layout(config)} if config.stochastic else {}),
    })


class Rounder(wiring.Component):
    """All formats, in two cycles: normalise and add the zero point; compare and encode.

    With |y| = m * 2**e, 1 <= m < 2, and lo the level at or below |y|: radix 2, and the phase of
    radix 4 that has a level 2**e, round up where `threshold < m - 1` (radix 4: a third of that);
    the other phase, whose lo is half as much, where `threshold < (2 * m - 1) / 3`. Below the lowest
    level, and for integers, the position is the fraction as it is.

    A random word w is the threshold (2 * w + 1) / 2**(bits + 1): its top bits alone between two
    levels, all of it below the lowest level and for integers. There the lower half is compared a
    cycle earlier, and decides where the upper half is equal.

    Members
    -------
    enable : In(1). kind : In(KIND_LAYOUT), in the first cycle; kind_1 in the second.
    zero_point : In(signed 16), first cycle; 0 for INT32.
    sign, whole, fraction, sticky : In, first cycle: |y|, `sticky` for bits below the fraction.
    word : In(24), first cycle: the random word.
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
            "code": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: normalise, in two's complement if it is an integer.
        found = Signal(held_layout(self.config))
        m.d.comb += [found.sign.eq(self.sign), found.past_top.eq(self.whole[LOG_TOP + 2:].any())]
        self._normalise(m, found)
        self._number(m, found)
        if self.config.stochastic:
            self._fine(m, found)
        held = Signal(held_layout(self.config), reset_less=True)
        with m.If(self.enable):
            m.d.sync += held.eq(found)

        # Cycle 1: compare with what lies between the neighbours, and encode.
        kind = self.kind_1
        stochastic = Signal()
        random = Signal(random_layout(self.config))
        if self.config.stochastic:
            m.d.comb += [stochastic.eq(kind.stochastic), random.eq(held.random)]
        is_log = Signal()
        is_integer = Signal()
        is_word = Signal()
        inexact = Signal()  # some bit below the point, or below the leading one
        m.d.comb += [
            is_log.eq(kind.FP4_R4 | kind.FP4_R2),
            is_integer.eq(is_code(kind)),
            is_word.eq(~(is_log | is_integer)),
            inexact.eq(held.scaled[:-1].any() | held.below),
        ]
        up_here = self._up_here(m, held, stochastic, random)
        up_half = self._up_half(m, held, stochastic, random)
        even, odd, log_clamped = self._levels(m, held, stochastic, up_here, up_half)
        carry = Signal()  # of a code
        m.d.comb += carry.eq(Mux(stochastic, up_here ^ held.sign, held.carry))
        code, inside, clip_mask = self._code(m, held, carry, inexact)
        word, wide = self._word(m, held)
        even_code = Cat(even, held.sign & even.any())
        odd_code = Cat(odd, held.sign & odd.any())
        # Cycle 2: the result.
        with m.If(self.enable):
            m.d.sync += [
                self.code.eq(_gated(word, is_word) | _gated(code, is_integer)
                             | _gated(even_code, is_log)
                             | _gated(Cat(Const(0, 4), odd_code), kind.FP4_R4)),
                self.clip_mask.eq(is_integer & clip_mask),
                self.clamped.eq(Mux(is_log, log_clamped, Mux(is_integer, ~inside, wide))),
                self.vanished.eq(Mux(
                    is_log, ~even.any() & (held.scaled[-1] | inexact),
                    held.is_zero & ~(carry ^ held.sign) & inexact)),
            ]
        return m

    def _normalise(self, m: Module, found):
        """E; the bits from 2**e on (radix 4 below its lowest level: from that level on; integers
        and radix 2 below 1: from 1 on); and whether there are any below those."""
        kind, whole = self.kind, self.whole
        places = behind(self.config)
        window = places + ZERO  # bits of the fraction that can be among them
        spare = max(len(self.fraction) - window, 0)
        padding = Const(0, max(window - len(self.fraction), 0))
        shifted = Cat(padding, self.fraction[spare:], whole[:ZERO])
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(leading_one(shifted[places + 1:], EXPONENT))
        # others stay at the point, E = 8, unless radix 2 has a leading one above it
        moves = kind.FP4_R4 | (kind.FP4_R2 & exponent[-1])
        by = [moves & exponent[0] | (kind.FP4_R4 & ~exponent.any()), moves & exponent[1],
              moves & exponent[2], exponent[3] | ~kind.FP4_R4]
        lost = [self.fraction[:spare].any(), self.sticky]
        for i in reversed(range(EXPONENT)):
            step, select = 1 << i, Signal(name=f"normalise_{1 << i}")
            after = Signal(len(shifted) - step, name=f"normalised_{step}")
            m.d.comb += [select.eq(by[i]),
                         after.eq(Mux(select, shifted[step:], shifted[:len(after)]))]
            lost.append(select & shifted[:step].any())
            shifted = after
        m.d.comb += [
            found.exponent.eq(exponent),
            found.scaled.eq(shifted),
            found.below.eq(Cat(lost).any()),
        ]

    def _number(self, m: Module, found):
        """The integer, less its carry: -(n + up) = ~n + (1 - up), of whatever width."""
        whole, fraction = self.whole, self.fraction
        number = Signal(WORD)
        wanted = Signal(NEAR + 2)  # less the carry; not read where `far`
        up = Signal()
        m.d.comb += [
            number.eq(whole[:WORD] ^ self.sign.replicate(WORD)),
            wanted.eq(number[:len(wanted)] + self.zero_point),
            # ties to even
            up.eq(fraction[-1] & (fraction[:-1].any() | self.sticky | whole[0])),
            found.number.eq(Cat(wanted, number[len(wanted):])),
            found.carry.eq(up ^ self.sign),
            found.far.eq(whole[NEAR:].any()),
            found.over.eq(whole[WORD]),
            found.is_zero.eq(~whole.any()),
        ]

    def _fine(self, m: Module, found):
        """What the random word needs: its top bits in both forms, and the comparison of the others
        with the fraction, below the lowest level of each phase and for integers."""
        coarse, fine = self.word[FINE_BITS:], self.word[:FINE_BITS]

        def below(level: int):
            """The fraction behind as many places below 2**level as the top bits have, and sticky.
            """
            end = len(self.fraction) + level - COARSE_BITS
            start = end - FINE_BITS - 1
            return Cat(self.fraction[:start].any() | self.sticky, self.fraction[start:end])

        threshold = Cat(Const(0, 1), Const(1, 1), fine)
        place_here = Signal(FINE_BITS + 2)
        m.d.comb += [
            found.random.coarse.eq(coarse),
            found.random.thrice.eq(
                Cat(Const(1, 1), coarse + (coarse << 1) + ((1 << COARSE_BITS) + 1))),
            place_here.eq(Mux(self.kind.FP4_R4, below(LOWEST_ODD), below(0))),
            found.random.fine_here.eq(threshold < place_here),
            found.random.fine_half.eq(threshold < below(LOWEST_EVEN)),
        ]

    def _up_here(self, m: Module, held, stochastic, random):
        """Whether to round up from the level 2**e, from an integer, or from nothing to radix 2's
        lowest level or to radix 4's in the odd phase."""
        kind, width = self.kind_1, position_width(self.config)
        third = Signal()  # the gap is three times the lower level
        fine = Signal()  # the whole word decides
        nearest = Signal()
        m.d.comb += [
            third.eq(kind.FP4_R4 & held.exponent.any()),
            fine.eq(stochastic & ~third & ~(kind.FP4_R2 & held.exponent[-1])),
            nearest.eq(~stochastic & ~third),
        ]
        # nearest: a half; below the lowest level 5/8 (radix 4) or 6/8; a third never goes up
        constant = Cat(Const(0, width - 2), nearest & kind.FP4_R4,
                       nearest & kind.FP4_R2 & ~held.exponent[-1], nearest, Const(0, 1),
                       ~stochastic & third)
        threshold = Signal(width + 3, name="threshold_here")
        position = Signal(width + 2, name="position_here")
        beyond = Signal(name="beyond_here")  # of a position that is equal
        spare = behind(self.config) - width - 1
        scaled = held.scaled[spare:]
        m.d.comb += [
            threshold.eq(
                _gated(Cat(Const(1, 1), random.coarse), stochastic & ~third)
                | _gated(random.thrice, stochastic & third) | constant),
            position.eq(Cat(Mux(fine, random.fine_here, scaled[0]), scaled[1:-1], third)),
            beyond.eq(Mux(fine, random.fine_here,
                          held.scaled[:spare].any() | held.below | ~stochastic)),
        ]
        up = Signal(name="up_here")
        m.d.comb += up.eq(Cat(Const(0, 1), threshold) < Cat(beyond, position))
        return up

    def _up_half(self, m: Module, held, stochastic, random):
        """Whether to round up from half of the level 2**e, or from nothing to radix 4's lowest
        level in the even phase."""
        width = position_width(self.config)
        lowest = Signal()
        fine = Signal(name="fine_half")
        m.d.comb += [lowest.eq(held.exponent[1:] == 0), fine.eq(stochastic & lowest)]
        # nearest: 2**12 + 3 * 2**11 and 5/8 of 2**14, or of a narrower position, are one number
        constant = Cat(Const(0, width), ~stochastic, Const(0, 1), ~stochastic)
        threshold = Signal(width + 3, name="threshold_half")
        position = Signal(width + 3, name="position_half")
        scaled = held.scaled << (width + 3 - len(held.scaled))
        beyond = Signal(name="beyond_half")
        m.d.comb += [
            threshold.eq(
                _gated(Cat(Const(1, 3), random.coarse), fine)
                | _gated(random.thrice, stochastic & ~lowest) | constant),
            position.eq(Cat(Mux(fine, random.fine_half.replicate(3), scaled[:3]), scaled[3:])),
            beyond.eq(Mux(fine, random.fine_half, held.below | ~stochastic)),
        ]
        up = Signal(name="up_half")
        m.d.comb += up.eq(Cat(Const(0, 1), threshold) < Cat(beyond, position))
        return up

    def _levels(self, m: Module, held, stochastic, up_here, up_half):
        """The level of radix 2 or of the even phase, and of the odd phase; whether the value is
        beyond the even phase's top level."""
        kind, exponent, formats = self.kind_1, held.exponent, self.config.log_formats
        even_lower = Signal(3)
        even_up = Signal()
        even_full = Signal()
        odd_lower = Signal(3)
        odd_up = Signal()
        odd_full = Signal()
        if FP4_R4 in formats:
            half_is_even = exponent[0] | ~exponent.any()  # the odd phase has a level 2**e
            m.d.comb += [
                even_lower.eq(exponent[1:]),
                even_up.eq(Mux(half_is_even, up_half, up_here)),
                even_full.eq(exponent >= ZERO + LOG_TOP),
                odd_lower.eq((exponent + 1)[1:]),
                odd_up.eq(Mux(half_is_even, up_here, up_half)),
                odd_full.eq(exponent >= ZERO + LOG_TOP - 1),
            ]
        if FP4_R2 in formats:
            with m.If(kind.FP4_R2):
                m.d.comb += [
                    even_lower.eq(Mux(exponent[-1], (exponent + 1)[:3], 0)),
                    even_up.eq(up_here),
                    even_full.eq(exponent >= ZERO + LOG_TOP),
                ]
        even = Signal(3)
        odd = Signal(3)
        # above 64 for a random word; where nearest goes up from it: 160, radix 2 96
        beyond = Mux(
            exponent[0], stochastic | kind.FP4_R2 | up_half,
            Mux(stochastic, held.scaled[:-1].any() | held.below, kind.FP4_R2 & up_here))
        clamped = Signal(name="log_clamped")
        m.d.comb += [
            even.eq(Mux(even_full | held.past_top, TOP, even_lower + even_up)),
            odd.eq(Mux(odd_full | held.past_top, TOP, odd_lower + odd_up)),
            clamped.eq(held.past_top | (exponent[1:].all() & beyond)),
        ]
        return even, odd, clamped

    def _code(self, m: Module, held, carry, inexact):
        """The integer code, clamped; whether it lay inside; and the clip mask."""
        kind, number, sign = self.kind_1, held.number, held.sign
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
        end = Mux(Mux(held.far, sign, above[-1]), lowest, highest)
        found = []
        for carried in range(2):  # everything for both carries, which come late
            code = Signal(4, name=f"code_{carried}")
            inside = Signal(name=f"inside_{carried}")
            clip = Signal(name=f"clip_{carried}")
            wraps = number[:4].all() if carried else Const(0)
            low_half = Mux(wraps, all_above, ~any_above)  # 0..15
            high_half = all_above & ~wraps  # -16..-1, of which -8..-1 are codes
            # above the floor, which tells where the exact value is
            raised = (inexact | ~sign) if carried else Const(0)
            m.d.comb += [
                code.eq(number[:4] + carried),
                inside.eq(~held.far & Mux(
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
    def _word(m: Module, held):
        """INT32, saturated, and whether it was."""
        number, sign = held.number, held.sign
        word = Signal(WORD, name="word_sum")
        wide = Signal()
        m.d.comb += [
            word.eq(number + held.carry),
            # the magnitude reached 2**31; with a sign only if it is more than that
            wide.eq(held.over | Mux(sign, ~(number[-1] | word[-1]), number[-1] | word[-1])),
        ]
        return Mux(wide, Cat((~sign).replicate(WORD - 1), sign), word), wide


def _gated(value, enable):
    return value & enable.replicate(len(value))
