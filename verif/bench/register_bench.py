# SPDX-License-Identifier: Apache-2.0
"""Accesses to registers through channels of cocotbext-axi, each compared with the model."""

import warnings

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, SimTimeoutError, with_timeout

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # others' code
    from cocotbext.axi import AxiLiteBus
    from cocotbext.axi.axil_channels import (
        AxiLiteARSource,
        AxiLiteARTransaction,
        AxiLiteAWSource,
        AxiLiteAWTransaction,
        AxiLiteBSink,
        AxiLiteRSink,
        AxiLiteWSource,
        AxiLiteWTransaction,
    )

from hdl.core.counters import counts_layout
from hdl.core.register_map import register_map
from verif.bench.register_model import RegisterModel, place
from verif.bench.runner import Settings

PATIENCE_US = 20  # of an access: 2,000 cycles
BUS_INPUTS = ("awvalid", "awaddr", "awprot", "wvalid", "wdata", "wstrb", "bready",
              "arvalid", "araddr", "arprot", "rready")
STABLE = {"b": ("bresp",), "r": ("rresp", "rdata")}


class RegisterBench:
    """The design, its model, a master of single accesses and a monitor of the bus.

    Members
    -------
    pause : share of cycles in which a channel of the master does not go on.
    master : whether this drives the bus; another one may do it.
    inputs : the inputs of the bus.
    cycle : rising edges so far. accessed : in which of them the last write acted.
    pulsed : port -> how often it has been 1.
    """

    def __init__(self, dut, pause: float = 0.0, master: bool = True):
        self.dut, self.settings = dut, Settings.current()
        self.rng = np.random.default_rng(self.settings.seed)
        self.map = register_map(self.settings.config)
        self.model = RegisterModel(self.map)
        self.counts = counts_layout(self.settings.config)
        self.cycle, self.accessed = 0, 0
        self.channels = []
        self.pulsed = {"control_soft_reset": 0, "control_acknowledge": 0}
        Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        for name in ("status_idle", "status_busy", "status_stopped", "interrupt_status_job",
                     "ring_head_index", "count", "error_valid", "error_code", "error_address",
                     "error_descriptor_index"):
            getattr(dut, name).value = 0
        self.inputs = [getattr(dut, f"bus_{name}") for name in BUS_INPUTS]
        for port in self.inputs:
            port.value = 0
        self.bus = AxiLiteBus.from_prefix(dut, "bus")
        if master:
            write, read, ends = self.bus.write, self.bus.read, (dut.clk, dut.rst)
            self.aw, self.w = AxiLiteAWSource(write.aw, *ends), AxiLiteWSource(write.w, *ends)
            self.b = AxiLiteBSink(write.b, *ends)
            self.ar, self.r = AxiLiteARSource(read.ar, *ends), AxiLiteRSink(read.r, *ends)
            self.channels = [self.aw, self.w, self.b, self.ar, self.r]
            for channel in self.channels if pause else ():
                channel.set_pause_generator(self._pauses(pause))
        cocotb.start_soon(self._watch())

    def _pauses(self, share: float):
        while True:
            yield self.rng.random() < share

    async def _watch(self):
        """What AXI asks of a slave: valid and what is offered stay until they are taken."""
        waiting = dict.fromkeys(STABLE)
        taken = {"aw": -1, "w": -1}
        while True:
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            if self.dut.rst.value:
                waiting = dict.fromkeys(STABLE)
                continue
            for name in taken:
                if self._is(f"{name}valid") and self._is(f"{name}ready"):
                    taken[name] = self.cycle
            self.accessed = max(taken.values()) + 1
            for name, held in STABLE.items():
                offered = [int(getattr(self.dut, f"bus_{one}").value) for one in held] if self._is(
                    f"{name}valid") else None
                if waiting[name] not in (None, offered):
                    self.fail(f"channel {name} did not hold {waiting[name]}: then {offered}")
                waiting[name] = None if self._is(f"{name}ready") else offered
            for name in self.pulsed:
                self.pulsed[name] += int(getattr(self.dut, name).value)

    def _is(self, name: str) -> bool:
        return bool(getattr(self.dut, f"bus_{name}").value)  # never X

    def fail(self, text: str):
        raise AssertionError(f"{text}, in cycle {self.cycle}, seed {self.settings.seed}; "
                             f"repeat with: {self.settings.repeat}")

    def check(self, what: str, actual, expected):
        """AssertionError with all that is needed to repeat it, if they differ."""
        if actual != expected:
            shown = [f"{one:#x}" if isinstance(one, int) else f"{one}"
                     for one in (expected, actual)]
            self.fail(f"{what}: expected {shown[0]}, got {shown[1]}")

    async def cycles(self, count: int):
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    async def reset(self):
        self.dut.rst.value = 1
        await self.cycles(3)
        for channel in self.channels:
            channel.clear()  # of what has not begun, too
        self.dut.rst.value = 0
        self.model.reset()
        await self.cycles(2)
        self.check_outputs()

    async def limited(self, access, what: str):
        """The result of an access, which must come."""
        try:
            return await with_timeout(access, PATIENCE_US, "us")
        except SimTimeoutError:
            self.fail(f"hang: no answer to {what}")

    async def read_raw(self, address: int) -> tuple[int, int]:
        """The response and the data."""
        await self.ar.send(AxiLiteARTransaction(araddr=address, arprot=self._protection()))
        answer = await self.limited(cocotb.start_soon(self.r.recv()), f"a read of {address:#x}")
        return int(answer.rresp), int(answer.rdata)

    async def write_raw(self, address: int, data: int, strobe: int = 0b1111) -> int:
        """The response."""
        sent = [self.aw.send(AxiLiteAWTransaction(awaddr=address, awprot=self._protection())),
                self.w.send(AxiLiteWTransaction(wdata=data, wstrb=strobe))]
        for one in sent[::self.rng.choice((1, -1))]:
            await one
            await self.cycles(int(self.rng.integers(3)))
        answer = await self.limited(cocotb.start_soon(self.b.recv()), f"a write to {address:#x}")
        return int(answer.bresp)

    def _protection(self) -> int:
        return int(self.rng.integers(8))

    async def read(self, address: int) -> int:
        """Read as the model does; returns the data."""
        expected = self.model.read(address)
        found = await self.read_raw(address)
        self.check(f"(response, data) of {address:#x}", found, expected)
        return found[1]

    async def write(self, address: int, data: int, strobe: int = 0b1111):
        """Write as the model does."""
        expected = self.model.write(address, data, strobe)
        self.check(f"response of a write of {data:#x} to {address:#x}",
                   await self.write_raw(address, data, strobe), expected)

    async def put(self, name: str, **fields: int):
        """Write a register by the names of its fields, all others 0."""
        register = self.map[name]
        await self.write(register.address,
                         sum(value << register[key].low for key, value in fields.items()))

    async def get(self, name: str) -> int:
        """Read a register by its name."""
        return await self.read(self.map[name].address)

    async def read_all(self):
        """Every register but the counters."""
        for register in self.map.registers.values():
            if not register.external:
                await self.read(register.address)

    async def counters(self) -> dict[str, int]:
        """All counters, as of the last snapshot."""
        found = {}
        for name, counter in self.map.counters.items():
            words = [await self.read_raw(counter.address + 4 * half) for half in (0, 1)]
            self.check(f"responses of counter {name}", [word[0] for word in words], [0, 0])
            found[name] = words[0][1] | words[1][1] << 32
        return found

    async def count(self, counts: dict[str, int]):
        """Increase counters in one cycle."""
        self.dut.count.value = int(self.counts.const(counts).as_value().value)
        await RisingEdge(self.dut.clk)
        self.dut.count.value = 0

    def random_counts(self) -> dict[str, int]:
        return {name: int(self.rng.choice((0, counter.most, self.rng.integers(counter.most + 1))))
                for name, counter in self.map.counters.items()}

    def drive(self, key: str, value: int):
        """Change an input of the hardware, from the next edge on."""
        self.model.drive(key, value)
        getattr(self.dut, place(*self.model.fields[key])[0]).value = value

    async def event(self, key: str):
        """An event of one cycle."""
        self.drive(key, 1)
        await RisingEdge(self.dut.clk)
        getattr(self.dut, place(*self.model.fields[key])[0]).value = 0

    def random_error(self) -> dict[str, int]:
        return {"error_code": int(self.rng.integers(1, 18)),
                "error_descriptor_index": int(self.rng.integers(2**15)),
                "error_address": int(self.rng.integers(2**64, dtype=np.uint64))}

    async def error(self, **given: int):
        """The hardware reports an error."""
        self.model.error(**given)
        for port, value in {**given, "error_valid": 1}.items():
            getattr(self.dut, port).value = value
        await RisingEdge(self.dut.clk)
        self.dut.error_valid.value = 0
        self.dut.error_code.value = int(self.rng.integers(32))  # nobody reads it
        await RisingEdge(self.dut.clk)

    def check_outputs(self):
        """Every output of a field is what the model has, after what was last done has acted."""
        for port, value in self.model.outputs().items():
            self.check(f"output {port}", int(getattr(self.dut, port).value), value)

    async def settle(self):
        """Wait until what was last done has acted, then check all outputs."""
        await self.cycles(3)
        self.check_outputs()
        for port, count in self.pulsed.items():
            key = next(key for key, found in self.model.fields.items() if place(*found)[0] == port)
            self.check(f"pulses of {port}", count, self.model.pulses[key])
