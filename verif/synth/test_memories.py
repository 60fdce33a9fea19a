# SPDX-License-Identifier: Apache-2.0
"""Memories as macros: what a core's mapping and timing make of them."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.core import Core
from hdl.library import Library, place
from synth.cells import memories
from synth.cells.asic import Netlist, mappings, timing
from synth.cells.designs import BOUNDARIES, contenders, core
from synth.cells.libraries import NANGATE45
from synth.cells.macros import with_macros
from verif.needs import needs_sta
from verif.synth.designs import CONFIG, RECIPE


class Store(wiring.Component):
    """A memory of 16 words of two halves between two registers; the address is a sum."""

    domain = "sync"

    def __init__(self, config):
        self.config = config
        super().__init__({"address": In(4), "step": In(4), "halves": In(2), "word": In(8),
                          "found": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=8, depth=16, init=[])
        write, read = words.write_port(granularity=4), words.read_port(domain=self.domain)
        held = Signal(8)
        m.d.sync += [held.eq(self.word), self.found.eq(~read.data)]
        m.d.comb += [write.addr.eq(self.address), write.data.eq(held), write.en.eq(self.halves),
                     read.addr.eq(self.address + self.step)]
        return m


class CombinationalStore(Store):
    domain = "comb"


class Above(Store):
    """The same in a block of its own."""

    def elaborate(self, platform):
        m = Module()
        inner = place(m, platform, "store", Store(self.config))
        for name in ("address", "step", "halves", "word"):
            m.d.comb += getattr(inner, name).eq(getattr(self, name))
        m.d.sync += self.found.eq(inner.found)
        return m


def netlist(build, boundaries=frozenset()) -> Netlist:
    library = Library()
    top = library.convert(build, CONFIG)
    return Netlist(with_macros(library.text, top), top, boundaries)


def test_a_memory_becomes_a_macro_that_no_block_contains():
    found = netlist(Above, frozenset({"tetra_store"}))
    assert set(found.blocks) == {"tetra_above", "tetra_store"}
    macro, = (name for name in found.modules if name.startswith(memories.PREFIX))
    assert macro == "tetra_memory_16x8_2"  # words, bits, enables
    assert found.children["tetra_store"][macro] == 1
    block = found.block("tetra_store", keep_rows=False)
    assert f"attribute \\blackbox 1\nmodule \\{macro}\n" in block and "$mem" not in block
    for text in ("bus(read_data) { bus_type : bits_8; direction : output;",
                 "bus(write_en) { bus_type : bits_2; direction : input;",
                 "pin(read_en) { direction : input;", "pin(clk) { direction : input; clock : true"):
        assert text in found.memories
    assert Netlist("", "").memories == ""
    # wherever it is, so that its mapping is found again
    assert netlist(Store).block("tetra_store", keep_rows=False) == block


def test_what_no_macro_can_be_is_refused():
    with pytest.raises(ValueError, match=r"words: 1 ports to write and 1 to read, expected one "
                                         "each, and clocked"):
        netlist(CombinationalStore)


@needs_sta
def test_a_macro_takes_its_time_and_no_area(fresh_cache, monkeypatch, tmp_path):
    def period() -> tuple[str, float]:
        whole = netlist(Above, frozenset({"tetra_store"}))
        found = {name: tried[0] for name, tried in mappings(whole, [RECIPE], NANGATE45).items()}
        blocks = [one.run() for one in found.values()]
        store = blocks[[*found].index("tetra_store")]
        flip_flops = 16 * NANGATE45.areas["DFF_X1"]  # 128 bits more would be flip-flops too
        assert flip_flops < store.area < 2 * flip_flops
        together = timing(whole, blocks, NANGATE45)
        assert together.run() == pytest.approx(store.period, abs=0.05)
        return found["tetra_store"].key, store.period

    key, before = period()
    monkeypatch.setattr(memories, "ACCESS", memories.ACCESS + 1)
    later, after = period()
    assert later != key and after == pytest.approx(before + 1, abs=0.002)
    monkeypatch.setattr(memories, "SETUP", 2.0)  # behind the adder of the address
    assert 2.1 < period()[1] < 2.9


def test_the_core_of_base_is_a_design_with_its_memories_as_macros():
    design, = (d for d in core("base") if d.block == "tetra_core")
    assert design.ours and not design.macs and str(design) in map(str, contenders())
    small = replace(design, build=lambda: Core(CONFIG))
    found = small.netlist()
    assert any(name.startswith(memories.PREFIX) for name in found.modules)
    assert "$memrd" not in found.text and "$mem_v2" not in found.text
    assert set(found.blocks) == {"tetra_core", *BOUNDARIES}
