# SPDX-License-Identifier: Apache-2.0
"""The benches of tile and engine on a second simulator, and with registers that start unknown.

Icarus has four states: a valid, a ready, a flag or a valid payload that is X fails the bench, which
reads each of them in every cycle after reset. Verilator starts registers at random instead.
"""

import shutil

import pytest

from golden.config import Config, preset
from hdl.emit.verilog import verilog_file
from tools.errors import ToolError
from verif.bench.benches import BENCHES, TINY
from verif.bench.runner import Settings, simulate, without_initial_values
from verif.needs import needs_icarus

# accumulators of 20 bits, one radix, no stochastic rounding, another pipeline
ODD = Config(2, 2, 4, accumulator_width=20, dim_width=8, radices=(2,), stochastic=False, tensors=1,
             pipeline=1)


@needs_icarus
@pytest.mark.parametrize(("config", "bare"), [(preset("tiny"), False), (ODD, True)],
                         ids=["tiny", "odd_without_initial_values"])
@pytest.mark.parametrize("block", ["mac_tile", "engine"])
def test_icarus(block, config, bare):
    bench = BENCHES[block]
    settings = Settings(block, bench.top, config, simulator="icarus", bare=bare)
    assert simulate(settings) == bench.tests


@pytest.mark.parametrize("block", ["mac_tile", "engine"])
def test_verilator_from_unknown_registers(block):
    bench = BENCHES[block]
    assert simulate(Settings(block, bench.top, TINY, bare=True)) == bench.tests


@needs_icarus
def test_an_x_is_noticed(tmp_path):
    """A register of control that reset forgets fails the bench."""
    bench = BENCHES["mac_tile"]
    settings = Settings("mac_tile", bench.top, TINY, simulator="icarus", bare=True)
    text = verilog_file(TINY, bench.top).read_text()
    broken = text.replace("rst ? 1'h0 :", "1'h0 ? 1'h0 :")
    assert broken != text
    path = tmp_path / f"{bench.top}.v"
    path.write_text(broken)
    with pytest.raises(AssertionError, match="tests of bench mac_tile failed"):
        simulate(settings, verilog=path)


def test_initial_values_are_gone():
    for config in (preset("tiny"), ODD):
        text = without_initial_values(verilog_file(config, "tetra_engine")).read_text()
        assert not [line for line in text.splitlines()
                    if line.lstrip().startswith(("reg ", "output reg ")) and " = " in line]
        assert not any(line.startswith("  initial") for line in text.splitlines())


def test_no_icarus(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError, match="no Icarus Verilog found: apt install iverilog"):
        simulate(Settings("mac_tile", "tetra_mac_tile", TINY, simulator="icarus"))
