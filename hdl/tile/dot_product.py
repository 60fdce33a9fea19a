# SPDX-License-Identifier: Apache-2.0
"""Sum of `lanes` products, pipelined."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.arithmetic.addends import Addend, reduce_addends, sum_of
from hdl.layouts import BFormat
from hdl.library import place
from hdl.tile.multiplier import (
    A_WIDTH,
    DigitMultiplier,
    OperandDecoder,
    addends_of,
    digits_layout,
    offset_binary,
    operands_layout,
    parted,
    sums_layout,
    weighted,
    with_signs,
)

LEVELS = 3  # of full adders that one cycle has time for behind the multipliers


def cuts(config: Config) -> tuple[int, ...]:
    """How many addends of each part the registers that cut the trees hold, cut by cut."""
    height = config.lanes
    if config.is_fpga:
        height //= 2  # one level of adders
    else:
        for _ in range(LEVELS):
            height -= height // 3
    return {1: (), 2: (3,), 3: (max(height, 2), 2)}[config.pipeline]


class LaneSum(wiring.Component):
    """The sums of all lanes' partial products: what a cell of the tile accumulates.

    Members
    -------
    operands : In, `lanes` operands a, as `DigitMultiplier` takes them. at : In, the positions of
        `lanes` operands b.
    enable : In(latency), one per stage: its registers hold while 0.
    split : In(1), with what enters the last stage: it holds two digits each (INT4).
    sums : Out(sums_layout).

    Latency: `latency(config)` cycles. Throughput: one per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "operands": In(data.ArrayLayout(operands_layout(config), config.lanes)),
            "at": In(data.ArrayLayout(digits_layout(config)["at"].shape, config.lanes)),
            "enable": In(self.latency(config)),
            "split": In(1),
            "sums": Out(sums_layout(config)),
        })

    @staticmethod
    def latency(config: Config) -> int:
        return config.pipeline

    def elaborate(self, platform):
        m = Module()
        chains = self.config.is_fpga

        # Cycle 0: partial products, and fewer addends; then, cycle by cycle, fewer again.
        products = []
        for lane in range(self.config.lanes):
            multiplier = place(
                m, platform, f"digit_multiplier_{lane}", DigitMultiplier(self.config))
            m.d.comb += [
                multiplier.operands.eq(self.operands[lane]),
                multiplier.at.eq(self.at[lane]),
            ]
            products.append(parted(multiplier.partial, self.config))
        parts = dict(zip(("low", "high"), map(list, zip(*products, strict=True)), strict=True))
        for stage, height in enumerate(cuts(self.config)):
            for part, addends in parts.items():
                name = f"{part}_{stage}"
                parts[part] = reduce_addends(m, platform, addends, height, name, chains)
                for i, (position, bits) in enumerate(parts[part]):
                    register = Signal(len(bits), name=f"{name}_addend_{i}", reset_less=True)
                    with m.If(self.enable[stage]):
                        m.d.sync += register.eq(bits)
                    parts[part][i] = Addend(position, register)

        # Last cycle: one sum of each part.
        total = Signal.like(self.sums, reset_less=True)
        low, high = (sum_of(reduce_addends(m, platform, addends, 2, part, chains))
                     for part, addends in parts.items())
        with m.If(self.enable[-1]):
            m.d.sync += [
                total.low.eq(low),
                total.high.eq(weighted(high, self.split, self.config)),
            ]
        m.d.comb += self.sums.eq(total)
        return m


class DotProduct(wiring.Component):
    """`sum = sum over lanes of a * b`, for those who want one dot product alone.

    Members
    -------
    a, b : In, `lanes` codes each. a_signed : In(1), a is INT4 rather than UINT4.
    b_format : In(BFormat), how b is read.
    enable : In(1), everything holds while 0.
    sum : Out(signed), exact: product width + log2(lanes).

    Latency: `latency(config)` cycles from operands to their sum, counted while `enable` is 1.
    Throughput: one per cycle.
    Arithmetic: `golden.gemm.gemm`.
    """

    def __init__(self, config: Config):
        self.config = config
        codes = data.ArrayLayout(4, config.lanes)
        super().__init__({
            "a": In(codes),
            "a_signed": In(1),
            "b": In(codes),
            "b_format": In(BFormat),
            "enable": In(1),
            "sum": Out(signed(config.dot_width)),
        })

    @staticmethod
    def latency(config: Config) -> int:
        return config.pipeline

    def elaborate(self, platform):
        m = Module()
        config = self.config
        products = place(m, platform, "products", LaneSum(config))
        zeros = place(m, platform, "zeros", LaneSum(config))  # the excess of the products
        for lane in range(config.lanes):
            decoder = place(m, platform, f"operand_decoder_{lane}", OperandDecoder(config))
            m.d.comb += [
                decoder.code.eq(self.b[lane]),
                decoder.format.eq(self.b_format),
            ]
            for lanes, code in ((products, self.a[lane]), (zeros, Const(0, A_WIDTH))):
                m.d.comb += [
                    lanes.at[lane].eq(decoder.digits.at),
                    Cat(*lanes.operands[lane]).eq(with_signs(
                        offset_binary(code, self.a_signed), decoder.digits, config)),
                ]
        split = Signal(self.latency(config))  # of the operands in every stage
        earlier = Signal(self.latency(config) - 1, reset_less=True)
        with m.If(self.enable):
            m.d.sync += earlier.eq(split)
        m.d.comb += [
            split.eq(Cat(self.b_format == BFormat.INT4, earlier)),
            products.split.eq(split[-1]),
            zeros.split.eq(split[-1]),
            products.enable.eq(self.enable.replicate(self.latency(config))),
            zeros.enable.eq(self.enable.replicate(self.latency(config))),
            self.sum.eq(sum_of(addends_of(products.sums)) - sum_of(addends_of(zeros.sums))),
        ]
        return m
