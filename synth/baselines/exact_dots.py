# SPDX-License-Identifier: Apache-2.0
"""Dot products of floats whose sum is exact: fixed point, wide enough for every product.

Nothing is aligned to anything, rounded or normalised (U. Kulisch, *Computer Arithmetic and
Validity*, 2013): a product is shifted to its own place, all of them and the sum are integers.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from synth.baselines.arithmetic import add, and_array, compress, named, signed_columns
from synth.baselines.float_mac import Operand
from synth.baselines.minifloat import BINARY16, DLFLOAT16, FP8_143, FP8_152, MiniFloat
from synth.baselines.pipeline import LaneParameters, Mac, register

HEADROOM = 16  # bits: 2^16 of the largest dot products have room


class ExactDot(Mac):
    """acc <- acc + the dot product of a and b, exact; see `Mac` for the other ports.

    Operands hold `lanes` codes, the first one lowest. The sum is an integer in two's complement,
    modulo 2^`width`, of units 2^-`scale`; the bit above it says that an operand was no number, and
    then the sum means nothing. Subclasses give the formats of a and b, whose range is that of
    five or six bits of exponent.
    """

    a_format: MiniFloat
    b_format: MiniFloat

    places = ("product", "shift", "upper", "tree", "pair")
    entry = None  # the loop is the addition alone
    cuts = (
        (),
        ("tree",),
        ("shift", "pair"),
        ("shift", "tree", "pair"),
        ("product", "shift", "tree", "pair"),
        ("product", "shift", "upper", "tree", "pair"),
    )
    swept = (3, 4, 5)

    def __init__(self, config: LaneParameters):
        self.config = config
        super().__init__(config, self.a_format.width * config.lanes,
                         self.b_format.width * config.lanes, self.width + 1)

    @property
    def lanes(self) -> int:
        return self.config.lanes

    @property
    def formats(self) -> tuple[MiniFloat, MiniFloat]:
        return self.a_format, self.b_format

    @property
    def farthest(self) -> int:
        """Places between the least exponent of a product and the largest."""
        return sum(fmt.top - fmt.ieee - 1 for fmt in self.formats)

    @property
    def scale(self) -> int:
        """Both exponents are 1 or more."""
        return sum(fmt.bias + fmt.fraction - 1 for fmt in self.formats)

    @property
    def width(self) -> int:
        """Of the sum, with a sign."""
        return self.reach + (self.lanes - 1).bit_length() + HEADROOM + 1

    @property
    def reach(self) -> int:
        """Bits of the largest product."""
        return sum(fmt.precision for fmt in self.formats) + self.farthest

    def elaborate(self, platform):
        m = Module()
        a, b, enable, first = register(m, "operand", self.a, self.b, self.enable, self.first)

        # Products, and how far each is from the least.
        signs, sizes, amounts, symbol = [], [], [], Const(0, 1)
        for lane in range(self.lanes):
            x = Operand(m, self.a_format, a.word_select(lane, self.a_format.width))
            y = Operand(m, self.b_format, b.word_select(lane, self.b_format.width))
            size = named(m, add(m, *compress(m, and_array(x.significand, y.significand))))
            # a lean zero has a significand, its fraction
            live = named(m, enable & ~x.zero & ~y.zero)
            signs.append(x.sign ^ y.sign)
            sizes.append(named(m, size & live.replicate(len(size))))
            amounts.append(named(m, (x.exponent + y.exponent - 2)[:self.farthest.bit_length()]))
            symbol = symbol | x.nan | x.inf | y.nan | y.inf
        lanes = self.lanes
        *found, symbol, first = self.cut(m, "product", *signs, *sizes, *amounts,
                                         named(m, symbol & enable), first)
        signs, sizes, amounts = found[:lanes], found[lanes:2 * lanes], found[2 * lanes:]

        # To their places.
        sizes = [self._shifted(m, *each) for each in zip(sizes, amounts, strict=True)]
        *found, symbol, first = self.cut(m, "shift", *signs, *sizes, symbol, first)

        # Their sum, in two rows and in one.
        columns = signed_columns(list(zip(found[:lanes], found[lanes:], strict=True)))
        columns, symbol, first = self.levels(m, columns, ("upper",), symbol, first)
        x, y, symbol, first = self.cut(m, "tree", *compress(m, columns), symbol, first)
        term, symbol, first = self.cut(m, "pair", named(m, add(m, x, y)), symbol, first)

        # Accumulate.
        total, no_number = Signal(self.width, reset_less=True), Signal(reset_less=True)
        beyond = term[-1].replicate(self.width - len(term))
        m.d.sync += [total.eq(add(m, named(m, Mux(first, 0, total)), Cat(term, beyond))),
                     no_number.eq(symbol | (no_number & ~first))]
        m.d.comb += self.acc.eq(Cat(total, no_number))
        return m

    def _shifted(self, m: Module, size: Value, amount: Value) -> Value:
        """To the left; short shifts come first, while the vector is still narrow."""
        for k, bit in enumerate(amount):
            zeros = Const(0, 1 << k)
            size = named(m, Mux(bit, Cat(zeros, size), Cat(size, zeros))[:self.reach])
        return size


class Dlfloat16ExactDot(ExactDot):
    """1-6-9 operands, after DLFloat. See `ExactDot`."""

    a_format = b_format = DLFLOAT16


class Fp16ExactDot(ExactDot):
    """binary16 operands with subnormals; infinities count as no number. See `ExactDot`."""

    a_format = b_format = BINARY16


class Fp8ExactDot(ExactDot):
    """Hybrid FP8: 1-4-3 times 1-5-2. See `ExactDot`."""

    a_format, b_format = FP8_143, FP8_152
