# SPDX-License-Identifier: Apache-2.0
"""The read DMA part against an independent memory: bytes, windows, errors, stops, speed."""

import cocotb
import numpy as np
import pytest

from hdl.axi.layouts import FaultCode
from hdl.axi.read_layouts import read_command, run_bytes, run_layout
from hdl.packing import packing
from verif.bench.axi import DECERR, SLVERR, ReadBus, read_pattern
from verif.bench.benches import BENCHES, run_bench
from verif.bench.segments import LONGEST, misaligned_segments, random_segment
from verif.bench.streams import Scoreboard, Sink, Source


class ReadBench(ReadBus):
    def __init__(self, dut):
        super().__init__(dut, np.random.default_rng(0))
        self.rng = np.random.default_rng(self.settings.seed)
        self.memory.rng = self.rng
        self.board = Scoreboard(self.settings, "run")
        self.packing = packing(run_layout, self.config)
        self.run_bytes = run_bytes(self.config)
        self.command = Source(dut, "command", self.rng)
        self.sink = Sink(dut, "run", self.rng, self.board.check)
        self.sources.append(self.command)
        self.sinks.append(self.sink)

    def runs(self, address: int, size: int, tag: int) -> list[int]:
        """The payloads of a segment's runs."""
        data, found = read_pattern(address, size), []
        for start in range(0, size, self.run_bytes):
            found.append(self.packing.pack({
                "data": int.from_bytes(data[start:start + self.run_bytes], "little"),
                "tag": tag, "first": start == 0, "last": start + self.run_bytes >= size}))
        return found

    def ask(self, address: int, size: int, *, comes: bool = True) -> int:
        """Ask for a segment that comes, or not; returns its tag."""
        tag = int(self.rng.integers(1 << 32))
        self.command.queue.append(packing(read_command, self.config).pack(
            {"address": address % self.space, "beyond": address >= self.space,
             "bytes": size % LONGEST, "tag": tag}))
        for run in self.runs(address, size, tag) if comes else ():
            self.board.expect(run, (hex(address), size))
        return tag

    async def finish(self):
        await self.run(lambda: self.board.done)
        await self.settle()
        assert self.board.done and self.watch.fault is None, f"expected no {self.watch.fault}"
        assert self.watch.beats == sum(beats for _, beats in self.bursts)

    async def again(self):
        """Good segments are read as ever."""
        self.board.expected.clear()
        self.errors.clear()
        for address, size in ((0x5ffb, 23), (0x9003, 3 * self.width)):
            self.ask(address, size)
        await self.run(lambda: self.board.done)
        await self.settle()
        assert self.watch.fault is None


@cocotb.test()
async def random_segments(dut):
    """Segments back to back, with idle and backpressure on every channel, and latency."""
    bench = ReadBench(dut)
    await bench.reset()
    for idle, pause, share, latency in ((0, 0, 0, 0), (0.3, 0, 0.3, 5), (0, 0.6, 0, 60),
                                        (0, 0, 0.6, 0), (0.1, 0.3, 0.2, 20)):
        bench.command.idle, bench.sink.pause = idle, pause
        bench.slow(share, latency)
        for _ in range(40 * bench.settings.length):
            bench.ask(*random_segment(bench.rng, bench.space))
        await bench.finish()


@cocotb.test()
async def every_place_in_a_beat(dut):
    bench = ReadBench(dut)
    await bench.reset()
    for address, size in misaligned_segments(bench.config, bench.run_bytes):
        bench.ask(address, size)
    await bench.finish()


@cocotb.test()
async def the_longest_segments(dut):
    bench = ReadBench(dut)
    await bench.reset()
    for address, size in ((0x1fff, LONGEST), (bench.space - 5000, 5000)):
        bench.ask(address, size)
    await bench.finish()


@cocotb.test()
async def edges_of_the_window(dut):
    """The first and the last byte of a window can be read; of a segment with a byte beside it, or
    behind the last address, nothing is."""
    bench = ReadBench(dut)
    await bench.reset()
    last = bench.space - 1
    for base, limit in ((0x12345, 0x23456), (0, 700), (last - 699, last), (77, 77),
                        (0x8000_0000, 0x8000_ffff)):
        bench.window(base, limit)
        room = min(300, limit - base + 1)
        for address in (base, limit - room + 1):
            bench.ask(address, room)
        await bench.finish()
        bad = [(base - 1, 1), (base - 1, 2), (limit, 2), (limit + 1, 1), (limit - 8, 10),
               (base, limit - base + 2), (base ^ bench.space >> 1, 1), (base ^ 1 << 32, 1),
               (base + bench.space, 1), (base + bench.space, room)]
        if limit + LONGEST > bench.space:  # ends in the window again
            bad += [(limit, LONGEST)]
        for address, size in bad:
            if address < 0 or size > LONGEST:
                continue
            await refused(bench, address, size)
    for base, limit in ((1, 0), (bench.space - 1, 0), (5000, 4999)):
        bench.window(base, limit)
        for address in (0, 1, 4999, 5000, *(bench.space + at for at in (-1, 0, 5000))):
            await refused(bench, address, 1)


async def refused(bench, address: int, size: int):
    inside = bench.base <= bench.limit
    if inside:  # what was asked for before comes all the same
        bench.ask(bench.base, 1)
    before = len(bench.bursts) + inside
    tag = bench.ask(address, size, comes=False)
    bench.ask(bench.base, 1, comes=False)  # what follows does not
    await bench.run(lambda: False, limit=60)
    code = FaultCode.WRAP if address + size > bench.space else FaultCode.READ_WINDOW
    bench.expect_fault(code, address % bench.space)
    assert bench.watch.tag == {"bits": tag}
    assert len(bench.bursts) == before, "expected that nothing is read"
    assert bench.board.done
    await bench.stop(brief=False)
    await bench.restart()
    await bench.settle()
    assert bench.watch.fault is None


@cocotb.test()
async def errors_on_every_beat(dut):
    """A bad beat stops everything; what came before is right, and of it nothing comes out."""
    bench = ReadBench(dut)
    await bench.reset()
    segments = [(0x2003, 5), (0x3000 - bench.width + 1, 2 * bench.width), (0x4000, bench.width),
                (0x7fff, 2)]
    addresses = [line * bench.width for address, size in segments
                 for line in range(address // bench.width, (address + size - 1) // bench.width + 1)]
    for share in (0, 0.4):
        bench.slow(share, 0)
        for number, address in enumerate(addresses):
            for response, code in ((SLVERR, FaultCode.READ_SLVERR),
                                   (DECERR, FaultCode.READ_DECERR)):
                bench.errors = {bench.answers + number: response,
                                bench.answers + number + 2: DECERR}
                for segment in segments:
                    bench.ask(*segment)
                whole = len(bench.board.expected)
                await bench.settle()
                bench.expect_fault(code, address)
                # bytes before the bad beat
                good, line = 0, 0
                for start, size in segments:
                    end = (start + size - 1) // bench.width - start // bench.width + 1
                    if line + end > number:
                        good += max(0, (start // bench.width + number - line) * bench.width
                                    - start) // bench.run_bytes
                        break
                    good += -(-size // bench.run_bytes)
                    line += end
                came = whole - len(bench.board.expected)
                assert came == good, f"expected {good} runs before the bad beat, got {came}"
                bench.board.expected.clear()
                await bench.restart()
                await bench.again()


@cocotb.test()
async def stop_at_every_cycle(dut):
    """After a stop everything that was asked for is dropped, and the next segment is right."""
    bench = ReadBench(dut)
    await bench.reset()
    segments = [(0x2003, 5), (0x3000 - 9, 40 + 2 * bench.width), (0x4000, bench.width), (0x7fff, 2)]
    for share, latency in ((0, 0), (0.4, 9)):
        bench.slow(share, latency)
        bench.sink.pause = share
        for at in range(0, 60, 1 if not share else 5):
            for segment in segments:
                bench.ask(*segment)
            await bench.run(lambda: False, limit=at)
            await bench.stop(brief=bool(at % 2))
            asked = len(bench.bursts)
            await bench.run(lambda: False, limit=20)
            assert len(bench.bursts) == asked, "expected that the bus is quiet"
            await bench.again()


@cocotb.test()
async def stays_stopped(dut):
    """While stop is 1 commands are swallowed, and idle comes all the same."""
    bench = ReadBench(dut)
    await bench.reset()
    dut.stop.value = 1
    for _ in range(5):
        bench.ask(0x1000, 5)
    await bench.settle()
    assert not bench.bursts and not bench.command.queue
    dut.stop.value = 0
    await bench.again()


@cocotb.test()
async def full_speed(dut):
    """A segment per max(beats, runs) cycles where it has one beat; long ones fill the bus."""
    bench = ReadBench(dut)
    await bench.reset()
    beat, run, count = bench.width, bench.run_bytes, 200
    for place, size in ((0, min(beat, run)), (0, beat), (beat - 1, 1), (beat - 1, 2),
                        (1, beat - 1)):
        beats, runs = -(-(place + size) // beat), -(-size // run)
        for i in range(count):
            bench.ask(0x40000 + 0x80 * i + place, size)
        start = bench.cycle
        await bench.finish()
        cycles = bench.cycle - start
        cocotb.log.warning("%d bytes at place %d: %.2f cycles", size, place, cycles / count)
        assert cycles <= count * max(beats, runs) + 60, f"expected less than {cycles} cycles"
    for address, size in ((0x100000, 8192), (0x100003, 8192)):
        bench.ask(address, size)
        start = bench.cycle
        await bench.finish()
        assert bench.cycle - start <= size // min(beat, run) + 60, "expected a full bus"


@pytest.mark.parametrize("config", BENCHES["read_dma"].configs, ids=repr)
def test_verilator(config):
    run_bench("read_dma", config)
