# SPDX-License-Identifier: Apache-2.0
"""The scale solver: dyadic scale, zero point and GradScale step from a tensor's statistics.

One adder serves every step of multiplication, division and square root, one bit per step of two
cycles: a scale is needed once per tensor, so that size counts and latency does not.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import INT4, INT4_SYM, UINT4, LogFormat
from golden.gradscale import GradScale
from golden.rescale import ZERO_POINT_WIDTH
from golden.solver import (
    ALPHA_WIDTH,
    EXPONENT_WIDTH,
    SAWB_BITS,
    SAWB_COUNT,
    SAWB_SLOPE,
    SolveMode,
)
from hdl.scales.statistics import STATISTICS_LAYOUT


class Mode(enum.Enum, shape=3):
    """What to solve for; the encodings are those of the golden model."""

    RANGE = SolveMode.RANGE.value
    SYMMETRIC = SolveMode.SYMMETRIC.value
    LUQ = SolveMode.LUQ.value
    PACT = SolveMode.PACT.value
    SAWB = SolveMode.SAWB.value
    GRADSCALE = SolveMode.GRADSCALE.value


REQUEST_LAYOUT = data.StructLayout({
    "mode": Mode,
    "statistics": STATISTICS_LAYOUT,
    "alpha": ALPHA_WIDTH,
    "exponent": signed(EXPONENT_WIDTH),
    "multiplier": Dyadic.WIDTH,
    "shift": Dyadic.SHIFT_WIDTH,
})

SOLUTION_LAYOUT = data.StructLayout({
    "multiplier": Dyadic.WIDTH,
    "shift": Dyadic.SHIFT_WIDTH,
    "zero_point": signed(ZERO_POINT_WIDTH),
    "exponent": signed(EXPONENT_WIDTH),
    "degenerate": 1,
    "unreachable": 1,
    "saturated": 1,
    "limited": 1,
})

HALF = SAWB_BITS  # bits of a divisor, of a root, and of half the long register
LONG = 2 * HALF
CONST_WIDTH = 8  # bits of the constant numerators, which lie at the top of the long register
COUNT_FACTOR = SAWB_COUNT >> 3  # 175: the factor 8 goes into the exponent
STEPS = LONG  # of one multiplication whose product is to end in the long register
# With the root's grid 2**e, the scale's shift is the number of quotient bits, less the shifts of
# the divisor, plus e - ROOT_PLACES.
ROOT_PLACES = LONG - HALF + 3
POINT = LONG - Dyadic.WIDTH  # where a product's binary point ends up, after 16 + s steps


class ScaleSolver(wiring.Component):
    """Solves one request at a time.

    Members
    -------
    i : In(stream of `REQUEST_LAYOUT`). A request is read while it is solved, and taken together
        with its solution. An unknown mode counts as degenerate; statistics that no tensor has give
        a solution without meaning.
    o : Out(stream of `SOLUTION_LAYOUT`).

    Latency: at most `latencies[mode]` cycles from the first cycle of a request to its solution,
    `latency` in any mode. Throughput: one request per latency plus one cycle.
    Backpressure: the solution holds until it is taken, and with it the request.
    Arithmetic: `golden.solver.solve`.
    """

    # Steps: load; normalise by b shifts (b + 1); s + b + 8 quotient bits; round; limit.
    # The divisor 1 is the slowest: b = 31 and s + b = 44 (7 / 1), 40 (64 / 1) or 43 (15 / 1).
    # A step is two cycles; a state takes one more to decode what it asks of the adder.
    latencies = {mode: 2 * steps + states for mode, (steps, states) in {
        # and high - low; a product of 16 + s steps; the zero point. 2 * (s + b) counts, at most 88
        SolveMode.RANGE: (1 + 1 + (2 * 44 + 1 + 8) + 2 + 16 + 1, 8),
        SolveMode.SYMMETRIC: (1 + (31 + 1) + (44 + 8) + 2, 5),
        SolveMode.LUQ: (1 + (31 + 1) + (40 + 8) + 2, 5),
        SolveMode.PACT: (1 + (31 + 1) + (43 + 8) + 2, 5),
        # A single 1: S2 and n * S2 normalised in 62 + 32 shifts; multiplications by n, of r - S1
        # and of n, and the root; S1 aligned; the divisor normalised; the quotient of 175
        SolveMode.SAWB: (1 + (94 + 2) + 4 * STEPS + 95 + 1 + (32 + 1) + 103 + 2, 13),
        SolveMode.GRADSCALE: (1 + 1 + (16 + 48) + 1, 4),  # load; limit; product; decision
    }.items()}
    latency = max(latencies.values())

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(REQUEST_LAYOUT)),
            "o": Out(stream.Signature(SOLUTION_LAYOUT)),
        })

    def elaborate(self, platform):
        m = Module()
        request, solution = self.i.p, self.o.p
        stats, mode = request.statistics, request.mode

        # Registers. {x, y} shifts both ways; z is divisor, root or multiplicand.
        x = Signal(signed(HALF + 3), reset_less=True)  # < 2**34 while a root is taken, and a sign
        y = Signal(LONG, reset_less=True)
        z = Signal(signed(HALF + 1), reset_less=True)
        steps = Signal(range(128), reset_less=True)  # left in a counted state, less one
        shift = Signal(signed(9), reset_less=True)  # the scale's; -132 at the smallest square
        multiplier = Signal(Dyadic.WIDTH, reset_less=True)
        zero_point = Signal(signed(ZERO_POINT_WIDTH), reset_less=True)
        exponent = Signal(signed(EXPONENT_WIDTH), reset_less=True)
        degenerate, unreachable, saturated, limited = (
            Signal(name=name, reset_less=True)
            for name in ("degenerate", "unreachable", "saturated", "limited"))
        m.d.comb += [solution[name].eq(value) for name, value in {
            "multiplier": multiplier, "shift": shift, "zero_point": zero_point,
            "exponent": exponent, "degenerate": degenerate, "unreachable": unreachable,
            "saturated": saturated, "limited": limited}.items()]

        # What a state asks of the adder is decoded in its first cycle. Then every step adds in one
        # cycle, in which nothing else moves, and goes on in the next.
        moves = Signal()
        step = Signal()

        # The adder: x, or {x, y} one place up, plus or minus z, n, or the root's trial {z, 01}.
        left, right = (Signal(name=name) for name in ("left", "right"))  # shift {x, y}
        asked = {name: Signal(name=name) for name in ("doubled", "rooting", "by_count", "subtract")}
        doubled, rooting, by_count, subtract = (
            Signal(name=f"{name}_1", reset_less=True) for name in asked)
        take = Signal()  # the sum, else leave the augend
        augend, addend, result = (
            Signal(signed(HALF + 4), name=name) for name in ("augend", "addend", "result"))
        total = Signal(signed(HALF + 4), reset_less=True)
        fits = Signal()  # the difference is not negative
        m.d.comb += [
            augend.eq(Mux(doubled, Cat(y[-1], x).as_signed(), x)),
            addend.eq(Mux(rooting, Cat(Const(1, 2), z[:HALF]), Mux(by_count, stats.count, z))),
            fits.eq(~total[-1]),
            result.eq(Mux(take, total, augend)),
        ]
        m.d.sync += [
            Cat(doubled, rooting, by_count, subtract).eq(Cat(asked.values())),
            # the lowest place carries the one that negates the addend
            total.eq((Cat(subtract, augend)
                      + Cat(subtract, addend ^ subtract.replicate(len(addend))))[1:]),
        ]
        with m.If(left):
            m.d.sync += [x.eq(result), y.eq(y << 1)]
        with m.If(right):
            m.d.sync += [x.eq(result >> 1), y.eq(Cat(y[1:], result[0]))]

        def multiply():  # {x, y} <= x +/- addend * y, after as many steps as y has bits
            m.d.comb += [right.eq(1), take.eq(y[0])]

        def set_scale(scale: Dyadic):
            return [multiplier.eq(scale.multiplier), shift.eq(scale.shift)]

        is_range, is_symmetric, is_luq, is_pact, is_sawb, is_grad = (
            Signal(name=f"is_{name.name.lower()}") for name in Mode)
        m.d.comb += [flag.eq(mode == name) for flag, name in zip(
            (is_range, is_symmetric, is_luq, is_pact, is_sawb, is_grad), Mode, strict=True)]
        # What a step goes by, as it was in the cycle before, in which no register moves.
        last, zero, even, empty, high_square = (Signal(name=name, reset_less=True) for name in (
            "last", "zero", "even", "empty", "high_square"))
        m.d.sync += [
            last.eq(steps == 0),
            zero.eq(y == 0),
            # a square root wants an even exponent: either of two places may hold the leading one
            even.eq(y[-2:].any() & ~shift[0]),
            empty.eq((stats.count == 0) & ~is_pact & ~is_grad),
            high_square.eq(stats.sum_squares[LONG:].any()),
        ]

        def normalise(ready, loads):
            """Shifts y up until `ready`, then loads; a zero has no scale."""
            with m.If(zero):
                m.d.sync += [*set_scale(IDENTITY), degenerate.eq(1)]
                with m.If(is_range):
                    m.next = "SCALE"
                with m.Else():
                    m.next = "DONE"
            with m.Elif(ready):
                m.d.sync += [*loads, steps.eq(STEPS - 1)]
            with m.Else():
                m.d.comb += left.eq(1)
                m.d.sync += shift.eq(shift - 1)
            return ready & ~zero

        # RANGE compares offset-binary extremes; PACT's alpha or max|x| is a divisor as it is.
        operand = Mux(is_pact, request.alpha, Mux(is_symmetric | is_luq, stats.largest, 0))
        # The scale's shift: quotient bits, less the shifts of the divisor, plus a constant that
        # says where the numerator lay. SAWB's counts the square's places until the root is taken.
        places = Mux(is_sawb, Mux(high_square, HALF, 0) - 2 * ROOT_PLACES + HALF,
                     Mux(is_pact, -CONST_WIDTH - request.exponent, -CONST_WIDTH))

        zero_points, exponents = self._zero_point(m, x, y), self._grad_scale(m, x, y)
        with m.If(moves):
            m.d.sync += steps.eq(steps - 1)
            with m.FSM() as states:
                with m.State("IDLE"):
                    m.d.sync += [
                        x.eq(Mux(is_range, Cat(stats.high[:-1], ~stats.high[-1]), 0)),
                        z.eq(Cat(stats.low[:-1], ~stats.low[-1])),
                        y.eq(Mux(is_sawb, Mux(high_square, stats.sum_squares[HALF:],
                                              stats.sum_squares[:LONG]),
                                 Cat(Const(0, HALF), operand))),
                        multiplier.eq(Mux(is_grad, request.multiplier, 0)),
                        shift.eq(Mux(is_grad, request.shift, places)),
                        exponent.eq(request.exponent),
                        zero_point.eq(0),
                        Cat(unreachable, saturated, limited).eq(0),
                        degenerate.eq(empty),
                    ]
                    with m.If(empty):
                        m.d.sync += set_scale(IDENTITY)
                        m.next = "DONE"
                    with m.Elif(is_range):
                        m.next = "SPAN"
                    with m.Elif(is_sawb):
                        m.next = "SQUARES"
                    with m.Elif(is_grad):
                        m.next = "SCALE"
                    with m.Else():
                        m.next = "DIVISOR"
                with m.State("SPAN"):  # high - low
                    m.d.sync += [x.eq(0), y.eq(Cat(Const(0, HALF), total[:HALF]))]
                    m.next = "DIVISOR"

                # SAWB: r = sqrt(n * S2), then r + SAWB_SLOPE * (r - S1), and SAWB_COUNT * n.
                with m.State("SQUARES"):
                    with m.If(normalise(even, [z.eq(y[HALF:]), y.eq(stats.count)])):
                        m.next = "COUNT"
                with m.State("COUNT"):
                    multiply()
                    with m.If(last):
                        m.next = "EVEN"
                with m.State("EVEN"):
                    with m.If(normalise(even, [z.eq(0), shift.eq(shift >> 1)])):
                        m.next = "ROOT"
                with m.State("ROOT"):  # two places of the radicand, in two cycles, make a bit
                    m.d.comb += [left.eq(1), take.eq(~steps[0] & fits)]
                    with m.If(~steps[0]):
                        m.d.sync += z.eq(Cat(fits, z))
                    with m.If(last):
                        m.d.sync += [x.eq(0), y.eq(stats.sum_abs),
                                     steps.eq(LONG - ROOT_PLACES - 1 - shift)]
                        m.next = "ALIGN"
                with m.State("ALIGN"):  # x <= S1 on the grid of the root
                    m.d.comb += left.eq(1)
                    with m.If(last):
                        m.next = "DIFFERENCE"
                with m.State("DIFFERENCE"):  # S1 - r, which only truncation can make positive
                    m.d.sync += [x.eq(z), z.eq(Mux(fits, 0, total)), y.eq(SAWB_SLOPE),
                                 steps.eq(STEPS - 1)]
                    m.next = "MOMENTS"
                with m.State("MOMENTS"):
                    multiply()
                    with m.If(last):
                        m.next = "DIVISOR"

                # Divide until the quotient has 16 bits, then round to nearest, ties to even.
                with m.State("DIVISOR"):
                    constant = Mux(is_luq, int(LogFormat.TOP),
                                   Mux(is_symmetric, INT4_SYM.hi, UINT4.hi))
                    numerator = Mux(is_sawb, COUNT_FACTOR, constant << (LONG - CONST_WIDTH))
                    with m.If(normalise(y[-1], [z.eq(y[HALF:]), y.eq(numerator)])):
                        with m.If(is_sawb):
                            m.next = "NUMERATOR"
                        with m.Else():
                            m.next = "DIVIDE"
                with m.State("NUMERATOR"):
                    multiply()
                    with m.If(last):
                        m.next = "DIVIDE"
                with m.State("DIVIDE"):
                    m.d.comb += [left.eq(1), take.eq(fits)]
                    m.d.sync += [multiplier.eq(Cat(fits, multiplier)), shift.eq(shift + 1)]
                    with m.If(multiplier[-2]):
                        m.next = "ROUND"
                with m.State("ROUND"):  # against twice the remainder
                    up = Signal()
                    m.d.comb += up.eq(fits & (total.any() | multiplier[0]))
                    # a carry out of 16 bits leaves zeros below the top bit, which is always set
                    m.d.sync += [x.eq(0),
                                 multiplier.eq(Cat((multiplier + up)[:Dyadic.WIDTH - 1], 1)),
                                 shift.eq(shift - (up & multiplier.all()))]
                    m.next = "SCALE"

                # The scale's reach; then low * M, or max|x| * M, with the binary point below y[48].
                with m.State("SCALE"):
                    large, small = shift < 0, shift > Dyadic.MAX_SHIFT
                    places_right = Mux(shift[4] & shift[5], POINT, shift[:Dyadic.SHIFT_WIDTH])
                    m.d.sync += [
                        y.eq(multiplier),
                        z.eq(Mux(is_grad, stats.largest, stats.low)),
                        steps.eq(places_right + Dyadic.WIDTH - 1),
                        unreachable.eq(large | small),
                        multiplier.eq(Mux(large, 2**Dyadic.WIDTH - 1,
                                          Mux(small, 2**(Dyadic.WIDTH - 1), multiplier))),
                        shift.eq(Mux(large, 0, Mux(small, Dyadic.MAX_SHIFT, shift))),
                    ]
                    with m.If(is_range | is_grad):
                        m.next = "PRODUCT"
                    with m.Else():
                        m.next = "DONE"
                with m.State("PRODUCT"):
                    multiply()
                    with m.If(last):
                        m.next = "RESULT"
                with m.State("RESULT"):
                    with m.If(is_range):
                        m.d.sync += [target.eq(value) for target, value in zip(
                            (zero_point, saturated), zero_points(degenerate), strict=True)]
                    with m.Else():
                        m.d.sync += [target.eq(value) for target, value in zip(
                            (exponent, limited), exponents(exponent), strict=True)]
                    m.next = "DONE"
                with m.State("DONE"):
                    with m.If(self.o.ready):
                        m.next = "IDLE"

        state, known = states.state, Signal()
        seen = Signal.like(state, name="seen")
        done = states.ongoing("DONE")
        settled = Signal()  # in this state, and with this request, for a cycle
        m.d.comb += [settled.eq(known & (seen == state)), moves.eq(step | done),
                     self.o.valid.eq(done), self.i.ready.eq(done & self.o.ready)]
        m.d.sync += [known.eq(self.i.valid), seen.eq(state), step.eq(settled & ~moves)]
        for name, where in {
            "doubled": ("SQUARES", "EVEN", "ROOT", "ALIGN", "DIVISOR", "DIVIDE", "ROUND"),
            "subtract": ("SPAN", "ROOT", "DIFFERENCE", "MOMENTS", "DIVIDE", "ROUND"),
            "rooting": ("ROOT",), "by_count": ("NUMERATOR",),
        }.items():
            wanted = Cat(states.ongoing(place) for place in where).any()
            if name == "subtract":
                wanted |= states.ongoing("PRODUCT") & is_range
            m.d.comb += asked[name].eq(wanted)
        return m

    @staticmethod
    def _zero_point(m: Module, x, y):
        """The zero point for a degenerate round or another one, and whether it is clamped: -low *
        scale rounded to nearest even, plus the code of `low`."""
        up = Signal(reset_less=True)
        far = Signal(reset_less=True)
        whole = Cat(y[POINT:], x)
        high = whole[ZERO_POINT_WIDTH - 1:]
        m.d.sync += [
            up.eq(y[POINT - 1] & (y[:POINT - 1].any() | y[POINT])),
            far.eq(high.any() & ~high.all()),  # the whole part alone leaves 16 bits
        ]
        limit = 1 << (ZERO_POINT_WIDTH - 1)

        def solved(degenerate):
            value = Signal(signed(ZERO_POINT_WIDTH + 2))
            negative = Signal()
            outside = Signal()
            near = value[ZERO_POINT_WIDTH - 1:]
            m.d.comb += [
                value.eq(whole[:ZERO_POINT_WIDTH].as_signed() + up + Mux(degenerate, 0, INT4.lo)),
                negative.eq(Mux(far, x[-1], value[-1])),
                outside.eq(far | (near.any() & ~near.all())),
            ]
            return Mux(outside, Mux(negative, -limit, limit - 1), value), outside

        return solved

    @staticmethod
    def _grad_scale(m: Module, x, y):
        """The next exponent, and whether it is limited: one step where m = {x, y} is not in
        (32, 64]; 0 keeps."""
        top = POINT + int(LogFormat.TOP).bit_length() - 1  # place of 64
        above, inside = (Signal(name=name, reset_less=True) for name in ("above", "inside"))
        held = Signal()
        beyond = x.any() | y[top + 1:].any()
        m.d.sync += [
            above.eq(beyond | (y[top] & y[:top].any())),
            inside.eq(~beyond & Mux(y[top], ~y[:top].any(),
                                    (y[top - 1] & y[:top - 1].any()) | ~y[:top].any())),
        ]

        def solved(exponent):
            m.d.comb += held.eq(exponent == Mux(above, -GradScale.LIMIT, GradScale.LIMIT))
            return exponent + Mux(inside | held, 0, Mux(above, -1, 1)), ~inside & held

        return solved
