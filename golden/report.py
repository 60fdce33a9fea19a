# SPDX-License-Identifier: Apache-2.0
"""What the table of scales keeps of a tensor, and what an adapting job tells the host of it."""

from dataclasses import dataclass

from golden import checks
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import ZERO_POINTS
from golden.gradscale import GradScale
from golden.statistics import Statistics


@dataclass(frozen=True)
class Entry:
    """What the table knows of one tensor.

    Members
    -------
    scale, zero_point : solved or preset; of no consequence while `valid` is False.
    exponent : of GradScale, -40..40. frozen : solving leaves the entry as it is.
    """

    scale: Dyadic = IDENTITY
    zero_point: int = 0
    exponent: int = 0
    valid: bool = False
    frozen: bool = False

    def __post_init__(self):
        checks.instance(self, "scale", Dyadic)
        checks.integer(self, "zero_point", *ZERO_POINTS)
        checks.integer(self, "exponent", -GradScale.LIMIT, GradScale.LIMIT)
        checks.flag(self, "valid", "frozen")


@dataclass(frozen=True)
class Report:
    """What an adapting job tells the host.

    Members
    -------
    statistics : of the job's inputs and results; all 0 for a job without data.
    scale, zero_point : those applied, or preset. entry : the table's, after the job.
    unset : the entry was to be used and was not valid, so the job's own scale was.
    clipped : the exponent moved the applied scale's shift out of 0..63; it stayed at the end.
    degenerate, unreachable, saturated, limited : of the solver (see `golden.solver.Solution`).
    """

    statistics: Statistics
    scale: Dyadic
    zero_point: int
    entry: Entry
    unset: bool = False
    clipped: bool = False
    degenerate: bool = False
    unreachable: bool = False
    saturated: bool = False
    limited: bool = False

    def __post_init__(self):
        checks.instance(self, "statistics", Statistics)
        checks.instance(self, "scale", Dyadic)
        checks.integer(self, "zero_point", *ZERO_POINTS)
        checks.instance(self, "entry", Entry)
        checks.flag(self, "unset", "clipped", "degenerate", "unreachable", "saturated", "limited")
