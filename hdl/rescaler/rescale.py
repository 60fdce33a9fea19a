# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: bias, dyadic multiplier, rounding, zero point, clamp, log encoding."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import ZERO_POINT_WIDTH
from hdl.arithmetic.serial import row_cycles
from hdl.layouts import (
    OutFormat,
    measured_layout,
    outcome_layout,
    rescale_layout,
    result_layout,
    tag_layout,
)
from hdl.library import place
from hdl.rescaler.kinds import KIND_LAYOUT, is_code, kind_of
from hdl.rescaler.lane import OVER, RescaleLane
from hdl.rescaler.random_words import random_words
from hdl.rescaler.scale_multiplier import MULTIPLIER_LAYOUT, RECODED_WIDTH, doubled, recoded
from hdl.rescaler.serial_multiplier import SerialMultiplier

# What of a row's parameters is still to be read, by the last cycle that reads it.
UNTIL_1 = {"multiplier": Dyadic.WIDTH}
UNTIL_4 = {"format": OutFormat, "shift": Dyadic.SHIFT_WIDTH,
           "zero_point": signed(ZERO_POINT_WIDTH), "stochastic": 1}


class RescaleUnit(wiring.Component):
    """Rescales one row of `cols` 32-bit values per cycle.

    Members
    -------
    i : In(stream of `rescale_layout`), rows to be rescaled.
    o : Out(stream of `result_layout`), the same rows, rescaled.
    measured : Out(`measured_layout`), each row that counts, once, on its way through.
    outcome : Out(`outcome_layout`), of the row that `o` offers.
    clear : In(1), clears `saturated`. saturated : Out(1), sticky: some acc + bias left 32 bits.
    lost : Out(1), of the row at `o`: one of its acc + bias did.

    Latency: `latency(config)` cycles from the one that takes a row to the one that offers its
    result. Throughput: one row per cycle, with `Config.serial` one in `row_cycles`; parameters may
    change with every row, but a job's seed is that of all its rows. A column that `tag.keep` leaves
    out counts as masked.
    Backpressure: all stages hold while a result waits.
    Arithmetic: `golden.rescale.rescale`.
    """

    @staticmethod
    def latency(config: Config) -> int:
        return RescaleLane.latency + SerialMultiplier.cycles * config.serial

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(rescale_layout(config))),
            "o": Out(stream.Signature(result_layout(config))),
            "measured": Out(measured_layout(config)),
            "outcome": Out(outcome_layout(config)),
            "clear": In(1),
            "saturated": Out(1),
            "lost": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        advance = Signal()  # every row moves to the next cycle
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        valid = Signal(RescaleLane.latency)  # valid[n]: a row is in cycle n + 1
        valid_1 = valid[0]
        room = ~self.o.valid | self.o.ready
        with m.If(advance):
            m.d.sync += valid.eq(Cat(taken, valid))
        if config.serial:
            self._one_row(m, valid, room, advance)
        else:
            m.d.comb += [advance.eq(room), self.i.ready.eq(advance)]

        def held(cycle: int, name: str, shape, source, enable=advance):
            """A register of this cycle: `source`, or of a structure the fields that it still has,
            as they were in the cycle before."""
            register = Signal(shape, name=f"{name}_{cycle}", reset_less=True)
            with m.If(enable):
                if isinstance(shape, data.StructLayout):
                    m.d.sync += [register[field].eq(source[field]) for field, _ in shape]
                else:
                    m.d.sync += register.eq(source)
            return register

        def tagged(cycle: int, source):
            return held(cycle, "tag", tag_layout(config), source)

        # Cycle 1: the multiplier is recoded.
        arrives = taken if config.serial else advance
        params_1 = held(1, "params", data.StructLayout({**UNTIL_1, **UNTIL_4}), self.i.p.params,
                        arrives)
        tag_1 = tagged(1, self.i.p.tag)
        number = Signal(RECODED_WIDTH)
        m.d.comb += number.eq(doubled(params_1.multiplier, params_1.shift))

        # Cycles 2 to 4: the product, its shift. A serial unit has one row, whose parameters hold.
        if config.serial:
            multiplier = number
            params_3 = params_4 = params_1
        else:
            multiplier = held(2, "multiplier", MULTIPLIER_LAYOUT, recoded(number))
            params_2 = held(2, "params", data.StructLayout(UNTIL_4), params_1)
            params_3 = held(3, "params", data.StructLayout(UNTIL_4), params_2)
            params_4 = held(4, "params", data.StructLayout(UNTIL_4), params_3)
        tag_2 = tagged(2, tag_1)
        fresh = Signal()  # a row that counts has come to cycle 2, where it may wait
        m.d.sync += fresh.eq(advance & valid_1 & tag_1.measure)
        tag_3 = tagged(3, tag_2)
        tag_4 = tagged(4, tag_3)
        # what all lanes read is decoded in the cycle before
        over = held(4, "over", OVER // 2, Cat(
            params_3.shift < 2 * (i + 1) for i in range(OVER // 2)))

        # Cycles 5 to 7: rounding, and the result.
        kind = Signal(KIND_LAYOUT)
        m.d.comb += kind.eq(kind_of(params_4))
        kind_5 = held(5, "kind", KIND_LAYOUT, kind)
        zero_point = held(5, "zero_point", signed(ZERO_POINT_WIDTH),
                          params_4.zero_point & is_code(kind).replicate(ZERO_POINT_WIDTH))
        tag_5 = tagged(5, tag_4)
        kind_6 = held(6, "kind", KIND_LAYOUT, kind_5)
        tag_6 = tagged(6, tag_5)
        tag_7 = tagged(7, tag_6)
        m.d.comb += [
            self.measured.keep.eq(tag_2.keep),
            self.measured.first.eq(tag_2.first),
            self.measured.valid.eq(fresh),
            self.o.p.tag.eq(tag_7),
            self.o.valid.eq(valid[-1]),
        ]

        # Random words, from cycle 0 to cycle 5.
        if config.stochastic:
            random = place(m, platform, "random_words", random_words(config))
            m.d.comb += [
                random.seed.eq(self.i.p.params.seed),
                random.first.eq(self.i.p.tag.first),
                random.stochastic.eq(self.i.p.params.stochastic),
                random.take.eq(taken),
                random.enable.eq(advance),
            ]

        # The lanes.
        saturated = []
        for c in range(config.cols):
            lane = place(m, platform, f"rescale_lane_{c}", RescaleLane(config))
            m.d.comb += [
                lane.enable.eq(advance),
                lane.value.eq(self.i.p.values[c]),
                lane.bias.eq(self.i.p.bias[c]),
                lane.mask.eq(self.i.p.mask[c] & self.i.p.tag.keep[c]),
                lane.multiplier.eq(multiplier),
                self.measured.signs[c].eq(lane.sign),
                self.measured.magnitudes[c].eq(lane.magnitude),
                lane.shift.eq(params_4.shift),
                lane.over.eq(over),
                lane.kind.eq(kind_5),
                lane.zero_point.eq(zero_point),
                lane.kind_1.eq(kind_6),
                self.o.p.data[c].eq(lane.data),
                self.o.p.mask[c].eq(lane.clip_mask),
                self.outcome.clamped[c].eq(lane.clamped & tag_7.keep[c]),
                self.outcome.vanished[c].eq(lane.vanished & tag_7.keep[c]),
            ]
            if config.stochastic:
                m.d.comb += lane.word.eq(random.words[c])
            saturated.append(lane.saturated & tag_1.keep[c])
        lost = Cat(saturated).any()
        for cycle in range(2, RescaleLane.latency + 1):
            lost = held(cycle, "lost", 1, lost)
        m.d.comb += self.lost.eq(lost)
        with m.If(advance & valid_1 & Cat(saturated).any()):
            m.d.sync += self.saturated.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.saturated.eq(0)
        return m

    def _one_row(self, m: Module, valid, room, advance):
        """A row at a time: it waits behind its second stage for the product, the next one until the
        statistics are ready for it."""
        cycles = row_cycles(self.config)
        left = Signal(range(cycles))
        m.d.comb += [
            advance.eq(room & ((left == cycles - 1)
                               | (left < cycles - 1 - SerialMultiplier.cycles))),
            self.i.ready.eq(advance & ~valid[:-1].any() & (left == 0)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += left.eq(cycles - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
