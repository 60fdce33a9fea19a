# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite: its signals under AMBA's names, and a slave that turns them into single accesses."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WIDTH = 32  # bits of data
STROBES = WIDTH // 8
OKAY, SLVERR = 0b00, 0b10  # how an access ended


def axi_lite_signature(address_width: int) -> wiring.Signature:
    """A bus of 32-bit data with byte addresses of this width, as its master sees it."""
    return wiring.Signature({
        "awaddr": Out(address_width), "awprot": Out(3),
        "awvalid": Out(1), "awready": In(1),
        "wdata": Out(WIDTH), "wstrb": Out(STROBES), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_width), "arprot": Out(3),
        "arvalid": Out(1), "arready": In(1),
        "rdata": In(WIDTH), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


class AxiLiteSlave(wiring.Component):
    """Takes an address and data in either order, and gives one access at a time to what is behind.

    Reads and writes do not wait for each other. `awprot` and `arprot` are ignored.

    Parameters
    ----------
    config : bits of a byte address. Its lowest two are ignored.

    Members
    -------
    bus : In(`axi_lite_signature`), the AXI4-Lite slave. No output depends on an input of the same
        cycle.
    write : Out(1), an access in this cycle, to write_address.
    write_address : Out(`config` - 2 bits), of a word.
    write_data : Out(32).
    write_mask : Out(32), the bits that the strobes select.
    write_error : In(1), beside `write`: it is answered with SLVERR.
    read : Out(1), an access in this cycle, to read_address.
    read_address : Out(`config` - 2 bits), of a word.
    read_data : In(32), from the cycle after `read` on until the next one.
    read_error : In(1), likewise: the access is answered with SLVERR.
    hold : In(1), no read begins, and no write is answered or begins.

    Latency: a write is answered 3 cycles, a read 2 cycles after the address was taken.
    """

    def __init__(self, config: int):
        self.config = config
        super().__init__({
            "bus": In(axi_lite_signature(config)),
            "write": Out(1),
            "write_address": Out(config - 2),
            "write_data": Out(WIDTH),
            "write_mask": Out(WIDTH),
            "write_error": In(1),
            "read": Out(1),
            "read_address": Out(config - 2),
            "read_data": In(WIDTH),
            "read_error": In(1),
            "hold": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        self._elaborate_writes(m)
        self._elaborate_reads(m)
        return m

    def _elaborate_writes(self, m):
        bus = self.bus

        # Cycle 0: address and data are taken, each when it comes.
        has_address = Signal()
        has_data = Signal()
        strobes = Signal(STROBES)
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [
                has_address.eq(1),
                self.write_address.eq(bus.awaddr[2:]),
            ]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [
                has_data.eq(1),
                self.write_data.eq(bus.wdata),
                strobes.eq(bus.wstrb),
            ]

        # Cycle 1: the access, unless the one before has not been answered.
        answering = Signal()
        m.d.comb += [
            self.write.eq(has_address & has_data & ~answering & ~bus.bvalid & ~self.hold),
            self.write_mask.eq(Cat(strobe.replicate(8) for strobe in strobes)),
        ]
        with m.If(self.write):
            m.d.sync += [
                has_address.eq(0),
                has_data.eq(0),
                answering.eq(1),
                bus.bresp.eq(Mux(self.write_error, SLVERR, OKAY)),
            ]

        # Cycle 2: what it has begun may take its time; then it is answered.
        with m.If(answering & ~self.hold):
            m.d.sync += [
                answering.eq(0),
                bus.bvalid.eq(1),
            ]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)

    def _elaborate_reads(self, m):
        bus = self.bus

        # Cycle 0: the address is taken.
        has_address = Signal()
        m.d.comb += bus.arready.eq(~has_address)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [
                has_address.eq(1),
                self.read_address.eq(bus.araddr[2:]),
            ]

        # Cycle 1: the access, unless the one before has not been taken.
        m.d.comb += self.read.eq(has_address & ~bus.rvalid & ~self.hold)
        with m.If(self.read):
            m.d.sync += [
                has_address.eq(0),
                bus.rvalid.eq(1),
            ]

        # Cycle 2: what was read stays until it is taken.
        m.d.comb += [
            bus.rdata.eq(self.read_data),
            bus.rresp.eq(Mux(self.read_error, SLVERR, OKAY)),
        ]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)

