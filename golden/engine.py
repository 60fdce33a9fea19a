# SPDX-License-Identifier: Apache-2.0
"""Jobs and backends: what the engine computes, and who computes it.

A `Job` is a GEMM followed by rescaling, rescaling alone (`quantise`), or no data at all, only a
change of the table of scales (`table`). A `Backend` runs jobs; the golden one here, the verilated
RTL in `driver.verilated`, with the same bits.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np

from golden import checks, random_words
from golden.adaptive import Adapt, ScaleTable, Use
from golden.config import Config
from golden.formats import Format, IntFormat, LogFormat
from golden.gemm import check_operands, gemm
from golden.rescale import RAW, Rescale, Rescaled, as_int32, as_mask, rescale
from golden.statistics import NOTHING


class Op(IntEnum):
    """What a job does; the numbers are those of the descriptor."""

    GEMM = 0
    QUANTISE = 1  # rescale the stream x
    TABLE = 2  # no data: only the table of scales


class Operands(NamedTuple):
    """The operands of a GEMM."""

    a: np.ndarray
    a_fmt: IntFormat
    b: np.ndarray
    b_fmt: Format


@dataclass(frozen=True, eq=False)
class Job:
    """One unit of work of the engine; `Job.gemm`, `.quantise` and `.table` build one.

    Members
    -------
    then : Rescale, what happens to each accumulator or input.
    a, b : codes (M, K) and (N, K) with their formats; None when quantising.
    x : int32 (M, N), the fixed-point input when quantising; None for a GEMM.
    bias : int32 (N,), added to every row, or None.
    mask : bool (M, N), results count as 0 where False, or None.
    phase : a label, under which cycles and MACs are counted; it decides nothing.
    adapt : Adapt, how the job uses and updates the table of scales, or None.
    strips : whether the blocks of the result are computed strip by strip, `Config.strip` columns
        each, and not row by row: what random words are numbered by.

    However it is made, a job checks itself: ValueError for operands that make none of the three
    kinds (`op`), and for shapes, dtypes or values that do not fit. Arrays become int8 codes, int32
    or bool of the machine's byte order, in any strides; codes that are int8 are not copied.
    """

    then: Rescale
    a: np.ndarray | None = None
    a_fmt: Format | None = None
    b: np.ndarray | None = None
    b_fmt: Format | None = None
    x: np.ndarray | None = None
    bias: np.ndarray | None = None
    mask: np.ndarray | None = None
    phase: str = "fprop"
    adapt: Adapt | None = None
    strips: bool = False

    def __post_init__(self):
        checks.instance(self, "then", Rescale)
        checks.flag(self, "strips")
        checks.instance(self, "phase", str)
        checks.instance(self, "adapt", Adapt, optional=True)
        product = [name for name in ("a", "a_fmt", "b", "b_fmt") if getattr(self, name) is not None]
        if self.x is not None and product:
            raise ValueError(f"x and {product[0]} in one job: a job multiplies or quantises")
        if self.x is not None:
            self._check_input()
        elif product:
            self._check_operands()
        else:
            self._check_table()
        m, n, _ = self.shape
        if self.bias is not None:
            bias = as_int32("bias", self.bias).astype(np.int32)
            if bias.shape != (n,):
                raise ValueError(f"bias of shape {bias.shape}: expected ({n},), one per column")
            checks.put(self, "bias", bias)
        if self.mask is not None:
            checks.put(self, "mask", as_mask(self.mask, (m, n)))
        if self.adapt is not None and self.op != Op.TABLE:
            if self.adapt.preset is not None:
                raise ValueError("a preset in a job with data: use Job.table")
            if self.adapt.discard and self.op != Op.QUANTISE:
                raise ValueError("discard in a GEMM: only a quantising job can be measured alone")

    @classmethod
    def gemm(cls, a, a_fmt: Format, b, b_fmt: Format, then: Rescale = RAW, *,
             bias=None, mask=None, phase: str = "fprop", adapt: Adapt | None = None,
             strips: bool = False) -> "Job":
        """`rescale(A @ B.T + bias)`: a (M, K) codes, b (N, K) codes."""
        if a is None or b is None:
            raise ValueError("a GEMM without a or b: it takes both operands, with their formats")
        return cls(then, a, a_fmt, b, b_fmt, None, bias, mask, phase, adapt, strips)

    @classmethod
    def quantise(cls, x, then: Rescale, *, bias=None, mask=None, phase: str = "quantise",
                 adapt: Adapt | None = None, strips: bool = False) -> "Job":
        """`rescale(x + bias)`: x (M, N) integers in int32's range."""
        if x is None:
            raise ValueError("x = None: expected (M, N) integers to quantise")
        return cls(then, x=x, bias=bias, mask=mask, phase=phase, adapt=adapt, strips=strips)

    @classmethod
    def table(cls, adapt: Adapt, *, phase: str = "table") -> "Job":
        """No data: preset an entry, solve PACT's scale, or just read the entry in the report."""
        return cls(RAW, phase=phase, adapt=adapt)

    @property
    def op(self) -> Op:
        """What the job does: its operands say so."""
        if self.x is not None:
            return Op.QUANTISE
        return Op.TABLE if self.a is None else Op.GEMM

    @property
    def operands(self) -> Operands | None:
        """What a GEMM multiplies; None for a job that does not."""
        if (self.a is None or not isinstance(self.a_fmt, IntFormat)
                or self.b is None or self.b_fmt is None):
            return None
        return Operands(self.a, self.a_fmt, self.b, self.b_fmt)

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K; K = 0 when quantising, all 0 without data."""
        if self.x is not None:
            return (self.x.shape[0], self.x.shape[1], 0)
        if (operands := self.operands) is not None:
            return (operands.a.shape[0], operands.b.shape[0], operands.a.shape[1])
        return (0, 0, 0)

    @property
    def macs(self) -> int:
        m, n, k = self.shape
        return m * n * k

    def _check_input(self) -> None:
        x = np.asarray(self.x)
        if x.ndim != 2 or 0 in x.shape:
            raise ValueError(
                f"x of shape {x.shape}: expected (M, N) with M and N from 1; reshape it"
            )
        checks.put(self, "x", as_int32("x", x).astype(np.int32))

    def _check_operands(self) -> None:
        if self.a is None or self.b is None:
            raise ValueError("a GEMM without a or b: it takes both operands, with their formats")
        a, b = check_operands(self.a, self.a_fmt, self.b, self.b_fmt)
        checks.put(self, "a", a.astype(np.int8, copy=False))
        checks.put(self, "b", b.astype(np.int8, copy=False))

    def _check_table(self) -> None:
        if self.adapt is None:
            raise ValueError("a job without operands and without adapt: it has nothing to do")
        if self.adapt.use != Use.NOTHING or self.adapt.discard:
            raise ValueError("a table job has no data: use and discard have no meaning here")
        if self.then != RAW or self.bias is not None or self.mask is not None:
            raise ValueError("a table job has no data: then, bias and mask have no meaning here")

    def check(self, config: Config) -> None:
        """ValueError unless a core of this configuration can run the job exactly."""
        checks.as_instance("config", config, Config)
        for name, size in zip("MNK", self.shape, strict=True):
            if size > config.max_dim:
                raise ValueError(
                    f"{name} = {size} is out of range: one job takes 1..{config.max_dim} "
                    f"(dim_width = {config.dim_width}); split it"
                )
        for fmt in (self.then.fmt, self.b_fmt):
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
        if (operands := self.operands) is not None:
            k, limit = self.shape[2], config.max_k(operands.a_fmt, operands.b_fmt)
            if k > limit:
                raise ValueError(
                    f"K = {k} is beyond the exact bound: {operands.a_fmt.name} x "
                    f"{operands.b_fmt.name} in "
                    f"{config.accumulator_width}-bit accumulators takes 1..{limit}; "
                    "split K and add the INT32 results"
                )


class Backend(Protocol):
    """Whoever runs jobs, one after the other."""

    @property
    def config(self) -> Config: ...

    def run(self, job: Job) -> Rescaled:
        """The job's results; ValueError if the job is none or does not fit the configuration,
        which leaves the table of scales as it is."""

    def reset(self) -> None:
        """Make every entry of the table of scales what it was at the start, unset."""


def as_backend(value: Any) -> Backend:
    """`value` if it runs jobs, ValueError otherwise."""
    if not callable(getattr(value, "run", None)) or not hasattr(value, "config"):
        raise ValueError(f"backend = {checks.shown(value)}: expected a Backend, like GoldenBackend "
                         "or RtlBackend")
    return value


class GoldenBackend:
    """The golden model as a backend; `table` holds its adaptive scales, `config` is read-only,
    `measured` has the statistics of the last job, also of one that does not adapt.

    ValueError for what is no Config.
    """

    def __init__(self, config: Config):
        self._config = checks.as_instance("config", config, Config)
        self.measured = NOTHING
        self.reset()

    @property
    def config(self) -> Config:
        return self._config

    def reset(self) -> None:
        self.table = ScaleTable(self.config.tensors)

    def run(self, job: Job) -> Rescaled:
        checks.as_instance("job", job, Job).check(self.config)
        self.measured = NOTHING
        if job.adapt is None:
            return replace(self._compute(job, job.then), statistics=None)
        if job.op == Op.TABLE:
            return Rescaled.nothing(report=self.table.finish(job.adapt, job.then))
        then, unset, clipped = self.table.apply(job.adapt, job.then)
        result = self._compute(job, then)
        report = self.table.finish(job.adapt, then, self.measured, unset=unset, clipped=clipped)
        if job.adapt.discard:
            result = Rescaled.nothing(bias_saturated=result.bias_saturated)
        return replace(result, statistics=None, report=report)

    def _compute(self, job: Job, then: Rescale) -> Rescaled:
        values = job.x if job.operands is None else gemm(*job.operands)
        words = None if then.seed is None else self._words(job, then.seed)
        result = rescale(values, then, bias=job.bias, mask=job.mask, words=words)
        self.measured = result.statistics or NOTHING
        return result

    def _words(self, job: Job, seed: int) -> np.ndarray:
        """Each result's random word: its column's lane, its row's number in the order of blocks."""
        m, n, _ = job.shape
        rows, cols = self.config.rows, self.config.cols
        row, col = np.arange(m)[:, None], np.arange(n)[None, :]
        strip = self.config.strip if job.strips else n
        left = col // strip * strip  # where the column's strip begins
        block, blocks = row // rows, -(-np.minimum(strip, n - left) // cols)
        height = np.minimum(rows, m - block * rows)  # the last row of blocks may be lower
        turn = (left // cols * m + block * rows * blocks + (col - left) // cols * height
                + row % rows)
        turns = np.arange(m * -(-n // cols))
        return random_words.words(seed, turns, cols)[turn, col % cols]
