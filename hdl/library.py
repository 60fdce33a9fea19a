# SPDX-License-Identifier: Apache-2.0
"""Blocks placed many times but elaborated once, for Verilog with one module per distinct block.

Amaranth writes one module per *instance*: 1,024 multipliers in a `base` tile, with generated port
names. A `Library` passed as the platform turns each placed block into an `Instance` of a module
that is converted once, so that the Verilog stays readable and simulators and synthesis see every
block once. Without one (Amaranth's own simulator), blocks are ordinary submodules.
"""

import inspect
import re

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, ResetInserter, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
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
        self._blocks: dict[str, type] = {}
        self.docs: dict[str, str] = {}  # each module's contract

    def convert(self, block: type[wiring.Component], config: Config | int) -> str:
        """Convert a block and all that it places, each once; returns its module name."""
        name = module_name(block, config)
        if self._blocks.setdefault(name, block) is not block:
            raise ValueError(f"two blocks are called {name}: {self._blocks[name]} and {block}")
        if name not in self._texts:
            component = block(config)
            self.add(name, component, name_ports(component))
            self.docs[name] = inspect.getdoc(block) or ""
        return name

    def add(self, name: str, design, ports: dict) -> None:
        """Convert a design, which may place blocks, under a module name of its own; `ports` as
        `amaranth.back.rtlil.convert` takes them."""
        text = rtlil.convert(design, name=name, platform=self, ports=ports)
        self._texts[name] = text.replace("attribute \\top 1\n", "")

    def clocked(self, name: str) -> bool:
        """Whether a converted block has a clock (a combinational one has none)."""
        return re.search(r"^  wire width 1 input \d+ +\\clk$", self._texts[name], re.M) is not None

    @property
    def text(self) -> str:
        return "".join(self._texts.values())


def name_ports(component: wiring.Component, prefix: str = "") -> dict:
    """Name the signals of a component's ports as its Verilog has them, `a_valid`, or where it is
    placed, `tile_a_valid`; returns name -> (value, direction)."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        name, value = port_name(path), Value.cast(value)
        value.name = prefix + name
        ports[name] = (value, PortDirection.Input if member.flow == In else PortDirection.Output)
    return ports


def port_name(path) -> str:
    """The Verilog name of a member of a signature: a plain identifier in VHDL too, which has no
    double underscores."""
    return "_".join(map(str, path))


def place(m: Module, platform, name: str, component: wiring.Component,
          reset: Value | None = None) -> wiring.Component:
    """Add `component` to `m` as submodule `name`, which `reset` resets as well; returns it."""
    if not isinstance(platform, Library):
        m.submodules[name] = component if reset is None else ResetInserter(reset)(component)
        return component
    component._MustUse__used = True  # it lends its ports only: no warning that it is not elaborated
    block = platform.convert(type(component), component.config)
    ports = {}
    if platform.clocked(block):
        reset = ResetSignal() if reset is None else ResetSignal() | reset
        ports |= {"i_clk": ClockSignal(), "i_rst": reset}
    for port, (value, direction) in name_ports(component, f"{name}_").items():
        ports[f"{'i' if direction is PortDirection.Input else 'o'}_{port}"] = value
    m.submodules[name] = Instance(block, **ports)
    return component
