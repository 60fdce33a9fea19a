# SPDX-License-Identifier: Apache-2.0
"""Builds C programs on `tetra.c` for the simulated core, and runs the example.

`python -m driver.c_example` trains a layer on the preset tiny; everything is in build/c_example.
"""

import os
import subprocess
import sys
from pathlib import Path

from driver.verilated_core import build
from golden.config import Config, preset
from hdl.emit.registers import c_header
from tools.cache import ROOT
from tools.errors import ToolError
from tools.files import write_atomically

FOLDER = ROOT / "driver" / "c"
EXAMPLE = FOLDER / "example.c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


def c_compiler() -> str:
    return os.environ.get("CC") or "cc"


def program(main: Path, config: Config, folder: Path, *, quick: bool = False) -> Path:
    """The program whose `main` is in that file, linked with the driver and the simulated core.

    `folder` gets it and the header of registers; `quick` is that of `driver.verilated_core.build`.
    ToolError where it does not compile.
    """
    library = build(config, quick=quick)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "tetra_registers.h", c_header(config).encode())
    made = folder / main.stem
    command = [c_compiler(), *STRICT, "-O1", f"-I{folder}", f"-I{FOLDER}", str(main),
               str(FOLDER / "tetra.c"), str(FOLDER / "simulated.c"), str(library),
               f"-Wl,-rpath,{library.parent}", "-o", str(made)]
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        raise ToolError(f"{main.name} does not compile:\n{done.stderr[-4000:]}")
    return made


def main() -> int:
    made = program(EXAMPLE, preset("tiny"), ROOT / "build" / "c_example")
    return subprocess.run([made], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
