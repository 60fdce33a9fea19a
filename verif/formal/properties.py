# SPDX-License-Identifier: Apache-2.0
"""Every property that is proven, and for each a fault that its proof must notice."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from golden.config import Config
from hdl.engine.engine import Engine
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import AdaptUnit
from hdl.scales.solver import ScaleSolver
from hdl.tile.mac_tile import MacTile
from verif.formal import (
    adaptive,
    arithmetic,
    axi,
    correction,
    engine,
    progress,
    sequencer,
    streams,
)
from verif.formal.harness import SMALL, Harness
from verif.formal.prover import Verdict, prove
from verif.formal.structure import Paths, independent


@dataclass(frozen=True)
class Property:
    """One line of the table.

    Members
    -------
    name, block : what is proven, of which block. harness : makes what is to be proven, by induction
    unless it is `Paths`. faults : each net -> constant or net that takes its
    place. depth : of the induction, cycles.
    """

    name: str
    block: str
    harness: Callable
    faults: tuple[dict[str, str], ...] = field(hash=False)
    depth: int = 1

    def check(self, fault: dict[str, str] | None = None, trace: Path | None = None) -> Verdict:
        made = _made(self.harness)
        if isinstance(made, Paths):
            return independent(made, fault)
        return prove(made, self.depth, fault, trace=trace)


@cache
def _made(make: Callable) -> Harness:
    """What a property is about: one for its proof and all its faults, since it takes Amaranth
    longer to write than a proof to fail."""
    return make()


def _of(block, fault: dict[str, str], harness=None):
    harness = harness or (lambda: streams.stable(block(SMALL)))
    return Property("an offer holds until it is taken", block.__name__, harness, (fault,))


def _shape(block, fault: dict[str, str]):
    return Property("valid does not look at ready; no loops", block.__name__,
                    lambda: Paths(block(SMALL)), (fault,))


TINY = Config(2, 2, 8)

PROPERTIES = (
    _of(MacTile, {"kept": "1'b0"}),
    _of(RescaleUnit, {"advance": "1'b1"}),
    _of(ScaleSolver, {"unreachable": "last"}),
    _of(AdaptUnit, {"clipped": "first"}, adaptive.stable_report),
    _of(Engine, {"adapt_unit.ready": "1'b1"}, engine.stable_engine),
    _shape(MacTile, {"o__valid": "waits"}),
    _shape(RescaleUnit, {"o__valid": "advance"}),
    _shape(ScaleSolver, {"o__valid": "i__ready"}),
    _shape(AdaptUnit, {"report__valid": "report__ready"}),
    _shape(Engine, {"rescale_unit.o__valid": "result__ready"}),
    Property("no row is lost, none is late", "MacTile", progress.tile_progress,
             ({"capture": "1'b0"}, {"full": "1'b0"})),
    Property("no row is lost, none is late", "RescaleUnit", progress.rescale_progress,
             ({"advance": "1'b0"},)),
    Property(f"any request is answered in {progress.ANSWER} cycles", "ScaleSolver",
             progress.solver_progress, ({"last": "1'b0"},)),
    Property(f"any job is reported in {adaptive.report_within()} cycles", "AdaptUnit",
             adaptive.adapt_progress, (
                 {"statistics_unit.done": "1'b0"},  # the end of the rows is missed
                 {"scale_solver.o__valid": "1'b0"},  # the solver's answer is
                 {"job_dataless": "1'b0"})),  # rows are awaited that nobody sends
    Property(f"something moves every {engine.quiet_within()} cycles", "Engine",
             engine.engine_progress, (
                 {"mac_tile.capture": "1'b0"},  # a finished block stays where it is
                 {"bias__ready": "1'b0"},  # a stream is left behind
                 {"drainer.last_row": "1'b1"},  # the drainer takes one row per block
                 {"drainer.walk.last": "1'b0"},  # and goes on after the last block
                 {"feeder.walk.last_col": "1'b0"},  # the feeder takes more blocks than there are
                 {"drainer.taken": "1'b0"},  # the queue is never read
                 {"adapt_unit.ready": "1'b0"},  # adapting jobs never start
                 {"adapt_unit.valid": "1'b0"})),  # a measured row is not counted
    Property(f"something moves every {engine.quiet_within(TINY)} cycles, tiny", "Engine",
             lambda: engine.engine_progress(TINY),
             # the feeder stops after a row of blocks, the drainer stays in the first strip
             ({"feeder.walk.last": "feeder.walk.last_col"}, {"drainer.walk.strip_ends": "1'b0"})),
    Property("partial products are worth what products are", "DotProduct",
             lambda: arithmetic.lane_sums(arithmetic.NARROW), (
                 {"zeros.digit_multiplier_0.partial": "16'h0000"},)),
    Property("partial products are worth what products are, radix 2 alone", "DotProduct",
             lambda: arithmetic.lane_sums(replace(arithmetic.NARROW, radices=(2,))), (
                 {"products.split": "1'h0"},)),  # second digits count 32
    *(prop for bits, config in ((20, arithmetic.NARROW), (32, arithmetic.WIDE)) for prop in (
        Property(f"a cell adds up exactly, {bits} bits", "MacCell",
                 partial(arithmetic.exact_total, config),
                 ({"adder_0.carry": "adder_0.total"},)),
        Property(f"no overflow up to max_k, {bits} bits", "MacTile",
                 partial(arithmetic.accumulator, config), (
                     {"accumulate": "1'b1"},  # of beats that are not there
                     {"mac_cell_0_0.goes_on": "4'hf"})),  # blocks are added up
    )),
    Property("an overflow raises the flag", "MacTile",
             lambda: arithmetic.overflow_flag(arithmetic.NARROW), (
                 {"lost": "1'b0"},  # the drain does not look
                 {"mac_cell_0_0.wraps": "1'b0"})),
    Property("what does not exist raises no flag", "MacTile",
             arithmetic.absent_rows_and_columns, (
                 {"exist": "2'b11"},  # every column
                 {"moved": "1'b1"})),  # every row
    Property("a column's codes are added up exactly", "ColumnSum", correction.column_sum, (
        {"first_0.carry": "first_0.total"}, {"first_1.c": "first_1.b"}), depth=3),
    Property("no sum wraps up to 2**32 elements", "StatisticsUnit", arithmetic.statistics,
             ({"sum_squares_cleared": "1'b0"}, {"sum_abs_carries": "5'h00"})),
    Property("a column that does not exist counts as 0", "RescaleUnit", arithmetic.absent_columns,
             ({"rescale_lane_0.magnitude": "32'hffffffff"},)),
    Property("squares are exact, and reach 2**62", "SquareSteps", arithmetic.square,
             ({"added_4": "64'h0000000000000000"},)),
    *(Property("offers hold; no burst outside the window or across 4 KiB", block,
               partial(axi.addresses, channel), (
                   {"bursts.within_4": "1'b1"},  # nothing is refused
                   {"bursts.above_2": "1'b1"},  # the window has no start
                   {"bursts.more_3": "6'h00"},  # a segment is one burst, whatever its pages
                   {"bursts.burst__ready": "1'b1"}))  # an address is replaced before it is taken
      for block, channel in (("ReadDma", "ar"), ("WriteDma", "aw"))),
    Property("as many beats as AW says, wlast in the last", "WriteDma", axi.beats_of_bursts, (
        {"last": "1'b1"},  # bursts end after a beat
        {"filling": "1'b1"},  # beats go before their address
        {"lengths.i__ready": "1'b1"})),  # a length is lost in a full queue
    Property(f"something moves every {axi.QUIET} cycles", "ReadDma", axi.reads_go_on, (
        {"bursts.advance": "1'b0"},  # commands wait for ever
        {"gearbox.starts": "1'b0"},  # no segment's beats are looked at
        {"gearbox.unit__valid": "1'b0"}),  # beats are kept
             depth=axi.QUIET + 2),
    Property("an offer holds until it is taken", "Sequencer", sequencer.offers_hold, (
        {"load__valid": "there"},  # an offer is withdrawn
        {"first_chunk": "there"})),  # or changes
    Property("what is left of a descriptor shrinks unless others are waited for", "Sequencer",
             sequencer.sequencer_progress, (
                 {"last_chunk": "1'b0"},  # K never ends
                 {"gathers": "1'b0"},  # the pass over scratch follows itself
                 {"index": "4'h0"},  # the first address is moved for ever
                 {"batch_left": "32'h00000002"},  # so are the elements
                 {"previous": "7'h00"},  # lines are read for ever
                 {"waits_engine": "1'b1"})),  # a job that was taken is offered again
)
