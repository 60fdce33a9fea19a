# SPDX-License-Identifier: Apache-2.0
"""`manifest.json`: what a user of the Verilog, or a driver, needs to know and must not retype."""

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden.config import VERSION, Config
from golden.formats import A_FORMATS, B_FORMATS, FORMATS
from hdl.verilog import TOPS


def manifest(config: Config, preset: str) -> dict:
    """Configuration, exact bounds, format encodings, and per top its ports and latency.

    JSON-ready. Widths in bits, offsets from bit 0 of the port, latencies in cycles (null for a
    combinational block).
    """
    return {
        "tetra": VERSION,
        "preset": preset,
        "config": config.as_dict(),
        "macs_per_cycle": config.macs_per_cycle,
        "max_k": {f"{a.name} x {b.name}": config.max_k(a, b) for a in A_FORMATS for b in B_FORMATS},
        "formats": {name: fmt.encoding for name, fmt in FORMATS.items()},
        "tops": {name: {"latency": getattr(block, "latency", None), "ports": ports(block(config))}
                 for name, block in TOPS.items()},
    }


def ports(component) -> list[dict]:
    """The Verilog ports of a component, besides clk and rst."""
    component._MustUse__used = True  # only its signature is read
    found = []
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
