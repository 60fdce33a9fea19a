# SPDX-License-Identifier: Apache-2.0
"""The DMA parts: what they ask the bus for, whatever they are told and whatever the bus does."""

from amaranth.hdl import Array, Cat, Mux, Signal, Value

from golden.config import Config
from hdl.axi.read_dma import ReadBursts, ReadDma, ReadQueue
from hdl.axi.signatures import PAGE, beat_bits, page_bits
from hdl.axi.write_dma import BURSTS, WriteBursts, WriteDma
from verif.formal.harness import Harness, implies

NARROW = Config(2, 2, 4, bus_width=64)
WIDTH = NARROW.address_width
BLOCKS = {"ar": ReadBursts, "aw": WriteBursts}  # what asks for the addresses of a channel
CHANNELS = {"ar": ("ar",), "aw": ("aw", "w")}  # of which the manager offers
QUIET = 4  # cycles


def holds(h: Harness, *channels: str) -> None:
    """Proves the rule of AXI: what is offered and not taken is offered again, unchanged."""
    axi = h.dut.axi
    for channel in channels:
        payload = Cat(Value.cast(getattr(axi, name)) for name in axi.signature.members
                      if name.startswith(channel)
                      and name not in (f"{channel}valid", f"{channel}ready"))
        valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
        h.prove(implies(h.past(valid & ~ready), valid & (payload == h.past(payload))))


def length(command):
    """The bytes of a segment."""
    return Cat(command.about.bytes, command.about.bytes == 0)


def last_byte(command):
    """The address of a segment's last byte, with 65 bits."""
    return (command.address + length(command) - 1)[:WIDTH + 1]


def addresses(channel: str) -> Harness:
    """Offers hold; no burst has a beat outside the window or crosses 4 KiB.

    The window stays as it is. The registers of each stage are what its segment says; `origin` is
    that of the bursts that are offered.
    """
    h = Harness(ReadDma(NARROW) if channel == "ar" else WriteDma(NARROW))
    dut, m = h.dut, h.m
    holds(h, *CHANNELS[channel])
    beat, page = beat_bits(NARROW.bus_width), page_bits(NARROW.bus_width)
    base, limit = dut.window_base, dut.window_limit
    begun = h.ghost(1, "begun")
    m.d.sync += begun.eq(1)
    h.assume(implies(begun, (base == h.past(base)) & (limit == h.past(limit))))

    bursts = h.inner("bursts.", BLOCKS[channel](NARROW))
    segment = bursts.command.p.shape()
    valid = {n: h.net(f"bursts.valid_{n}", 1) for n in (2, 3, 4)}
    command = [None, *(h.net(f"bursts.command_{i}", segment) for i in range(1, 5))]
    ends = [None, *(last_byte(each) for each in command[1:])]

    low_2, above_2 = h.net("bursts.low_2", 17), h.net("bursts.above_2")
    h.prove(implies(valid[2], (low_2 == (command[2].address[:16] + length(command[2]) - 1)[:17])
                    & (above_2 == (command[2].address >= base))))
    more = [None, None, None, *(h.net(f"bursts.more_{i}", 17 - page) for i in (3, 4))]
    low_3, high_3 = h.net("bursts.low_3", 16), h.net("bursts.high_3", WIDTH - 15)
    h.prove(implies(valid[3], (Cat(low_3, high_3) == ends[3])
                    & (h.net("bursts.above_3") == (command[3].address >= base))))
    for i in (3, 4):
        h.prove(implies(valid[i], (command[i].address >> page) + more[i] == ends[i] >> page))
    end_4, len_4 = h.net("bursts.end_4", page - beat), h.net("bursts.len_4", page - beat)
    within = (command[4].address >= base) & ~command[4].beyond & (ends[4] <= limit)
    h.prove(implies(valid[4], (h.net("bursts.within_4") == within) & (end_4 == ends[4][beat:page])
                    & (h.net("bursts.only_4") == (more[4] == 0))
                    & (len_4 == (Mux(more[4] == 0, ends[4][beat:page], 2**(page - beat) - 1)
                                 - command[4].address[beat:page])[:page - beat])))

    origin = Signal(segment, name="ghost_origin")
    with m.If(h.net("bursts.advance")):
        m.d.sync += origin.eq(command[4])
    end = last_byte(origin)
    busy, left = bursts.burst.valid, h.net("bursts.more", 17 - page)
    burst = bursts.burst.p
    at = burst.address
    h.prove(
        implies(busy, (origin.address >= base) & (end <= limit)),
        implies(busy, (at >> page) + left == end >> page),
        implies(busy, Mux(burst.first, at == origin.address,
                          (at[:page] == 0) & (at > origin.address))),
        implies(busy, (h.net("bursts.final") == (left == 0))
                & (h.net("bursts.last", page - beat) == end[beat:page])),
        implies(busy, burst.len == Mux(left == 0, end[beat:page], 2**(page - beat) - 1)
                - at[beat:page]),
    )

    def allowed(address, more):
        first, beats = address >> beat, PAGE >> beat
        return ((address >= base) & (first + more <= limit >> beat)
                & (first[:beats.bit_length() - 1] + more < beats))

    axi = dut.axi
    h.prove(implies(busy, allowed(at, burst.len)),
            implies(getattr(axi, f"{channel}valid"),
                    allowed(getattr(axi, f"{channel}addr"), getattr(axi, f"{channel}len"))))
    return h


def beats_of_bursts() -> Harness:
    """Every burst of data is as long as its address said, in their order; none comes without one.

    Any burst may be the tracked one: `ahead` bursts have to end before it, `come` of its beats have
    been taken.
    """
    h = Harness(WriteDma(NARROW))
    m, axi = h.m, h.dut.axi
    issues = h.net("issues")
    burst = h.inner("bursts.", WriteBursts(NARROW)).burst.p
    filling, more, last = h.net("filling"), h.net("more", 8), h.net("last")
    level, head = h.net("lengths.level", range(BURSTS + 1)), h.net("lengths.head", range(BURSTS))
    entries = Array(h.net(f"lengths.entry_{i}", 8) for i in range(BURSTS))
    tail = h.net("lengths.tail", range(BURSTS))
    moves = axi.wvalid & axi.wready
    ending = axi.wvalid & axi.wlast

    pending = h.ghost(8, "pending")  # bursts that are asked for, and not ended
    m.d.sync += pending.eq(pending + issues - (moves & axi.wlast))
    asked = h.ghost(8, "asked")  # the length of the last one
    with m.If(issues):
        m.d.sync += asked.eq(burst.len)
    tracking, ahead = h.ghost(1, "tracking"), h.ghost(8, "ahead")
    wanted, come = h.ghost(8, "wanted"), h.ghost(8, "come")
    ours = tracking & (ahead == 0) & moves
    with m.If(issues & ~tracking & h.free(1, "pick")):
        m.d.sync += [tracking.eq(1), ahead.eq(pending - (moves & axi.wlast)),
                     wanted.eq(burst.len), come.eq(0)]
    with m.Elif(ours & axi.wlast):
        m.d.sync += tracking.eq(0)
    with m.Elif(ours):
        m.d.sync += come.eq(come + 1)
    with m.Elif(tracking & moves & axi.wlast):
        m.d.sync += ahead.eq(ahead - 1)

    # where the tracked burst is: in the queue, being filled, or its last beat offered
    behind = ahead - ending
    place = (behind - filling)[:8]
    queued = ~place[7] & (behind >= filling) & (place < level)
    filled = filling & (behind == 0)
    h.prove(
        level <= BURSTS,
        tail == (head + level)[:len(tail)],
        pending == level + filling + ending,
        implies(filling, last == (more == 0)),
        implies(axi.awvalid, axi.awlen == asked),
        implies(axi.wvalid & ~axi.wlast, filling),
        implies(tracking, ahead < pending),
        implies(tracking & (ahead != 0), come == 0),
        implies(tracking & filled, come + (axi.wvalid & ~ending & (ahead == 0)) + more == wanted),
        implies(tracking & ~filled & ending & (ahead == 0), come == wanted),
        implies(tracking & queued,
                (come == 0) & (entries[(head + place)[:len(head)]] == wanted)),
        # the property
        implies(axi.wvalid, pending != 0),
        implies(ours, Mux(axi.wlast, come == wanted, come < wanted)),
    )
    return h


def reads_go_on() -> Harness:
    """While nobody makes it wait and nothing is wrong, a command, an address, a beat or a run goes
    at least every `QUIET` cycles."""
    h = Harness(ReadDma(NARROW))
    dut, axi = h.dut, h.dut.axi
    h.prove(h.net("queue.level", range(ReadQueue.DEPTH + 1)) <= ReadQueue.DEPTH)
    fair = (dut.command.valid & dut.run.ready & axi.arready & axi.rvalid
            & ~h.net("gearbox.halt") & ~h.net("bursts.outside"))
    moves = dut.command.ready | dut.run.valid | axi.arvalid | dut.beats
    quiet = h.ghost(range(QUIET + 1), "quiet")
    h.m.d.sync += quiet.eq(Mux(fair & ~moves, quiet + 1, 0))
    h.prove(quiet < QUIET)
    return h
