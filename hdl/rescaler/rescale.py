# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: bias, dyadic multiplier, rounding, zero point, clamp, log encoding."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.dyadic import Dyadic
from golden.rescale import ZERO_POINT_WIDTH
from golden.xorshift import WORD_BITS, lane_constant
from hdl.arithmetic.compressor import Columns
from hdl.arithmetic.serial import SerialMultiplier, row_cycles
from hdl.arithmetic.squares import DIGIT_LAYOUT, booth_digit, multiple
from hdl.layouts import (
    RESCALE_LAYOUT,
    WORD,
    measured_layout,
    outcome_layout,
    rescale_layout,
    result_layout,
)
from hdl.library import place
from hdl.rescaler.rounding import (
    INTEGERS,
    KIND_LAYOUT,
    WHOLE_WIDTH,
    Rounder,
    fraction_width,
    kind_of,
)
from hdl.rescaler.xorshift import Xorshift

RECODED_WIDTH = Dyadic.WIDTH + 1  # the multiplier, doubled where the shift is even
# |acc + bias| <= 2**31, times 17 bits: below 2**48. Its lowest bit is half a unit of 2**-shift.
PRODUCT_WIDTH = WORD - 1 + RECODED_WIDTH
PRODUCT_ROWS = 3  # between the two cycles that add the product
STEPS = [2 << i for i in reversed(range(Dyadic.SHIFT_WIDTH - 1))]  # places of the shifter's stages
OVER = PRODUCT_WIDTH - WORD  # shifts of two places, less one, after which nothing reaches 2**32

# The multiplier as radix-4 digits; the highest is never negative.
MULTIPLIER_LAYOUT = data.ArrayLayout(DIGIT_LAYOUT, RECODED_WIDTH // 2 + 1)


def doubled(params):
    """The multiplier, doubled where the shift is even: what is left to shift is two places a step.
    """
    return Mux(params.shift[0], params.multiplier, params.multiplier << 1)


def recoded(m: Module, params, name: str):
    """The multiplier as digits, for all lanes."""
    result = Signal(MULTIPLIER_LAYOUT, name=name)
    number = Signal(RECODED_WIDTH, name=f"{name}_number")
    m.d.comb += number.eq(doubled(params))
    bits = Cat(Const(0, 1), number, Const(0, 2))
    for i, digit in enumerate(result):
        m.d.comb += digit.eq(booth_digit(*bits[2 * i:2 * i + 3]))
    return result


class RescaleLane(wiring.Component):
    """One column of the rescaling unit.

    Members
    -------
    value, bias : In(signed 32). mask : In(1). enable : In(1), all stages hold while 0.
    multiplier, shift, over, zero_point, kind, kind_1, word, thrice : In, the parameters at the
        cycle that reads them; `over[i]` says that the shift is less than 2 * (i + 1).
    data : Out(32). clip_mask : Out(1). clamped, vanished : Out(1), as the rounder's.
    sign, magnitude : Out, the input after bias and mask, after cycle 1.
    saturated : Out(1), in cycle 1: the sum left 32 bits.
    """

    latency = 5 + Rounder.latency

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "value": In(signed(WORD)),
            "bias": In(signed(WORD)),
            "mask": In(1),
            "enable": In(1),
            # in cycle 2
            "multiplier": In(RECODED_WIDTH if config.serial else MULTIPLIER_LAYOUT),
            "shift": In(Dyadic.SHIFT_WIDTH),  # in cycle 4
            "over": In(OVER // 2),  # in cycle 4
            "zero_point": In(signed(ZERO_POINT_WIDTH)),  # in cycle 5
            "kind": In(KIND_LAYOUT),  # in cycle 5
            "kind_1": In(KIND_LAYOUT),  # in cycle 6
            "word": In(WORD_BITS),  # in cycle 6
            "thrice": In(WORD_BITS + 2),  # in cycle 6
            "data": Out(WORD),
            "clip_mask": Out(1),
            "clamped": Out(1),
            "vanished": Out(1),
            "sign": Out(1),
            "magnitude": Out(WORD),
            "saturated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fraction_bits = fraction_width(self.config)

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # Cycle 0: bias.
        total = register(signed(WORD + 1), "total")
        counts = register(1, "counts")
        # Cycle 1: sign and magnitude, saturated; mask.
        negative, inside = total[-1], Signal()
        folded = total[:WORD] ^ negative.replicate(WORD)
        magnitude = register(WORD, "magnitude_1")
        sign = [register(1, f"sign_{i}") for i in range(1, 5)]
        highest = Cat((~negative).replicate(WORD - 1), negative)  # 2**31 - 1, or 2**31
        m.d.comb += [
            self.saturated.eq(total[-1] != total[-2]),
            inside.eq(counts & ~self.saturated),
            self.magnitude.eq(magnitude),
            self.sign.eq(sign[0]),
        ]
        # Cycle 2: the product, as rows that are still to be added. Cycle 3: their sum.
        if self.config.serial:
            left, right = self._serial_product(m, platform, magnitude), 0
        else:
            partial = self._product(m, platform, magnitude)
            rows = partial.registered(m, "rows", self.enable)
            left, right = rows.reduced(m, platform, 2, "sum").rows
        product = register(PRODUCT_WIDTH, "product")
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
        whole = register(WHOLE_WIDTH, "whole")
        fraction = register(fraction_bits, "fraction")
        sticky = register(1, "sticky")
        # Cycles 5 and 6: round.
        rounder = place(m, platform, "rounder", Rounder(self.config))
        for name, value in {
            "enable": self.enable, "kind": self.kind, "kind_1": self.kind_1,
            "zero_point": self.zero_point, "sign": sign[-1], "whole": whole, "fraction": fraction,
            "sticky": sticky, "word": self.word, "thrice": self.thrice,
        }.items():
            m.d.comb += getattr(rounder, name).eq(value)
        m.d.comb += [
            self.data.eq(rounder.code),
            self.clip_mask.eq(rounder.clip_mask),
            self.clamped.eq(rounder.clamped),
            self.vanished.eq(rounder.vanished),
        ]
        with m.If(self.enable):
            m.d.sync += [
                total.eq(self.value + self.bias),
                counts.eq(self.mask),
                magnitude.eq(((folded + negative) & inside.replicate(WORD))
                             | (highest & (counts & self.saturated).replicate(WORD))),
                sign[0].eq(negative & counts),
                product.eq(left + right),
                fraction.eq(shifted[:fraction_bits]),
                whole.eq(Cat(shifted[fraction_bits:], over)),
                sticky.eq(Cat(lost).any()),
                *(after.eq(before) for before, after in pairwise(sign)),
            ]
        return m

    def _serial_product(self, m: Module, platform, magnitude):
        """The product, a while after `enable`: then its factors are there, and hold. It holds until
        cycle 3 is over."""
        multiplier = place(m, platform, "serial_multiplier", SerialMultiplier(self.config))
        m.d.sync += multiplier.start.eq(self.enable)
        m.d.comb += [multiplier.magnitude.eq(magnitude), multiplier.number.eq(self.multiplier)]
        return multiplier.product

    def _product(self, m: Module, platform, magnitude) -> Columns:
        """The magnitude times the multiplier, as few rows."""
        columns, constant = Columns(PRODUCT_WIDTH), 0
        number = Signal(signed(WORD + 1))
        m.d.comb += number.eq(magnitude)
        last = len(self.multiplier) - 1
        for i, digit in enumerate(self.multiplier):
            bits = multiple(m, number, digit, f"multiple_{i}", signed=i < last)[:WORD + 1]
            columns.add(bits, 2 * i)
            if i == last:
                break
            # the sign, of weight -2**width here, as bits that are added, and a constant
            place_of_sign, minus = 2 * i + len(bits), digit.negative
            columns.add([minus], 2 * i)
            if i:
                columns.add([~minus], place_of_sign)
                constant -= 1 << place_of_sign
            else:  # keeps all columns as high as there are digits
                columns.add([minus, minus, ~minus], place_of_sign)
                constant -= 4 << place_of_sign
        columns.add_constant(constant)
        return columns.reduced(m, platform, PRODUCT_ROWS, "product")


class RescaleUnit(wiring.Component):
    """Rescales one row of `cols` 32-bit values per cycle.

    Members
    -------
    i : In(stream of `rescale_layout`). o : Out(stream of `result_layout`).
    measured : Out(`measured_layout`), each row that counts, once, on its way through.
    outcome : Out(`outcome_layout`), of the row that `o` offers.
    clear : In(1), clears `saturated`. saturated : Out(1), sticky: some acc + bias left 32 bits.

    Latency: `latency(config)` cycles. Throughput: one row per cycle, with `Config.serial` one in
    `hdl.arithmetic.serial.row_cycles`; parameters may change with every row.
    A column that `tag.keep` leaves out counts as masked.
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
        })

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        valid = Signal(RescaleLane.latency)
        room = ~self.o.valid | self.o.ready
        m.d.comb += self.o.valid.eq(valid[-1])
        # params[n] and tag[n] are read in cycle n
        params, tag = [self.i.p.params], [self.i.p.tag]
        for stage in range(RescaleLane.latency):
            tag.append(Signal.like(self.i.p.tag, name=f"tag_{stage}", reset_less=True))
        if self.config.serial:
            self._one_row(m, valid, room, advance)
            params += [Signal(RESCALE_LAYOUT, name="params_held", reset_less=True)] * 5
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += params[1].eq(params[0])
        else:
            m.d.comb += [advance.eq(room), self.i.ready.eq(advance)]
            for stage in range(5):
                params.append(Signal(RESCALE_LAYOUT, name=f"params_{stage}", reset_less=True))
            with m.If(advance):
                m.d.sync += [after.eq(before) for before, after in pairwise(params)]
        with m.If(advance):
            m.d.sync += valid.eq(Cat(self.i.valid & self.i.ready, valid[:-1]))
            m.d.sync += [after.eq(before) for before, after in pairwise(tag)]
        # What all lanes read is decoded in the cycle before.
        over = Signal(OVER // 2, reset_less=True)
        zero_point = Signal(signed(ZERO_POINT_WIDTH), reset_less=True)
        kinds = [Signal(KIND_LAYOUT, name=f"kind_{stage}", reset_less=True) for stage in range(2)]
        if self.config.serial:
            multiplier = doubled(params[1])
        else:
            multiplier = Signal(MULTIPLIER_LAYOUT, reset_less=True)
            digits = recoded(m, params[1], "recoded")
            with m.If(advance):
                m.d.sync += multiplier.eq(digits)
        kind = Signal(KIND_LAYOUT)
        is_code = Cat(kind[fmt.name] for _, fmt in INTEGERS).any()
        m.d.comb += kind.eq(kind_of(params[4]))
        with m.If(advance):
            m.d.sync += [
                over.eq(Cat(params[3].shift < 2 * (i + 1) for i in range(len(over)))),
                zero_point.eq(params[4].zero_point & is_code.replicate(ZERO_POINT_WIDTH)),
                kinds[0].eq(kind),
                kinds[1].eq(kinds[0]),
            ]
        fresh = Signal()  # a row that counts has come to cycle 2, where it may wait
        saturated = []
        for c in range(self.config.cols):
            lane = place(m, platform, f"rescale_lane_{c}", RescaleLane(self.config))
            m.d.comb += [
                lane.value.eq(self.i.p.values[c]),
                lane.bias.eq(self.i.p.bias[c]),
                lane.mask.eq(self.i.p.mask[c] & self.i.p.tag.keep[c]),
                lane.enable.eq(advance),
                lane.multiplier.eq(multiplier),
                lane.shift.eq(params[4].shift),
                lane.over.eq(over),
                lane.zero_point.eq(zero_point),
                lane.kind.eq(kinds[0]),
                lane.kind_1.eq(kinds[1]),
                self.o.p.data[c].eq(lane.data),
                self.o.p.mask[c].eq(lane.clip_mask),
                self.measured.signs[c].eq(lane.sign),
                self.measured.magnitudes[c].eq(lane.magnitude),
                self.outcome.clamped[c].eq(lane.clamped & tag[-1].keep[c]),
                self.outcome.vanished[c].eq(lane.vanished & tag[-1].keep[c]),
            ]
            saturated.append(lane.saturated & tag[1].keep[c])
            if self.config.stochastic:
                generator = place(m, platform, f"xorshift_{c}", Xorshift(self.config))
                m.d.comb += [
                    generator.seed.eq(params[5].seed),
                    generator.constant.eq(lane_constant(c)),
                    generator.first.eq(tag[5].first),
                    generator.enable.eq(advance & valid[4] & kinds[0].stochastic),
                    lane.word.eq(generator.word),
                    lane.thrice.eq(generator.thrice),
                ]
        m.d.comb += [
            self.o.p.tag.eq(tag[-1]),
            self.measured.keep.eq(tag[2].keep),
            self.measured.first.eq(tag[2].first),
            self.measured.valid.eq(fresh),
        ]
        m.d.sync += fresh.eq(advance & valid[0] & tag[1].measure)
        with m.If(advance & valid[0] & Cat(saturated).any()):
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
