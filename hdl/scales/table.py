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
        if self.config.is_fpga:
            self._memory(m)
        else:
            self._registers(m)
        return m

    def _registers(self, m: Module):
        table = Array(Signal(ENTRY_LAYOUT, name=f"entry_{i}", init=UNSET)
                      for i in range(self.config.tensors))
        looked_up = Signal(ENTRY_LAYOUT, reset_less=True)
        m.d.sync += looked_up.eq(table[self.tensor])
        m.d.comb += self.entry.eq(looked_up)
        with m.If(self.write):
            m.d.sync += table[self.tensor].eq(self.written)

    def _memory(self, m: Module):
        count = self.config.tensors
        m.submodules.memory = store = memory.Memory(
            shape=ENTRY_LAYOUT.size, depth=count, init=[])
        read = store.read_port()
        write = store.write_port()
        # A memory cannot be reset: a bit per entry says whether it was written since.
        known = Signal(count)
        chosen = Signal(count)
        m.d.comb += chosen.eq(Cat(self.tensor == i for i in range(count)))
        with m.If(self.write):
            m.d.sync += known.eq(known | chosen)
        m.d.comb += [
            write.addr.eq(self.tensor),
            write.en.eq(self.write),
            write.data.eq(self.written.as_value()),
        ]

        # Cycle 0: the entry is read.
        found = Signal(reset_less=True)
        m.d.sync += found.eq((known & chosen).any())
        m.d.comb += [read.addr.eq(self.tensor), read.en.eq(1)]
        # Cycle 1: it is there, or was not written yet.
        m.d.comb += self.entry.as_value().eq(Mux(found, read.data, UNSET.as_bits()))
