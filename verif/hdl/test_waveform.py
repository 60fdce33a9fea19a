# SPDX-License-Identifier: Apache-2.0
"""The example of docs/integration.md on masters and memories of cocotbext-axi, and its picture."""

import json
import os
import re
from pathlib import Path

import cocotb
import numpy as np
from cocotb.task import bridge
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.core.register_map import register_map
from verif.bench.core_bus import SimulatedCore
from verif.hdl.integration_page import A_AT, B_AT, BASE, C_AT, CONFIG, PAGE, after, before
from verif.hdl.waveform import CHANNELS, PICTURE, RECORD, mark, recorded


@cocotb.test()
async def example(dut):
    """The boot sequence as the page has it, up to the interrupt; every cycle is recorded."""
    core, record = SimulatedCore(dut), []

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value:
                continue
            record.append({
                name: [int(getattr(dut, f"{name}valid").value),
                       int(getattr(dut, f"{name}ready").value)] for name in CHANNELS})
            record[-1]["irq"] = int(dut.irq.value)
            if all(record[-1]["m_axi_ar"]):
                record[-1]["address"] = int(dut.m_axi_araddr.value)
            if all(record[-1]["s_axil_w"]):
                record[-1]["word"] = int(dut.s_axil_wdata.value)

    data = before()
    core.attach({BASE: data})
    steps = re.findall(r"^\| \d+ \| `(\w+)` \| `(0x[0-9a-f]+|\d+)` \|", PAGE.read_text(), re.M)
    registers = register_map(CONFIG).registers

    def boot():
        core.reset()
        cocotb.start_soon(watch())
        for name, value in steps:
            core.write32(registers[name].address, int(value, 0))
        assert core.run(20_000), "expected an interrupt"

    await bridge(boot)()
    await ClockCycles(dut.clk, 30)
    np.testing.assert_array_equal(data, after())
    Path(os.environ[RECORD]).write_text(json.dumps(record))


def test_picture_is_up_to_date(tmp_path):
    """It is that of what is simulated now, and the core reads what the page says."""
    record = recorded(tmp_path)
    reads = [found["address"] for found in record if "address" in found]
    assert reads[0] == BASE and set(reads[1:]) >= {A_AT, B_AT} and max(reads) < C_AT
    assert mark(record) in PICTURE.read_text(), "expected the picture of `-m verif.hdl.waveform`"
    assert mark(record[:-1]) not in PICTURE.read_text()
