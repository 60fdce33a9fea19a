# SPDX-License-Identifier: Apache-2.0
"""Verilog for one top of one configuration: Amaranth -> RTLIL -> Yosys -> plain text."""

import importlib.metadata
import re
import tempfile
from pathlib import Path

from golden.config import VERSION, Config
from hdl.axi.read_dma import ReadDma
from hdl.axi.write_dma import WriteDma
from hdl.core.core import Core
from hdl.core.registers import Registers
from hdl.emit.keywords import reserved
from hdl.emit.plain import plain
from hdl.emit.ports import STYLES, Fields
from hdl.engine.engine import Engine
from hdl.library import Library, module_name
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from hdl.tile.dot_product import DotProduct
from hdl.tile.mac_tile import MacTile
from hdl.tile.multiplier import Multiplier
from tools.cache import ROOT, cached, digest
from tools.yosys import CHOICES, yosys

TOPS = {module_name(block): block
        for block in (
            Multiplier, DotProduct, MacTile, RescaleUnit, StatisticsUnit, ScaleSolver, Engine,
            Core)}
CORE = module_name(Core)
# blocks of the core around the engine, which benches run alone and nothing publishes
PARTS = {module_name(block): block for block in (Registers, ReadDma, WriteDma)}
BLOCKS = TOPS | PARTS
FAMILY = "tetra_"  # what every module's name starts with, behind the prefix of the user
VIEW = "_fields"  # in RTLIL, a top with its fields as ports


def tops(config: Config) -> dict[str, type]:
    """The tops that a configuration has: all, or all but the core."""
    return {top: block for top, block in TOPS.items() if top != CORE or not no_core(config)}


def no_core(config: Config) -> str:
    """Why a configuration makes no core; empty if it makes one."""
    try:
        config.check_core()
    except ValueError as error:
        return str(error)
    return ""


def check_top(top: str) -> None:
    """ValueError unless a block has this name."""
    if top not in BLOCKS:
        raise ValueError(f"unknown top {top!r}: expected one of {', '.join(BLOCKS)}")


def check_prefix(prefix: str) -> None:
    """ValueError unless module names that start with this are identifiers, in VHDL too."""
    if prefix and (not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*_?", prefix)
                   or reserved(prefix) or len(prefix) > 64):
        raise ValueError(f"PREFIX = {prefix!r} does not start an identifier: expected at most 64 "
                         "letters, digits and single underscores, a letter first, like mine_")


def verilogs(config: Config, tops: tuple[str, ...], ports: str = "packed",
             prefix: str = "") -> dict[str, str]:
    """The Verilog texts of tops, by name, one module per distinct block.

    Each text is complete. Submodules are called after their top, so that several tops, and with
    different prefixes several configurations, may be in one design.

    ValueError for an unknown top, style of ports or a prefix that is no identifier.
    """
    for top in tops:
        check_top(top)
    if ports not in STYLES:
        raise ValueError(f"PORTS = {ports!r} is unknown: expected one of {', '.join(STYLES)}")
    check_prefix(prefix)
    library = Library()
    for top in tops:
        library.convert(BLOCKS[top], config)
        if ports == "fields":
            view = Fields(BLOCKS[top](config))
            library.add(top + VIEW, view, view.ports)
            library.docs[top + VIEW] = library.docs[top]
    names = {top: top + VIEW if ports == "fields" else top for top in tops}
    texts = write_verilog(library.text, list(names.values()))
    found = {}
    for top, name in names.items():
        renames = module_names(texts[name], name, top, prefix)
        found[top] = plain(texts[name], library.docs, renames, name)
    return found


def verilog(config: Config, top: str, ports: str = "packed", prefix: str = "") -> str:
    """The Verilog text of a top, without a header; errors as `verilogs`."""
    return verilogs(config, (top,), ports, prefix)[top]


def module_names(text: str, name: str, top: str, prefix: str) -> dict[str, str]:
    """Each module's name in RTLIL -> its name for users: that of a submodule starts with its
    top's."""
    found = re.findall(r"^module (\w+)", text, re.M)
    return {inner: prefix + (top if inner == name else f"{top}_{inner.removeprefix(FAMILY)}")
            for inner in found}


def source_key(*parts) -> str:
    """A digest of what makes Verilog: these parts, the sources and the tools."""
    sources = sorted(path for folder in ("golden", "hdl", "tools")
                     for kind in ("*.py", "*.rdl") for path in (ROOT / folder).rglob(kind))
    packages = [importlib.metadata.version(p)
                for p in ("amaranth", "pyosys", "systemrdl-compiler")]
    return digest(*map(str, parts), *packages, *(s.read_bytes() for s in sources))


def verilog_file(config: Config, top: str) -> Path:
    """The generated Verilog of a top with packed ports, cached by the sources that make it."""
    check_top(top)

    def make(folder: Path) -> None:
        header = (f"// SPDX-License-Identifier: Apache-2.0\n// {top}, Tetra {VERSION}\n"
                  f"// {config}\n\n")
        (folder / f"{top}.v").write_text(header + verilog(config, top))

    key = source_key(top, repr(config))
    return cached("verilog", key, [f"{top}.v"], make) / f"{top}.v"


def verilog_files(config: Config, ports: str, prefix: str = "") -> dict[str, Path]:
    """The texts of all tops that there are, cached by the sources that make them; errors as
    `verilogs`."""
    check_prefix(prefix)
    found = tops(config)

    def make(folder: Path) -> None:
        for top, text in verilogs(config, tuple(found), ports, prefix).items():
            (folder / f"{top}.v").write_text(text)

    files = [f"{top}.v" for top in found]
    folder = cached("verilog", source_key("all", ports, prefix, repr(config)), files, make)
    return {top: folder / f"{top}.v" for top in found}


def write_verilog(text: str, tops: list[str]) -> dict[str, str]:
    """RTLIL as Verilog: for each of the modules `tops` its text and that of all within it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "all.il"
        source.write_text(text)
        commands = [f"read_rtlil {source}", "proc -noopt", "opt_clean", CHOICES,
                    "opt_dff -simple-dffe -nosdff -keepdc",  # enables become those of registers
                    "setundef -zero",
                    "splitnets -driver",  # or simulators see loops through the bits of one wire
                    "opt_clean -purge", "check -assert", "design -save all"]
        for top in tops:
            commands += ["design -load all", f"hierarchy -check -top {top}",
                         f"write_verilog -noattr {folder}/{top}.v"]
        yosys(commands)
        bodies = {top: (Path(folder) / f"{top}.v").read_text() for top in tops}
    return {top: body[body.index("module "):] for top, body in bodies.items()}
