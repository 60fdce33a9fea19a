# SPDX-License-Identifier: Apache-2.0
"""The adapt unit: its report holds, and comes in time; what the engine's proofs need of it.

It is proven whole, with the real statistics unit and solver inside.
"""

from amaranth.hdl import Array, Cat, Mux, Signal, Value

from golden.config import Config
from golden.statistics import LARGEST_WIDTH, SUM_SQUARES_WIDTH
from hdl.layouts import WORD
from hdl.scales.adaptive import AdaptUnit
from hdl.scales.extremes import extremes_cycles
from hdl.scales.layouts import ADAPT_LAYOUT, ENTRY_LAYOUT, STATISTICS_LAYOUT
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import (
    ADDENDS,
    SEGMENT,
    SUMS,
    StatisticsUnit,
    squares_cycles,
)
from verif.formal.harness import SMALL, Harness, implies, latency
from verif.formal.progress import ANSWER, solving
from verif.formal.streams import stable


def report_within(config: Config = SMALL) -> int:
    """Cycles from a job's last row to its report."""
    return latency(StatisticsUnit, config) + ANSWER + 4


def stable_report() -> Harness:
    """The adapt unit's report, in an environment that keeps the rules of `rows_expected`."""
    h = stable(AdaptUnit(SMALL))
    is_open, *rules = rows_expected(h, h.dut)
    h.assume(*rules)
    measuring(h, "", [(is_open, 0)])
    return h


def rows_expected(h: Harness, adapt):
    """Whether the job in the adapt unit is owed rows; then the rules that its environment keeps: a
    job is offered until it starts, and starts when the unit is ready; a row or its outcome comes
    only while one is owed."""
    is_open = h.ghost(1, "open")
    with h.m.If(adapt.start):
        h.m.d.sync += is_open.eq(~adapt.dataless)
    with h.m.Elif(adapt.valid & adapt.last):
        h.m.d.sync += is_open.eq(0)
    waited = h.past(adapt.request & ~adapt.start)
    offered = Cat(Value.cast(part) for part in (adapt.adapt, adapt.own, adapt.dataless))
    return (is_open, implies(adapt.start, adapt.ready & adapt.request),
            implies(waited, adapt.request & (offered == h.past(offered))),
            implies(adapt.valid | adapt.row.valid, is_open))


def measuring(h: Harness, path: str, ahead: list):
    """Proves the life of a measured job in the adapt unit at `path`: its last row has none behind
    it, in `ahead` or in the statistics unit. Returns the unit's states, and for each place that a
    last row passes the cycles from there to `done`, and whether it is there.
    """
    config = h.dut.config
    states = h.states(path, AdaptUnit(config))
    unit, stages = f"{path}statistics_unit.", latency(StatisticsUnit, config) - 1
    rows = [*ahead, *zip(h.net(f"{unit}valid_1", stages), h.net(f"{unit}last_1", stages),
                         strict=True)]
    done = h.net(f"{unit}done")
    in_flight = Cat(there for there, _ in rows).any()
    ends = [there & last for there, last in rows] + [done]
    started, dataless = h.net(f"{path}started"), h.net(f"{path}job_dataless")
    expected = (states["MEASURE"] | started) & ~dataless
    h.prove(
        implies(in_flight | done, expected),
        implies(done, ~in_flight),
        implies(started, ~(done | Cat(there for there, _ in rows[len(ahead):]).any())),
        # the job in the unit will end: its last row is in flight, or still to come
        implies(expected, rows[0][0] | Cat(ends).any()),
        *(implies(end, ~Cat(there for there, _ in rows[:place]).any())
          for place, end in enumerate(ends[:-1]) if place),
    )
    answering = Cat(states[name] for name in ("SOLVE", "WRITE", "PRESET", "REREAD", "REPORT")).any()
    dataless = h.net(f"{path}job_dataless")
    adapt = h.inner(path, AdaptUnit(config))
    fetched = Cat(states[name] for name in ("READ", "APPLY", "READY")).any()
    h.prove(implies(fetched & ~started, adapt.request & (dataless == adapt.dataless)),
            implies(started, states["READY"] & (dataless == h.past(adapt.dataless))),
            started == h.past(adapt.start))
    # the entry that was read is that of the table, but for the cycle after the table is written
    table = Array(h.net(f"{path}entry_table.entry_{i}", ENTRY_LAYOUT.size)
                  for i in range(config.tensors))
    entry = h.net(f"{path}entry", ENTRY_LAYOUT.size)
    moving = Cat(states[name] for name in ("IDLE", "READ", "REREAD")).any()
    h.prove(moving | (entry == table[h.net(f"{path}job", ADAPT_LAYOUT).tensor]))
    h.prove(implies(states["CLEAR"], dataless),
            *(implies(h.net(f"{unit}row_valid_{n}"), expected)
              for n in range(1, squares_cycles(config))))
    settled(h, unit, ends[-stages - 1:], answering & ~dataless, ~states["IDLE"],
            states["MEASURE"] & dataless, answering & dataless)
    return states, list(zip(reversed(range(len(ends))), ends, strict=True))


def settled(h: Harness, unit: str, ends: list, after, awake, cleared, empty):
    """Proves that the sums of the statistics unit come to rest while its last row passes `ends`,
    the last of which is `done`, and stay so `after` that; and that they rest once they were
    `cleared` for a job that stays `empty`. A cycle after reset the unit is `awake` or idle."""
    ends = [*ends[:-1], ends[-1] | after]
    cycles, value, parts = squares_cycles(h.dut.config), {}, {"sum_abs": WORD + 1}
    for name in ("low", "high"):
        value[name] = h.net(f"{unit}extremes.{name}est", WORD + 1)
        number = Signal(WORD, name=f"{name}_number")
        h.m.d.comb += number.eq(Mux(value[name][-1], -value[name][:WORD], value[name][:WORD]))
        value[f"{name}_word"] = h.net(f"{unit}extremes.{name}_word", WORD) == number
    low, high = (value[name] for name in ("low", "high"))
    largest = Signal(LARGEST_WIDTH)
    h.m.d.comb += largest.eq(Mux(low[:WORD] < high[:WORD], high, low))
    found = ((h.net(f"{unit}extremes.largest", LARGEST_WIDTH) == largest)
             & value["low_word"] & value["high_word"])
    rows = [h.net(f"{unit}row_valid_{cycle}") for cycle in range(1, cycles)]
    # then the last cycle before the sums
    squares = Cat(*(h.net(f"{unit}sum_squares_{i}", SUM_SQUARES_WIDTH) for i in range(ADDENDS)),
                  *(~h.net(f"{unit}sum_squares_none_{i}") for i in range(2))).any()
    others = Cat(h.net(f"{unit}{name}_{i}", parts.get(name, 2))
                 for name in SUMS if name != "sum_squares" for i in range(2)).any()
    carries = [h.net(f"{unit}{name}_carries", (STATISTICS_LAYOUT[name].shape - 1) // SEGMENT)
               for name in SUMS]
    running = h.ghost(1, "running")
    h.m.d.sync += running.eq(1)
    ports = h.inner(unit, StatisticsUnit(h.dut.config))
    by_row, by_outcome = h.past(ports.row.valid), h.past(ports.valid)
    h.prove(implies(awake, running),
            implies(running, ~squares | h.past(rows[-1])),
            *(h.net(f"{unit}none_{n}") == ~row for n, row in enumerate(rows, 1)),
            *(h.net(f"{unit}extremes.valid_{n}") == rows[n - 1]
              for n in range(1, extremes_cycles(h.dut.config) + 1)),
            implies(running, ~others | by_row | by_outcome))
    rows.append(squares)
    for stage, end in enumerate(ends):
        # no row is left in the cycles that add it; the lowest carry comes to rest first
        h.prove(implies(end, ~Cat(rows[:stage]).any()))
        if stage:
            h.prove(implies(end, ~others))
        if stage > cycles:
            h.prove(implies(end, found
                            & ~Cat(carry[:stage - cycles] for carry in carries).any()))
    resting = ~Cat(*rows, others, *carries).any()
    h.prove(implies(cleared, resting), implies(empty, resting & found))


def reporting(h: Harness, path: str, ahead: list) -> Signal:
    """Proves that the solver in the adapt unit at `path` is asked as it must be, and answers;
    returns the most cycles until the unit reports, if the last row of its job is on its way."""
    states, ends = measuring(h, path, ahead)
    solver = f"{path}scale_solver."
    ports = h.inner(solver, ScaleSolver(h.dut.config))
    request = ports.i
    waited = solving(h, solver)
    h.prove(request.valid == (states["SOLVE"] | states["WRITE"]), h.kept(request),
            implies(states["WRITE"], ports.o.valid))
    started = h.net(f"{path}started")
    to_end, rest = Signal(range(len(ends))), Signal(range(ANSWER + len(ends) + 7))
    for cycles, there in ends:
        with h.m.If(there):
            h.m.d.comb += to_end.eq(cycles)
    with h.m.If(states["REREAD"]):
        h.m.d.comb += rest.eq(1)
    with h.m.Elif(states["PRESET"] | states["WRITE"]):
        h.m.d.comb += rest.eq(2)
    with h.m.Elif(states["SOLVE"]):
        h.m.d.comb += rest.eq(ANSWER + 3 - waited)
    with h.m.Elif(states["MEASURE"]):
        h.m.d.comb += rest.eq(to_end + ANSWER + 4)
    with h.m.Elif(states["CLEAR"]):
        h.m.d.comb += rest.eq(ANSWER + 5)
    with h.m.Elif(started):
        h.m.d.comb += rest.eq(to_end + ANSWER + 6)
    # until the next job may start
    adapt = h.inner(path, AdaptUnit(h.dut.config))
    lookup = Signal(range(AdaptUnit.LOOKUP + 1))
    looking = Cat(states[name] for name in ("IDLE", "READ", "APPLY", "READY")).any() & ~started
    for cycles, name in enumerate(("READY", "APPLY", "READ", "IDLE")):
        with h.m.If(states[name]):
            h.m.d.comb += lookup.eq(cycles)
    h.prove(adapt.ready == (states["READY"] & ~started))
    return rest, looking, lookup


def adapt_progress() -> Harness:
    """A job is reported at most `report_within` cycles after its last row, or after its start if it
    has no rows; the report waits for the host alone, and a job that is offered while none runs may
    start within LOOKUP cycles.

    In an environment that keeps the rules of `rows_expected`, as `engine_progress` shows of the
    engine.
    """
    h = Harness(AdaptUnit(SMALL))
    dut, within = h.dut, report_within()
    is_open, *rules = rows_expected(h, dut)
    h.assume(*rules)
    rest, looking, lookup = reporting(h, "", [(is_open, 0)])
    ended = (dut.start & dut.dataless) | (dut.valid & dut.last)
    waiting = ~looking & ~is_open & ~dut.report.valid
    since = h.ghost(range(within + 1), "since")  # cycles since the job's end
    h.m.d.sync += since.eq(Mux(ended, 1, Mux(waiting, since + 1, 0)))
    offered = h.ghost(range(AdaptUnit.LOOKUP + 1), "offered")  # cycles that a job has waited
    h.m.d.sync += offered.eq(Mux(looking & dut.request & ~dut.ready, offered + 1, 0))
    h.prove(implies(waiting, since + rest <= within), implies(waiting, since < within),
            implies(is_open, ~dut.ready & ~dut.report.valid),
            implies(h.past(dut.report.valid & dut.report.ready), looking),
            implies(looking & dut.request, offered + lookup <= AdaptUnit.LOOKUP))
    return h
