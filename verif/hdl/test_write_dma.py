# SPDX-License-Identifier: Apache-2.0
"""The write DMA part against an independent memory: bytes, windows, errors, stops, speed."""

import cocotb
import numpy as np
import pytest

from hdl.axi.layouts import FaultCode, command_layout
from hdl.axi.write_layouts import item_bytes, item_layout, part_bytes
from hdl.packing import packing
from verif.bench.axi import DECERR, SLVERR, WriteBus
from verif.bench.benches import BENCHES, run_bench
from verif.bench.segments import LONGEST, misaligned_segments, random_segment
from verif.bench.streams import Source


class WriteBench(WriteBus):
    """Members: expected, address -> byte that is to be written, and nothing else."""

    def __init__(self, dut):
        super().__init__(dut, np.random.default_rng(0))
        self.rng = np.random.default_rng(self.settings.seed)
        self.memory.rng = self.rng
        self.packing = packing(item_layout, self.config)
        self.item_bytes = item_bytes(self.config)
        self.expected: dict[int, int] = {}
        self.command = Source(dut, "command", self.rng)
        self.items = Source(dut, "data", self.rng)
        self.sources += [self.command, self.items]

    def segment(self, address: int, size: int) -> int:
        """The payload of a command."""
        return packing(command_layout, self.config).pack(
            {"address": address % self.space, "beyond": address >= self.space,
             "bytes": size % LONGEST})

    def put(self, address: int, size: int, whole: bool = False):
        """Write random bytes, in items of random counts or `whole` ones. A segment that would write
        a byte twice is left out."""
        if not self.expected.keys().isdisjoint(range(address, address + size)):
            return
        data = self.rng.bytes(size)
        self.expected |= zip(range(address, address + size), data, strict=True)
        self.command.queue.append(self.segment(address, size))
        at = 0
        while at < size:
            count = min(self.item_bytes, size - at)
            if not whole and self.rng.random() < 0.5:
                count = int(self.rng.integers(1, count + 1))
            # what does not count may be anything
            item = data[at:at + count] + self.rng.bytes(self.item_bytes - count)
            self.items.queue.append(self.packing.pack(
                {"data": int.from_bytes(item, "little"), "count": count}))
            at += count

    def check_memory(self):
        """Every byte that was written is the expected one, and none is missing."""
        for address, byte in self.memory.written.items():
            assert self.expected.get(address) == byte, (
                f"expected {self.expected.get(address)} at {address:#x}, got {byte}; "
                f"repeat with: {self.settings.repeat}")

    def forget(self):
        self.expected.clear()
        self.memory.written.clear()
        self.errors.clear()

    async def finish(self):
        await self.settle(200000)
        assert self.watch.fault is None, f"expected no {self.watch.fault}"
        self.check_memory()
        self.check_lengths()
        missing = len(self.expected) - len(self.memory.written)
        assert not missing, f"expected {missing} more bytes; repeat with: {self.settings.repeat}"
        assert self.watch.beats == sum(beats for _, beats in self.bursts)

    async def again(self):
        """Good segments are written as ever."""
        self.forget()
        for address, size in ((0x5ffb, 23), (0x9003, 3 * self.width)):
            self.put(address, size)
        await self.finish()


@cocotb.test()
async def random_segments(dut):
    """Segments back to back, with idle and backpressure on every channel, and latency."""
    bench = WriteBench(dut)
    await bench.reset()
    for idle, share, latency in ((0, 0, 0), (0.3, 0.3, 5), (0, 0, 60), (0, 0.6, 0),
                                 (0.1, 0.2, 20)):
        bench.command.idle = bench.items.idle = idle
        bench.slow(share, latency)
        for _ in range(40 * bench.settings.length):
            bench.put(*random_segment(bench.rng, bench.space), whole=bench.rng.random() < 0.5)
        await bench.finish()


@cocotb.test()
async def every_place_in_a_beat(dut):
    bench = WriteBench(dut)
    await bench.reset()
    for number, (address, size) in enumerate(misaligned_segments(bench.config, bench.item_bytes)):
        bench.put(address + 0x1000 * number, size, whole=number % 2 == 0)
    await bench.finish()


@cocotb.test()
async def the_longest_segments(dut):
    bench = WriteBench(dut)
    await bench.reset()
    for address, size in ((0x21fff, LONGEST), (bench.space - 5000, 5000)):
        bench.put(address, size)
    await bench.finish()


@cocotb.test()
async def edges_of_the_window(dut):
    """The first and the last byte of a window can be written; of a segment with a byte beside it,
    or behind the last address, nothing is."""
    bench = WriteBench(dut)
    await bench.reset()
    last = bench.space - 1
    for base, limit in ((0x12345, 0x23456), (0, 700), (last - 699, last), (77, 77),
                        (0x8000_0000, 0x8000_ffff)):
        bench.window(base, limit)
        room = min(300, limit - base + 1)
        for address in (base, limit - room + 1):
            bench.put(address, room)
        await bench.finish()
        bench.forget()
        bad = [(base - 1, 1), (base - 1, 2), (limit, 2), (limit + 1, 1), (limit - 8, 10),
               (base, limit - base + 2), (base ^ bench.space >> 1, 1), (base ^ 1 << 32, 1),
               (base + bench.space, 1), (base + bench.space, room)]
        if limit + LONGEST > bench.space:  # ends in the window again
            bad += [(limit, LONGEST)]
        for address, size in bad:
            if 0 <= address and size <= LONGEST:
                await refused(bench, address, size)
    for base, limit in ((1, 0), (bench.space - 1, 0), (5000, 4999)):
        bench.window(base, limit)
        for address in (0, 1, 4999, 5000, *(bench.space + at for at in (-1, 0, 5000))):
            await refused(bench, address, 1)


async def refused(bench, address: int, size: int):
    before = len(bench.bursts)
    bench.put(address, size)
    bench.put(bench.base, 1)  # what follows is swallowed
    await bench.settle()
    code = FaultCode.WRAP if address + size > bench.space else FaultCode.WRITE_WINDOW
    bench.expect_fault(code, address % bench.space)
    assert len(bench.bursts) == before and not bench.memory.written, "expected no write"
    bench.forget()
    await bench.restart()
    await bench.settle()
    assert bench.watch.fault is None


SEGMENTS = ((0x2003, 5), (0x2ff9, 152), (0x4000, 64), (0x7fff, 2), (0x9000, 33))


@cocotb.test()
async def errors_of_every_burst(dut):
    """A bad response stops everything: bursts are completed, and no byte is wrong."""
    bench = WriteBench(dut)
    await bench.reset()
    for segment in SEGMENTS:
        bench.put(*segment)
    await bench.finish()
    addresses = [address for address, _ in bench.bursts]
    for share in (0, 0.4):
        bench.slow(share, 0)
        for number, address in enumerate(addresses):
            for response, code in ((SLVERR, FaultCode.WRITE_SLVERR),
                                   (DECERR, FaultCode.WRITE_DECERR)):
                bench.forget()
                bench.errors = {bench.answers + number: response,
                                bench.answers + number + 1: DECERR}
                for segment in SEGMENTS:
                    bench.put(*segment)
                await bench.settle()
                bench.expect_fault(code, address)
                bench.check_memory()
                bench.check_lengths()
                await bench.restart()
                await bench.again()


@cocotb.test()
async def stop_at_every_cycle(dut):
    """After a stop every burst is completed and no byte is wrong; the next segment is right."""
    bench = WriteBench(dut)
    await bench.reset()
    for share, latency in ((0, 0), (0.4, 9)):
        bench.slow(share, latency)
        for at in range(0, 60, 1 if not share else 5):
            bench.forget()
            for segment in SEGMENTS:
                bench.put(*segment)
            await bench.run(lambda: False, limit=at)
            await bench.stop(brief=bool(at % 2))
            asked = len(bench.bursts)
            bench.check_memory()
            bench.check_lengths()
            await bench.run(lambda: False, limit=20)
            assert len(bench.bursts) == asked, "expected that the bus is quiet"
            await bench.again()


@cocotb.test()
async def too_much_data(dut):
    """Bytes behind the segment's end, in the same part of an item, are dropped."""
    bench = WriteBench(dut)
    await bench.reset()
    item = bench.item_bytes
    size = item - part_bytes(bench.config) // 2
    for i in range(10):
        address, data = 0x1000 * i + 7 * i, bench.rng.bytes(item)
        bench.command.queue.append(bench.segment(address, size))
        bench.items.queue.append(bench.packing.pack(
            {"data": int.from_bytes(data, "little"), "count": item}))
        bench.expected |= zip(range(address, address + size), data[:size], strict=True)
    await bench.finish()


@cocotb.test()
async def full_speed(dut):
    """A segment per max(beats, items) cycles where it has one beat; long ones fill the bus."""
    bench = WriteBench(dut)
    await bench.reset()
    beat, item, count = bench.width, bench.item_bytes, 200
    for number, (place, size) in enumerate((
            (0, min(beat, item)), (0, beat), (beat - 1, 1), (beat - 1, 2), (1, beat - 1))):
        beats, items = -(-(place + size) // beat), -(-size // item)
        for i in range(count):
            bench.put(0x40000 * number + 0x80 * i + place, size, whole=True)
        start = bench.cycle
        await bench.finish()
        cycles = bench.cycle - start
        cocotb.log.warning("%d bytes at place %d: %.2f cycles", size, place, cycles / count)
        assert cycles <= count * max(beats, items) + 60, f"expected less than {cycles} cycles"
    for address, size in ((0x800000, 8192), (0x900003, 8192)):
        bench.put(address, size, whole=True)
        start = bench.cycle
        await bench.finish()
        assert bench.cycle - start <= size // min(beat, item) + 60, "expected a full bus"


@pytest.mark.parametrize("config", BENCHES["write_dma"].configs, ids=repr)
def test_verilator(config):
    run_bench("write_dma", config)
