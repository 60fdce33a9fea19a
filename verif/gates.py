# SPDX-License-Identifier: Apache-2.0
"""`make synth-verify`: mapped netlists against what they were made of.

Blocks without registers are proven equal to their RTL, for every input, by Yosys' SAT solver. All
blocks that have a bench run it on their gates. The cells' models are made of the library's own
functions, so mapping, cells and clock gates are all in it; delays are not (the energy measurement
simulates with delays, see `synth.energy.gates`).
"""

import importlib.metadata
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.lib import wiring
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.config import Config
from hdl.emit.verilog import BLOCKS
from hdl.library import Library
from hdl.tile.multiplier import DigitMultiplier, Multiplier, OperandDecoder
from synth.cells.asic import Netlist, mappings
from synth.cells.designs import BOUNDARIES
from synth.cells.libraries import LIBRARIES, NANGATE45, CellLibrary, MissingError
from synth.cells.recipes import QUICK, SWEEP, Recipe
from tools.arguments import Parser, add_workers, one_of
from tools.cache import cached, digest
from tools.console import open_console
from tools.jobs import Job, open_pool
from tools.yosys import yosys
from verif.bench.benches import BENCHES, TINY
from verif.bench.runner import Settings, simulate

PROVEN = (Multiplier, OperandDecoder, DigitMultiplier)
# A clock gate has a table of states in the library, no function: it opens while the clock is low.
_CLOCK_GATE = """
module {cell}(input CK, input E, output GCK);
  reg open;
  always @* if (!CK) open = E;
  assign GCK = open & CK;
endmodule
"""


@dataclass(frozen=True)
class Check:
    """A block of a configuration that is proven, or that runs the bench of that name."""

    block: type[wiring.Component]
    config: Config
    bench: str = ""

    def __str__(self):
        how = f"bench {self.bench} on its gates" if self.bench else "proven"
        c = self.config
        radices = ", ".join(map(str, c.radices))
        return f"{self.block.__name__} {c.rows} x {c.cols} x {c.lanes}, radix {radices}: {how}"

    def run(self, recipe: Recipe, library: CellLibrary) -> None:
        """RuntimeError or AssertionError where the netlist is not what it was made of."""
        rtl = Library()
        top = rtl.convert(self.block, self.config)
        netlist = Netlist(rtl.text, top, BOUNDARIES)
        found = [replace(one, timed=False).run().verilog
                 for (one,) in mappings(netlist, [recipe], library).values()]
        if self.bench:
            run_on_gates(self.bench, netlist.top, self.config, found, library)
        else:
            prove(netlist, found, library)


def run_check(block: type[wiring.Component], config: Config, bench: str, recipe: Recipe,
              library: CellLibrary) -> None:
    """In a worker, where `Check` is not the program's: run one."""
    Check(block, config, bench).run(recipe, library)


def checks(block: str = "") -> list[Check]:
    """All, or those of the block or bench of that name; ValueError where there is none."""
    configs = BENCHES["multiplier"].configs
    found = [Check(kind, config) for kind in PROVEN for config in configs]
    found += [Check(BLOCKS[bench.top], TINY, name)
              for name, bench in BENCHES.items() if bench.on_gates]
    named = [check for check in found if block in ("", check.bench, check.block.__name__)]
    if not named:
        names = dict.fromkeys(n for c in found for n in (c.block.__name__, c.bench) if n)
        raise ValueError(f"BLOCK = {block!r} is unknown: expected one of {', '.join(names)}")
    return named


def cells(library: CellLibrary) -> Path:
    """Verilog models of the library's cells, from the functions in it."""
    def make(folder: Path) -> None:
        yosys([f"read_liberty -ignore_miss_func -ignore_buses {library.path}",
               f"write_verilog -noattr {folder}/cells.v"])
        with open(folder / "cells.v", "a") as file:
            file.writelines(_CLOCK_GATE.format(cell=cell) for cell in sorted(library.clock_gates))

    key = digest(library.digest, _CLOCK_GATE, importlib.metadata.version("pyosys"))
    return cached("cells", key, ["cells.v"], make) / "cells.v"


def prove(netlist: Netlist, gates: list[str], library: CellLibrary) -> None:
    """Every output is the same as in the RTL, for every input; RuntimeError otherwise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rtl.il").write_text(netlist.text)
        (folder / "gates.v").write_text("\n".join(gates))
        yosys([
            f"read_rtlil {folder}/rtl.il", f"hierarchy -check -top {netlist.top}", "proc",
            "flatten", f"rename {netlist.top} rtl", "design -stash rtl",
            f"read_verilog {cells(library)} {folder}/gates.v",
            f"hierarchy -check -top {netlist.top}", "proc", "flatten",
            f"rename {netlist.top} gates", "design -stash gates",
            "design -copy-from rtl rtl", "design -copy-from gates gates",
            "miter -equiv -flatten -make_assert rtl gates both", "hierarchy -top both",
            "sat -verify -prove-asserts -set-def-inputs -enable_undef both"])


def run_on_gates(bench: str, top: str, config: Config, gates: list[str],
                 library: CellLibrary) -> None:
    """The bench passes on the mapped netlist; AssertionError with its log otherwise."""
    text = cells(library).read_text()
    used = set().union(*(re.findall(r"^ +(\w+) ", netlist, re.M) for netlist in gates))
    models = [m[0] for m in re.finditer(r"^module (\w+).*?^endmodule$", text, re.M | re.S)
              if m[1] in used]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"{top}.v"
        path.write_text("\n".join([*models, *gates]))
        passed = simulate(Settings(bench, top, config), verilog=path)
    if passed != BENCHES[bench].tests:
        raise AssertionError(f"bench {bench} ran {passed} tests, expected {BENCHES[bench].tests}")


def main() -> int:
    parser = Parser("make synth-verify", __doc__)
    parser.add_argument("--block", default="")
    add_workers(parser)
    parser.add_argument("--library", type=one_of(LIBRARIES), default=NANGATE45.name)
    parser.add_argument("--recipe", default=str(QUICK[0]), type=one_of([str(r) for r in SWEEP]),
                        help="as the report names it", metavar="NAME")
    o = parser.parse_args()
    console, library = open_console(), LIBRARIES[o.library]
    recipe = next(r for r in SWEEP if str(r) == o.recipe)
    failed = 0
    try:
        todo = checks(o.block)
        cells(library)
    except (ValueError, MissingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with (Progress(*columns, console=console) as progress,
          open_pool(o.jobs, o.scheduler) as pool):
        task = progress.add_task(f"netlists in {library.name}", total=len(todo))
        for done in pool.run(Job(check, run_check, (check.block, check.config, check.bench, recipe,
                                                    library)) for check in todo):
            progress.advance(task)
            failed += done.error is not None
            console.print(f"{done.job.key}{': FAILED' if done.error else ''}", soft_wrap=True)
            if done.error:
                console.print(str(done.error), style="red", markup=False, soft_wrap=True)
    print(f"{len(todo) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
