# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: bias, dyadic multiplier, rounding, zero point, clamp, log encoding."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import FP4_R2, FP4_R4, INT32
from golden.rescale import ZERO_POINT_WIDTH
from golden.xorshift import WORD_BITS, lane_constant
from hdl.layouts import (
    RESCALE_LAYOUT,
    WORD,
    OutFormat,
    measured_layout,
    rescale_layout,
    result_layout,
)
from hdl.library import place
from hdl.rounding import (
    WHOLE_WIDTH,
    IntegerRounder,
    Radix2Rounder,
    Radix4Rounder,
    fraction_width,
    magnitude_ports,
)
from hdl.xorshift import Xorshift

PRODUCT_WIDTH = WORD + Dyadic.WIDTH  # |acc + bias| <= 2**31, times 16 bits: below 2**47


class RescaleLane(wiring.Component):
    """One column of the rescaling unit.

    Members
    -------
    value, bias : In(signed 32). mask : In(1). enable : In(1), all stages hold while 0.
    multiplier, shift, lost, format, zero_point, stochastic, word : In, the parameters at the stage
        that reads them; `lost` has ones at the bits that the shift drops.
    data : Out(32). clip_mask : Out(1). clamped, vanished : Out(1), as the rounders'.
    magnitude, negative : Out, |x| and sign of the input after bias and mask, beside `data`.
    saturated : Out(1), the sum in stage 0 leaves 32 bits (combinational).
    """

    latency = 4

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "value": In(signed(WORD)),
            "bias": In(signed(WORD)),
            "mask": In(1),
            "enable": In(1),
            "multiplier": In(Dyadic.WIDTH),  # at stage 1
            "shift": In(Dyadic.SHIFT_WIDTH),  # at stage 2
            "lost": In(Dyadic.MAX_SHIFT),  # at stage 2
            "format": In(OutFormat),  # at stage 3
            "zero_point": In(signed(ZERO_POINT_WIDTH)),  # at stage 3
            "stochastic": In(1),  # at stage 3
            "word": In(WORD_BITS),  # at stage 3
            "data": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
            "magnitude": Out(WORD),
            "negative": Out(1),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fraction_bits = fraction_width(self.config)

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # Cycle 0: saturating bias addition, mask, sign and magnitude.
        total = Signal(signed(WORD + 1))
        word = Signal(signed(WORD))
        m.d.comb += [
            total.eq(self.value + self.bias),
            self.saturated.eq(total[-1] != total[-2]),
            word.eq(Mux(self.saturated, Mux(total[-1], INT32.lo, INT32.hi),
                        total[:WORD].as_signed())),
        ]
        sign = [register(1, f"sign_{i}") for i in range(self.latency - 1)]
        magnitude = [register(WORD, f"magnitude_{i}") for i in range(self.latency - 1)]
        # Cycle 1: 32 x 16 bit product of magnitudes.
        product = register(PRODUCT_WIDTH, "product")
        # Cycle 2: shift down to the fraction; what is lost only counts as sticky.
        scaled = Cat(Const(0, fraction_bits), product)
        shifted = Signal(PRODUCT_WIDTH + fraction_bits)
        m.d.comb += shifted.eq(scaled >> self.shift)
        whole = register(WHOLE_WIDTH, "whole")
        fraction = register(fraction_bits, "fraction")
        sticky = register(1, "sticky")
        # Cycle 3: round.
        integer = place(m, platform, "integer_rounder", IntegerRounder(self.config))
        m.d.comb += [integer.format.eq(self.format), integer.zero_point.eq(self.zero_point)]
        rounders = [integer]
        code, clamped, vanished = integer.code, integer.clamped, integer.vanished
        for fmt, name, kind in ((FP4_R4, OutFormat.FP4_R4, Radix4Rounder),
                                (FP4_R2, OutFormat.FP4_R2, Radix2Rounder)):
            if fmt in self.config.log_formats:
                log = place(m, platform, f"radix{fmt.radix}_rounder", kind(self.config))
                rounders.append(log)
                chosen = self.format == name
                code = Mux(chosen, log.code, code)
                clamped = Mux(chosen, log.clamped, clamped)
                vanished = Mux(chosen, log.vanished, vanished)
        inputs = {"sign": sign[2], "whole": whole, "fraction": fraction, "sticky": sticky,
                  "stochastic": self.stochastic, "word": self.word}
        for rounder in rounders:
            m.d.comb += [getattr(rounder, name).eq(inputs[name])
                         for name in magnitude_ports(self.config) if name in inputs]
        with m.If(self.enable):
            m.d.sync += [
                magnitude[0].eq(Mux(self.mask, Mux(word < 0, -word, word), 0)),
                sign[0].eq(word < 0),
                product.eq(magnitude[0] * self.multiplier),
                fraction.eq(shifted[:fraction_bits]),
                whole.eq(Cat(shifted[fraction_bits:fraction_bits + WORD],
                             shifted[fraction_bits + WORD:].any())),
                sticky.eq((scaled & self.lost).any()),
                self.data.eq(code),
                self.clip_mask.eq(integer.clip_mask),
                self.clamped.eq(clamped),
                self.vanished.eq(vanished),
            ]
            for chain in ([*sign, self.negative], [*magnitude, self.magnitude]):
                m.d.sync += [after.eq(before) for before, after in pairwise(chain)]
        return m


class RescaleUnit(wiring.Component):
    """Rescales one row of `cols` 32-bit values per cycle.

    Members
    -------
    i : In(stream of `rescale_layout`). o : Out(stream of `result_layout`).
    measured : Out(`measured_layout`), what `StatisticsUnit` needs of the row that `o` offers.
    clear : In(1), clears `saturated`. saturated : Out(1), sticky: some acc + bias left 32 bits.

    Latency: `latency` cycles. Throughput: one row per cycle; parameters may change with every row.
    Backpressure: all stages hold while a result waits.
    Arithmetic: `golden.rescale.rescale`.
    """

    latency = RescaleLane.latency

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(rescale_layout(config))),
            "o": Out(stream.Signature(result_layout(config))),
            "measured": Out(measured_layout(config)),
            "clear": In(1),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        valid = Signal(self.latency)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(valid[-1]),
        ]
        params, tag = [self.i.p.params], [self.i.p.tag]
        for stage in range(self.latency):
            tag.append(Signal.like(self.i.p.tag, name=f"tag_{stage}", reset_less=True))
        for stage in range(self.latency - 1):
            params.append(Signal(RESCALE_LAYOUT, name=f"params_{stage}", reset_less=True))
        with m.If(advance):
            m.d.sync += valid.eq(Cat(self.i.valid, valid[:-1]))
            for chain in (params, tag):
                m.d.sync += [after.eq(before) for before, after in pairwise(chain)]
        lost = Signal(Dyadic.MAX_SHIFT)
        m.d.comb += lost.eq((Const(1, 1) << params[2].shift) - 1)
        saturated = []
        for c in range(self.config.cols):
            lane = place(m, platform, f"rescale_lane_{c}", RescaleLane(self.config))
            m.d.comb += [
                lane.value.eq(self.i.p.values[c]),
                lane.bias.eq(self.i.p.bias[c]),
                lane.mask.eq(self.i.p.mask[c]),
                lane.enable.eq(advance),
                lane.multiplier.eq(params[1].multiplier),
                lane.shift.eq(params[2].shift),
                lane.lost.eq(lost),
                lane.format.eq(params[3].format),
                lane.zero_point.eq(params[3].zero_point),
                self.o.p.data[c].eq(lane.data),
                self.o.p.mask[c].eq(lane.clip_mask),
                self.measured.lanes[c].eq(Cat(
                    lane.magnitude, lane.negative, lane.clamped, lane.vanished)),
            ]
            saturated.append(lane.saturated & self.i.p.tag.keep[c])
            if self.config.stochastic:
                generator = place(m, platform, f"xorshift_{c}", Xorshift(self.config))
                m.d.comb += [
                    generator.seed.eq(params[3].seed),
                    generator.constant.eq(lane_constant(c)),
                    generator.first.eq(tag[3].first),
                    generator.enable.eq(advance & valid[2] & params[3].stochastic),
                    lane.stochastic.eq(params[3].stochastic),
                    lane.word.eq(generator.word),
                ]
        m.d.comb += [self.o.p.tag.eq(tag[-1]), self.measured.keep.eq(tag[-1].keep)]
        with m.If(self.i.valid & self.i.ready & Cat(saturated).any()):
            m.d.sync += self.saturated.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.saturated.eq(0)
        return m
