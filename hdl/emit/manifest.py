# SPDX-License-Identifier: Apache-2.0
"""`manifest.json`: what a user of the Verilog, or a driver, needs to know and must not retype."""

import enum
import inspect
import re

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden.adaptive import Use
from golden.config import VERSION, Config
from golden.formats import A_FORMATS, B_FORMATS
from golden.solver import SolveMode
from hdl.emit import buses
from hdl.emit.ports import leaves
from hdl.emit.verilog import no_core, tops
from hdl.engine.job import Op
from hdl.layouts import BFormat, OutFormat, Payload
from hdl.library import port_name

ENUMS = {"b_format": BFormat, "format": OutFormat, "op": Op, "use": Use, "mode": SolveMode}
COMBINATIONAL = "Combinational, no latency"  # what the docstring of a block without clock says
DIRECTION = re.compile(r"^(In|Out)(\([^()]*\))?(, |: |\. |\.$|$)")  # a port's, in its docstring
# what holds for the streams of every top
RULES = (
    "A payload is taken in the cycle in which valid and ready are both 1. Once valid is 1, valid "
    "and payload stay as they are until it is taken. valid never waits for ready.",
    "Streams are independent: a master may offer a beat of b before, with or after that of a. It "
    "must not wait until a was taken, though: the engine takes both in one cycle.",
    "rst is synchronous and takes one cycle. It ends jobs, empties the table of scales and clears "
    "flags; data registers keep what they held, which nothing reads.",
    "A refused descriptor (flags.bad_job) gives no results and no report. Operands offered for it "
    "stay and would go to the next job: withdraw them.",
)


def manifest(config: Config, preset: str, style: str = "packed", prefix: str = "") -> dict:
    """Configuration, exact bounds, encodings, and per top its contract, ports and latency.

    JSON-ready. Widths in bits, offsets from bit 0 of the port, latencies in cycles (null for a
    combinational block, and for the core, whose jobs take what memory and their sizes make of it).
    """
    return {
        "tetra": VERSION,
        "preset": preset,
        "config": config.as_dict(),
        "config_doc": members(Config),
        "ports_style": style,
        "macs_per_cycle": config.macs_per_cycle,
        "max_k": {f"{a.name} x {b.name}": config.max_k(a, b) for a in A_FORMATS for b in B_FORMATS},
        "max_k_doc": "the largest k of a job, for a x b: no sum can leave the accumulator, and k "
                     f"fits the descriptor's {config.dim_width} bits",
        "clock": "clk, rising edge; rst is synchronous, active high",
        "rules": list(RULES),
        "encodings": {name: {member.name: member.value for member in kind}
                      for name, kind in ENUMS.items()},
        "tops": {prefix + name: {
            "file": f"{prefix}{name}.v",
            "latency": latency(block, config),
            "latency_doc": latency_doc(block),
            **({"latencies": {mode.name: cycles for mode, cycles in block.latencies.items()}}
               if hasattr(block, "latencies") else {}),
            "contract": inspect.getdoc(block), **interface(block, config, style),
        } for name, block in tops(config).items()},
        # why there is no tetra_core; null where there is one
        "no_core": no_core(config) or None,
    }


def latency(block, config: Config) -> int | None:
    """Cycles; None for a combinational block, and for one that waits for others."""
    found = getattr(block, "latency", None)
    return found(config) if callable(found) else found


def latency_doc(block) -> str:
    """From what to what a block's docstring counts its latency."""
    text = re.sub(r"\s+", " ", inspect.getdoc(block) or "")
    found = re.search(rf"(Latency: |{COMBINATIONAL})(.*?)"
                      r"(?= (?:Throughput|Backpressure|Arithmetic):|\. [A-Z]|$)", text)
    if not found:
        raise ValueError(f"the docstring of {block.__name__} says nothing of its latency")
    return (found[2] or found[1]).replace("`latency(config)`", "`latency`")


def members(block) -> dict[str, str]:
    """What a docstring says of each member: `a, b : text`, `In(...)` and the like left out."""
    text = inspect.getdoc(block) or ""
    listed = re.search(r"^Members\n-+\n(.*?)(?:\n\n|\Z)", text, re.M | re.S)
    found, names = {}, []
    for line in (listed[1].splitlines() if listed else ()):
        # several members may share a line: "take : In(1), a row comes. first : In(1), ..."
        for piece in re.split(r"(?<=\.) (?=[a-z][\w, ]* : )", line):
            if start := re.match(r"\s*([a-z][\w, ]*) : (.*)", piece):
                names = [name.strip() for name in start[1].split(",")]
                found |= dict.fromkeys(names, DIRECTION.sub("", start[2]))
            else:
                found |= {name: f"{found[name]} {piece.strip()}" for name in names}
    return found


def interface(block, config: Config, style: str) -> dict:
    """The Verilog ports of a block, and what its payloads hold."""
    component = block(config)
    component._MustUse__used = True  # only its signature is read
    docs = members(block)
    ports = [{"name": name, "direction": "input", "width": 1, "signed": False, "doc": doc}
             for name, doc in (("clk", "clock"), ("rst", "synchronous reset, active high"))
             if COMBINATIONAL not in latency_doc(block)]
    payloads = {}
    for path, member, _ in component.signature.flatten(component):
        direction = "input" if member.flow == In else "output"
        doc = {"valid": "1: the payload is offered", "ready": "1: it can be taken"}.get(
            path[-1] if len(path) > 1 else "", docs.get(path[0], ""))
        if buses.protocol(component.signature.members[path[0]]):
            doc = buses.meaning(path[-1], member.flow == In)
        structure = isinstance(member.shape, data.StructLayout)
        name = path[0] if path[-1] == "payload" else port_name(path)
        if structure or path[-1] == "payload":
            payloads[name] = {"direction": direction, "doc": docs.get(path[0], ""),
                              **describe(member.shape)}
        if structure and style == "fields":
            ports += [{"name": leaf, "direction": direction, **sized(shape), **meaning}
                      for (leaf, _, shape), meaning in zip(
                          leaves(path, member.shape), meanings(member.shape), strict=True)]
        else:
            ports.append({"name": port_name(path), "direction": direction,
                          **sized(member.shape), "doc": doc})
    ports.sort(key=lambda port: (port["name"] not in ("clk", "rst"), port["name"]))
    return {"ports": ports, "payloads": payloads, "buses": buses.buses(component)}


def sized(shape) -> dict:
    cast = Shape.cast(shape)
    return {"width": cast.width, "signed": cast.signed}


def meanings(shape) -> list[dict]:
    """What each field says of itself, fields of fields in their place."""
    if not isinstance(shape, data.StructLayout):
        return [{}]
    found = []
    for name, field in shape:
        said = meaning(shape, name)
        inner = meanings(field.shape)
        found += [said] if inner == [{}] else inner
    return found


def meaning(layout: data.StructLayout, name: str) -> dict:
    """What a layout says of one of its fields."""
    if not isinstance(layout, Payload):
        return {}
    field = layout.docs[name]
    found = {"doc": field.doc}
    if field.read_by:
        found["read_by"] = field.read_by
    if isinstance(field.shape, enum.EnumMeta):
        found["enum"] = {member.name: member.value for member in field.shape}
    return found


def describe(shape) -> dict:
    """Width, sign and, for a structure or an array, what lies where in it and what it means."""
    found = sized(shape)
    if isinstance(shape, data.ArrayLayout):
        found |= {"array": shape.length, "element": describe(shape.elem_shape)}
    elif isinstance(shape, data.StructLayout):
        found["fields"] = [{"name": name, "offset": field.offset, **describe(field.shape),
                            **meaning(shape, name)} for name, field in shape]
    return found
