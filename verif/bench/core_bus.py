# SPDX-License-Identifier: Apache-2.0
"""A core in cocotb as `verif.bench.cores` drives one: master and slaves are those of cocotbext-axi.

Its calls are synchronous, so that the same comparison with the golden core drives this core and the
verilated one: a test runs it in a thread of its own (`cocotb.task.bridge`).
"""

import logging
import warnings

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, RisingEdge

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # others' code
    from cocotbext.axi import (
        AxiBus,
        AxiLiteBus,
        AxiLiteMaster,
        AxiSlaveRead,
        AxiSlaveWrite,
    )

from verif.bench.axi import ADDRESS, DECERR, SLVERR, Monitor
from verif.bench.runner import Settings

OKAY = 0
DATA = ("valid", "ready", "data", "strb", "last")


class Target:
    """Memory behind the slaves: regions of bytes, each beat or strobe of which gets an answer.

    Members
    -------
    regions : uint8 arrays by address. failing : (first, last) addresses that answer `error`.
    latency : the most cycles that a beat waits, at random. answer : to the beat that was read last.
    worst : of the answers to the beats of the burst that is written.
    touched : addresses of beats that were read, and of bursts' beats that were written, in order.
    """

    def __init__(self, clock, rng, width: int):
        self.clock, self.rng, self.width = clock, rng, width
        self.regions: dict[int, np.ndarray] = {}
        self.failing: list[tuple[int, int]] = []
        self.error, self.latency = SLVERR, 0
        self.answer, self.worst = OKAY, OKAY
        self.touched: list[int] = []

    async def read(self, address: int, count: int) -> bytes:
        await self._wait()
        self.touched.append(address)
        found = [self._byte(at) for at in range(address, address + count)]
        self.answer = OKAY if any(place is not None for place in found) else DECERR
        if self._fails(address, count):
            self.answer = self.error
        return bytes(0xA5 if place is None else int(place[0][place[1]]) for place in found)

    async def write(self, address: int, data: bytes) -> None:
        await self._wait()
        self.touched.append(address // self.width * self.width)
        found = [self._byte(at) for at in range(address, address + len(data))]
        if None in found:
            self.worst = DECERR
        elif self._fails(address, len(data)):
            self.worst = max(self.worst, self.error)
        else:
            for (region, at), byte in zip(found, data, strict=True):
                region[at] = byte

    def _byte(self, address: int):
        for base, data in self.regions.items():
            if base <= address < base + data.size:
                return data, address - base
        return None

    def _fails(self, address: int, count: int) -> bool:
        return any(first < address + count and address <= last for first, last in self.failing)

    async def _wait(self):
        if self.latency and self.rng.random() < 0.2:
            await ClockCycles(self.clock, int(self.rng.integers(1, self.latency + 1)))


class SimulatedCore:
    """The top of the simulation.

    Members
    -------
    config : of the core. cycles : simulated so far.
    target : the memory. strays : bursts that broke a rule; a channel that does not hold, a beat too
        many or too few, or an X fails the test at once.
    """

    def __init__(self, dut):
        self.dut, self.config = dut, Settings.current().config
        self.rng = np.random.default_rng(Settings.current().seed)
        self.width = self.config.bus_width // 8
        self.cycles = self.strays = 0
        logging.getLogger("cocotb").setLevel(logging.WARNING)  # a line for each burst
        Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        self.target = Target(dut.clk, self.rng, self.width)
        bus = AxiBus.from_prefix(dut, "m_axi")
        self.read_slave = AxiSlaveRead(bus.read, dut.clk, dut.rst, target=self.target)
        self.write_slave = AxiSlaveWrite(bus.write, dut.clk, dut.rst, target=self.target)
        for channel in (self.read_slave.ar_channel, self.write_slave.aw_channel):
            channel.queue_occupancy_limit = 64
        self._answering(self.read_slave.r_channel, "rresp", lambda: self.target.answer)
        self._answering(self.write_slave.b_channel, "bresp", self._response)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.monitors = [Monitor(dut, "ar", ADDRESS, self._burst, prefix="m_axi_"),
                         Monitor(dut, "aw", ADDRESS, self._burst, prefix="m_axi_"),
                         Monitor(dut, "w", DATA, prefix="m_axi_")]
        cocotb.start_soon(self._watch())

    def _answering(self, channel, name: str, answer):
        """Give what `send` sends the response that the target says."""
        send = channel.send

        async def send_one(beat):
            setattr(beat, name, answer())
            await send(beat)

        channel.send = send_one

    def _response(self) -> int:
        found, self.target.worst = self.target.worst, OKAY
        return found

    def _burst(self, burst):
        first, beats = burst["addr"], burst["len"] + 1
        last = first // self.width * self.width + beats * self.width - 1
        sound = (1 << burst["size"], burst["burst"], burst["id"]) == (self.width, 1, 0)
        self.strays += not sound or first >> 12 != last >> 12

    async def _watch(self):
        await RisingEdge(self.dut.clk)  # before it nothing drives `rst`
        while True:
            await RisingEdge(self.dut.clk)
            self.cycles += 1
            if self.dut.rst.value:
                for monitor in self.monitors:
                    monitor.reset()
                continue
            for monitor in self.monitors:
                monitor.sample()

    # What a bench asks of a core; each from the thread that `bridge` has started.

    def attach(self, regions: dict[int, np.ndarray], failing=()) -> None:
        """Let the core see these bytes, and to the addresses of `failing` answer an error."""
        self.target.regions, self.target.failing = dict(regions), list(failing)

    def set_timing(self, *, latency: int = 0, stall: int = 0) -> None:
        """`latency` : the most cycles that a beat waits. `stall` : every channel idles in so many
        of 256 cycles."""
        self.target.latency = latency
        for channel in (self.read_slave.ar_channel, self.read_slave.r_channel,
                        self.write_slave.aw_channel, self.write_slave.w_channel,
                        self.write_slave.b_channel):
            channel.clear_pause_generator()
            channel.pause = False
            if stall:
                channel.set_pause_generator(iter(
                    lambda: bool(self.rng.random() < stall / 256), None))

    @resume
    async def reset(self) -> None:
        """A cycle of reset; slaves and master have it too."""
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.target.worst = OKAY
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    @resume
    async def read32(self, address: int) -> int:
        return int.from_bytes((await self.master.read(address, 4)).data, "little")

    @resume
    async def write32(self, address: int, value: int) -> None:
        await self.master.write(address, value.to_bytes(4, "little"))

    @resume
    async def run(self, most: int) -> bool:
        """Simulate until the interrupt, at most so many cycles; whether it came."""
        for _ in range(most):
            if self.dut.irq.value:
                return True
            await RisingEdge(self.dut.clk)
        return bool(self.dut.irq.value)
