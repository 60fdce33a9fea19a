# SPDX-License-Identifier: Apache-2.0
"""The product of a column's sum and the zero point, beside Python's own."""

import random

import pytest

from golden.config import preset
from hdl.core.column_sum import ZeroProduct, total_shape
from verif.bench.watchdog import watched

SEED = 1


@pytest.mark.parametrize("name", ["base", "lean", "tiny"])
def test_every_zero_point_and_the_ends_of_sums(name):
    config = preset(name)
    dut = ZeroProduct(config)
    end = 1 << total_shape(config).width - 1
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    totals = [-end, -end + 1, -1, 0, 1, end - 1, *(rng.randrange(-end, end) for _ in range(8))]
    pairs = [(total, zero) for total in totals for zero in range(-128, 128)]
    found = []

    async def bench(ctx):
        for total, zero in pairs:
            ctx.set(dut.total, total)
            ctx.set(dut.zero, zero)
            await ctx.tick()
            found.append(ctx.get(dut.product))

    watched(dut, bench, cycles=len(pairs) + 2)
    assert found == [total * zero for total, zero in pairs]
