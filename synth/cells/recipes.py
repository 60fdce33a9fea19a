# SPDX-License-Identifier: Apache-2.0
"""Recipes: how one block of RTLIL becomes cells of a library, as Yosys commands and ABC scripts.

Every design is mapped by the same set of recipes and judged by its best, so a recipe belongs into
`SWEEP` if it is the best of some design, whoever's that is.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from synth.cells.libraries import CellLibrary

CARRY_SAVE = "tetra_carry_save_adder_"  # blocks of that name: total = a ^ b ^ c, carry = majority
LEVELS = 8  # of adders, or stages of registers, through which constants wander

# {D}: the clock target in picoseconds. `upsize`, `dnsize` and `stime` see cells and their loads.
_SIZE = ["buffer -c", "topo", "upsize -D {D}", "dnsize -D {D}", "stime -p"]
SCRIPTS = {
    "area": ["strash", "ifraig", "scorr", "dc2", "dc2", "strash", "&get -n", "&dch -f", "&nf",
             "&put", *_SIZE],
    "speed": ["strash", "ifraig", "dc2", "strash", "dch -f", "map -B 0.9 -D {D}", "topo", *_SIZE],
    "twice": ["strash", "ifraig", "scorr", "dch -f", "map -B 0.9 -D {D}", "topo", "strash",
              "dch -f", "map -B 0.9 -D {D}", "topo", *_SIZE],
    # leaves the structure of adders as it is drawn
    "keep": ["strash", "ifraig", "map -B 0.9 -D {D}", "topo", *_SIZE],
    "lean": ["strash", "ifraig", "&get -n", "&nf", "&put", *_SIZE],
}
ADDERS = ("", "sklansky", "kogge-stone", "han-carlson")  # "": Yosys' own, Brent and Kung


@dataclass(frozen=True, order=True)
class Recipe:
    """One way to map any block.

    Members
    -------
    target : clock target in picoseconds on NanGate 45, see `CellLibrary.slowness`.
    script : of `SCRIPTS`. adders : architecture, of `ADDERS`.
    booth : multipliers recode one operand. trees : chains of adders become carry-save trees.
    full_adders : carry-save rows become the library's full and half adders before ABC, which never
        finds those by itself; otherwise they are logic like any other.
    extract : full adders are looked for in the logic too, for designs that draw theirs as gates.
    generic : ABC first restructures for generic gates.
    gating : registers with a common enable get a clock gate in place of multiplexers, where the
        library has one.
    """

    target: int
    script: str = "area"
    adders: str = ""
    booth: bool = False
    trees: bool = False
    full_adders: bool = True
    extract: bool = False
    generic: bool = False
    gating: bool = True

    def __post_init__(self):
        if not 100 <= self.target <= 20_000:
            raise ValueError(f"target = {self.target} is out of range: expected 100..20000 ps")
        for name, known in (("script", tuple(SCRIPTS)), ("adders", ADDERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of "
                                 f"{', '.join(map(repr, known))}")

    def __str__(self):
        flags = [name.replace("_", "-") for name in ("booth", "trees", "full_adders", "extract",
                                                              "generic", "gating")
                 if getattr(self, name)]
        return "+".join([self.script, *([self.adders] if self.adders else []), *flags,
                         f"{self.target}ps"])

    def commands(self, folder: Path, top: str, library: CellLibrary) -> list[str]:
        """Yosys commands that map `folder`/block.il to `folder`/netlist.json.

        They need `files` beside the block. `finish` follows.
        """
        options = "".join(f" -{name}" for name, wanted in
                          (("booth", self.booth), ("arith_tree", self.trees)) if wanted)
        synth = f"synth {'' if self.generic else '-noabc '}-top {top}{options}"
        extra = f" -extra-map +/choices/{self.adders}.v" if self.adders else ""
        rows = f"techmap -map {folder}/rows.v"
        rules = [f"techmap -max_iter 1 -map {folder}/rules.v", "opt -full"] * LEVELS
        cells = f"techmap -map {folder}/cells.v"
        return [
            f"read_liberty -lib -ignore_miss_func {library.path}",
            f"read_verilog {folder}/ports.v",
            f"read_rtlil {folder}/block.il",
            f"hierarchy -top {top}",
            "proc",
            "setattr -unset init w:*",  # registers wake up as they like: only a reset counts
            "flatten",
            "opt -full",
            *([rows, "opt -full", *rules] if self.full_adders else []),
            f"{synth} -run begin:fine",
            *(["maccmap", rows, "opt -full", *rules, cells] if self.full_adders else []),
            f"{synth}{extra} -run fine:check",
            *(["extract_fa -fa", "opt_clean", rows, *rules, cells] if self.extract else []),
            *([f"clockgate {library.clock_gate}"] if self.gating and library.clock_gate else []),
            f"dfflibmap -liberty {library.path}",
            "opt_clean",
            f"abc -liberty {library.path} -constr {folder}/constraints -script {folder}/abc.script",
            "setundef -zero",
            *[f"techmap -map {folder}/constant.v", "opt_clean"] * LEVELS,
            *([f"hilomap {library.ties}"] if library.ties else []),
            "splitnets",
            "opt_clean -purge",
            "check -assert -mapped",
            f"write_json {folder}/netlist.json",
        ]

    def files(self, library: CellLibrary, widths: set[int]) -> dict[str, str]:
        """The files that the commands name; `widths` of the carry-save rows in the block."""
        return {
            "constraints": f"set_driving_cell {library.driver}\nset_load {library.load}\n",
            "abc.script": "\n".join(SCRIPTS[self.script]).format(
                D=round(self.target * library.slowness)) + "\n",
            "ports.v": ADDER_PORTS, "rows.v": adder_rows(widths), "rules.v": ADDER_RULES,
            "cells.v": adder_cells(library),
            "constant.v": _CONSTANT.format(
                cell=library.flip_flop, ports=", ".join(library.flip_flop_ports),
                inputs=", ".join(library.flip_flop_ports[:2]))}


def finish(folder: Path, library: CellLibrary) -> list[str]:
    """Yosys commands that make netlist.v and stat.json of netlist.json, all in `folder`."""
    return [
        f"read_json {folder}/netlist.json",  # with the library's cells
        f"tee -q -o {folder}/stat.json stat -json -liberty {library.path}",
        f"write_verilog -noattr -noexpr -nohex -simple-lhs {folder}/netlist.v",
    ]


# ABC may find that a register's input never changes; one without reset is that constant.
_CONSTANT = """
(* techmap_celltype = "{cell}" *)
module constant({ports});
  input {inputs};
  output Q, QN;
  parameter _TECHMAP_CONSTMSK_D_ = 0, _TECHMAP_CONSTVAL_D_ = 0;
  wire _TECHMAP_FAIL_ = !_TECHMAP_CONSTMSK_D_;
  assign Q = _TECHMAP_CONSTVAL_D_, QN = !_TECHMAP_CONSTVAL_D_;
endmodule
"""


def adder_rows(widths: set[int]) -> str:
    """Verilog for `techmap`: carry-save rows of these widths, and `$fa`, as single full adders."""
    rows = [_ROW.format(pattern=f"{CARRY_SAVE}{width}", name=f"row_{width}", width=width,
                        ports="a, b, c, total, carry", scope="localparam",
                        a="a", b="b", c="c", total="total", carry="carry")
            for width in sorted(widths)]
    return "".join([*rows, _ROW.format(
        pattern="$fa", name="row_fa", width=1, ports="A, B, C, X, Y", scope="parameter",
        a="A", b="B", c="C", total="Y", carry="X")])


def adder_cells(library: CellLibrary) -> str:
    """Verilog for `techmap`: single full and half adders as cells of the library."""
    return "".join(
        f'(* techmap_celltype = "{generic}" *) module cell_{generic}({ports}); '
        f"input {inputs}; output total, carry;\n  {adder.cell} adder("
        + ", ".join(f".{pin}({port.strip()})"
                    for pin, port in zip(adder.pins, ports.split(","), strict=True))
        + ");\nendmodule\n"
        for generic, adder, inputs in ((FULL, library.full_adder, "a, b, c"),
                                       (HALF, library.half_adder, "a, b"))
        for ports in [f"{inputs}, total, carry"])


FULL, HALF = "tetra_full_adder", "tetra_half_adder"  # one bit each, on the way to cells

_ROW = """
(* techmap_celltype = "{pattern}" *)
module {name}({ports});
  {scope} WIDTH = {width};
  input [WIDTH-1:0] {a}, {b}, {c};
  output [WIDTH-1:0] {total}, {carry};
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1)
    tetra_full_adder adder(
      .a({a}[i]), .b({b}[i]), .c({c}[i]), .total({total}[i]), .carry({carry}[i]));
  endgenerate
endmodule
"""

ADDER_PORTS = """
(* blackbox *) module tetra_full_adder(input a, b, c, output total, carry); endmodule
(* blackbox *) module tetra_half_adder(input a, b, output total, carry); endmodule
"""

# An adder with a constant input is a smaller adder or logic, and may make others constant in turn.
ADDER_RULES = """
(* techmap_celltype = "tetra_full_adder" *)
module full(a, b, c, total, carry);
  input a, b, c;
  output total, carry;
  parameter _TECHMAP_CONSTMSK_a_ = 0, _TECHMAP_CONSTVAL_a_ = 0;
  parameter _TECHMAP_CONSTMSK_b_ = 0, _TECHMAP_CONSTVAL_b_ = 0;
  parameter _TECHMAP_CONSTMSK_c_ = 0, _TECHMAP_CONSTVAL_c_ = 0;
  wire _TECHMAP_FAIL_ = !_TECHMAP_CONSTMSK_a_ && !_TECHMAP_CONSTMSK_b_ && !_TECHMAP_CONSTMSK_c_;
  generate
    if (_TECHMAP_CONSTMSK_a_ && !_TECHMAP_CONSTVAL_a_)
      tetra_half_adder adder(.a(b), .b(c), .total(total), .carry(carry));
    else if (_TECHMAP_CONSTMSK_b_ && !_TECHMAP_CONSTVAL_b_)
      tetra_half_adder adder(.a(a), .b(c), .total(total), .carry(carry));
    else if (_TECHMAP_CONSTMSK_c_ && !_TECHMAP_CONSTVAL_c_)
      tetra_half_adder adder(.a(a), .b(b), .total(total), .carry(carry));
    else begin
      assign total = a ^ b ^ c;
      assign carry = (a & b) | (c & (a | b));
    end
  endgenerate
endmodule

(* techmap_celltype = "tetra_half_adder" *)
module half(a, b, total, carry);
  input a, b;
  output total, carry;
  parameter _TECHMAP_CONSTMSK_a_ = 0, _TECHMAP_CONSTMSK_b_ = 0;
  wire _TECHMAP_FAIL_ = !_TECHMAP_CONSTMSK_a_ && !_TECHMAP_CONSTMSK_b_;
  assign total = a ^ b;
  assign carry = a & b;
endmodule
"""


def carry_save_widths(text: str) -> set[int]:
    """Of the rows that RTLIL instantiates."""
    return {int(width) for width in re.findall(rf"\\{CARRY_SAVE}(\d+)\b", text)}


# Each was the best of some design, or close to it, in a wider search.
SWEEP = [
    *(Recipe(600, "keep", adders) for adders in ADDERS),
    Recipe(300, "keep", "sklansky"),
    Recipe(1200, "keep"),
    Recipe(600, "keep", full_adders=False),
    Recipe(600, "keep", booth=True),
    Recipe(300, "twice"),
    Recipe(600, "twice", "sklansky"),
    Recipe(300, "twice", generic=True),
    Recipe(600, "twice", generic=True),
    Recipe(600, "speed"),
    Recipe(600, "speed", extract=True),
    Recipe(600, "lean"),
    Recipe(600, "area"),
]
QUICK = [Recipe(600, "keep"), Recipe(600, "keep", "sklansky"), Recipe(300, "twice"),
         Recipe(600, "twice", generic=True)]
