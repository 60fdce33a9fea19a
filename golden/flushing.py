# SPDX-License-Identifier: Apache-2.0
"""Flush-to-zero: a library may have switched it on for the whole thread (-ffast-math, PyTorch).

The processor then takes subnormal numbers, those below 2**-1022 in float64, for 0 or makes them 0.
GEMM and rescaling are exact nevertheless: they meet integers, of 2**-63 and more, and the least
float32 that `golden.gemm` reads out of a code is 2**-126, the smallest normal one. What takes the
host's floats asks `check_kept` first.
"""

import numpy as np
from numpy.typing import ArrayLike

SMALLEST = 2.0**-1022  # the least normal float64
NORMAL = {4: 2.0**-126, 8: SMALLEST}  # by bytes
SOUND = 2.0**-400  # so far above it that squares, steps and levels of such a number are normal


def flushing() -> bool:
    """Whether this thread loses subnormal numbers, as operands or as results."""
    return SMALLEST * 0.5 == 0.0


def check_kept(name: str, x: ArrayLike, limit: float = 0.0) -> None:
    """ValueError if flush-to-zero is on and would lose some number of `x`, floats of any shape.

    Those are subnormal in x's own format, or not 0 but below `limit`. Bits are compared: to compare
    numbers is what fails.
    """
    if not flushing():
        return
    x = np.asarray(x)
    if x.dtype.kind != "f" or x.dtype.itemsize not in NORMAL:
        return
    least = max(NORMAL[x.dtype.itemsize], limit)
    bits = np.dtype(x.dtype.str.replace("f", "u"))
    magnitude = x.view(bits) & bits.type(2 ** (8 * bits.itemsize - 1) - 1)
    if ((magnitude > 0) & (magnitude < np.array(least, x.dtype).view(bits))).any():
        raise ValueError(
            f"{name} holds a number below {least:.3g}, and a library has switched on flush-to-zero "
            "in this thread, which would lose it: switch that off (torch.set_flush_denormal(False)"
            "), or load the library, built with -ffast-math, in another process"
        )
