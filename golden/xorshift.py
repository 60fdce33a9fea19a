# SPDX-License-Identifier: Apache-2.0
"""The random words of stochastic rounding: xorshift32, one generator per lane.

Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (2003), triple (13, 17, 5): period
2**32 - 1. All of its states but 0 lie on one cycle; lanes start at different points of it.
"""

import numpy as np

WIDTH = 32
TRIPLE = (13, 17, 5)  # left, right, left
WORD_BITS = 12  # the top bits of a state are the random word
LANE_STEP = 0x9E3779B9  # odd, so that no two lanes share a starting point


def lane_seed(seed: int, lane: int) -> int:
    """The first state of a lane: the job's seed with the lane's constant mixed in, never 0."""
    if not 0 <= seed < 1 << WIDTH:
        raise ValueError(f"seed {seed} is out of range: expected 0..{2**WIDTH - 1}")
    return (seed ^ lane_constant(lane)) or LANE_STEP


def lane_constant(lane: int) -> int:
    return (LANE_STEP * (lane + 1)) % (1 << WIDTH)


def step(state):
    """The next state of an int or of a uint32 array."""
    mask = (1 << WIDTH) - 1
    left, right, last = TRIPLE
    state = state ^ (state << left & mask)
    state = state ^ (state >> right)
    return state ^ (state << last & mask)


def words(seed: int, rows: int, lanes: int) -> np.ndarray:
    """Random words of `rows` consecutive steps of every lane, int64 (rows, lanes), WORD_BITS bits.

    A step is linear over GF(2), so 2**i steps are one 32 x 32 bit matrix: the sequence doubles
    its length with every squaring instead of being walked row by row.
    """
    states = np.array([[step(lane_seed(seed, lane)) for lane in range(lanes)]], dtype=np.uint64)
    columns = np.array([step(1 << bit) for bit in range(WIDTH)], dtype=np.uint64)
    while len(states) < rows:
        states = np.concatenate([states, _apply(columns, states)])
        columns = _apply(columns, columns)  # the matrix squared
    return (states[:rows] >> np.uint64(WIDTH - WORD_BITS)).astype(np.int64)


def _apply(columns: np.ndarray, states: np.ndarray) -> np.ndarray:
    result = np.zeros_like(states)
    for bit, column in enumerate(columns):  # 32 vectorised terms, whatever the number of states
        result ^= (states >> np.uint64(bit) & np.uint64(1)) * column
    return result
