# SPDX-License-Identifier: Apache-2.0
"""`make verilog`: one readable file per top, lint-clean, and manifest.json."""

import argparse
import json
import re
import sys
from pathlib import Path

from golden.config import Config, preset
from hdl.emit.manifest import manifest
from hdl.emit.verilog import TOPS, verilog_file
from tools.cache import ROOT
from tools.errors import ToolError
from tools.files import write_atomically
from tools.verilator import CONTROL, run, verilator_bin


def lint(path: Path, top: str) -> None:
    """ToolError with the warnings unless the file is clean under -Wall and the stated waivers."""
    run([str(verilator_bin() / "verilator"), "--lint-only", "-Wall", "--quiet", str(CONTROL),
         str(path), "--top-module", top], ROOT, f"Verilator lint of {top}")


def modules(path: Path) -> set[str]:
    """The text of each module in a file."""
    return set(re.findall(r"^module .*?^endmodule$", path.read_text(), re.M | re.S))


def export(config: Config, preset_name: str, folder: Path) -> list[Path]:
    """Write every top and the manifest to `folder`; returns the files.

    Every module is linted, most of them as parts of the engine: a file whose modules are all, to
    the letter, in one that was clean is clean too.
    """
    sources = {top: verilog_file(config, top) for top in TOPS}
    clean: set[str] = set()
    for top, source in sorted(sources.items(), key=lambda each: -each[1].stat().st_size):
        if found := modules(source) - clean:
            lint(source, top)
            clean |= found
    files = []
    for top, source in sources.items():
        files.append(folder / f"{top}.v")
        write_atomically(files[-1], source.read_bytes())
    files.append(folder / CONTROL.name)
    write_atomically(files[-1], CONTROL.read_bytes())
    text = json.dumps(manifest(config, preset_name), indent=2) + "\n"
    files.append(folder / "manifest.json")
    write_atomically(files[-1], text.encode())
    return files


def main() -> int:
    parser = argparse.ArgumentParser(prog="make verilog", description=__doc__)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--quiet", action="store_true", help="say nothing if all is well")
    o = parser.parse_args()
    try:
        config = preset(o.preset)
        files = export(config, o.preset, ROOT / "build" / "verilog" / o.preset)
    except (ValueError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not o.quiet:
        for path in files:
            lines = len(path.read_text().splitlines())
            print(f"{path.relative_to(ROOT)}  {lines:,} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
