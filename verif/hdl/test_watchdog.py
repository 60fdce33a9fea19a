# SPDX-License-Identifier: Apache-2.0
"""The watchdog of Amaranth's simulator: designs that hang are named, with test and cycle."""

import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.engine.engine import Engine
from hdl.engine.job import Op
from tools.cache import ROOT
from verif.bench import watchdog
from verif.bench.benches import ONE


class Never(wiring.Component):
    """A block that is never ready."""

    i: In(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.i.ready.eq(0)
        return m


class Loop(wiring.Component):
    """A gate that drives itself."""

    start: In(1)

    def elaborate(self, platform):
        m, loop = Module(), Signal()
        m.d.comb += loop.eq(~loop & self.start)
        return m


def test_a_source_that_waits_forever():
    dut = Never()

    async def source(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick().until(dut.i.ready)

    with pytest.raises(AssertionError, match=(
            r"^verif/hdl/test_watchdog\.py::test_a_source_that_waits_forever: Never hangs: its "
            r"bench has not ended in cycle 51, 50 are allowed$")):
        watchdog.watched(dut, source, cycles=50)


def test_an_engine_that_gives_no_results():
    """Nobody offers the rows that its job needs."""
    dut = Engine(ONE)

    async def bench(ctx):
        ctx.set(dut.job.payload, {"op": Op.QUANTISE, "m": 1, "n": 1})
        ctx.set(dut.job.valid, 1)
        await ctx.tick().until(dut.job.ready)
        await ctx.tick().until(dut.result.valid)

    with pytest.raises(AssertionError, match="Engine hangs: its bench has not ended in cycle 41"):
        watchdog.watched(dut, bench, cycles=40)


def test_gates_in_a_loop(monkeypatch):
    """Time stands still: no limit of cycles would help."""
    monkeypatch.setattr(watchdog, "PATIENCE", 0.5)
    dut = Loop()

    async def bench(ctx):
        ctx.set(dut.start, 1)
        await ctx.delay(1e-9)

    with pytest.raises(AssertionError, match="Loop hangs in cycle 0: its gates do not come to"):
        watchdog.watched(dut, bench)


def test_what_ends_in_time_passes():
    dut, seen = Never(), []

    async def bench(ctx):
        await ctx.tick().repeat(50)
        seen.append(ctx.get(dut.i.ready))

    async def forever(ctx):
        while True:
            await ctx.tick()

    watchdog.watched(dut, bench, cycles=50, background=(forever,))
    assert seen == [0]


def test_no_test_runs_without_it():
    users = {path.relative_to(ROOT).as_posix() for path in (ROOT / "verif").rglob("*.py")
             if re.search(r"^from amaranth\.sim ", path.read_text(encoding="utf-8"), re.M)}
    assert users == {"verif/bench/watchdog.py"}
