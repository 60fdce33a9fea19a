# SPDX-License-Identifier: Apache-2.0
"""The files beside the Verilog: file lists, FuseSoC cores, constraints, layouts in C and Python."""

from amaranth.hdl import Shape
from amaranth.lib import data

from golden.config import VERSION, Config
from hdl.emit.manifest import ENUMS, meanings
from hdl.emit.ports import leaves
from hdl.engine.job import FLAGS_LAYOUT, job_layout
from hdl.layouts import WORD, result_layout
from hdl.scales.layouts import REPORT_LAYOUT

LICENCE = "SPDX-License-Identifier: Apache-2.0"
PERIOD_NS = {"asic": 1.0, "fpga": 25.0}  # of the constraints: to be changed by whoever knows better


def file_list(top: str) -> str:
    """For `-f` in the folder itself, or from anywhere where a tool has `-F` (Verilator, slang). The
    waivers are not in it: only Verilator could read them."""
    return f"{top}.v\n"


def fusesoc_core(top: str, prefix: str, lint: str) -> str:
    """A core of static files with a target to lint and one that builds a Verilator model."""
    return f"""CAPI=2:
# {LICENCE}
name: "tetra::{prefix}{top}:{VERSION}"
description: "{top} of Tetra, an open 4-bit training core (generated Verilog)"

filesets:
  rtl:
    files: [{prefix}{top}.v: {{file_type: verilogSource}}]
  waivers:
    files: [{lint}: {{file_type: vlt}}]

targets:
  default: &default
    filesets: [rtl, "tool_verilator ? (waivers)"]
    toplevel: {prefix}{top}
  lint:
    <<: *default
    description: "verilator --lint-only -Wall"
    default_tool: verilator
    tools: {{verilator: {{mode: lint-only, verilator_options: [-Wall]}}}}
  model:
    <<: *default
    description: "a Verilator model, as a library for a C++ bench of your own"
    default_tool: verilator
    tools: {{verilator: {{mode: cc, exe: false, make_options: [libV{prefix}{top}]}}}}
"""


def constraints(config: Config, top: str, inputs: list[str]) -> str:
    """Clock and I/O assumptions of a clocked top with these inputs, for whoever synthesises it
    alone: nothing but what every tool reads that takes SDC."""
    period = PERIOD_NS[config.target]
    outside = f"{period * 0.3:g}"
    listed = " \\\n".join(f"  {name}" for name in inputs)
    return f"""# {LICENCE}
# {top}: one clock, times in ns; every input comes, and every output is awaited, with
# {outside} of {period:g} ns outside. Change the period to yours; uncertainty, transitions and
# loads are those of your clock tree, your cells and what you connect, and not here.
create_clock -name clk -period {period:g} [get_ports clk]
set_input_delay {outside} -clock clk [get_ports {{ \\
{listed} \\
}}]
set_output_delay {outside} -clock clk [all_outputs]
"""


def layouts(config: Config) -> dict[str, data.StructLayout]:
    """The payloads that a driver of the engine packs and reads."""
    return {"job": job_layout(config), "result": result_layout(config), "report": REPORT_LAYOUT,
            "flags": FLAGS_LAYOUT}


def fields(name: str, layout: data.StructLayout):
    """(path, offset, shape, doc) of every leaf of a payload; arrays are leaves."""
    for (path, offset, shape), said in zip(leaves((name,), layout), meanings(layout), strict=True):
        yield path, offset, shape, said.get("doc", "")


def constants(config: Config, prefix: str) -> list[tuple[str, int, str]]:
    """(NAME, value, comment) of all that C and Python are told: sizes, encodings, fields."""
    found = [(f"{prefix}{name}", value, "") for name, value in (
        ("ROWS", config.rows), ("COLS", config.cols), ("LANES", config.lanes),
        ("TENSORS", config.tensors), ("MAX_DIM", config.max_dim),
        ("ACCUMULATOR_WIDTH", config.accumulator_width))]
    for stream, width in {
            "A": 4 * config.lanes * config.rows, "B": 4 * config.lanes * config.cols,
            "X": WORD * config.cols, "BIAS": WORD * config.cols, "MASK": config.cols}.items():
        found.append((f"{prefix}{stream}_BITS", width, "of a beat of the stream"))
    for kind, members in ENUMS.items():
        found += [(f"{prefix}{kind}_{member.name}".upper(), member.value, "") for member in members]
    for name, layout in layouts(config).items():
        found.append((f"{prefix}{name}_BITS".upper(), Shape.cast(layout).width, "of the payload"))
        for path, offset, shape, doc in fields(name, layout):
            cast = Shape.cast(shape)
            kind = "signed, " if cast.signed else ""
            found.append((f"{prefix}{path}_LSB".upper(), offset, kind + doc))
            found.append((f"{prefix}{path}_WIDTH".upper(), cast.width, ""))
    return found


def c_header(config: Config, prefix: str) -> str:
    """Layouts and encodings for C, and two functions that put and get a field."""
    guard = f"{prefix}tetra_layouts_h".upper()
    lines = [f"// {LICENCE}", f"// Payloads of {prefix}tetra_engine, Tetra {VERSION}, with packed "
             "ports: bit 0 of a payload is bit 0 of byte 0.",
             f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
    lines += [f"#define {name} {value}" + (f"  // {doc}" if doc else "")
              for name, value, doc in constants(config, f"{prefix}tetra_".upper())]
    lines += ["", f"""static inline void {prefix}tetra_put(uint8_t *payload, unsigned lsb,
                                       unsigned width, int64_t value) {{
    for (unsigned i = 0; i < width; i++) {{
        const uint8_t bit = (uint8_t)(1u << (lsb + i) % 8);
        uint8_t *byte = payload + (lsb + i) / 8;
        const int one = i < 64 ? (int)((uint64_t)value >> i & 1) : value < 0;
        *byte = (uint8_t)(one ? *byte | bit : *byte & ~bit);
    }}
}}

// width is 64 at most; a signed field is to be extended by whoever reads it
static inline uint64_t {prefix}tetra_get(const uint8_t *payload, unsigned lsb, unsigned width) {{
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)(payload[(lsb + i) / 8] >> (lsb + i) % 8 & 1) << i;
    return value;
}}
""", f"#endif  // {guard}", ""]
    return "\n".join(lines)


def python_module(config: Config, prefix: str) -> str:
    """Layouts and encodings for Python, needing nothing else: for a cocotb bench, for instance."""
    lines = [f"# {LICENCE}", f'"""Payloads of {prefix}tetra_engine, Tetra {VERSION}, with packed '
             'ports, as integers."""', "", "import operator", ""]
    lines += [f"{name} = {value}" for name, value, _ in constants(config, "")
              if name == "ACCUMULATOR_WIDTH" or not name.endswith(("_WIDTH", "_LSB"))]
    lines += ["", "# payload -> field -> (lowest bit, width, signed)", "LAYOUTS = {"]
    for name, layout in layouts(config).items():
        lines.append(f'    "{name}": {{')
        for path, offset, shape, doc in fields(name, layout):
            cast = Shape.cast(shape)
            lines += [f"        # {doc}"] if doc else []
            lines.append(f'        "{path.removeprefix(name + "_")}": '
                         f"({offset}, {cast.width}, {cast.signed}),")
        lines.append("    },")
    lines += ["}", "", '''
def pack(payload, **values):
    """The payload as an integer; fields that are not named are 0. ValueError for a value that
    does not fit its field, TypeError for what is no integer, KeyError for an unknown field."""
    word = 0
    for name, value in values.items():
        lsb, width, signed = LAYOUTS[payload][name]
        value = operator.index(value)
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        if not low <= value <= high:
            raise ValueError(f"{payload}.{name} = {value} is out of range: expected {low}..{high}")
        word |= (value & (1 << width) - 1) << lsb
    return word


def unpack(payload, word):
    """The fields of a payload: name -> value."""
    found = {}
    for name, (lsb, width, signed) in LAYOUTS[payload].items():
        value = word >> lsb & (1 << width) - 1
        found[name] = value - (1 << width) if signed and value >> width - 1 else value
    return found
''']
    return "\n".join(lines)


def verilog_header(config: Config, prefix: str) -> str:
    """Sizes, encodings and layouts for Verilog, as localparams to include in a module."""
    lines = [f"// {LICENCE}",
             f"// Of {prefix}tetra_engine, Tetra {VERSION}: `include it in a module"]
    lines += [f"localparam integer {name} = {value};" for name, value, _ in
              constants(config, f"{prefix}tetra_".upper())]
    return "\n".join([*lines, ""])

