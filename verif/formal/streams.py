# SPDX-License-Identifier: Apache-2.0
"""Streams: what is offered and not taken is offered again, unchanged."""

from amaranth.hdl import Cat
from amaranth.lib.wiring import In, Out

from hdl.adaptive import ADAPT_LAYOUT, AdaptUnit
from hdl.engine import Engine
from hdl.job import Op, job_layout
from hdl.layouts import tag_layout
from hdl.rescale import RescaleUnit
from verif.formal.harness import SMALL, Harness, implies


def streams_of(block, flow):
    """The streams of a component in one direction, by name."""
    return {name: getattr(block, name) for name, member in block.signature.members.items()
            if member.is_signature and member.flow == flow}


def stable(block) -> Harness:
    """Every output stream of `block` keeps the rule if every input stream does."""
    h = Harness(block)
    for flow, act in ((In, h.assume), (Out, h.prove)):
        for stream in streams_of(block, flow).values():
            act(h.kept(stream))
    return h


def stable_engine() -> Harness:
    """The engine's results and reports; the report holds only because no measured row is in
    flight while one waits."""
    h = stable(Engine(SMALL))
    measuring(h)
    return h


def measuring(h: Harness) -> dict:
    """Proves the life of a measured job in the engine; returns the adapt unit's states.

    In flight: a measured row in the drainer (0), a stage of the rescaling unit (1..4) or of the
    statistics unit (5, 6). The last row of the job has none behind it.
    """
    states = h.states("adapt_unit.", AdaptUnit(SMALL))
    rescale, unit = "rescale_unit.", "adapt_unit.statistics_unit."
    draining = h.net("draining")
    job = h.net("drain_job", job_layout(SMALL))
    stages = h.net(f"{rescale}valid", RescaleUnit.latency)
    tags = [h.net(f"{rescale}tag_{i}", tag_layout(SMALL)) for i in range(RescaleUnit.latency)]
    counted, ends = h.net(f"{unit}valid_1", 2), h.net(f"{unit}last_1", 2)
    measures = [draining & job.adapt.enable,
                *(valid & tag.measure for valid, tag in zip(stages, tags, strict=True)), *counted]
    lasts = [0, *(tag.last for tag in tags), *ends]
    done = h.net(f"{unit}done")
    adapting = h.net("adapt_unit.job", ADAPT_LAYOUT)
    dataless = h.net("adapt_unit.dataless")
    in_flight = Cat(measures).any()
    expected = states["MEASURE"] & ~dataless
    h.prove(
        implies(in_flight | done, expected),
        implies(done, ~in_flight),
        # the job in the unit will end: its last row is in flight, or still to come
        implies(expected, measures[0] | done | Cat(
            m & last for m, last in zip(measures, lasts, strict=True)).any()),
        *(implies(m & last, ~Cat(measures[:i]).any())
          for i, (m, last) in enumerate(zip(measures, lasts, strict=True)) if i),
        # what runs in the drainer is data, and what is adapting was enabled
        implies(draining, job.op != Op.TABLE),
        implies(expected, adapting.enable),
    )
    return states
