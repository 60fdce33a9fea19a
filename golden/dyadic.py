# SPDX-License-Identifier: Apache-2.0
"""Dyadic multipliers `M * 2**-s`: the only scales that the hardware applies."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from golden import checks
from golden.flushing import check_kept


@dataclass(frozen=True)
class Dyadic:
    """A scale `multiplier * 2**-shift`.

    Members
    -------
    multiplier : unsigned 16 bits with the top bit set (32768..65535), or 0.
    shift : 0..63.
    """

    multiplier: int
    shift: int

    WIDTH = 16
    SHIFT_WIDTH = 6
    MAX_SHIFT = 2**SHIFT_WIDTH - 1

    def __post_init__(self):
        lo, hi = 1 << (self.WIDTH - 1), (1 << self.WIDTH) - 1
        way_out = "use Dyadic.nearest to make one from a number"
        checks.integer(self, "multiplier", 0, hi, way_out)
        if 0 < self.multiplier < lo:
            raise ValueError(
                f"multiplier = {self.multiplier} is out of range: expected 0 or an integer "
                f"{lo}..{hi} (16 bits, top bit set); {way_out}"
            )
        checks.integer(self, "shift", 0, self.MAX_SHIFT,
                       "scale the fixed-point input to bring it in")

    @classmethod
    def nearest(cls, value: Any) -> "Dyadic":
        """The dyadic scale nearest to a number >= 0, ties to even; relative error <= 2**-16.

        `value` is any finite real (int, float, Fraction). ValueError outside
        [2**-48, 65535], the normal range of 16-bit multipliers and 6-bit shifts.
        """
        if isinstance(value, float | np.generic | np.ndarray):
            check_kept("scale", value)
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1):
            value = value.item()
        known = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
        if not known or not 0 <= value < math.inf:
            raise ValueError(f"scale {checks.shown(value)} is out of range: expected a finite "
                             "number >= 0")
        exact = Fraction(value)
        if exact == 0:
            return cls(0, 0)
        exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
        if Fraction(2) ** exponent > exact:
            exponent -= 1  # now 2**exponent <= exact < 2**(exponent + 1)
        shift = cls.WIDTH - 1 - exponent
        multiplier = round(exact * Fraction(2) ** shift)  # Fraction rounds ties to even
        if multiplier == 1 << cls.WIDTH:
            multiplier, shift = multiplier >> 1, shift - 1
        if not 0 <= shift <= cls.MAX_SHIFT:
            raise ValueError(
                f"scale {checks.shown(value)} is out of range: a 16-bit multiplier and a shift of "
                f"0..{cls.MAX_SHIFT} reach {2.0**-48:.3g}..65535; "
                "choose another number of fraction bits for the input"
            )
        return cls(multiplier, shift)

    @property
    def value(self) -> float:
        """The scale as a float, exact."""
        return math.ldexp(self.multiplier, -self.shift)


IDENTITY = Dyadic(1 << (Dyadic.WIDTH - 1), Dyadic.WIDTH - 1)  # exactly 1: INT32 raw
