# SPDX-License-Identifier: Apache-2.0
"""Memories as people write them: loops over what Yosys writes out word by word and bit by bit.

A simulator is the faster for it too, since it skips a write whose enables are all 0.
"""

import re

_FILL = re.compile(r"    (\w+)\[(\d+)\] = (\d+'h)0*([0-9a-f]+);")
_PART = re.compile(r"    if \((\w+)\[(\d+)\]\)\n"
                   r"      (\w+)(\[.*\])\[(\d+):(\d+)\] <= (\w+)\[\5:\6\];\n")


def folded(statement: str, taken: set[str]) -> str:
    """A statement whose runs of like assignments to a memory are loops; `taken` are the names of
    its module, to which those of the loops are added."""
    lines = statement.splitlines()
    if lines[0] == "  initial begin":
        return _filled(statement, lines[1:-1], taken)
    if lines[0].startswith("  always @"):
        return _enabled(statement, taken)
    return statement


def _filled(statement: str, lines: list[str], taken: set[str]) -> str:
    """A memory whose words are all the same at first."""
    found = [_FILL.fullmatch(line) for line in lines]
    if not found or None in found:
        return statement
    name, _, size, digits = found[0].groups()  # type: ignore[union-attr]
    if [each.groups() for each in found if each] != [
            (name, str(n), size, digits) for n in range(len(lines))]:
        return statement
    index, label = _free("n", taken), _free(f"fill_{name}", taken)
    taken.add(label)
    return (f"  initial begin : {label}\n"
            f"    integer {index};\n"
            f"    for ({index} = 0; {index} < {len(lines)}; {index} = {index} + 1)\n"
            f"      {name}[{index}] = {size}{digits};\n"
            "  end")


def _enabled(statement: str, taken: set[str]) -> str:
    """Words that are written in pieces, one enable each."""
    pieces = list(_PART.finditer(statement))
    groups: list[list[re.Match]] = []
    for piece in pieces:
        enable, number, name, address, high, low, data = piece.groups()
        width = int(high) - int(low) + 1
        last = groups[-1] if groups else []
        follows = last and last[-1].end() == piece.start() and (
            last[0][1], last[0][3], last[0][4], last[0][7]) == (enable, name, address, data) and (
            (int(number), int(low)) == (len(last), len(last) * width)
            and width == int(last[0][5]) - int(last[0][6]) + 1)
        if follows:
            last.append(piece)
        elif int(number) == int(low) == 0:
            groups.append([piece])
        else:
            groups.append([])
    index = _free("n", taken)
    for group in reversed([each for each in groups if len(each) > 1]):
        enable, _, name, address, high, _, data = group[0].groups()
        label = _free(f"write_{name}", taken)
        taken.add(label)
        part = f"[{int(high) + 1} * {index} +: {int(high) + 1}]"
        loop = (f"    if (|{enable}) begin : {label}\n"
                f"      integer {index};\n"
                f"      for ({index} = 0; {index} < {len(group)}; {index} = {index} + 1)\n"
                f"        if ({enable}[{index}])\n"
                f"          {name}{address}{part} <= {data}{part};\n"
                "    end\n")
        statement = statement[:group[0].start()] + loop + statement[group[-1].end():]
    return statement


def _free(name: str, taken: set[str]) -> str:
    """A name that nothing else has."""
    while name in taken:
        name += "_"
    return name
