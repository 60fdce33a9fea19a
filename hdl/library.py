# SPDX-License-Identifier: Apache-2.0
"""Blocks placed many times but elaborated once, for Verilog with one module per distinct block.

Amaranth writes one module per *instance*: 1,024 multipliers in a `base` tile, with generated port
names. A `Library` passed as the platform turns each placed block into an `Instance` of a module
that is converted once, so that the Verilog stays readable and simulators and synthesis see every
block once. Without one (Amaranth's own simulator), blocks are ordinary submodules.
"""

import re

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from golden.config import Config


def module_name(block: type[wiring.Component], config: Config | int | None = None) -> str:
    """`MacTile` is `tetra_mac_tile`; a block that is configured by its width alone is called after
    it."""
    name = "tetra" + re.sub(r"(?=[A-Z])", "_", block.__name__).lower()
    return f"{name}_{config}" if isinstance(config, int) else name


class Library:
    """The RTLIL of every distinct block, children before parents."""

    def __init__(self):
        self._texts = {}

    def convert(self, block: type[wiring.Component], config: Config | int) -> str:
        """Convert a block and all that it places, each once; returns its module name."""
        name = module_name(block, config)
        if name not in self._texts:
            text = rtlil.convert(block(config), name=name, platform=self)
            self._texts[name] = text.replace("attribute \\top 1\n", "")
        return name

    def clocked(self, name: str) -> bool:
        """Whether a converted block has a clock (a combinational one has none)."""
        return re.search(r"^  wire width 1 input \d+ +\\clk$", self._texts[name], re.M) is not None

    @property
    def text(self) -> str:
        return "".join(self._texts.values())


def place(m: Module, platform, name: str, component: wiring.Component) -> wiring.Component:
    """Add `component` to `m` as submodule `name`; returns it."""
    if not isinstance(platform, Library):
        m.submodules[name] = component
        return component
    component._MustUse__used = True  # it lends its ports only: no warning that it is not elaborated
    block = platform.convert(type(component), component.config)
    ports = {}
    if platform.clocked(block):
        ports |= {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    for path, member, value in component.signature.flatten(component):
        direction = "i" if member.flow == In else "o"
        ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
    m.submodules[name] = Instance(block, **ports)
    return component
