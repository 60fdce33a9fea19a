# SPDX-License-Identifier: Apache-2.0
"""Exact models of dot products that accumulate once for several products.

They are what the core is compared with (`docs/synthesis.md`, Baselines), not what it computes in. A
dot product is a `Term`; `accumulate` adds it to a sum as matrix units do that are built today: the
smaller of the two is aligned to the larger and cut off, and so is the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from synth.baselines.minifloat import MiniFloat

E2M1_BIAS, E4M3_BIAS, E8M0_BIAS = 1, 7, 127
E4M3_FRACTION = 3
HALVES = 2  # a product of two E2M1 codes is so many quarters: 2**-HALVES


@dataclass(frozen=True)
class Term:
    """What is added to a sum: (-1)^sign m 2^x, of which m has at most `width` bits.

    `symbol` : an operand was no number.
    """

    sign: int
    m: int
    x: int
    width: int
    symbol: bool = False


def accumulate(fmt: MiniFloat, frame: int, term: Term, c: int) -> int:
    """The code of c + term in a lean format.

    Both are put into a frame of `frame` bits, the upper end of the one whose place for a leading
    one is higher at its top; of a term of 0 the sum's. What does not fit below is cut off, from
    magnitudes; the sum of both is exact, and its significand is cut off. ValueError for a format
    that is not lean, or a frame in which a term or a sum has no room.
    """
    p = fmt.precision
    if fmt.ieee or frame < max(p, term.width + 1):
        raise ValueError(f"{fmt.name}: a frame of {frame} bits: expected a lean format and at least"
                         f" {max(p, term.width + 1)}")
    if fmt.is_nan(c):
        return c
    if term.symbol:
        return fmt.inf(0)
    sign, m, x = fmt.decode(c)
    tops = x + p - 1, term.x + term.width - 1
    top = tops[0] if term.m == 0 else max(tops)
    mine = m << frame - p >> top - tops[0]
    its = term.m << frame - term.width >> max(top - tops[1], 0)
    total = (-mine if sign else mine) + (-its if term.sign else its)
    size, low = abs(total), top - frame + 1
    drop = size.bit_length() - p
    kept = size >> drop << drop if drop > 0 else size
    return fmt.encode(int(total < 0), kept, low)


def e2m1(code: int) -> tuple[int, int]:
    """Sign and magnitude of an E2M1 code in halves: 0, 1, 2, 3, 4, 6, 8, 12."""
    exponent, fraction = code >> 1 & 3, code & 1
    return code >> 3, fraction if exponent == 0 else (2 | fraction) << exponent - E2M1_BIAS


def e4m3(code: int) -> tuple[int, int]:
    """m and x of an E4M3 code's magnitude, m 2^x."""
    exponent, fraction = code >> E4M3_FRACTION & 15, code & 7
    return (fraction | (exponent > 0) << E4M3_FRACTION,
            max(exponent, 1) - E4M3_BIAS - E4M3_FRACTION)


def block_sum(a: Sequence[int], b: Sequence[int]) -> int:
    """The exact sum of products of E2M1 codes, in quarters."""
    total = 0
    for x, y in zip(a, b, strict=True):
        (sx, mx), (sy, my) = e2m1(x), e2m1(y)
        total += -mx * my if sx ^ sy else mx * my
    return total


def mxfp4(a: Sequence[int], b: Sequence[int], scale_a: int, scale_b: int) -> Term:
    """Of MXFP4 operands: E2M1 codes and an E8M0 scale for all of them, 255 is no number (Open
    Compute Project, *Microscaling Formats*, version 1.0)."""
    total = block_sum(a, b)
    return Term(int(total < 0), abs(total), scale_a + scale_b - 2 * E8M0_BIAS - HALVES,
                block_width(len(a)), 255 in (scale_a, scale_b))


def nvfp4(a: Sequence[int], b: Sequence[int], scale_a: int, scale_b: int) -> Term:
    """Of NVFP4 operands: E2M1 codes and an E4M3 scale for all of them, of sign 0; 127 is no number
    (F. Abecassis et al., *Pretraining Large Language Models with NVFP4*, arXiv 2509.25149)."""
    total, m, x = block_sum(a, b), 1, -HALVES
    for significand, place in (e4m3(scale_a), e4m3(scale_b)):
        m *= significand
        x += place
    return Term(int(total < 0), abs(total) * m, x, block_width(len(a)) + 2 * (E4M3_FRACTION + 1),
                any(scale & 127 == 127 for scale in (scale_a, scale_b)))


def block_width(lanes: int) -> int:
    """Bits of the largest sum of products of E2M1 codes, in quarters."""
    return (lanes * 12 * 12).bit_length()


def aligned(a_fmt: MiniFloat, b_fmt: MiniFloat, kept: int, a: Sequence[int], b: Sequence[int],
            ) -> Term:
    """Of floating-point operands: products are exact, aligned to the largest exponent of one that
    is not 0, and cut off below `kept` bits of a product's place; their sum is exact."""
    width = kept + (len(a) - 1).bit_length()
    products, symbol = [], False
    for code_a, code_b in zip(a, b, strict=True):
        for fmt, code in ((a_fmt, code_a), (b_fmt, code_b)):
            symbol |= fmt.is_nan(code) or fmt.is_inf(code)
        (sa, ma, xa), (sb, mb, xb) = a_fmt.decode(code_a), b_fmt.decode(code_b)
        products.append((sa ^ sb, ma * mb, xa + xb))
    q = a_fmt.precision + b_fmt.precision
    low = max((x for _, m, x in products if m), default=0) + q - kept  # of the frame's last place
    total = 0
    for sign, m, x in products:
        shift = x - low
        size = m << shift if shift > 0 else m >> -shift
        total += -size if sign else size
    return Term(int(total < 0), abs(total), low, width, symbol)


def exact(a_fmt: MiniFloat, b_fmt: MiniFloat, scale: int, a: Sequence[int], b: Sequence[int],
          ) -> tuple[int, bool]:
    """Of floating-point operands: the sum of products in units of 2^-scale, an integer, and whether
    an operand is no number. ValueError where a product is no integer."""
    total, symbol = 0, False
    for codes in zip(a, b, strict=True):
        pair = list(zip((a_fmt, b_fmt), codes, strict=True))
        if any(fmt.is_nan(code) or fmt.is_inf(code) for fmt, code in pair):
            symbol = True
            continue
        (sa, ma, xa), (sb, mb, xb) = (fmt.decode(code) for fmt, code in pair)
        m, place = ma * mb, xa + xb + scale
        if m and place < 0:
            raise ValueError(f"scale = {scale}: expected {scale - place} or more for {codes}")
        total += (-m if sa ^ sb else m) << max(place, 0)
    return total, symbol
