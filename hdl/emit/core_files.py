# SPDX-License-Identifier: Apache-2.0
"""The files that only a core has: registers for C, Verilog, IP-XACT and people, its descriptor."""

import tempfile
from pathlib import Path

from golden.config import VERSION, Config
from golden.descriptor import BYTES, FIELDS, WORD, Fault
from golden.report_words import REPORT_FIELDS, REPORT_WORDS
from hdl.core.register_map import register_map
from hdl.emit.package import LICENCE
from hdl.emit.registers import c_header, html, ip_xact
from tools.cache import ROOT

DESCRIPTOR = ROOT / "driver" / "c" / "tetra.h"  # made by driver.header, the same for every core

PAGES = "registers"  # the folder of the register pages


def core_files(config: Config, prefix: str) -> dict[str, bytes]:
    """Name -> content, for a configuration that makes a core."""
    found = {
        "tetra.h": DESCRIPTOR.read_bytes(),
        f"{prefix}tetra_registers.h": c_header(config).encode(),
        f"{prefix}tetra_registers.xml": ip_xact(config).encode(),
        f"{prefix}tetra_core.vh": verilog_header(config, prefix).encode(),
    }
    with tempfile.TemporaryDirectory(prefix="tetra-html-") as name:
        html(config, folder := Path(name))
        found |= {f"{PAGES}/{path.relative_to(folder)}": path.read_bytes()
                  for path in sorted(folder.rglob("*"))
                  if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")}
    return found


def constants(config: Config) -> dict[str, int]:
    """Registers, descriptor, report and errors as numbers; places are bits from the first one."""
    found = {"BUS_BYTES": config.bus_width // 8, "ADDRESS_WIDTH": config.address_width,
             "DESCRIPTOR_BYTES": BYTES}
    found |= {f"REGISTER_{name}".upper(): register.address
              for name, register in register_map(config).registers.items()}
    for field in FIELDS:
        found[f"DESCRIPTOR_{field.name}_LSB".upper()] = WORD * field.word + field.low
        found[f"DESCRIPTOR_{field.name}_WIDTH".upper()] = field.width
    found["REPORT_BYTES"] = REPORT_WORDS * WORD // 8
    for each in REPORT_FIELDS:
        found[f"REPORT_WORDS_{each.name}_LSB".upper()] = each.offset
        found[f"REPORT_WORDS_{each.name}_WIDTH".upper()] = each.width
    return found | {f"FAULT_{fault.name}": int(fault) for fault in Fault}


def verilog_header(config: Config, prefix: str) -> str:
    """The constants as localparams to include in a module."""
    lines = [f"// {LICENCE}", f"// Of {prefix}tetra_core, Tetra {VERSION}: `include it in a module"]
    before = f"{prefix}tetra_".upper()
    lines += [f"localparam integer {before}{name} = {value};"
              for name, value in constants(config).items()]
    return "\n".join([*lines, ""])
