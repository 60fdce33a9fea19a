# SPDX-License-Identifier: Apache-2.0
"""What a period holds of wires: what the library estimates, and what reports say of it."""

import re
from dataclasses import replace

import pytest

from synth.cells import sta
from synth.cells.libraries import NANGATE45
from verif.needs import needs_sta

NETLIST = """module t(clk, d, q); input clk, d; output [7:0] q; wire n, o;
DFF_X1 r (.CK(clk), .D(d), .Q(n)); INV_X1 i (.A(n), .ZN(o));
{}
endmodule"""


@pytest.fixture
def stripped(tmp_path):
    """The library without its estimate."""
    text = NANGATE45.path.read_text()
    without = re.sub(r"^\s*default_wire_load\s*:.*;\s*$", "", text, count=1, flags=re.M)
    assert without != text
    (tmp_path / "stripped.lib").write_text(without)
    return replace(NANGATE45, package=str(tmp_path), file="stripped.lib")


def test_reports_say_what_is_timed(stripped):
    assert NANGATE45.wire_load == "5K_hvratio_1_1"
    assert "wires as the library estimates them by fanout (5K_" in sta.assumptions(NANGATE45)
    assert stripped.wire_load == ""
    assert "no wires (the library estimates none)" in sta.assumptions(stripped)


@needs_sta
def test_every_net_has_the_wire_of_its_fanout(stripped, tmp_path):
    """A net with eight sinks is slower by more than one with a single one."""
    gained = []
    for sinks in (1, 8):
        path = tmp_path / "netlist.v"
        path.write_text(NETLIST.format("\n".join(
            f"DFF_X1 q{i} (.CK(clk), .D(o), .Q(q[{i}]));" for i in range(sinks))
            + "".join(f"\nassign q[{i}] = 1'h0;" for i in range(sinks, 8))))
        periods = [sta.shortest_period([path], "t", library, True, tmp_path)
                   for library in (NANGATE45, stripped)]
        gained.append(periods[0] - periods[1])
    assert 0 < gained[0] < gained[1]
