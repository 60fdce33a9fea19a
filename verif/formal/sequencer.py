# SPDX-License-Identifier: Apache-2.0
"""No deadlock: a descriptor ends if only nobody makes the sequencer wait for ever."""

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib.wiring import Out

from golden.config import Config
from golden.descriptor import FIELDS, WORDS, CoreOp
from hdl.core.layouts import line_words
from hdl.core.sequencer import MOVED, Sequencer, State
from verif.formal.harness import Harness, implies
from verif.formal.streams import streams_of

NARROW = Config(2, 2, 4, bus_width=64)
WIDTH = {f.name: f.width for f in FIELDS}


def sequencer_progress() -> Harness:
    """What is left of a descriptor shrinks in every cycle in which nobody is waited for.

    What is left is a number, its parts from the highest on: the state it is in before its first
    job, its elements, the state of an element, whether the pass over scratch is to come, what is
    left of K, whether the job has been taken, and by whom it has not, or the steps that are left of
    a state that counts. So a descriptor ends after as many steps as the number was, whatever its
    fields say. Others are waited for in three ways: all before a fence or behind a barrier have
    to be done, one that a job is offered to has to take it, and what stores has to have taken the
    job before.
    """
    h = Harness(Sequencer(NARROW))
    dut, m = h.dut, h.m
    state = h.net("state", 4)
    at = {one: Signal(name=f"in_{one.name.lower()}") for one in State}
    for one, signal in at.items():
        m.d.comb += signal.eq(state == one.value)
    batch_left, k_left = h.net("batch_left", WIDTH["batch"]), h.net("k_left", WIDTH["k"])
    gathers, last_chunk = h.net("gathers"), h.net("last_chunk")
    index = h.net("index", range(len(MOVED)))
    lines = WORDS // line_words(NARROW)
    line, previous = h.net("line", range(lines + 2)), h.net("previous", range(lines + 1))

    ordered = h.net("barrier") | (h.net("op", WIDTH["op"]) == CoreOp.FENCE)
    offers = streams_of(dut, Out).values()
    waits = Cat(offer.valid for offer in offers)
    taken = Cat(offer.valid & offer.ready for offer in offers)
    working, jobs = at[State.JOB] | at[State.AFTER], at[State.JOB]
    steps = Mux(at[State.READ], lines + 1 - line, Mux(at[State.MOVE], len(MOVED) - index,
                                                      Mux(jobs, waits, 0)))
    parts = {
        "before": (2, Mux(at[State.READ], 3, Mux(at[State.CHECK], 2, at[State.ORDER]))),
        "elements": (len(batch_left), batch_left),
        "element": (3, Mux(at[State.SHARED], 4, Mux(at[State.BEGIN], 3, Mux(working, 2, 1)))),
        "to_gather": (1, working & ~gathers),
        "of_k": (len(k_left), k_left),
        "offered": (1, jobs),
        "steps": ((lines + 1).bit_length(), steps),
    }
    digits = [Signal(width, name=f"left_{name}") for name, (width, _) in parts.items()]
    m.d.comb += [digit.eq(value) for digit, (_, value) in zip(digits, parts.values(), strict=True)]
    left = Cat(reversed(digits))
    kept_waiting = ((at[State.ORDER] & ordered & (dut.pending != 1))
                    | (jobs & waits.any() & ~taken.any())
                    | ((at[State.AFTER] | at[State.SHARED]) & ~dut.store.ready))
    ended = at[State.IDLE] | at[State.FAULT]
    h.prove(
        # the property
        implies(h.past(~ended & ~kept_waiting), ended | (left < h.past(left))),
        implies(h.past(at[State.IDLE] & dut.there & ~dut.hold), at[State.READ]),
        # what it stands on
        Cat(at.values()).any(),
        implies(waits.any(), jobs),
        implies(~at[State.READ] & ~at[State.CHECK], line == 0),
        implies(at[State.READ], (line == previous + 1) & (previous < lines)),
        implies(working & ~gathers, last_chunk == (k_left <= NARROW.depth)),
        implies(~ended & ~at[State.READ] & ~at[State.CHECK], batch_left != 0),
        implies(at[State.MOVE], (batch_left != 1) & (index < len(MOVED))),
    )
    return h


def offers_hold() -> Harness:
    """A job that is offered is offered, unchanged, until it is taken."""
    h = Harness(Sequencer(NARROW))
    state = h.net("state", 4)
    split, op, k = (h.net(name, WIDTH.get(name, 1)) for name in ("split", "op", "k"))
    offers = streams_of(h.dut, Out)
    h.prove(*(h.kept(offer) for offer in offers.values()),
            *(implies(offer.valid, state == State.JOB.value) for offer in offers.values()),
            # K is compared a cycle after it has been read
            implies(state >= State.ORDER.value, split == (
                (op == CoreOp.GEMM) & (k > NARROW.depth))))
    return h
