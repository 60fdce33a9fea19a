# SPDX-License-Identifier: Apache-2.0
"""How each kind of tensor of a 4-bit network becomes 4-bit codes: one small object per tensor.

Scales come from the core, which measures a tensor and solves its scale itself (`SolvedScale`,
`GradScaled`), or from statistics of the host (`Sawb`, `LogGradient`). Either way the backend's
rescaling unit does all rounding, and the scale that travels with the codes is that of the dyadic
really applied, so host and hardware agree exactly: `code ~ fixed * M * 2**-s + zero_point`, hence
`x = unit * fixed ~ unit / (M * 2**-s) * (code - zero_point)`.

Inputs and weights are also quantised to infer, `frozen`: the core uses the scales that it has,
solves none, and rounds to nearest, so that neither its table nor a generator of seeds changes.
"""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from golden import checks
from golden.adaptive import TENSOR_WIDTH, Adapt, Use
from golden.dyadic import Dyadic
from golden.engine import Backend, Job, as_backend
from golden.fixed_point import to_fixed
from golden.formats import (
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    LogFormat,
    Phase,
    check_finite,
)
from golden.gradscale import GradScale
from golden.integer import sawb
from golden.report import Report
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
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

    def __post_init__(self):
        checks.instance(self, "values", np.ndarray)
        checks.as_integers("values", self.values, INT32.lo, INT32.hi,
                           "use Fixed.of to convert floats")
        checks.real(self, "unit", checks.POSITIVE)

    @classmethod
    def of(cls, x, fraction_bits: int, *, name: str) -> "Fixed":
        """Floats rounded to `fraction_bits`; ValueError naming the tensor if they do not fit."""
        return cls(to_fixed(x, fraction_bits, name=name), 2.0**-fraction_bits)


def draw_seed(rng: np.random.Generator | None, frozen: bool = False) -> int | None:
    """What a job's Rescale takes: a seed to round stochastically, None to round to nearest.

    ValueError for what is no generator, and a `frozen` that is no flag.
    """
    frozen = checks.as_flag("frozen", frozen)
    if rng is not None:
        checks.as_instance("rng", rng, np.random.Generator)
    return None if rng is None or frozen else int(rng.integers(2**32))


INPUT_FRACTION_BITS = 30  # |x| < 2


@dataclass(frozen=True)
class UnitInterval:
    """Inputs in [0, 1], UINT4: 0 maps onto code 0 and 1 onto code 15.

    `rng` draws a seed per job for stochastic rounding; None rounds to nearest.
    """

    rng: np.random.Generator | None = None

    def __post_init__(self):
        checks.instance(self, "rng", np.random.Generator, optional=True)

    def __call__(self, backend: Backend, x, *, name: str = "x", frozen: bool = False) -> Quantised:
        """Codes of `x` (batch, features); ValueError naming the first value outside [0, 1]."""
        x = check_finite(name, x)
        outside = (x < 0) | (x > 1)
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            raise ValueError(
                f"tensor {name!r} holds {x[index]} at index {index}: "
                "inputs lie in 0..1; scale them by their maximum"
            )
        fixed = Fixed.of(x, INPUT_FRACTION_BITS, name=name)
        scale = Dyadic.nearest(UINT4.hi * fixed.unit)
        then = Rescale(UINT4, scale, seed=draw_seed(self.rng, frozen))
        codes = as_backend(backend).run(Job.quantise(fixed.values, then)).codes
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

    A tensor without extent (all zero; in range mode all equal) has no scale, its report says
    `degenerate`, and the entry stays as it was. The exact policy then applies the caller's own
    scale, not one of an earlier tensor; hindsight applies what it has, as ever.
    """

    tensor: int
    mode: SolveMode
    policy: Policy = Policy.EXACT

    def __post_init__(self):
        checks.integer(self, "tensor", 0, 2**TENSOR_WIDTH - 1)
        checks.member(self, "mode", SolveMode)
        checks.member(self, "policy", Policy)

    def quantise(self, backend: Backend, values, own: Rescale, *, mask=None,
                 frozen: bool = False) -> Rescaled:
        """Results of `values` (M, N); scale and zero point applied are in `report`.

        Those of `own` are used only where there are no others: for a tensor without extent, and
        while the entry is unset. ValueError if the range's zero point leaves its 16 bits.
        """
        adapt = Adapt(self.tensor, Use.ENTRY)
        frozen = checks.as_flag("frozen", frozen)
        if not frozen and self.policy == Policy.HINDSIGHT:
            adapt = replace(adapt, solve=self.mode)
        elif not frozen:
            measure = Adapt(self.tensor, solve=self.mode, discard=True)
            job = Job.quantise(values, own, mask=mask, adapt=measure)
            found = as_backend(backend).run(job).told
            self._check(found)
            if found.degenerate:
                adapt = Adapt(self.tensor)
        result = as_backend(backend).run(Job.quantise(values, own, mask=mask, adapt=adapt))
        self._check(result.told)
        return result

    def _check(self, report: Report) -> None:
        if report.saturated and not report.degenerate:  # every code would be the same
            raise ValueError(
                f"tensor {self.tensor} of the table: {report.statistics.low}.."
                f"{report.statistics.high} lies too far from zero for a zero point of "
                "-32768..32767; subtract its centre first, or use a scheme without zero points")


@dataclass(frozen=True)
class RangedInputs:
    """Inputs, INT4 with a zero point: the core measures their range; [0, 1] where there is none."""

    scale: SolvedScale

    def __post_init__(self):
        checks.instance(self, "scale", SolvedScale)

    def __call__(self, backend: Backend, x, *, name: str = "x", frozen: bool = False) -> Quantised:
        """Codes of `x` (batch, features); ValueError naming the first value beyond +/-2."""
        fixed = Fixed.of(x, INPUT_FRACTION_BITS, name=name)
        own = Rescale(INT4, Dyadic.nearest((INT4.hi - INT4.lo) * fixed.unit), INT4.lo)
        result = self.scale.quantise(backend, fixed.values, own, frozen=frozen)
        return Quantised(result.codes, INT4, fixed.unit / result.told.scale.value,
                         result.told.zero_point)


WEIGHT_FRACTION_BITS = 24  # |w| < 128, far beyond any trained weight


@dataclass(frozen=True)
class SolvedWeights:
    """Weights, INT4_SYM, in a scale of the core; [-1, 1] where there is none.

    `rng` draws a seed per tensor for stochastic rounding; None rounds to nearest.
    """

    scale: SolvedScale
    rng: np.random.Generator | None = None

    def __post_init__(self):
        checks.instance(self, "scale", SolvedScale)
        checks.instance(self, "rng", np.random.Generator, optional=True)

    def __call__(self, backend: Backend, w, *, name: str = "w", frozen: bool = False) -> Quantised:
        """Codes of `w` (out, in)."""
        fixed = Fixed.of(w, WEIGHT_FRACTION_BITS, name=name)
        own = Rescale(INT4_SYM, Dyadic.nearest(INT4_SYM.hi * fixed.unit),
                      seed=draw_seed(self.rng, frozen))
        result = self.scale.quantise(backend, fixed.values, own, frozen=frozen)
        return Quantised(result.codes, INT4_SYM, fixed.unit / result.told.scale.value)


@dataclass(frozen=True)
class Sawb:
    """Weights, INT4_SYM: the clipping value that SAWB reads off the host's first two moments.

    It has no state, so `frozen` makes no difference: the scale is always that of `w` itself.
    """

    def __call__(self, backend: Backend, w, *, name: str = "w", frozen: bool = False) -> Quantised:
        """Codes of `w` (out, in)."""
        checks.as_flag("frozen", frozen)
        fixed = Fixed.of(w, WEIGHT_FRACTION_BITS, name=name)
        target = sawb(w, name=name)
        scale = Dyadic.nearest(fixed.unit / target.scale)
        job = Job.quantise(fixed.values, Rescale(target.fmt, scale))
        codes = as_backend(backend).run(job).codes
        return Quantised(codes, target.fmt, fixed.unit / scale.value)


@dataclass(frozen=True, eq=False)
class GradientCodes:
    """One gradient, as dgrad and as wgrad take it: the two phases of [Sun20], or twice the same."""

    dgrad: Quantised
    wgrad: Quantised

    def __post_init__(self):
        checks.instance(self, "dgrad", Quantised)
        checks.instance(self, "wgrad", Quantised)

    @classmethod
    def of(cls, result: Rescaled, fmt: LogFormat, scale: float) -> "GradientCodes":
        """Those of a job's results; ValueError for what is none."""
        checks.as_instance("result", result, Rescaled)
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

    def __post_init__(self):
        checks.integer(self, "tensor", 0, 2**TENSOR_WIDTH - 1)
        checks.instance(self, "rng", np.random.Generator, optional=True)
        checks.real(self, "log2_scale")

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere; then the scale adapts."""
        checks.as_instance("g", g, Fixed)
        then = Rescale(FP4_R4, Dyadic.nearest(g.unit), seed=draw_seed(self.rng))
        adapt = Adapt(self.tensor, Use.EXPONENT, SolveMode.GRADSCALE)
        result = as_backend(backend).run(Job.quantise(g.values, then, mask=mask, adapt=adapt))
        self.log2_scale = result.told.entry.exponent
        return GradientCodes.of(result, FP4_R4, g.unit / result.told.scale.value)


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

    def __post_init__(self):
        checks.instance(self, "scale", SolvedScale)
        checks.instance(self, "rng", np.random.Generator)
        checks.real(self, "log2_scale")

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere."""
        checks.as_instance("g", g, Fixed)
        own = Rescale(FP4_R2, Dyadic.nearest(LogFormat.TOP * g.unit), seed=draw_seed(self.rng))
        result = self.scale.quantise(backend, g.values, own, mask=mask)
        scale = g.unit / result.told.scale.value
        self.log2_scale = -math.log2(scale)
        return GradientCodes.of(result, FP4_R2, scale)


@dataclass(frozen=True, eq=False)
class LogGradient:
    """Gradients, log FP4 radix 4 in two phases, with a power-of-two scale that the host adapts."""

    scale: GradScale = field(default_factory=GradScale)

    def __post_init__(self):
        checks.instance(self, "scale", GradScale)

    @property
    def log2_scale(self) -> float:
        """Of the next step."""
        return self.scale.exponent

    def __call__(self, backend: Backend, g: Fixed, *, mask=None) -> GradientCodes:
        """Codes of `g` (batch, features) where `mask`, 0 elsewhere; then the scale adapts."""
        checks.as_instance("g", g, Fixed)
        scale = Dyadic.nearest(g.unit * self.scale.value)
        job = Job.quantise(g.values, Rescale(FP4_R4, scale), mask=mask)
        kept = g.values if job.mask is None else np.where(job.mask, g.values, 0)
        largest = float(np.abs(kept.astype(np.int64)).max()) * g.unit * self.scale.value
        result = as_backend(backend).run(job)
        self.scale.update(largest)
        return GradientCodes.of(result, FP4_R4, g.unit / scale.value)
