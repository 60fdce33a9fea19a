# SPDX-License-Identifier: Apache-2.0
"""The engine: results and reports hold, and it never deadlocks.

It is proven whole, with the real tile, rescaling unit and adapt unit inside: nothing is cut or
assumed but the stream rule at the inputs.
"""

from itertools import pairwise
from types import SimpleNamespace

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.engine.drainer import drain_layout
from hdl.engine.engine import Engine
from hdl.engine.feeder import feed_layout, step_layout
from hdl.engine.job import Op
from hdl.engine.walk import block_layout
from hdl.layouts import tag_layout
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import AdaptUnit
from hdl.tile.mac_tile import MacTile
from verif.formal.adaptive import measuring, report_within, reporting, rows_expected
from verif.formal.harness import SMALL, Harness, implies, latency
from verif.formal.progress import blocks_held, stages_of
from verif.formal.streams import stable, streams_of


def block_within(config: Config = SMALL) -> int:
    """Cycles of a block through the engine, from its last beat to its first result."""
    return latency(MacTile, config) + latency(RescaleUnit, config)


def quiet_within(config: Config = SMALL) -> int:
    """Cycles that the engine may take between two handshakes: the report of rows that are
    discarded, the start of the next job, its first block."""
    return latency(RescaleUnit, config) + report_within(config) + 1 + block_within(config)


def stable_engine() -> Harness:
    """The engine's results and reports; the report holds only because no measured row is in
    flight while one waits."""
    h = stable(Engine(SMALL))
    measuring(h, "adapt_unit.", rows_on_their_way(h))
    return h


def in_rescale(h: Harness):
    """The stages of the engine's rescaling unit: whether a row is there, and its tag."""
    unit, config = "rescale_unit.", h.dut.config
    stages = latency(RescaleUnit, config)
    valid = h.net(f"{unit}valid", stages)
    tags = [h.net(f"{unit}tag_{cycle}", tag_layout(config)) for cycle in range(1, stages + 1)]
    # what is measured now is a row of this stage
    h.prove(implies(h.net(f"{unit}fresh"), valid[1] & tags[1].measure))
    return list(zip(valid, tags, strict=True))


def rows_on_their_way(h: Harness) -> list:
    """Measured rows on their way to the engine's adapt unit, youngest first: whether one is there,
    and whether it is its job's last. In the drainer, then in the rescaling unit."""
    draining, job = h.net("drainer.draining"), h.net("drainer.job", drain_layout(h.dut.config))
    h.prove(implies(draining, job.op != Op.TABLE))  # what runs in the drainer is data
    return [(draining & job.adapt.enable, 0),
            *((there & tag.measure, tag.last) for there, tag in in_rescale(h))]


def engine_progress(config: Config = SMALL) -> Harness:
    """Some stream moves within `quiet_within` cycles in which every input is offered and every
    output taken, after whatever stalls and whatever jobs; while there is work, a job that is
    refused does not count as one that moves.

    `rest` bounds the cycles until then: it falls in each of them. That the drainer never waits for
    rows that do not come is what `coupled` shows; that the engine waits for the adapt unit only
    while that is about to report, `reporting`; that a step moves all its streams, `joined`.
    """
    h, block, within = Harness(Engine(config)), block_within(config), quiet_within(config)
    inputs, outputs = (streams_of(h.dut, flow).values() for flow in (In, Out))
    h.assume(*(h.kept(stream) for stream in inputs))
    ahead = rows_on_their_way(h)
    reported, looking, lookup = reporting(h, "adapt_unit.", ahead)
    adapt = h.inner("adapt_unit.", AdaptUnit(config))
    is_open, *rules = rows_expected(h, adapt)  # what `adapt_progress` assumes is so
    h.prove(*rules, is_open == Cat(there for there, _ in ahead).any())

    drainer, queued, held = coupled(h)
    offered = joined(h, drainer)
    to_rescale, rest = Signal(range(block)), Signal(range(within + 1))
    rescaling = in_rescale(h)
    for place, (there, _) in reversed(list(enumerate(held))):
        with h.m.If(there):
            h.m.d.comb += to_rescale.eq(len(rescaling) + place)
    with h.m.If(offered):
        h.m.d.comb += to_rescale.eq(len(rescaling))
    with h.m.If(drainer.valid):
        h.m.d.comb += rest.eq(Mux(drainer.gemm, to_rescale, 0))
    with h.m.Elif(queued.valid):
        h.m.d.comb += rest.eq(Mux(queued.job.adapt.enable,
                                  Mux(looking, lookup, reported), 0) + block)
    for stage, (there, tag) in enumerate(rescaling):
        with h.m.If(there & ~tag.discard):
            h.m.d.comb += rest.eq(len(rescaling) - 1 - stage)

    refused = h.net("bad")
    fair = (Cat(stream.valid for stream in inputs).all()
            & Cat(stream.ready for stream in outputs).all()
            & (drainer.valid | queued.valid | ~refused))
    moves = Cat(moved(stream) & ~((stream is h.dut.job) & refused)
                for stream in (*inputs, *outputs)).any()
    quiet = h.ghost(range(within + 1), "quiet")
    h.m.d.sync += quiet.eq(Mux(fair & ~moves, quiet + 1, 0))
    h.prove(quiet + rest <= within, implies(fair & ~moves, rest > 0))
    return h


def coupled(h: Harness):
    """Proves that the drainer's walk, taken on over the blocks that the tile holds, meets the
    feeder's: the tile holds just the rows that the drainer waits for, or the feeder feeds them.
    Returns the drainer, its queue, and the places in the tile."""
    config = h.dut.config
    walked = block_layout(config)
    place = data.StructLayout({  # of a block, and what the walk needs to go on from there
        "tail": walked["rows"].shape,  # rows of the lowest blocks
        "across": walked["right"].shape,  # blocks after the first one, over all strips
        "down": walked["below"].shape,  # rows of blocks after the first one
        "strips": 1,
        "beyond": walked["beyond"].shape,
        "below": walked["below"].shape,
        "right": walked["right"].shape,
    })
    strip = config.strip // config.cols

    def rows_of(at):
        return Mux(at.below == 0, at.tail, config.rows)

    def right_of(at, beyond):
        """The blocks after the first one of a row of blocks of a strip."""
        return Mux(at.strips, Mux(beyond == 0, at.across % strip, strip - 1), at.across)

    def job_at(name, valid, job):
        """A job at a station of the engine, whose first block lies at `start`."""
        start = Signal(place, name=f"{name}_start")
        beyond = Mux(job.extent.strips, job.extent.cols.more // strip, 0)
        h.m.d.comb += [start.tail.eq(job.extent.rows.tail), start.across.eq(job.extent.cols.more),
                       start.down.eq(job.extent.rows.more), start.strips.eq(job.extent.strips),
                       start.beyond.eq(beyond), start.below.eq(job.extent.rows.more),
                       start.right.eq(right_of(start, beyond))]
        return SimpleNamespace(valid=valid, job=job, start=start)

    def walk(unit, valid, job):
        """The job that a unit walks over, at its current block."""
        found, now = job_at(unit, valid, job), h.net(f"{unit}.walk.block", walked)
        found.at = Signal(place, name=f"{unit}_at")
        h.m.d.comb += [found.at.eq(found.start), found.at.beyond.eq(now.beyond),
                       found.at.below.eq(now.below), found.at.right.eq(now.right)]
        h.prove(implies(valid, (now.last_col == (now.right == 0))
                        & (now.last_row == (now.below == 0))
                        & (now.last == (Cat(now.right, now.below, now.beyond) == 0))
                        & (found.at.strips | (now.beyond == 0))
                        & (now.rows == rows_of(found.at)) & (found.at.tail != 0)
                        & (found.at.tail <= config.rows)))
        return found

    drainer = walk("drainer", h.net("drainer.draining"),
                   h.net("drainer.job", drain_layout(config)))
    feeder = walk("feeder", h.net("feeder.feeding"), h.net("feeder.job", feed_layout(config)))
    queued = job_at("queued", h.net("drainer.queue_valid"),
                    h.net("drainer.queued", drain_layout(config)))
    for station in (drainer, queued):
        station.gemm = station.valid & (station.job.op == Op.GEMM)
    row_index = h.net("drainer.row_index", range(config.rows))
    step, start = h.net("feeder.step", step_layout(config)), queued.start

    def runs(job):
        """What `refused` leaves of a descriptor, as far as progress needs it."""
        return (((job.op == Op.GEMM) & ~(job.adapt.enable & job.adapt.discard))
                | (job.op == Op.QUANTISE) | ((job.op == Op.TABLE) & job.adapt.enable))

    has_rows = queued.job.op != Op.TABLE
    h.prove(
        implies(queued.valid, runs(queued.job)),
        implies(queued.valid & has_rows, (start.tail != 0) & (start.tail <= config.rows)),
        implies(drainer.valid, runs(drainer.job) & (row_index < rows_of(drainer.at))
                & (h.net("drainer.last_row") == (row_index + 1 == rows_of(drainer.at)))
                & (h.net("drainer.quantise") == (drainer.job.op == Op.QUANTISE))
                & (h.net("drainer.gemm") == (drainer.job.op == Op.GEMM))),
        implies(~drainer.valid, row_index == 0),
        implies(feeder.valid, step.last == (step.left == 0)),
    )
    # The next block to be drained: of the drainer's job, else of the queue's, else not known yet.
    known, of_queue, at = drainer.gemm | queued.gemm, ~drainer.gemm, Signal(place)
    begun = Mux(drainer.gemm, row_index, 0)
    h.m.d.comb += at.eq(Mux(of_queue, start, drainer.at))
    held = blocks_held(h, "mac_tile.")
    # only what comes out is so in part
    h.prove(implies(~Cat(there for there, _ in held[:3]).any(), begun == 0))
    for (there, rows), block in zip(held, positions_held(h, feeder.at), strict=True):
        h.prove(implies(there, known & (block == at) & (rows + begun == rows_of(at))))
        after, last, begun = Signal(place), Signal(), Mux(there, 0, begun)
        h.m.d.comb += after.eq(Mux(there, block, at))
        with h.m.If(there & (block.right != 0)):
            h.m.d.comb += after.right.eq(block.right - 1)
        with h.m.Elif(there & (block.below != 0)):
            h.m.d.comb += [after.right.eq(right_of(block, block.beyond)),
                           after.below.eq(block.below - 1)]
        with h.m.Elif(there & (block.beyond != 0)):
            h.m.d.comb += [after.right.eq(right_of(block, block.beyond - 1)),
                           after.below.eq(block.down), after.beyond.eq(block.beyond - 1)]
        with h.m.Elif(there):  # the last block of its job
            h.m.d.comb += [last.eq(1), after.eq(start)]
        known, of_queue, at = Mux(last, queued.gemm & ~of_queue, known), of_queue | last, after
    h.prove(feeder.valid == known,
            implies(feeder.valid, (of_queue == queued.valid) & (feeder.at == at)))
    return drainer, queued, held


def moved(stream):
    return stream.valid & stream.ready


def joined(h: Harness, drainer):
    """Proves that every stream that a beat or a row needs moves with it, and only then: none is
    left behind. Returns whether the tile offers a row."""
    dut = h.dut
    tile, rescale = (h.inner(f"{name}.", block(dut.config)) for name, block in (
        ("mac_tile", MacTile), ("rescale_unit", RescaleUnit)))
    fed, drained, job = moved(tile.i), moved(rescale.i), drainer.job
    h.prove(
        moved(dut.a) == fed, moved(dut.b) == fed,
        moved(tile.o) == (drained & drainer.gemm), moved(dut.x) == (drained & ~drainer.gemm),
        moved(dut.mask) == (drained & job.mask),
        moved(dut.bias) == (drained & job.bias & h.net("drainer.last_row")),
    )
    return tile.o.valid


def positions_held(h: Harness, fed) -> list:
    """Ghosts beside the places of `blocks_held`: where in its job's walk a block lies. `fed` is the
    position of the block that is being fed."""
    stages = stages_of(h, "mac_tile.")
    advance, capture, moves = (
        h.net(f"mac_tile.{name}") for name in ("i__ready", "capture", "moved"))
    row, waits, left, full, *staged = places = [
        h.ghost(fed.shape(), f"position_{place}") for place in range(len(stages) + 4)]
    waiting, out = h.net("mac_tile.waiting"), h.inner("mac_tile.", MacTile(h.dut.config)).o
    with h.m.If(~out.valid | out.ready):
        h.m.d.sync += row.eq(Mux(waiting, waits, left))
    with h.m.Elif(moves):
        h.m.d.sync += waits.eq(left)
    with h.m.If(capture):
        h.m.d.sync += left.eq(full)
    with h.m.If(advance & stages[-1].valid & stages[-1].last):
        h.m.d.sync += full.eq(staged[0])
    with h.m.If(advance):
        h.m.d.sync += [after.eq(before) for after, before in pairwise([*staged, fed])]
    return places
