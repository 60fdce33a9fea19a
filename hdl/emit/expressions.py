# SPDX-License-Identifier: Apache-2.0
"""Verilog expressions as Yosys writes them: parsed, measured by the language's rules, printed.

Widths and signs of operands depend on where an expression stands (IEEE 1364-2005, 5.4 and 5.5), so
that one expression may replace a wire in another only under conditions: `fits` knows them.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(r"""\s*(\\\S+[ ]|\$?\w+(?:'s?[bdho][0-9a-fA-FxzXZ?_]+)?
    |<<<|>>>|===|!==|==|!=|<=|>=|<<|>>|&&|\|\||~\^|[-+*/%&|^~!<>?:{}()\[\],])""", re.X)
BITWISE = {"+", "-", "*", "/", "%", "&", "|", "^", "~^"}
COMPARISONS = {"==", "!=", "<", "<=", ">", ">=", "===", "!==", "&&", "||"}
EQUALITIES = {"==", "!=", "<", "<=", ">", ">="}  # of unsigned operands, either may be extended
SHIFTS = {"<<", ">>", "<<<", ">>>"}
BINARY = BITWISE | COMPARISONS | SHIFTS
UNARY = {"~", "!", "&", "|", "^", "~^", "-"}


class UnparsedError(Exception):
    """Text that these rules do not cover: it stays as it is."""


@dataclass(frozen=True)
class Node:
    """An expression. `op` is what it is: an operator, or "name", "number", "select", "concat",
    "repeat" or "signed"; `text` the name, the number, the select's bounds or how often."""

    op: str
    parts: tuple["Node", ...] = ()
    text: str = ""

    @property
    def comparison(self) -> bool:
        """Whether its result is one bit, whatever its operands."""
        return (self.op in COMPARISONS and len(self.parts) == 2) or self.reduction

    @property
    def reduction(self) -> bool:
        return len(self.parts) == 1 and self.op in ("!", "&", "|", "^", "~^")

    @property
    def closed(self) -> bool:
        """Whether its value does not depend on the width of where it stands."""
        return self.comparison or self.op in ("name", "number", "select", "concat", "repeat")

    def names(self) -> Iterator[str]:
        """Every name in it, as often as it is there."""
        if self.op == "name":
            yield self.text
        for part in self.parts:
            yield from part.names()


def parse(text: str) -> Node:
    """The expression of a text; `UnparsedError` if it is none of those known here."""
    parser = _Parser(text)
    node = parser.ternary()
    if parser.next:
        raise UnparsedError(text)
    return node


class _Parser:
    """Recursive descent; `next` is the token to come, empty at the end."""

    def __init__(self, text: str):
        self._tokens, end = [], 0
        text = text.rstrip() + " "  # an escaped name ends in a space
        while end < len(text) and text[end:].strip():
            found = TOKEN.match(text, end)
            if not found:
                raise UnparsedError(text)
            self._tokens.append(found[1])
            end = found.end()
        self._tokens.append("")
        self._at = 0

    @property
    def next(self) -> str:
        return self._tokens[self._at]

    def take(self, wanted: str = "") -> str:
        """The token to come, which is the one that is wanted."""
        token = self.next
        if wanted and token != wanted:
            raise UnparsedError(token)
        self._at += 1
        return token

    def ternary(self) -> Node:
        condition = self.binary()
        if self.next != "?":
            return condition
        self.take()
        chosen = self.ternary()
        self.take(":")
        return Node("?", (condition, chosen, self.ternary()))

    def binary(self) -> Node:
        left = self.unary()
        if self.next not in BINARY:
            return left
        op = self.take()
        node = Node(op, (left, self.unary()))
        if self.next in BINARY:
            raise UnparsedError(self.next)  # Yosys writes one operator a statement
        return node

    def unary(self) -> Node:
        if self.next in UNARY:
            return Node(self.take(), (self.unary(),))
        return self.primary()

    def primary(self) -> Node:
        first = self.take()
        if first == "{":
            return self.braces()
        if first in ("$signed", "("):
            if first == "$signed":
                self.take("(")
            inner = self.ternary()
            self.take(")")
            return Node("signed", (inner,)) if first == "$signed" else inner
        if first[:1].isdigit():
            return Node("number", (), first)
        if not re.match(r"\\|[A-Za-z_]", first):
            raise UnparsedError(first)
        name = Node("name", (), first)
        if self.next != "[":
            return name
        self.take()
        bounds = ""
        while self.next not in ("]", ""):
            bounds += self.take()
        self.take("]")
        if not re.fullmatch(r"\d+(:\d+)?", bounds):
            raise UnparsedError(bounds)
        return Node("select", (name,), bounds)

    def braces(self) -> Node:
        """What follows an opening brace."""
        if self.next.isdigit() and self._tokens[self._at + 1] == "{":
            count = self.take()
            self.take()
            inner = self.braces()
            self.take("}")
            return Node("repeat", (inner,), count)
        parts = [self.ternary()]
        while self.next == ",":
            self.take()
            parts.append(self.ternary())
        self.take("}")
        return Node("concat", tuple(parts))


class Names:
    """What a module declares: name -> (width, signed)."""

    def __init__(self, declared: dict[str, tuple[int, bool]]):
        self.declared = declared

    def width(self, node: Node) -> int:
        """Bits of an expression by itself."""
        if node.op == "name":
            if node.text not in self.declared:
                raise UnparsedError(node.text)
            return self.declared[node.text][0]
        if node.op == "number":
            if "'" not in node.text:
                raise UnparsedError(node.text)
            return int(node.text.split("'")[0])
        if node.op == "select":
            first, _, last = node.text.partition(":")
            return int(first) - int(last or first) + 1
        if node.op == "concat":
            return sum(self.width(part) for part in node.parts)
        if node.op == "repeat":
            return int(node.text) * self.width(node.parts[0])
        if node.comparison:
            return 1
        if node.op in SHIFTS:
            return self.width(node.parts[0])
        if node.op == "?":
            return max(self.width(part) for part in node.parts[1:])
        return max(self.width(part) for part in node.parts)

    def signed(self, node: Node) -> bool:
        """Whether an expression by itself counts as signed."""
        if node.op == "name":
            return self.declared.get(node.text, (0, True))[1]
        if node.op in ("select", "concat", "repeat") or node.comparison:
            return False
        if node.op == "number":
            return "'s" in node.text
        if node.op == "signed":
            return True
        if node.op in SHIFTS:
            return self.signed(node.parts[0])
        return all(self.signed(part) for part in (node.parts[1:] if node.op == "?" else node.parts))

    def fits(self, node: Node, wire: str, context: int | None) -> bool:
        """Whether an unsigned wire may be replaced by its expression where the context is `context`
        bits wide; None where the operand stands by itself."""
        width, is_signed = self.declared[wire]
        own = self.width(node)
        if is_signed or self.signed(node):
            return False
        # a narrower one would narrow what stands around it: the comparison in (a << 1) == b
        return own == width and (node.closed or context in (None, width))

    def contexts(self, node: Node, context: int | None) -> list[int | None]:
        """The context of each part of an expression that stands in `context`."""
        inner = self.width(node) if context is None else context
        if node.op == "?":
            return [None, inner, inner]
        if node.op in SHIFTS:
            return [inner, None]
        if node.reduction or node.op in ("concat", "repeat", "signed", "&&", "||"):
            return [None] * len(node.parts)
        if node.comparison:
            return [max(self.width(part) for part in node.parts)] * 2
        return [inner] * len(node.parts)


def simplified(node: Node, names: Names, context: int | None) -> Node:
    """The same, said more plainly: `x == 4'h0` for `!x`, `x == 4'h2` for `x == 2'h2`, `c` for
    `c ? 1'h1 : 1'h0`, for `1'h0 | c` and for `c << 1'h0`, 0 for `c >> 1'h1`.

    An operand takes its operator's place only where `context`, in which that stands, is no wider
    than a bit or does not count: `~c` extended to eight bits is not what `~c` is as one."""
    parts = node.parts

    def bit(part: Node) -> bool:
        return (names.width(part) == 1 and not names.signed(part)
                and (part.closed or context in (None, 1)))

    if node.op == "!" and (width := names.width(parts[0])) > 1:
        return Node("==", (parts[0], number(0, width)))
    if node.op == "|" and [part.text for part in parts] == ["1'h0"]:
        return parts[0]
    if node.op == "|" and len(parts) == 2 and parts[0].text == "1'h0" and bit(parts[1]):
        return parts[1]
    if node.op in ("+", "|", "^") and len(parts) == 2 and value(parts[0]) == 0 and (
            parts[1].closed and not names.signed(parts[1])
            and names.width(parts[0]) <= names.width(parts[1])):
        return parts[1]
    if node.op in ("<<", ">>") and (places := value(parts[1])) is not None:
        if places == 0:
            return parts[0]
        if node.op == ">>" and places >= (width := names.width(parts[0])) and (
                not names.signed(parts[0])):
            return number(0, width)
    if node.op in EQUALITIES and parts[1].op == "number" and "'h" in parts[1].text and (
            not names.signed(parts[0])):
        width, digits = names.width(parts[0]), parts[1].text.split("h")[1]
        if width > names.width(parts[1]) and "x" not in digits:
            return Node(node.op, (parts[0], number(int(digits, 16), width)))
    if node.op == "?" and [part.text for part in parts[1:]] == ["1'h1", "1'h0"] and bit(parts[0]):
        return parts[0]
    return node


def value(node: Node) -> int | None:
    """Of a constant in hexadecimal digits, unsigned; None of anything else."""
    found = re.fullmatch(r"\d+'h([0-9a-f]+)", node.text) if node.op == "number" else None
    return int(found[1], 16) if found else None


def number(value: int, width: int) -> Node:
    """A constant as Yosys writes it, all its digits shown."""
    return Node("number", (), f"{width}'h{value:0{-(-width // 4)}x}")


def elements(parts: tuple[Node, ...]) -> str:
    """What is joined, each run of three or more alike as one: `{1'h0, {32{a}}}`."""
    found = []
    for text, run in itertools.groupby(map(render, parts)):
        times = len(list(run))
        found += [f"{{{times}{{{text}}}}}"] if times > 2 else [text] * times
    return found[0] if len(found) == 1 and found[0][0] == "{" else f"{{{', '.join(found)}}}"


def render(node: Node, outer: bool = True) -> str:
    """The text of an expression; what is nested in an operator is in parentheses."""
    if node.op in ("name", "number"):
        return node.text
    if node.op == "select":
        return f"{render(node.parts[0])}[{node.text}]"
    if node.op == "signed":
        return f"$signed({render(node.parts[0])})"
    if node.op == "concat":
        return elements(node.parts)
    if node.op == "repeat":
        return f"{{{node.text}{{{', '.join(map(render, node.parts[0].parts))}}}}}"
    inner = [render(part, False) for part in node.parts[:2]]
    if node.op == "?":
        text = f"{inner[0]} ? {inner[1]} : {render(node.parts[2], node.parts[2].op == '?')}"
    elif len(inner) == 1:
        # the grammar has no operator right behind another
        text = f"{node.op}({inner[0]})" if inner[0][0] in "~!" else f"{node.op}{inner[0]}"
        outer |= node.op in "~!"  # which no other operator could join
    else:
        text = f"{inner[0]} {node.op} {inner[1]}"
    return text if outer else f"({text})"
