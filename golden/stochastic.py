# SPDX-License-Identifier: Apache-2.0
"""Stochastic rounding against explicit random words: the randomness is an input, never hidden."""

import numpy as np

from golden import checks
from golden.flushing import check_kept

MAX_BITS = 32


def coarse_bits(bits: int) -> int:
    """How many of a word's top bits decide between two levels; below the lowest all of them do."""
    return (checks.as_integer("bits", bits, 1, MAX_BITS) + 1) // 2


def round_up(above, gap, words, bits: int) -> np.ndarray:
    """Whether a value `above` the lower of two levels `gap` apart goes to the upper one, bool.

    True where `(words + 1/2) / 2**bits < above / gap`, compared exactly (in binary64 products of
    powers of two). Over all words the share that rounds up is the multiple of 2**-bits nearest to
    `above / gap`, so its error is at most half of one and has either sign.

    Parameters
    ----------
    above, gap : floats, 0 <= above <= gap, gap > 0.
    bits : 1..32.

    ValueError that names the argument otherwise.
    """
    bits = checks.as_integer("bits", bits, 1, MAX_BITS)
    words = checks.as_integers("random words", words, 0, 2**bits - 1)
    above, gap = _floats("above", above), _floats("gap", gap)
    check_kept("above", above)
    check_kept("gap", gap)
    if words.shape != above.shape:
        raise ValueError(
            f"random words have shape {words.shape}: expected one word per value, {above.shape}"
        )
    if gap.shape not in ((), above.shape):
        raise ValueError(f"gap has shape {gap.shape}: expected {above.shape} or one for all")
    if gap.size and not 0 < gap.min() <= gap.max() < np.inf:
        raise ValueError(f"gap reaches {gap.min()}..{gap.max()}: expected finite numbers > 0")
    if above.size and not (above.min() >= 0 and (above <= gap).all()):  # NaN is neither
        bad = tuple(int(i) for i in np.argwhere(~((above >= 0) & (above <= gap)))[0])
        raise ValueError(f"above = {above[bad]} at index {bad} is out of range: expected 0..gap")
    return (2 * words.astype(np.float64) + 1) * gap < np.ldexp(above, bits + 1)


def _floats(name: str, values) -> np.ndarray:
    """`values` as float64."""
    array = checks.as_array(name, values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} = {checks.shown(values)} has dtype {array.dtype}: expected "
                         "floats")
    return array.astype(np.float64, copy=False)
