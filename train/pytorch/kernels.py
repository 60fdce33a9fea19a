# SPDX-License-Identifier: Apache-2.0
"""The golden model's arithmetic as torch kernels: the same bits, on a CPU or a GPU.

Every value here is an integer, or one times a power of two or a dyadic scale, that its dtype holds
exactly, so that neither the order of sums nor a fused operation can change a bit. `golden.rescale`,
`golden.gemm` and `golden.random_words` say what is computed.
"""

import torch

from golden import logfp4
from golden.formats import Format, IntFormat, LogFormat, Phase, max_product
from golden.random_words import (
    BLOCK_LANES,
    COARSE_BITS,
    ROTATIONS,
    ROUNDS,
    WIDTH,
    WORD_BITS,
    round_constant,
)
from golden.statistics import Statistics
from train.pytorch.policy import EmulatedLog

MANTISSA_BITS, BIAS = 52, 1023  # of float64
EXACT_FLOAT32 = 2**24  # float32 holds every integer up to this


def fixed(x: torch.Tensor, bits: int) -> torch.Tensor:
    """`rne(x * 2**bits)`, float64 of the same shape: the integers that a job quantises."""
    y = x.double()
    # of a float64 below 2**-1000 the factor would be no float64
    for part in (bits,) if abs(bits) < 1000 else (bits // 2, bits - bits // 2):
        y = y * 2.0**part
    return y.round_()


def encode(y: torch.Tensor, fmt: Format | EmulatedLog, phase: Phase = Phase.EVEN,
           words: torch.Tensor | None = None) -> torch.Tensor:
    """Values of the codes of y, in MAC units, float32 of y's shape.

    Parameters
    ----------
    y : float64, an integer of 32 bits times a dyadic scale.
    words : int32 of y's shape to round stochastically; None rounds to nearest.
    """
    if isinstance(fmt, LogFormat):
        return _encode_log(y, fmt, phase, words)
    if isinstance(fmt, EmulatedLog):
        return _encode_any_log(y, fmt, words)
    return _encode_int(y, fmt, words)


def _encode_int(y, fmt: IntFormat, words) -> torch.Tensor:
    if words is None:
        return y.round().clamp_(fmt.lo, fmt.hi).float()
    magnitude = y.abs()
    floor = magnitude.floor()
    up = _threshold(words, WORD_BITS) < magnitude.sub_(floor)
    return floor.add_(up).mul_(y.sign()).clamp_(fmt.lo, fmt.hi).float()


def _encode_log(y, fmt: LogFormat, phase: Phase, words) -> torch.Tensor:
    k, top = fmt.log2_radix, LogFormat.LEVELS
    lowest = lowest_level(fmt, phase)
    magnitude = y.abs()
    bits = magnitude.view(torch.int64)
    if words is None:
        # the boundary below a level 2**l is (1 + 2**-k) 2**(l - 1): a carry into the exponent
        c = bits + round((1 - 2.0**-k) * 2**MANTISSA_BITS)
        c = (c >> MANTISSA_BITS).sub_(BIAS + lowest)
        c = (c >> k - 1).add_(1).clamp_(0, top)
    else:
        # the top bits of a word decide above the lowest level, all of them below it
        coarse = _threshold(words >> WORD_BITS - COARSE_BITS, COARSE_BITS)
        lower = (bits >> MANTISSA_BITS).sub_(BIAS + lowest)
        lower = (lower >> k - 1).add_(1).clamp_(1, top - 1)
        level = lower.sub(1).mul_(k).add_(BIAS + lowest).bitwise_left_shift_(MANTISSA_BITS)
        bound = coarse.mul_(fmt.radix - 1).add_(1).mul_(level.view(torch.float64))
        c = lower.add_(bound < magnitude)
        fine = _threshold(words, WORD_BITS).mul_(2.0**lowest) < magnitude
        c = torch.where(magnitude < 2.0**lowest, fine, c)
    # +-radix**(c - 1), and 0 for c = 0
    nothing = c == 0
    value = c.sub_(1).mul_(k).add_(127).bitwise_left_shift_(23).int().view(torch.float32)
    return value.masked_fill_(nothing, 0).mul_(y.sign())


def lowest_level(fmt: LogFormat, phase: Phase) -> int:
    """log2 of the lowest level, in MAC units of the even phase."""
    k = fmt.log2_radix
    return 6 - (LogFormat.LEVELS - 1) * k - (k // 2 if phase == Phase.ODD else 0)


def _encode_any_log(y, fmt: EmulatedLog, words) -> torch.Tensor:
    """By comparison with the levels, which a radix that is no power of two takes."""
    magnitude = y.abs()
    if words is None:
        c = torch.bucketize(magnitude, _like(y, logfp4.boundaries(fmt.radix)), right=True)
    else:
        level = _like(y, logfp4.levels(fmt.radix))
        lower = torch.bucketize(magnitude, level, right=True).sub_(1).clamp_(max=level.numel() - 2)
        gap = level.diff()[lower]
        above = (magnitude - level[lower]).minimum(gap)
        coarse = _threshold(words >> WORD_BITS - COARSE_BITS, COARSE_BITS)
        word = torch.where(lower == 0, _threshold(words, WORD_BITS), coarse)
        c = lower + (word * gap < above)
    values = [0.0] + [float(fmt.radix) ** n for n in range(LogFormat.LEVELS)]
    return torch.tensor(values, device=y.device)[c].mul_(y.sign())


def _like(y: torch.Tensor, values) -> torch.Tensor:
    return torch.from_numpy(values).to(y)


def _threshold(words: torch.Tensor, bits: int) -> torch.Tensor:
    """`(words + 1/2) / 2**bits`, float64."""
    return words.double().add_(0.5).mul_(2.0**-bits)


def random_words(seeds: torch.Tensor, turns: torch.Tensor, lanes: int) -> torch.Tensor:
    """Words of every lane of rows with these seeds and numbers, int32 (rows, lanes).

    Parameters
    ----------
    seeds, turns : int32 (rows,), the bit patterns of `golden.random_words`' 32-bit numbers.
    """
    groups = -(-lanes // BLOCK_LANES)
    constants = torch.tensor([[_signed(round_constant(number, group)) for group in range(groups)]
                              for number in range(ROUNDS)], dtype=torch.int32, device=turns.device)
    x, y = turns[:, None].repeat(1, groups), seeds[:, None].repeat(1, groups)
    for constant in constants:
        first, second, beside = (_rotated(x, places) for places in ROTATIONS)
        y ^= first.bitwise_and_(second).bitwise_xor_(beside).bitwise_xor_(constant)
        x, y = y, x
    words = torch.stack([x, y], 2).reshape(len(turns), -1)[:, :lanes]
    return (words >> WIDTH - WORD_BITS).bitwise_and_((1 << WORD_BITS) - 1)


def _rotated(x: torch.Tensor, places: int) -> torch.Tensor:
    """int32, rotated left; `>>` of int32 copies the sign, which the mask takes away."""
    return (x << places).bitwise_or_((x >> WIDTH - places).bitwise_and_((1 << places) - 1))


def _signed(pattern: int) -> int:
    return pattern - 2**WIDTH if pattern >= 2 ** (WIDTH - 1) else pattern


def as_int32(pattern: torch.Tensor) -> torch.Tensor:
    """The 32-bit patterns of int64 numbers, int32."""
    return (pattern + 2 ** (WIDTH - 1)).remainder(2**WIDTH).sub(2 ** (WIDTH - 1)).int()


def moments(x: torch.Tensor, bits: int) -> Statistics:
    """Of `fixed(x, bits)`, whose magnitudes are at most 2**30: what SAWB looks at."""
    integers = fixed(x, bits).long()
    magnitude = integers.abs()
    high, low = magnitude >> 15, magnitude & 2**15 - 1  # so that no sum of squares leaves int64
    least, greatest, largest, total, *squares = torch.stack([
        integers.min(), integers.max(), magnitude.max(), magnitude.sum(), (high * high).sum(),
        (high * low).sum(), (low * low).sum()]).tolist()
    return Statistics(x.numel(), least, greatest, largest, total,
                      (squares[0] << 30) + (squares[1] << 16) + squares[2])


def multiply(a: torch.Tensor, a_fmt: IntFormat, b: torch.Tensor, b_fmt: Format) -> torch.Tensor:
    """Exact `a @ b.T` of values in MAC units, float32 (G, M, K) and (G, N, K).

    Returns float32 where it holds every sum, float64 otherwise: integers either way. float32 sums
    are exact up to 2**24 in any order, on a GPU in TF32 as well, for the values have few bits.
    """
    depth = EXACT_FLOAT32 // max_product(a_fmt, b_fmt)
    if a.shape[2] <= depth:
        return _product(a, b)
    total = torch.zeros(len(a), a.shape[1], b.shape[1], dtype=torch.float64, device=a.device)
    for start in range(0, a.shape[2], depth):
        total += _product(a[..., start:start + depth], b[..., start:start + depth])
    return total


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a[0] @ b[0].T)[None] if len(a) == 1 else a @ b.transpose(1, 2)
