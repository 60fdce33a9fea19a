# SPDX-License-Identifier: Apache-2.0
"""Stochastic rounding against explicit random words: the randomness is an input, never hidden."""

import numpy as np


def coarse_bits(bits: int) -> int:
    """How many of a word's top bits decide between two levels; below the lowest all of them do."""
    return (bits + 1) // 2


def round_up(above, gap, words, bits: int) -> np.ndarray:
    """Whether a value `above` the lower of two levels `gap` apart goes to the upper one, bool.

    True where `(words + 1/2) / 2**bits < above / gap`, compared exactly (in binary64 products of
    powers of two). Over all words the share that rounds up is the multiple of 2**-bits nearest to
    `above / gap`, so its error is at most half of one and has either sign.

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
    return (2 * words.astype(np.float64) + 1) * gap < np.ldexp(above, bits + 1)
