# SPDX-License-Identifier: Apache-2.0
"""Verilog for one top of one configuration: Amaranth -> RTLIL -> Yosys."""

import tempfile
from pathlib import Path

from golden.config import VERSION, Config
from hdl.dot_product import DotProduct
from hdl.engine import Engine
from hdl.library import Library, module_name
from hdl.mac_tile import MacTile
from hdl.multiplier import Multiplier, OperandDecoder
from hdl.rescale import RescaleUnit

TOPS = {module_name(block): block
        for block in (OperandDecoder, Multiplier, DotProduct, MacTile, RescaleUnit, Engine)}


def verilog(config: Config, top: str) -> str:
    """The Verilog text of a top, one module per distinct block.

    ValueError for an unknown top.
    """
    if top not in TOPS:
        raise ValueError(f"unknown top {top!r}: expected one of {', '.join(TOPS)}")
    library = Library()
    library.convert(TOPS[top], config)
    header = (
        f"// SPDX-License-Identifier: Apache-2.0\n"
        f"// {top}, Tetra {VERSION}. Generated: change the Amaranth source, not this file.\n"
        f"// {config}\n\n"
    )
    return header + _write_verilog(library.text, top)


def _write_verilog(text: str, top: str) -> str:
    from pyosys import libyosys as ys  # here, not above: importing it takes a second

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "top.il", Path(folder) / "top.v"
        source.write_text(text)
        design = ys.Design()
        for command in (
            f"read_rtlil {source}",
            f"hierarchy -check -top {top}",
            "proc",
            "opt_clean -purge",
            "check -assert",
            f"write_verilog -noattr -norename {target}",
        ):
            ys.run_pass(f"tee -q {command}", design)
        body = target.read_text()
    return body[body.index("module "):]  # without the generator's banner
