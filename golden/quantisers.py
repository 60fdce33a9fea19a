# SPDX-License-Identifier: Apache-2.0
"""How each kind of tensor of a 4-bit network becomes 4-bit codes: one small object per tensor.

Scales come from the core, which measures a tensor and solves its scale itself (`SolvedScale`,
`GradScaled`, `Pact` with a tensor of the table), or from statistics of the host (`Sawb`,
`LogGradient`, `Pact` without). Either way the backend's rescaling unit does all rounding, and the
scale that travels with the codes is that of the dyadic really applied, so host and hardware agree
exactly: `code ~ fixed * M * 2**-s`, hence `x = unit * fixed ~ unit / (M * 2**-s) * code`.
"""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from golden.adaptive import Adapt, Use
from golden.dyadic import Dyadic
from golden.engine import Backend, Job
from golden.fixed_point import to_fixed
from golden.formats import FP4_R2, FP4_R4, INT4_SYM, UINT4, LogFormat, Phase
from golden.gradscale import GradScale
from golden.integer import sawb
from golden.optimizer import Parameter
from golden.rescale import Rescale, Rescaled
from golden.solver import ALPHA_WIDTH, SolveMode
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


class Policy(Enum):
    """Which scale a tensor gets."""

    EXACT = "exact"  # its own: a first pass measures it, a second one quantises
    HINDSIGHT = "hindsight"  # the one that the round before solved; a single pass


@dataclass(frozen=True)
class SolvedScale:
    """A scale that the core measures, solves and keeps.

    Members
    -------
    tensor : entry of the core's table. mode : SolveMode. policy : Policy.
    """

    tensor: int
    mode: SolveMode
    policy: Policy = Policy.EXACT

    def quantise(self, backend: Backend, values, own: Rescale, *, mask=None) -> Rescaled:
        """Results of `values` (M, N); the scale applied is `report.scale`.

        The scale of `own` is used only where there is no other: in hindsight's first round.
        """
        use = Adapt(self.tensor, Use.ENTRY)
        if self.policy == Policy.EXACT:
            measure = Adapt(self.tensor, solve=self.mode, discard=True)
            backend.run(Job.quantise(values, own, mask=mask, adapt=measure))
        else:
            use = replace(use, solve=self.mode)
        return backend.run(Job.quantise(values, own, mask=mask, adapt=use))


WEIGHT_FRACTION_BITS = 24  # |w| < 128, far beyond any trained weight


@dataclass(frozen=True)
class SolvedWeights:
    """Weights, INT4_SYM, in a scale of the core; [-1, 1] where there is none yet."""

    scale: SolvedScale
    fraction_bits: int = WEIGHT_FRACTION_BITS

    def __call__(self, backend: Backend, w, *, name: str = "w") -> Quantised:
        """Codes of `w` (out, in)."""
        fixed = Fixed.of(w, self.fraction_bits, name=name)
        own = Rescale(INT4_SYM, Dyadic.nearest(INT4_SYM.hi * fixed.unit))
        result = self.scale.quantise(backend, fixed.values, own)
        return Quantised(result.codes, INT4_SYM, fixed.unit / result.report.scale.value)


@dataclass(frozen=True)
class Sawb:
    """Weights, INT4_SYM: the clipping value that SAWB reads off the host's first two moments."""

    fraction_bits: int = WEIGHT_FRACTION_BITS

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
    tensor : the entry in which the core solves 15 / alpha; None: the host divides.
    """

    alpha: Parameter
    tensor: int | None = None

    def prepare(self, backend: Backend, unit: float) -> tuple[Rescale, Adapt | None]:
        """What the GEMM is to do with accumulators of `unit` each; the core solves it here."""
        alpha = float(self.alpha.value)
        if self.tensor is None:
            return Rescale(UINT4, Dyadic.nearest(unit * UINT4.hi / alpha)), None
        mantissa, exponent = _mantissa(alpha / unit)
        backend.run(Job.table(
            Adapt(self.tensor, solve=SolveMode.PACT, alpha=mantissa, exponent=exponent)))
        return Rescale(UINT4), Adapt(self.tensor, Use.ENTRY)

    def wrap(self, result: Rescaled, then: Rescale, unit: float) -> tuple[Quantised, Clipped]:
        """The activations with the scale really applied, and where they were clipped."""
        scale = result.report.scale if result.report else then.scale
        codes = Quantised(result.codes, UINT4, unit / scale.value)
        above = ~result.mask & (result.codes == UINT4.hi)  # code 15 alone may be just below alpha
        return codes, Clipped(result.mask, above)


def _mantissa(value: float) -> tuple[int, int]:
    """(m, e) with `value ~ m * 2**-e`, m of 32 significant bits; value > 0."""
    fraction, exponent = math.frexp(value)
    mantissa = round(math.ldexp(fraction, ALPHA_WIDTH))
    return min(mantissa, 2**ALPHA_WIDTH - 1), ALPHA_WIDTH - exponent


@dataclass(frozen=True, eq=False)
class GradientCodes:
    """One gradient, as dgrad and as wgrad take it: the two phases of [Sun20], or twice the same."""

    dgrad: Quantised
    wgrad: Quantised

    @classmethod
    def of(cls, result: Rescaled, fmt: LogFormat, scale: float) -> "GradientCodes":
        even = Quantised(result.codes, fmt, scale)
        if result.odd is None:
            return cls(even, even)
        return cls(even, Quantised(result.odd, fmt, scale, phase=Phase.ODD))


@dataclass(eq=False)
class GradScaled:
    """Gradients, log FP4 radix 4 in two phases; the core adapts their power-of-two scale.

    Members
    -------
    tensor : entry of the core's table, whose exponent GradScale moves.
    rng : draws a seed per job for stochastic rounding; None rounds to nearest.
    log2_scale : of the next step.
    """

    tensor: int
    rng: np.random.Generator | None = None
    log2_scale: float = 0

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere; then the scale adapts."""
        then = Rescale(FP4_R4, Dyadic.nearest(g.unit), seed=_seed(self.rng))
        adapt = Adapt(self.tensor, Use.EXPONENT, SolveMode.GRADSCALE)
        result = backend.run(Job.quantise(g.values, then, mask=mask, adapt=adapt))
        self.log2_scale = result.report.entry.exponent
        return GradientCodes.of(result, FP4_R4, g.unit / result.report.scale.value)


@dataclass(eq=False)
class Luq:
    """Gradients, log FP4 radix 2, rounded stochastically: LUQ (Chmiel, ICLR 2023).

    The largest gradient maps onto the top level, up to the rounding of the scale, so that nothing
    saturates and every code is unbiased; dgrad and wgrad take the same codes.

    Members
    -------
    scale : SolvedScale. rng : draws a seed per job.
    log2_scale : of the latest step.
    """

    scale: SolvedScale
    rng: np.random.Generator
    log2_scale: float = 0

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere."""
        own = Rescale(FP4_R2, Dyadic.nearest(LogFormat.TOP * g.unit), seed=_seed(self.rng))
        result = self.scale.quantise(backend, g.values, own, mask=mask)
        scale = g.unit / result.report.scale.value
        self.log2_scale = -math.log2(scale)
        return GradientCodes.of(result, FP4_R2, scale)


def _seed(rng: np.random.Generator | None) -> int | None:
    return None if rng is None else int(rng.integers(2**32))


@dataclass(frozen=True, eq=False)
class LogGradient:
    """Gradients, log FP4 radix 4 in two phases, with a power-of-two scale that the host adapts."""

    scale: GradScale = field(default_factory=GradScale)

    @property
    def log2_scale(self) -> float:
        """Of the next step."""
        return self.scale.exponent

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere; then the scale adapts."""
        kept = g.values if mask is None else np.where(mask, g.values, 0)
        largest = float(np.abs(kept.astype(np.int64)).max()) * g.unit * self.scale.value
        scale = Dyadic.nearest(g.unit * self.scale.value)
        result = backend.run(Job.quantise(g.values, Rescale(FP4_R4, scale), mask=mask))
        self.scale.update(largest)
        return GradientCodes.of(result, FP4_R4, g.unit / scale.value)
