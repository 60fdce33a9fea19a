# SPDX-License-Identifier: Apache-2.0
"""The register map for others, all from `hdl/core/registers.rdl`: C header, IP-XACT, HTML pages.

Python has it from `hdl.core.register_map`.
"""

import tempfile
from pathlib import Path

from peakrdl_cheader.c_standards import CStandard
from peakrdl_cheader.exporter import CHeaderExporter
from peakrdl_html import HTMLExporter
from peakrdl_ipxact import IPXACTExporter

from golden.config import VERSION, Config
from hdl.core.register_map import ADDRESS_WIDTH, TOP, register_map

LICENCE = "SPDX-License-Identifier: Apache-2.0"
PACKED = " __attribute__ ((__packed__))"  # would let compilers access a register byte by byte
END = "#ifdef __cplusplus\n}\n#endif\n"


def c_header(config: Config) -> str:
    """C99 without extensions: per field its mask, lowest bit, width and reset value, a struct of
    all registers; per register its byte address, and the codes of errors."""
    registers = register_map(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tetra_registers.h"
        CHeaderExporter().export(registers.node, str(path), std=CStandard.gnu99,
                                 reuse_typedefs=False)
        text = path.read_text()
    if text.count(END) != 1:
        raise RuntimeError("the C header has another form than expected: see hdl/emit/registers.py")
    lines = ["// Byte addresses from that of the core"]
    lines += [f"#define {TOP.upper()}_{name.upper()}_ADDRESS 0x{register.address:03x}"
              for name, register in registers.registers.items()]
    lines += ["", "// What error.code says"]
    lines += [f"#define {TOP.upper()}_ERROR_{name} {code} // {doc}"
              for name, (code, doc) in registers.errors.items()]
    begin, end = text.replace(PACKED, "").split(END)
    return f"// {LICENCE}\n{begin}" + "\n".join(lines) + f"\n\n{END}{end}"


def ip_xact(config: Config) -> str:
    """A component of IEEE 1685-2014 with the memory map."""
    registers = register_map(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tetra.xml"
        IPXACTExporter(vendor="tetra", library=TOP, version=VERSION).export(
            registers.node, str(path))
        text = path.read_text()
    # the core takes more of the address space than there are registers
    used = f"<ipxact:range>'h{registers.node.size:x}</ipxact:range>"
    if text.count(used) != 1:
        raise RuntimeError("the IP-XACT has another form than expected: see hdl/emit/registers.py")
    return text.replace(used, f"<ipxact:range>'h{1 << ADDRESS_WIDTH:x}</ipxact:range>")


def html(config: Config, folder: Path) -> None:
    """Pages with every register, to be served by any web server: index.html and what it needs."""
    HTMLExporter(generate_source_links=False).export(
        register_map(config).node, str(folder), title=f"Registers of a Tetra core, {VERSION}")
