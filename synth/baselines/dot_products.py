# SPDX-License-Identifier: Apache-2.0
"""Dot products that share one accumulation, as matrix units are built, and those of floats.

Products of one cycle are summed as integers; what they have in common, an exponent or a block's
scales, goes beside the sum. One adder then joins that with a sum in a lean format
(`synth.baselines.dot_model.accumulate`): the smaller is shifted, cut off, and the result as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from synth.baselines.arithmetic import (
    add,
    and_array,
    compress,
    magnitude,
    named,
    normalise,
    shift_down,
    signed_columns,
)
from synth.baselines.float_mac import Operand
from synth.baselines.minifloat import (
    BFLOAT16,
    BINARY16,
    DLFLOAT16,
    FP8_143,
    FP8_152,
    SINGLE,
    MiniFloat,
)
from synth.baselines.pipeline import Mac, MacParameters, register


@dataclass(frozen=True)
class DotParameters(MacParameters):
    """Of a dot product.

    Members
    -------
    stages : as of `MacParameters`. lanes : products per cycle, 4, 8, 16 or 32. format : of the sum,
        lean. guard : bits of the frame below the sum's, or the dot product's; 1 or more.
    """

    lanes: int = 32
    format: MiniFloat = SINGLE
    guard: int = 2

    @property
    def variant(self) -> str:
        return f"{self.lanes} into {self.format.name}"


class Dot(Mac):
    """acc <- acc + the dot product of a and b; see `Mac`, whose `enable` and `first` it has.

    Operands hold `lanes` codes, the first one lowest, and above them what the codes share.
    Subclasses give `swept` (the depths that a sweep measures), `width` (bits of the dot product's
    magnitude), `scale` (the value of a magnitude is m 2^(exponent - scale)) and `term`, which makes
    of operands, enable and first: sign, magnitude, exponent, whether an operand is no number, and
    enable and first behind the same cuts.
    """

    entry = "distance"
    front: tuple[str, ...]
    loop = ("distance", "align", "sum", "normalise", "pack")
    config: DotParameters
    swept: tuple[int, ...]
    width: int
    scale: int
    term: Callable[..., list[Value]]

    def __init__(self, config: DotParameters, a_bits: int, b_bits: int):
        self.places = (*self.front, *self.loop)
        for name, right, expected in (
                ("lanes", config.lanes in (4, 8, 16, 32), "4, 8, 16 or 32"),
                ("format", not config.format.ieee, "a lean format"),
                ("guard", config.guard >= 1, "1 or more")):
            if not right:
                self._MustUse__used = True  # refused, not forgotten
                raise ValueError(f"{name} = {getattr(config, name)!r} is out of range: expected "
                                 f"{expected}")
        super().__init__(config, a_bits, b_bits, config.format.width)

    @property
    def lanes(self) -> int:
        return self.config.lanes

    @property
    def frame(self) -> int:
        return max(self.config.format.precision, self.width) + self.config.guard

    def elaborate(self, platform):
        m = Module()
        a, b, enable, first = register(m, "operand", self.a, self.b, self.enable, self.first)
        sign, term, exponent, symbol, enable, first = self.term(m, a, b, enable, first)
        fmt, frame, p = self.config.format, self.frame, self.config.format.precision

        # Distance of the places of the leading ones, the sum's on top of it if it is negative.
        total = Signal(fmt.width, reset_less=True)
        m.d.comb += self.acc.eq(total)
        c = Operand(m, fmt, named(m, Mux(first, 0, total)), written=True)
        live = named(m, enable & term.any())
        term = term & enable.replicate(len(term))
        beyond = self.width - 1 - self.scale + fmt.bias  # of the exponent in the sum's format
        top = named(m, Cat(exponent, 0).as_signed() + beyond)
        distance = named(m, top - c.exponent)
        far = named(m, distance[-1] | ~live)
        symbol = named(m, c.nan | (symbol & enable))
        sign_c = named(m, c.sign & (c.nan | ~symbol))
        leading = named(m, Mux(far, Cat(c.exponent, 0).as_signed(), top))
        # -d = ~d + 1: one place is shifted at once
        amount = named(m, (distance.as_unsigned() ^ distance[-1].replicate(len(distance)))[:-1])
        upper = Cat(Const(0, frame - p), c.significand)
        lower = Cat(Const(0, frame - self.width), term)
        large = named(m, Mux(far, upper, lower))
        small = named(m, Mux(far, Mux(distance[-1], lower >> 1, lower), upper))
        subtract = named(m, sign ^ sign_c)
        sign = named(m, Mux(far | symbol, sign_c, sign))
        large, small, amount, leading, subtract, sign, symbol = self.cut(
            m, "distance", large, small, amount, leading, subtract, sign, symbol)

        # Align: what falls out below is forgotten.
        aligned = shift_down(m, small, amount)
        large, aligned, leading, subtract, sign, symbol = self.cut(
            m, "align", large, aligned, leading, subtract, sign, symbol)

        # Sum and its magnitude.
        size, invert, _ = magnitude(
            m, Cat(large, 0), Cat(aligned, 0) ^ subtract.replicate(frame + 1), subtract,
            Const(0, 1))
        size, leading, sign, symbol = self.cut(
            m, "sum", size, leading, named(m, sign ^ (invert & ~symbol)), symbol)

        # Normalise, and cut off.
        def cut(n, *values):
            nonlocal leading, sign, symbol
            if n != 8:
                return values
            leading, sign, symbol, *values = self.cut(
                m, "normalise", leading, sign, symbol, *values)
            return values

        kept, _, amount = normalise(m, named(m, size), Const(0, 1), p, None, cut)
        kept, leading, amount, sign, symbol = self.cut(
            m, "pack", kept, leading, amount, sign, symbol)
        exponent = named(m, leading + 1 - amount)
        normal = named(m, kept[-1] & (exponent > 0))
        field = exponent[:fmt.exponent]
        symbol = named(m, symbol | (normal & ((exponent > fmt.top)
                                              | (field.all() & kept[:-1].all()))))
        code = Cat(kept[:-1], field) & normal.replicate(fmt.width - 1)
        m.d.sync += total.eq(Cat(code | symbol.replicate(fmt.width - 1), sign & (normal | symbol)))
        return m

    def summed(self, m: Module, products: list[tuple[Value, Value]], *beside: Value) -> list[Value]:
        """Sign and magnitude of the sum of (sign, magnitude), and the values beside it."""
        x, y, *beside = self.cut(m, "tree", *compress(m, signed_columns(products)), *beside)
        total = named(m, add(m, x, y))
        sign = total[-1]
        size = total[:-1] ^ sign.replicate(len(total) - 1)
        size = named(m, add(m, size, Cat(sign, Const(0, len(total) - 2))))
        return self.cut(m, "magnitude", sign, size, *beside)


class FloatDot(Dot):
    """Of floating-point codes: products are aligned to the largest exponent. See `Dot` and
    `dot_model.aligned`. Subclasses give the formats of a and b.

    As many bits of a product are kept as the sum has and lanes count in bits: what all lanes lose
    together is below the last place of a sum as large as the largest product.
    """

    a_format: MiniFloat
    b_format: MiniFloat

    swept = (8,)  # one less is slower, one more no denser
    front = ("product", "largest", "shift", "tree", "magnitude")
    cuts = (
        (),
        ("tree",),
        ("shift", "sum"),
        ("product", "tree", "sum"),
        ("product", "shift", "magnitude", "sum"),
        ("product", "largest", "tree", "magnitude", "sum"),
        ("product", "largest", "tree", "magnitude", "sum", "pack"),
        ("product", "largest", "shift", "tree", "magnitude", "sum", "pack"),
        ("product", "largest", "shift", "tree", "magnitude", "align", "sum", "pack"),
        ("product", "largest", "shift", "tree", "magnitude", "distance", "align", "sum", "pack"),
    )

    def __init__(self, config: DotParameters):
        super().__init__(config, self.a_format.width * config.lanes,
                         self.b_format.width * config.lanes)

    @property
    def kept(self) -> int:
        return self.config.format.precision + (self.config.lanes - 1).bit_length()

    @property
    def width(self) -> int:
        return self.kept + (self.config.lanes - 1).bit_length()

    @property
    def lost(self) -> int:
        """Lower bits of a product that the frame has not; negative: that many zeros below it."""
        return self.a_format.precision + self.b_format.precision - self.kept

    @property
    def scale(self) -> int:
        return sum(fmt.bias + fmt.fraction for fmt in (self.a_format, self.b_format)) - self.lost

    def term(self, m, a, b, enable, first):
        products, exponents, symbol = [], [], Const(0, 1)
        for lane in range(self.config.lanes):
            x = Operand(m, self.a_format, a.word_select(lane, self.a_format.width))
            y = Operand(m, self.b_format, b.word_select(lane, self.b_format.width))
            size = named(m, add(m, *compress(m, and_array(x.significand, y.significand))))
            live = named(m, ~x.zero & ~y.zero)
            exponent = named(m, x.exponent + y.exponent)
            if not (self.a_format.ieee and self.b_format.ieee):
                # a lean zero has a significand, its fraction
                size = named(m, size & live.replicate(len(size)))
            products.append((x.sign ^ y.sign, size))
            exponents.append(named(m, exponent & live.replicate(len(exponent))))
            symbol = symbol | x.nan | x.inf | y.nan | y.inf

        # The largest exponent: half of its comparisons beside the products.
        largest, half = list(exponents), len(exponents) >> (self.config.lanes.bit_length() - 1) // 2
        while len(largest) > half:
            largest = _larger(m, largest)
        products, (*exponents, symbol, enable, first) = cut_products(
            self, m, products, (*exponents, *largest, named(m, symbol), enable, first))
        exponents, largest = exponents[:len(products)], exponents[len(products):]
        while len(largest) > 1:
            largest = _larger(m, largest)
        products, (*exponents, exponent, symbol, enable, first) = cut_products(
            self, m, products, (*exponents, *largest, symbol, enable, first), "largest")

        # What is not the largest is shifted by what it lacks.
        amounts = [named(m, (exponent - x)[:len(x)]) for x in exponents]
        aligned = []
        for (sign, size), amount in zip(products, amounts, strict=True):
            size = size[self.lost:] if self.lost > 0 else Cat(Const(0, -self.lost), size)
            aligned.append((sign, shift_down(m, size, amount)))
        products, (exponent, symbol, enable, first) = cut_products(
            self, m, aligned, (exponent, symbol, enable, first), "shift")
        return self.summed(m, products, exponent, symbol, enable, first)


class Dlfloat16Dot(FloatDot):
    """1-6-9 operands, after DLFloat. See `FloatDot`."""

    a_format = b_format = DLFLOAT16


class Fp16Dot(FloatDot):
    """binary16 operands with subnormals; infinities count as no number. See `FloatDot`."""

    a_format = b_format = BINARY16


class Bf16Dot(FloatDot):
    """bfloat16 operands without subnormals. See `FloatDot`."""

    a_format = b_format = BFLOAT16


class Fp8Dot(FloatDot):
    """Hybrid FP8: 1-4-3 times 1-5-2. See `FloatDot`."""

    a_format, b_format = FP8_143, FP8_152


def _larger(m: Module, values: list[Value]) -> list[Value]:
    """Of each pair the larger."""
    return [named(m, Mux(x > y, x, y))
            for x, y in zip(values[::2], values[1::2], strict=True)]


def cut_products(dot: Dot, m: Module, products: list[tuple[Value, Value]],
                 beside: tuple[Value, ...], place: str = "product",
                 ) -> tuple[list[tuple[Value, Value]], list[Value]]:
    """Products and what is beside them, behind a place."""
    signs, sizes = zip(*products, strict=True)
    found = dot.cut(m, place, *signs, *sizes, *beside)
    lanes = len(products)
    return list(zip(found[:lanes], found[lanes:2 * lanes], strict=True)), found[2 * lanes:]
