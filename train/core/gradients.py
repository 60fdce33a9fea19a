# SPDX-License-Identifier: Apache-2.0
"""How gradients become 4-bit codes as they leave the product that makes them.

A gradient is rounded before its statistics are known, so its scale is that which the step before
has left in the core's table. Each kind knows that scale too, from the report of the step before.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from golden.adaptive import Adapt, Use
from golden.dyadic import Dyadic
from golden.formats import FP4_R2, FP4_R4, LogFormat
from golden.report import Entry, Report
from golden.rescale import Rescale
from golden.solver import SolveMode
from train.quantisers import draw_seed


class Gradient(ABC):
    """The codes of the gradient of one layer's output.

    Parameters
    ----------
    tensor : entry of the core's table. rng : draws a seed per job.

    Members
    -------
    fmt : of the codes. entry : of the table, as the latest report told. log2_scale : of the latest
    step's codes in units of the loss, for the history.
    """

    fmt: LogFormat
    solve: SolveMode

    def __init__(self, tensor: int, rng: np.random.Generator):
        self.tensor, self.rng = tensor, rng
        self.entry = Entry()
        self.log2_scale = 0.0

    @property
    def known(self) -> bool:
        """Whether a step before has left a scale."""
        return True

    @abstractmethod
    def first(self, unit: float, largest: int) -> tuple[Rescale, Adapt | None]:
        """What a job is to do with the gradient of the logits, integers of `unit` each whose
        largest magnitude the host knows."""

    @abstractmethod
    def job(self, unit: float) -> tuple[Rescale, Adapt | None]:
        """What a job is to do with integers of `unit` each."""

    @abstractmethod
    def applied(self, then: Rescale, adapt: Adapt | None) -> Dyadic:
        """The scale of such a job, with this step's entry."""

    def learn(self, report: Report) -> None:
        """The step's report gives the next one's scale."""
        self.entry = report.entry


class Largest(Gradient):
    """Radix 2, rounded stochastically, the largest of the step before at the top: `tetra`."""

    fmt, solve = FP4_R2, SolveMode.LUQ

    @property
    def known(self) -> bool:
        return self.entry.valid

    def first(self, unit, largest):
        scale = Dyadic.nearest(LogFormat.TOP / max(largest, 1))
        return Rescale(self.fmt, scale, seed=draw_seed(self.rng)), None

    def job(self, unit):
        # its own scale is that of a largest gradient of 1, the loss's bound, until one is known
        own = Dyadic.nearest(LogFormat.TOP * unit)
        adapt = Adapt(self.tensor, Use.ENTRY, self.solve)
        return Rescale(self.fmt, own, seed=draw_seed(self.rng)), adapt

    def applied(self, then, adapt):
        return self.entry.scale if adapt and self.known else then.scale


class TwoPhases(Gradient):
    """Radix 4 to nearest in two phases, a power of two that follows the largest: [Sun20]."""

    fmt, solve = FP4_R4, SolveMode.GRADSCALE

    def first(self, unit, largest):
        return self.job(unit)

    def job(self, unit):
        return (Rescale(self.fmt, Dyadic.nearest(unit)),
                Adapt(self.tensor, Use.EXPONENT, self.solve))

    def applied(self, then, adapt):
        shift = max(0, min(Dyadic.MAX_SHIFT, then.scale.shift - self.entry.exponent))
        return replace(then.scale, shift=shift)
