# SPDX-License-Identifier: Apache-2.0
"""Streams: what is offered and not taken is offered again, unchanged."""

from amaranth.lib.wiring import In, Out

from verif.formal.harness import Harness


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
