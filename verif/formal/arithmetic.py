# SPDX-License-Identifier: Apache-2.0
"""No overflow: the accumulators up to `max_k`, the statistics up to MAX_ELEMENTS."""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import data

from golden.config import Config
from golden.formats import INT4, INT32, UINT4, max_product
from golden.statistics import MAX_ELEMENTS
from hdl.layouts import WORD, BFormat
from hdl.mac_tile import MacTile
from hdl.rescale import RescaleUnit
from hdl.statistics import STATISTICS_LAYOUT, Squarer, StatisticsUnit
from verif.formal.harness import SMALL, Harness, implies

# One cell, whose neighbours are copies of it; the narrowest accumulator and the widest.
NARROW = Config(1, 1, 2, accumulator_width=20)
WIDE = Config(1, 1, 2, accumulator_width=32, dim_width=16)
LARGEST = -INT32.lo  # the greatest magnitude of a 32-bit word


def accumulator(config: Config, beyond: int = 0) -> Harness:
    """No overflow, and no flag, in any block whose `reach` stays within the accumulator.

    A block's reach is the largest product of its formats times its steps, K * max_product: at most
    2**(accumulator_width - 1) - 1 exactly if K <= max_k. |accumulator| <= reach so far, at every
    stage of the tile. The first beat after a block's last is a first one.
    `beyond` widens the bound, to see that it is needed.
    """
    h = Harness(MacTile(config))
    m, i = h.m, h.dut.i
    beat = i.p
    kinds = [(a, b) for a in (UINT4, INT4) for b in (INT4, *config.log_formats)]
    offered_kind = [(beat.b_format == BFormat.of(b)) & (beat.a_signed == (a is INT4))
                    for a, b in kinds]
    limit = 2**(config.accumulator_width - 1) - 1 + beyond
    reach_width = config.accumulator_width + 1
    # ghosts of the stages: reach of the block so far, of this beat, its lanes and its formats
    reach = [h.ghost(reach_width, f"reach_{stage}") for stage in range(3)]
    own = [h.ghost(config.dot_width, f"own_{stage}") for stage in range(2)]
    lanes, kind = h.ghost(beat.lanes.shape(), "lanes"), h.ghost(len(kinds), "kind")
    so_far = h.ghost(reach_width, "so_far")  # of the block that is being sent
    begun = h.ghost(1, "begun")  # a block is being sent: the next beat may go on with it
    active = h.ghost(1, "active")  # the accumulator holds sums since reset
    valid, first = h.net("valid", 2), h.net("first", 2)
    beat_reach, offered = Signal(config.dot_width), Signal(reach_width)
    m.d.comb += [beat_reach.eq(_reach(beat.lanes, offered_kind, kinds)),
                 offered.eq(beat_reach + Mux(beat.first, 0, so_far))]
    with m.If(i.valid & i.ready):
        m.d.sync += [so_far.eq(offered), begun.eq(~beat.last)]
    with m.If(i.ready):
        m.d.sync += [reach[0].eq(offered), reach[1].eq(reach[0]), own[0].eq(beat_reach),
                     own[1].eq(own[0]), lanes.eq(beat.lanes), kind.eq(Cat(offered_kind))]
        with m.If(valid[1]):
            m.d.sync += [reach[2].eq(reach[1]), active.eq(1)]
    h.assume(implies(i.valid, Cat(offered_kind).any() & (beat.lanes >= 1)
                     & (beat.lanes <= config.lanes) & (beat.first | begun) & (offered <= limit)))

    # The chain of reaches through the stages, youngest first.
    newest = Mux(valid[0], reach[0], Mux(valid[1], reach[1], reach[2]))
    h.prove(implies(begun, so_far == newest), implies(begun, valid.any() | active),
            implies(active, reach[2] <= limit))
    older = (Mux(valid[1], reach[1], reach[2]), reach[2])
    exists = (valid[1] | active, active)
    for stage in range(2):
        h.prove(implies(valid[stage], reach[stage] == own[stage] + Mux(
                    first[stage], 0, older[stage])),
                implies(valid[stage] & ~first[stage], exists[stage]),
                implies(valid[stage], reach[stage] <= limit))

    # The operands behind stage 0, the sum behind stage 1, the accumulator.
    a = h.net("a", data.ArrayLayout(data.ArrayLayout(4, config.lanes), 1))[0]
    a_sign = h.net("a_sign_0", config.lanes)
    b_format = h.net("b_format", BFormat)
    is_signed = Cat(kind[n] for n, (x, _) in enumerate(kinds) if x is INT4).any()
    h.prove(implies(valid[0], (own[0] == _reach(lanes, kind, kinds))
                    & Cat(kind == 1 << n for n in range(len(kinds))).any()
                    & (lanes <= config.lanes)))
    for n, (_, b) in enumerate(kinds):
        h.prove(implies(valid[0] & kind[n], b_format == BFormat.of(b)))
    for lane in range(config.lanes):
        h.prove(implies(valid[0], a_sign[lane] == (a[lane][3] & is_signed)),
                implies(valid[0] & (lane >= lanes), a[lane] == 0))
    cell = "mac_cell_0_0."
    total = h.net(f"{cell}dot_product.total", signed(config.dot_width))
    held = h.net(f"{cell}accumulator", signed(config.accumulator_width))
    h.prove(implies(valid[1], (total <= own[1]) & (total >= -own[1])),
            implies(active, (held <= reach[2]) & (held >= -reach[2])),
            ~h.net(f"{cell}overflow"), ~h.dut.overflow)
    return h


def _reach(lanes, chosen, kinds):
    """Lanes times the largest product of the formats that are chosen."""
    reach = 0
    for condition, (a, b) in zip(chosen, kinds, strict=True):
        reach = Mux(condition, lanes * max_product(a, b), reach)
    return reach


def overflow_flag(config: Config) -> Harness:
    """A sum that the accumulator cannot hold raises the flag, which stays until it is cleared."""
    h = Harness(MacTile(config))
    cell = "mac_cell_0_0."
    taken, first = h.net("accumulate"), h.net("first", 2)
    total = h.net(f"{cell}dot_product.total", signed(config.dot_width))
    held = h.net(f"{cell}accumulator", signed(config.accumulator_width))
    exact = Signal(signed(config.accumulator_width + 8))
    h.m.d.comb += exact.eq(Mux(first[1], 0, held) + total)
    lost = h.past(taken) & (h.past(exact) != held)
    flag = h.dut.overflow
    h.prove(implies(lost, flag), implies(h.past(flag & ~h.dut.clear), flag),
            implies(flag & ~h.past(flag), lost))
    return h


def magnitudes() -> Harness:
    """No magnitude that the rescaling unit gives for the statistics exceeds 2**31."""
    h = Harness(RescaleUnit(SMALL))
    valid = h.net("valid", RescaleUnit.latency)
    for column in range(SMALL.cols):
        lane = f"rescale_lane_{column}."
        for stage in range(RescaleUnit.latency - 1):
            h.prove(implies(valid[stage], h.net(f"{lane}magnitude_{stage}", WORD) <= LARGEST))
        h.prove(implies(h.dut.o.valid, h.dut.measured.lanes[column].magnitude <= LARGEST))
    return h


def square() -> Harness:
    """The square of a magnitude of at most 2**31 is at most 2**62, and that of 0 is 0."""
    h = Harness(Squarer(SMALL))
    h.assume(h.dut.magnitude <= LARGEST)
    h.prove(h.dut.square <= LARGEST**2, implies(h.past(h.dut.magnitude == 0), h.dut.square == 0))
    return h


def statistics() -> Harness:
    """No sum wraps in a job of at most MAX_ELEMENTS elements.

    Of `total`, and of a row's `part`: sum_abs <= count * 2**31, sum_squares <= count * 2**62, the
    other counts <= count; and the adders' results are the sums, in a wider arithmetic. The squarers
    are replaced by what `square` proves of them: any value up to 2**62, and 0 for 0.
    """
    h = Harness(StatisticsUnit(SMALL))
    m, dut = h.m, h.dut
    cols = range(SMALL.cols)
    valid, first = h.net("valid_1", 2), h.net("first_1", 2)
    kept, clamped, vanished = (h.net(name, SMALL.cols) for name in ("kept", "clamped", "vanished"))
    part, total, after = (h.net(name, STATISTICS_LAYOUT) for name in ("part", "total", "after"))
    for c in cols:
        h.assume(implies(dut.valid, dut.row.lanes[c].magnitude <= LARGEST))
        squared = h.cut(f"squarer_{c}.square", 2 * WORD)
        h.assume(squared <= Mux(kept[c], LARGEST**2, 0))
        h.prove(implies(valid[0], h.net(f"magnitude_1_{c}", WORD) <= Mux(kept[c], LARGEST, 0)))
    h.prove(clamped & ~kept == 0, vanished & ~kept == 0)

    active = h.ghost(1, "active")  # a job has begun since reset; its first row says so
    begun = h.ghost(1, "begun")
    m.d.sync += begun.eq(begun | dut.valid)
    h.assume(implies(dut.valid & ~begun, dut.first))
    with m.If(valid[1]):
        m.d.sync += active.eq(1)
    h.prove(implies(valid[0], begun), implies(valid[1], begun), implies(active, begun),
            implies(begun, valid.any() | active),
            implies(valid[0] & ~first[0], valid[1] | active),
            implies(valid[1] & ~first[1], active))
    # rows come while the job may still grow; `count` never wraps before the bound is reached
    h.assume(implies(valid[1], Mux(first[1], 0, total.count) + part.count <= MAX_ELEMENTS))
    for condition, sums in ((valid[1], part), (active, total)):
        h.prove(implies(condition, sums.sum_abs <= sums.count << (WORD - 1)),
                implies(condition, sums.sum_squares <= sums.count << (2 * WORD - 2)),
                implies(condition, sums.saturated <= sums.count),
                implies(condition, sums.underflowed <= sums.count))
    h.prove(implies(valid[1], part.count <= SMALL.cols),
            implies(active, total.count <= MAX_ELEMENTS))
    for name in ("count", "sum_abs", "sum_squares", "saturated", "underflowed"):
        h.prove(implies(valid[1], after[name] == Mux(first[1], 0, total[name]) + part[name]))
    return h
