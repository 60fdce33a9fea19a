# SPDX-License-Identifier: Apache-2.0
"""Buffers on the nets that a block drives into many blocks placed in it.

ABC sees such a net as one output, however many blocks hang on it: a register would drive 64 cells
of a tile on its own. A synthesiser that sees the whole tile would not let it.
"""

from math import ceil

LIMIT = 12  # inputs of blocks, or buffers, that one cell drives
ALONE = 4  # as many need no buffer


def buffered(module: dict, blocks: set[str], cell: str, pins: tuple[str, str]) -> int:
    """Adds trees of `cell` (input and output `pins`) to one module of a Yosys JSON netlist.

    `blocks` are the types whose inputs count. The clock is ideal and stays. Returns how many
    buffers there are now; the logic is unchanged.
    """
    sinks: dict[int, list[tuple[list, int]]] = {}
    last = 0
    for instance in module["cells"].values():
        for port, bits in instance["connections"].items():
            last = max([last, *(bit for bit in bits if isinstance(bit, int))])
            if (instance["type"] in blocks and port != "clk"
                    and instance["port_directions"][port] == "input"):
                for place, bit in enumerate(bits):
                    if isinstance(bit, int):  # not a constant
                        sinks.setdefault(bit, []).append((bits, place))
    last = max([last, *(bit for port in module["ports"].values() for bit in port["bits"]
                        if isinstance(bit, int))])
    count = 0
    for net, loads in sinks.items():
        while len(loads) > (ALONE if loads is sinks[net] else LIMIT):
            groups = ceil(len(loads) / LIMIT)
            above = []
            for group in range(groups):
                last, count = last + 1, count + 1
                source = [net]
                module["cells"][f"fanout_{count}"] = {
                    "hide_name": 0, "type": cell, "parameters": {}, "attributes": {},
                    "port_directions": {pins[0]: "input", pins[1]: "output"},
                    "connections": {pins[0]: source, pins[1]: [last]},
                }
                for bits, place in loads[group::groups]:
                    bits[place] = last
                above.append((source, 0))
            loads = above
    return count
