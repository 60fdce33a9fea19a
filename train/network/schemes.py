# SPDX-License-Identifier: Apache-2.0
"""How a 4-bit network quantises: a `Scheme` by name, `scheme("adaptive")`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from golden import checks
from golden.solver import SolveMode
from train.network.activations import Pact, RangedRelu
from train.network.optimizer import Parameter
from train.network.protocols import (
    Activation,
    GradientQuantiser,
    InputQuantiser,
    WeightQuantiser,
)
from train.quantisers import (
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
ALPHA_INIT = 2.0
ALPHA_DECAY = 1e-2
ALPHA_FLOOR = 1 / 16  # far below any useful clip, far above where a scale leaves its range

Tensors = Iterator[int]  # the free entries of the core's table
Rng = np.random.Generator


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
    inputs: Callable[[Tensors, Rng], InputQuantiser] = lambda tensors, rng: UnitInterval()
    weights: Callable[[Tensors, Rng], WeightQuantiser] = lambda tensors, rng: SolvedWeights(
        SolvedScale(next(tensors), SAWB))
    activations: Callable[[int, Tensors, Rng], Activation] = lambda i, tensors, rng: Pact(
        _alpha(i), next(tensors))
    gradients: Callable[[Tensors, Rng], GradientQuantiser] = lambda tensors, rng: GradScaled(
        next(tensors))
    host_statistics: bool = False

    def __post_init__(self):
        checks.instance(self, "about", str)
        for name in ("inputs", "weights", "activations", "gradients"):
            if not callable(make := getattr(self, name)):
                raise ValueError(f"{name} = {make!r}: expected a function that makes a quantiser")
        checks.flag(self, "host_statistics")


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
