# SPDX-License-Identifier: Apache-2.0
"""Memories behind an AXI4 port for cocotb, and what is checked of a manager's every cycle.

The slaves are those of cocotbext-axi, which knows nothing of ours; here are their memory, latency,
error responses and pauses. What a write reaches is kept byte by byte: a stray one is seen.
"""

import logging

from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiReadBus, AxiSlaveRead, AxiSlaveWrite, AxiWriteBus

from hdl.axi.layouts import FaultCode, fault_layout
from hdl.axi.read_layouts import read_fault
from hdl.packing import Packing, packing
from verif.bench.streams import StreamBench

SLVERR, DECERR = 2, 3
FAULTS = {"r": read_fault, "w": fault_layout}  # by channel of data
ADDRESS = ("valid", "ready", "addr", "len", "size", "burst", "id", "prot", "cache")


def pattern(address: int) -> int:
    """What memory holds where nobody wrote: depends on every bit of the address."""
    return (address * 0x9E3779B97F4A7C15 >> 29 ^ address >> 8 ^ address) & 0xFF


def read_pattern(address: int, count: int) -> bytes:
    return bytes(map(pattern, range(address, address + count)))


class Memory:
    """A slave's target: answers reads with `pattern`, keeps what is written.

    Members
    -------
    written : address -> byte. latency : the most cycles that a beat waits, at random.
    """

    def __init__(self, clock, rng):
        self.clock, self.rng = clock, rng
        self.written: dict[int, int] = {}
        self.latency = 0

    async def read(self, address: int, count: int) -> bytes:
        await self._wait()
        return read_pattern(address, count)

    async def write(self, address: int, data: bytes) -> None:
        await self._wait()
        for i, byte in enumerate(data):
            assert address + i not in self.written, f"expected one write of {address + i:#x}"
            self.written[address + i] = byte

    async def _wait(self):
        if self.latency and self.rng.random() < 0.2:
            await ClockCycles(self.clock, int(self.rng.integers(1, self.latency + 1)))


class Monitor:
    """One channel: what is offered holds until it is taken; each taken payload goes to `check`."""

    def __init__(self, dut, channel: str, names: tuple[str, ...], check=None, *,
                 prefix: str = "axi_"):
        self.signals = [getattr(dut, f"{prefix}{channel}{name}") for name in names]
        self.names, self.channel, self.check = names[2:], channel, check
        self.reset()

    def reset(self):
        self._waiting = None

    def drive(self):
        pass

    def sample(self) -> bool:
        valid, ready, *payload = self.signals
        valid, ready = bool(valid.value), bool(ready.value)
        values = tuple(int(signal.value) for signal in payload) if valid else None
        if self._waiting is not None and values != self._waiting:
            raise AssertionError(f"channel {self.channel} did not hold: expected {self._waiting}, "
                                 f"then {values}")
        self._waiting = values if valid and not ready else None
        if valid and ready and self.check:
            self.check(dict(zip(self.names, values, strict=True)))
        return valid and ready


class Watch:
    """Counts the pulses of `beats` and keeps `idle` and `fault` of the last cycle."""

    def __init__(self, dut, data: Monitor, fault: Packing):
        self.dut, self.data, self.packing = dut, data, fault
        self.reset()

    def reset(self):
        self.beats, self.idle, self.fault, self.tag = 0, False, None, None

    def drive(self):
        pass

    def sample(self) -> bool:
        self.beats += bool(self.dut.beats.value)
        self.idle = bool(self.dut.idle.value)
        bits = int(self.dut.fault.value) if self.dut.fault.value.is_resolvable else 0
        fault = self.packing.unpack(bits)
        self.tag = fault.get("tag")
        self.fault = (FaultCode(fault["code"]), fault["address"]) if fault["valid"] else None
        return False


class AxiBench(StreamBench):
    """A DMA part with a memory behind it.

    Members
    -------
    bursts : (address, beats) of each that was asked for. errors : number of a beat that is read, or
    of a burst that is written, -> its response. One per test: its slave stays on the bus.
    """

    channel: str  # of addresses
    data: str  # of data

    def __init__(self, dut, rng):
        super().__init__(dut)
        self.config, self.rng = self.settings.config, rng
        self.width = self.config.bus_width // 8
        logging.getLogger("cocotb").setLevel(logging.WARNING)  # a line for each burst
        self.memory = Memory(dut.clk, rng)
        self.bursts: list[tuple[int, int]] = []
        self.errors: dict[int, int] = {}
        self.answers = 0
        self.space = 1 << self.config.address_width
        self.base, self.limit = 0, self.space - 1
        self.addresses = Monitor(dut, self.channel, ADDRESS, self._burst)
        self.slave = self.connect()
        self.window(0, self.space - 1)
        dut.stop.value = dut.restart.value = 0

    def connect(self):
        raise NotImplementedError

    def window(self, base: int, limit: int):
        self.base, self.limit = base, limit
        self.dut.window_base.value, self.dut.window_limit.value = base, limit

    def pause(self, share: float, *channels):
        """Keep channels of the slave still in a share of the cycles."""
        for channel in channels:
            channel.clear_pause_generator()
            channel.pause = False
            if share:
                channel.set_pause_generator(iter(lambda: bool(self.rng.random() < share), None))

    def fail(self, channel, name: str):
        """Give the answers that `send` takes the responses of `errors`."""
        send = channel.send

        async def send_one(answer):
            setattr(answer, name, self.errors.get(self.answers, 0))
            self.answers += 1
            await send(answer)

        channel.send = send_one

    def _burst(self, burst):
        first, beats = burst["addr"], burst["len"] + 1
        start = first // self.width * self.width
        last = start + beats * self.width - 1
        assert (1 << burst["size"], burst["burst"], burst["id"]) == (self.width, 1, 0)
        assert first >> 12 == last >> 12, f"expected a burst in one page, {first:#x} + {beats}"
        assert self.base <= first and last - self.width < self.limit, (
            f"expected {first:#x}..{last:#x} in the window {self.base:#x}..{self.limit:#x}")
        self.bursts.append((first, beats))

    async def settle(self, limit: int = 20000):
        """Until all that was asked for is done."""
        start = self.cycle
        await self.run(lambda: not any(source.queue for source in self.sources), limit)
        await self.run(lambda: False, limit=12)  # through every stage
        await self.run(lambda: self.watch.idle, limit)
        assert self.cycle - start < limit, "hang: not idle"

    async def restart(self):
        self.dut.restart.value = 1
        await self.run(lambda: False, limit=1)
        self.dut.restart.value = 0

    async def stop(self, brief: bool):
        """Stop until all that is queued has been swallowed and everything is idle; or for a cycle,
        with nothing behind what is offered, and wait until idle."""
        self.dut.stop.value = 1
        if brief:
            for source in self.sources:
                while len(source.queue) > source._offering:
                    source.queue.pop()
            await self.run(lambda: False, limit=1)
            self.dut.stop.value = 0
        await self.settle()
        self.dut.stop.value = 0

    def expect_fault(self, code: FaultCode, address: int):
        assert self.watch.fault == (code, address), (
            f"expected {code} at {address:#x}, got {self.watch.fault}")


class ReadBus(AxiBench):
    channel, data = "ar", "r"

    def connect(self):
        slave = AxiSlaveRead(AxiReadBus.from_prefix(self.dut, "axi"), self.dut.clk,
                             target=self.memory)
        slave.ar_channel.queue_occupancy_limit = 64
        self.fail(slave.r_channel, "rresp")
        data = Monitor(self.dut, "r", ("valid", "ready"))
        self.watch = Watch(self.dut, data, packing(FAULTS[self.data], self.config))
        self.sinks += [self.addresses, data, self.watch]
        return slave

    def slow(self, share: float, latency: int):
        self.memory.latency = latency
        self.pause(share, self.slave.ar_channel, self.slave.r_channel)


class WriteBus(AxiBench):
    channel, data = "aw", "w"

    def connect(self):
        slave = AxiSlaveWrite(AxiWriteBus.from_prefix(self.dut, "axi"), self.dut.clk,
                              target=self.memory)
        slave.aw_channel.queue_occupancy_limit = 64
        self.fail(slave.b_channel, "bresp")
        data = Monitor(self.dut, "w", ("valid", "ready", "data", "strb", "last"), self._beat)
        self.watch = Watch(self.dut, data, packing(FAULTS[self.data], self.config))
        self.sinks += [self.addresses, data, self.watch]
        self.lasts: list[int] = []  # beats of each burst of data
        self.beats = 0
        return slave

    def slow(self, share: float, latency: int):
        self.memory.latency = latency
        self.pause(share, self.slave.aw_channel, self.slave.w_channel, self.slave.b_channel)

    def _beat(self, beat):
        self.beats += 1
        if beat["last"]:
            self.lasts.append(self.beats)
            self.beats = 0

    def check_lengths(self):
        """Every burst of data is as long as its address said."""
        assert self.beats == 0 and self.lasts == [beats for _, beats in self.bursts], (
            "expected as many beats as AW said")
