# SPDX-License-Identifier: Apache-2.0
"""`manifest.json`: what a user of the Verilog, or a driver, needs to know and must not retype."""

import inspect

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden.adaptive import Use
from golden.config import VERSION, Config
from golden.formats import A_FORMATS, B_FORMATS
from golden.solver import SolveMode
from hdl.emit.verilog import TOPS
from hdl.engine.job import Op
from hdl.layouts import BFormat, OutFormat
from hdl.library import Library

ENUMS = {"b_format": BFormat, "format": OutFormat, "op": Op, "use": Use, "mode": SolveMode}


def manifest(config: Config, preset: str) -> dict:
    """Configuration, exact bounds, encodings, and per top its contract, ports and latency.

    JSON-ready. Widths in bits, offsets from bit 0 of the port, latencies in cycles (null for a
    combinational block).
    """
    return {
        "tetra": VERSION,
        "preset": preset,
        "config": config.as_dict(),
        "macs_per_cycle": config.macs_per_cycle,
        "max_k": {f"{a.name} x {b.name}": config.max_k(a, b) for a in A_FORMATS for b in B_FORMATS},
        "clock": "clk, rising edge; rst is synchronous, active high",
        "encodings": {name: {member.name: member.value for member in kind}
                      for name, kind in ENUMS.items()},
        "tops": {name: {"latency": latency(block, config),
                        "contract": inspect.getdoc(block), "ports": ports(block, config)}
                 for name, block in TOPS.items()},
    }


def latency(block, config: Config) -> int | None:
    """Cycles; None for a combinational block."""
    found = getattr(block, "latency", None)
    return found(config) if callable(found) else found


def ports(block, config: Config) -> list[dict]:
    """The Verilog ports of a block."""
    component = block(config)
    component._MustUse__used = True  # only its signature is read
    library = Library()
    found = [{"name": name, "direction": "input", "width": 1, "signed": False}
             for name in ("clk", "rst") if library.clocked(library.convert(block, config))]
    for path, member, _ in component.signature.flatten(component):
        shape = member.shape
        found.append({
            "name": "__".join(map(str, path)),
            "direction": "input" if member.flow == In else "output",
            **describe(shape),
        })
    return found


def describe(shape) -> dict:
    """Width, sign and, for a structure or an array, what lies where in it."""
    cast = Shape.cast(shape)
    found = {"width": cast.width, "signed": cast.signed}
    if isinstance(shape, data.ArrayLayout):
        found |= {"array": shape.length, "element": describe(shape.elem_shape)}
    elif isinstance(shape, data.StructLayout):
        found["fields"] = [{"name": name, "offset": field.offset, **describe(field.shape)}
                           for name, field in shape]
    return found
