# SPDX-License-Identifier: Apache-2.0
"""The random words of stochastic rounding: a counter-based generator.

A word is a function of the job's seed, of the row's number within the job and of the lane, with no
state between rows (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Rounds
of AND, rotate and XOR (the round of Simon64: Beaulieu et al., IACR ePrint 2013/404) mix row and
seed into a block of 64 bits, from whose halves two lanes take their words: more words than fit into
a block could not be independent of each other. The rounds are not linear, so words of neighbouring
seeds, rows and lanes have no constant difference, and the seed 0 is a seed like any other.
"""

import numpy as np

from golden import checks

WIDTH = 32  # bits of a seed, of a row's number, and of each half of a block
WORD_BITS = 24
COARSE_BITS = WORD_BITS // 2  # the top bits of a word, which decide between two levels
ROUNDS = 13  # below eleven, correlations show; see docs/history/random-words.md
ROTATIONS = (1, 8, 2)  # two of the AND, one beside it
CONSTANT = 0x9E3779B9  # dense, so that a block of zeros does not stay one for long
BLOCK_LANES = 2  # lanes that share a block, a half each; the next two have other constants
MAX_GROUP = 2 ** (WIDTH - 4) - 1  # of blocks: the lowest four bits of a constant count rounds


def round_constant(number: int, group: int) -> int:
    """What round `number` of the block of lanes 2 * group and 2 * group + 1 adds (XOR)."""
    return CONSTANT ^ (group << 4 | number)


def rotated(x, places: int):
    """uint32 array, rotated left."""
    return x << np.uint32(places) | x >> np.uint32(WIDTH - places) if places else x


def block(seed, row, group: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The two halves of the block of `seed` and `row`, integers 0..2**32 - 1 that broadcast.

    ValueError for others; uint32 arrays are not looked at.
    """
    group = checks.as_integer("group", group, 0, MAX_GROUP)
    x, y = np.broadcast_arrays(_as_uint32("row", row), _as_uint32("seed", seed))
    first, second, beside = ROTATIONS
    for number in range(ROUNDS):
        mixed = (rotated(x, first) & rotated(x, second)) ^ rotated(x, beside)
        x, y = y ^ mixed ^ np.uint32(round_constant(number, group)), x
    return x, y


def lane_word(halves: tuple[np.ndarray, np.ndarray], lane: int) -> np.ndarray:
    """A lane's word of its block, int64, 0..2**WORD_BITS - 1: the top bits of its half.

    ValueError for a lane that is no integer from 0.
    """
    half = halves[checks.as_integer("lane", lane, 0) % BLOCK_LANES]
    return (half >> np.uint32(WIDTH - WORD_BITS)).astype(np.int64)


def as_seed(seed: int, way_out: str = "") -> int:
    """The seed as a plain int; ValueError unless it is one."""
    return checks.as_integer("seed", seed, 0, 2**WIDTH - 1, way_out)


def words(seed: int, rows, lanes: int) -> np.ndarray:
    """Random words of every lane, int64 (rows, lanes), WORD_BITS bits.

    Parameters
    ----------
    seed : 0..2**32 - 1.
    rows : integers (rows,), the rows' numbers within the job, 0..2**32 - 1.
    lanes : from 0.

    ValueError that names the argument otherwise.
    """
    seed = as_seed(seed)
    lanes = checks.as_integer("lanes", lanes, 0, BLOCK_LANES * (MAX_GROUP + 1))
    numbers = _as_uint32("rows", rows)
    if numbers.ndim != 1:
        raise ValueError(f"rows = {checks.shown(rows)}: expected one axis, a number per row")
    found = np.empty((len(numbers), lanes), np.int64)
    for group in range(-(-lanes // BLOCK_LANES)):
        halves = block(seed, numbers, group)
        for lane in range(BLOCK_LANES * group, min(BLOCK_LANES * (group + 1), lanes)):
            found[:, lane] = lane_word(halves, lane)
    return found


def _as_uint32(name: str, values) -> np.ndarray:
    return checks.as_integers(name, values, 0, 2**WIDTH - 1).astype(np.uint32, copy=False)
