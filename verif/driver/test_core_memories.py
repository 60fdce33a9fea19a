# SPDX-License-Identifier: Apache-2.0
"""The memories of operands may be ready-made ones, of which less is known than of ours."""

import re

import numpy as np
import pytest

from driver import verilated_core
from driver.verilated_core import TOP, VerilatedCore
from hdl.emit.verilog import verilog_file
from verif.bench.benches import CORES
from verif.bench.cores import Bench
from verif.bench.descriptors import random_image

LISTS = 20


def ready_made(text: str) -> str:
    """The Verilog with memories that hold ones at first, and of which another word is read while
    one is written."""
    def changed(module: re.Match) -> str:
        body, filled = re.subn(r"(words\[n\] = )(\d+)'h0;", r"\1{\2{1'b1}};", module[0])
        body, read = re.subn(r"<= words\[read_addr\];",
                             "<= |write_en && write_addr == read_addr ? "
                             "~words[read_addr] ^ write_data : words[read_addr];", body)
        assert filled == read == 1
        return body

    text, count = re.subn(r"^module tetra_core_operand_memory_\w .*?^endmodule$", changed, text,
                          flags=re.M | re.S)
    assert count == 2
    return text


@pytest.mark.parametrize("name", CORES)
def test_ready_made_memories(name, monkeypatch, tmp_path):
    config = CORES[name]
    path = tmp_path / f"{TOP}.v"
    path.write_text(ready_made(verilog_file(config, TOP).read_text()))
    monkeypatch.setattr(verilated_core, "verilog_file", lambda config, top: path)
    with VerilatedCore(config, quick=True, latency=9) as core:
        bench = Bench(core)
        for seed in range(LISTS):
            bench.run(random_image(np.random.default_rng(seed), config, 6), f"list {seed}")
        assert bench.jobs["GEMM"] > LISTS
