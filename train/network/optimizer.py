# SPDX-License-Identifier: Apache-2.0
"""Momentum SGD on the host's master copies, and the schedule of its learning rate.

The optimizer is the one part of training that is not 4 bit: it runs on the host, in the dtype of
each parameter (float64 masters for 4-bit layers, float32 for their FP32 twins).
"""

import math
from dataclasses import dataclass, field

import numpy as np

from golden import checks


@dataclass(eq=False)
class Parameter:
    """One trained array.

    Members
    -------
    name : for error messages.
    value : float array, the master copy; the optimizer updates it in place.
    decay : coefficient of the L2 penalty `decay / 2 * sum(value**2)`, >= 0.
    floor : values are kept at or above it (PACT's alpha must stay positive); None for no bound.
    gradient : of the mean loss, same shape; a layer's `backward` sets it.
    velocity : the momentum's state, owned by the optimizer.
    """

    name: str
    value: np.ndarray
    decay: float = 0.0
    floor: float | None = None
    gradient: np.ndarray = field(init=False)
    velocity: np.ndarray = field(init=False)

    def __post_init__(self):
        checks.instance(self, "name", str)
        checks.instance(self, "value", np.ndarray)
        if self.value.dtype.kind != "f":
            raise ValueError(f"value of {self.name} has dtype {self.value.dtype}: expected floats")
        self.decay = checks.as_real(f"decay of {self.name}", self.decay, checks.NOT_NEGATIVE)
        if self.floor is not None:
            self.floor = checks.as_real(f"floor of {self.name}", self.floor)
        self.gradient = np.zeros_like(self.value)
        self.velocity = np.zeros_like(self.value)


MOMENTA = checks.Reals("0 <= momentum < 1; 0 is plain SGD", lambda x: 0 <= x < 1)


@dataclass(frozen=True)
class Momentum:
    """SGD with momentum: `v = momentum * v + gradient + decay * value; value -= rate * v`.

    Members
    -------
    momentum : 0 <= momentum < 1.
    """

    momentum: float = 0.9

    def __post_init__(self):
        checks.real(self, "momentum", MOMENTA)

    def step(self, parameters: list[Parameter], rate: float) -> None:
        """One update of every parameter, in place, with learning rate `rate` >= 0."""
        rate = checks.as_real("learning rate", rate, checks.NOT_NEGATIVE)
        for p in parameters:
            p.velocity *= self.momentum
            p.velocity += p.gradient + p.decay * p.value
            p.value -= rate * p.velocity
            if p.floor is not None:
                np.maximum(p.value, p.floor, out=p.value)


def cosine(step: int, steps: int) -> float:
    """Share of the initial learning rate at `step` of `steps`: half a cosine from 1 towards 0."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} is out of range: expected 0..{steps - 1}")
    return (1 + math.cos(math.pi * step / steps)) / 2
