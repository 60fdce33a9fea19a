# SPDX-License-Identifier: Apache-2.0
"""AXI4 as a manager drives it: names of AMBA, one ID, bursts that count up, whole beats."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config

SPACE_WIDTH = 64  # bits of an address in descriptors and registers
PAGE = 4096  # bytes: no burst crosses a multiple of it
BEATS = 256  # of the longest burst
INCR = 1  # of arburst and awburst: addresses count up
CACHE = 0b0011  # of arcache and awcache: normal memory, not cached, bufferable
PROT = 0b000  # of arprot and awprot: data, secure, not privileged
ERROR, DECODE = 1, 0  # bits of a response: set in SLVERR and DECERR; 1 in DECERR of the two


def address_members(channel: str, width: int) -> dict:
    """The members of a channel of addresses of so many bits, `ar` or `aw`."""
    return {
        f"{channel}valid": Out(1),
        f"{channel}ready": In(1),
        f"{channel}addr": Out(width),
        f"{channel}len": Out(8),  # beats - 1
        f"{channel}size": Out(3),  # log2 of a beat's bytes
        f"{channel}burst": Out(2),
        f"{channel}id": Out(1),
        f"{channel}prot": Out(3),
        f"{channel}cache": Out(4),
    }


def read_channels(config: Config) -> wiring.Signature:
    """AR and R, seen from the manager."""
    return wiring.Signature({
        **address_members("ar", config.address_width),
        "rvalid": In(1),
        "rready": Out(1),
        "rdata": In(config.bus_width),
        "rresp": In(2),
        "rlast": In(1),
        "rid": In(1),
    })


def write_channels(config: Config) -> wiring.Signature:
    """AW, W and B, seen from the manager."""
    return wiring.Signature({
        **address_members("aw", config.address_width),
        "wvalid": Out(1),
        "wready": In(1),
        "wdata": Out(config.bus_width),
        "wstrb": Out(config.bus_width // 8),
        "wlast": Out(1),
        "bvalid": In(1),
        "bready": Out(1),
        "bresp": In(2),
        "bid": In(1),
    })


def constants(axi, channel: str) -> list:
    """What the channel of addresses `ar` or `aw` says of every burst."""
    return [
        getattr(axi, f"{channel}size").eq(beat_bits(len(axi.rdata if channel == "ar"
                                                        else axi.wdata))),
        getattr(axi, f"{channel}burst").eq(INCR),
        getattr(axi, f"{channel}id").eq(0),
        getattr(axi, f"{channel}prot").eq(PROT),
        getattr(axi, f"{channel}cache").eq(CACHE),
    ]


def beat_bits(bus_width: int) -> int:
    """log2 of the bytes of a beat."""
    return (bus_width // 8).bit_length() - 1


def page_bits(bus_width: int) -> int:
    """log2 of the bytes whose multiples no burst crosses: a page, or as much as `BEATS` hold."""
    return min(PAGE.bit_length() - 1, beat_bits(bus_width) + BEATS.bit_length() - 1)
