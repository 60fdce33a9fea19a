# SPDX-License-Identifier: Apache-2.0
"""Wires made by hand: what a router forgets, and resistors from pin to pin."""

import pytest

from synth.layout import kit, route
from synth.layout.pieces import Routed, Via, Wire
from synth.layout.trace import groups, touch, trace


def test_what_the_router_forgets_is_put_back():
    """Two places as qrouter 1.4.71 wrote them: a via that is not there, one beside its wire."""
    lacks = [[Wire("metal3", (500, 100), (200, 100))], [Wire("metal2", (200, 100), (200, 400))]]
    beside = [[Wire("metal1", (300, 0), (300, 280)), Via("via1_4", (300, 280))],
              [Wire("metal2", (80, 280), (80, 900))]]
    routed = route.mended(Routed({"a": lacks, "b": beside, "c": lacks}, []), ["a", "b"])
    assert Via("via2_5", (200, 100)) in routed.nets["a"]
    assert routed.nets["b"] == [Wire("metal1", (300, 0), (300, 280)),
                                Wire("metal1", (300, 280), (80, 280)), Via("via1_4", (80, 280)),
                                Wire("metal2", (80, 280), (80, 900))]
    assert routed.paths["c"] is lacks  # of a net that is not open nothing changes
    # what meets, lies further off, or two layers away stays as it was
    for fine in ([[Wire("metal3", (500, 100), (200, 100)), Via("via2_5", (200, 100))],
                  [Wire("metal2", (200, 100), (200, 400))]],
                 [[Via("via1_4", (300, 280))], [Wire("metal2", (700, 280), (700, 900))]],
                 [[Via("via2_5", (300, 280))], [Wire("metal1", (200, 280), (200, 900))]],
                 [[Wire("metal3", (500, 100), (200, 100))], [Wire("metal2", (380, 0), (380, 9))]],
                 [[Wire("metal4", (500, 100), (200, 100))], [Wire("metal1", (200, 100), (0, 100))]],
                 [[Wire("metal3", (500, 100), (200, 100))], [Wire("metal3", (200, 100), (9, 100))]],
                 ):
        same = route.mended(Routed({"a": fine}, []), ["a"])
        assert same.nets == Routed({"a": fine}, []).nets
    pins = {"u:Z": [[(400, 0), (600, 0), (600, 200), (400, 200)]]}
    for net, whole in (("a", 1), ("c", 2)):
        edges = trace([*routed.nets[net], Via("via1_4", (500, 100)), Via("via2_5", (500, 100))],
                      pins, {"port": ("metal2", 200, 400)})
        assert len(groups(edges, ["u:Z", "port"])) == whole


def resistance(edges, start, end) -> float:
    """Ohms from a node to another, of resistors that make no loop."""
    known, front = {start: 0.0}, [start]
    while front:
        node = front.pop()
        for edge in edges:
            for one, other in ((edge.start, edge.end), (edge.end, edge.start)):
                if one == node and other not in known:
                    known[other] = known[node] + edge.ohms
                    front.append(other)
    return known[end]


def test_resistances_of_a_hand_made_net():
    """Two micrometres of metal 2, a cut, one of metal 3 of which half lies twice."""
    pieces = [Via("via1_4", (0, 0)), Wire("metal2", (0, 0), (0, 4000)), Via("via2_5", (0, 4000)),
              Wire("metal3", (0, 4000), (2000, 4000)), Wire("metal3", (1000, 4000), (2000, 4000))]
    square = [(-100, -100), (100, -100), (100, 100), (-100, 100)]
    edges = trace(pieces, {"u:Z": [square]}, {"y": ("metal3", 2000, 4000)})
    assert len(groups(edges, ["u:Z", "y"])) == 1
    wires = sum(edge.ohms for edge in edges if edge.layer)
    assert wires == pytest.approx(3.5714 * 2 + 3.5714 * 1)
    assert sum(edge.ohms for edge in edges if not edge.layer) == pytest.approx(10, abs=0.1)
    assert resistance(edges, ("u:Z",), ("y",)) == pytest.approx(sum(e.ohms for e in edges))
    # a pin that only a wire's far end touches, and one that nothing does
    far = [(x + 20_000, y) for x, y in square]
    edges = trace([Via("via1_4", (0, 0)), Wire("metal1", (0, 0), (20_000, 0))],
                  {"u:Z": [far], "v:A": [[(x, y + 900) for x, y in square]]}, {})
    assert resistance(edges, ("u:Z",), ("metal2", 0, 0)) == pytest.approx(
        10 * kit.LAYERS["metal1"].ohms + 5, abs=0.1)
    assert sorted(map(len, groups(edges, ["u:Z", "v:A"]))) == [1, 1]
    # wires that cross without a point in common, and layers above
    edges = trace([Wire("metal5", (0, 0), (8_000, 0)), Wire("metal5", (8_050, 0), (8_050, 4_000)),
                   Via("via4_0", (0, 0))], {}, {})
    assert resistance(edges, ("metal4", 0, 0), ("metal5", 8_050, 4_000)) == pytest.approx(
        6 * kit.LAYERS["metal5"].ohms + 3, abs=0.1)
    assert touch(square, (-1, -1, 1, 1)) and touch(square, (-900, -900, 900, 900))
    assert not touch(square, (101, -900, 900, 900))
