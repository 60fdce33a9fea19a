# SPDX-License-Identifier: Apache-2.0
"""Mapping to cells: every distinct block once, its results kept by content.

A design is RTLIL with one module per block. Blocks that are boundaries are mapped on their own and
placed as often as they occur; all others are flattened into the block above. Timing is that of the
linked whole, area the sum.
"""

import importlib.metadata
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from synth.cells import memories, sta
from synth.cells.fanout import LIMIT, buffered
from synth.cells.libraries import CellLibrary
from synth.cells.recipes import CARRY_SAVE, Recipe, carry_save_widths, finish
from tools.cache import digest
from tools.tasks import Task
from tools.yosys import yosys

VERSION = "2"  # of what happens around the recipes, part of every key
_MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module (\\\S+|\$\S+)\n(.*?)^end\n", re.M | re.S)
_CELL = re.compile(r"^\s+cell +(\\\S+) ", re.M)
_PORT = re.compile(r"^\s+wire [^\n]*(?:input|output|inout)[^\n]*\n", re.M)
_WIDE = re.compile(r"^\s+wire (?:width (\d+) )?(input|output) \d+ \\(\S+)$", re.M)


@dataclass(frozen=True)
class Netlist:
    """RTLIL of a whole design, and which of its modules stay blocks of their own.

    Members
    -------
    text, top. boundaries : names; those that do not occur below the top are of no consequence.
    """

    text: str
    top: str
    boundaries: frozenset[str] = frozenset()

    @cached_property
    def modules(self) -> dict[str, str]:
        return {name.lstrip("\\"): match[0] for match in _MODULE.finditer(self.text)
                for name in [match[2]]}

    @cached_property
    def children(self) -> dict[str, Counter]:
        """Modules that each module places, and how often."""
        return {name: Counter(child for kind in _CELL.findall(text)
                              if (child := kind.lstrip("\\")) in self.modules)
                for name, text in self.modules.items()}

    @cached_property
    def blocks(self) -> dict[str, int]:
        """The top and every boundary below it, parents first, with the number of instances."""
        counts: Counter = Counter()

        def visit(name: str, times: int):
            if name in self.boundaries or name == self.top:
                counts[name] += times
            for child, number in self.children[name].items():
                visit(child, times * number)

        visit(self.top, 1)
        return dict(counts)

    def block(self, name: str, keep_rows: bool) -> str:
        """RTLIL of one block: what is flattened into it, and the blocks below as black boxes.

        `keep_rows` : carry-save rows are black boxes too.
        """
        found: dict[str, str] = {}

        def visit(module: str):
            if module in found:
                return
            boundary = module != name and module in self.boundaries
            kept = (memories.PREFIX, *([CARRY_SAVE] if keep_rows else []))
            if boundary or module.startswith(kept):
                ports = "".join(_PORT.findall(self.modules[module]))
                found[module] = f"attribute \\blackbox 1\nmodule \\{module}\n{ports}end\n"
                return
            found[module] = re.sub(r"^\s*attribute \\src [^\n]*\n", "", self.modules[module],
                                   flags=re.M)
            for child in self.children[module]:
                visit(child)

        visit(name)
        return "".join(found.values())

    def below(self, name: str) -> list[str]:
        """Boundaries below a block that are placed in it or in what is flattened into it."""
        found = []
        for child in self.children[name]:
            found += [child] if child in self.boundaries else self.below(child)
        return found

    @cached_property
    def memories(self) -> str:
        """The liberty file of the macros in the design, "" if there are none."""
        found = {name: {port: (direction, int(width or 1))
                        for width, direction, port in _WIDE.findall(text)}
                 for name, text in self.modules.items() if name.startswith(memories.PREFIX)}
        return memories.liberty(found) if found else ""

    def clocked(self, name: str) -> bool:
        return re.search(r"^\s+wire [^\n]*input \d+ +\\clk$", self.modules[name], re.M) is not None


@dataclass(frozen=True)
class Mapping(Task):
    """One block, one recipe, one library: RTLIL in, cells, area and timing out.

    `timed` : whether the block is timed on its own, which needs all that is in it. `memories` : as
    of `Netlist`.
    """

    name: str
    text: str
    recipe: Recipe
    library: CellLibrary
    timed: bool
    clocked: bool
    memories: str = ""
    kind: ClassVar[str] = "asic"

    @property
    def products(self) -> tuple[str, ...]:
        return ("netlist.v", "stat.json", *(["period"] if self.timed else []))

    @cached_property
    def key(self) -> str:
        """A digest of all that the result depends on, wherever the library lies."""
        commands = [*self.recipe.commands(Path("."), self.name, self.library)[1:],
                    *finish(Path("."), self.library)]
        return digest(
            VERSION, str(LIMIT), *self.library.buffer, self.text,
            *(command.replace(str(self.library.path), "liberty") for command in commands),
            *self.recipe.files(self.library, set()).values(), self.library.digest,
            importlib.metadata.version("pyosys"),
            *(sta.depends_on(self.library, self.memories) if self.timed else ()))

    def read(self, folder: Path) -> "MappedBlock":
        text = (folder / "stat.json").read_text()
        stat = json.loads(text[text.index("{"):text.rindex("}") + 1])["modules"]
        cells = stat["\\" + self.name]["num_cells_by_type"]
        return MappedBlock(
            self.name, self.recipe, folder / "netlist.v",
            sum(count * self.library.area(kind) for kind, count in cells.items()
                if kind in self.library.areas),
            sum(count for kind, count in cells.items() if kind in self.library.areas),
            float((folder / "period").read_text()) if self.timed else None)

    def make(self, folder: Path) -> None:
        (folder / "block.il").write_text(self.text)
        files = self.recipe.files(self.library, carry_save_widths(self.text))
        for name, text in files.items():
            (folder / name).write_text(text)
        yosys(self.recipe.commands(folder, self.name, self.library))
        path = folder / "netlist.json"
        netlist = json.loads(path.read_text())
        modules = netlist["modules"]
        blocks = {name for name in modules if name != self.name and name.startswith("tetra_")}
        cell, *pins = self.library.buffer
        if buffered(modules[self.name], blocks, cell, tuple(pins)):
            path.write_text(json.dumps(netlist))
        yosys(finish(folder, self.library))
        path.unlink()
        path = folder / "netlist.v"  # OpenSTA cannot read `signed`
        path.write_text(re.sub(r"\b(wire|input|output) signed\b", r"\1", path.read_text()))
        if self.timed:
            period = sta.shortest_period([path], self.name, self.library, self.clocked, folder,
                                         memories=self.memories)
            (folder / "period").write_text(repr(period))


@dataclass(frozen=True)
class MappedBlock:
    """A block in cells.

    `area` (square micrometres) and `cells` are without the blocks placed in it; `period` is None
    where it was not timed on its own.
    """

    name: str
    recipe: Recipe
    netlist: Path
    area: float
    cells: int
    period: float | None

    @cached_property
    def verilog(self) -> str:
        return self.netlist.read_text()


def mappings(netlist: Netlist, recipes: list[Recipe], library: CellLibrary,
             ) -> dict[str, list[Mapping]]:
    """What maps every block of a design, one per recipe."""
    found = {}
    for name in netlist.blocks:
        texts = {rows: netlist.block(name, rows) for rows in (False, True)}
        leaf = not any(netlist.below(name))
        found[name] = [Mapping(name, texts[recipe.full_adders], recipe, library, leaf,
                               netlist.clocked(name), netlist.memories) for recipe in recipes]
    return found


@dataclass(frozen=True)
class Timing(Task):
    """A whole design of mapped blocks: their netlists in, nanoseconds out of its slowest path."""

    top: str
    netlists: tuple[str, ...]
    library: CellLibrary
    clocked: bool
    memories: str = ""
    kind: ClassVar[str] = "sta"
    products: ClassVar[tuple[str, ...]] = ("period",)

    @cached_property
    def key(self) -> str:
        return digest(VERSION, self.top, *sta.depends_on(self.library, self.memories),
                      *self.netlists)

    def make(self, folder: Path) -> None:
        paths = [folder / f"block{i}.v" for i in range(len(self.netlists))]
        for path, text in zip(paths, self.netlists, strict=True):
            path.write_text(text)
        period = sta.shortest_period(paths, self.top, self.library, self.clocked, folder,
                                     memories=self.memories)
        for path in paths:
            path.unlink()
        (folder / "period").write_text(repr(period))

    def read(self, folder: Path) -> float:
        return float((folder / "period").read_text())


def timing(netlist: Netlist, blocks: list[MappedBlock], library: CellLibrary) -> Timing:
    """What times a design of these blocks."""
    return Timing(netlist.top, tuple(block.verilog for block in blocks), library,
                  netlist.clocked(netlist.top), netlist.memories)
