# SPDX-License-Identifier: Apache-2.0
"""No deadlock: nothing is lost, and what is owed comes within a stated number of cycles."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed

from golden.solver import SAWB_MODES, SAWB_SLOPE, SolveMode
from hdl.layouts import beat_layout, row_layout
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.solver import COUNT_FACTOR, ScaleSolver
from hdl.scales.solver_adder import (
    CONTROL_LAYOUT,
    HALF,
    LONG,
    SUM_SHAPE,
    X_SHAPE,
    Z_SHAPE,
    SolverAdder,
)
from hdl.scales.solver_steps import FAR
from hdl.tile.dot_product import LaneSum
from hdl.tile.mac_tile import MacTile, stage_layout
from verif.formal.harness import SMALL, Harness, implies, latency


def rescale_progress() -> Harness:
    """A row is offered exactly `latency` advances after it was taken, and only an offered row that
    is not taken stops an advance."""
    h = Harness(RescaleUnit(SMALL))
    i, o, stages = h.dut.i, h.dut.o, latency(RescaleUnit)
    taken = h.ghost(stages, "taken")
    with h.m.If(i.ready):
        h.m.d.sync += taken.eq(Cat(i.valid, taken))
    h.prove(
        taken == h.net("valid", stages),
        o.valid == taken[-1],
        implies(~i.ready, o.valid & ~o.ready),
    )
    return h


def stages_of(h: Harness, path: str) -> list:
    """The registers of the tile at `path` that say what is in its stages, oldest last."""
    config = h.dut.config
    return [h.net(f"{path}stage_{n}", stage_layout(config))
            for n in range(1 + latency(LaneSum, config))]


def blocks_held(h: Harness, path: str) -> list:
    """The places in the tile at `path` that may hold a block whose last beat is in, oldest first:
    whether there is one, and its rows that are still to come. A block's last row in the output
    register, or waiting behind it, is a place of its own: the drain registers may hold the next
    block behind it."""
    config = h.dut.config
    rows = beat_layout(config)["rows"].shape
    stages = stages_of(h, path)
    left, row = h.net(f"{path}left", rows), h.inner(path, MacTile(config)).o
    waiting, second = h.net(f"{path}waiting"), h.net(f"{path}waiting_row", row_layout(config)).last
    full, capture, moved = (h.net(f"{path}{name}") for name in ("full", "capture", "moved"))
    ends = (row.valid & row.p.last, waiting & second)
    behind = (row.valid & ~row.p.last, waiting & ~second)
    h.prove(implies(waiting, row.valid),
            implies(behind[0] & ~waiting, left != 0), implies(behind[1], left != 0),
            # what was decided in the cycle before is what the registers say now
            moved == ((left != 0) & ~waiting),
            capture == (full & ((left == 0) | ((left == 1) & ~waiting))),
            h.net(f"{path}advance") == ~(stages[-1].valid & full & ~capture))
    return [(ends[0], Const(1)), (ends[1], 1 + behind[0]),
            (left != 0, left + behind[1] + (behind[0] & ~ends[1])),
            (full, h.net(f"{path}full_rows", rows)),
            *((stage.valid & stage.last, stage.rows) for stage in reversed(stages))]


def tile_progress() -> Harness:
    """As many rows come out as the blocks announce; the first row of a finished block within
    `latency` cycles; `i` waits for at most `rows` rows that are taken, the first of them offered a
    cycle later at most."""
    h = Harness(MacTile(SMALL))
    i, o, within = h.dut.i, h.dut.o, latency(MacTile)
    h.assume(h.kept(i), implies(i.valid, (i.p.rows >= 1) & (i.p.rows <= SMALL.rows)))
    held = blocks_held(h, "")

    owed = h.ghost(range((len(held) + 1) * SMALL.rows + 1), "owed")  # rows of finished blocks
    moved = o.valid & o.ready
    h.m.d.sync += owed.eq(owed + Mux(i.valid & i.ready & i.p.last, i.p.rows, 0) - moved)
    h.prove(owed == sum(Mux(there, rows, 0) for there, rows in held))
    for there, rows in held:
        h.prove(implies(there, (rows >= 1) & (rows <= SMALL.rows)))

    # Cycles in which a row is owed and none is offered. `latency` counts from the last beat, after
    # which the block goes one place on per cycle.
    wait, rest = h.ghost(range(within + 1), "wait"), Signal(range(within + 1))
    h.m.d.sync += wait.eq(Mux((owed != 0) & ~o.valid, wait + 1, 0))
    for place, (there, _) in reversed(list(enumerate(held))):
        with h.m.If(there):
            h.m.d.comb += rest.eq(place - 1 if place else 0)  # none waits while none is offered
    h.prove(implies((owed != 0) & ~o.valid, 1 + wait + rest <= within))

    # Rows that are taken while `i` waits.
    left, stall = h.net("left", i.p.rows.shape()), h.ghost(range(SMALL.rows + 2), "stall")
    h.m.d.sync += stall.eq(Mux(i.ready, 0, stall + moved))
    h.prove(implies(~i.ready, left != 0), implies(h.past(~i.ready), o.valid),
            stall + left + h.net("waiting") <= SMALL.rows + 1,
            implies(~i.ready, stall < SMALL.rows))
    return h


NORMALISE = LONG  # a register of LONG bits is zero after as many shifts
COUNTED = 128  # `steps` has 7 bits
DIVIDE = LONG + HALF + 1 + 16  # to the first quotient bit, and to the sixteenth
WORST = {  # steps in each state, on the way of a request; those with a bound but 1
    "SQUARES": NORMALISE + 1, "EVEN": NORMALISE + 1, "ALPHA": NORMALISE + 1,
    "DIVISOR": NORMALISE + 1, "COUNT": LONG, "ROOT": LONG, "MOMENTS": LONG, "MEAN": LONG,
    "NUMERATOR": LONG, "ALIGN": COUNTED, "BELOW": COUNTED, "PRODUCT": LONG, "DIVIDE": DIVIDE,
}
SAWB = ("SQUARES", "COUNT", "EVEN", "ROOT", "ALIGN", "DIFFERENCE", "MOMENTS", "ALPHA", "MEAN",
        "BELOW", "NUMERATOR")
ORDER = ("IDLE", "SPAN", *SAWB, "DIVISOR", "DIVIDE", "ROUND", "SCALE", "PRODUCT", "RESULT", "DONE")

def cycles_in(state: str) -> int:
    """A step takes two cycles, and a state takes one more before its first."""
    return 2 * WORST.get(state, 1) + 1


ANSWER = sum(map(cycles_in, ORDER[:-1]))


def solver_progress() -> Harness:
    """A request, with whatever statistics, is answered within ANSWER cycles.

    States follow one another in ORDER only, and each is left in time: a normalisation because the
    register runs empty, a counted state because `steps` falls, the division because a numerator
    that is not zero becomes as large as the divisor.
    """
    h = Harness(ScaleSolver(SMALL))
    h.assume(h.kept(h.dut.i))
    solving(h, "")
    return h


def solving(h: Harness, path: str):
    """Proves `solver_progress` of the solver at `path`, whose request is kept; returns the cycles
    that its request has waited, at most ANSWER."""
    block = ScaleSolver(h.dut.config)
    ports = h.inner(path, block)
    i, o = ports.i, ports.o
    states = h.states(path, block)
    x = h.net(f"{path}x", X_SHAPE)
    y = h.net(f"{path}y", LONG)
    z = h.net(f"{path}z", Z_SHAPE)
    steps, multiplier = h.net(f"{path}steps", 7), h.net(f"{path}multiplier", 16)
    count = i.p.statistics.count
    is_sawb = Cat(i.p.mode == mode for mode in SAWB_MODES).any()

    code = h.net(f"{path}fsm_state", range(len(states)))
    same = code == h.past(code)
    step, settled = h.net(f"{path}step"), h.net(f"{path}settled")
    stay = h.ghost(8, "stay")  # steps in this state before this one
    places = h.ghost(8, "places")  # that {x, y} moved in them
    before, places_before = h.ghost(8, "before"), h.ghost(8, "places_before")
    h.m.d.sync += [before.eq(stay + step),
                   places_before.eq(places + Mux(step, Mux(h.net(f"{path}far"), FAR, 1), 0))]
    h.m.d.comb += [stay.eq(Mux(same, before, 0)), places.eq(Mux(same, places_before, 0))]
    h.prove(stay <= places)
    phase = Mux(step, 2, settled)  # cycles of this step
    waits = states["IDLE"] | states["DONE"]
    rank, budget = Signal(range(len(ORDER))), Signal(12)
    spent = 0
    for place, name in enumerate(ORDER):
        with h.m.If(states[name]):
            h.m.d.comb += [rank.eq(place), budget.eq(spent)]
        spent += cycles_in(name)
        if name not in ("IDLE", "DONE"):
            h.prove(implies(states[name], stay < WORST.get(name, 1)))
    h.prove(implies(~same, (rank > h.past(rank)) | states["IDLE"]),
            implies(states["IDLE"] & ~same, h.past(states["DONE"] & o.ready)),
            implies(~waits, same == (settled | step)), implies(step, i.valid & ~states["DONE"]),
            implies(states["IDLE"] & settled, i.valid), implies(step, settled))
    age = h.ghost(range(ANSWER + 1), "age")
    with h.m.If(~i.valid | (o.valid & o.ready)):
        h.m.d.sync += age.eq(0)
    with h.m.Elif(~o.valid):
        h.m.d.sync += age.eq(age + 1)
    h.prove(age <= budget + Mux(states["DONE"], 0, Mux(states["IDLE"], 0, 2 * stay) + phase),
            states["DONE"] == o.valid, implies(~states["IDLE"], i.valid))

    # In the cycle of a step what it goes by is that of its registers.
    adder = f"{path}adder."
    asked = h.net(f"{adder}asked", CONTROL_LAYOUT)
    augend = h.net(f"{adder}augend", SUM_SHAPE)
    addend = h.net(f"{adder}addend", SUM_SHAPE)
    total = h.net(f"{adder}total", SUM_SHAPE)
    wanted = Signal(SUM_SHAPE)
    h.m.d.comb += wanted.eq(Mux(asked.subtract, augend - addend, augend + addend))
    h.prove(implies(settled & ~waits, asked == h.inner(adder, SolverAdder(SMALL)).control),
            implies(step & ~waits, total == wanted),
            implies(step, (h.net(f"{path}zero") == (y == 0))
                    & (h.net(f"{path}last") == (steps == 0))))
    blank, unread, many = (x == 0) & (y[-FAR:] == 0), y[:FAR] == 0, steps >= FAR - 1
    for name, found in {
            "far_left": blank, "far_up": blank & many, "far_down": unread & many,
            "last_up": (steps == 0) | (blank & (steps == FAR - 1)),
            "last_down": (steps == 0) | (unread & (steps == FAR - 1)),
            "no_bit": multiplier == 0}.items():
        h.prove(implies(step, h.net(f"{path}{name}") == found))
    is_pact, is_grad = i.p.mode == SolveMode.PACT, i.p.mode == SolveMode.GRADSCALE
    h.prove(implies(step, h.net(f"{path}empty") == ((count == 0) & ~is_pact & ~is_grad)))

    # Zeros follow what a normalisation shifts up.
    for name in ("SQUARES", "EVEN", "ALPHA", "DIVISOR"):
        h.prove(implies(states[name], (low_bits(y, places) == 0) & (places <= LONG)))
    for name in ("COUNT", "ROOT", "MOMENTS", "MEAN", "NUMERATOR"):
        h.prove(implies(states[name], places + steps == LONG - 1))
    h.prove(implies(states["PRODUCT"], places + steps <= LONG - 1))
    h.prove(implies(states["ALIGN"] | states["BELOW"], places + steps <= COUNTED - 1))

    # The quotient starts from 0; what only SAWB visits has at least one element.
    sawb = Cat(states[name] for name in SAWB).any()
    h.prove(implies(sawb, is_sawb), implies(states["SPAN"], ~is_sawb),
            implies(sawb | (states["DIVISOR"] & is_sawb), count != 0),
            implies(sawb | states["SPAN"] | states["DIVISOR"], multiplier == 0))
    # A product's sign ends in x: once the multiplier's bits are used up, x only halves.
    _halving(h, states["MOMENTS"], places, x, y, SAWB_SLOPE)
    h.prove(implies(states["MOMENTS"] & (places >= SAWB_SLOPE.bit_length() + 35), y[-1] == x[-1]))
    # SAWB's divisor may be negative, without meaning, but then it is normalised as it is.
    h.prove(implies(states["ALPHA"], (x == 0) | ((x == -1) & y[-1])),
            implies(states["DIVISOR"], x == 0))
    # The numerator: not zero after the factor's lowest bits.
    is_unsigned = i.p.mode == SolveMode.SAWB_UNSIGNED
    _halving(h, states["NUMERATOR"] & ~is_unsigned, places, x, y, COUNT_FACTOR)
    _halving(h, states["NUMERATOR"] & is_unsigned, places, x, y, 2 * COUNT_FACTOR)
    product = Cat(y, x).as_signed() >> (LONG - places)[:7]
    normal = (z > 0) & (z >> (HALF - 1) == 1)
    h.prove(implies(states["MEAN"] | states["BELOW"], normal),
            implies(states["NUMERATOR"], normal & (x >= 0)),
            implies(states["NUMERATOR"] & (places >= 2), product > 0))
    # The division: the remainder stays below the divisor, and doubles until the first 1.
    whole = Cat(y, x)
    h.prove(implies(states["DIVIDE"], normal & (x >= 0) & (x < z)),
            implies(states["DIVIDE"] & (multiplier == 0),
                    (whole != 0) & (low_bits(whole, places) == 0)),
            implies(states["DIVIDE"], ~multiplier[-1]))
    for bit in range(15):
        h.prove(implies(states["DIVIDE"] & ~multiplier[bit:].any(), places <= DIVIDE - 17 + bit))
    return age


def low_bits(value, places):
    """The lowest `places` bits of a value, the others 0."""
    return value & ((1 << places) - 1)[:len(value)]


def _halving(h: Harness, state, places, x, y, factor: int):
    """x through a multiplication by a short constant: what is left of it shrinks to its sign."""
    used = factor.bit_length()
    bound = Signal(signed(HALF + 4))
    h.m.d.comb += bound.eq(Mux(places <= used, 2**(HALF + 1), (
        (1 << (HALF + 1)) >> (places - used)[:7]) | (places > used + HALF + 1)))
    h.prove(implies(state, (x >= -bound) & (x < bound)),
            implies(state, low_bits(y, (LONG - places)[:7]) == (factor >> places)))
