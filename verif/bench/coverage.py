# SPDX-License-Identifier: Apache-2.0
"""Coverpoints of the random stimuli: which kinds of jobs and results a run has met, and how often.

Everything is computed from jobs and the golden model's results.
"""

from collections import Counter

import numpy as np
from rich.table import Table

from golden import logfp4
from golden.adaptive import Use
from golden.config import Config
from golden.engine import Job
from golden.formats import A_FORMATS, B_FORMATS, FORMATS, INT32, LogFormat, Phase
from golden.gemm import gemm, mac_values
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
from hdl.rescaler.rounding import fraction_width

OUTCOMES = ("clamped", "vanished")  # as reports count them
INT32_CLASSES = ("lowest", "zero", "< 2**10", "< 2**20", "< 2**30", ">= 2**30", "highest")
SEEDS = {0: "0", 1: "1", 2**32 - 1: "2**32 - 1"}


def classes(fmt) -> tuple[str, ...]:
    """The kinds of results of a format."""
    if fmt == INT32:
        return INT32_CLASSES
    if isinstance(fmt, LogFormat):
        return ("zero", "lowest level", "between", "top level")
    return ("lowest", "between", "highest")


def _points() -> dict[str, tuple[str, ...]]:
    found = {f"{fmt.name}, {parity} shift": (*classes(fmt), *OUTCOMES)
             for fmt in FORMATS.values() for parity in ("even", "odd")}
    found["a lost bit decides"] = (
        *(f"{fmt.name} code" for fmt in FORMATS.values() if not isinstance(fmt, LogFormat)),
        "clip mask", "FP4_R4 clamped", "FP4_R2 clamped", "vanished")
    found |= {f"K, {a.name} x {b.name}": ("1", "between", "max_k", "max_k of the largest codes")
              for a in A_FORMATS for b in B_FORMATS}
    found |= {f"solve {mode.name}": ("table", "table, frozen", "data", "data, frozen")
              for mode in SolveMode}
    found["use"] = ("NOTHING", "ENTRY", "ENTRY, unset", "EXPONENT", "EXPONENT, clipped")
    found["seed"] = (*SEEDS.values(), "another")
    return found


POINTS = _points()


class Coverage:
    """Counts hits of the bins of `POINTS`; `hits` is a Counter of (point, bin)."""

    def __init__(self):
        self.hits: Counter[tuple[str, str]] = Counter()

    def update(self, other: "Coverage") -> None:
        """Add what another one has counted."""
        self.hits.update(other.hits)

    @property
    def missed(self) -> list[str]:
        """The bins without a hit."""
        return [f"{point}: {name}" for point, names in POINTS.items() for name in names
                if not self.hits[point, name]]

    def table(self) -> Table:
        """All bins with their hits."""
        table = Table("coverpoint", "bins: hits", title="coverage of the random stimuli")
        for point, names in POINTS.items():
            table.add_row(point, ", ".join(f"{name}: {self.hits[point, name]:,}" for name in names))
        return table

    def add(self, config: Config, job: Job, result: Rescaled) -> None:
        """Count a job with the golden model's result."""
        report = result.report
        if report is not None:
            self._count_adapting(job, report)
        if job.a is None and job.x is None:
            return
        then = job.then if report is None else Rescale(
            job.then.fmt, report.scale, report.zero_point, job.then.seed)
        if then.seed is not None:
            self._hit("seed", SEEDS.get(then.seed, "another"))
        if job.a is not None:
            self._count_k(config, job)
        point = f"{then.fmt.name}, {('even', 'odd')[then.scale.shift % 2]} shift"
        if report is not None:  # which alone tells
            self._hit(point, "clamped", report.statistics.saturated)
            self._hit(point, "vanished", report.statistics.underflowed)
        if result.codes.size:
            self._count_results(point, then.fmt, result.codes.astype(np.int64))
        self._count_lost_bits(config, job, then)

    def _hit(self, point: str, name: str, count=1) -> None:
        if name not in POINTS[point]:
            raise KeyError(f"coverpoint {point!r} has no bin {name!r}")
        self.hits[point, name] += int(count)

    def _count_adapting(self, job: Job, report) -> None:
        adapt, kind = job.adapt, "table" if job.a is None and job.x is None else "data"
        if adapt.solve is not None:
            self._hit(f"solve {SolveMode(adapt.solve).name}",
                      kind + ", frozen" * report.entry.frozen)
        if kind == "data":
            self._hit("use", Use(adapt.use).name + ", unset" * report.unset
                      + ", clipped" * report.clipped)

    def _count_k(self, config: Config, job: Job) -> None:
        point = f"K, {job.a_fmt.name} x {job.b_fmt.name}"
        k, max_k = job.shape[2], config.max_k(job.a_fmt, job.b_fmt)
        if k < max_k:
            self._hit(point, "1" if k == 1 else "between")
            return
        self._hit(point, "max_k")
        extreme = all((np.abs(mac_values(codes, fmt)) == fmt.magnitude).all()
                      for codes, fmt in ((job.a, job.a_fmt), (job.b, job.b_fmt)))
        self._hit(point, "max_k of the largest codes", extreme)

    def _count_results(self, point: str, fmt, codes: np.ndarray) -> None:
        if fmt == INT32:
            size = np.abs(codes)
            ends = (codes == fmt.lo) | (codes == fmt.hi)
            inside = {"zero": size < 1, "< 2**10": size < 2**10, "< 2**20": size < 2**20,
                      "< 2**30": size < 2**30, ">= 2**30": ~ends}
            found = {"lowest": codes == fmt.lo, "highest": codes == fmt.hi}
        elif isinstance(fmt, LogFormat):
            level = codes & 7
            inside = {"zero": level == 0, "lowest level": level == 1,
                      "top level": level == fmt.LEVELS, "between": level > 0}
            found = {}
        else:
            inside = {"lowest": codes == fmt.lo, "highest": codes == fmt.hi,
                      "between": codes > fmt.lo}
            found = {}
        rest = np.ones(codes.shape, bool)
        for name, which in inside.items():  # the first that fits
            self._hit(point, name, (which & rest).sum())
            rest &= ~which
        for name, which in found.items():
            self._hit(point, name, which.sum())

    def _count_lost_bits(self, config: Config, job: Job, then: Rescale) -> None:
        """Results that would be others if what lies below the fraction were not there."""
        point, fmt = "a lost bit decides", then.fmt
        values = job.x if job.x is not None else gemm(job.a, job.a_fmt, job.b, job.b_fmt)
        values = values.astype(np.int64) + (0 if job.bias is None else job.bias)
        values = np.clip(values, INT32.lo, INT32.hi)
        if job.mask is not None:
            values = values * job.mask
        product = (values * then.scale.multiplier).astype(np.float64)  # exact
        y = np.ldexp(product, -then.scale.shift)
        places = fraction_width(config)
        kept = np.ldexp(np.trunc(np.ldexp(y, places)), -places)
        if isinstance(fmt, LogFormat):
            zero = [(logfp4.encode(v, fmt, Phase.EVEN) & 7 == 0) & (v != 0) for v in (y, kept)]
            beyond = [np.abs(v) > fmt.TOP for v in (y, kept)]
            if then.seed is not None:
                self._hit(point, f"{fmt.name} clamped", (beyond[0] != beyond[1]).sum())
        else:
            codes = [np.rint(v) for v in (y, kept)]  # ties to even
            zero = [(code == 0) & (v != 0) for code, v in zip(codes, (y, kept), strict=True)]
            if then.seed is None:
                self._hit(point, f"{fmt.name} code", (codes[0] != codes[1]).sum())
            inside = [(v > fmt.lo - then.zero_point) & (v < fmt.hi - then.zero_point)
                      for v in (y, kept)]
            self._hit(point, "clip mask", (inside[0] != inside[1]).sum() * (fmt != INT32))
        self._hit(point, "vanished", (zero[0] != zero[1]).sum())
