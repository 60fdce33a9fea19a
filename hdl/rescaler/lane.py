# SPDX-License-Identifier: Apache-2.0
"""A lane of the rescaling unit: what happens to one value of a row, from accumulator to code."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import ZERO_POINT_WIDTH
from golden.random_words import WORD_BITS
from hdl.layouts import WORD
from hdl.library import place
from hdl.rescaler.kinds import KIND_LAYOUT
from hdl.rescaler.rounding import WHOLE_WIDTH, Rounder, fraction_width
from hdl.rescaler.scale_multiplier import (
    MULTIPLIER_LAYOUT,
    PRODUCT_WIDTH,
    RECODED_WIDTH,
    ScaleMultiplier,
)
from hdl.rescaler.serial_multiplier import SerialMultiplier

STEPS = [2 << i for i in reversed(range(Dyadic.SHIFT_WIDTH - 1))]  # places of the shifter's stages
OVER = PRODUCT_WIDTH - WORD  # shifts of two places, less one, after which nothing reaches 2**32


class RescaleLane(wiring.Component):
    """One column of the rescaling unit; each member is read or valid in the cycle that it names.

    Members
    -------
    enable : In(1), all stages hold while 0.
    value, bias : In(signed 32), mask : In(1), cycle 0.
    saturated : Out(1), cycle 1: the sum left 32 bits.
    multiplier : In, cycle 2: digits, or the number itself with `Config.serial`.
    sign, magnitude : Out, cycle 2: the input after bias and mask.
    shift : In(6), over : In, cycle 4: `over[i]` says that the shift is less than 2 * (i + 1).
    kind : In(KIND_LAYOUT), zero_point : In(signed 16), word : In(24), cycle 5.
    kind_1 : In(KIND_LAYOUT), cycle 6.
    data : Out(32). clip_mask, clamped, vanished : Out(1), as the rounder's, cycle 7.

    Latency: `latency` cycles. With `Config.serial` a row waits in cycle 2 for its product.
    """

    latency = 5 + Rounder.latency

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "enable": In(1),
            "value": In(signed(WORD)),
            "bias": In(signed(WORD)),
            "mask": In(1),
            "saturated": Out(1),
            "multiplier": In(RECODED_WIDTH if config.serial else MULTIPLIER_LAYOUT),
            "sign": Out(1),
            "magnitude": Out(WORD),
            "shift": In(Dyadic.SHIFT_WIDTH),
            "over": In(OVER // 2),
            "kind": In(KIND_LAYOUT),
            "zero_point": In(signed(ZERO_POINT_WIDTH)),
            "word": In(WORD_BITS),
            "kind_1": In(KIND_LAYOUT),
            "data": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fraction_bits = fraction_width(self.config)

        # Cycle 0: bias.
        total = Signal(signed(WORD + 1), reset_less=True)
        counts = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += [total.eq(self.value + self.bias), counts.eq(self.mask)]

        # Cycle 1: sign and magnitude; a sum that left 32 bits saturates; a masked one is 0.
        negative = total[-1]
        inside = Signal()
        folded = total[:WORD] ^ negative.replicate(WORD)
        end = Cat((~negative).replicate(WORD - 1), negative)  # 2**31 - 1, or 2**31
        m.d.comb += [
            self.saturated.eq(total[-1] != total[-2]),
            inside.eq(counts & ~self.saturated),
        ]
        magnitude = Signal(WORD, reset_less=True)
        sign_2 = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                magnitude.eq(((folded + negative) & inside.replicate(WORD))
                             | (end & (counts & self.saturated).replicate(WORD))),
                sign_2.eq(negative & counts),
            ]

        # Cycle 2 and 3: the product.
        m.d.comb += [self.magnitude.eq(magnitude), self.sign.eq(sign_2)]
        if self.config.serial:
            # a while after `enable`: then its factors are there, and hold until cycle 3 is over
            multiplier = place(m, platform, "serial_multiplier", SerialMultiplier(self.config))
            m.d.sync += multiplier.start.eq(self.enable)
            m.d.comb += multiplier.number.eq(self.multiplier)
        else:
            multiplier = place(m, platform, "scale_multiplier", ScaleMultiplier(self.config))
            m.d.comb += [multiplier.enable.eq(self.enable),
                         multiplier.multiplier.eq(self.multiplier)]
        m.d.comb += multiplier.magnitude.eq(magnitude)
        sign_3 = Signal(reset_less=True)
        sign_4 = Signal(reset_less=True)
        product = Signal(PRODUCT_WIDTH, reset_less=True)
        with m.If(self.enable):
            m.d.sync += [sign_3.eq(sign_2), sign_4.eq(sign_3), product.eq(multiplier.product)]

        # Cycle 4: shift down to the fraction; what is lost only counts as sticky.
        shifted = Cat(Const(0, fraction_bits - 1), product)
        lost, reach = [], sum(STEPS)
        for places, by in zip(STEPS, reversed(self.shift[1:]), strict=True):
            reach -= places
            lost.append(by & shifted[:places].any())
            after = Signal(fraction_bits + WORD + reach, name=f"shifted_{places}")
            m.d.comb += after.eq(Mux(by, shifted[places:], shifted))
            shifted = after
        high = Cat(product[WORD + 1:], Const(0, 1))
        over = Cat(self.over[i] & high[2 * i:2 * i + 2].any() for i in range(len(self.over))).any()
        sign_5 = Signal(reset_less=True)
        whole = Signal(WHOLE_WIDTH, reset_less=True)
        fraction = Signal(fraction_bits, reset_less=True)
        sticky = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                sign_5.eq(sign_4),
                whole.eq(Cat(shifted[fraction_bits:], over)),
                fraction.eq(shifted[:fraction_bits]),
                sticky.eq(Cat(lost).any()),
            ]

        # Cycles 5 and 6: round.
        rounder = place(m, platform, "rounder", Rounder(self.config))
        m.d.comb += [
            rounder.enable.eq(self.enable),
            rounder.kind.eq(self.kind),
            rounder.zero_point.eq(self.zero_point),
            rounder.sign.eq(sign_5),
            rounder.whole.eq(whole),
            rounder.fraction.eq(fraction),
            rounder.sticky.eq(sticky),
            rounder.word.eq(self.word),
            rounder.kind_1.eq(self.kind_1),
        ]

        # Cycle 7.
        m.d.comb += [
            self.data.eq(rounder.code),
            self.clip_mask.eq(rounder.clip_mask),
            self.clamped.eq(rounder.clamped),
            self.vanished.eq(rounder.vanished),
        ]
        return m
