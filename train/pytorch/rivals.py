# SPDX-License-Identifier: Apache-2.0
"""Recipes of others in this harness: the three GEMMs of a layer in MXFP4 or in NVFP4, emulated.

Blocks lie along what a GEMM sums over, so an operand is rounded when it meets the other one, anew
in each GEMM: a `Product` keeps it as it is until then. Products are float32.

MXFP4: Tseng et al., "Training LLMs with MXFP4", 2025, and OCP Microscaling Formats v1.0.
    fprop  nearest, ours: they leave it in BF16 or FP8.
    dgrad, wgrad  both operands turned by a Hadamard transform of 64 with new random signs in each
        GEMM, scaled by 3/4, rounded stochastically; 16/9 of the product undoes the scaling.

NVFP4: NVIDIA, "Pretraining Large Language Models with NVFP4", 2025, section 4.
    weights  nearest, in squares, the same for fprop and dgrad.
    input  nearest. output's gradient  stochastic, in dgrad and wgrad.
    wgrad  both operands turned by a Hadamard transform of 16, its random signs the same in all
        layers and steps.

Products of attention are float in both papers; a policy with `attention` rounds them as well, keys
and values as weights. In `eval()` gradients round to nearest, without the 3/4.
"""

from dataclasses import dataclass

import torch

from train.pytorch.blocks import (
    UNBIASED,
    following,
    mxfp4,
    nvfp4,
    rotated,
    rotation,
)
from train.pytorch.execution import derived
from train.pytorch.policy import FloatFormat, Rival
from train.pytorch.product import Product
from train.pytorch.quantiser import Operand
from train.pytorch.recurrent import StateProduct

MX_TRANSFORM, NV_TRANSFORM = 64, 16
NV_SIGNS = 0  # the seed of the signs that all layers share
DGRAD, WGRAD = 1, 2  # what sets the words of a gradient's two GEMMs apart


@dataclass(frozen=True, eq=False)
class Whole(FloatFormat):
    """An operand that waits for the other one.

    Members
    -------
    role : of `train.pytorch.product.ROLES`. key : names it among all of a run.
    rounded : of weights, as fprop takes them, float32.
    """

    role: str
    key: tuple[int, ...]
    rounded: torch.Tensor | None = None


class RivalProduct(Product):
    """The three GEMMs of a layer as the recipe of `policy.rival` has them."""

    def operand(self, role: str, x: torch.Tensor, key: tuple[int, ...]) -> Operand:
        largest = x.abs().amax().item()
        if not largest < float("inf"):
            raise FloatingPointError(f"{largest} in {self.where}.{role}, a tensor of shape "
                                     f"{tuple(x.shape)}")
        rounded = None
        if role == "weight":
            rounded = mxfp4(x) if self.policy.rival == Rival.MXFP4 else nvfp4(x, square=True)
        unit = torch.ones((), dtype=torch.float64)
        return Operand(x, Whole("FP32", role, key, rounded), unit)

    def multiply(self, a: Operand, b: Operand, phase: str) -> torch.Tensor:
        """`a @ b.T`, float32 (G, rows of a, rows of b); the core does none of it."""
        mx = self.policy.rival == Rival.MXFP4
        assert isinstance(a.fmt, Whole) and isinstance(b.fmt, Whole)
        if b.fmt.rounded is not None:
            left, right = (mxfp4 if mx else nvfp4)(a.values), b.fmt.rounded
        elif mx:
            return self._mx_backward(a, b)
        elif a.fmt.rounded is not None:
            left = a.fmt.rounded.transpose(-1, -2)
            right = nvfp4(b.values, self._seed(b.fmt, DGRAD))
        else:
            turn = rotation(NV_TRANSFORM, NV_SIGNS, b.values.device)
            left = nvfp4(rotated(a.values, turn))
            right = nvfp4(rotated(b.values, turn), self._seed(b.fmt, WGRAD))
        return left @ right.transpose(-1, -2)

    def _mx_backward(self, a: Operand, b: Operand) -> torch.Tensor:
        assert isinstance(a.fmt, Whole) and isinstance(b.fmt, Whole)
        seed = derived(*b.fmt.key, WGRAD if a.fmt.rounded is None else DGRAD)
        turn = rotation(MX_TRANSFORM, seed, b.values.device)
        left, right = (
            mxfp4(rotated(x.values, turn), following(seed, 1 + n) if self.training else None)
            for n, x in enumerate((a, b)))
        y = left @ right.transpose(-1, -2)
        return y.mul_(UNBIASED**-2) if self.training else y

    def _seed(self, gradient: Whole, gemm: int) -> int | None:
        return derived(*gradient.key, gemm) if self.training else None


class RivalStateProduct(RivalProduct, StateProduct):
    """`StateProduct` likewise; each step's state is rounded by itself, and all of a pass once more
    for the weights' gradient."""


def as_rival(kind: type[Product]) -> type[Product]:
    """What takes the place of this class under a policy with a rival."""
    return {Product: RivalProduct, StateProduct: RivalStateProduct}[kind]
