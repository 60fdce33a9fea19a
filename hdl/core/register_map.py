# SPDX-License-Identifier: Apache-2.0
"""The register map as Python knows it, read from `registers.rdl`: addresses, fields, error codes.

Nothing here needs Amaranth: drivers use it too.
"""

import enum
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import colorama
from systemrdl import RDLCompiler
from systemrdl.node import AddrmapNode, FieldNode, RegNode
from systemrdl.rdltypes import InterruptType

from golden import descriptor
from golden.config import VERSION, Config
from golden.formats import FP4_R2, FP4_R4

colorama.deinit()  # systemrdl has wrapped standard output and error: that is not its business

SOURCE = Path(__file__).with_name("registers.rdl")
TOP = "tetra"
ADDRESS_WIDTH = 12  # bits of a byte address: what a core takes of its system's address space
WORD_BYTES = 4
REFERENCES = ("enable", "hwclr", "hwset", "next", "restored_by", "swwe", "swwel")


class OnWrite(enum.Enum):
    """What a write does to a field, in SystemRDL's words."""

    PUT = None
    CLEAR = "woclr"
    SET = "woset"


@dataclass(frozen=True)
class RegisterField:
    """Bits of a register.

    Members
    -------
    name : as in the register. low : its lowest bit. width : in bits. doc : what it means.
    reset : its value after reset; None where it comes from the hardware.
    access : what software may do: "r", "w" or "rw". on_write : what a write does.
    pulse : whether a 1 lasts for a cycle, and reads as 0.
    hardware_reads, hardware_writes : whether the hardware has a port for it.
    captured : whether it keeps what the hardware gives with an error.
    interrupt : whether it keeps an event; rising : the event is a rising edge.
    references : property -> "register.field" that acts on this one.
    node : systemrdl's own view of it, with all properties.
    """

    name: str
    low: int
    width: int
    doc: str
    reset: int | None
    access: str
    on_write: OnWrite
    pulse: bool
    hardware_reads: bool
    hardware_writes: bool
    captured: bool
    interrupt: bool
    rising: bool
    references: dict[str, str]
    node: FieldNode = field(repr=False, compare=False)

    @property
    def stored(self) -> bool:
        """Whether it keeps a value; others are constants or come from the hardware as they are."""
        return "w" in self.access or self.captured

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return (1 << self.width) - 1 << self.low

    def of(self, word: int) -> int:
        """Its value in a word of the register."""
        return (word & self.mask) >> self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register.

    Members
    -------
    name : `control`; of a 64-bit pair `ring_base_low`. pair : `ring_base`, empty if it is none.
    address : in bytes, from that of the core. fields : by name. doc : what it is for.
    external : whether it is a counter, which is not kept in a register.
    """

    name: str
    pair: str
    address: int
    fields: dict[str, RegisterField]
    doc: str
    external: bool

    @property
    def reset(self) -> int:
        """Its value after reset, 0 where the hardware gives it."""
        return sum((f.reset or 0) << f.low for f in self.fields.values())

    def __getitem__(self, name: str) -> RegisterField:
        return self.fields[name]


@dataclass(frozen=True)
class Counter:
    """A 64-bit counter: `most` is by how much one cycle can increase it."""

    name: str
    address: int
    most: int
    doc: str


@dataclass(frozen=True)
class RegisterMap:
    """All registers by name, in the order of their addresses, the counters among them, and the
    codes of `error` with what they mean."""

    registers: dict[str, Register]
    counters: dict[str, Counter]
    errors: dict[str, tuple[int, str]]
    node: AddrmapNode = field(repr=False, compare=False)

    def __getitem__(self, name: str) -> Register:
        return self.registers[name]


def parameters(config: Config) -> dict[str, int]:
    """What the parameters of `registers.rdl` are for a configuration."""
    major, minor, patch = map(int, VERSION.split("."))
    return {
        "MAJOR": major, "MINOR": minor, "PATCH": patch,
        "DESCRIPTOR_VERSION": descriptor.VERSION,
        **{name.upper(): getattr(config, name) for name in (
            "rows", "cols", "lanes", "accumulator_width", "dim_width", "tensors", "bus_width",
            "depth", "strip", "address_width")},
        "STOCHASTIC": int(config.stochastic),
        "FP4_R4": int(FP4_R4 in config.log_formats),
        "FP4_R2": int(FP4_R2 in config.log_formats),
    }


@lru_cache
def register_map(config: Config | None = None) -> RegisterMap:
    """The register map of a configuration; without one capabilities are those of no core in
    particular, which addresses and fields do not depend on."""
    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    values: dict[str, Any] = parameters(config) if config else {}
    top = compiler.elaborate(top_def_name=TOP, parameters=values).top
    registers = {}
    counters = {}
    for node in top.descendants(unroll=True):
        if isinstance(node, RegNode):
            found = _register(node, top)
            registers[found.name] = found
        elif not isinstance(node, FieldNode) and node.external:
            counters[node.inst_name] = Counter(
                node.inst_name, node.absolute_address, node.get_property("most"), _doc(node))
    codes = registers["error"]["code"].node.get_property("encode")
    errors = {member.name: (member.value, member.rdl_desc or "") for member in codes}
    return RegisterMap(registers, counters, errors, top)


def _register(node: RegNode, top: AddrmapNode) -> Register:
    """A register with its fields."""
    name = _name(node, top)
    paired = not isinstance(node.parent, AddrmapNode)
    found = {f.inst_name: _field(f, top) for f in node.fields()}
    return Register(name, node.parent.inst_name if paired else "", node.absolute_address, found,
                    _doc(node.parent if paired else node), node.external)


def _field(node: FieldNode, top: AddrmapNode) -> RegisterField:
    """A field with the properties that RTL and software need."""
    has = node.get_property
    software, hardware, on_write = has("sw"), has("hw"), has("onwrite")
    found = {name: has(name) for name in REFERENCES}
    references = {name: f"{_name(to.parent, top)}.{to.inst_name}" for name, to in found.items()
                  if isinstance(to, FieldNode)}
    return RegisterField(
        node.inst_name, node.low, node.width, _doc(node), has("reset"), software.name,
        OnWrite(on_write and on_write.name), has("singlepulse"), "r" in hardware.name,
        "w" in hardware.name and "next" not in references, has("we") is True, has("intr"),
        has("intr type") is InterruptType.posedge, references, node)


def _name(node: RegNode, top: AddrmapNode) -> str:
    return node.get_rel_path(top).replace(".", "_")


def _doc(node) -> str:
    """Its description as one line."""
    return " ".join((node.get_property("desc") or "").split())
