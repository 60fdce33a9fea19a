# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.hdl.integration_page`: writes the tables of docs/integration.md anew.

After a change of ports, registers or descriptor. `verif.hdl.test_integration` replays the page's
example from the page itself; its bytes are those of the golden core.
"""

import sys

import numpy as np

from golden.config import preset
from golden.core import GoldenCore
from golden.descriptor import BYTES, FIELDS, CoreOp, Descriptor, Fault
from golden.formats import pack
from golden.memory import Memory
from hdl.core.register_map import register_map
from hdl.emit.manifest import manifest
from hdl.emit.verilog import CORE
from tools.cache import ROOT
from tools.files import write_atomically
from verif.hdl.driving_page import K, M, N, operands, table

PAGE = ROOT / "docs" / "integration.md"
CONFIG = preset("tiny")
BASE, SIZE = 0x8000_0000, 0x300  # of the example's memory; the ring of two lies first
A_AT, B_AT, C_AT = BASE + 0x200, BASE + 0x220, BASE + 0x260
CODES = (K + 1) // 2  # bytes of K codes
DESCRIPTOR = Descriptor(
    op=CoreOp.GEMM, m=M, n=N, k=K, a_signed=True, interrupt=True, a_address=A_AT, a_stride=CODES,
    b_address=B_AT, b_stride=CODES, c_address=C_AT, c_stride=4 * N)
# what to do with a port that a system has no use for
TIE_OFFS = {
    "s_axil_awprot": "0", "s_axil_arprot": "0", "s_axil_wstrb": "all ones",
    "m_axi_rresp": "0, if memory cannot fail", "m_axi_bresp": "0, if memory cannot fail",
    "m_axi_rid": "0", "m_axi_bid": "0", "irq": "open, if software polls",
    **{f"m_axi_{channel}{name}": "open, if the system takes it as given"
       for channel in ("ar", "aw") for name in ("burst", "size", "id", "prot", "cache")}}


def ports() -> str:
    """Of the core of `CONFIG`; the bus is as wide as the configuration says."""
    described = manifest(CONFIG, "tiny")["tops"][CORE]["ports"]
    assert not set(TIE_OFFS) - {port["name"] for port in described}
    rows = []
    for port in described:
        width = {"m_axi_araddr": "`address_width`", "m_axi_awaddr": "`address_width`",
                 "m_axi_rdata": "`bus_width`", "m_axi_wdata": "`bus_width`",
                 "m_axi_wstrb": "`bus_width` / 8"}.get(port["name"], port["width"])
        rows.append([f"`{port['name']}`", port["direction"], width, port["doc"].rstrip("."),
                     TIE_OFFS.get(port["name"], "")])
    return table(["port", "direction", "width", "meaning", "without it"], rows)


def registers() -> str:
    """One line a register; those of 64 bits are two of 32."""
    rows = []
    for register in register_map().registers.values():
        access = "".join(way for way in "rw" if any(
            way in field.access for field in register.fields.values()))
        fields = ", ".join(
            f"`{field.name}` {field.low}" + (f"..{field.low + field.width - 1}" if field.width > 1
                                             else "") for field in register.fields.values())
        rows.append([f"0x{register.address:03x}", f"`{register.name}`", access, fields])
    return table(["address", "register", "access", "fields: bits"], rows)


def descriptor() -> str:
    rows = [[f"`{field.name}`", field.word, field.low, field.width,
             f"signed; {field.doc}" if field.signed else field.doc] for field in FIELDS]
    return table(["field", "word", "lowest bit", "width", "meaning"], rows)


def faults() -> str:
    documented = register_map().errors
    return table(["code", "name", "what it says"],
                 [[int(fault), fault.name, documented[fault.name][1]] for fault in Fault])


def before() -> np.ndarray:
    """The example's memory: the ring, A, B, and 0xee in every byte that is nobody's."""
    data = np.full(SIZE, 0xEE, np.uint8)
    data[:BYTES] = np.frombuffer(DESCRIPTOR.pack(), np.uint8)
    for at, codes in zip((A_AT, B_AT), operands(), strict=True):
        packed = pack(codes.astype(np.int8)).ravel()
        data[at - BASE:at - BASE + packed.size] = packed
    return data


def after() -> np.ndarray:
    data = before()
    GoldenCore(CONFIG).run(Memory({BASE: data}), [DESCRIPTOR])
    return data


def dump(data: np.ndarray, first: int, last: int) -> str:
    """Addresses and bytes, 16 a line, of the part from `first` up to `last`."""
    lines = [f"{BASE + at:08x}: {' '.join(f'{byte:02x}' for byte in data[at:at + 16])}"
             for at in range(first, last, 16)]
    return "\n".join(["```", *lines, "```"])


TABLES = {
    "ports": ports, "registers": registers, "descriptor": descriptor, "faults": faults,
    "job": lambda: dump(before(), 0, BYTES),
    "before": lambda: dump(before(), A_AT - BASE, SIZE),
    "after": lambda: dump(after(), C_AT - BASE, SIZE),
}


def part(text: str, name: str) -> tuple[int, int]:
    """Where the part of a page lies that is made here."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    return text.index(start) + len(start), text.index(end)


def main() -> int:
    text = PAGE.read_text()
    for name, made in TABLES.items():
        first, last = part(text, name)
        text = text[:first] + made() + text[last:]
    write_atomically(PAGE, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
