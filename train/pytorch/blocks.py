# SPDX-License-Identifier: Apache-2.0
"""Block formats of others: MXFP4 and NVFP4, as the float32 numbers that their codes stand for.

Both have elements in E2M1, which are 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, and a scale
per block of neighbours in a row.

- MXFP4: OCP Microscaling Formats v1.0; 32 elements, the scale a power of two in E8M0.
- NVFP4: NVIDIA, "Pretraining Large Language Models with NVFP4", 2025, appendix B; 16 elements, or a
  square of 16 x 16; the scale in E4M3, below one in float32 for the whole tensor.

A row whose length is no multiple ends in a block that zeros fill up. What is not finite makes its
block NaN in MXFP4, the whole tensor in NVFP4.
"""

import torch
from torch.nn import functional

from golden.random_words import WIDTH, WORD_BITS
from train.pytorch import native

MX_BLOCK, NV_BLOCK = 32, 16
E2M1_TOP, E4M3_TOP = 6.0, 448.0
E8M0_LOWEST = 2.0**-127
UNBIASED = 0.75  # of what MXFP4 rounds stochastically: below 8 becomes below 6, nothing saturates

DRAW_BITS = WORD_BITS // 2  # a word serves two elements; tensor cores draw fewer bits for each
LANES = 16
EXPONENT = 0x7F80_0000  # of a float32's bits
CHUNK = 1 << 17  # elements that a CPU rounds at once: what is in between stays in its cache


def e2m1_(x: torch.Tensor, seed: int | None = None) -> torch.Tensor:
    """Round to E2M1, in place; beyond 6 becomes 6, and NaN stays.

    Parameters
    ----------
    x : float32, contiguous.
    seed : 0..2**32 - 1 to round stochastically, up with the probability of the place between two
        neighbours, in steps of 2**-DRAW_BITS; None rounds to nearest, ties to even.
    """
    flat = x.view(-1)
    size = CHUNK if x.device.type == "cpu" else max(1, flat.numel())
    for number, part in enumerate(flat.split(size)):
        # the power of two below: neighbours are half of it apart, and 0.5 below 1
        power = part.view(torch.int32).bitwise_and(EXPONENT).view(torch.float32).clamp_(1, 4)
        if seed is None:
            # float32 has no digits below its step at 1.5 * 2**22 of these: the sum rounds
            power.mul_(1.5 * 2.0**22)
            part.add_(power).sub_(power)
        else:
            step = power.mul_(0.5)
            draws = uniform(seed, number * size, part.numel(), x.device)
            part.div_(step).add_(draws).floor_().mul_(step)
        part.clamp_(-E2M1_TOP, E2M1_TOP)
    return x


def uniform(seed: int, start: int, count: int, device: torch.device) -> torch.Tensor:
    """Draws number `start`, a multiple of 2 * LANES, and its successors, float32 in 0..1."""
    first, rows = start // (2 * LANES), -(-count // (2 * LANES))
    words = native.random_words(seed, first, rows, LANES, device)
    draws = torch.stack([words >> DRAW_BITS, words & (1 << DRAW_BITS) - 1], 2)
    return draws.view(-1)[:count].float().add_(0.5).mul_(2.0**-DRAW_BITS)


def mxfp4(x: torch.Tensor, seed: int | None = None) -> torch.Tensor:
    """`x` (..., K) in MXFP4, float32 (..., K).

    With a seed what is rounded, stochastically, is `UNBIASED` times x, after Tseng et al.,
    "Training LLMs with MXFP4", 2025: the mean of the result is `UNBIASED` times x.
    """
    blocks = _padded(x, -1, MX_BLOCK).unflatten(-1, (-1, MX_BLOCK))
    largest = blocks.abs().amax(-1, keepdim=True)
    # 2**(floor(log2(largest)) - 2): the top power of two in E2M1 is 4; Inf of what is not finite,
    # which times a code of 0 is NaN
    power = largest.view(torch.int32).bitwise_and(EXPONENT).view(torch.float32)
    scale = power.mul_(0.25).clamp_(min=E8M0_LOWEST)
    codes = e2m1_(blocks * ((1.0 if seed is None else UNBIASED) / scale), seed)
    return codes.mul_(scale).flatten(-2)[..., :x.shape[-1]]


def nvfp4(x: torch.Tensor, seed: int | None = None, *, square: bool = False) -> torch.Tensor:
    """`x` (..., K) in NVFP4, float32 (..., K); in squares of (..., N, K) if `square`, for both
    directions at once. A seed rounds stochastically."""
    blocks, axes = _padded(x, -1, NV_BLOCK).unflatten(-1, (-1, NV_BLOCK)), [-1]
    if square:
        blocks, axes = _padded(blocks, -3, NV_BLOCK).unflatten(-3, (-1, NV_BLOCK)), [-3, -1]
    finite = torch.finfo(torch.float32).max
    largest = blocks.abs().amax(axes, keepdim=True)
    tensor = largest.amax()
    top = torch.full_like(tensor, E2M1_TOP)  # torch divides by and of numbers less exactly
    encode = (top * E4M3_TOP / tensor).clamp_(max=finite)
    scale = (largest / top * encode).clamp_(max=E4M3_TOP).to(torch.float8_e4m3fn).float()
    scale.mul_(encode.reciprocal())
    # a block far below the largest has the scale 0, and so have its elements
    codes = e2m1_(blocks * (1 / scale).clamp_(max=finite), seed).mul_(scale)
    if square:
        codes = codes.flatten(-4, -3)[..., :x.shape[-2], :, :]
    return codes.flatten(-2)[..., :x.shape[-1]]


def _padded(x: torch.Tensor, axis: int, multiple: int) -> torch.Tensor:
    short = -x.shape[axis] % multiple
    if not short:
        return x.contiguous()
    return functional.pad(x, (0, 0) * (-1 - axis) + (0, short))


def rotation(size: int, seed: int, device: torch.device) -> torch.Tensor:
    """A random Hadamard transform, orthogonal, float32 (size, size): rows of random signs times
    the matrix of Sylvester. `size` is a power of two."""
    matrix = torch.ones(1, 1, device=device)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    signs = uniform(seed, 0, size, device).sub_(0.5).sign_()
    return matrix.mul_(signs[:, None]).mul_(size**-0.5)


def rotated(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """`x` (..., K) with every stretch of a row transformed, (..., K up to a multiple): of two
    matrices with the same transform, `a @ b.T` stays."""
    return (_padded(x, -1, len(by)).unflatten(-1, (-1, len(by))) @ by).flatten(-2)


def following(seed: int, places: int) -> int:
    """The seed some places behind."""
    return (seed + places) % 2**WIDTH
