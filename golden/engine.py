# SPDX-License-Identifier: Apache-2.0
"""Jobs and backends: what the engine computes, and who computes it.

A `Job` is either a GEMM followed by rescaling, or rescaling alone (`quantise`). A `Backend` runs
jobs; the golden one here, the verilated RTL in `verif.binding`, with the same bits.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from golden import xorshift
from golden.config import Config
from golden.formats import IntFormat, LogFormat
from golden.gemm import check_operands, gemm
from golden.rescale import RAW, Rescale, Rescaled, as_int32, rescale


@dataclass(frozen=True, eq=False)
class Job:
    """One unit of work of the engine; build it with `Job.gemm` or `Job.quantise`.

    Members
    -------
    then : Rescale, what happens to each accumulator or input.
    a, b : codes (M, K) and (N, K) with their formats; None when quantising.
    x : int32 (M, N), the fixed-point input when quantising; None for a GEMM.
    bias : int32 (N,), added to every row, or None.
    mask : bool (M, N), results count as 0 where False, or None.
    phase : label under which cycles are counted: fprop, dgrad, wgrad or quantise.
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

    @classmethod
    def gemm(cls, a, a_fmt, b, b_fmt, then=RAW, *, bias=None, mask=None, phase="fprop"):
        """`rescale(A @ B.T + bias)`: a (M, K) codes, b (N, K) codes."""
        a, b = np.asarray(a), np.asarray(b)
        check_operands(a, a_fmt, b, b_fmt)
        job = cls(then, a, a_fmt, b, b_fmt, None, _bias(bias), _mask(mask), phase)
        return job._checked()

    @classmethod
    def quantise(cls, x, then: Rescale, *, bias=None, mask=None, phase="quantise"):
        """`rescale(x + bias)`: x (M, N) integers in int32's range."""
        x = np.asarray(x)
        if x.ndim != 2 or 0 in x.shape:
            raise ValueError(
                f"x of shape {x.shape}: expected (M, N) with M and N from 1; reshape it"
            )
        x = as_int32("x", x).astype(np.int32)
        return cls(then, x=x, bias=_bias(bias), mask=_mask(mask), phase=phase)._checked()

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K; K = 0 when quantising."""
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


@dataclass(frozen=True)
class GoldenBackend:
    """The golden model as a backend."""

    config: Config

    def run(self, job: Job) -> Rescaled:
        job.check(self.config)
        values = job.x if job.x is not None else gemm(job.a, job.a_fmt, job.b, job.b_fmt)
        words = None if job.then.seed is None else self._words(job)
        return rescale(values, job.then, bias=job.bias, mask=job.mask, words=words)

    def _words(self, job: Job) -> np.ndarray:
        """Each result's random word: a column's lane draws one per row, in the order of blocks."""
        m, n, _ = job.shape
        rows, cols = self.config.rows, self.config.cols
        row, col = np.arange(m)[:, None], np.arange(n)[None, :]
        block, blocks = row // rows, -(-n // cols)
        height = np.minimum(rows, m - block * rows)  # the last row of blocks may be lower
        turn = block * rows * blocks + col // cols * height + row % rows
        return xorshift.words(job.then.seed, m * blocks, cols)[turn, col % cols]


def _bias(bias):
    return None if bias is None else as_int32("bias", bias).astype(np.int32)


def _mask(mask):
    return None if mask is None else np.asarray(mask)
