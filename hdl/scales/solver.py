# SPDX-License-Identifier: Apache-2.0
"""The scale solver: dyadic scale, zero point and GradScale step from a tensor's statistics.

One adder serves every step of multiplication, division and square root, one bit per step of two
cycles, or `FAR` where these are zeros and only move: a scale is needed once per tensor, so that
size counts more than latency.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import INT4_SYM, UINT4, ZERO_POINT_WIDTH, LogFormat
from golden.solver import EXPONENT_WIDTH, SAWB_COUNT, SAWB_MODES, SAWB_SLOPE, SolveMode
from hdl.library import place
from hdl.scales.layouts import REQUEST_LAYOUT, SOLUTION_LAYOUT
from hdl.scales.solver_adder import CONTROL_LAYOUT, HALF, LONG, X_SHAPE, Z_SHAPE, SolverAdder
from hdl.scales.solver_results import POINT, NextExponent, ZeroPoint
from hdl.scales.solver_steps import FAR, LATENCIES, STEPS

CONST_WIDTH = 8  # bits of the constant numerators, which lie at the top of the long register
COUNT_FACTOR = SAWB_COUNT >> 3  # 175: the factor 8 goes into the exponent
# With the root's grid 2**e, the scale's shift is the number of quotient bits, less the shifts of
# the divisor, plus e - ROOT_PLACES.
ROOT_PLACES = LONG - HALF + 3

# What a state asks of the adder; the states that are not here ask for x + z. PRODUCT is, but in
# RANGE it subtracts: the zero point is -low * scale.
ASKED = {
    "SPAN": ("subtract",),
    "SQUARES": ("doubled",),
    "EVEN": ("doubled",),
    "ROOT": ("doubled", "rooting", "subtract"),
    "ALIGN": ("doubled",),
    "DIFFERENCE": ("subtract",),
    "MOMENTS": ("subtract",),
    "ALPHA": ("doubled",),
    "MEAN": ("by_unit",),
    "BELOW": ("doubled", "subtract"),
    "DIVISOR": ("doubled",),
    "NUMERATOR": ("by_count",),
    "DIVIDE": ("doubled", "subtract"),
    "ROUND": ("doubled", "subtract"),
}


class ScaleSolver(wiring.Component):
    """Solves one request at a time.

    Members
    -------
    i : In(stream of `REQUEST_LAYOUT`). A request is read while it is solved, and taken together
        with its solution. An unknown mode counts as degenerate; statistics that no tensor has give
        a solution without meaning.
    o : Out(stream of `SOLUTION_LAYOUT`), one per request.

    Latency: at most `latencies[mode]` cycles from the first cycle of a request to its solution,
    `latency` in any mode. Throughput: one request per latency plus one cycle.
    Backpressure: the solution holds until it is taken, and with it the request.
    Arithmetic: `golden.solver.solve`.
    """

    latencies = LATENCIES
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
        stats = request.statistics
        is_range = Signal()
        is_symmetric = Signal()
        is_luq = Signal()
        is_pact = Signal()
        is_sawb = Signal()
        is_unsigned = Signal()  # twice the numerator of SAWB
        is_grad = Signal()
        m.d.comb += [
            is_range.eq(request.mode == SolveMode.RANGE),
            is_symmetric.eq(request.mode == SolveMode.SYMMETRIC),
            is_luq.eq(request.mode == SolveMode.LUQ),
            is_pact.eq(request.mode == SolveMode.PACT),
            is_sawb.eq(Cat(request.mode == mode for mode in SAWB_MODES).any()),
            is_unsigned.eq(request.mode == SolveMode.SAWB_UNSIGNED),
            is_grad.eq(request.mode == SolveMode.GRADSCALE),
        ]

        # The registers, which the states of the FSM move.
        x = Signal(X_SHAPE, reset_less=True)  # {x, y} shifts both ways
        y = Signal(LONG, reset_less=True)
        z = Signal(Z_SHAPE, reset_less=True)  # divisor, root or multiplicand
        steps = Signal(range(128), reset_less=True)  # left in a counted state, less one
        multiplier = Signal(Dyadic.WIDTH, reset_less=True)
        shift = Signal(signed(9), reset_less=True)  # the scale's; -132 at the smallest square
        zero_point = Signal(signed(ZERO_POINT_WIDTH), reset_less=True)
        exponent = Signal(signed(EXPONENT_WIDTH), reset_less=True)
        degenerate = Signal(reset_less=True)
        unreachable = Signal(reset_less=True)
        saturated = Signal(reset_less=True)
        limited = Signal(reset_less=True)

        # First cycle of a state: the adder is told what the state asks of it.
        adder = place(m, platform, "adder", SolverAdder(self.config))
        m.d.comb += [
            adder.x.eq(x),
            adder.y_top.eq(y[-1]),
            adder.z.eq(z),
            adder.count.eq(stats.count),
        ]

        # First cycle of a step: the adder adds, and what the step goes by is found. No register
        # moves, so that in the second cycle all of it is still true.
        last, last_up, last_down, far_left, far_up, far_down, no_bit, zero, even, empty = (
            Signal(name=name, reset_less=True) for name in (
                "last", "last_up", "last_down", "far_left", "far_up", "far_down", "no_bit", "zero",
                "even", "empty"))
        high_square = Signal(reset_less=True)
        blank = (x == 0) & (y[-FAR:] == 0)
        unread = y[:FAR] == 0  # of a multiplication's factor, or above it
        m.d.sync += [
            last.eq(steps == 0),
            far_left.eq(blank),
            no_bit.eq(multiplier == 0),
            far_up.eq(blank & (steps >= FAR - 1)),
            far_down.eq(unread & (steps >= FAR - 1)),
            last_up.eq((steps == 0) | (blank & (steps == FAR - 1))),
            last_down.eq((steps == 0) | (unread & (steps == FAR - 1))),
            zero.eq(y == 0),
            # a square root wants an even exponent: either of two places may hold the leading one
            even.eq(y[-2:].any() & ~shift[0]),
            empty.eq((stats.count == 0) & ~is_pact & ~is_grad),
            high_square.eq(stats.sum_squares[LONG:].any()),
        ]
        zero_points = place(m, platform, "zero_point_unit", ZeroPoint(self.config))
        exponents = place(m, platform, "next_exponent", NextExponent(self.config))
        m.d.comb += [
            zero_points.product.eq(Cat(y, x)),
            zero_points.degenerate.eq(degenerate),
            exponents.product.eq(Cat(y, x)),
            exponents.exponent.eq(exponent),
        ]

        # Second cycle of a step: {x, y} goes up or down a place, with the sum if it is taken, or
        # as it is `FAR` places.
        moves = Signal()
        up = Signal()
        down = Signal()
        far = Signal()
        with m.If(up):
            m.d.sync += y.eq(Mux(far, y << FAR, y << 1))
            with m.If(~far):
                m.d.sync += x.eq(adder.result)
        with m.If(down):
            m.d.sync += [
                x.eq(Mux(far, x >> FAR, adder.result >> 1)),
                y.eq(Mux(far, Cat(y[FAR:], x[:FAR]), Cat(y[1:], adder.result[0]))),
            ]

        def multiply():
            """{x, y} <= x +/- addend * y, after as many places as y has."""
            m.d.comb += [down.eq(1), far.eq(far_down), adder.take.eq(y[0])]

        def set_scale(scale: Dyadic):
            return [multiplier.eq(scale.multiplier), shift.eq(scale.shift)]

        def normalise(ready, *loads):
            """Shifts y up until `ready`, then loads; a zero has no scale. Returns whether it loads.
            """
            with m.If(zero):
                m.d.sync += [*set_scale(IDENTITY), degenerate.eq(1)]
                with m.If(is_range):
                    m.next = "SCALE"
                with m.Else():
                    m.next = "DONE"
            with m.Elif(ready):
                m.d.sync += [*loads, steps.eq(STEPS - 1)]
            with m.Else():
                m.d.comb += [up.eq(1), far.eq(far_left)]
                m.d.sync += shift.eq(shift - Mux(far_left, FAR, 1))
            return ready & ~zero

        # What a mode begins with. RANGE compares offset-binary extremes; PACT's alpha or max|x| is
        # a divisor as it is.
        operand = Mux(is_pact, request.alpha, Mux(is_symmetric | is_luq, stats.largest, 0))
        # The scale's shift: quotient bits, less the shifts of the divisor, plus a constant that
        # says where the numerator lay. SAWB's counts the square's places until the root is taken.
        places = Mux(is_sawb, Mux(high_square, HALF, 0) - 2 * ROOT_PLACES + HALF,
                     Mux(is_pact, -CONST_WIDTH - request.exponent, -CONST_WIDTH))

        with m.If(moves):
            m.d.sync += steps.eq(steps - Mux(far, FAR, 1))
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
                        unreachable.eq(0),
                        saturated.eq(0),
                        limited.eq(0),
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
                    m.d.sync += [x.eq(0), y.eq(Cat(Const(0, HALF), adder.total[:HALF]))]
                    m.next = "DIVISOR"

                # SAWB: r = sqrt(n * S2), then r + SAWB_SLOPE * (r - S1), which is compared with
                # SAWB_UNIT * S1, and SAWB_COUNT * n.
                with m.State("SQUARES"):
                    with m.If(normalise(even, z.eq(y[HALF:]), y.eq(stats.count))):
                        m.next = "COUNT"
                with m.State("COUNT"):
                    multiply()
                    with m.If(last_down):
                        m.next = "EVEN"
                with m.State("EVEN"):
                    with m.If(normalise(even, z.eq(0), shift.eq(shift >> 1))):
                        m.next = "ROOT"
                with m.State("ROOT"):  # two places of the radicand, in two cycles, make a bit
                    m.d.comb += [up.eq(1), adder.take.eq(~steps[0] & adder.fits)]
                    with m.If(~steps[0]):
                        m.d.sync += z.eq(Cat(adder.fits, z))
                    with m.If(last):
                        m.d.sync += [
                            x.eq(0),
                            y.eq(stats.sum_abs),
                            steps.eq(LONG - ROOT_PLACES - 1 - shift),
                        ]
                        m.next = "ALIGN"
                with m.State("ALIGN"):  # x <= S1 on the grid of the root
                    m.d.comb += [up.eq(1), far.eq(far_up)]
                    with m.If(last_up):
                        m.next = "DIFFERENCE"
                with m.State("DIFFERENCE"):  # S1 - r, which only truncation can make positive
                    m.d.sync += [
                        x.eq(z),
                        y.eq(SAWB_SLOPE),
                        z.eq(Mux(adder.fits, 0, adder.total)),
                        steps.eq(STEPS - 1),
                    ]
                    m.next = "MOMENTS"
                with m.State("MOMENTS"):
                    multiply()
                    with m.If(last_down):
                        m.next = "ALPHA"
                with m.State("ALPHA"):  # z <= the divisor
                    with m.If(normalise(y[-1], z.eq(y[HALF:]), y.eq(stats.sum_abs))):
                        m.next = "MEAN"
                with m.State("MEAN"):  # {x, y} <= SAWB_UNIT * S1
                    multiply()
                    with m.If(last_down):
                        m.d.sync += steps.eq(LONG - HALF - ROOT_PLACES - 1 - shift)
                        m.next = "BELOW"
                with m.State("BELOW"):  # on the divisor's grid in the end; above it before or never
                    m.d.comb += [up.eq(1), far.eq(far_up)]
                    with m.If(adder.fits & adder.total.any()):  # alpha is max|x|
                        m.d.sync += [
                            x.eq(0),
                            y.eq(Cat(Const(0, HALF), stats.largest)),
                            shift.eq(-CONST_WIDTH),
                        ]
                        m.next = "DIVISOR"
                    with m.Elif(last_up):
                        m.d.sync += [
                            x.eq(0),
                            y.eq(COUNT_FACTOR << is_unsigned),
                            steps.eq(STEPS - 1),
                        ]
                        m.next = "NUMERATOR"
                with m.State("NUMERATOR"):
                    multiply()
                    with m.If(last_down):
                        m.next = "DIVIDE"

                # Divide until the quotient has 16 bits, then round to nearest, ties to even.
                with m.State("DIVISOR"):
                    constant = Mux(is_luq, int(LogFormat.TOP),
                                   Mux(is_symmetric | is_sawb, INT4_SYM.hi, UINT4.hi))
                    numerator = constant << is_unsigned << (LONG - CONST_WIDTH)
                    with m.If(normalise(y[-1], z.eq(y[HALF:]), y.eq(numerator))):
                        m.next = "DIVIDE"
                with m.State("DIVIDE"):
                    m.d.comb += [up.eq(1), far.eq(far_left & no_bit), adder.take.eq(adder.fits)]
                    m.d.sync += [multiplier.eq(Cat(adder.fits, multiplier)),
                                 shift.eq(shift + Mux(far, FAR, 1))]
                    with m.If(multiplier[-2]):
                        m.next = "ROUND"
                with m.State("ROUND"):  # against twice the remainder
                    round_up = Signal()
                    m.d.comb += round_up.eq(adder.fits & (adder.total.any() | multiplier[0]))
                    # a carry out of 16 bits leaves zeros below the top bit, which is always set
                    m.d.sync += [
                        x.eq(0),
                        multiplier.eq(Cat((multiplier + round_up)[:Dyadic.WIDTH - 1], 1)),
                        shift.eq(shift - (round_up & multiplier.all())),
                    ]
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
                    with m.If(last_down):
                        m.next = "RESULT"
                with m.State("RESULT"):
                    with m.If(is_range):
                        m.d.sync += [
                            zero_point.eq(zero_points.zero_point),
                            saturated.eq(zero_points.saturated),
                        ]
                    with m.Else():
                        m.d.sync += [
                            exponent.eq(exponents.next),
                            limited.eq(exponents.limited),
                        ]
                    m.next = "DONE"
                with m.State("DONE"):
                    with m.If(self.o.ready):
                        m.next = "IDLE"

        # Steps, and what a state asks of the adder: decoded in its first cycle.
        for control in CONTROL_LAYOUT.members:
            asking = [states.ongoing(state) for state, asked in ASKED.items() if control in asked]
            m.d.comb += adder.control[control].eq(Cat(asking).any())
        with m.If(states.ongoing("PRODUCT") & is_range):
            m.d.comb += adder.control.subtract.eq(1)
        state = states.state
        known = Signal()
        seen = Signal.like(state, name="seen")
        settled = Signal()  # in this state, and with this request, for a cycle
        step = Signal()
        done = Signal()
        m.d.comb += [
            done.eq(states.ongoing("DONE")),
            settled.eq(known & (seen == state)),
            moves.eq(step | done),
        ]
        m.d.sync += [
            known.eq(self.i.valid),
            seen.eq(state),
            step.eq(settled & ~moves),
        ]
        m.d.comb += [
            self.i.ready.eq(done & self.o.ready),
            self.o.valid.eq(done),
            solution.scale.multiplier.eq(multiplier),
            solution.scale.shift.eq(shift),
            solution.scale.zero_point.eq(zero_point),
            solution.exponent.eq(exponent),
            solution.flags.degenerate.eq(degenerate),
            solution.flags.unreachable.eq(unreachable),
            solution.flags.saturated.eq(saturated),
            solution.flags.limited.eq(limited),
        ]
        return m
