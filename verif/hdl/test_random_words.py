# SPDX-License-Identifier: Apache-2.0
"""The makers of random words by themselves, in rows wide enough for many blocks of words."""

import numpy as np
import pytest

from golden.config import Config
from golden.random_words import BLOCK_LANES, round_constant, words
from hdl.rescaler import random_words as block
from verif.bench.watchdog import watched

WIDE = Config(1, 64, 1)  # the most lanes: the constants of all their blocks differ
SERIAL = Config(1, 64, 1, serial=True)
ROWS = 4


def found_words(config: Config, seed: int) -> np.ndarray:
    """The words of a job's first rows."""
    dut = block.random_words(config)
    found = []

    async def bench(ctx):
        ctx.set(dut.seed, seed)
        ctx.set(dut.stochastic, 1)
        ctx.set(dut.enable, 1)
        for row in range(ROWS):
            ctx.set(dut.first, row == 0)
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            await ctx.tick().repeat(dut.latency - 1)
            found.append([ctx.get(word) for word in dut.words])

    watched(dut, bench, cycles=ROWS * dut.latency)
    return np.array(found)


@pytest.mark.parametrize("config", [WIDE, SERIAL], ids=["pipelined", "serial"])
def test_every_lane(config):
    for seed in (0, 2**32 - 1):
        assert (found_words(config, seed) == words(seed, range(ROWS), config.cols)).all()


@pytest.mark.parametrize("config", [WIDE, SERIAL], ids=["pipelined", "serial"])
@pytest.mark.parametrize("group", [1, 2, 31])
def test_wrong_constants_are_noticed(monkeypatch, config, group):
    """The lanes of the block whose constants are another's differ, and no others."""
    monkeypatch.setattr(block, "round_constant", lambda number, of: round_constant(
        number, of ^ 1 if of == group else of))
    same = found_words(config, 5) == words(5, range(ROWS), config.cols)
    assert (~same.all(axis=0)).nonzero()[0].tolist() == [
        BLOCK_LANES * group, BLOCK_LANES * group + 1]
