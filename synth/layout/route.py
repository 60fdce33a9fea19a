# SPDX-License-Identifier: Apache-2.0
"""Routing by qrouter: a placed design in DEF goes in, wires come out."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from synth.cells.libraries import MissingError
from synth.layout import kit
from synth.layout.kit import DBU, LAYERS, ROW, SITE, TRACKS_X, TRACKS_Y, VIAS, Polygon, macros
from synth.layout.pieces import Routed, Via, Wire
from synth.layout.place import Placed

LIMIT = 3600  # seconds until a router that does not come to an end is stopped


@cache
def tool() -> str:
    """The router; MissingError that says how to install it."""
    found = shutil.which("qrouter")
    if not found:
        raise MissingError("qrouter: not installed; apt install qrouter")
    return found


@cache
def version() -> str:
    shown = subprocess.run([tool(), "-h"], capture_output=True, text=True).stdout
    found = re.search(r"version (\S+)", shown)
    return found[1] if found else "of unknown version"


_SCRIPT = """verbose 0
read_lef technology.lef
read_lef {cells}
vdd VDD
gnd VSS
layers {layers}
read_def placed.def
qrouter::standard_route routed.def false
quit
"""


def route(placed: Placed, folder: Path) -> Routed:
    """Route a placed design; all that the router wrote stays in `folder`.

    MissingError without the router; RuntimeError, with what it said last, if it ends without a
    layout or not within `LIMIT`.
    """
    (folder / "technology.lef").write_text(kit.technology())
    (folder / "placed.def").write_text(definition(placed))
    (folder / "route.tcl").write_text(
        _SCRIPT.format(cells=kit.file(kit.CELLS), layers=len(LAYERS)))
    command = [tool(), "-nog", "-s", "route.tcl"]
    with open(folder / "route.log", "w") as log:
        try:
            subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                           stderr=subprocess.STDOUT, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            pass
    said = (folder / "route.log").read_text(errors="replace")
    if not (folder / "routed.def").exists():
        left = re.findall(r"^(?:Nets remaining|Failed net routes): (\d+)", said, re.M)
        raise RuntimeError(f"qrouter made no layout within {LIMIT} s, {(left or ['all'])[-1]} nets "
                           f"are open:\n{said[-2000:]}")
    return read(folder / "routed.def", said)


def definition(placed: Placed) -> str:
    """The design in DEF. A port bears its net's name: the router connects no other."""
    flat, size = placed.flat, f"( {placed.width} {placed.height} )"
    ways = dict.fromkeys(flat.outputs, "OUTPUT")
    lines = ["VERSION 5.6 ;", 'DIVIDERCHAR "/" ;', 'BUSBITCHARS "[]" ;', f"DESIGN {flat.top} ;",
             f"UNITS DISTANCE MICRONS {DBU} ;", f"DIEAREA ( 0 0 ) {size} ;"]
    for y in range(0, placed.height, ROW):
        lines.append(f"ROW row{y // ROW} {kit.site()} 0 {y} "
                     f"{('N', 'FS')[y // ROW % 2]} DO {placed.width // SITE} BY 1 STEP {SITE} 0 ;")
    for i, layer in enumerate(LAYERS):  # its reader takes those that a layer's wires run along
        axis, (offset, pitch), extent = (("X", TRACKS_X, placed.width) if i % 2 else
                                         ("Y", TRACKS_Y, placed.height))
        lines.append(f"TRACKS {axis} {offset} DO {(extent - 1 - offset) // pitch + 1} STEP "
                     f"{pitch} LAYER {layer} ;")
    lines.append(f"COMPONENTS {len(flat.cells)} ;")
    for name, (kind, _) in flat.cells.items():
        x, y, turned = placed.at[name]
        lines.append(f"- {name} {kind} + PLACED ( {x} {y} ) {turned} ;")
    lines += ["END COMPONENTS", f"PINS {len(placed.ports)} ;"]
    for name, (x, y) in placed.ports.items():
        layer = port_layer(placed, name)
        half = LAYERS[layer].half
        lines.append(f"- {name} + NET {name} + DIRECTION {ways.get(name, 'INPUT')}\n"
                     f"  + LAYER {layer} ( {-half} {-half} ) ( {half} {half} )\n"
                     f"  + PLACED ( {x} {y} ) N ;")
    nets = flat.nets
    lines += ["END PINS", f"NETS {len(nets)} ;"]
    for net, pins in nets.items():
        ends = [f"( PIN {net} )"] if net in placed.ports else []
        ends += [f"( {name} {pin} )" for name, pin in pins]
        lines.append("\n  ".join([f"- {net}", *ends, ";"]))  # its reader cuts long lines
    return "\n".join([*lines, "END NETS", "END DESIGN", ""])


def port_layer(placed: Placed, name: str) -> str:
    """The layer of a port: that whose wires run into the edge that it lies on."""
    (x, _), (x0, dx) = placed.ports[name], TRACKS_X
    at_side = x in (x0, x0 + (placed.width - 1 - x0) // dx * dx)
    return "metal3" if at_side else "metal2"


_NET = re.compile(r"^- (\S+)\n?(.*?);$", re.M | re.S)
_PIECE = re.compile(r"(?:ROUTED|NEW) (\w+)(?: (\d+))?((?: (?:TAPER|\( [-\d* ]+ \)|via\w+))+)")
_TOKEN = re.compile(r"\( (\S+) (\S+)(?: \d+)? \)|(via\w+)")


def read(path: Path, said: str) -> Routed:
    """The wires of a routed DEF; `said` : the router's log."""
    paths: dict[str, list[list[Wire | Via]]] = {}
    for special, section in re.findall(r"^(SPECIAL)?NETS \d+ ;\n(.*?)^END (?:SPECIAL)?NETS",
                                       path.read_text(), re.M | re.S):
        for name, body in _NET.findall(section):
            paths.setdefault(name, []).extend(_paths(body, bool(special)))
    failed = re.search(r"^List of failed nets follows:\n((?: \S+\n)+)",
                       said.rpartition("\nFinal:")[2], re.M)
    return Routed(paths, sorted(set(failed[1].split())) if failed else [])


def ends(placed: Placed, net: str) -> tuple[dict[str, list[Polygon]],
                                            dict[str, tuple[str, int, int]]]:
    """Shapes of a net's pins by `instance:pin`, and layer and place of its port."""
    pins = {f"{name}:{pin}": placed.shapes(name, macros()[placed.flat.cells[name][0]].pins[pin])
            for name, pin in placed.flat.nets[net]}
    port = {net: (port_layer(placed, net), *placed.ports[net])} if net in placed.ports else {}
    return pins, port


def mended(routed: Routed, opens: list[str]) -> Routed:
    """With what the router forgets now and then where it leaves its grid, in nets that are open.

    A path that begins where the one before has ended, a layer further, lacks its via. One that
    begins less than a track beside the via of the one before has its via moved there.
    """
    return Routed(routed.paths | {net: _mended(routed.paths[net]) for net in opens
                                  if net in routed.paths}, routed.failed)


def _mended(paths: list[list[Wire | Via]]) -> list[list[Wire | Via]]:
    found: list[list[Wire | Via]] = []
    for path in paths:
        if path and found and found[-1]:
            last, first = found[-1][-1], path[0]
            start = first.start if isinstance(first, Wire) else first.at
            layers = {first.layer} if isinstance(first, Wire) else set(first.layers)
            if isinstance(last, Wire) and last.end == start and last.layer not in layers:
                found += [[via] for name in VIAS if last.layer in (via := Via(name, start)).layers
                          and layers & set(via.layers)]
            elif (isinstance(last, Via) and last.at != start and layers & set(last.layers)
                    and sum(abs(a - b) for a, b in zip(last.at, start, strict=True)) < SITE):
                other = next(layer for layer in last.layers if layer not in layers)
                found[-1][-1:] = [Wire(other, last.at, start), Via(last.name, start)]
        found.append(list(path))
    return found


def rewritten(text: str, routed: Routed, nets: list[str]) -> str:
    """A routed DEF with the present wires of these nets; special ones stay as they are."""
    head, start, rest = text.partition("\nNETS ")
    body, end, tail = rest.partition("\nEND NETS")

    def net(match: re.Match) -> str:
        if match[1] not in nets:
            return match[0]
        pins = re.match(r"(?:\s*\([^)]*\)|\s*\n)*", match[2])[0]
        lines = [line for path in routed.paths[match[1]] for line in _written(path)]
        return f"- {match[1]}\n{pins}\n+ ROUTED " + "\n  NEW ".join(lines) + " ;"

    return head + start + _NET.sub(net, body) + end + tail


def _written(path: list[Wire | Via]) -> list[str]:
    """A path in DEF, piece by piece."""
    return [f"{piece.layers[0]} ( {piece.at[0]} {piece.at[1]} ) {piece.name}"
            if isinstance(piece, Via) else
            "{} ( {} {} ) ( {} {} )".format(piece.layer, *piece.start, *piece.end)
            for piece in path if isinstance(piece, Via) or piece.beyond]


def _paths(body: str, special: bool) -> list[list[Wire | Via]]:
    found: list[list[Wire | Via]] = []
    for layer, width, text in _PIECE.findall(body):
        path: list[Wire | Via] = []
        at: tuple[int, int] | None = None
        for x, y, via in _TOKEN.findall(text):
            if via:
                path.append(Via(via, at))
                continue
            before = at
            at = (before[0] if x == "*" else int(x), before[1] if y == "*" else int(y))
            if before:
                path.append(Wire(layer, before, at, int(width or 0) // 2, not special))
        found.append(path)
    return found
