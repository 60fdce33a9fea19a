# SPDX-License-Identifier: Apache-2.0
"""The core's Verilog testbench on Icarus: two jobs through AXI, and no Python in the simulation.

Registers and memories start unknown. The testbench fails where a valid, a ready or a payload that
is offered is X, and compares with sums of its own; here the memory it leaves is compared with the
golden core's, byte for byte.
"""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from golden.config import Config
from golden.core import GoldenCore
from golden.descriptor import BYTES, CoreOp, Descriptor
from golden.memory import Memory, Window
from hdl.emit.core_files import verilog_header
from hdl.emit.export import example_text
from hdl.emit.package import verilog_header as engine_header
from hdl.emit.verilog import CORE, verilog_file
from verif.bench.runner import without_initial_values
from verif.needs import needs_icarus

# the smallest core that takes K = 9 at once, and one with memories and another bus
SMALLEST = Config(2, 1, 4, accumulator_width=20, dim_width=5, radices=(2,), stochastic=False,
                  tensors=1, pipeline=1, serial=True, bus_width=64, depth=16, strip=8)
FPGA = Config(4, 2, 8, dim_width=8, tensors=4, target="fpga", bus_width=128, depth=32, strip=16,
              address_width=32)
CONFIGS = {"smallest": SMALLEST, "fpga": FPGA}


def simulated(folder: Path, config: Config, verilog: Path, bench: str) -> str:
    """What the testbench says; its memory before and after lies in the folder."""
    (folder / "core_tb.v").write_text(bench)
    (folder / "tetra_core.vh").write_text(verilog_header(config, ""))
    compiled = subprocess.run(
        ["iverilog", "-g2012", "-Wall", "-I", str(folder), "-s", "core_tb", "-o", "core_tb.vvp",
         "core_tb.v", str(verilog)], cwd=folder, text=True, capture_output=True)
    assert not compiled.returncode and not compiled.stderr, compiled.stderr
    done = subprocess.run(["vvp", "-n", "core_tb.vvp", "+dump"], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


def memory(path: Path) -> np.ndarray:
    """Of `$writememh`."""
    text = re.sub(r"//.*|@\w+", "", path.read_text())
    return np.array([int(word, 16) for word in text.split()], np.uint8)


@needs_icarus
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_memory_is_the_golden_cores(config, tmp_path):
    verilog = without_initial_values(verilog_file(config, CORE))
    said = simulated(tmp_path, config, verilog, example_text("core_tb.v"))
    assert "PASS: " in said, said
    before, after = (memory(tmp_path / f"{when}.hex") for when in ("before", "after"))
    ring = [Descriptor.unpack(before[at:at + BYTES].tobytes()) for at in (0, BYTES)]
    assert [(d.op, d.report, d.interrupt) for d in ring] == [
        (CoreOp.GEMM, False, False), (CoreOp.QUANTISE, True, True)]
    base = 1 << config.address_width - 1
    golden = GoldenCore(config, *[Window(base, base + before.size - 1)] * 2)
    golden.run(Memory({base: before}), ring)
    np.testing.assert_array_equal(after, before)  # which the golden core has changed


@needs_icarus
@pytest.mark.parametrize(("good", "wrong", "said"), [
    ("rst ? 1'h0 :", "1'h0 ? 1'h0 :", "X in "),  # registers that reset forgets
    ("rst ? 3'h0 :", "1'h0 ? 3'h0 :", "X in "),
])
def test_an_x_is_noticed(tmp_path, good, wrong, said):
    text = without_initial_values(verilog_file(SMALLEST, CORE)).read_text()
    assert good in text
    (tmp_path / "broken.v").write_text(text.replace(good, wrong))
    found = simulated(tmp_path, SMALLEST, tmp_path / "broken.v", example_text("core_tb.v"))
    assert "FAIL in cycle" in found and said in found, found


@needs_icarus
@pytest.mark.parametrize(("good", "wrong", "said"), [
    ("C_STRIDE = 32", "C_STRIDE = 30", "register"),  # INT32 rows that are not aligned: ALIGNMENT
    ("sum + code(", "sum - code(", "byte"),
    ("DESCRIPTOR_SHIFT_WIDTH, 18", "DESCRIPTOR_SHIFT_WIDTH, 17", "byte"),
    ("REPORT_AT = 1344", "REPORT_AT = 1345", "register")])
def test_what_is_wrong_is_noticed(tmp_path, good, wrong, said):
    text = example_text("core_tb.v")
    assert text.count(good) == 1
    found = simulated(tmp_path, SMALLEST, verilog_file(SMALLEST, CORE), text.replace(good, wrong))
    assert "FAIL in cycle" in found and f": {said} " in found, found


@needs_icarus
def test_both_headers_in_one_module(tmp_path):
    """No constant of the core has the name of one of the engine."""
    (tmp_path / "core.vh").write_text(verilog_header(FPGA, ""))
    (tmp_path / "engine.vh").write_text(engine_header(FPGA, ""))
    (tmp_path / "both.v").write_text('module both;\n`include "core.vh"\n`include "engine.vh"\n'
                                     "endmodule\n")
    subprocess.run(["iverilog", "-g2012", "-Wall", "-t", "null", "both.v"], cwd=tmp_path,
                   check=True)
