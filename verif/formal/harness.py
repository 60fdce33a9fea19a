# SPDX-License-Identifier: Apache-2.0
"""What a proof is about: a block with free inputs, assumptions, assertions and ghost registers."""

from functools import cached_property

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Elaboratable, Fragment, Module, Signal, Value
from amaranth.lib.wiring import In

from golden.config import Config
from hdl.emit import manifest

SMALL = Config(2, 2, 2, dim_width=4, tensors=2)


def latency(block: type, config: Config = SMALL) -> int:
    """That of a block of this configuration."""
    return manifest.latency(block, config)


def ports_of(block):
    """The block, which lends only its ports: no warning that it is not elaborated."""
    block._MustUse__used = True
    return block


class Harness(Elaboratable):
    """A block under proof.

    Members
    -------
    dut : the block; its inputs are free in every cycle. m : the module of the harness, for ghosts.
    ports : signals that become inputs of the netlist. nets : port name -> net that drives it and
        its width (`net`). cuts : net -> port name that drives it (`cut`).
    """

    def __init__(self, dut):
        self.dut, self.m = dut, Module()
        self.m.submodules.dut = dut
        self.ports = [Value.cast(value) for _, member, value in dut.signature.flatten(dut)
                      if member.flow == In]
        self.nets: dict[str, tuple[str, int]] = {}
        self.cuts: dict[str, str] = {}

    def elaborate(self, platform):
        return self.m

    @cached_property
    def rtlil(self) -> str:
        """The netlist, module `top`: to be read when nothing more is said about the harness."""
        return rtlil.convert(self, name="top", ports=self.ports)

    def net(self, path: str, shape=1):
        """A net inside the block, `dut.` left out."""
        signal = self._port(f"net_{len(self.nets)}", shape)
        self.nets[Value.cast(signal).name] = (f"dut.{path}", len(Value.cast(signal)))
        return signal

    def inner(self, path: str, block):
        """The ports of the `block` that is found at `path`, as nets; of the block under proof
        itself (an empty path) its own."""
        ports_of(block)
        if not path:
            return self.dut
        ports = block.signature.create(path=(f"net_{len(self.nets)}",))
        for names, _, value in block.signature.flatten(ports):
            signal = Value.cast(value)
            self.ports.append(signal)
            self.nets[signal.name] = (f"dut.{path}{'__'.join(map(str, names))}", len(signal))
        return ports

    def free(self, shape, name: str):
        """An input of the proof alone: any value in every cycle."""
        return self._port(f"free_{name}", shape)

    def cut(self, path: str, shape=1):
        """Free the net `path`: what drove it is dropped and the returned input drives it."""
        signal = self._port(f"cut_{len(self.cuts)}", shape)
        self.cuts[f"dut.{path}"] = Value.cast(signal).name
        return signal

    def states(self, path: str, block) -> dict:
        """State name -> condition that the FSM of `block`, found at `path`, is in it."""
        encoding = Fragment.get(block, None).generated["fsm"].encoding
        state = self.net(f"{path}fsm_state", range(len(encoding)))
        self.prove(state < len(encoding))
        return {name: state == code for name, code in encoding.items()}

    def assume(self, *conditions):
        self.m.d.comb += [Assume(c) for c in conditions]

    def prove(self, *conditions):
        """Asserted in every cycle after reset. Invariants that help the induction are proven like
        the property itself."""
        for condition in conditions:
            self.m.d.comb += Assert(condition, src_loc_at=1)

    def ghost(self, shape, name: str):
        """A register of the proof alone."""
        return Signal(shape, name=f"ghost_{name}")

    def past(self, value):
        """The value of the cycle before; 0 in the first one after reset."""
        value = Value.cast(value)
        before = Signal(value.shape(), name=f"past_{len(self.ports)}")
        self.m.d.sync += before.eq(value)
        return before

    def kept(self, stream):
        """The stream rule: what was offered and not taken is offered again, unchanged."""
        stalled = self.past(stream.valid & ~stream.ready)
        payload = Value.cast(stream.payload)
        return ~stalled | (stream.valid & (payload == self.past(payload)))

    def _port(self, name: str, shape):
        signal = Signal(shape, name=name)
        self.ports.append(Value.cast(signal))
        return signal


def implies(condition, conclusion):
    return ~Value.cast(condition).bool() | Value.cast(conclusion).bool()
