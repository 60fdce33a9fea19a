# SPDX-License-Identifier: Apache-2.0
"""What a buffer of an operand is made of: memories that an ASIC or an FPGA has ready-made."""

from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.panels import GroupPanels

SLOTS = 2


class OperandMemory(wiring.Component):
    """Words of `lanes` codes, one port to write codes of a word and one to read words.

    A module of its own, so that one may be put in its place that holds a ready-made memory; what a
    word is when it is read in the cycle in which it is written does not matter.

    Members
    -------
    write_addr, write_en, write_data : In, the word that is written, which of its codes, and all.
    read_addr, read_en : In, the word that is read. read_data : Out, in the next cycle, and as long
        as read_en is 0 then.

    Latency: 1 cycle.
    """

    span: Callable[[Config], int]  # vectors of `depth` codes in a slot; an operand's class says it

    def __init__(self, config: Config):
        self.config = config
        self.words = SLOTS * (self.span(config) // config.lanes) * (config.depth // config.lanes)
        address = range(max(self.words, 2))
        super().__init__({
            "write_addr": In(address),
            "write_en": In(config.lanes),
            "write_data": In(4 * config.lanes),
            "read_addr": In(address),
            "read_en": In(1),
            "read_data": Out(4 * config.lanes),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=4 * self.config.lanes, depth=self.words, init=[],
            attrs={"ram_style": "block"} if self.config.is_fpga else {})
        write, read = words.write_port(granularity=4), words.read_port()
        m.d.comb += [
            write.addr.eq(self.write_addr), write.en.eq(self.write_en),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_addr), read.en.eq(self.read_en),
            self.read_data.eq(read.data),
        ]
        return m


class OperandMemoryA(OperandMemory):
    """Of operand a: a slot has the rows of one group. See `OperandMemory`.

    Latency: 1 cycle.
    """

    span = staticmethod(GroupPanels.rows_of)


class OperandMemoryB(OperandMemory):
    """Of operand b: a slot has the columns of one strip. See `OperandMemory`.

    Latency: 1 cycle.
    """

    @staticmethod
    def span(config: Config) -> int:
        return config.strip
