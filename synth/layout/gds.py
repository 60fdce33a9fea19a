# SPDX-License-Identifier: Apache-2.0
"""A layout as GDS: the kit's cells with all their masks, and the wires over them."""

from pathlib import Path

from synth.layout.kit import CELLS_GDS, DBU, LAYERS, ROW, VIA_OHMS, file, via_boxes
from synth.layout.pieces import Routed, Via
from synth.layout.place import Placed
from synth.layout.route import port_layer

try:
    import klayout.db as db
except ImportError:
    db = None

METAL1 = 11  # the kit's number of it; a cut and a metal follow in turn
NUMBERS = {name: METAL1 + i for i, name in enumerate(
    name for pair in zip(LAYERS, [*VIA_OHMS, ""], strict=True) for name in pair if name)}


def write(placed: Placed, routed: Routed, path: Path) -> None:
    """Write the layout; ports are texts on their layer."""
    layout = db.Layout()
    layout.read(str(file(CELLS_GDS)))
    scale = round(1 / (layout.dbu * DBU))
    cells = {cell.name: cell.cell_index() for cell in layout.each_cell()}
    top = layout.create_cell(placed.flat.top)
    for name, (kind, _) in placed.flat.cells.items():
        x, y, turned = placed.at[name]
        way = db.Trans.M0 if turned == "FS" else db.Trans.R0
        top.insert(db.CellInstArray(cells[kind], db.Trans(
            way, db.Vector(x * scale, (y + (ROW if turned == "FS" else 0)) * scale))))
    layers = {name: layout.layer(number, 0) for name, number in NUMBERS.items()}

    def insert(layer: str, box: tuple[int, int, int, int]) -> None:
        top.shapes(layers[layer]).insert(db.Box(*(value * scale for value in box)))

    for pieces in routed.nets.values():
        for piece in pieces:
            if isinstance(piece, Via):
                for layer, (left, bottom, right, up) in via_boxes()[piece.name].items():
                    x, y = piece.at
                    insert(layer, (left + x, bottom + y, right + x, up + y))
            else:
                insert(piece.layer, piece.box)
    for port, (x, y) in placed.ports.items():
        layer = port_layer(placed, port)
        half = LAYERS[layer].half
        insert(layer, (x - half, y - half, x + half, y + half))
        top.shapes(layers[layer]).insert(db.Text(port, x * scale, y * scale))
    unused = [cell.cell_index() for cell in layout.top_cells() if cell.name != top.name]
    layout.delete_cells(unused)
    layout.write(str(path))
