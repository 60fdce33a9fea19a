# SPDX-License-Identifier: Apache-2.0
"""Activations of a 4-bit network: what the accumulators of a layer's fprop become.

All are called alike, as `train.network.protocols.Activation` says.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from golden import checks
from golden.adaptive import TENSOR_WIDTH, Adapt, Use
from golden.dyadic import Dyadic
from golden.engine import Backend, Job
from golden.formats import INT4, UINT4
from golden.rescale import RAW, Rescale
from golden.solver import ALPHA_WIDTH, SolveMode
from golden.tensor import Quantised
from train.network.optimizer import Parameter
from train.network.protocols import Product
from train.quantisers import Fixed, SolvedScale, draw_seed


@dataclass(eq=False)
class Pact:
    """UINT4: clipped to [0, alpha], alpha learned; fused into the fprop GEMM.

    Members
    -------
    alpha : Parameter of shape (), > 0.
    tensor : the entry in which the core solves 15 / alpha; None: the host divides.
    rng : draws a seed per job for stochastic rounding; None rounds to nearest.
    """

    alpha: Parameter
    tensor: int | None = None
    rng: np.random.Generator | None = None
    _inside: np.ndarray = field(init=False, repr=False)  # 0 < x < alpha
    _above: np.ndarray = field(init=False, repr=False)  # x >= alpha

    def __post_init__(self):
        checks.instance(self, "alpha", Parameter)
        if self.tensor is not None:
            checks.integer(self, "tensor", 0, 2**TENSOR_WIDTH - 1)
        checks.instance(self, "rng", np.random.Generator, optional=True)

    @property
    def parameters(self) -> list[Parameter]:
        return [self.alpha]

    def prepare(self, backend: Backend, unit: float, *,
                frozen: bool = False) -> tuple[Rescale, Adapt | None]:
        """What the GEMM is to do with its accumulators; the core solves it here, unless `frozen`.

        The host's quotient is the scale where there is no other.
        """
        alpha = float(self.alpha.value)
        own = Rescale(UINT4, Dyadic.nearest(unit * UINT4.hi / alpha),
                      seed=draw_seed(self.rng, frozen))
        if self.tensor is None:
            return own, None
        if not frozen:
            mantissa, exponent = _mantissa(alpha / unit)
            backend.run(Job.table(
                Adapt(self.tensor, solve=SolveMode.PACT, alpha=mantissa, exponent=exponent)))
        return own, Adapt(self.tensor, Use.ENTRY)

    def __call__(self, backend: Backend, product: Product, unit: float, *,
                 frozen: bool = False) -> Quantised:
        """The activations, with the scale really applied."""
        then, adapt = self.prepare(backend, unit, frozen=frozen)
        result = product(then, adapt)
        scale = result.report.scale if result.report else then.scale
        self._inside = result.inside
        self._above = ~result.inside & (result.codes == UINT4.hi)  # 15 alone may be below alpha
        return Quantised(result.codes, UINT4, unit / scale.value)

    def backward(self, g: Fixed) -> np.ndarray:
        """Where the gradient passes, bool; alpha's own is the sum where the activation clipped."""
        above = g.values.sum(where=self._above, dtype=np.int64)
        self.alpha.gradient = np.asarray(above * g.unit / len(g.values))
        return self._inside


def _mantissa(value: float) -> tuple[int, int]:
    """(m, e) with `value ~ m * 2**-e`, m of 32 significant bits; value > 0."""
    fraction, exponent = math.frexp(value)
    mantissa = round(math.ldexp(fraction, ALPHA_WIDTH))
    return min(mantissa, 2**ALPHA_WIDTH - 1), ALPHA_WIDTH - exponent


@dataclass(eq=False)
class RangedRelu:
    """INT4 with a zero point: ReLU, and what passes in a range that the core measures.

    The accumulators leave the core as INT32, since a GEMM cannot be measured ahead of itself, and
    come back with the ReLU as mask.

    Members
    -------
    scale : SolvedScale in range mode. top : the range is [0, top] where there is none to solve.
    """

    scale: SolvedScale
    top: float
    _positive: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        checks.instance(self, "scale", SolvedScale)
        checks.real(self, "top", checks.POSITIVE)

    @property
    def parameters(self) -> list[Parameter]:
        return []

    def __call__(self, backend: Backend, product: Product, unit: float, *,
                 frozen: bool = False) -> Quantised:
        """The activations, with the scale and the zero point really applied."""
        sums = product(RAW, None).codes
        self._positive = sums > 0
        own = Rescale(INT4, Dyadic.nearest((INT4.hi - INT4.lo) * unit / self.top), INT4.lo)
        result = self.scale.quantise(backend, sums, own, mask=self._positive, frozen=frozen)
        return Quantised(result.codes, INT4, unit / result.told.scale.value,
                         result.told.zero_point)

    def backward(self, g: Fixed) -> np.ndarray:
        """Where the gradient passes, bool: the range clips nothing but what lies below 0."""
        return self._positive
