# SPDX-License-Identifier: Apache-2.0
"""Ports that are signals of a bus: which protocol, and what each means."""

from amaranth.hdl import Shape
from amaranth.lib.wiring import Component, In

from hdl.axi.signatures import CACHE, INCR, PROT

CHANNELS = {"aw": "write address", "ar": "read address", "w": "write data",
            "b": "write response", "r": "read data"}
MEANINGS = {
    "valid": "1: the {} is offered",
    "ready": "1: the {} can be taken",
    "addr": "byte address",
    "len": "beats of the burst less 1",
    "size": "log2 of a beat's bytes: always the whole width",
    "burst": f"always {INCR}, INCR: addresses count up",
    "id": "always 0: answers come in order",
    "prot": f"always {PROT}: data, secure, unprivileged",
    "cache": f"always {CACHE}: normal memory, bufferable, not cached",
    "data": "bytes, the one of the lowest address lowest",
    "strb": "1: the byte is to be written",
    "resp": "0 OKAY, 2 SLVERR, 3 DECERR",
    "last": "1: the last beat of the burst",
}
# of the side that obeys: what it makes of signals of the other one
IGNORED = {"prot": "ignored", "rid": "ignored", "bid": "ignored"}
INTERRUPT = "irq"


def protocol(member) -> str:
    """"AXI4", "AXI4-Lite" or nothing, of a member of a component's signature."""
    if not member.is_signature or "awvalid" not in member.signature.members:
        return ""
    return "AXI4" if "awlen" in member.signature.members else "AXI4-Lite"


def meaning(signal: str, given: bool) -> str:
    """Of a bus' signal by AMBA's name; `given` : it is an input."""
    channel = next(name for name in CHANNELS if signal.startswith(name))
    name = signal.removeprefix(channel)
    if given and (said := IGNORED.get(signal, IGNORED.get(name))):
        return said
    return MEANINGS[name].format(CHANNELS[channel])


def buses(component: Component) -> list[dict]:
    """Every bus of a component, JSON-ready: protocol, role, widths, AMBA's name -> port."""
    found: list[dict] = []
    for name, member in component.signature.members.items():
        if kind := protocol(member):
            signals = member.signature.members
            found.append({
                "name": name, "protocol": kind,
                "role": "subordinate" if member.flow == In else "manager",
                "address_width": Shape.cast(signals["awaddr"].shape).width,
                "data_width": Shape.cast(signals["wdata"].shape).width,
                "ports": {signal.upper(): f"{name}_{signal}" for signal in sorted(signals)}})
        elif name == INTERRUPT:
            found.append({"name": name, "protocol": "interrupt", "role": "source",
                          "sensitivity": "level, active high", "ports": {"IRQ": name}})
    return found
