# SPDX-License-Identifier: Apache-2.0
"""Designs that are made up or small, for tests of the flow."""

from dataclasses import replace
from functools import cache

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from synth.cells.asic import mappings
from synth.cells.designs import GEMMS, Design, baselines, core
from synth.cells.libraries import NANGATE45
from synth.cells.recipes import Recipe

CONFIG = Config(2, 2, 4)
RECIPE = Recipe(600, "keep")


class Counter(wiring.Component):
    """A design small enough to map in a second: a register that adds its input."""

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"step": In(4), "enable": In(1), "total": Out(6)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.total.eq(self.total + self.step)
        return m


def design(build=Counter, macs=1, **changes) -> Design:
    described = {"block": "counter", "preset": "base", "depth": 0, "ours": True,
                 "build": lambda: build(CONFIG),
                 "macs": macs if isinstance(macs, dict) else dict.fromkeys(GEMMS, macs)}
    return Design(**(described | changes))


@cache
def small_netlist(block: str) -> tuple[str, str]:
    """A small design's top and its mapped netlist."""
    one_of = next(d for d in (*core("tiny"), *baselines("base")) if d.block == block)
    (name, (one,)), = mappings(one_of.netlist(), [RECIPE], NANGATE45).items()
    return name, replace(one, timed=False).run().verilog
