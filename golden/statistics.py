# SPDX-License-Identifier: Apache-2.0
"""What the rescaling unit measures of a tensor while it streams through: exact integers.

Widths hold for up to 2**32 elements of 32 bits: |x| <= 2**31, so sum|x| <= 2**63 and
sum x**2 <= 2**94.
"""

from dataclasses import dataclass

import numpy as np

from golden import checks
from golden.formats import INT32

MAX_ELEMENTS = 2**32
COUNT_WIDTH = MAX_ELEMENTS.bit_length()
LARGEST_WIDTH = (-INT32.lo).bit_length()
SUM_ABS_WIDTH = (MAX_ELEMENTS * -INT32.lo).bit_length()
SUM_SQUARES_WIDTH = (MAX_ELEMENTS * INT32.lo**2).bit_length()


@dataclass(frozen=True)
class Statistics:
    """Of one job's inputs, after bias and mask, and of its results.

    Members
    -------
    count : elements. low, high : least and greatest. largest : max|x|.
    sum_abs, sum_squares : sum |x| and sum x**2, exact.
    saturated : results that the format's range clamped (radix 4: in the even phase).
    underflowed : results that are the code of zero though input times multiplier is not zero
        (radix 4: in the even phase).

    No elements: every member 0. ValueError that names the member otherwise.
    """

    count: int = 0
    low: int = 0
    high: int = 0
    largest: int = 0
    sum_abs: int = 0
    sum_squares: int = 0
    saturated: int = 0
    underflowed: int = 0

    def __post_init__(self):
        for name in ("count", "saturated", "underflowed"):
            checks.integer(self, name, 0, MAX_ELEMENTS)
        for name in ("low", "high"):
            checks.integer(self, name, INT32.lo, INT32.hi)
        checks.integer(self, "largest", 0, 2**LARGEST_WIDTH - 1)
        checks.integer(self, "sum_abs", 0, 2**SUM_ABS_WIDTH - 1)
        checks.integer(self, "sum_squares", 0, 2**SUM_SQUARES_WIDTH - 1)
        if self.count == 0:
            for name, value in vars(self).items():
                if value:
                    raise ValueError(f"{name} = {value} is out of range: expected 0, as for every "
                                     "member where count = 0")
        if self.low > self.high:
            raise ValueError(f"low = {self.low} lies above high = {self.high}")


NOTHING = Statistics()


def measure(values, saturated=0, underflowed=0) -> Statistics:
    """Statistics of integers in int32's range, any shape; the two counts are passed through.

    ValueError for other values and for counts beyond 0..2**32.
    """
    values = checks.as_integers("values", values, INT32.lo, INT32.hi).astype(np.int64, copy=False)
    if values.size == 0:
        return NOTHING
    magnitude = np.abs(values).astype(np.uint64)
    high, low = magnitude >> np.uint64(16), magnitude & np.uint64(0xFFFF)
    # x**2 by halves, so that no partial sum leaves 64 bits
    squares = (int((high * high).sum()) << 32) + (int((high * low).sum()) << 17) + (
        int((low * low).sum()))
    return Statistics(
        count=values.size, low=int(values.min()), high=int(values.max()),
        largest=int(magnitude.max()), sum_abs=int(magnitude.sum()), sum_squares=squares,
        saturated=saturated, underflowed=underflowed,
    )
