# SPDX-License-Identifier: Apache-2.0
"""Stochastic rounding against explicit random words: the randomness is an input, never hidden."""

import numpy as np


def round_up(above, gap, words, bits: int) -> np.ndarray:
    """Whether a value `above` the lower of two levels `gap` apart goes to the upper one, bool.

    True where `words / 2**bits < above / gap`, compared exactly (in binary64 products of powers
    of two): over all words the share that rounds up is `ceil(2**bits * above / gap) / 2**bits`.

    Parameters
    ----------
    above, gap : floats, 0 <= above <= gap, gap > 0.
    words : integers 0..2**bits - 1 of the values' shape.
    bits : 1..32.
    """
    if not 1 <= bits <= 32:
        raise ValueError(f"bits = {bits!r} is out of range: stochastic rounding takes 1..32 bits")
    words = np.asarray(words)
    if words.dtype.kind not in "iu":
        raise ValueError(f"random words have dtype {words.dtype}: expected an integer dtype")
    if np.shape(words) != np.shape(above):
        raise ValueError(
            f"random words have shape {np.shape(words)}: expected one word per value, "
            f"{np.shape(above)}"
        )
    if words.size and (words.min() < 0 or words.max() >> bits):
        raise ValueError(f"random words reach beyond 0..{2**bits - 1}, the range of {bits} bits")
    return words.astype(np.float64) * gap < np.ldexp(above, bits)
