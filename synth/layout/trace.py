# SPDX-License-Identifier: Apache-2.0
"""A net's metal as resistors between points: followed from pin to pin."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from synth.layout.kit import DBU, LAYERS, VIA_OHMS, Box, Polygon, via_boxes
from synth.layout.pieces import Point, Via, Wire

Node = tuple  # (layer, x, y), or the name of a pin or port
CONTACT_OHMS = 0.01  # of a pin's own metal, which the cell's delays have already


@dataclass(frozen=True)
class Edge:
    """A resistor between two nodes, ohms, and the wire's length, `DBU`, on its layer."""

    start: Node
    end: Node
    ohms: float
    layer: str = ""
    length: float = 0


def trace(pieces: Iterable[Wire | Via], pins: dict[str, list[Polygon]],
          ports: dict[str, tuple[str, int, int]]) -> list[Edge]:
    """The resistors of a net.

    `pins` : shapes on metal 1 by name. `ports` : layer and place. Both are joined to what they
    touch.
    """
    pieces = list(pieces)
    vias = [piece for piece in pieces if isinstance(piece, Via)]
    wires = [piece for piece in pieces if isinstance(piece, Wire)]
    points: dict[str, set[tuple[int, int]]] = {}
    for wire in wires:
        points.setdefault(wire.layer, set()).update((wire.start, wire.end))
    for via in vias:
        for layer in via.layers:
            points.setdefault(layer, set()).add(via.at)
    edges = {}
    for wire in wires:
        (x0, y0), (x1, y1) = sorted((wire.start, wire.end))
        on = sorted(p for p in points[wire.layer] if x0 <= p[0] <= x1 and y0 <= p[1] <= y1)
        for start, end in pairwise(on):  # pieces that lie over each other count once
            length = abs(start[0] - end[0]) + abs(start[1] - end[1])
            layer = LAYERS[wire.layer]
            edges[layer.name, start, end] = Edge(
                (layer.name, *start), (layer.name, *end), layer.ohms * length / DBU,
                layer.name, length)
    for via in vias:
        below, above = via.layers
        edges[via.name, via.at] = Edge((below, *via.at), (above, *via.at),
                                       VIA_OHMS[via.name.partition("_")[0]])
    found = list(edges.values())
    metal = [*((wire.layer, wire.box, [(wire.layer, *wire.start), (wire.layer, *wire.end)])
               for wire in wires),
             *((layer, _moved(via_boxes()[via.name][layer], via.at), [(layer, *via.at)])
               for via in vias for layer in via.layers)]
    for name, shapes in pins.items():
        found += [Edge((name,), _nearest(nodes, shape), CONTACT_OHMS)
                  for layer, box, nodes in metal if layer == "metal1"
                  for shape in shapes if touch(shape, box)]
    for name, (layer, x, y) in ports.items():
        half = LAYERS[layer].half
        metal.append((layer, (x - half, y - half, x + half, y + half), [(name,)]))
    return found + _contacts(found, metal)


def _contacts(edges: list[Edge], metal: list[tuple[str, Box, list[Node]]]) -> list[Edge]:
    """What joins pieces that touch without a point in common: the router leaves its grid to meet a
    pin, and a wire is wider than its middle."""
    root, found = _roots(edges), []
    for i, (layer, box, nodes) in enumerate(metal):
        for other, beside, others in metal[:i]:
            if layer == other and root(nodes[0]) != root(others[0]) and _meet(box, beside):
                one = _nearest(nodes, [beside[:2], beside[2:]])
                found.append(Edge(one, _nearest(others, [box[:2], box[2:]]), CONTACT_OHMS))
                root(nodes[0], others[0])
    return found


def _nearest(nodes: list[Node], shape: Polygon) -> Node:
    """The end of a piece that is nearest to the middle of a shape."""
    x, y = (sum(values) / len(shape) for values in zip(*shape, strict=True))
    return min(nodes, key=lambda node: abs(node[1] - x) + abs(node[2] - y)
               if len(node) > 1 else 0)


def _roots(edges: Iterable[Edge]):
    """`root(node)` : what stands for all nodes that are joined to it; `root(node, other)` joins."""
    parent: dict[Node, Node] = {}

    def root(node: Node, other: Node | None = None) -> Node:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        if other is not None:
            parent[node] = root(other)
        return parent[node]

    for edge in edges:
        root(edge.start, edge.end)
    return root


def groups(edges: Iterable[Edge], names: Iterable[str]) -> list[set[str]]:
    """Which pins and ports are connected with each other."""
    root = _roots(edges)
    found: dict[Node, set[str]] = {}
    for name in names:
        found.setdefault(root((name,)), set()).add(name)
    return list(found.values())


def _moved(box: Box, by: Point) -> Box:
    (left, bottom, right, top), (x, y) = box, by
    return left + x, bottom + y, right + x, top + y


def _meet(a: Box, b: Box) -> bool:
    return (max(a[0], b[0]) <= min(a[2], b[2])) and max(a[1], b[1]) <= min(a[3], b[3])


def touch(polygon: Polygon, box: Box) -> bool:
    """Whether a polygon of horizontal and vertical edges and a box have a point in common."""
    left, bottom = box[:2]
    inside = False
    x, y = polygon[-1]
    for p, q in polygon:
        if _meet((min(x, p), min(y, q), max(x, p), max(y, q)), box):
            return True
        # the box's corner is inside if as many edges as not lie to the right of it
        if (y > bottom) != (q > bottom) and x > left:
            inside = not inside
        x, y = p, q
    return inside
