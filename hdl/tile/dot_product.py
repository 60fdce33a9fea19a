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
    digits_layout,
    joined,
    offset_binary,
    operands_layout,
    partial_width,
    with_signs,
)

LEVELS = 3  # of full adders that one cycle has time for behind the multipliers


def cuts(config: Config) -> tuple[int, ...]:
    """How many addends the registers that cut the adder tree hold, cut by cut."""
    height = config.lanes
    if config.is_fpga:
        height //= 2  # one level of adders
    else:
        for _ in range(LEVELS):
            height -= height // 3
    return {1: (), 2: (3,), 3: (max(height, 2), 2)}[config.pipeline]


def lane_sum_width(config: Config) -> int:
    """Bits of the sum of all lanes' partial products."""
    return (config.lanes * (2**partial_width(config) - 1)).bit_length()


class LaneSum(wiring.Component):
    """The sum of all lanes' partial products: what a cell of the tile accumulates.

    Members
    -------
    operands : In, `lanes` operands a, as `DigitMultiplier` takes them. at : In, the positions of
        `lanes` operands b.
    enable : In(latency), one per stage: its registers hold while 0.
    sum : Out(unsigned); `hdl.tile.multiplier.joined` says what it is worth.

    Latency: `latency(config)` cycles. Throughput: one per cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "operands": In(data.ArrayLayout(operands_layout(config), config.lanes)),
            "at": In(data.ArrayLayout(digits_layout(config)["at"].shape, config.lanes)),
            "enable": In(self.latency(config)),
            "sum": Out(lane_sum_width(config)),
        })

    @staticmethod
    def latency(config: Config) -> int:
        return config.pipeline

    def elaborate(self, platform):
        m = Module()
        chains = self.config.is_fpga

        # Cycle 0: partial products, and fewer addends; then, cycle by cycle, fewer again.
        addends = []
        for lane in range(self.config.lanes):
            multiplier = place(
                m, platform, f"digit_multiplier_{lane}", DigitMultiplier(self.config))
            m.d.comb += [
                multiplier.operands.eq(self.operands[lane]),
                multiplier.at.eq(self.at[lane]),
            ]
            addends.append(Addend(0, multiplier.partial))
        for stage, height in enumerate(cuts(self.config)):
            addends = reduce_addends(m, platform, addends, height, f"adder_{stage}", chains)
            for i, (position, bits) in enumerate(addends):
                register = Signal(len(bits), name=f"addend_{stage}_{i}", reset_less=True)
                with m.If(self.enable[stage]):
                    m.d.sync += register.eq(bits)
                addends[i] = Addend(position, register)

        # Last cycle: two addends, one sum.
        total = Signal.like(self.sum, reset_less=True)
        with m.If(self.enable[-1]):
            m.d.sync += total.eq(sum_of(
                reduce_addends(m, platform, addends, 2, "adder", chains)))
        m.d.comb += self.sum.eq(total)
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
        split = Signal(self.latency(config), reset_less=True)
        with m.If(self.enable):
            m.d.sync += split.eq(Cat(self.b_format == BFormat.INT4, split))
        m.d.comb += [
            products.enable.eq(self.enable.replicate(self.latency(config))),
            zeros.enable.eq(self.enable.replicate(self.latency(config))),
            self.sum.eq(sum_of(joined(products.sum, split[-1], config))
                        - sum_of(joined(zeros.sum, split[-1], config))),
        ]
        return m
