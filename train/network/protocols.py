# SPDX-License-Identifier: Apache-2.0
"""What layers take and what networks are made of, as types: anything that is called so fits."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from golden.adaptive import Adapt
from golden.engine import Backend
from golden.rescale import Rescale, Rescaled
from golden.tensor import Quantised
from train.network.optimizer import Parameter
from train.quantisers import Fixed, GradientCodes

Product = Callable[[Rescale, Adapt | None], Rescaled]  # runs a layer's fprop and rescales it so


class TensorQuantiser(Protocol):
    """Codes of a float tensor (rows, columns), `name` in its errors; `frozen` to infer."""

    def __call__(self, backend: Backend, x: np.ndarray, /, *, name: str,
                 frozen: bool) -> Quantised: ...


class InputQuantiser(TensorQuantiser, Protocol):
    """Of a network's inputs (batch, features)."""


class WeightQuantiser(TensorQuantiser, Protocol):
    """Of a layer's weights (out, in)."""


class GradientQuantiser(Protocol):
    """Of the gradient of a layer's output (batch, out), 0 where `mask` is False."""

    @property
    def log2_scale(self) -> float:
        """Of the scale, as the latest step left it."""

    def __call__(self, backend: Backend, g: Fixed, /, *,
                 mask: np.ndarray | None) -> GradientCodes: ...


class Activation(Protocol):
    """What the accumulators of a layer's fprop become.

    Called, it lets `product` run the GEMM, whose accumulators are of `unit` each, and gives the
    activations; `backward` sets the gradients of its `parameters` and says where the gradient
    passes, bool (batch, out).
    """

    @property
    def parameters(self) -> Sequence[Parameter]: ...

    def __call__(self, backend: Backend, product: Product, unit: float, /, *,
                 frozen: bool) -> Quantised: ...

    def backward(self, g: Fixed, /) -> np.ndarray: ...


class Layer(Protocol):
    """One layer, 4 bit or floating point: what passes between layers is their own affair."""

    @property
    def parameters(self) -> Sequence[Parameter]: ...

    def forward(self, x: Any, /, *, frozen: bool = False) -> Any: ...

    def backward(self, g: Any, /, propagate: bool) -> Any: ...


class Scaled(Protocol):
    """What quantises a layer's gradients."""

    @property
    def log2_scale(self) -> float:
        """Of the scale, as the latest step left it."""


class FourBitLayer(Protocol):
    """A layer whose codes people look at."""

    @property
    def codes(self) -> dict[str, Quantised]:
        """The tensors of the latest step: weights, inputs, gradients."""

    @property
    def quantise_gradient(self) -> Scaled: ...


class Trainable(Protocol):
    """A network, wherever it computes."""

    @property
    def parameters(self) -> list[Parameter]: ...

    @property
    def quantised(self) -> Sequence[FourBitLayer]:
        """The 4-bit layers, the first to the last; none in FP32."""

    def backpropagate(self, inputs: np.ndarray, labels: np.ndarray, /) -> float:
        """Mean loss of a batch; sets the gradient of every parameter."""

    def predict(self, inputs: np.ndarray, /) -> np.ndarray:
        """The most likely class of each input, (batch,)."""
