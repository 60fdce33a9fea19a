# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptrons: a 4-bit one on any backend, and its FP32 twin from the same seed."""

from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np

from golden.adaptive import Adapt, Entry
from golden.checks import as_integer
from golden.engine import Backend, Job
from train.network.layers import FloatDense, QuantisedDense, softmax_cross_entropy
from train.network.optimizer import Parameter
from train.network.protocols import Layer
from train.network.schemes import scheme
from train.quantisers import Fixed

WEIGHT_DECAY = 5e-4
LOSS_FRACTION_BITS = 30  # |p - onehot| <= 1


class Network:
    """Layers in a row, from inputs in [0, 1] to logits.

    Parameters
    ----------
    layers : QuantisedDense or FloatDense, the first to the last.
    encode : turns float inputs (batch, features) into what the first layer takes; `frozen=True`
        leaves the core's scales and the random seeds as they are.
    encode_loss : turns each sample's `p - onehot` (batch, classes) into what `backward` takes.
    """

    def __init__(self, layers: Sequence[Layer], encode: Callable[..., Any],
                 encode_loss: Callable[[np.ndarray], Any]):
        self.layers, self.encode, self.encode_loss = layers, encode, encode_loss

    @property
    def parameters(self) -> list[Parameter]:
        return [p for layer in self.layers for p in layer.parameters]

    @property
    def quantised(self) -> list[QuantisedDense]:
        """The 4-bit layers, the first to the last; none in FP32."""
        return [layer for layer in self.layers if isinstance(layer, QuantisedDense)]

    def logits(self, inputs, *, frozen: bool = True) -> np.ndarray:
        """Logits (batch, classes) of inputs (batch, features) in [0, 1].

        `frozen` is to infer: with the scales that training left, rounded to nearest, so that
        neither those scales nor the seeds of the steps to come depend on it.
        """
        x = self.encode(inputs, frozen=frozen)
        for layer in self.layers:
            x = layer.forward(x, frozen=frozen)
        return x

    def backpropagate(self, inputs, labels) -> float:
        """Mean loss of a batch; sets the gradient of every parameter."""
        loss, gradient = softmax_cross_entropy(self.logits(inputs, frozen=False), labels)
        g = self.encode_loss(gradient)
        for layer in reversed(self.layers):
            g = layer.backward(g, propagate=layer is not self.layers[0])
        return loss

    def predict(self, inputs) -> np.ndarray:
        """The most likely class of each input, (batch,)."""
        return self.logits(inputs).argmax(axis=1)


def quantised_mlp(sizes: tuple[int, ...], seed: int, backend: Backend,
                  quant: str = "adaptive") -> Network:
    """A 4-bit network with layers of `sizes` (inputs, hidden ..., classes) on `backend`.

    `quant` names the scheme. Unless that is the host's, the network owns the backend's table of
    scales and first clears the entries that it will use: three for each layer, two for the last,
    and one for inputs whose range is measured.
    """
    chosen, tensors = scheme(quant), count()
    seeds = np.random.default_rng(seed).spawn(1)[0]  # independent of the initial weights
    layers = []
    for i, (weight, bias) in enumerate(initial(sizes, seed, np.float64)):
        weights, gradients = chosen.weights(tensors, seeds), chosen.gradients(tensors, seeds)
        activation = chosen.activations(i, tensors, seeds) if i < len(sizes) - 2 else None
        layers.append(QuantisedDense(backend, weight, bias, weights, gradients, activation))
    inputs = chosen.inputs(tensors, seeds)
    used, available = next(tensors), backend.config.tensors
    if used > available:
        raise ValueError(
            f"{len(layers)} layers with QUANT={quant} have {used} scales: this core keeps "
            f"1..{available} (tensors = {available}); use fewer layers, a Config with more tensors "
            "(1..256), or QUANT=static, which keeps none in the core")
    for tensor in range(used):
        backend.run(Job.table(Adapt(tensor, preset=Entry())))
    return Network(
        layers,
        encode=lambda x, frozen: inputs(backend, x, name="inputs", frozen=frozen),
        encode_loss=lambda g: Fixed.of(g, LOSS_FRACTION_BITS, name="loss gradient"),
    )


def float_mlp(sizes: tuple[int, ...], seed: int, dtype=np.float32) -> Network:
    """The same network with the same initial weights in floating point, with plain ReLU."""
    layers = [
        FloatDense(weight, bias, relu=i < len(sizes) - 2)
        for i, (weight, bias) in enumerate(initial(sizes, seed, dtype))
    ]
    return Network(layers, encode=lambda x, frozen: np.asarray(x, dtype), encode_loss=lambda g: g)


def initial(sizes: tuple[int, ...], seed: int, dtype) -> list[tuple[Parameter, Parameter]]:
    """Weights after He (2015): normal, variance 2 / inputs; biases 0."""
    sizes = layer_sizes(sizes)
    rng = np.random.default_rng(seed)
    parameters = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs)).astype(dtype)
        parameters.append((
            Parameter(f"weight {i}", weight, WEIGHT_DECAY),
            Parameter(f"bias {i}", np.zeros(outputs, dtype)),
        ))
    return parameters


def layer_sizes(sizes: Any) -> tuple[int, ...]:
    """`sizes` as plain ints; ValueError unless they are two or more, from 1."""
    try:
        found = tuple(as_integer("size", size, 1) for size in sizes)
    except (TypeError, ValueError):
        found = ()
    if len(found) < 2 or isinstance(sizes, str):
        raise ValueError(
            f"sizes = {sizes!r}: expected two or more positive integers, inputs first, classes last"
        )
    return found
