# SPDX-License-Identifier: Apache-2.0
"""Correlations of random words: `python -m verif.golden.correlations` compares numbers of rounds.

A correlation of n pairs is nearly normal with a deviation of 1 / sqrt(n).
"""

import sys

import numpy as np

from golden import random_words
from golden.random_words import BLOCK_LANES, WIDTH, WORD_BITS
from tools.arguments import Parser, integer

SHARES = (1 / 16, 1 / 2, 15 / 16)
ROUNDS = (6, 8, 9, 10, 11, 12, 14)
# what is compared with the word of seed s, row 0, lane 0: that of seed s + step, row, lane
NEIGHBOURS = {"lanes": (0, 0, 1), "rows": (0, 1, 0), "seeds": (1, 0, 0)}


def seeds(kind: str, count: int) -> np.ndarray:
    """Consecutive or random seeds, uint32."""
    if kind == "consecutive":
        return np.arange(count, dtype=np.uint32)
    return np.random.default_rng(1).integers(0, 2**WIDTH, count, dtype=np.uint32)


def drawn(seeds, row, lane: int) -> np.ndarray:
    """Words of a lane, one for each seed and row, which broadcast."""
    return random_words.lane_word(random_words.block(seeds, row, lane // BLOCK_LANES), lane)


def views(found: np.ndarray) -> np.ndarray:
    """What of words is compared, (view, word): itself, its top bits, whether it rounds up at f.

    Each view is centred and of length 1, so that products are correlations.
    """
    rows = [found, *(found >> WORD_BITS - 1 - bit & 1 for bit in range(4)),
            *(found < share * 2**WORD_BITS for share in SHARES)]
    centred = np.stack(rows).astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).sum(axis=1, keepdims=True))


def worst(first: np.ndarray, second: np.ndarray) -> float:
    """The largest correlation of any view of one with any of the other, in deviations."""
    return float(np.abs(views(first) @ views(second).T).max() * np.sqrt(len(first)))


def main() -> int:
    parser = Parser("python -m verif.golden.correlations", __doc__)
    parser.add_argument("--count", type=integer(2, 10**8), default=1_000_000,
                        help="seeds (default: %(default)s)")
    count = parser.parse_args().count
    print(f"largest correlation in deviations, {count:,} seeds, consecutive / random")
    print("rounds", *(f"{name:>13}" for name in NEIGHBOURS), sep="  ")
    for rounds in ROUNDS:
        random_words.ROUNDS = rounds
        cells = []
        for step, row, lane in NEIGHBOURS.values():
            pair = []
            for kind in ("consecutive", "random"):
                chosen = seeds(kind, count)
                there = chosen + np.uint32(step)
                pair.append(worst(drawn(chosen, 0, 0), drawn(there, row, lane)))
            cells.append(f"{pair[0]:5.1f} / {pair[1]:5.1f}")
        print(f"{rounds:6}", *cells, sep="  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
