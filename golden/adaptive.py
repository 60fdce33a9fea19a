# SPDX-License-Identifier: Apache-2.0
"""Scales that adapt by themselves: a table of scales per tensor, used and updated by jobs.

A job may take its scale from the table's entry of a tensor (`Use.ENTRY`), or apply that tensor's
GradScale exponent to its own scale (`Use.EXPONENT`), and may have the next scale solved from the
statistics of what streamed through. So *exact* is two jobs, the first one measuring only; *in
hindsight* is one, which uses what the last round solved.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from golden import checks
from golden.dyadic import Dyadic
from golden.formats import INT32, LogFormat
from golden.report import Entry, Report
from golden.rescale import Rescale
from golden.solver import ALPHA_WIDTH, EXPONENT_WIDTH, Request, Solution, SolveMode, solve
from golden.statistics import NOTHING, Statistics

TENSOR_WIDTH = 8


class Use(IntEnum):
    """What a job takes from its tensor's entry."""

    NOTHING = 0  # the job's own scale
    ENTRY = 1  # the entry's scale and zero point; the job's own while the entry is unset
    EXPONENT = 2  # the job's own scale, times 2**exponent of the entry


@dataclass(frozen=True)
class Adapt:
    """How a job uses and updates the table.

    Members
    -------
    tensor : which entry, 0 .. config.tensors - 1.
    use : Use. solve : SolveMode, or None to leave the entry.
    alpha, exponent : PACT's operands (see `golden.solver.Request`).
    preset : Entry to write (jobs without data only), or None.
    discard : the results are not wanted, only the statistics (quantising jobs only).
    """

    tensor: int
    use: Use = Use.NOTHING
    solve: SolveMode | None = None
    alpha: int = 0
    exponent: int = 0
    preset: Entry | None = None
    discard: bool = False

    def __post_init__(self):
        limit = 1 << (EXPONENT_WIDTH - 1)
        checks.integer(self, "tensor", 0, 2**TENSOR_WIDTH - 1)
        checks.member(self, "use", Use)
        if self.solve is not None:
            checks.member(self, "solve", SolveMode)
        checks.integer(self, "alpha", 0, 2**ALPHA_WIDTH - 1)
        checks.integer(self, "exponent", -limit, limit - 1)
        checks.instance(self, "preset", Entry, optional=True)
        checks.flag(self, "discard")
        if self.preset is not None and self.solve is not None:
            raise ValueError("a preset and a solve in one job: give one of them")


class ScaleTable:
    """The table and what jobs do to it; `entries` is a list of Entry.

    ValueError for a size that no table has, and for a tensor that is not in it.
    """

    def __init__(self, tensors: int):
        self.entries = [Entry() for _ in range(
            checks.as_integer("tensors", tensors, 1, 2**TENSOR_WIDTH))]

    def apply(self, adapt: Adapt, own: Rescale) -> tuple[Rescale, bool, bool]:
        """The rescaling that a job really does, and whether it was `unset` and `clipped`."""
        entry = self._entry(adapt)
        checks.as_instance("own", own, Rescale)
        if adapt.use == Use.ENTRY and entry.valid:
            has_zero_point = not isinstance(own.fmt, LogFormat) and own.fmt != INT32
            zero_point = entry.zero_point if has_zero_point else 0
            return replace(own, scale=entry.scale, zero_point=zero_point), False, False
        if adapt.use == Use.EXPONENT:
            wanted = own.scale.shift - entry.exponent
            shift = max(0, min(Dyadic.MAX_SHIFT, wanted))
            scale = Dyadic(own.scale.multiplier, shift)
            return replace(own, scale=scale), False, shift != wanted
        return own, adapt.use == Use.ENTRY, False

    def finish(self, adapt: Adapt, done: Rescale, statistics: Statistics = NOTHING, *,
               unset: bool = False, clipped: bool = False) -> Report:
        """Solve or preset the entry, and report."""
        entry, solution = self._entry(adapt), None
        checks.as_instance("done", done, Rescale)
        if adapt.preset is not None:
            entry = adapt.preset
        elif adapt.solve is not None:
            grad = adapt.solve == SolveMode.GRADSCALE
            solution = solve(Request(
                adapt.solve, statistics, adapt.alpha, entry.exponent if grad else adapt.exponent,
                done.scale))
            if not entry.frozen:
                entry = _updated(entry, adapt.solve, solution)
        self.entries[adapt.tensor] = entry
        flags = ("degenerate", "unreachable", "saturated", "limited")
        found = {flag: getattr(solution, flag) for flag in flags} if solution else {}
        applied = adapt.preset or done
        return Report(statistics, applied.scale, applied.zero_point, entry, unset, clipped, **found)

    def _entry(self, adapt: Adapt) -> Entry:
        tensor = checks.as_instance("adapt", adapt, Adapt).tensor
        return self.entries[checks.as_integer("tensor", tensor, 0, len(self.entries) - 1)]


def _updated(entry: Entry, mode: SolveMode, solution: Solution) -> Entry:
    """The entry with what was solved; a degenerate round leaves it alone."""
    if solution.degenerate:
        return entry
    if mode == SolveMode.GRADSCALE:
        return replace(entry, exponent=solution.exponent)
    return replace(entry, scale=solution.scale, zero_point=solution.zero_point, valid=True)
