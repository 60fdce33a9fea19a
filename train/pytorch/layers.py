# SPDX-License-Identifier: Apache-2.0
"""`Linear` and `Conv2d` of torch whose products take four-bit operands."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from train.pytorch.product import Product

# of a name within the layer, and rows of the weight; maybe another class or policy
MakeProduct = Callable[..., Product]


class Single:
    """What layers with one product share."""

    product: Product

    @classmethod
    def of(cls, layer: Any, make: MakeProduct):
        """The twin of a layer, with its parameters."""
        found = adopted(cls, layer)
        found.product = make("", len(layer.weight))
        return found


class Linear4(Single, nn.Linear):
    """`nn.Linear`, the same parameters; inputs of any shape (..., in)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] != self.in_features:
            raise ValueError(f"an input of shape {tuple(x.shape)}: expected (..., "
                             f"{self.in_features})")
        y = self.product(x.reshape(1, -1, self.in_features), self.weight[None])
        y = y.reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias


class Conv2d4(Single, nn.Conv2d):
    """`nn.Conv2d`, the same parameters: a GEMM of patches, its rows the output's pixels.

    The codes of the input are those of its pixels, rounded once; a scale per row is one per patch.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.numel():
            return super().forward(x)
        single = x.ndim == 3
        x = x[None] if single else x
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            x = functional.pad(
                x, self._reversed_padding_repeated_twice,
                mode="constant" if self.padding_mode == "zeros" else self.padding_mode)
            padding: tuple[int, ...] = (0, 0)
        else:
            padding = self.padding
        folding: dict[str, Any] = {"kernel_size": self.kernel_size, "dilation": self.dilation,
                                   "padding": padding, "stride": self.stride}
        batch, size = len(x), x.shape[2:]
        out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(
            size, padding, self.dilation, self.kernel_size, self.stride, strict=True)]

        def expand(values: torch.Tensor) -> torch.Tensor:
            """Patches (groups, batch * pixels, inputs of a patch)."""
            columns = functional.unfold(values, **folding)
            columns = columns.reshape(batch, self.groups, -1, columns.shape[-1])
            return columns.permute(1, 0, 3, 2).reshape(self.groups, batch * columns.shape[-1], -1)

        def collapse(patches: torch.Tensor) -> torch.Tensor:
            columns = patches.reshape(self.groups, batch, -1, patches.shape[-1])
            columns = columns.permute(1, 0, 3, 2).reshape(batch, -1, columns.shape[2])
            return functional.fold(columns, output_size=size, **folding)

        w = self.weight.reshape(self.groups, self.out_channels // self.groups, -1)
        y = self.product(x, w, expand, collapse)
        y = y.reshape(self.groups, batch, -1, y.shape[-1]).permute(1, 0, 3, 2)
        y = y.reshape(batch, self.out_channels, *out)
        if self.bias is not None:
            y = y + self.bias[:, None, None]
        return y[0] if single else y


def adopted(cls, layer: nn.Module):
    """A module of this class with the state and the parameters of another."""
    found = cls.__new__(cls)
    nn.Module.__init__(found)
    found.__dict__.update({name: value for name, value in layer.__dict__.items()
                           if name not in ("_modules", "_parameters", "_buffers")})
    for kind in ("_parameters", "_buffers", "_modules"):
        setattr(found, kind, dict(getattr(layer, kind)))
    return found
