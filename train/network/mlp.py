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
from golden.solver import SolveMode
from train.network.activations import Pact, RangedRelu
from train.network.layers import FloatDense, QuantisedDense, softmax_cross_entropy
from train.network.optimizer import Parameter
from train.quantisers import (
    Fixed,
    GradScaled,
    LogGradient,
    Luq,
    Policy,
    RangedInputs,
    Sawb,
    SolvedScale,
    SolvedWeights,
    UnitInterval,
)

RANGE, SYMMETRIC, SAWB, LUQ = (
    SolveMode.RANGE, SolveMode.SYMMETRIC, SolveMode.SAWB, SolveMode.LUQ)
WEIGHT_DECAY = 5e-4
ALPHA_INIT = 2.0
ALPHA_DECAY = 1e-2
ALPHA_FLOOR = 1 / 16  # far below any useful clip, far above where a scale leaves its range
LOSS_FRACTION_BITS = 30  # |p - onehot| <= 1


@dataclass(frozen=True)
class Scheme:
    """How a 4-bit network quantises.

    Members
    -------
    about : one sentence.
    inputs, weights, gradients : make a quantiser from the free tensors of the core's table, of
        which it takes the next one if it needs it, and the run's generator of random seeds.
    activations : likewise, from the layer's number before them.
    host_statistics : whether the host measures tensors and derives their scales; else the core.
    """

    about: str
    inputs: Callable = lambda tensors, rng: UnitInterval()
    weights: Callable = lambda tensors, rng: SolvedWeights(SolvedScale(next(tensors), SAWB))
    activations: Callable = lambda i, tensors, rng: Pact(_alpha(i), next(tensors))
    gradients: Callable = lambda tensors, rng: GradScaled(next(tensors))
    host_statistics: bool = False


SCHEMES = {
    "adaptive": Scheme(
        "the core measures and solves every scale: weights SAWB, activations PACT, gradients "
        "GradScale in two phases"),
    "hindsight": Scheme(
        "as adaptive, in one pass: weights take the scale that the step before solved",
        weights=lambda tensors, rng: SolvedWeights(
            SolvedScale(next(tensors), SAWB, Policy.HINDSIGHT))),
    "symmetric": Scheme(
        "as adaptive, weights by their largest magnitude, which maps onto code 7",
        weights=lambda tensors, rng: SolvedWeights(SolvedScale(next(tensors), SYMMETRIC))),
    "range": Scheme(
        "as adaptive, inputs and activations INT4 with a zero point: their measured range maps "
        "onto -8 to 7",
        inputs=lambda tensors, rng: RangedInputs(SolvedScale(next(tensors), RANGE)),
        activations=lambda i, tensors, rng: RangedRelu(
            SolvedScale(next(tensors), RANGE), top=ALPHA_INIT)),
    "stochastic": Scheme(
        "as adaptive, gradients rounded stochastically",
        gradients=lambda tensors, rng: GradScaled(next(tensors), rng)),
    "stochastic-all": Scheme(
        "as adaptive, inputs, weights, activations and gradients rounded stochastically",
        inputs=lambda tensors, rng: UnitInterval(rng),
        weights=lambda tensors, rng: SolvedWeights(SolvedScale(next(tensors), SAWB), rng),
        activations=lambda i, tensors, rng: Pact(_alpha(i), next(tensors), rng),
        gradients=lambda tensors, rng: GradScaled(next(tensors), rng)),
    "luq": Scheme(
        "as adaptive, gradients after LUQ: radix 2, rounded stochastically, no saturation",
        gradients=lambda tensors, rng: Luq(SolvedScale(next(tensors), LUQ), rng)),
    "static": Scheme(
        "the host measures and derives every scale: weights SAWB, activations PACT, gradients "
        "GradScale in two phases",
        weights=lambda tensors, rng: Sawb(),
        activations=lambda i, tensors, rng: Pact(_alpha(i)),
        gradients=lambda tensors, rng: LogGradient(),
        host_statistics=True),
}


def _alpha(i: int) -> Parameter:
    return Parameter(f"alpha {i}", np.array(ALPHA_INIT), ALPHA_DECAY, floor=ALPHA_FLOOR)


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
    encode : turns float inputs (batch, features) into what the first layer takes; `frozen=True`
        leaves the core's scales and the random seeds as they are.
    encode_loss : turns each sample's `p - onehot` (batch, classes) into what `backward` takes.
    """

    def __init__(self, layers: list, encode: Callable, encode_loss: Callable):
        self.layers, self.encode, self.encode_loss = layers, encode, encode_loss

    @property
    def parameters(self) -> list[Parameter]:
        return [p for layer in self.layers for p in layer.parameters]

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
    for i, (weight, bias) in enumerate(_initial(sizes, seed, np.float64)):
        weights, gradient = chosen.weights(tensors, seeds), chosen.gradients(tensors, seeds)
        activation = chosen.activations(i, tensors, seeds) if i < len(sizes) - 2 else None
        layers.append(QuantisedDense(backend, weight, bias, weights, gradient, activation))
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
        for i, (weight, bias) in enumerate(_initial(sizes, seed, dtype))
    ]
    return Network(layers, encode=lambda x, frozen: np.asarray(x, dtype), encode_loss=lambda g: g)


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
