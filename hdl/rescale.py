# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: bias, dyadic multiplier, rounding, zero point, clamp, log encoding."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.formats import FP4_R2, FP4_R4
from golden.rescale import ZERO_POINT_WIDTH
from golden.xorshift import WORD_BITS, lane_constant
from hdl.compressor import Columns
from hdl.layouts import (
    RESCALE_LAYOUT,
    WORD,
    OutFormat,
    measured_layout,
    outcome_layout,
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
from hdl.squares import DIGIT_LAYOUT, booth_digit, multiple
from hdl.xorshift import Xorshift

RECODED_WIDTH = Dyadic.WIDTH + 1  # the multiplier, doubled where the shift is even
# |acc + bias| <= 2**31, times 17 bits: below 2**48. Its lowest bit is half a unit of 2**-shift.
PRODUCT_WIDTH = WORD - 1 + RECODED_WIDTH
STEPS = [2 << i for i in reversed(range(Dyadic.SHIFT_WIDTH - 1))]  # places of the shifter's stages
OVER = PRODUCT_WIDTH - WORD  # shifts of two places, less one, after which nothing reaches 2**32

MULTIPLIER_LAYOUT = data.StructLayout({
    "number": RECODED_WIDTH,
    "digits": data.ArrayLayout(DIGIT_LAYOUT, RECODED_WIDTH // 2 + 1),
})


def recoded(m: Module, params, name: str):
    """The multiplier as radix-4 digits, for all lanes. An even shift doubles it, so that what is
    left to shift is two places a step."""
    result = Signal(MULTIPLIER_LAYOUT, name=name)
    m.d.comb += result.number.eq(Mux(params.shift[0], params.multiplier, params.multiplier << 1))
    bits = Cat(Const(0, 1), result.number, Const(0, 2))
    for i, digit in enumerate(result.digits):
        m.d.comb += digit.eq(booth_digit(*bits[2 * i:2 * i + 3]))
    return result


class RescaleLane(wiring.Component):
    """One column of the rescaling unit.

    Members
    -------
    value, bias : In(signed 32). mask : In(1). enable : In(1), all stages hold while 0.
    multiplier, shift, over, format, zero_point, stochastic, word : In, the parameters at the stage
        that reads them; `over[i]` says that the shift is less than 2 * (i + 1).
    data : Out(32). clip_mask : Out(1). clamped, vanished : Out(1), as the rounders'.
    measured : Out(signed 32), the input after bias and mask, at stage 1.
    saturated : Out(1), the sum in stage 0 leaves 32 bits (combinational).
    """

    latency = 5

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "value": In(signed(WORD)),
            "bias": In(signed(WORD)),
            "mask": In(1),
            "enable": In(1),
            "multiplier": In(MULTIPLIER_LAYOUT),  # at stage 1
            "shift": In(Dyadic.SHIFT_WIDTH),  # at stage 3
            "over": In(OVER // 2),  # at stage 3
            "format": In(OutFormat),  # at stage 4
            "zero_point": In(signed(ZERO_POINT_WIDTH)),  # at stage 4
            "stochastic": In(1),  # at stage 4
            "word": In(WORD_BITS),  # at stage 4
            "data": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
            "measured": Out(signed(WORD)),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fraction_bits = fraction_width(self.config)

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # Cycle 0: saturating bias addition and mask.
        total = Signal(signed(WORD + 1))
        word = register(signed(WORD), "word")
        m.d.comb += [
            total.eq(self.value + self.bias),
            self.saturated.eq(total[-1] != total[-2]),
            self.measured.eq(word),
        ]
        inside = Mux(self.saturated, Cat((~total[-1]).replicate(WORD - 1), total[-1]), total[:WORD])
        # Cycle 1: the product of the magnitudes, as two rows that are still to be added.
        partial = self._product(m, platform, word)
        rows = [register(PRODUCT_WIDTH, f"row_{i}") for i in range(2)]
        # Cycle 2: their sum.
        product = register(PRODUCT_WIDTH, "product")
        sign = [register(1, f"sign_{i}") for i in range(self.latency - 2)]
        # Cycle 3: shift down to the fraction; what is lost only counts as sticky.
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
        whole = register(WHOLE_WIDTH, "whole")
        fraction = register(fraction_bits, "fraction")
        sticky = register(1, "sticky")
        # Cycle 4: round.
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
        inputs = {"sign": sign[-1], "whole": whole, "fraction": fraction, "sticky": sticky,
                  "stochastic": self.stochastic, "word": self.word}
        for rounder in rounders:
            m.d.comb += [getattr(rounder, name).eq(inputs[name])
                         for name in magnitude_ports(self.config) if name in inputs]
        with m.If(self.enable):
            m.d.sync += [
                word.eq(inside & self.mask.replicate(WORD)),
                *(row.eq(bits) for row, bits in zip(rows, partial, strict=True)),
                product.eq(rows[0] + rows[1]),
                fraction.eq(shifted[:fraction_bits]),
                whole.eq(Cat(shifted[fraction_bits:], over)),
                sticky.eq(Cat(lost).any()),
                self.data.eq(code),
                self.clip_mask.eq(integer.clip_mask),
                self.clamped.eq(clamped),
                self.vanished.eq(vanished),
            ]
            m.d.sync += [after.eq(before) for before, after in pairwise([word[-1], *sign])]
        return m

    def _product(self, m: Module, platform, word):
        """|word| times the multiplier, as two rows; |word| is `word ^ sign`, plus the sign."""
        columns, constant = Columns(PRODUCT_WIDTH), 0
        sign = word[-1]
        folded = Signal(signed(WORD))
        m.d.comb += folded.eq(word[:-1] ^ sign.replicate(WORD - 1))
        once = Signal(RECODED_WIDTH)
        m.d.comb += once.eq(self.multiplier.number & sign.replicate(RECODED_WIDTH))
        columns.add(once)
        for i, digit in enumerate(self.multiplier.digits):
            bits = multiple(m, folded, digit, f"multiple_{i}")
            # the inverted sign bit counts 2**WORD more than the sign, which the constant takes back
            columns.add([*bits[:-1], ~digit.negative], 2 * i)
            columns.add([digit.negative], 2 * i)
            constant -= 1 << WORD + 2 * i
        columns.add_constant(constant)
        return columns.reduced(m, platform, 2, "product").rows


class RescaleUnit(wiring.Component):
    """Rescales one row of `cols` 32-bit values per cycle.

    Members
    -------
    i : In(stream of `rescale_layout`). o : Out(stream of `result_layout`).
    measured : Out(`measured_layout`), each row that counts, once, on its way through.
    outcome : Out(`outcome_layout`), of the row that `o` offers.
    clear : In(1), clears `saturated`. saturated : Out(1), sticky: some acc + bias left 32 bits.

    Latency: `latency` cycles. Throughput: one row per cycle; parameters may change with every row.
    A column that `tag.keep` leaves out counts as masked.
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
            "outcome": Out(outcome_layout(config)),
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
        digits = recoded(m, params[0], "recoded")
        multiplier = Signal(MULTIPLIER_LAYOUT, reset_less=True)
        with m.If(advance):
            m.d.sync += multiplier.eq(digits)
        over = Signal(OVER // 2)
        m.d.comb += over.eq(Cat(params[3].shift < 2 * (i + 1) for i in range(len(over))))
        saturated = []
        for c in range(self.config.cols):
            lane = place(m, platform, f"rescale_lane_{c}", RescaleLane(self.config))
            m.d.comb += [
                lane.value.eq(self.i.p.values[c]),
                lane.bias.eq(self.i.p.bias[c]),
                lane.mask.eq(self.i.p.mask[c] & self.i.p.tag.keep[c]),
                lane.enable.eq(advance),
                lane.multiplier.eq(multiplier),
                lane.shift.eq(params[3].shift),
                lane.over.eq(over),
                lane.format.eq(params[4].format),
                lane.zero_point.eq(params[4].zero_point),
                self.o.p.data[c].eq(lane.data),
                self.o.p.mask[c].eq(lane.clip_mask),
                self.measured.values[c].eq(lane.measured),
                self.outcome.clamped[c].eq(lane.clamped & tag[-1].keep[c]),
                self.outcome.vanished[c].eq(lane.vanished & tag[-1].keep[c]),
            ]
            saturated.append(lane.saturated & self.i.p.tag.keep[c])
            if self.config.stochastic:
                generator = place(m, platform, f"xorshift_{c}", Xorshift(self.config))
                m.d.comb += [
                    generator.seed.eq(params[4].seed),
                    generator.constant.eq(lane_constant(c)),
                    generator.first.eq(tag[4].first),
                    generator.enable.eq(advance & valid[3] & params[4].stochastic),
                    lane.stochastic.eq(params[4].stochastic),
                    lane.word.eq(generator.word),
                ]
        m.d.comb += [
            self.o.p.tag.eq(tag[-1]),
            self.measured.keep.eq(tag[1].keep),
            self.measured.first.eq(tag[1].first),
            self.measured.valid.eq(advance & valid[0] & tag[1].measure),
        ]
        with m.If(self.i.valid & self.i.ready & Cat(saturated).any()):
            m.d.sync += self.saturated.eq(1)
        with m.Elif(self.clear):
            m.d.sync += self.saturated.eq(0)
        return m
