# SPDX-License-Identifier: Apache-2.0
"""How each kind of tensor of a 4-bit network becomes 4-bit codes: one small object per tensor.

The host derives a scale from statistics and rounds it to a `Dyadic`; the backend's rescaling unit
does all rounding. The scale that travels with the codes is that of the dyadic really applied, so
host and hardware agree exactly: `code ~ fixed * M * 2**-s`, hence
`x = unit * fixed ~ unit / (M * 2**-s) * code`.
"""

from dataclasses import dataclass, field

import numpy as np

from golden.dyadic import Dyadic
from golden.engine import Backend, Job
from golden.fixed_point import to_fixed
from golden.formats import FP4_R4, UINT4, Phase
from golden.gradscale import GradScale
from golden.integer import sawb
from golden.optimizer import Parameter
from golden.rescale import Rescale, Rescaled
from golden.tensor import Quantised


@dataclass(frozen=True, eq=False)
class Fixed:
    """A tensor as 32-bit integers: `x = unit * values`, exactly.

    Members
    -------
    values : integers in int32's range, any shape.
    unit : float > 0, the value of one step.
    """

    values: np.ndarray
    unit: float

    @classmethod
    def of(cls, x, fraction_bits: int, *, name: str) -> "Fixed":
        """Floats rounded to `fraction_bits`; ValueError naming the tensor if they do not fit."""
        return cls(to_fixed(x, fraction_bits, name=name), 2.0**-fraction_bits)


@dataclass(frozen=True)
class UnitInterval:
    """Inputs in [0, 1], UINT4: 0 maps onto code 0 and 1 onto code 15."""

    fraction_bits: int = 30

    def __call__(self, backend: Backend, x, *, name: str = "x") -> Quantised:
        """Codes of `x` (batch, features); ValueError naming the first value outside [0, 1]."""
        x = np.asarray(x)
        outside = (x < 0) | (x > 1)
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            raise ValueError(
                f"tensor {name!r} holds {x[index]} at index {index}: "
                "inputs lie in 0..1; scale them by their maximum"
            )
        fixed = Fixed.of(x, self.fraction_bits, name=name)
        scale = Dyadic.nearest(UINT4.hi * fixed.unit)
        codes = backend.run(Job.quantise(fixed.values, Rescale(UINT4, scale))).codes
        return Quantised(codes, UINT4, fixed.unit / scale.value)


@dataclass(frozen=True)
class Sawb:
    """Weights, INT4_SYM: the clipping value that SAWB reads off the first two moments."""

    fraction_bits: int = 24  # |w| < 128, far beyond any trained weight

    def __call__(self, backend: Backend, w, *, name: str = "w") -> Quantised:
        """Codes of `w` (out, in)."""
        fixed = Fixed.of(w, self.fraction_bits, name=name)
        target = sawb(w, name=name)
        scale = Dyadic.nearest(fixed.unit / target.scale)
        codes = backend.run(Job.quantise(fixed.values, Rescale(target.fmt, scale))).codes
        return Quantised(codes, target.fmt, fixed.unit / scale.value)


@dataclass(frozen=True, eq=False)
class Clipped:
    """PACT's result for the backward pass: `inside` where 0 < x < alpha, `above` where x >= alpha.

    Both bool, (batch, features).
    """

    inside: np.ndarray
    above: np.ndarray


@dataclass(frozen=True, eq=False)
class Pact:
    """Activations, UINT4: clipped to [0, alpha], alpha learned; fused into the fprop GEMM.

    Members
    -------
    alpha : Parameter of shape (), > 0.
    """

    alpha: Parameter

    def rescale(self, unit: float) -> Rescale:
        """What the GEMM's rescaling unit does with accumulators of `unit` each."""
        return Rescale(UINT4, Dyadic.nearest(unit * UINT4.hi / float(self.alpha.value)))

    def wrap(self, result: Rescaled, then: Rescale, unit: float) -> tuple[Quantised, Clipped]:
        """The activations with the scale really applied, and where they were clipped."""
        codes = Quantised(result.codes, UINT4, unit / then.scale.value)
        above = ~result.mask & (result.codes == UINT4.hi)  # code 15 alone may be just below alpha
        return codes, Clipped(result.mask, above)


@dataclass(frozen=True, eq=False)
class TwoPhase:
    """One gradient in both phases of [Sun20]: `even` for dgrad, `odd` for wgrad."""

    even: Quantised
    odd: Quantised


@dataclass(frozen=True, eq=False)
class LogGradient:
    """Gradients, log FP4 radix 4 in two phases, with the layer's adaptive power-of-two scale."""

    scale: GradScale = field(default_factory=GradScale)

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> TwoPhase:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere; then the scale adapts."""
        kept = g.values if mask is None else np.where(mask, g.values, 0)
        largest = float(np.abs(kept.astype(np.int64)).max()) * g.unit * self.scale.value
        scale = Dyadic.nearest(g.unit * self.scale.value)
        result = backend.run(Job.quantise(g.values, Rescale(FP4_R4, scale), mask=mask))
        self.scale.update(largest)
        value = g.unit / scale.value
        return TwoPhase(
            Quantised(result.codes, FP4_R4, value, phase=Phase.EVEN),
            Quantised(result.odd, FP4_R4, value, phase=Phase.ODD),
        )
