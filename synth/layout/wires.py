# SPDX-License-Identifier: Apache-2.0
"""Wires in SPEF: as they are routed, as their pins' places promise, or none."""

from collections.abc import Callable

from synth.cells.libraries import NANGATE45
from synth.energy.power import cells_of
from synth.layout.kit import DBU, ESTIMATED, LAYERS
from synth.layout.pieces import Routed
from synth.layout.place import Placed
from synth.layout.route import ends
from synth.layout.trace import CONTACT_OHMS, Edge, trace

_HEAD = """*SPEF "IEEE 1481-1998"
*DESIGN "{top}"
*DATE "" *VENDOR "" *PROGRAM "tetra" *VERSION "" *DESIGN_FLOW ""
*DIVIDER /
*DELIMITER :
*BUS_DELIMITER []
*T_UNIT 1 NS
*C_UNIT 1 FF
*R_UNIT 1 OHM
*L_UNIT 1 HENRY

*PORTS
"""


def routed_wires(placed: Placed, routed: Routed) -> str:
    """SPEF of the wires that were laid, with the kit's resistances and capacitances by layer."""
    def edges(net: str) -> list[Edge]:
        pins, ports = ends(placed, net)
        return trace(routed.nets.get(net, []), pins, ports)

    return _spef(placed, edges)


def promised_wires(placed: Placed) -> str:
    """SPEF of wires as long as half the perimeter of the box around each net's pins: half of it
    from the driver to a middle, from which each pin is as far again; they share the other half's
    capacitance."""
    lengths = placed.half_perimeters()

    def edges(net: str) -> list[Edge]:
        driver, *sinks = _ends(placed, net)
        ohms, length = ESTIMATED.ohms * lengths[net] / DBU / 2, lengths[net] / 2
        return [Edge((driver,), (net, 0), ohms, ESTIMATED.name, length),
                *(Edge((net, 0), (sink,), ohms, ESTIMATED.name, length / len(sinks))
                  for sink in sinks)]

    return _spef(placed, edges)


def no_wires(placed: Placed) -> str:
    """SPEF in which every net is its pins."""
    def edges(net: str) -> list[Edge]:
        driver, *sinks = _ends(placed, net)
        return [Edge((driver,), (sink,), CONTACT_OHMS) for sink in sinks]

    return _spef(placed, edges)


def _ends(placed: Placed, net: str) -> list[str]:
    """A net's pins as `instance:pin`, and its port, what drives it first."""
    cells = cells_of(NANGATE45.path)
    flat = placed.flat
    drivers = {f"{name}:{pin}" for name, pin in flat.nets[net]
               if pin in cells[flat.cells[name][0]].outputs}
    pins = [f"{name}:{pin}" for name, pin in flat.nets[net]]
    port = [net] if net in placed.ports else []
    return sorted(port + pins, key=lambda end: end not in (drivers or port))


def _spef(placed: Placed, edges_of: Callable[[str], list[Edge]]) -> str:
    flat = placed.flat
    ways = dict.fromkeys(flat.outputs, "O")
    lines = [_HEAD.format(top=flat.top)]
    lines += [f"{port} {ways.get(port, 'I')}" for port in placed.ports]
    for net in flat.nets:
        found = _ends(placed, net)
        if len(found) > 1:
            lines += _net(net, found, edges_of(net), ways.get(net, "I"), net in placed.ports)
    return "\n".join(lines) + "\n"


def _net(net: str, found: list[str], edges: list[Edge], way: str, port: bool) -> list[str]:
    """The section of a net: its driver first, half of an edge's capacitance at either end."""
    names = {(end,): end for end in found}

    def name(node: tuple) -> str:
        return names.setdefault(node, f"{net}:{len(names)}")

    farads: dict[str, float] = {}
    for edge in edges:
        if edge.length:
            half = edge.length / DBU * LAYERS[edge.layer].femtofarads / 2
            for node in (edge.start, edge.end):
                farads[name(node)] = farads.get(name(node), 0.0) + half
    lines = ["", f"*D_NET {net} {sum(farads.values()):.6g}", "*CONN"]
    for i, end in enumerate(found):
        if end == net and port:
            lines.append(f"*P {net} {way}")
        else:
            lines.append(f"*I {end} {'I' if i else 'O'}")
    lines.append("*CAP")
    lines += [f"{i} {node} {value:.6g}" for i, (node, value) in enumerate(farads.items(), start=1)]
    lines.append("*RES")
    lines += [f"{i} {name(edge.start)} {name(edge.end)} {edge.ohms:.6g}"
              for i, edge in enumerate(edges, start=1)]
    return [*lines, "*END"]
