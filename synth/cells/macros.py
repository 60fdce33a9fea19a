# SPDX-License-Identifier: Apache-2.0
"""Memories as macros: a core's are ready-made in silicon, so they are black boxes to mapping."""

import json
import re
import tempfile
from itertools import groupby
from pathlib import Path

from synth.cells.asic import Netlist
from synth.cells.memories import PREFIX
from tools.yosys import yosys


def with_macros(text: str, top: str) -> str:
    """The same RTLIL, but that every memory is a cell of a module that has nothing in it.

    Its name says words, bits of a word and write enables of a word. Modules without memories stay
    as they are, and of the others each becomes what it would be alone: so a mapping that was made
    before is found again. ValueError for a memory that has not one port to write it and one,
    clocked, to read it.
    """
    whole = Netlist(text, top)
    apart = Netlist(text, top, frozenset(whole.modules))
    found = dict(whole.modules)
    for name, module in whole.modules.items():
        if re.search(r"^\s+memory ", module, re.M):
            found |= _with_macros(apart.block(name, keep_rows=False), name)
    return "".join(found.values())


def _with_macros(text: str, name: str) -> dict[str, str]:
    """A module, whose own modules are black boxes, and the macros in it."""
    with tempfile.TemporaryDirectory(prefix="tetra-memories-") as work:
        folder = Path(work)
        (folder / "module.il").write_text(text)
        path = folder / "module.json"
        yosys([f"read_rtlil {folder}/module.il", f"hierarchy -top {name}", "proc",
               "setattr -unset init w:*", "memory -nomap", f"write_json {path}"])
        design = json.loads(path.read_text())
        macros = dict(_macro(cell) for cell in design["modules"][name]["cells"].values()
                      if cell["type"] == "$mem_v2")
        path.write_text(json.dumps({"modules": {name: design["modules"][name]} | macros}))
        yosys([f"read_json {path}", f"write_rtlil {folder}/macros.il"])
        return Netlist((folder / "macros.il").read_text(), name).modules


def _macro(cell: dict) -> tuple[str, dict]:
    """Makes a cell of Yosys' memory one of a macro; its name and its module."""
    size, width, reads, writes, clocked = (int(cell["parameters"][name], 2) for name in (
        "SIZE", "WIDTH", "RD_PORTS", "WR_PORTS", "RD_CLK_ENABLE"))
    if (reads, writes, clocked) != (1, 1, 1):
        raise ValueError(f"{cell['parameters']['MEMID']}: {writes} ports to write and {reads} to "
                         "read, expected one each, and clocked")
    old = cell["connections"]
    ports = {"clk": old["WR_CLK"], "write_en": [bit for bit, _ in groupby(old["WR_EN"])],
             "write_addr": old["WR_ADDR"], "write_data": old["WR_DATA"],
             "read_en": old["RD_EN"], "read_addr": old["RD_ADDR"], "read_data": old["RD_DATA"]}
    name = f"{PREFIX}{size}x{width}_{len(ports['write_en'])}"
    directions = {port: "output" if port == "read_data" else "input" for port in ports}
    cell.update(type=name, parameters={}, port_directions=directions, connections=ports)
    bit, described = 2, {}
    for port, bits in ports.items():
        described[port] = {"direction": directions[port], "bits": [*range(bit, bit + len(bits))]}
        bit += len(bits)
    return name, {"attributes": {"blackbox": "1"}, "ports": described, "cells": {}, "netnames": {}}
