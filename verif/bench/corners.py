# SPDX-License-Identifier: Apache-2.0
"""Corners of the rescaling unit that random numbers hardly ever meet.

Results at the ends of INT32, products that lose their top bits, exact ties that a single lost bit
breaks, values a single bit beyond a level, and positions that equal the random word.
"""

from collections.abc import Callable, Iterator

import numpy as np

from golden.config import Config
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import (
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    ZERO_POINTS,
    IntFormat,
    LogFormat,
)
from golden.random_words import COARSE_BITS, WORD_BITS
from golden.rescale import Rescale

UNIT = 2**15  # the multiplier that is a power of two: y = x * 2**(15 - shift)
ONE = 15  # the shift at which it is 1
LARGEST = Dyadic.MAX_SHIFT

Case = tuple[Rescale, list[int]]  # what is asked of each of the inputs


def corners(config: Config) -> Iterator[Case]:
    """Every corner of rounding to nearest that the configuration has, any number of inputs each."""
    fmts = (INT4, INT4_SYM, UINT4, INT32, *config.log_formats)
    yield from int32_ends()
    for fmt in fmts:
        yield from lost_at_the_top(fmt)
        yield from vanishing(fmt)
    yield from int32_sticky()
    yield from single_bits_above_ties(INT4, [0.5], places=range(2, 31))
    yield from single_bits_above_ties(INT4, [2.5, 1.5])
    for fmt in (INT4, INT4_SYM, UINT4):
        yield from single_bits_beside_the_range(fmt)
        yield from beyond_any_zero_point(fmt)
    for fmt in config.log_formats:
        yield from single_bits_above_ties(fmt, ties(fmt))
        yield around_the_powers(fmt, None)


def random_corners(config: Config, draw: Callable[[int], np.ndarray]) -> Iterator[Case]:
    """Every corner of stochastic rounding, as `corners`.

    `draw(seed)` gives the random words of a job's first row, one per column: what is to be rounded
    lies beside them.
    """
    if config.stochastic:
        for fmt in config.log_formats:
            yield around_the_powers(fmt, 5)
        for fmt in (INT4, INT4_SYM, UINT4, *config.log_formats):
            yield from beside_the_word(fmt, draw)
            yield from above_the_word(fmt, draw)
        for fmt in config.log_formats:
            yield from single_bits_beyond_the_top(fmt)


def int32_ends() -> Iterator[Case]:
    """Results at, just inside and just outside -2**31 .. 2**31 - 1."""
    lo, hi = INT32.lo, INT32.hi
    yield Rescale(INT32, IDENTITY), [lo, lo + 1, hi, hi - 1, -1, 0, 1]
    yield Rescale(INT32, Dyadic(UNIT, ONE - 1)), [lo >> 1, (lo >> 1) - 1, -lo >> 1, hi >> 1]
    # (2**32 - 1) / 2, half a step below 2**31: the tie goes up, beyond the range
    half_way = 65537 << 13
    yield Rescale(INT32, Dyadic(65535, 14)), [half_way, -half_way, half_way - 1, 1 - half_way]


def lost_at_the_top(fmt: IntFormat | LogFormat) -> Iterator[Case]:
    """At every shift that can lose top bits, results on both sides of every power of two there."""
    multipliers = (UNIT, 65535) if fmt == INT32 else (UNIT,)
    for multiplier in multipliers:
        for shift in range(Dyadic.WIDTH + 2):
            near = [(1 << reach + shift) // multiplier + off
                    for reach in range(30, 36) for off in (0, 1)]
            inputs = [x for x in near if x <= INT32.hi] + [INT32.hi] * 2
            yield Rescale(fmt, Dyadic(multiplier, shift)), _either_sign(inputs)


def vanishing(fmt: IntFormat | LogFormat) -> Iterator[Case]:
    """Single bits far below the point; and nothing at all, which has not vanished."""
    yield Rescale(fmt, Dyadic(UNIT, LARGEST)), [1 << bit for bit in range(31)]
    yield Rescale(fmt, Dyadic(0, LARGEST)), [1, -1, INT32.lo, 0]


def int32_sticky() -> Iterator[Case]:
    """INT32 ties above an even integer that one bit of the product breaks, wherever it lies."""
    for shift in range(12, 32):  # so that the input fits
        for bit in range(shift - 9):  # those above are never lost
            for multiplier in range(40_001, 65_536, 2):  # an odd one has an inverse
                wanted = (1 << shift - 1) + (1 << bit)
                x = wanted * pow(multiplier, -1, 1 << shift) % (1 << shift)
                if x * multiplier >> shift & 1 == 0:
                    yield Rescale(INT32, Dyadic(multiplier, shift)), [x, -x]
                    break


def ties(fmt: LogFormat) -> list[float]:
    """Where nearest goes from one level to the next, of both phases; below the lowest level too."""
    levels = [fmt.unit() * fmt.radix**c for c in range(fmt.LEVELS)]
    levels += [level / 2 for level in levels] if fmt == FP4_R4 else []
    return [level * (fmt.radix + 1) / 2 for level in levels] + [
        level * share for level in levels[::fmt.LEVELS] for share in (0.5, 0.625, 0.75)]


def single_bits_above_ties(fmt, positions, places=(30,)) -> Iterator[Case]:
    """A position exactly, and with one more bit, at every place that is left below it."""
    for position in positions:
        for point in places:
            point -= max(0, int(position).bit_length() - 1)  # as many fraction bits as fit
            tie = int(position * 2**point)
            yield (Rescale(fmt, Dyadic(UNIT, ONE + point)), _either_sign(
                [tie, *(tie + (1 << bit) for bit in range(point - 1) if not tie >> bit & 1)]))


def single_bits_beside_the_range(fmt: IntFormat) -> Iterator[Case]:
    """Both ends of the range exactly, and a bit to each side: the clip mask sees it."""
    for point in (1, 12, 20, 26):
        for zero_point in (0, 3):
            ends = [end - zero_point << point for end in (fmt.lo, fmt.hi)]
            yield (Rescale(fmt, Dyadic(UNIT, ONE + point), zero_point),
                   [end + off for end in ends for off in (-1, 0, 1)])


def beyond_any_zero_point(fmt: IntFormat) -> Iterator[Case]:
    """Zero points at the ends of their range: results at both ends of the code's, and magnitudes
    around every power of two, from where a zero point still reaches the codes to where none does.
    """
    for zero_point in ZERO_POINTS:
        yield (Rescale(fmt, IDENTITY, zero_point),
               [end - zero_point + off for end in (fmt.lo, fmt.hi) for off in (-1, 0, 1)])
        yield (Rescale(fmt, Dyadic(UNIT, ONE - 2), zero_point),  # up to 2**33
               [sign * ((1 << bit) - off)
                for bit in range(12, 31) for off in (0, 1) for sign in (1, -1)] + [INT32.lo])


def single_bits_beyond_the_top(fmt: LogFormat) -> Iterator[Case]:
    """Stochastic: anything beyond the top level counts as clamped, however little it is."""
    top = int(fmt.TOP)
    yield (Rescale(fmt, Dyadic(UNIT, ONE + 24), seed=1),
           _either_sign([top << 24, *((top << 24) + (1 << bit) for bit in range(24))]))


def around_the_powers(fmt: LogFormat, seed: int | None) -> Case:
    """Integers in every binade, up to far beyond the top: ends, their neighbours, middles."""
    found = {(1 << k) + off for k in range(16) for off in (-1, 0, 1, 1 << k >> 1)}
    return (Rescale(fmt, Dyadic(UNIT, ONE), seed=seed),
            [x for value in sorted(found) for x in (value, -value)])


def beside_the_word(fmt: IntFormat | LogFormat, draw) -> Iterator[Case]:
    """Stochastic: positions at the start and at the middle of the word's step, a bit to each side.
    """
    bits = COARSE_BITS if isinstance(fmt, LogFormat) else WORD_BITS  # of a word, that decide
    for seed in (0, 1, 7, 2**31, 2**32 - 1):
        words = [int(word) >> WORD_BITS - bits for word in draw(seed)]
        for level, gap in ((1, 1), (4, 4 if isinstance(fmt, LogFormat) else 1)):
            gap *= 3 if fmt == FP4_R4 else 1
            point = 28 - level.bit_length()
            for half, off in ((0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)):
                yield (Rescale(fmt, Dyadic(UNIT, ONE + point), seed=seed),
                       [(level << point) + (gap * (2 * word + half) << point - bits - 1) + off
                        for word in words])


def above_the_word(fmt: IntFormat | LogFormat, draw) -> Iterator[Case]:
    """Stochastic, between nothing and the lowest level of each phase: the middle of the word's step
    exactly, and with each single bit below it, also those that no fraction holds."""
    multipliers = np.arange(UNIT, 2 * UNIT)
    for level in (-6, -7) if fmt == FP4_R4 else (0,):
        shift = 46 - level  # as many places below the middle as leave an input below 2**31
        for seed in (3, 2**32 - 3):
            middles = [2 * int(word) + 1 << 45 - WORD_BITS for word in draw(seed)]
            for off in (0, *(1 << bit for bit in range(45 - WORD_BITS))):
                wanted = middles[seed % len(middles)] + off
                for multiplier in multipliers[wanted % multipliers == 0][:1].tolist():
                    yield (Rescale(fmt, Dyadic(multiplier, shift), seed=seed),
                           [(middle + off) // multiplier for middle in middles])


def _either_sign(values: list[int]) -> list[int]:
    return [-value if i % 2 else value for i, value in enumerate(values)]
