# SPDX-License-Identifier: Apache-2.0
"""Floats of the host as the 32-bit fixed-point streams that the rescaling unit takes."""

import numpy as np

from golden import checks
from golden.formats import INT32, check_finite

MAX_FRACTION_BITS = 1000  # either way, so that 2**-bits is a normal float64


def to_fixed(x, fraction_bits: int, *, name: str = "x") -> np.ndarray:
    """`rne(x * 2**fraction_bits)` as int32, same shape.

    ValueError for NaN, Inf or values beyond +/-2**(31 - fraction_bits), naming the first of them,
    and for fraction bits beyond +/-1000.
    """
    fraction_bits = checks.as_integer("fraction_bits", fraction_bits, -MAX_FRACTION_BITS,
                                      MAX_FRACTION_BITS)
    x = check_finite(name, x)
    with np.errstate(over="ignore"):  # an overflow to Inf is out of range, and reported below
        fixed = np.rint(np.ldexp(x, fraction_bits))
    bad = (fixed < INT32.lo) | (fixed > INT32.hi)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"tensor {name!r} holds {x[index]} at index {index}, out of range for "
            f"{fraction_bits} fraction bits: expected |x| < {2.0 ** (31 - fraction_bits)}; "
            "use fewer fraction bits"
        )
    return fixed.astype(np.int32)
