# SPDX-License-Identifier: Apache-2.0
"""What KLayout finds in a layout: opens and shorts by extraction, and shapes too close."""

from collections import Counter
from dataclasses import dataclass

from synth.cells.libraries import MissingError
from synth.layout.kit import DBU, LAYERS, VIA_OHMS, macros, spacings, via_boxes
from synth.layout.pieces import Routed, Via
from synth.layout.place import Placed
from synth.layout.route import port_layer

try:
    import klayout.db as db
except ImportError:
    db = None


@dataclass(frozen=True)
class Checked:
    """Nets that are open, groups of nets that are one, and markers of spacing by layer."""

    opens: list[str]
    shorts: list[list[str]]
    close: dict[str, int]


def check(placed: Placed, routed: Routed) -> Checked:
    """Extract a layout and compare it with its netlist; measure distances from wires.

    Cells count with all metal of their outlines, supplies too. MissingError without KLayout.
    """
    if db is None:
        raise MissingError("KLayout's Python module: not installed; make setup")
    layout, wires, cells = shapes(placed, routed)
    opens, shorts = _compared(_extracted(layout), placed)
    close = Counter()
    for layer, least in spacings().items():
        if layer in wires:
            new = db.Region(layout.top_cell().begin_shapes_rec(wires[layer])).merged()
            metal = new
            if layer in cells:
                metal = new + db.Region(layout.top_cell().begin_shapes_rec(cells[layer]))
            found = metal.merged().space_check(least).polygons()
            close[layer] = found.interacting(new).count()  # what cells have alone is the kit's
    return Checked(opens, shorts, {layer: n for layer, n in close.items() if n})


def shapes(placed: Placed, routed: Routed):
    """A KLayout layout of it, and by name the layers of wires and of cells.

    Names, on a layer beside each metal, are `instance/pin` on pins, `/port` on ports, `+VDD` on
    supplies, `!instance` on metal inside a cell.
    """
    layout = db.Layout()
    layout.dbu = 1 / DBU
    top = layout.create_cell(placed.flat.top)
    wires = {name: layout.layer(i, 0, name) for i, name in enumerate(
        [*LAYERS, *VIA_OHMS], start=1)}
    cells = {"metal1": layout.layer(1, 1, "metal1.cells")}
    names = {name: layout.layer(i, 2, f"{name}.names") for i, name in enumerate(LAYERS, start=1)}

    def label(layer: str, text: str, x: int, y: int):
        top.shapes(names[layer]).insert(db.Text(text, x, y))

    for pieces in routed.nets.values():
        for piece in pieces:
            if isinstance(piece, Via):
                for layer, box in via_boxes()[piece.name].items():
                    top.shapes(wires[layer]).insert(db.Box(*box).moved(*piece.at))
            else:
                top.shapes(wires[piece.layer]).insert(db.Box(*piece.box))
    for instance, (kind, _) in placed.flat.cells.items():
        macro = macros()[kind]
        named = {f"{instance}/{pin}": found for pin, found in macro.pins.items()} | {
            f"+{pin}": found for pin, found in macro.supplies.items()}
        for name, polygons in [*named.items(), (f"!{instance}", macro.inside)]:
            for points in placed.shapes(instance, polygons):
                top.shapes(cells["metal1"]).insert(db.Polygon([db.Point(*p) for p in points]))
                label("metal1", name, *points[0])
    for port, (x, y) in placed.ports.items():
        layer = port_layer(placed, port)
        half = LAYERS[layer].half
        top.shapes(wires[layer]).insert(db.Box(x - half, y - half, x + half, y + half))
        label(layer, f"/{port}", x, y)
    return layout, wires, cells


def _extracted(layout) -> list[set[str]]:
    """The names on every piece of metal that is one."""
    extract = db.LayoutToNetlist(db.RecursiveShapeIterator(layout, layout.top_cell(), []))
    metals, cuts = list(LAYERS), list(VIA_OHMS)
    found = {name: extract.make_layer(layout.layer(i, 0), name)
             for i, name in enumerate([*metals, *cuts], start=1)}
    cells = extract.make_layer(layout.layer(1, 1), "cells")
    for i, metal in enumerate(metals, start=1):
        texts = extract.make_text_layer(layout.layer(i, 2), f"{metal}.names")
        extract.connect(found[metal])
        extract.connect(found[metal], texts)
        if i == 1:
            extract.connect(cells)
            extract.connect(cells, found[metal])
            extract.connect(cells, texts)
    for below, cut, above in zip(metals, cuts, metals[1:], strict=False):
        extract.connect(found[below], found[cut])
        extract.connect(found[cut], found[above])
        extract.connect(found[cut])
    extract.extract_netlist()
    circuit = extract.netlist().circuit_by_name(layout.top_cell().name)
    return [set(net.name.split(",")) for net in circuit.each_net() if net.name]


def _compared(pieces: list[set[str]], placed: Placed) -> tuple[list[str], list[list[str]]]:
    """Nets in several pieces, and what is one piece but several nets."""
    net_of = {f"{name}/{pin}": net for name, (_, pins) in placed.flat.cells.items()
              for pin, net in pins.items()} | {f"/{port}": port for port in placed.ports}
    # a pin without a net, metal inside a cell and a supply are each a net of their own
    owners = [{net_of.get(name, name) for name in piece} for piece in pieces]
    times = Counter(net for names in owners for net in names)
    wanted = {net for net, pins in placed.flat.nets.items()
              if len(pins) + (net in placed.ports) > 1}
    return (sorted(net for net in wanted if times[net] != 1),
            [sorted(names) for names in owners if len(names) > 1])
