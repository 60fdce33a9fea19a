# SPDX-License-Identifier: Apache-2.0
"""No deadlock: nothing is lost, and what is owed comes within a stated number of cycles."""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from golden.solver import SAWB_SLOPE
from hdl.adaptive import AdaptUnit
from hdl.engine import Engine
from hdl.layouts import beat_layout
from hdl.mac_tile import MacTile
from hdl.rescale import RescaleUnit
from hdl.solver import COUNT_FACTOR, HALF, LONG, Mode, ScaleSolver
from verif.formal.harness import SMALL, Harness, implies
from verif.formal.streams import streams_of


def rescale_progress() -> Harness:
    """A row is offered exactly `latency` advances after it was taken, and only an offered row that
    is not taken stops an advance."""
    h = Harness(RescaleUnit(SMALL))
    i, o = h.dut.i, h.dut.o
    taken = h.ghost(RescaleUnit.latency, "taken")
    with h.m.If(i.ready):
        h.m.d.sync += taken.eq(Cat(i.valid, taken))
    h.prove(
        taken == h.net("valid", RescaleUnit.latency),
        o.valid == taken[-1],
        implies(~i.ready, o.valid & ~o.ready),
    )
    return h


def tile_progress() -> Harness:
    """As many rows come out as the blocks announce; the first row of a finished block within
    `latency` cycles; `i` waits for at most `rows` rows that are taken."""
    h = Harness(MacTile(SMALL))
    i, o, rows = h.dut.i, h.dut.o, beat_layout(SMALL)["rows"].shape
    h.assume(h.kept(i), implies(i.valid, (i.p.rows >= 1) & (i.p.rows <= SMALL.rows)))
    valid, last = h.net("valid", 2), h.net("last", 2)
    held = [h.net(f"rows_{stage}", rows) for stage in range(2)]
    full, full_rows, left = h.net("full"), h.net("full_rows", rows), h.net("left", rows)
    ends = [valid[stage] & last[stage] for stage in range(2)]

    owed = h.ghost(5, "owed")  # rows of blocks that were taken to their end
    moved = o.valid & o.ready
    h.m.d.sync += owed.eq(owed + Mux(i.valid & i.ready & i.p.last, i.p.rows, 0) - moved)
    h.prove(owed == left + Mux(full, full_rows, 0)
            + Mux(ends[0], held[0], 0) + Mux(ends[1], held[1], 0))
    for there, count in ((full, full_rows), (ends[0], held[0]), (ends[1], held[1])):
        h.prove(implies(there, (count >= 1) & (count <= SMALL.rows)))
    h.prove(left <= SMALL.rows)

    # Cycles since a row is owed and none is offered. `latency` counts from the last beat.
    wait = h.ghost(4, "wait")
    h.m.d.sync += wait.eq(Mux((owed != 0) & ~o.valid, wait + 1, 0))
    h.prove(wait < MacTile.latency, implies((owed != 0) & ~o.valid, i.ready),
            implies(~o.valid, wait <= Mux(full, 2, Mux(ends[1], 1, 0))))

    # Cycles in which `i` waits, while every row that is offered is taken.
    stall = h.ghost(4, "stall")
    h.m.d.sync += stall.eq(Mux(i.ready, 0, stall + moved))
    h.prove(implies(~i.ready, o.valid), stall + left <= SMALL.rows,
            implies(~i.ready, stall < SMALL.rows))
    return h


NORMALISE = LONG  # a register of LONG bits is zero after as many shifts
COUNTED = 128  # `steps` has 7 bits
DIVIDE = LONG + HALF + 1 + 16  # to the first quotient bit, and to the sixteenth
WORST = {  # cycles in each state, on the way of a request; those with a bound but 1
    "SQUARES": NORMALISE + 1, "EVEN": NORMALISE + 1, "DIVISOR": NORMALISE + 1,
    "COUNT": LONG, "ROOT": LONG, "MOMENTS": LONG, "NUMERATOR": LONG, "ALIGN": COUNTED,
    "PRODUCT": LONG, "DIVIDE": DIVIDE,
}
ORDER = ("IDLE", "SPAN", "SQUARES", "COUNT", "EVEN", "ROOT", "ALIGN", "DIFFERENCE", "MOMENTS",
         "DIVISOR", "NUMERATOR", "DIVIDE", "ROUND", "SCALE", "PRODUCT", "RESULT", "DONE")
SAWB = ("SQUARES", "COUNT", "EVEN", "ROOT", "ALIGN", "DIFFERENCE", "MOMENTS", "NUMERATOR")
ANSWER = sum(WORST.get(state, 1) for state in ORDER[:-1])


def solver_progress() -> Harness:
    """A request, with whatever statistics, is answered within ANSWER cycles.

    States follow one another in ORDER only, and each is left in time: a normalisation because the
    register runs empty, a counted state because `steps` falls, the division because a numerator
    that is not zero becomes as large as the divisor.
    """
    h = Harness(ScaleSolver(SMALL))
    i, o = h.dut.i, h.dut.o
    h.assume(h.kept(i))
    states = h.states("", ScaleSolver(SMALL))
    x, y, z = h.net("x", signed(HALF + 3)), h.net("y", LONG), h.net("z", signed(HALF + 1))
    steps, multiplier = h.net("steps", 7), h.net("multiplier", 16)
    count = i.p.statistics.count
    is_sawb = i.p.mode == Mode.SAWB

    code = h.net("fsm_state", range(len(states)))
    same = code == h.past(code)
    stay = h.ghost(8, "stay")  # cycles in this state before this one
    before = h.ghost(8, "before")
    h.m.d.sync += before.eq(stay + 1)
    h.m.d.comb += stay.eq(Mux(same, before, 0))
    rank, budget = Signal(range(len(ORDER))), Signal(12)
    spent = 0
    for place, name in enumerate(ORDER):
        with h.m.If(states[name]):
            h.m.d.comb += [rank.eq(place), budget.eq(spent)]
        spent += WORST.get(name, 1)
        if name not in ("IDLE", "DONE"):
            h.prove(implies(states[name], stay < WORST.get(name, 1)))
    h.prove(implies(~same, (rank > h.past(rank)) | states["IDLE"]),
            implies(states["IDLE"] & ~same, h.past(states["DONE"] & o.ready)))
    age = h.ghost(12, "age")
    with h.m.If(states["IDLE"]):
        h.m.d.sync += age.eq(i.valid)
    with h.m.Elif(~states["DONE"]):
        h.m.d.sync += age.eq(age + 1)
    h.prove(implies(~states["IDLE"], age <= budget + Mux(states["DONE"], 0, stay)),
            implies(states["DONE"], o.valid), implies(~states["IDLE"], i.valid))

    # Zeros follow what a normalisation shifts up.
    for name in ("SQUARES", "EVEN", "DIVISOR"):
        h.prove(implies(states[name], low_bits(y, stay) == 0))
    for name in ("COUNT", "ROOT", "MOMENTS", "NUMERATOR"):
        h.prove(implies(states[name], stay + steps == LONG - 1))
    h.prove(implies(states["PRODUCT"], stay + steps <= LONG - 1))
    h.prove(implies(states["ALIGN"], stay + steps <= COUNTED - 1))

    # The quotient starts from 0; what only SAWB visits has at least one element.
    sawb = Cat(states[name] for name in SAWB).any()
    h.prove(implies(sawb, is_sawb), implies(states["SPAN"], ~is_sawb),
            implies(sawb | (states["DIVISOR"] & is_sawb), count != 0),
            implies(sawb | states["SPAN"] | states["DIVISOR"], multiplier == 0))
    # A product's sign ends in x: once the multiplier's bits are used up, x only halves.
    _halving(h, states["MOMENTS"], stay, x, y, SAWB_SLOPE)
    h.prove(implies(states["MOMENTS"] & (stay >= SAWB_SLOPE.bit_length() + 35), y[-1] == x[-1]))
    # SAWB's divisor may be negative, without meaning, but then it is normalised as it is.
    h.prove(implies(states["DIVISOR"], (x == 0) | (is_sawb & (x == -1) & y[-1])))
    # The numerator: not negative after the factor's lowest bit, not zero after the next.
    _halving(h, states["NUMERATOR"], stay, x, y, COUNT_FACTOR)
    product = Cat(y, x).as_signed() >> (LONG - stay)[:7]
    normal = (z > 0) & (z >> (HALF - 1) == 1)
    h.prove(implies(states["NUMERATOR"], normal & Mux(stay == 0, (x == 0) | (x == -1), x >= 0)),
            implies(states["NUMERATOR"] & (stay >= 2), product > 0))
    # The division: the remainder stays below the divisor, and doubles until the first 1.
    whole = Cat(y, x)
    h.prove(implies(states["DIVIDE"], normal & (x >= 0) & (x < z)),
            implies(states["DIVIDE"] & (multiplier == 0),
                    (whole != 0) & (low_bits(whole, stay) == 0)),
            implies(states["DIVIDE"], ~multiplier[-1]))
    for bit in range(15):
        h.prove(implies(states["DIVIDE"] & ~multiplier[bit:].any(), stay <= DIVIDE - 17 + bit))
    return h


def low_bits(value, places):
    """The lowest `places` bits of a value, the others 0."""
    return value & ((1 << places) - 1)[:len(value)]


def _halving(h: Harness, state, stay, x, y, factor: int):
    """x through a multiplication by a short constant: what is left of it shrinks to its sign."""
    used = factor.bit_length()
    bound = Signal(signed(HALF + 4))
    h.m.d.comb += bound.eq(Mux(stay <= used, 2**(HALF + 1),
                               ((1 << (HALF + 1)) >> (stay - used)[:7]) | (stay > used + HALF + 1)))
    h.prove(implies(state, (x >= -bound) & (x < bound)),
            implies(state, low_bits(y, (LONG - stay)[:7]) == (factor >> stay)))


QUIET = 12  # cycles that the engine may take between two handshakes, its solver apart


def engine_progress() -> Harness:
    """Some stream moves within QUIET cycles in which every input is offered and every output taken,
    after whatever stalls. Jobs are any that the engine does not refuse; the solver answers after
    one cycle (`solver_progress` shows that it answers)."""
    h = Harness(Engine(SMALL))
    solving = h.states("adapt_unit.", AdaptUnit(SMALL))["SOLVE"]
    answered = h.cut("adapt_unit.scale_solver.o__valid")
    h.assume(answered == h.past(solving), ~h.net("bad"))
    inputs, outputs = (streams_of(h.dut, flow).values() for flow in (In, Out))
    h.assume(*(h.kept(stream) for stream in inputs))
    fair = Cat(stream.valid for stream in inputs).all() & Cat(
        stream.ready for stream in outputs).all()
    moves = Cat(stream.valid & stream.ready for stream in (*inputs, *outputs)).any()
    quiet = h.ghost(range(QUIET + 1), "quiet")
    h.m.d.sync += quiet.eq(Mux(fair & ~moves, quiet + (quiet < QUIET), 0))
    h.prove(quiet < QUIET)
    return h
