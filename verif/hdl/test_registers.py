# SPDX-License-Identifier: Apache-2.0
"""Registers: every field against the model of the map, events, errors, counters, the bus."""

import warnings

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # others' code
    from cocotbext.axi import AxiLiteMaster
    from cocotbext.axi.axil_channels import (
        AxiLiteARTransaction,
        AxiLiteAWTransaction,
        AxiLiteWTransaction,
    )

from verif.bench.benches import BENCHES, run_bench
from verif.bench.register_bench import RegisterBench

PAUSES = (0.0, 0.4)
WINDOWS = ("read_base", "read_limit", "write_base", "write_limit")


def random_word(bench) -> int:
    return int(bench.rng.choice((0, 2**32 - 1, int(bench.rng.integers(2**32)))))


async def dirty(bench):
    """Every register that can be written holds something else than after reset."""
    for register in bench.map.registers.values():
        if register.name not in ("control", "counter_control", "window_lock"):
            await bench.write(register.address, 0xAAAAAAAA ^ register.reset)
    await bench.put("control", enable=1)
    for key in ("status.idle", "status.busy", "status.stopped"):
        bench.drive(key, 1)
    await bench.error(**bench.random_error())
    await bench.settle()


@cocotb.test()
async def reset_values(dut):
    """After each reset, whatever registers held, the window's lock included."""
    bench = RegisterBench(dut)
    for _ in range(2):
        await bench.reset()
        for key in ("status.idle", "status.busy", "status.stopped"):
            bench.drive(key, 0)
        await bench.read_all()
        bench.drive("ring_head.index", int(bench.rng.integers(2**15)))
        await bench.read_all()
        bench.check("counters after reset", set((await bench.counters()).values()), {0})
        await dirty(bench)
        await bench.count(dict.fromkeys(bench.map.counters, 1))
        await bench.put("counter_control", snapshot=1)
        await bench.put("window_lock", lock=1)
        await bench.read_all()


@cocotb.test()
async def bit_bash(dut):
    """Every bit of every register written with 0 and 1, alone and among others, by each strobe;
    bits of no field too. What is kept, what is read and what is given out is the model's."""
    bench = RegisterBench(dut)
    await bench.reset()
    registers = [register for register in bench.map.registers.values()
                 if register.name not in ("window_lock", "counter_control")]
    for register in registers:
        bits = range(32) if any("w" in f.access for f in register.fields.values()) else (0, 31)
        for bit in bits:
            for word in (1 << bit, 2**32 - 1 - (1 << bit)):
                await bench.write(register.address, word)
                if not register.external:
                    await bench.read(register.address)
        await bench.settle()
        for strobe in range(16) if len(bits) > 2 else (15,):
            await bench.write(register.address, random_word(bench), strobe)
            await bench.settle()
    await bench.read_all()
    bench.check("counters after writes to them", set((await bench.counters()).values()), {0})


@cocotb.test()
async def random_accesses(dut):
    """Reads and writes at the same time, with backpressure, while the hardware changes its part."""
    for pause in PAUSES:
        bench = RegisterBench(dut, pause)
        await bench.reset()
        writable = [register for register in bench.map.registers.values()
                    if not register.external and register.name != "window_lock"]
        inputs = ("status.idle", "status.busy", "status.stopped")
        for _ in range(150 * bench.settings.length):
            written, read = bench.rng.choice(len(writable), 2, replace=False)
            action = bench.rng.integers(6)
            if action == 0:
                bench.drive(str(bench.rng.choice(inputs)), int(bench.rng.integers(2)))
            elif action == 1:
                await bench.event("interrupt_status.job")
            elif action == 2:
                await bench.error(**bench.random_error())
            await bench.cycles(2)
            # the read may come before or after what the write does to another register
            before = bench.model.read(writable[read].address)
            writing = cocotb.start_soon(bench.write(
                writable[written].address, random_word(bench), int(bench.rng.integers(16))))
            found = await bench.read_raw(writable[read].address + int(bench.rng.integers(4)))
            await writing
            if found not in (before, bench.model.read(writable[read].address)):
                bench.check(f"{writable[read].name} beside a write", found, before)
            await bench.settle()
        await bench.read_all()


@cocotb.test()
async def pipelined_accesses(dut):
    """Accesses one behind the other without waiting, as cocotbext-axi's own master makes them."""
    bench = RegisterBench(dut, master=False)
    master = AxiLiteMaster(bench.bus, dut.clk, dut.rst)
    await bench.reset()
    first, last = bench.map["read_base_low"].address, bench.map["write_limit_high"].address
    for _ in range(8):
        data = bench.rng.bytes(last + 4 - first)
        start, end = sorted(int(i) for i in bench.rng.integers(len(data) + 1, size=2))
        for at in range(start, end):
            bench.model.write(first + at & ~3, data[at] << 8 * (at % 4), 1 << at % 4)
        reading = cocotb.start_soon(master.read(0, last + 4))
        answer = await bench.limited(
            cocotb.start_soon(master.write(first + start, data[start:end])), "many writes")
        bench.check("response of many writes", int(answer.resp), 0)
        await bench.limited(reading, "many reads")
        found = await bench.limited(cocotb.start_soon(master.read(first, len(data))), "many reads")
        for at in range(0, len(data), 4):
            bench.check(f"{first + at:#x}", int.from_bytes(found.data[at:at + 4], "little"),
                        bench.model.read(first + at)[1])
        await bench.settle()


@cocotb.test()
async def addresses_without_a_register(dut):
    """They answer SLVERR, read as 0, and a write changes nothing; the others answer OKAY."""
    bench = RegisterBench(dut)
    await bench.reset()
    for address in range(0, 4096, 4):
        if address in bench.model.at:
            bench.check(f"response of {address:#x}", (await bench.read_raw(address))[0], 0)
        else:
            await bench.read(address)
            if bench.rng.random() < 0.2:
                await bench.write(address, 2**32 - 1)
    await bench.settle()
    await bench.read_all()


@cocotb.test()
async def locked_windows_stay(dut):
    """Against writes, against unlocking, against a soft reset; only reset ends it."""
    bench = RegisterBench(dut)
    await bench.reset()
    names = [f"{name}_{half}" for name in WINDOWS for half in ("low", "high")]
    for locked in (False, True):
        for name in names:
            address = bench.map[name].address
            another = bench.model.read(address)[1] ^ (random_word(bench) | 1)
            await bench.write(address, another)
            await bench.settle()
        await bench.put("window_lock", lock=int(not locked))
        await bench.put("window_lock", lock=0)
        await bench.put("control", soft_reset=1)
        await bench.settle()
        await bench.read_all()
    bench.check("the lock", bench.model.values["window_lock.lock"], 1)
    await bench.reset()
    await bench.write(bench.map["read_limit_low"].address, 0x1234)
    await bench.settle()


@cocotb.test()
async def interrupts(dut):
    """Events set their bits, edges once; the output is their level, as far as enabled."""
    bench = RegisterBench(dut)
    await bench.reset()
    for enabled in range(8):
        await bench.write(bench.map["interrupt_enable"].address, enabled)
        for name in ("job", "error", "idle"):
            if name == "job":
                await bench.event("interrupt_status.job")
            else:
                bench.drive("status.idle" if name == "idle" else "status.stopped", 1)
            await bench.settle()
            await bench.get("interrupt_status")
            await bench.put("interrupt_status", **{name: 1})  # the level is no event
            await bench.settle()
            await bench.put("interrupt_test", **{name: 1})
            await bench.settle()
            await bench.get("interrupt_status")
        bench.drive("status.idle", 0)
        bench.drive("status.stopped", 0)
        await bench.settle()
        await bench.write(bench.map["interrupt_status"].address, int(bench.rng.integers(8)))
        await bench.settle()


@cocotb.test()
async def no_event_is_lost(dut):
    """An event in the cycle in which its bit is cleared, or later, stays; one before is cleared."""
    bench = RegisterBench(dut)
    await bench.reset()
    address = bench.map["interrupt_status"].address
    seen = set()
    for after in (*range(10),) * 6:
        writing = cocotb.start_soon(bench.write_raw(address, 0b111))
        await bench.cycles(after)
        dut.interrupt_status_job.value = 1
        await RisingEdge(dut.clk)
        dut.interrupt_status_job.value = 0
        await FallingEdge(dut.clk)
        at = bench.cycle
        await writing
        stays = int(at >= bench.accessed)
        seen.add(at - bench.accessed)
        bench.check(f"the event, {at - bench.accessed} cycles after the write acted",
                    await bench.read_raw(address), (0, stays))
        await bench.write_raw(address, 0b111)
    bench.check("distances that were tried", {-1, 0, 1} <= seen, True)


@cocotb.test()
async def errors(dut):
    """The first one is kept until it is acknowledged, which only counts once the core stands."""
    bench = RegisterBench(dut)
    await bench.reset()
    for _ in range(4):
        await bench.error(**bench.random_error())
        await bench.error(**bench.random_error())
        await bench.put("control", enable=1, acknowledge=1)  # too early
        await bench.settle()
        await bench.read_all()
        bench.drive("status.stopped", 1)
        await bench.settle()
        await bench.put("control", enable=1, acknowledge=1)
        bench.drive("status.stopped", 0)
        await bench.settle()
        await bench.read_all()


@cocotb.test()
async def an_error_beside_the_acknowledge(dut):
    """The next error may come in the cycle in which the last one is forgotten."""
    bench = RegisterBench(dut)
    await bench.reset()
    await bench.error(error_code=3, error_descriptor_index=7, error_address=9)
    bench.drive("status.stopped", 1)
    await bench.settle()
    writing = cocotb.start_soon(bench.put("control", acknowledge=1))
    while not dut.control_acknowledge.value:
        await FallingEdge(dut.clk)
    given = {"error_code": 5, "error_descriptor_index": 1, "error_address": 2**63 + 1}
    await bench.error(**given)
    await writing
    await bench.settle()
    await bench.read_all()
    bench.check("the error", await bench.get("error"), 5)


@cocotb.test()
async def soft_reset(dut):
    """Clears what the map says, and nothing else; the core sees one pulse."""
    bench = RegisterBench(dut)
    await bench.reset()
    for _ in range(2):
        await dirty(bench)
        await bench.put("control", enable=1, soft_reset=1)
        await bench.settle()
        await bench.read_all()
        for key in ("status.idle", "status.busy", "status.stopped"):
            bench.drive(key, 0)
        await bench.settle()


@cocotb.test()
async def counters(dut):
    """Each counts its own, by any number a cycle; a snapshot shows it, clear ends it."""
    bench = RegisterBench(dut)
    await bench.reset()
    await bench.get("id")  # which waits until all are 0
    expected = dict.fromkeys(bench.map.counters, 0)
    for name, counter in bench.map.counters.items():
        await bench.count({name: counter.most})
        await bench.cycles(int(bench.rng.integers(40)))
        expected[name] += counter.most
        await bench.put("counter_control", snapshot=1)
        bench.check(f"counters after {name}", await bench.counters(), expected)
    for _ in range(300):
        counts = bench.random_counts()
        await bench.count(counts)
        expected = {name: value + counts[name] for name, value in expected.items()}
    bench.check("counters before a snapshot", sum((await bench.counters()).values()) < sum(
        expected.values()), True)
    await bench.put("counter_control", snapshot=1)
    bench.check("counters", await bench.counters(), expected)
    await bench.put("counter_control", clear=1)
    bench.check("the snapshot after clear", await bench.counters(), expected)
    await bench.put("counter_control", snapshot=1)
    bench.check("counters after clear", set((await bench.counters()).values()), {0})


@cocotb.test()
async def snapshots_are_of_one_cycle(dut):
    """While all count, all are alike; snapshot and clear together count everything once; a write
    that asks for them is answered within 40 cycles and reads wait for it."""
    bench = RegisterBench(dut)
    await bench.reset()
    await bench.get("id")  # which waits until all are 0
    counted = 0
    going = True

    async def count():
        nonlocal counted
        while going:
            await bench.count(dict.fromkeys(bench.map.counters, 1))
            counted += 1

    counting = cocotb.start_soon(count())
    seen = 0
    for _ in range(12):
        await bench.cycles(int(bench.rng.integers(20)))
        start = bench.cycle
        writing = cocotb.start_soon(bench.put("counter_control", snapshot=1, clear=1))
        while bench.accessed < start:
            await RisingEdge(dut.clk)
        await bench.cycles(2)
        found = await bench.counters()  # asked for before the write is answered
        bench.check("a read waits", writing.done(), True)
        bench.check("cycles until the answer to a write", bench.cycle - start < 150, True)
        bench.check("different counters", len(set(found.values())), 1)
        seen += found["cycles"]
    going = False
    await counting
    await bench.put("counter_control", snapshot=1)
    seen += (await bench.counters())["cycles"]
    bench.check("all that was counted", seen, counted)


@cocotb.test()
async def a_write_to_counter_control_takes_40_cycles(dut):
    """At most, from the cycle in which it acts, whenever it comes."""
    bench = RegisterBench(dut)
    await bench.reset()
    await bench.get("id")  # which waits for what reset has begun
    for wait in range(36):
        await bench.cycles(wait)
        await bench.put("counter_control", snapshot=1)
        taken = bench.cycle - bench.accessed
        bench.check(f"{taken} cycles are at most 40", taken <= 40, True)


@cocotb.test()
async def reset_at_any_time(dut):
    """A reset between the phases of accesses leaves nothing behind."""
    bench = RegisterBench(dut, 0.3)
    for after in range(60):
        await bench.reset()
        bench.aw.send_nowait(AxiLiteAWTransaction(awaddr=bench.map["ring_tail"].address))
        bench.w.send_nowait(AxiLiteWTransaction(wdata=5, wstrb=0b1111))
        bench.ar.send_nowait(AxiLiteARTransaction(araddr=bench.map["macs_low"].address))
        await bench.cycles(after)
        await bench.reset()
        await bench.put("ring_size", log2=after % 16)
        await bench.settle()
        await bench.get("ring_size")
        await bench.get("ring_tail")


@cocotb.test()
async def outputs_look_at_no_input_of_the_bus(dut):
    """Whatever comes within a cycle, the outputs of the bus stay as they are."""
    bench = RegisterBench(dut, master=False)
    await bench.reset()
    offered = {"bvalid": ("bresp",), "rvalid": ("rresp", "rdata"),
               "awready": (), "wready": (), "arready": ()}
    for _ in range(400):
        found = []
        for edge in (RisingEdge, FallingEdge):
            await edge(dut.clk)
            for port in bench.inputs:
                port.value = int.from_bytes(bench.rng.bytes(4)) >> 32 - len(port)
            await ReadOnly()
            names = [name for name, payload in offered.items() for name in (name, *(
                payload if getattr(dut, f"bus_{name}").value else ()))]
            found.append({name: int(getattr(dut, f"bus_{name}").value) for name in names})
        bench.check("outputs after other inputs", found[1], found[0])


@pytest.mark.parametrize("config", BENCHES["registers"].configs, ids=repr)
def test_verilator(config):
    run_bench("registers", config)
