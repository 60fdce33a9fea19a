# SPDX-License-Identifier: Apache-2.0
"""Verilog for one top of one configuration: Amaranth -> RTLIL -> Yosys."""

import importlib.metadata
import tempfile
from pathlib import Path

from golden.config import VERSION, Config
from hdl.engine.engine import Engine
from hdl.library import Library, module_name
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from hdl.tile.dot_product import DotProduct
from hdl.tile.mac_tile import MacTile
from hdl.tile.multiplier import Multiplier
from tools.cache import ROOT, cached, digest
from tools.yosys import yosys

TOPS = {module_name(block): block
        for block in (
            Multiplier, DotProduct, MacTile, RescaleUnit, StatisticsUnit, ScaleSolver, Engine)}


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
    return header + write_verilog(library.text, top)


def verilog_file(config: Config, top: str) -> Path:
    """The generated Verilog of a top, cached by the sources that make it."""
    sources = sorted(path for folder in ("golden", "hdl", "tools")
                     for path in (ROOT / folder).rglob("*.py"))
    packages = [importlib.metadata.version(p) for p in ("amaranth", "pyosys")]
    key = digest(top, repr(config), *packages, *(s.read_bytes() for s in sources))

    def make(folder: Path) -> None:
        (folder / f"{top}.v").write_text(verilog(config, top))

    return cached("verilog", key, [f"{top}.v"], make) / f"{top}.v"


def write_verilog(text: str, top: str) -> str:
    """RTLIL with a module `top` as Verilog."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "top.il", Path(folder) / "top.v"
        source.write_text(text)
        yosys([
            f"read_rtlil {source}",
            f"hierarchy -check -top {top}",
            "proc",
            "opt_dff",  # enables become enables: simulators skip what holds
            "opt_clean -purge",
            "check -assert",
            f"write_verilog -noattr -norename {target}",
        ])
        body = target.read_text()
    return body[body.index("module "):]  # without the generator's banner
