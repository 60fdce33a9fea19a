# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: bias, dyadic multiplier, rounding, zero point, clamp, log encoding."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, INT32, UINT4, LogFormat
from golden.logfp4 import JOINT_STEPS
from golden.rescale import ZERO_POINT_WIDTH
from hdl.layouts import RESCALE_LAYOUT, WORD, OutFormat, rescale_layout, result_layout
from hdl.library import place

PRODUCT_WIDTH = WORD + Dyadic.WIDTH  # |acc + bias| <= 2**31, times 16 bits: below 2**47
# Fraction bits kept below the binary point: the odd phase's lowest boundary is 1.25 * 2**-8.
FRACTION = 10
WHOLE_WIDTH = WORD + 1  # integer part, saturated: clamping needs to know only that it is large
LOG_TOP = 6  # exponent of the top level, 64 = 2**6
LOG_BOTTOM = -8  # exponent of the smallest magnitude that can still round up


class RescaleLane(wiring.Component):
    """One column of the rescaling unit.

    Members
    -------
    value, bias : In(signed 32). mask : In(1). enable : In(1), all stages hold while 0.
    multiplier, shift, lost, format, zero_point : In, the parameters at the stage that reads them;
        `lost` has ones at the bits that the shift drops.
    data : Out(32). clip_mask : Out(1).
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
            "data": Out(WORD),
            "clip_mask": Out(1),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # Cycle 0: saturating bias addition, mask, sign and magnitude.
        total = Signal(signed(WORD + 1))
        m.d.comb += [
            total.eq(self.value + self.bias),
            self.saturated.eq(total[-1] != total[-2]),
        ]
        word = Signal(signed(WORD))
        m.d.comb += word.eq(Mux(
            self.saturated, Mux(total[-1], INT32.lo, INT32.hi), total[:WORD].as_signed()))
        sign, magnitude = [register(1, f"sign_{i}") for i in range(3)], register(WORD, "magnitude")
        # Cycle 1: 32 x 16 bit product of magnitudes.
        product = register(PRODUCT_WIDTH, "product")
        # Cycle 2: shift down to FRACTION bits below the point; what is lost only counts as sticky.
        shifted = Signal(PRODUCT_WIDTH + FRACTION)
        scaled = Cat(Const(0, FRACTION), product)
        m.d.comb += shifted.eq(scaled >> self.shift)
        whole = register(WHOLE_WIDTH, "whole")
        fraction = register(FRACTION, "fraction")
        sticky = register(1, "sticky")
        high = shifted[FRACTION + WORD:].any()
        with m.If(self.enable):
            m.d.sync += [
                magnitude.eq(Mux(self.mask, Mux(word < 0, -word, word), 0)),
                sign[0].eq(word < 0),
                product.eq(magnitude * self.multiplier),
                sign[1].eq(sign[0]),
                fraction.eq(shifted[:FRACTION]),
                whole.eq(Cat(shifted[FRACTION:FRACTION + WORD], high)),
                sticky.eq((scaled & self.lost).any()),
                sign[2].eq(sign[1]),
            ]

        # Cycle 3: round, add the zero point and clamp, or encode the leading one.
        code, clip_mask = self._integer(m, sign[2], whole, fraction, sticky)
        result = code
        window = Signal(LOG_TOP - LOG_BOTTOM + 3)  # down to two bits below the last exponent
        above = Signal()  # beyond the top level
        m.d.comb += [
            window.eq(Cat(fraction, whole)[:len(window)]),
            above.eq(Cat(fraction, whole)[len(window):].any()),
        ]
        for fmt, name, encode in ((FP4_R4, OutFormat.FP4_R4, self._radix4),
                                  (FP4_R2, OutFormat.FP4_R2, self._radix2)):
            if fmt in self.config.log_formats:
                result = Mux(self.format == name, encode(m, sign[2], window, above), result)
        with m.If(self.enable):
            m.d.sync += [self.data.eq(result), self.clip_mask.eq(clip_mask)]
        return m

    def _integer(self, m: Module, sign, whole, fraction, sticky):
        half = fraction[-1]
        below_half = fraction[:-1].any() | sticky
        rounded = whole + (half & (below_half | whole[0]))  # ties to even
        formats = ((OutFormat.INT4, INT4), (OutFormat.INT4_SYM, INT4_SYM),
                   (OutFormat.UINT4, UINT4))
        low, high = Const(INT32.lo), Const(INT32.hi)
        for name, fmt in formats:
            low = Mux(self.format == name, fmt.lo, low)
            high = Mux(self.format == name, fmt.hi, high)
        lo, hi = Signal(signed(WORD)), Signal(signed(WORD))
        is_code = Signal()
        zero_point = Signal.like(self.zero_point)
        value = Signal(signed(WHOLE_WIDTH + 3))  # whole + carry, a sign, and the zero point
        # the clip mask compares the unrounded value: floor(x) and whether x is an integer
        inexact = Signal()
        floor = Signal.like(value)
        m.d.comb += [
            lo.eq(low),
            hi.eq(high),
            is_code.eq(Cat(self.format == name for name, _ in formats).any()),
            zero_point.eq(Mux(is_code, self.zero_point, 0)),
            value.eq(Mux(sign, -rounded, rounded) + zero_point),
            inexact.eq(half | below_half),
            floor.eq(Mux(sign, -whole - inexact, whole) + zero_point),
        ]
        clamped = Mux(value < lo, lo, Mux(value > hi, hi, value))
        inside = ((floor > lo) | ((floor == lo) & inexact)) & (floor < hi)
        return Mux(is_code, clamped[:4], clamped[:WORD]), inside & is_code

    @staticmethod
    def _leading(m: Module, window, above, bottom: int, top: int, saturated: int, round_up):
        """Level of the leading one: exponent - bottom, plus one where it rounds up, saturated."""
        level = Const(0, range(saturated + 1))
        for exponent in range(bottom, top + 1):
            bit = exponent - LOG_BOTTOM + 2
            here = Mux(round_up(bit), min(exponent - bottom + 1, saturated),
                       min(exponent - bottom, saturated))
            level = Mux(window[bit], here, level)
        found = Signal(range(saturated + 1))
        m.d.comb += found.eq(Mux(above, saturated, level))
        return found

    def _radix4(self, m: Module, sign, window, above):
        """Both phases from the joint level q = clip(floor(log2(1.6 |y|)) + 8, 0, 14)."""
        q = self._leading(m, window, above, LOG_BOTTOM, LOG_TOP, JOINT_STEPS,
                          lambda bit: window[bit - 1] | window[bit - 2])  # mantissa >= 1.25
        even, odd = q[1:4], (q + 1)[1:4]
        return Cat(even, sign & even.any(), odd, sign & odd.any())

    def _radix2(self, m: Module, sign, window, above):
        """c = clip(floor(log2(4/3 |y|)) + 1, 0, 7)."""
        c = self._leading(m, window, above, -1, LOG_TOP, LogFormat.LEVELS,
                          lambda bit: window[bit - 1])  # mantissa >= 1.5
        return Cat(c[:3], sign & c[:3].any())


class RescaleUnit(wiring.Component):
    """Rescales one row of `cols` 32-bit values per cycle.

    Members
    -------
    i : In(stream of `rescale_layout`). o : Out(stream of `result_layout`).
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
            ]
            saturated.append(lane.saturated & self.i.p.tag.keep[c])
        m.d.comb += self.o.p.tag.eq(tag[-1])
        with m.If(self.i.valid & self.i.ready & Cat(saturated).any()):
            m.d.sync += self.saturated.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.saturated.eq(0)
        return m
