# SPDX-License-Identifier: Apache-2.0
"""No overflow: the accumulators up to `max_k`, the statistics up to MAX_ELEMENTS."""

from itertools import product

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.formats import A_FORMATS, INT4, INT4_SYM, INT32, max_product
from golden.statistics import MAX_ELEMENTS
from hdl.arithmetic.addends import sum_of
from hdl.arithmetic.columns import Columns
from hdl.arithmetic.squares import add_step, square_digits
from hdl.layouts import WORD, BFormat, codes_layout, tag_layout
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.layouts import STATISTICS_LAYOUT
from hdl.scales.statistics import ADDENDS, SEGMENT, StatisticsUnit, squares_cycles
from hdl.tile.dot_product import DotProduct
from hdl.tile.mac_cell import (
    COPIES,
    MacCell,
    held_layout,
    held_width,
    partial_worth,
    total_width,
)
from hdl.tile.mac_tile import MacTile
from hdl.tile.multiplier import addends_of, digits_layout, sums_layout
from verif.formal.harness import SMALL, Harness, implies, latency
from verif.formal.progress import blocks_held, stages_of

# One cell, whose neighbours are copies of it; the narrowest accumulator and the widest.
NARROW = Config(1, 1, 2, accumulator_width=20, pipeline=1)
WIDE = Config(1, 1, 2, accumulator_width=32, dim_width=16, pipeline=1)
GRID = Config(2, 2, 2, accumulator_width=20, pipeline=1)  # a row and a column may not exist
LARGEST = -INT32.lo  # the greatest magnitude of a 32-bit word


def accumulator(config: Config, beyond: int = 0) -> Harness:
    """No overflow, and no flag, in any block whose `reach` and `weight` stay within bounds, be its
    INT4 codes whatever they are or without -8 (INT4_SYM).

    A block's reach is the largest product of its formats times its steps, K * max_product, at most
    2**(accumulator_width - 1) - 1; its weight is K * partial_worth, at most 2**held_width - 1. Both
    hold if K <= max_k (`test_the_reach_of_a_block_is_max_k`). At every stage of the tile, what a
    cell holds and what the zero cell holds is at most the weight so far, and they differ by the
    reach so far at most. The first beat after a block's last is a first one. What a cell adds is
    replaced by what `exact_total` and `lane_sums` prove of it.
    `beyond` widens the first bound, to see that it is needed.
    """
    h = Harness(MacTile(config))
    m, i = h.m, h.dut.i
    beat = i.p
    kinds = list(product(A_FORMATS, b_formats(config)))
    symmetric = h.free(2, "symmetric")  # what the tile cannot see: a, b of this beat lack -8
    offered_kind = [(beat.b_format == BFormat.of(b)) & (beat.a_signed == a.signed)
                    & (symmetric == Cat(a is INT4_SYM, b is INT4_SYM)) for a, b in kinds]
    limits = (2**(config.accumulator_width - 1) - 1 + beyond, 2**held_width(config) - 1)
    worths = ([max_product(a, b) for a, b in kinds], [partial_worth(b) for _, b in kinds])
    cells = ("mac_cell_0_0.", "zero_cell_0.")
    stages, first = stages_of(h, ""), _firsts(h, cells)
    valid = Cat(stage.valid for stage in stages)
    offered_lanes = sum(beat.lanes)
    lanes, kind = h.ghost(range(config.lanes + 1), "lanes"), h.ghost(len(kinds), "kind")
    begun = h.ghost(1, "begun")  # a block is being sent: the next beat may go on with it
    active = h.ghost(1, "active")  # the accumulators hold sums since reset
    with m.If(i.valid & i.ready):
        m.d.sync += begun.eq(~beat.last)
    with m.If(i.ready):
        m.d.sync += [lanes.eq(offered_lanes), kind.eq(Cat(offered_kind))]
        with m.If(valid[1]):
            m.d.sync += active.eq(1)
    h.assume(implies(i.valid, Cat(offered_kind).any() & beat.lanes.any()
                     & (beat.first | begun)))
    h.prove(implies(begun, valid.any() | active))

    measures = []  # (of the beat in each stage, of its block so far in each stage)
    for name, limit, worth in zip(("reach", "weight"), limits, worths, strict=True):
        width = config.accumulator_width + 2
        so_far = h.ghost(width, f"{name}_so_far")  # of the block that is being sent
        block = [h.ghost(width, f"{name}_{stage}") for stage in range(3)]
        own = [h.ghost(width, f"own_{name}_{stage}") for stage in range(2)]
        now, offered = Signal(width), Signal(width)
        m.d.comb += [now.eq(_measure(offered_lanes, offered_kind, worth)),
                     offered.eq(now + Mux(beat.first, 0, so_far))]
        with m.If(i.valid & i.ready):
            m.d.sync += so_far.eq(offered)
        with m.If(i.ready):
            m.d.sync += [block[0].eq(offered), block[1].eq(block[0]), own[0].eq(now),
                         own[1].eq(own[0])]
            with m.If(valid[1]):
                m.d.sync += block[2].eq(block[1])
        h.assume(implies(i.valid, offered <= limit))

        # The chain through the stages, youngest first.
        newest = Mux(valid[0], block[0], Mux(valid[1], block[1], block[2]))
        h.prove(implies(begun, so_far == newest), implies(active, block[2] <= limit))
        older = (Mux(valid[1], block[1], block[2]), block[2])
        exists = (valid[1] | active, active)
        for stage in range(2):
            h.prove(implies(valid[stage], block[stage] == own[stage] + Mux(
                        first[stage], 0, older[stage])),
                    implies(valid[stage] & ~first[stage], exists[stage]),
                    implies(valid[stage], block[stage] <= limit))
        h.prove(implies(valid[0], own[0] == _measure(lanes, kind, worth)))
        measures.append((own, block))
    (own_reach, reach), (own_weight, weight) = measures

    h.prove(implies(valid[0], Cat(kind == 1 << n for n in range(len(kinds))).any()
                    & (lanes <= config.lanes)
                    & (stages[0].split == Cat(kind[n] for n, (_, b) in enumerate(kinds)
                                       if b in (INT4, INT4_SYM)).any())))

    # What the cells are about to hold, the accumulators, the drain registers.
    totals = [h.cut(f"{cell}total", total_width(config)) for cell in cells]
    accumulators, drains = ([h.net(f"{cell}{name}", held_layout(config)) for cell in cells]
                            for name in ("accumulator", "drain"))
    held, drain = ([register.sum for register in found] for found in (accumulators, drains))
    full, left = h.net("full"), h.net("left", beat.rows.shape())
    apart = held[0] - held[1]
    added = totals[0] - totals[1] - Mux(first[1], 0, apart)
    h.assume(implies(valid[1], _at_most(added, own_reach[1])))
    for total, value in zip(totals, held, strict=True):
        added = total - Mux(first[1], 0, value)
        h.assume(implies(valid[1], (added >= 0) & (added <= own_weight[1])))
    h.assume(implies(i.valid, beat.rows >= 1))
    h.prove(*(implies(there, rows >= 1) for there, rows in blocks_held(h, "")))
    for register in accumulators:
        h.prove(implies(active, (register.sum <= weight[2]) & ~register.lost))
    h.prove(implies(active, _at_most(apart, reach[2])), implies(full, active),
            implies(left != 0, _at_most(drain[0] - drain[1], limits[0])),
            *(implies(left != 0, ~register.lost) for register in drains), ~h.dut.overflow)
    return h


def exact_total(config: Config) -> Harness:
    """What a cell is about to hold is what it holds, from 0 if `first`, plus its lanes' sum."""
    h = Harness(MacCell(config))
    dut = h.dut
    held = h.net("accumulator", held_layout(config)).sum
    lanes = h.net("lane_sum.total", sums_layout(config))
    goes_on = h.net("goes_on", COPIES)
    # every copy is of the same bit
    h.assume(dut.control.first == dut.control.first[0].replicate(COPIES))
    entered = h.ghost(1, "entered")
    with h.m.If(dut.control.enable[-1]):
        h.m.d.sync += entered.eq(1)
    h.prove(implies(entered, h.net("total", total_width(config)) == Mux(goes_on[0], held, 0)
                    + sum_of(addends_of(lanes))),
            implies(entered, goes_on == goes_on[0].replicate(COPIES)))
    return h


def _firsts(h: Harness, cells):
    """`first` beside every stage; the one beside the accumulators is in the cells, which is proven
    to be the same in all from the first beat on."""
    stages = stages_of(h, "")
    entered = h.ghost(1, "entered")
    with h.m.If(h.dut.i.ready & stages[0].valid):
        h.m.d.sync += entered.eq(1)
    h.prove(implies(stages[1].valid, entered))
    here = [h.net(f"{cell}goes_on", COPIES) for cell in cells]
    bit = here[0][0]
    h.prove(*(implies(entered, copies == bit.replicate(COPIES)) for copies in here))
    return Cat(stages[0].first, ~bit)


def lane_sums(config: Config) -> Harness:
    """The sum of partial products, like its excess, is at most the lanes times `partial_worth`; the
    two differ by the lanes times the largest product at most. Lanes beyond K have a code b of zero;
    the others are counted. Codes that lack -8 are worth no more than INT4_SYM's."""
    h = Harness(DotProduct(config))
    dut = h.dut
    symmetric = {operand: Cat(code != 8 for code in codes).all()
                 for operand, codes in (("a", dut.a), ("b", dut.b))}
    lanes = h.ghost(range(config.lanes + 1), "lanes")
    h.m.d.sync += lanes.eq(sum(Value.cast(code).any() for code in dut.b))
    totals = [h.net(f"{name}.total", sums_layout(config)) for name in ("products", "zeros")]
    for a, b in product(A_FORMATS, b_formats(config)):
        taken = dut.enable & (dut.a_signed == a.signed) & (dut.b_format == BFormat.of(b))
        taken &= (symmetric["a"] | (a is not INT4_SYM)) & (symmetric["b"] | (b is not INT4_SYM))
        taken = h.past(taken)
        sums = [sum_of(addends_of(total)) for total in totals]
        h.prove(implies(taken, _at_most(sums[0] - sums[1], lanes * max_product(a, b))),
                *(implies(taken, value <= lanes * partial_worth(b)) for value in sums))
    return h


def b_formats(config: Config) -> tuple:
    return (INT4, INT4_SYM, *config.log_formats)


def _at_most(value, bound):
    """The magnitude of the value is at most the bound."""
    return (value <= bound) & (-value <= bound)


def _measure(lanes, chosen, worths):
    """Lanes times the worth of the formats that are chosen."""
    found = 0
    for condition, worth in zip(chosen, worths, strict=True):
        found = Mux(condition, lanes * worth, found)
    return found


def overflow_flag(config: Config) -> Harness:
    """A block with a sum that the accumulator could not hold, or with a result that does not fit,
    raises the flag as it is drained. The flag stays until it is cleared."""
    h = Harness(MacTile(config))
    cells = ("mac_cell_0_0.", "zero_cell_0.")
    taken, first = h.net("accumulate"), _firsts(h, cells)
    drain = []
    for cell in cells:
        total = h.net(f"{cell}lane_sum.total", sums_layout(config))
        drain.append(h.net(f"{cell}drain", held_layout(config)))
        held = h.net(f"{cell}accumulator", held_layout(config))
        exact = Signal(held_width(config) + 8, name=f"{cell[:-1]}_exact")
        h.m.d.comb += exact.eq(Mux(first[1], 0, held.sum) + sum_of(addends_of(total)))
        goes_on = h.past(~first[1] & held.lost)
        h.prove(implies(h.past(taken), held.lost == (goes_on | (h.past(exact) != held.sum))),
                implies(h.past(h.net("capture")),
                        Value.cast(drain[-1]) == h.past(held)))
    exact = Signal(signed(held_width(config) + 1), name="result")
    h.m.d.comb += exact.eq(drain[0].sum - drain[1].sum)
    fits = exact == exact[:config.accumulator_width].as_signed()
    lost = h.past(h.net("moved") & (~fits | drain[0].lost | drain[1].lost))
    # what fits is what comes out
    result, waiting = h.dut.o, h.net("waiting")
    straight = h.net("moved") & ~waiting & (~result.valid | result.ready)
    h.prove(implies(h.past(straight & fits), result.p.values[0] == h.past(exact).as_signed()))
    flag = h.dut.overflow
    h.prove(implies(lost, flag), implies(h.past(flag & ~h.dut.clear), flag),
            implies(flag & ~h.past(flag), lost))
    return h


def absent_rows_and_columns() -> Harness:
    """Blocks of one row and one column, which give 0, raise no flag, however long they are and
    whatever is on the operands of the row and of the column that do not exist."""
    config = GRID
    h = Harness(MacTile(config))
    i, full, left = h.dut.i, h.net("full"), h.net("left", h.dut.i.p.rows.shape())
    # both the sum and what the zero cell takes off are 0: no digit is negative
    h.assume(implies(i.valid, (i.p.rows == 1) & (i.p.cols == 1) & ~i.p.a_signed),
             *(implies(i.valid, (i.p.a[0][lane] == 0)
                       & ((i.p.b[0][lane] <= 1) | (i.p.b[0][lane] == 5)))
               for lane in range(config.lanes)))
    valid = Cat(stage.valid for stage in stages_of(h, ""))
    begun, active = h.ghost(1, "begun"), h.ghost(1, "active")  # as in `accumulator`
    with h.m.If(i.valid & i.ready):
        h.m.d.sync += begun.eq(~i.p.last)
    h.assume(implies(i.valid, i.p.first | begun))
    with h.m.If(i.ready & valid[1]):
        h.m.d.sync += active.eq(1)
    cells = ("mac_cell_0_0.", "zero_cell_0.", "mac_cell_0_1.", "mac_cell_1_1.", "zero_cell_1.")
    first = _firsts(h, cells)
    # Cycle 0: operands of zero.
    a = h.net("a", codes_layout(config, config.rows))
    digits = h.net("digits", data.ArrayLayout(
        data.ArrayLayout(digits_layout(config), config.lanes), config.cols))
    tops = h.net("tops", data.ArrayLayout(data.ArrayLayout(2, config.lanes), config.cols))
    for lane in range(config.lanes):
        h.prove(implies(valid[0], (a[0][lane] == 0) & (tops[0][lane] == 0)
                        & (digits[0][lane].negative == 0) & (digits[1][lane].at == 0)))
    # Then sums of zero.
    h.prove(implies(begun, valid.any() | active), implies(full, active),
            implies(valid[1] & ~first[1], active),
            implies(valid[0] & ~first[0], valid[1] | active))
    for cell in cells:
        lanes = Value.cast(h.net(f"{cell}lane_sum.total", sums_layout(config)))
        accumulator, drain = (h.net(f"{cell}{name}", held_layout(config))
                              for name in ("accumulator", "drain"))
        h.prove(implies(valid[1], lanes == 0),
                implies(active, Value.cast(accumulator) == 0),
                implies(left != 0, Value.cast(drain) == 0))
    h.prove(*(implies(there, rows == 1) for there, rows in blocks_held(h, "")), ~h.dut.overflow)
    return h


def absent_columns() -> Harness:
    """In the rescaling unit, a column that does not exist counts as 0, and nothing became of it."""
    h = Harness(RescaleUnit(SMALL))
    valid = h.net("valid", latency(RescaleUnit))
    measured, outcome = h.dut.measured, h.dut.outcome
    keep = h.net("tag_1", tag_layout(SMALL)).keep
    for c in range(SMALL.cols):
        h.prove(implies(valid[0] & ~keep[c], ~h.net(f"rescale_lane_{c}.counts")),
                implies(valid[1] & ~measured.keep[c],
                        (measured.magnitudes[c] == 0) & ~measured.signs[c]),
                implies(~h.dut.o.p.tag.keep[c], ~outcome.clamped[c] & ~outcome.vanished[c]))
    return h


class SquareSteps(wiring.Component):
    """For every digit of a word, the sum of what `add_step` adds for it, one cycle later."""

    def __init__(self):
        super().__init__({"value": In(signed(WORD)),
                          **{f"added_{i}": Out(2 * WORD) for i in range(0, WORD, 2)}})

    def elaborate(self, platform):
        m = Module()
        for i, digit in zip(range(0, WORD, 2), square_digits(self.value), strict=True):
            columns = Columns(2 * WORD)
            columns.add_constant(add_step(m, columns, self.value, i, digit, f"step_{i}"))
            m.d.sync += getattr(self, f"added_{i}").eq(sum(columns.rows))
        return m


def square() -> Harness:
    """The digit d of bits i and i + 1 adds `2 * 2**i * d * L + (2**i * d)**2`, where L is the
    signed number that the bits below make: what it takes from L**2 to the square of `L + 2**i * d`,
    which is the number with these bits. So a word's square is exact, and at most 2**62.
    """
    h = Harness(SquareSteps())
    value = h.past(h.dut.value)
    for i in range(0, WORD, 2):
        below = value[:i].as_signed() if i else Const(0, signed(1))
        digit = Signal(signed(3), name=f"d_{i}")
        h.m.d.comb += digit.eq((value[i - 1] if i else 0) + value[i] - (value[i + 1] << 1))
        h.prove(value[:i + 2].as_signed() == below + (digit << i))
        for d in range(-2, 3):
            step = Signal(signed(2 * WORD), name=f"step_{i}_{d + 2}")
            h.m.d.comb += step.eq(((d * below) << i + 1) + (d * d << 2 * i))
            h.prove(implies(digit == d, getattr(h.dut, f"added_{i}") == step.as_unsigned()))
    return h


def statistics() -> Harness:
    """No sum wraps in a job of at most MAX_ELEMENTS elements.

    Each sum and its waiting carries together equal a ghost, one bit wider, that adds the same rows,
    as long as the ghost is at most what so many elements can make. A row's part of the counts and
    of sum_abs is proven too; that of sum_squares is free here, see `square`.
    """
    h = Harness(StatisticsUnit(SMALL))
    row, outcome = h.dut.row, h.dut.outcome
    for c in range(SMALL.cols):
        h.assume(implies(~row.keep[c], row.magnitudes[c] == 0),
                 row.magnitudes[c] <= LARGEST)

    def ones(bits):
        return sum(bits[c] for c in range(SMALL.cols))

    running = h.ghost(1, "running")  # the parts that were taken in reset are no job's
    h.m.d.sync += running.eq(1)
    clear = h.dut.clear
    of_row, of_outcome = ((x.valid, x.valid & x.first) for x in (row, h.dut))
    for name, largest, (counted, begins), part in (
        ("count", 1, of_row, ones(row.keep)),
        ("saturated", 1, of_outcome, ones(outcome.clamped)),
        ("underflowed", 1, of_outcome, ones(outcome.vanished)),
        ("sum_abs", LARGEST, of_row, sum(row.magnitudes[c] for c in range(SMALL.cols))),
        ("sum_squares", LARGEST**2, of_row, None),
    ):
        width = STATISTICS_LAYOUT[name].shape
        bits = {"sum_abs": WORD + 1, "sum_squares": width}.get(name, 2)
        rows = ADDENDS if name == "sum_squares" else 2
        terms = [h.net(f"{name}_term_{i}", bits) for i in range(rows)]
        added = Signal(width, name=f"added_{name}")
        h.m.d.comb += added.eq(sum(terms))
        if part is not None:
            h.prove(implies(running, added == Mux(h.past(counted), h.past(part), 0)))
        else:
            for i in range(rows):
                h.cut(f"{name}_{i}", bits)
            for cycle in range(1, squares_cycles(SMALL)):
                begins = h.past(begins)
                h.prove(begins == (h.net(f"row_valid_{cycle}") & h.net(f"row_first_{cycle}")))
        begins |= clear
        h.prove(h.net(f"{name}_cleared") == begins)
        total, carries = h.net(f"{name}_total", width), h.net(
            f"{name}_carries", (width - 1) // SEGMENT)
        exact, after = h.ghost(width + 1, name), Signal(width + 1, name=f"after_{name}")
        active = h.ghost(1, f"{name}_active")  # a job's first row has come
        h.m.d.comb += after.eq(exact + added)
        h.m.d.sync += [exact.eq(Mux(begins, 0, after)), active.eq(active | begins)]
        h.assume(implies(active & ~begins, after <= MAX_ELEMENTS * largest))
        # each segment's carry waits at the lowest place above it
        held = Signal(width, name=f"held_{name}")
        h.m.d.comb += held.eq(total + sum(
            carry << SEGMENT * (i + 1) for i, carry in enumerate(carries)))
        h.prove(implies(active, (exact == held) & (exact <= MAX_ELEMENTS * largest) & running))
    return h
