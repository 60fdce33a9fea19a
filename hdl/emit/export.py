# SPDX-License-Identifier: Apache-2.0
"""`make verilog`: one readable file per top, manifest.json, and what other tools want beside."""

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

from golden.config import PRESETS, VERSION, Config, preset
from hdl.emit import package
from hdl.emit.core_files import PAGES, core_files
from hdl.emit.manifest import manifest, members
from hdl.emit.ports import STYLES
from hdl.emit.verilog import CORE, check_prefix, no_core, tops, verilog_files
from tools.arguments import Parser, one_of
from tools.cache import ROOT, locked
from tools.errors import ToolError
from tools.files import write_atomically
from tools.verilator import CONTROL, run, verilator_bin

EXAMPLES = Path(__file__).with_name("examples")
OF_CORE = ("core_tb.v",)  # examples that a configuration without a core lacks
MANIFEST = "manifest.json"


def lint(path: Path, top: str, *, public: bool = False) -> None:
    """ToolError with the warnings unless the file is clean under -Wall and the stated waivers;
    `public` with all signals visible, as cocotb wants them."""
    # nothing is built, so nothing needs to be optimised
    run([str(verilator_bin() / "verilator"), "--lint-only", "-Wall", "--quiet",
         *(["--public-flat-rw"] if public else ["-O0"]), str(CONTROL), str(path),
         "--top-module", top], ROOT, f"Verilator lint of {top}")


def commit() -> str:
    """The commit of this checkout, `-dirty` with changes that are in none; empty without git."""
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT,
                               capture_output=True, text=True)
    except OSError:
        return ""
    return found.stdout.strip()


def header(config: Config, name: str, top: str, style: str) -> str:
    """What a reader of a file has to know first."""
    settings = ", ".join(f"{field.name}={getattr(config, field.name)!r}"
                         for field in fields(config))
    at = f", commit {commit()}" if commit() else ""
    text = (f"{top} of Tetra {VERSION}{at}: generated, change the Amaranth source instead.",
            f"Preset {name}: {settings}.",
            f"Ports: {style}. Made by Amaranth {version('amaranth')} and Yosys "
            f"{version('pyosys')}.", f"Lint waivers and their reasons are in {CONTROL.name}, what "
            f"each port and field means, latencies and encodings in {MANIFEST}; names in the "
            "comments that are not there, like job_layout, are those of the Amaranth source.")
    lines = ["SPDX-License-Identifier: Apache-2.0", *(
        line for paragraph in text for line in textwrap.wrap(paragraph, 97))]
    return "".join(f"// {line}\n" for line in lines) + "\n"


def export(config: Config, name: str, folder: Path, style: str = "fields",
           prefix: str = "") -> list[Path]:
    """Write every top, the manifest and all beside them to `folder`; returns the files.

    A configuration that makes no core has all but what is the core's; `no_core` of the manifest
    says why.

    The manifest goes first and comes last: a folder that has one is whole, and files of the export
    before that this one lacks are gone. ValueError for a style of ports or a prefix that does not
    exist, OSError where the folder cannot be written.
    """
    check_prefix(prefix)
    contents: dict[str, str | bytes] = {
        f"{prefix}{top}.v": header(config, name, prefix + top, style) + path.read_text()
        for top, path in verilog_files(config, style, prefix).items()}
    contents[CONTROL.name] = CONTROL.read_text()
    contents["LICENSE"] = (ROOT / "LICENSE").read_text()
    described = manifest(config, name, style, prefix)
    for top in tops(config):
        contents[f"{prefix}{top}.f"] = package.file_list(prefix + top)
        contents[f"{prefix}{top}.core"] = package.fusesoc_core(top, prefix, CONTROL.name)
        inputs = [port["name"] for port in described["tops"][prefix + top]["ports"]
                  if port["direction"] == "input"]
        if "clk" in inputs:
            inputs.remove("clk")
            contents[f"{prefix}{top}.sdc"] = package.constraints(config, prefix + top, inputs)
    contents[f"{prefix}tetra_layouts.h"] = package.c_header(config, prefix)
    contents[f"{prefix}tetra_layouts.py"] = package.python_module(config, prefix)
    contents[f"{prefix}tetra_config.vh"] = package.verilog_header(config, prefix)
    if CORE in tops(config):
        contents |= core_files(config, prefix)
    for example in sorted(EXAMPLES.iterdir()):
        if CORE not in tops(config) and example.name in OF_CORE:
            continue
        contents[f"examples/{example.name}"] = example_text(example.name, style, prefix)
    described["files"] = sorted([*contents, MANIFEST])
    contents[MANIFEST] = json.dumps(described, indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock")):
        for file in set(written_before(folder)) - set(contents):
            (folder / file).unlink(missing_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for file, text in contents.items():
            write_atomically(folder / file, text if isinstance(text, bytes) else text.encode())
    return [folder / file for file in contents]


def example_text(name: str, style: str = "fields", prefix: str = "") -> str:
    """A file of the examples for these ports and this prefix."""
    text = (EXAMPLES / name).read_text()
    for mark, value in (("@PREFIX@", prefix), ("@CONST@", f"{prefix}tetra_".upper()),
                        ("@PORTS@", style)):
        text = text.replace(mark, value)
    return text


def written_before(folder: Path) -> list[str]:
    """The files of an export, as its manifest lists them, none outside the folder."""
    try:
        listed = json.loads((folder / MANIFEST).read_text()).get("files", [])
    except (OSError, ValueError):
        return []
    return [file for file in listed if (folder / file).resolve().is_relative_to(folder.resolve())]


def parse_config(text: str) -> Config:
    """A `Config` from `rows=4,cols=4,lanes=8`, tuples with a plus (`radices=4+2`).

    ValueError that lists the fields and their ranges.
    """
    listed = "; ".join(f"{name}: {doc}" for name, doc in members(Config).items())
    known = {field.name: field for field in fields(Config)}
    given: dict = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if name in given:
            raise ValueError(f"CONFIG: {item.strip()!r} comes second: {name} = {given[name]!r} was "
                             "there before, expected each field once")
        if not equals or name not in known:
            raise ValueError(f"CONFIG: {item.strip()!r} is not understood: expected field=value, "
                             f"like rows=4,cols=4,lanes=8,radices=4+2. Fields: {listed}")
        given[name] = _value(name, value)
    if missing := [name for name in ("rows", "cols", "lanes") if name not in given]:
        raise ValueError(f"CONFIG lacks {', '.join(missing)}: expected at least "
                         "rows=4,cols=4,lanes=8")
    try:
        return Config(**given)
    except ValueError as error:
        way_out = "; write radices=4, radices=2 or radices=4+2" if "radices" in str(error) else ""
        raise ValueError(f"CONFIG: {error}{way_out}") from None


def _value(name: str, text: str):
    """A field's value; what is none stays a text, which `Config` refuses by name and range."""
    if name == "radices":
        return tuple(_value("", part) for part in text.split("+"))
    if name in ("stochastic", "serial"):
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else text


def main() -> int:
    parser = Parser("make verilog", __doc__)
    core = parser.add_mutually_exclusive_group()
    core.add_argument("--preset", type=one_of(PRESETS), default="base")
    core.add_argument("--config", help="a core of your own: rows=4,cols=4,lanes=8")
    parser.add_argument("--prefix", default="", help="what all module names start with")
    parser.add_argument("--ports", type=one_of(STYLES), default="fields")
    parser.add_argument("--quiet", action="store_true", help="say nothing if all is well")
    parser.add_argument("--lint", action="store_true", help="check each top with Verilator, too")
    o = parser.parse_args()
    try:
        check_prefix(o.prefix)
        config, name = (preset(o.preset), o.preset) if o.config is None else (
            parse_config(o.config), "custom")
        folder = ROOT / "build" / "verilog" / (f"{o.prefix}{name}" if o.prefix else name)
        files = export(config, name, folder, o.ports, o.prefix)
        if o.lint:
            for top in tops(config):
                lint(folder / f"{o.prefix}{top}.v", o.prefix + top)
    except (ValueError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'build/verilog'} cannot be written ({error.strerror}): "
              "expected a folder there, or nothing, that you may write to", file=sys.stderr)
        return 2
    if not o.quiet:
        for path in files:
            if not path.is_relative_to(folder / PAGES):
                lines = len(path.read_text().splitlines())
                print(f"{path.relative_to(ROOT)}  {lines:,} lines")
        pages = [path for path in files if path.is_relative_to(folder / PAGES)]
        if pages:
            print(f"{(folder / PAGES).relative_to(ROOT)}  {len(pages)} files, index.html first")
        if reason := no_core(config):
            print(f"no {o.prefix}{CORE}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
