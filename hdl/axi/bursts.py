# SPDX-License-Identifier: Apache-2.0
"""Segments of memory become bursts, if all of a segment lies in the window."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.axi.layouts import BYTES_WIDTH
from hdl.axi.signatures import SPACE_WIDTH, beat_bits, page_bits


class Bursts(wiring.Component):
    """Checks segments against the window and cuts them into bursts.

    Parameters
    ----------
    ABOUT : a structure with a member `bytes`, the segment's length (0 stands for 65536), and what
        else goes with a segment. A subclass says it.

    Members
    -------
    command : In(stream of segments): address of the first byte, beyond : it lies behind the last
        address, and ABOUT.
    window_base, window_limit : In(64), the first and the last byte allowed.
    halt : In(1), forget every segment, and take and forget those that are offered.
    burst : Out(stream): address of its first byte, beats - 1, and of its segment ABOUT, and whether
        it is the first of it. Not across 4 KiB, at most 256 beats. Withdrawn by `halt`.
    outside : Out(1), the next segment is not all in the window: nothing moves until `halt`.
        where : Out, its address; about : Out(ABOUT); wraps : Out(1), it ends behind the last one.
    empty : Out(1), no segment is here.

    Latency: 5 cycles. Throughput: one burst per cycle.

    Arithmetic: the last byte's address has one bit more than the bus has, and is inside if it is at
    most the limit.
    """

    ABOUT: Any

    def __init__(self, config: Config):
        self.config = config
        self.beat, self.page = beat_bits(config.bus_width), page_bits(config.bus_width)
        width = config.address_width
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "address": width, "beyond": 1, "about": self.ABOUT}))),
            "window_base": In(SPACE_WIDTH),
            "window_limit": In(SPACE_WIDTH),
            "halt": In(1),
            "burst": Out(stream.Signature(data.StructLayout({
                "address": width, "len": 8, "first": 1, "about": self.ABOUT}))),
            "outside": Out(1),
            "where": Out(width),
            "about": Out(self.ABOUT),
            "wraps": Out(1),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        beat, page = self.beat, self.page
        above = self.config.address_width - BYTES_WIDTH  # bits that a length does not add to
        ends = page - beat  # bits of the number of a beat in its page
        segment = self.command.p.shape()
        valid_1, valid_2, valid_3, valid_4 = (Signal(name=f"valid_{n}") for n in range(1, 5))
        command_1 = Signal(segment, reset_less=True)
        command_2 = Signal(segment, reset_less=True)
        command_3 = Signal(segment, reset_less=True)
        command_4 = Signal(segment, reset_less=True)
        within_4 = Signal(reset_less=True)
        wraps_4 = Signal(reset_less=True)
        busy = Signal()  # a burst is offered
        final = Signal(reset_less=True)  # which is the last of its segment
        moves = self.burst.ready & busy
        # A segment that is outside stays where it is.
        refused = valid_4 & ~within_4
        advance = Signal()
        m.d.comb += [
            advance.eq(~refused & (~busy | (moves & final))),
            self.command.ready.eq(advance | self.halt),
            self.outside.eq(refused),
            self.where.eq(command_4.address),
            self.about.eq(command_4.about),
            self.wraps.eq(wraps_4),
            self.empty.eq(~(valid_1 | valid_2 | valid_3 | valid_4 | busy)),
        ]

        # Cycle 0: the command.
        with m.If(advance):
            m.d.sync += [valid_1.eq(self.command.valid), command_1.eq(self.command.p)]

        # Cycle 1: the lower bits of the last byte's address, and the window's start.
        length = command_1.about.bytes
        low_2 = Signal(BYTES_WIDTH + 1, reset_less=True)  # 2**16 - 1 + 2**16 - 1 at most
        above_2 = Signal(reset_less=True)
        with m.If(advance):
            m.d.sync += [
                valid_2.eq(valid_1),
                command_2.eq(command_1),
                low_2.eq(command_1.address[:BYTES_WIDTH] + Cat(length, length == 0) - 1),
                above_2.eq(command_1.address >= self.window_base),
            ]

        # Cycle 2: its upper bits, and how many pages follow the first.
        low_3 = Signal(BYTES_WIDTH, reset_less=True)
        high_3 = Signal(above + 1, reset_less=True)  # the last bit is beyond the bus's
        more_3 = Signal(BYTES_WIDTH + 1 - page, reset_less=True)
        above_3 = Signal(reset_less=True)
        with m.If(advance):
            m.d.sync += [
                valid_3.eq(valid_2),
                command_3.eq(command_2),
                low_3.eq(low_2[:BYTES_WIDTH]),
                high_3.eq(command_2.address[BYTES_WIDTH:] + low_2[BYTES_WIDTH]),
                more_3.eq(low_2[page:] - command_2.address[page:BYTES_WIDTH]),
                above_3.eq(above_2),
            ]

        # Cycle 3: the end of the window and of all addresses, and the first burst's length.
        end_4 = Signal(ends, reset_less=True)  # the last byte's beat in its page
        len_4 = Signal(ends, reset_less=True)
        more_4 = Signal.like(more_3, reset_less=True)
        only_4 = Signal(reset_less=True)  # one burst is all
        wraps = high_3[above] | command_3.beyond
        end = Mux(more_3 == 0, low_3[beat:page], 2**ends - 1)
        with m.If(advance):
            m.d.sync += [
                valid_4.eq(valid_3),
                command_4.eq(command_3),
                within_4.eq(above_3 & ~wraps
                            & (Cat(low_3, high_3[:above]) <= self.window_limit)),
                wraps_4.eq(wraps),
                end_4.eq(low_3[beat:page]),
                len_4.eq(end - command_3.address[beat:page]),
                more_4.eq(more_3),
                only_4.eq(more_3 == 0),
            ]

        # Cycle 4: the bursts, one after the other.
        burst = self.burst.p
        more = Signal.like(more_3, reset_less=True)  # bursts that follow
        last = Signal(ends, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                burst.address.eq(command_4.address),
                burst.len.eq(len_4),
                burst.first.eq(1),
                burst.about.eq(command_4.about),
                more.eq(more_4),
                last.eq(end_4),
                final.eq(only_4),
                busy.eq(valid_4),
            ]
        with m.Elif(moves):
            m.d.sync += [
                burst.address.eq(Cat(C(0, page), burst.address[page:] + 1)),
                burst.len.eq(Mux(more == 1, last, 2**ends - 1)),
                burst.first.eq(0),
                more.eq(more - 1),
                final.eq(more == 1),
                busy.eq(~final),
            ]
        with m.If(self.halt):
            m.d.sync += [each.eq(0) for each in (valid_1, valid_2, valid_3, valid_4, busy)]
        m.d.comb += self.burst.valid.eq(busy)
        return m
