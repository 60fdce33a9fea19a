# SPDX-License-Identifier: Apache-2.0
"""`make area`: what each block of an engine, and the core around it, costs in transistors.

Yosys maps every distinct block once to simple gates (no library, no timing, pre-layout); gates are
counted with the transistors of their static CMOS form and flip-flops with `FLIP_FLOP`. Good for
ratios within one design, not for square micrometres.
"""

import json
import re
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from rich.table import Table

from golden.config import PRESETS, preset
from hdl.core.core import Core
from hdl.engine.engine import Engine
from hdl.library import Library, module_name
from synth.phases import PairEncoder, PhaseDecoder
from tools.arguments import Parser, one_of
from tools.cache import ROOT
from tools.console import open_console
from tools.files import write_atomically
from tools.yosys import yosys

TOP = "tetra_engine"
FLIP_FLOP = 24  # transmission-gate master-slave
TRANSISTORS = {"NOT": 2, "NAND": 4, "NOR": 4, "AND": 6, "OR": 6, "ANDNOT": 6, "ORNOT": 6, "XOR": 12,
               "XNOR": 12, "MUX": 12}


GATES = ("synth -booth -top {top}", "abc -g gates", "opt_clean")
# the same, but that memories stay: in silicon they are macros, not flip-flops
AROUND_MEMORIES = ("synth -booth -top {top} -run begin:fine", "opt -fast -full",
                   "opt -undriven -fine", "techmap", "opt -fast", "abc -g gates", "opt_clean")
MEMORY = "$mem_v2"


def cells(read: str, top: str, recipe: tuple[str, ...] = GATES) -> dict[str, Counter]:
    """Cells by type of every block below a top, without those of its sub-blocks.

    `read` is the Yosys command that reads the design.
    """
    with tempfile.TemporaryDirectory(prefix="tetra-area-") as folder:
        found = Path(folder) / "stat.json"
        yosys([read, *(command.format(top=top) for command in recipe),
               f"tee -o {found} stat -json"])
        text = found.read_text()
    modules = json.loads(text[text.index("{"):text.rindex("}") + 1])["modules"]
    return {name.lstrip("\\"): Counter(module["num_cells_by_type"])
            for name, module in modules.items()}


def transistors(kind: str) -> int:
    """Of one gate; none of a memory, which is no gate's business. ValueError for a cell that is
    neither gate nor flip-flop."""
    gate = re.fullmatch(r"\$_([A-Z]+)_", kind)
    if gate and gate[1] in TRANSISTORS:
        return TRANSISTORS[gate[1]]
    if re.match(r"\$_S?DFFC?E?_", kind):
        return FLIP_FLOP + TRANSISTORS["MUX"] * ("E_" in kind)
    if kind == MEMORY:
        return 0
    raise ValueError(f"cell {kind}: expected a gate of abc or a flip-flop of Yosys")


def measure(config) -> dict[str, dict]:
    """Per block: transistors with its sub-blocks, how often it occurs, share of the engine."""
    return _counted(cells_of(Engine, config), TOP)


def measure_core(config) -> dict[str, dict]:
    """The same of a core, shares those of the core. Memories are left out, `memory_bits` has
    them."""
    library = Library()
    top = library.convert(Core, config)
    blocks = _counted(_cells(library, top, AROUND_MEMORIES), top)
    for name, text in re.findall(r"^module \\(\S+)$(.*?)^end$", library.text, re.M | re.S):
        if name in blocks:
            blocks[name]["memory_bits"] = sum(
                int(width) * int(size)
                for width, size in re.findall(r"memory width (\d+) size (\d+)", text))
    return blocks


def _counted(modules: dict[str, Counter], top: str) -> dict[str, dict]:
    @cache
    def total(name: str) -> int:
        return sum(count * (total(kind) if kind in modules else transistors(kind))
                   for kind, count in modules[name].items())

    times: Counter = Counter({top: 1})
    for name in _parents_first(modules, top):
        for kind, count in modules[name].items():
            if kind in modules:
                times[kind] += times[name] * count
    return {name: {"transistors": total(name), "instances": times[name],
                   "share": times[name] * total(name) / total(top)}
            for name in sorted(modules, key=lambda n: -times[n] * total(n))}


def cells_of(block, config) -> dict[str, Counter]:
    """The cells of a block and of all within it, by module."""
    library = Library()
    return _cells(library, library.convert(block, config), GATES)


def _cells(library: Library, top: str, recipe: tuple[str, ...]) -> dict[str, Counter]:
    with tempfile.TemporaryDirectory(prefix="tetra-area-") as folder:
        path = Path(folder) / "block.il"
        path.write_text(library.text)
        return cells(f"read_rtlil {path}", top, recipe)


def compare_phases(config) -> dict[str, int]:
    """Transistors of the two ways to bring both phases from the rounders to operand b."""
    found = {}
    for block in (PairEncoder, PhaseDecoder):
        counted = cells_of(block, config)[module_name(block)]
        found[block] = sum(n * transistors(kind) for kind, n in counted.items())
    return {"two_codes": config.cols * found[PairEncoder],
            "joint_code": config.cols * config.lanes * found[PhaseDecoder]}


def _parents_first(modules, top: str) -> list[str]:
    order: list[str] = []

    def visit(name):
        for kind in modules[name]:
            if kind in modules and kind not in order:
                visit(kind)
        if name not in order:
            order.append(name)

    visit(top)
    return order[::-1]


def report_core(config) -> dict:
    """Prints what a core costs beside its engine, memories left out; returns its blocks."""
    blocks = measure_core(config)
    core, engine = (blocks[name] for name in (module_name(Core), TOP))
    around = core["transistors"] - engine["transistors"]
    bits = sum(block["instances"] * block["memory_bits"] for block in blocks.values())
    print(f"the core around the engine: {around:,} transistors, "
          f"{around / engine['transistors']:.1%} of the engine's {engine['transistors']:,}, and "
          f"{bits:,} bits of memory")
    return blocks


def main() -> int:
    parser = Parser("make area", __doc__)
    parser.add_argument("--preset", type=one_of(PRESETS), default="base", metavar="NAME")
    o = parser.parse_args()
    console = open_console()
    try:
        config = preset(o.preset)
        with console.status(f"mapping the {o.preset} engine to gates (about a minute)"):
            blocks = measure(config)
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = Table(title=f"{TOP}, preset {o.preset}: estimated, pre-layout")
    for heading in ("block", "instances", "transistors each", "share of the engine"):
        table.add_column(heading, justify="left" if heading == "block" else "right")
    for name, block in blocks.items():
        table.add_row(name, f"{block['instances']:,}", f"{block['transistors']:,}",
                      f"{block['share']:.1%}")
    console.print(table)
    unit = sum(blocks[name]["share"] for name in ("tetra_rescale_unit", "tetra_adapt_unit"))
    tile = blocks["tetra_mac_tile"]["share"]
    print(f"rescaling unit with statistics, solver and table: {unit:.1%} of the engine, "
          f"{unit / tile:.1%} of the tile")
    phases = compare_phases(config)
    print(f"both phases of a gradient as two codes: {phases['two_codes']:,} transistors; as a "
          f"joint code with decoders at operand b: {phases['joint_code']:,}")
    core = report_core(config)
    path = ROOT / "build" / "area" / "summary.json"
    summary = {"preset": o.preset, "recipe": "synth -booth; abc -g gates", "blocks": blocks,
               "rescaling_share_of_engine": unit, "phases": phases, "core": core}
    write_atomically(path, (json.dumps(summary, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
