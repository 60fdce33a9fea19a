# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptrons: a 4-bit one on any backend, and its FP32 twin from the same seed.

How the 4-bit one quantises is a `Scheme` by name: `scheme("adaptive")`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from golden.adaptive import Adapt, Entry
from golden.engine import Backend, Job
from golden.layers import FloatDense, QuantisedDense, softmax_cross_entropy
from golden.optimizer import Parameter
from golden.quantisers import (
    Fixed,
    GradScaled,
    LogGradient,
    Luq,
    Pact,
    Policy,
    Sawb,
    SolvedScale,
    SolvedWeights,
    UnitInterval,
)
from golden.solver import SolveMode

WEIGHT_DECAY = 5e-4
ALPHA_INIT = 2.0
ALPHA_DECAY = 1e-2
ALPHA_FLOOR = 1 / 16  # far below any useful clip, far above where a scale leaves its range
LOSS_FRACTION_BITS = 30  # |p - onehot| <= 1


@dataclass(frozen=True)
class Scheme:
    """How the layers of a 4-bit network quantise; the inputs' range [0, 1] is a constant in all.

    Members
    -------
    about : one sentence.
    weights : makes a layer's quantiser from its tensor in the core's table.
    gradients : likewise, from its tensor and the run's generator of random seeds.
    host_statistics : whether the host measures tensors and derives their scales; else the core.
    """

    about: str
    weights: Callable = lambda tensor: SolvedWeights(SolvedScale(tensor, SolveMode.SAWB))
    gradients: Callable = lambda tensor, rng: GradScaled(tensor)
    host_statistics: bool = False


SCHEMES = {
    "adaptive": Scheme(
        "the core measures and solves every scale: weights SAWB, activations PACT, gradients "
        "GradScale in two phases"),
    "hindsight": Scheme(
        "as adaptive, in one pass: weights take the scale that the step before solved",
        weights=lambda tensor: SolvedWeights(
            SolvedScale(tensor, SolveMode.SAWB, Policy.HINDSIGHT))),
    "stochastic": Scheme("as adaptive, gradients rounded stochastically", gradients=GradScaled),
    "luq": Scheme(
        "as adaptive, gradients after LUQ: radix 2, rounded stochastically, no saturation",
        gradients=lambda tensor, rng: Luq(SolvedScale(tensor, SolveMode.LUQ), rng)),
    "static": Scheme(
        "the host measures and derives every scale: weights SAWB, activations PACT, gradients "
        "GradScale in two phases",
        weights=lambda tensor: Sawb(), gradients=lambda tensor, rng: LogGradient(),
        host_statistics=True),
}


def scheme(name: str) -> Scheme:
    """The scheme called `name`; ValueError that lists the names otherwise."""
    try:
        return SCHEMES[name]
    except KeyError:
        raise ValueError(
            f"unknown quantisation {name!r}: expected one of {', '.join(SCHEMES)}") from None


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


def quantised_mlp(sizes: tuple[int, ...], seed: int, backend: Backend,
                  quant: str = "adaptive") -> Network:
    """A 4-bit network with layers of `sizes` (inputs, hidden ..., classes) on `backend`.

    `quant` names the scheme. Unless that is the host's, the network owns the backend's table of
    scales and first clears the entries that it will use: three for each layer, two for the last.
    """
    chosen, quantise, tensors = scheme(quant), UnitInterval(), count()
    seeds = np.random.default_rng(seed).spawn(1)[0]  # independent of the initial weights
    layers = []
    for i, (weight, bias) in enumerate(_initial(sizes, seed, np.float64)):
        weights, gradient = chosen.weights(next(tensors)), chosen.gradients(next(tensors), seeds)
        pact = None
        if i < len(sizes) - 2:
            alpha = Parameter(f"alpha {i}", np.array(ALPHA_INIT), ALPHA_DECAY, floor=ALPHA_FLOOR)
            pact = Pact(alpha, None if chosen.host_statistics else next(tensors))
        layers.append(QuantisedDense(backend, weight, bias, weights, gradient, pact))
    if not chosen.host_statistics:
        for tensor in range(next(tensors)):
            backend.run(Job.table(Adapt(tensor, preset=Entry())))
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
