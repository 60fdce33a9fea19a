# SPDX-License-Identifier: Apache-2.0
"""Jobs and backends: what the engine computes, and who computes it.

A `Job` is a GEMM followed by rescaling, rescaling alone (`quantise`), or no data at all, only a
change of the table of scales (`table`). A `Backend` runs jobs; the golden one here, the verilated
RTL in `driver.verilated`, with the same bits.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from golden import random_words
from golden.adaptive import Adapt, ScaleTable, Use
from golden.config import Config
from golden.formats import IntFormat, LogFormat
from golden.gemm import check_operands, gemm
from golden.rescale import RAW, Rescale, Rescaled, as_int32, rescale


@dataclass(frozen=True, eq=False)
class Job:
    """One unit of work of the engine; build it with `Job.gemm`, `.quantise` or `.table`.

    Members
    -------
    then : Rescale, what happens to each accumulator or input.
    a, b : codes (M, K) and (N, K) with their formats; None when quantising.
    x : int32 (M, N), the fixed-point input when quantising; None for a GEMM.
    bias : int32 (N,), added to every row, or None.
    mask : bool (M, N), results count as 0 where False, or None.
    phase : label under which cycles are counted: fprop, dgrad, wgrad, quantise or table.
    adapt : Adapt, how the job uses and updates the table of scales, or None.
    """

    then: Rescale
    a: np.ndarray | None = None
    a_fmt: IntFormat | None = None
    b: np.ndarray | None = None
    b_fmt: IntFormat | LogFormat | None = None
    x: np.ndarray | None = None
    bias: np.ndarray | None = None
    mask: np.ndarray | None = None
    phase: str = "fprop"
    adapt: Adapt | None = None

    @classmethod
    def gemm(cls, a, a_fmt, b, b_fmt, then=RAW, *, bias=None, mask=None, phase="fprop",
             adapt=None):
        """`rescale(A @ B.T + bias)`: a (M, K) codes, b (N, K) codes."""
        a, b = np.asarray(a), np.asarray(b)
        check_operands(a, a_fmt, b, b_fmt)
        job = cls(then, a, a_fmt, b, b_fmt, None, _bias(bias), _mask(mask), phase, adapt)
        return job._checked()

    @classmethod
    def quantise(cls, x, then: Rescale, *, bias=None, mask=None, phase="quantise", adapt=None):
        """`rescale(x + bias)`: x (M, N) integers in int32's range."""
        x = np.asarray(x)
        if x.ndim != 2 or 0 in x.shape:
            raise ValueError(
                f"x of shape {x.shape}: expected (M, N) with M and N from 1; reshape it"
            )
        x = as_int32("x", x).astype(np.int32)
        return cls(then, x=x, bias=_bias(bias), mask=_mask(mask), phase=phase,
                   adapt=adapt)._checked()

    @classmethod
    def table(cls, adapt: Adapt):
        """No data: preset an entry, solve PACT's scale, or just read the entry in the report."""
        if adapt.use != Use.NOTHING or adapt.discard:
            raise ValueError("a table job has no data: use and discard have no meaning here")
        return cls(RAW, phase="table", adapt=adapt)._checked()

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K; K = 0 when quantising, all 0 without data."""
        if self.a is None and self.x is None:
            return (0, 0, 0)
        if self.x is not None:
            return (*self.x.shape, 0)
        return (self.a.shape[0], self.b.shape[0], self.a.shape[1])

    @property
    def macs(self) -> int:
        m, n, k = self.shape
        return m * n * k

    def _checked(self) -> "Job":
        m, n, _ = self.shape
        if self.bias is not None and self.bias.shape != (n,):
            raise ValueError(f"bias of shape {self.bias.shape}: expected ({n},), one per column")
        if self.mask is not None and (self.mask.shape != (m, n) or self.mask.dtype != bool):
            raise ValueError(
                f"mask of shape {self.mask.shape} and dtype {self.mask.dtype}: "
                f"expected bool of shape {(m, n)}"
            )
        if self.adapt is not None and self.phase != "table":
            if self.adapt.preset is not None:
                raise ValueError("a preset in a job with data: use Job.table")
            if self.adapt.discard and self.x is None:
                raise ValueError("discard in a GEMM: only a quantising job can be measured alone")
        return self

    def check(self, config: Config) -> None:
        """ValueError unless a core of this configuration can run the job exactly."""
        for name, size in zip("MNK", self.shape, strict=True):
            if size > config.max_dim:
                raise ValueError(
                    f"{name} = {size} is out of range: one job takes 1..{config.max_dim} "
                    f"(dim_width = {config.dim_width}); split it"
                )
        fmts = [self.then.fmt] + ([self.b_fmt] if self.b is not None else [])
        for fmt in fmts:
            if isinstance(fmt, LogFormat) and fmt.radix not in config.radices:
                raise ValueError(
                    f"{fmt.name} needs radix {fmt.radix}: this configuration has radices "
                    f"{config.radices}"
                )
        if self.then.seed is not None and not config.stochastic:
            raise ValueError(
                "stochastic rounding: this configuration has none (stochastic = False); use seed "
                "None"
            )
        if self.adapt is not None and not 0 <= self.adapt.tensor < config.tensors:
            raise ValueError(
                f"tensor {self.adapt.tensor} is unknown: this configuration has tensors "
                f"0..{config.tensors - 1}"
            )
        if self.a is not None:
            k, limit = self.shape[2], config.max_k(self.a_fmt, self.b_fmt)
            if k > limit:
                raise ValueError(
                    f"K = {k} is beyond the exact bound: {self.a_fmt.name} x {self.b_fmt.name} in "
                    f"{config.accumulator_width}-bit accumulators takes 1..{limit}; "
                    "split K and add the INT32 results"
                )


class Backend(Protocol):
    """Whoever runs jobs."""

    config: Config

    def run(self, job: Job) -> Rescaled:
        """The job's results; ValueError if the job does not fit the configuration."""


class GoldenBackend:
    """The golden model as a backend; `table` holds its adaptive scales."""

    def __init__(self, config: Config):
        self.config = config
        self.table = ScaleTable(config.tensors)

    def run(self, job: Job) -> Rescaled:
        job.check(self.config)
        if job.adapt is None:
            return self._compute(job, job.then)
        if job.phase == "table":
            return Rescaled(np.zeros((0, 0), np.int8),
                            report=self.table.finish(job.adapt, job.then))
        then, unset, clipped = self.table.apply(job.adapt, job.then)
        result = self._compute(job, then)
        report = self.table.finish(job.adapt, then, result.statistics, unset=unset,
                                   clipped=clipped)
        if job.adapt.discard:
            result = Rescaled(np.zeros((0, 0), np.int8), bias_saturated=result.bias_saturated)
        return replace(result, report=report)

    def _compute(self, job: Job, then: Rescale) -> Rescaled:
        values = job.x if job.x is not None else gemm(job.a, job.a_fmt, job.b, job.b_fmt)
        words = None if then.seed is None else self._words(job)
        return rescale(values, then, bias=job.bias, mask=job.mask, words=words)

    def _words(self, job: Job) -> np.ndarray:
        """Each result's random word: its column's lane, its row's number in the order of blocks."""
        m, n, _ = job.shape
        rows, cols = self.config.rows, self.config.cols
        row, col = np.arange(m)[:, None], np.arange(n)[None, :]
        block, blocks = row // rows, -(-n // cols)
        height = np.minimum(rows, m - block * rows)  # the last row of blocks may be lower
        turn = block * rows * blocks + col // cols * height + row % rows
        return random_words.words(job.then.seed, np.arange(m * blocks), cols)[turn, col % cols]


def _bias(bias):
    return None if bias is None else as_int32("bias", bias).astype(np.int32)


def _mask(mask):
    return None if mask is None else np.asarray(mask)
