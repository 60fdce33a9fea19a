# SPDX-License-Identifier: Apache-2.0
"""Other people's readers of Verilog take every top of every preset: no error, no warning but those
listed here with their reasons."""

import re
import subprocess
import sys

import pytest

from golden.config import PRESETS, preset
from hdl.emit.ports import STYLES
from hdl.emit.verilog import verilog_files, verilogs
from tools.yosys import yosys
from verif.needs import needs_icarus

FAMILIES = {"ice40": "synth_ice40", "ecp5": "synth_ecp5", "xilinx": "synth_xilinx",
            "gowin": "synth_gowin", "intel": "synth_intel_alm"}


def written(name: str, style: str = "fields"):
    """(top, file) of every top of a preset."""
    return verilog_files(preset(name), style).items()


def icarus(path, top: str) -> str:
    """What Icarus says of a file."""
    done = subprocess.run(["iverilog", "-g2012", "-Wall", "-t", "null", "-s", top, str(path)],
                          capture_output=True, text=True)
    return f"{done.stdout}{done.stderr}" + (f"exit {done.returncode}" if done.returncode else "")


SLANG = """
import sys
from pyslang import driver
reader = driver.Driver()
reader.addStandardArgs()
ready = (reader.parseCommandLine(" ".join(["slang", *sys.argv[1:]])) and reader.processOptions()
         and reader.parseAllSources())
sys.exit(not (ready and reader.runFullCompilation(False)))
"""


def slang(path, top: str) -> tuple[bool, set[str]]:
    """Whether slang takes a file, and the options that control what it warns of."""
    done = subprocess.run([sys.executable, "-c", SLANG, "-Wextra", "-Wpedantic", "--top", top,
                           str(path)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert re.search(r"Build (succeeded|failed): \d+ errors?, \d+ warnings?", said), said[-500:]
    return done.returncode == 0, set(re.findall(r"\[(-W[\w-]+)\]", said))


@needs_icarus
@pytest.mark.parametrize("name", PRESETS)
def test_icarus(name):
    for top, path in written(name):
        assert not icarus(path, top)


@needs_icarus
def test_icarus_packed():
    for top, path in written("tiny", "packed"):
        assert not icarus(path, top)


@needs_icarus
def test_icarus_warns(tmp_path):
    path = tmp_path / "tetra_multiplier.v"
    path.write_text("module tetra_multiplier(output [7:0] y); sub s(.y(y)); endmodule\n"
                    "module sub(output [3:0] y); assign y = 0; endmodule\n")
    assert "warning" in icarus(path, "tetra_multiplier")


@pytest.mark.parametrize("name", PRESETS)
def test_slang(name):
    for top, path in written(name):
        taken, warned = slang(path, top)
        assert taken and not warned, (top, warned)


def test_slang_warns(tmp_path):
    path = tmp_path / "broken.v"
    path.write_text("module broken(input a, output y); assign y = b; endmodule\n")
    assert not slang(path, "broken")[0]
    path.write_text("module broken(input [3:0] a, output y); assign y = a << 9; endmodule\n")
    assert slang(path, "broken")[1]


@pytest.mark.parametrize("name", PRESETS)
def test_yosys_reads(name):
    """Without a warning, and with nothing left to check."""
    for top, path in written(name):
        log = yosys([f"read_verilog {path}", f"hierarchy -check -top {top}", "proc",
                     "check -assert"])
        assert not re.findall(r"^Warning: .*$", log, re.M)


@pytest.mark.parametrize("family", FAMILIES)
def test_yosys_synthesises(family):
    """The `tiny` tile, from its file, to each family's cells."""
    path = dict(written("tiny"))["tetra_mac_tile"]
    log = yosys([f"read_verilog {path}", f"{FAMILIES[family]} -top tetra_mac_tile", "stat"])
    cells = re.findall(r"^\s+(\d+)\s.*cells$|Number of cells:\s+(\d+)", log, re.M)
    assert max(int(a or b) for a, b in cells) > 500  # 16 multipliers and their sums
    assert not re.findall(r"^Warning: .*parallel_case.*$", log, re.M)


@pytest.mark.parametrize("style", STYLES)
def test_two_tops_and_two_configurations_in_one_design(style, tmp_path):
    """Their modules' names differ."""
    sources = []
    for name, prefix in (("tiny", ""), ("small", "small_")):
        for top in ("tetra_mac_tile", "tetra_rescale_unit"):
            text = verilogs(preset(name), (top,), style, prefix)[top]
            sources.append(tmp_path / f"{prefix}{top}.v")
            sources[-1].write_text(text)
    names = re.findall(r"^module (\w+)", "".join(path.read_text() for path in sources), re.M)
    assert len(names) == len(set(names))
    yosys([f"read_verilog {' '.join(map(str, sources))}"])
