# SPDX-License-Identifier: Apache-2.0
"""Small binary floating-point formats and their exact fused multiply-add.

They are what the core is compared with (`docs/synthesis.md`, Baselines), not what it computes in.
Two families share one description: IEEE 754-2019, and the lean formats of deep-learning hardware.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MiniFloat:
    """A format: sign, `exponent` bits, `fraction` bits, value (-1)^s 1.f 2^(e - bias).

    Members
    -------
    ieee : subnormals, signed zeros, infinities and NaN (written as one quiet NaN of sign 0).
        Otherwise lean: exponent 0 is zero whatever the fraction (written as code 0), a result
        below the least normal number *before* rounding is zero, and the code of all ones, of
        either sign, is the one symbol for overflow, infinity and NaN, which absorbs all others.
    """

    name: str
    exponent: int
    fraction: int
    bias: int
    ieee: bool

    def __post_init__(self):
        if self.exponent < 2 or self.fraction < 1:
            raise ValueError(f"{self.name}: exponent = {self.exponent}, fraction = {self.fraction}"
                             " bits: expected at least 2 and 1")

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.fraction

    @property
    def precision(self) -> int:
        """Bits of the significand with its leading one."""
        return self.fraction + 1

    @property
    def top(self) -> int:
        """The exponent field of all ones."""
        return 2 ** self.exponent - 1

    @property
    def nan(self) -> int:
        """The code of the one NaN that is written."""
        fraction = 1 << self.fraction - 1 if self.ieee else 2 ** self.fraction - 1
        return self.top << self.fraction | fraction

    def fields(self, code: int) -> tuple[int, int, int]:
        """Sign, exponent field, fraction field; ValueError if the code has more bits."""
        if not 0 <= code < 2 ** self.width:
            raise ValueError(f"{self.name}: code {code} is out of range: expected 0.."
                             f"{2 ** self.width - 1}")
        magnitude = code & 2 ** (self.width - 1) - 1
        return code >> self.width - 1, magnitude >> self.fraction, code & 2 ** self.fraction - 1

    def is_nan(self, code: int) -> bool:
        _, exponent, fraction = self.fields(code)
        if self.ieee:
            return exponent == self.top and fraction != 0
        return exponent == self.top and fraction == 2 ** self.fraction - 1

    def is_inf(self, code: int) -> bool:
        _, exponent, fraction = self.fields(code)
        return self.ieee and exponent == self.top and fraction == 0

    def inf(self, sign: int) -> int:
        """Overflow of a sign: infinity, or the one symbol of a lean format."""
        return sign << self.width - 1 | (self.top << self.fraction if self.ieee else self.nan)

    def decode(self, code: int) -> tuple[int, int, int]:
        """Sign, significand m, exponent x of a finite code: its value is (-1)^sign m 2^x."""
        sign, exponent, fraction = self.fields(code)
        if exponent == 0 and not self.ieee:
            return sign, 0, -self.bias - self.fraction
        hidden = (exponent != 0) << self.fraction
        return sign, hidden | fraction, max(exponent, 1) - self.bias - self.fraction

    def encode(self, sign: int, m: int, x: int) -> int:
        """The code of (-1)^sign m 2^x, rounded to nearest, ties to even; m >= 0."""
        exponent = m.bit_length() - 1 + x + self.bias  # of the leading one, biased
        if m == 0 or (exponent < 1 and not self.ieee):
            return sign << self.width - 1 if self.ieee else 0
        exponent = max(exponent, 1)
        drop = exponent - self.bias - self.fraction - x  # bits of m below the last place
        kept = m >> drop if drop > 0 else m << -drop
        if drop > 0:
            rest, half = m & 2 ** drop - 1, 1 << drop - 1
            kept += rest > half or (rest == half and kept & 1)
        # a carry out of the significand counts the exponent up, and a subnormal's leading one too
        magnitude = (exponent - 1 << self.fraction) + kept
        limit = self.inf(0)  # of all ones in a lean format: the first code that is not finite
        return sign << self.width - 1 | magnitude if magnitude < limit else self.inf(sign)


BINARY16 = MiniFloat("binary16", 5, 10, 15, ieee=True)
BFLOAT16 = MiniFloat("bfloat16", 8, 7, 127, ieee=False)
SINGLE = MiniFloat("1-8-23", 8, 23, 127, ieee=False)
DLFLOAT16 = MiniFloat("1-6-9", 6, 9, 31, ieee=False)
FP8_143 = MiniFloat("1-4-3", 4, 3, 4, ieee=False)
FP8_152 = MiniFloat("1-5-2", 5, 2, 15, ieee=False)
FP9_153 = MiniFloat("1-5-3", 5, 3, 15, ieee=False)


def fma(a_fmt: MiniFloat, b_fmt: MiniFloat, fmt: MiniFloat, a: int, b: int, c: int) -> int:
    """The code of a b + c in `fmt`, c a code of `fmt`: exact, rounded once."""
    (sa, ma, xa), (sb, mb, xb), (sc, mc, xc) = a_fmt.decode(a), b_fmt.decode(b), fmt.decode(c)
    sign = sa ^ sb
    if not fmt.ieee and fmt.is_nan(c):
        return c
    if not fmt.ieee and (a_fmt.is_nan(a) or b_fmt.is_nan(b)):
        return fmt.inf(sign)
    infinite = a_fmt.is_inf(a) or b_fmt.is_inf(b)
    if (a_fmt.is_nan(a) or b_fmt.is_nan(b) or fmt.is_nan(c)
            or (infinite and 0 in (ma, mb))
            or (infinite and fmt.is_inf(c) and sign != sc)):
        return fmt.nan
    if infinite or fmt.is_inf(c):
        return fmt.inf(sign if infinite else sc)
    x = min(xa + xb, xc)
    product, addend = ma * mb << xa + xb - x, mc << xc - x
    total = (-product if sign else product) + (-addend if sc else addend)
    # an exact zero is negative only where both terms are
    return fmt.encode(int(total < 0) if total else sign & sc, abs(total), x)
