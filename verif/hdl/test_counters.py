# SPDX-License-Identifier: Apache-2.0
"""Counters: what a bench of registers could not wait for."""

import pytest

from golden.config import preset
from hdl.core.counters import Counters
from hdl.core.register_map import register_map
from verif.bench.watchdog import watched


@pytest.mark.parametrize(("start", "adds", "expected"), [
    (2**32 - 1, 1, 2**32), (2**64 - 1, 1, 0), (2**63, 2, 2**63 + 2)])
def test_counters_have_64_bits(start, adds, expected):
    """From a total that nobody waits for: the memory is set."""
    config = preset("tiny")
    dut = Counters(config)
    names = list(register_map(config).counters)
    found = []

    async def bench(ctx):
        await ctx.tick().repeat(4 * dut.round_length(config))
        for i in range(len(names)):
            ctx.set(dut.totals[i], start)
        for name in names:
            ctx.set(dut.count[name], 1)
        await ctx.tick().repeat(adds)
        for name in names:
            ctx.set(dut.count[name], 0)
        ctx.set(dut.snapshot, 1)
        await ctx.tick()
        ctx.set(dut.snapshot, 0)
        await ctx.tick().until(~dut.busy)
        ctx.set(dut.read, 1)
        for i in range(len(names)):
            ctx.set(dut.index, i)
            await ctx.tick()
            found.append(ctx.get(dut.value))

    watched(dut, bench, cycles=1000)
    assert found == [expected] * len(names)
