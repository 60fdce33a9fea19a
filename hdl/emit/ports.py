# SPDX-License-Identifier: Apache-2.0
"""The ports of a top: each field of a payload by name, or each payload as one vector.

`PORTS=fields` is for people and for other languages (`job_params_shift`), `packed` for drivers and
benches, which compute with layouts (`job_payload`). The hardware behind both is the same.
"""

from amaranth.hdl import Cat, Elaboratable, Shape, Signal, Value, signed, unsigned
from amaranth.hdl._ir import PortDirection
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.library import name_ports, port_name

STYLES = ("fields", "packed")


def leaves(path: tuple, shape, offset: int = 0):
    """(name, offset, shape) of each field of a structure, however deep; a payload's fields are
    named after its stream alone. Any other shape is one leaf."""
    if not isinstance(shape, data.StructLayout):
        yield port_name(path), offset, shape
        return
    if path[-1] == "payload":
        path = path[:-1]
    for name, field in shape:
        yield from leaves((*path, name), field.shape, offset + field.offset)


class Fields(Elaboratable):
    """A block whose structures are ports of their own, field by field.

    Members
    -------
    ports : name -> (signal, direction), as `hdl.library.Library.add` takes them.
    """

    def __init__(self, component: wiring.Component):
        self.component = component
        component._MustUse__used = True  # it is elaborated as a part of this
        self.ports = name_ports(component)
        self.fields: list[tuple[Value, list[Signal], bool]] = []
        for path, member, value in component.signature.flatten(component):
            if isinstance(member.shape, data.StructLayout):
                del self.ports[port_name(path)]
                parts = self._split(path, member)
                self.fields.append((Value.cast(value), parts, member.flow == In))

    def _split(self, path: tuple, member) -> list[Signal]:
        direction = PortDirection.Input if member.flow == In else PortDirection.Output
        found = []
        for name, _, shape in leaves(path, member.shape):
            cast = Shape.cast(shape)
            signal = Signal((signed if cast.signed else unsigned)(cast.width), name=name)
            if name in self.ports:
                raise ValueError(f"two ports of {type(self.component).__name__} are called {name}")
            self.ports[name] = (signal, direction)
            found.append(signal)
        return found

    def elaborate(self, platform):
        m = self.component.elaborate(platform)
        for whole, parts, given in self.fields:
            joined = Cat(part.as_unsigned() for part in parts)
            m.d.comb += whole.eq(joined) if given else joined.eq(whole)
        return m
