# SPDX-License-Identifier: Apache-2.0
"""Designs that are made up, for tests of the flow."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from synth.cells.designs import GEMMS, Design

CONFIG = Config(2, 2, 4)


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
