# SPDX-License-Identifier: Apache-2.0
"""The table of scales: an entry per tensor, in registers or, on an FPGA, in a memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from golden.adaptive import TENSOR_WIDTH
from golden.config import Config
from golden.dyadic import IDENTITY
from hdl.scales.layouts import ENTRY_LAYOUT

UNSET = ENTRY_LAYOUT.const({
    "scale": {"multiplier": IDENTITY.multiplier, "shift": IDENTITY.shift}})


class EntryTable(wiring.Component):
    """`config.tensors` entries, one looked at or written at a time; reset makes all unset.

    Members
    -------
    tensor : In, which one; below `config.tensors`. entry : Out(ENTRY_LAYOUT), that one, a cycle
        after `tensor` is known or it was written.
    write : In(1), the entry becomes `written` : In(ENTRY_LAYOUT).
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "tensor": In(TENSOR_WIDTH),
            "entry": Out(ENTRY_LAYOUT),
            "write": In(1),
            "written": In(ENTRY_LAYOUT),
        })

    def elaborate(self, platform):
        m = Module()
        if self.config.carry_chains:
            self._memory(m)
            return m
        table = Array(Signal(ENTRY_LAYOUT, name=f"entry_{i}", init=UNSET)
                      for i in range(self.config.tensors))
        entry = Signal(ENTRY_LAYOUT, name="looked_up", reset_less=True)
        m.d.comb += self.entry.eq(entry)
        m.d.sync += entry.eq(table[self.tensor])
        with m.If(self.write):
            m.d.sync += table[self.tensor].eq(self.written)
        return m

    def _memory(self, m: Module):
        # A memory cannot be reset: a bit per entry says whether it was written since.
        count = self.config.tensors
        m.submodules.memory = store = memory.Memory(
            shape=ENTRY_LAYOUT.size, depth=count, init=[])
        known, chosen, found = Signal(count), Signal(count), Signal(reset_less=True)
        read, write = store.read_port(), store.write_port()
        m.d.comb += [
            read.addr.eq(self.tensor),
            read.en.eq(1),
            write.addr.eq(self.tensor),
            write.en.eq(self.write),
            write.data.eq(self.written.as_value()),
            chosen.eq(Cat(self.tensor == i for i in range(count))),
            self.entry.as_value().eq(
                Mux(found, read.data, UNSET.as_bits())),
        ]
        m.d.sync += found.eq((known & chosen).any())
        with m.If(self.write):
            m.d.sync += known.eq(known | chosen)
