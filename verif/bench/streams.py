# SPDX-License-Identifier: Apache-2.0
"""Stream sources and sinks for cocotb, with random idle, backpressure and protocol checks."""

from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from verif.bench.runner import Settings

PATIENCE = 5000  # cycles without a handshake that count as a hang


class Source:
    """Drives `name_valid`, `name_payload`; idles in a share `idle` of the cycles.

    While nothing is offered the payload is random, to show that the design does not read it.
    """

    def __init__(self, dut, name: str, rng, idle: float = 0.0):
        self.valid = getattr(dut, f"{name}_valid")
        self.ready = getattr(dut, f"{name}_ready")
        self.payload = getattr(dut, f"{name}_payload")
        self.name, self.rng, self.idle = name, rng, idle
        self.queue: deque[int] = deque()
        self.taken = 0
        self.reset()

    def reset(self):
        """Offer nothing; forget what was queued."""
        self.queue.clear()
        self._offering = False
        self.valid.value = 0
        self._scramble()

    def drive(self):
        """Set this cycle's valid and payload."""
        if self._offering or not self.queue:
            return
        if self.rng.random() >= self.idle:
            self.payload.value = self.queue[0]
            self.valid.value = 1
            self._offering = True

    def sample(self) -> bool:
        """Whether this cycle completes a handshake."""
        ready = bool(self.ready.value)  # in every cycle: it must never be X
        return self._offering and ready

    def advance(self):
        """After a handshake: withdraw what was taken."""
        self.queue.popleft()
        self.taken += 1
        self._offering = False
        self.valid.value = 0
        self._scramble()

    def _scramble(self):
        self.payload.value = int.from_bytes(self.rng.bytes(len(self.payload) // 8 + 1)) >> (
            8 - len(self.payload) % 8)


class Sink:
    """Takes `name` with a share `pause` of not-ready cycles, and hands every payload to `check`.

    Checks that valid holds and the payload stays until it is taken.
    """

    def __init__(self, dut, name: str, rng, check, pause: float = 0.0):
        self.valid = getattr(dut, f"{name}_valid")
        self.ready = getattr(dut, f"{name}_ready")
        self.payload = getattr(dut, f"{name}_payload")
        self.name, self.rng, self.check, self.pause = name, rng, check, pause
        self.taken = 0
        self.reset()

    def reset(self):
        self._waiting = None
        self.ready.value = 0

    def drive(self):
        self._ready = self.rng.random() >= self.pause
        self.ready.value = int(self._ready)

    def sample(self) -> bool:
        valid = bool(self.valid.value)
        payload = int(self.payload.value) if valid else None
        if self._waiting is not None and payload != self._waiting:
            raise AssertionError(
                f"stream {self.name} did not hold: offered {self._waiting:#x}, then {payload}")
        taken = valid and self._ready
        self._waiting = payload if valid and not taken else None
        if taken:
            self.check(payload)
            self.taken += 1
        return taken


class StreamBench:
    """A clocked design with its sources and sinks, advanced one cycle at a time."""

    def __init__(self, dut):
        self.dut, self.settings = dut, Settings.current()
        self.sources: list[Source] = []
        self.sinks: list[Sink] = []
        self.cycle = 0
        Clock(dut.clk, 10, unit="ns").start()

    async def reset(self):
        """One cycle of reset; every stream starts anew."""
        await RisingEdge(self.dut.clk)
        for stream in (*self.sources, *self.sinks):
            stream.reset()
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def run(self, until, limit: int | None = None):
        """Advance until `until()` holds, at most `limit` cycles; AssertionError on a hang."""
        quiet, start = 0, self.cycle
        while not until() and (limit is None or self.cycle - start < limit):
            for stream in (*self.sources, *self.sinks):
                stream.drive()
            await ReadOnly()
            taken = [source for source in self.sources if source.sample()]
            busy = [sink for sink in self.sinks if sink.sample()]
            await RisingEdge(self.dut.clk)
            for source in taken:
                source.advance()
            self.cycle += 1
            quiet = 0 if taken or busy else quiet + 1
            if quiet > PATIENCE:
                raise AssertionError(f"hang: no handshake for {PATIENCE} cycles at {self.cycle}")


class Scoreboard:
    """Compares results with what was expected, in order."""

    def __init__(self, settings: Settings, what: str):
        self.settings, self.what = settings, what
        self.expected: deque[tuple[object, object]] = deque()  # (result, inputs to show)
        self.matched = 0

    def expect(self, result, inputs=None):
        self.expected.append((result, inputs))

    def check(self, actual):
        """AssertionError with inputs, expected, actual, seed and how to repeat it on a mismatch."""
        if not self.expected:
            raise AssertionError(f"{self.what}: {actual!r} came, nothing was expected")
        expected, inputs = self.expected.popleft()
        if actual != expected:
            raise AssertionError(
                f"{self.what} {self.matched} differs: expected {expected!r}, got {actual!r} "
                f"for {inputs!r}, in cycle time {cocotb.utils.get_sim_time('ns')} ns, "
                f"seed {self.settings.seed}; repeat with: {self.settings.repeat}")
        self.matched += 1

    @property
    def done(self) -> bool:
        return not self.expected
