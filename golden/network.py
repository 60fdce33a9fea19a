# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptrons: a 4-bit one on any backend, and its FP32 twin from the same seed."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from golden.engine import Backend
from golden.layers import FloatDense, QuantisedDense, softmax_cross_entropy
from golden.optimizer import Parameter
from golden.quantisers import Fixed, Pact, UnitInterval

WEIGHT_DECAY = 5e-4
ALPHA_INIT = 2.0
ALPHA_DECAY = 1e-2
ALPHA_FLOOR = 1 / 16  # far below any useful clip, far above where a scale leaves its range
LOSS_FRACTION_BITS = 30  # |p - onehot| <= 1


class Network:
    """Layers in a row, from inputs in [0, 1] to logits.

    Parameters
    ----------
    layers : QuantisedDense or FloatDense, the first to the last.
    encode : turns float inputs (batch, features) into what the first layer takes.
    encode_loss : turns each sample's `p - onehot` (batch, classes) into what `backward` takes.
    """

    def __init__(self, layers: list, encode: Callable, encode_loss: Callable):
        self.layers, self.encode, self.encode_loss = layers, encode, encode_loss

    @property
    def parameters(self) -> list[Parameter]:
        return [p for layer in self.layers for p in layer.parameters]

    def logits(self, inputs) -> np.ndarray:
        """Logits (batch, classes) of inputs (batch, features) in [0, 1]."""
        x = self.encode(inputs)
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backpropagate(self, inputs, labels) -> float:
        """Mean loss of a batch; sets the gradient of every parameter."""
        loss, gradient = softmax_cross_entropy(self.logits(inputs), labels)
        g = self.encode_loss(gradient)
        for layer in reversed(self.layers):
            g = layer.backward(g, propagate=layer is not self.layers[0])
        return loss

    def predict(self, inputs) -> np.ndarray:
        """The most likely class of each input, (batch,)."""
        return self.logits(inputs).argmax(axis=1)


def quantised_mlp(sizes: tuple[int, ...], seed: int, backend: Backend) -> Network:
    """A 4-bit network with layers of `sizes` (inputs, hidden ..., classes) on `backend`."""
    quantise = UnitInterval()
    layers = []
    for i, (weight, bias) in enumerate(_initial(sizes, seed, np.float64)):
        last = i == len(sizes) - 2
        alpha = Parameter(f"alpha {i}", np.array(ALPHA_INIT), ALPHA_DECAY, floor=ALPHA_FLOOR)
        layers.append(QuantisedDense(backend, weight, bias, None if last else Pact(alpha)))
    return Network(
        layers,
        encode=lambda x: quantise(backend, x, name="inputs"),
        encode_loss=lambda g: Fixed.of(g, LOSS_FRACTION_BITS, name="loss gradient"),
    )


def float_mlp(sizes: tuple[int, ...], seed: int, dtype=np.float32) -> Network:
    """The same network with the same initial weights in floating point, with plain ReLU."""
    layers = [
        FloatDense(weight, bias, relu=i < len(sizes) - 2)
        for i, (weight, bias) in enumerate(_initial(sizes, seed, dtype))
    ]
    return Network(layers, encode=lambda x: np.asarray(x, dtype), encode_loss=lambda g: g)


def _initial(sizes: tuple[int, ...], seed: int, dtype) -> list[tuple[Parameter, Parameter]]:
    """Weights after He (2015): normal, variance 2 / inputs; biases 0."""
    if len(sizes) < 2 or any(size < 1 for size in sizes):
        raise ValueError(
            f"sizes = {sizes!r}: expected two or more positive integers, inputs first, classes last"
        )
    rng = np.random.default_rng(seed)
    parameters = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs)).astype(dtype)
        parameters.append((
            Parameter(f"weight {i}", weight, WEIGHT_DECAY),
            Parameter(f"bias {i}", np.zeros(outputs, dtype)),
        ))
    return parameters
