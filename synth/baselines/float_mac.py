# SPDX-License-Identifier: Apache-2.0
"""Floating-point multiply-accumulators: one datapath, three formats.

A fused multiply-add with one rounding. The product is exact; a frame is fixed to it, in which the
sum of before is shifted while the product is made:

    bit W-1 ........ T ... g+q-1 ........ g ....... 0      W = T + p, T = g + q + 2
    [ the addend's p ][gap][ product, q bits ][guard g] sticky

An addend so large that it would leave the frame at the top stays there: what the product then
contributes is below a quarter of the sum's last place, and only that it is not zero counts.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from synth.baselines.arithmetic import (
    and_array,
    compress,
    magnitude,
    named,
    normalise,
    shift_right,
)
from synth.baselines.minifloat import BINARY16, DLFLOAT16, FP8_143, FP8_152, MiniFloat
from synth.baselines.pipeline import Mac, MacParameters, register


class Operand:
    """The parts of a code.

    `exponent` counts from 0 for a lean format's zero, from 1 for an IEEE one's subnormals.
    `scale` : the value is significand 2^(exponent - scale). `written` : the code comes from the
    accumulator, where zero, infinity and NaN have one form each.
    """

    def __init__(self, m: Module, fmt: MiniFloat, code: Value, written: bool = False):
        fraction, exponent = code[:fmt.fraction], code[fmt.fraction:-1]
        hidden = named(m, exponent.any())
        blank = named(m, ~fraction.any())
        top = named(m, exponent.all())
        self.sign = code[-1]
        self.significand = Cat(fraction, hidden)
        self.scale = fmt.bias + fmt.fraction
        if fmt.ieee:
            self.zero = ~hidden & blank
            self.exponent = Cat(exponent[0] | ~hidden, exponent[1:])
            self.nan = top & (fraction[-1] if written else ~blank)
            self.inf = top & (~fraction[-1] if written else blank)
        else:
            self.zero = ~hidden
            self.exponent = exponent
            self.nan = top & fraction.all()
            self.inf = Const(0, 1)


class FloatMac(Mac):
    """acc <- fma(a, b, acc) of `synth.baselines.minifloat`; see `Mac` for the ports.

    Subclasses give the formats of a, b and the sum.
    """

    a_format: MiniFloat
    b_format: MiniFloat
    format: MiniFloat

    places = ("tree", "distance", "align", "sum", "normalise", "round")
    entry = "distance"
    cuts = (  # the densest of those tried at each depth, by area and period
        (),
        ("sum",),
        ("distance", "sum"),
        ("align", "sum", "normalise"),
        ("tree", "align", "sum", "normalise"),
        ("tree", "align", "sum", "normalise", "round"),
        ("tree", "distance", "align", "sum", "normalise", "round"),
    )

    def __init__(self, config: MacParameters):
        super().__init__(config, self.a_format.width, self.b_format.width, self.format.width)

    @property
    def guard(self) -> int:
        """Places below the product, so that a cancelled sum still has all that rounding needs.

        The addend reaches below the frame with its leading one at or below p - 2 - g. A sum of both
        must keep p + 1 bits in the frame: the product's leading one is at q - 2, with subnormal
        operands at the precision of the other operand - 1, and a bit may cancel.
        """
        leading = self.product_width - 2
        if self.a_format.ieee:
            leading = min(self.a_format.precision, self.b_format.precision) - 1
        return max(0, self.format.precision + 1 - leading)

    @property
    def product_width(self) -> int:
        return self.a_format.precision + self.b_format.precision

    def elaborate(self, platform):
        m = Module()
        fmt, p, q, g = self.format, self.format.precision, self.product_width, self.guard
        top = g + q + 2
        width = top + p

        # Operand registers.
        a, b, enable, first = register(m, "operand", self.a, self.b, self.enable, self.first)

        # Product: without `enable` it is -0, which leaves any sum as it is.
        a, b = Operand(m, self.a_format, a), Operand(m, self.b_format, b)
        live = named(m, enable & ~a.zero & ~b.zero)
        nan = enable & (a.nan | b.nan | (a.inf & b.zero) | (a.zero & b.inf))
        inf = enable & (a.inf | b.inf)
        sign = (a.sign ^ b.sign) | ~enable
        exponent = named(m, a.exponent + b.exponent)
        gate = enable if fmt.ieee else live
        significand = a.significand & gate.replicate(len(a.significand))
        rows = compress(m, and_array(significand, b.significand))
        *rows, exponent, live, nan, inf, sign, first = self.cut(
            m, "tree", *rows, exponent, live, nan, inf, sign, first)

        # Distance: the sum of before comes in, here the loop begins.
        total = Signal(fmt.width, reset_less=True)
        m.d.comb += self.acc.eq(total)
        c = Operand(m, fmt, named(m, Mux(first, 0, total)), written=True)
        # `distance` is the shift that brings the addend's last place from bit T to where it is; the
        # leading bit of the frame then has the exponent `exponent` - 1, or else the addend's
        bias = top - g + c.scale - a.scale - b.scale + 1
        if bias:
            exponent = named(m, exponent + bias)
        farthest = self.a_format.top + self.b_format.top + bias - 1
        distance = Signal(range(-fmt.top - 1 - abs(bias), farthest + 1))
        m.d.comb += distance.eq(exponent + ~Cat(c.exponent, 0).as_signed())
        far = named(m, (distance < 0) | ~live)
        steps = (width - 1).bit_length()
        amount = distance[:steps] & ~far.replicate(steps)
        if steps < len(distance) - 1:  # so far that nothing of the addend is left in the frame
            amount = Cat(amount, distance[steps:-1].any() & ~far)
        leading = named(m, Mux(far, c.exponent, exponent - 1) - 1)
        # an infinity has the sign of the result, a NaN none, a lean format's symbol either
        nan = named(m, nan | c.nan | (inf & c.inf & (sign ^ c.sign)))
        special = named(m, nan | inf | c.inf)
        subtract = named(m, (sign ^ c.sign) & ~special)
        sign = Mux(c.inf, c.sign, sign) & ~nan if fmt.ieee else Mux(c.nan, c.sign, sign)
        *rows, significand, amount, leading, subtract, sign, special, nan = self.cut(
            m, "distance", *rows, c.significand, amount, leading, subtract, sign, special, nan)

        # Align.
        aligned, sticky = shift_right(m, significand, amount, top)
        aligned = aligned ^ subtract.replicate(width)
        columns = [[bit] for bit in named(m, aligned)]
        for row in rows:
            for weight, bit in enumerate(row, start=g):
                columns[weight].append(bit)
        *rows, sticky, leading, subtract, sign, special, nan = self.cut(
            m, "align", *compress(m, columns), sticky, leading, subtract, sign, special, nan)

        # Sum and its magnitude.
        size, invert, equal = magnitude(m, *rows, subtract, sticky)
        sign = (sign ^ invert) & ~equal  # of a difference of equals +
        size, sticky, leading, sign, special, nan = self.cut(
            m, "sum", size, sticky, leading, sign, special, nan)

        # Normalise: a subnormal result stops at the least exponent.
        def cut(n, *values):
            nonlocal leading, sign, special, nan
            if n != 8:
                return values
            leading, sign, special, nan, *values = self.cut(
                m, "normalise", leading, sign, special, nan, *values)
            return values

        kept, sticky, amount = normalise(
            m, named(m, size), sticky, p + 1, leading if fmt.ieee else None, cut)
        exponent = named(m, leading - amount)
        kept, sticky, exponent, sign, special, nan = self.cut(
            m, "round", kept, sticky, exponent, sign, special, nan)

        # Round: the leading one counts the exponent up, which was one too low.
        up = kept[0] & (kept[1] | sticky)
        rounded = named(m, Cat(kept[1:p], exponent) + Cat(up, Const(0, p - 2), kept[p]))
        field = rounded[fmt.fraction:fmt.fraction + fmt.exponent]
        over = rounded[fmt.fraction + fmt.exponent:]
        if fmt.ieee:
            special = special | over.any() | field.all()
            fraction = (rounded[:fmt.fraction] & ~special.replicate(fmt.fraction))
            code = Cat(fraction[:-1], fraction[-1] | nan, field | special.replicate(fmt.exponent),
                       sign)
        else:
            normal = named(m, kept[p] & ~exponent[-1])
            symbol = named(m, nan | (normal & over[:-1].any()))
            finite = (rounded[:fmt.width - 1] & normal.replicate(fmt.width - 1)
                         | symbol.replicate(fmt.width - 1))
            code = Cat(finite, sign & (normal | nan))
        m.d.sync += total.eq(code)
        return m


class Fp16Mac(FloatMac):
    """IEEE 754-2019 binary16: subnormals, ties to even, infinities, one quiet NaN. See `Mac`."""

    a_format = b_format = format = BINARY16


class Dlfloat16Mac(FloatMac):
    """1-6-9 without subnormals, after DLFloat. See `Mac` and `synth.baselines.minifloat`."""

    a_format = b_format = format = DLFLOAT16


class Fp8Mac(FloatMac):
    """Hybrid FP8: 1-4-3 times 1-5-2, exact, into a 1-6-9 sum. See `Mac` and `minifloat`."""

    a_format, b_format, format = FP8_143, FP8_152, DLFLOAT16
