# SPDX-License-Identifier: Apache-2.0
"""What Yosys writes, made readable: plain names, expressions instead of numbered wires, comments.

Yosys writes one operator per statement, and a numbered wire for each; here a wire that is read once
gives way to its expression where the rules of Verilog leave its value as it was
(`hdl.emit.expressions`). Benches and proofs run on the result, and a test proves both texts equal.
"""

import re
import sys
import textwrap
from dataclasses import dataclass, field
from functools import cache

from hdl.emit.expressions import Names, Node, UnparsedError, parse, render, simplified
from hdl.emit.keywords import KEYWORDS, VERILOG, reserved
from hdl.emit.memories import folded

WIDTH = 100  # columns of a line
NESTED = 72  # characters of an expression that may stand within another
INDENT = 6  # of what a statement goes on with
_NAME = re.compile(r"\\\S+ |(?<![\w'$.\\])[A-Za-z_]\w*")
_DECLARED = re.compile(r"  (input|output|wire|reg)( signed)?(?: \[(\d+):(\d+)\])? (\\\S+ |\w+)"
                       r" ?( \[\d+:0\])?(?: = ([^;]+))?;")
_TEMPORARY = re.compile(r"_\d+_")


@dataclass
class Wire:
    """What a module declares: a port if it has a direction, a memory if it has a depth."""

    name: str
    width: int = 1
    lowest: int = 0  # the number of its lowest bit, which becomes 0
    signed: bool = False
    register: bool = False
    direction: str = ""
    depth: str = ""
    initial: str = ""

    def text(self) -> str:
        """Its declaration, without what ends it."""
        words = [self.direction, "reg" if self.register else "wire",
                 "signed" if self.signed else "",
                 f"[{self.width - 1}:0]" if self.width > 1 else "", self.name.strip()]
        # hundreds of zeros in a row would make a line of any length, and one says the same
        initial = re.sub(r"(?<=h)0{16,}(?=[0-9a-f])", "", self.initial)
        after = self.depth + (f" = {initial}" if initial else "")
        return " ".join(word for word in words if word) + after


@dataclass
class Body:
    """A module: what it declares and its statements, as Yosys writes them."""

    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)


def read_module(text: str) -> Body:
    """The parts of one module's text."""
    lines = text.splitlines()
    body = Body(re.match(r"module (\\\S+ |\w+)", lines[0])[1])
    start = next(n for n, line in enumerate(lines) if line.endswith(");")) + 1
    for line in lines[start:lines.index("endmodule")]:
        if found := _DECLARED.fullmatch(line):
            kind, signed, msb, lsb, name, depth, initial = found.groups()
            wire = body.wires.setdefault(name, Wire(name))
            wire.lowest = int(lsb or 0)
            wire.width, wire.signed = int(msb or 0) - wire.lowest + 1, bool(signed)
            if kind in ("input", "output"):
                wire.direction = kind
            wire.register |= kind == "reg"
            wire.depth, wire.initial = depth or wire.depth, initial or wire.initial
            if (initial and not re.fullmatch(r"\d+'s?[bdho][0-9a-fxz]+", initial)) or (
                    wire.direction and _TEMPORARY.fullmatch(name)):
                raise RuntimeError(f"{body.name}: a declaration that is not understood: {line}")
        elif re.match(r"  (input|output|wire|reg)\b", line):
            raise RuntimeError(f"{body.name}: a declaration that is not understood: {line}")
        elif re.match(r"  \S", line) and not re.match(r"  (end\b|\))", line):
            body.statements.append(line)
        else:
            body.statements[-1] += "\n" + line
    return body


def check_ports(body: Body, keywords: frozenset[str]) -> None:
    """ValueError for a port that is called like a keyword: its name is others' business too."""
    for name, wire in body.wires.items():
        if wire.direction and name.lower() in keywords:
            raise ValueError(f"{body.name} has a port {name!r}, a keyword of Verilog, SystemVerilog"
                             " or VHDL: it needs another name")


def plain_names(body: Body) -> None:
    """Rename what is not a plain identifier, or is a keyword; ports keep their names."""
    check_ports(body, VERILOG)
    for name, wire in body.wires.items():
        if wire.lowest:
            body.statements = [_moved(statement, name, wire.lowest)
                               for statement in body.statements]
            wire.lowest = 0
    taken = {name for name, wire in body.wires.items() if wire.direction}
    renamed = {}
    instances = re.findall(r"^  (?!assign |always |initial )(?:\\\S+ |\w+) (\\\S+ |\w+) \($",
                           "\n".join(body.statements), re.M)
    for name in [*(n for n, wire in body.wires.items() if not wire.direction), *instances]:
        new = base = name if _TEMPORARY.fullmatch(name) else re.sub(
            r"_+", "_", re.sub(r"\W", "_", name.strip().lstrip("\\"))).strip("_")
        count = 1
        while new in taken or reserved(new):
            count += 1
            new = f"{base}_{count}"
        taken.add(new)
        if new != name:
            renamed[name] = new
    body.wires = {renamed.get(name, name): wire for name, wire in body.wires.items()}
    for name, wire in body.wires.items():
        wire.name = name
    body.statements = [_NAME.sub(lambda found: renamed.get(found[0], found[0]), statement)
                       for statement in body.statements]


def _moved(statement: str, name: str, by: int) -> str:
    """A statement whose selects of a wire count from its lowest bit."""
    def moved(found: re.Match) -> str:
        return re.sub(r"\d+", lambda bit: str(int(bit[0]) - by), found[0][len(name):])
    return re.sub(rf"{re.escape(name)} ?\[\d+(:\d+)?\]",
                  lambda found: name + moved(found), statement)


class Nesting:
    """The statements of a module with the wires that are read once replaced by expressions."""

    def __init__(self, body: Body):
        self.body = body
        self.names = Names({name: (wire.width, wire.signed) for name, wire in body.wires.items()
                            if not wire.depth})
        text = "\n".join(body.statements)
        uses: dict[str, int] = {}
        for name in re.findall(r"(?<![\w'])_\d+_(?!\w)", text):
            uses[name] = uses.get(name, 0) + 1
        self.once: dict[str, Node] = {}  # temporary wires that are assigned, and read once
        self.at: dict[str, int] = {}
        for number, statement in enumerate(body.statements):
            found = re.fullmatch(r"  assign (_\d+_) = (.*);", statement)
            if found and uses[found[1]] == 2:
                try:
                    self.once[found[1]] = parse(found[2])
                    self.at[found[1]] = number
                except UnparsedError:
                    continue
        self.gone: set[str] = set()

    def statements(self) -> list[str]:
        """All that are left, expressions nested."""
        later = set(self.at.values())
        self._todo = [n for n in range(len(self.body.statements)) if n not in later]
        found = {}
        while self._todo:
            number = self._todo.pop()
            found[number] = self._nested(self.body.statements[number])
        return [found[number] for number in sorted(found)]

    def _nested(self, statement: str) -> str:
        if assigned := re.fullmatch(r"  assign (.*?) = (.*);", statement, re.S):
            return f"  assign {assigned[1]} = {self._right(assigned[1], assigned[2], 11)};"
        if not statement.startswith("  always"):
            return self._as_it_is(statement)
        statement = re.sub(r"if \((_\d+_|!_\d+_)\)",
                           lambda found: f"if ({self._right(None, found[1], 12)})", statement)
        return re.sub(r"(\S+(?: \[[\d:]+\])?) <= ([^;]*);",
                      lambda found: f"{found[1]} <= {self._right(found[1], found[2], 10)};",
                      statement)

    def _as_it_is(self, text: str) -> str:
        """The text; the wires that it reads are assigned as before."""
        self._todo += [self.at[name] for name in re.findall(r"(?<![\w'])_\d+_(?!\w)", text)
                       if name in self.at]
        return text

    def _right(self, target: str | None, text: str, taken: int) -> str:
        """The right side of an assignment to a target, or a condition, nested and laid out."""
        try:
            node = parse(text)
            context = self.names.width(parse(target)) if target else None
            if context is not None:
                context = max(context, self.names.width(node))
            node = self._replace(node, context, True)
        except UnparsedError:
            return self._as_it_is(text)
        return layout(node, taken + len(target or ""))

    def _replace(self, node: Node, context: int | None, chain: bool) -> Node:
        """The node with every wire replaced that may be; the last branches of a `chain` of choices
        are lines of their own and may be of any length."""
        if node.op == "name":
            return self._expression(node, context, chain) if node.text in self.once else node
        if node.op == "select":  # of a wire: no expression may stand there
            self._as_it_is(node.parts[0].text)
            return node
        contexts = self.names.contexts(node, context)
        parts = tuple(
            self._replace(part, inner, chain and node.op == "?" and number == 2)
            for number, (part, inner) in enumerate(zip(node.parts, contexts, strict=True)))
        return simplified(Node(node.op, parts, node.text), self.names, context)

    def _expression(self, wire: Node, context: int | None, chain: bool) -> Node:
        """What stands for a wire that is read here alone: its expression, or else itself."""
        inner = self.once[wire.text]
        todo, gone = len(self._todo), set(self.gone)
        try:
            if self.names.fits(inner, wire.text, context):
                self.gone.add(wire.text)
                nested = self._replace(inner, self.names.width(wire), chain and inner.op == "?")
                if (chain and nested.op == "?") or len(render(nested)) <= NESTED:
                    return nested
        except UnparsedError:
            pass
        del self._todo[todo:]
        self.gone = gone
        self._todo.append(self.at[wire.text])
        return wire


def layout(node: Node, taken: int) -> str:
    """The text of a right side that starts after `taken` characters."""
    text = render(node)
    if node.op != "?" or (taken + len(text) < WIDTH and node.parts[2].op != "?"):
        return text
    lines = []
    while node.op == "?":
        lines.append(f"{render(node.parts[0], False)} ? {render(node.parts[1], False)} :")
        node = node.parts[2]
    pad = "\n" + " " * INDENT
    return pad.join(["", *lines, render(node)])


def write_module(body: Body, doc: str, renames: dict[str, str]) -> str:
    """Its Verilog: contract, ports in order (clk and rst first), declarations, statements."""
    used = set(re.findall(r"\\\S+ |\w+", "\n".join(body.statements)))
    taken = used | set(body.wires)
    ports = sorted((wire for wire in body.wires.values() if wire.direction),
                   key=lambda wire: (wire.name not in ("clk", "rst"), wire.name))
    inner = [wire for name, wire in body.wires.items() if not wire.direction and name in used]
    inner.sort(key=lambda wire: bool(_TEMPORARY.fullmatch(wire.name)))
    lines = [f"// {line}".rstrip() for line in doc.splitlines()]
    lines.append(f"module {renames.get(body.name, body.name)} (")
    lines.append(",\n".join(f"  {wire.text()}" for wire in ports))
    lines.append(");")
    lines += [f"  {wire.text()};" for wire in inner] + [""] * bool(inner)
    for statement in body.statements:
        placed = re.match(r"  (\w+) (\w+) \($", statement.split("\n", 1)[0])
        if placed and placed[1] in renames:
            statement = statement.replace(placed[1], renames[placed[1]], 1)
        statement = folded(statement, taken)
        lines += [short for line in statement.splitlines() for short in wrapped(line.rstrip())]
    return "\n".join([*lines, "endmodule\n"])


def wrapped(line: str) -> list[str]:
    """A line, broken between words where it is too long."""
    if len(line) <= WIDTH:
        return [line]
    indent = len(line) - len(line.lstrip())
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * max(INDENT, indent + 4),
                         break_long_words=False, break_on_hyphens=False, drop_whitespace=True)


@cache
def prepared(module: str) -> Body:
    """A module's text with plain names and nested expressions; several tops share it."""
    # a table of 256 scales is a choice of 256 branches, each of several calls
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
    hexadecimal = re.sub(r"32'd(\d+)", lambda found: f"32'h{int(found[1]):08x}", module)
    body = read_module(hexadecimal)
    plain_names(body)
    nesting = Nesting(body)
    body.statements = nesting.statements()
    for name in nesting.gone:
        del body.wires[name]
    return body


def plain(text: str, docs: dict[str, str], renames: dict[str, str], top: str) -> str:
    """Yosys' Verilog, plain, the module `top` first: `docs` are the modules' comments, `renames`
    their new names.

    ValueError for a port that is a keyword of Verilog, one of the top also for one of VHDL.
    """
    bodies = [prepared(module) for module in
              re.findall(r"^module .*?^endmodule$", text, re.M | re.S)]
    bodies.sort(key=lambda body: body.name != top)
    check_ports(bodies[0], KEYWORDS)
    return "\n".join(write_module(body, docs.get(body.name, ""), renames) for body in bodies)
