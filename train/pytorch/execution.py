# SPDX-License-Identifier: Apache-2.0
"""Who computes the codes and the products of a converted network: torch kernels, or a backend.

Both give the same bits. What one job of the core cannot hold is cut into pieces here, the same for
both: pieces of rows and columns when rounding, a seed each, and of K when multiplying. A tensor
with a scale per row is a job per row, and row r takes the seed r places behind the tensor's.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch

from golden import checks, random_words
from golden.config import Config, preset
from golden.dyadic import Dyadic
from golden.engine import Backend, Job, as_backend
from golden.formats import Format, IntFormat, LogFormat, Phase
from golden.gemm import mac_values
from golden.rescale import Rescale
from train.pytorch import kernels, native

CHUNK = 1 << 17  # elements that are rounded at once: enough for two threads, few enough for a cache


class Rounded(NamedTuple):
    """A tensor (rows, columns) after rounding.

    Members
    -------
    values : of the codes in MAC units, float32.
    inside : where nothing was clipped, bool; None of a log format.
    """

    values: torch.Tensor
    inside: torch.Tensor | None


class Encoding(NamedTuple):
    """What a tensor is rounded to.

    Members
    -------
    fmt, phase : of golden.formats. bits : of the integers that are rescaled, `kernels.fixed`.
    scale : float64 of shape (), on the host, or, one per row, (rows,); dyadic (`dyadic` makes
        one).
    seed : 0..2**32 - 1 to round stochastically; None rounds to nearest.
    """

    fmt: Format
    bits: int
    scale: torch.Tensor
    seed: int | None = None
    phase: Phase = Phase.EVEN


class Execution(Protocol):
    """Rounds tensors and multiplies codes."""

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        """`x` (rows, columns), finite floats."""

    def multiply(self, a: torch.Tensor, a_fmt: IntFormat, b: torch.Tensor, b_fmt: Format,
                 phase: str) -> torch.Tensor:
        """Exact `a @ b.T` of values (G, M, K) and (G, N, K) in MAC units: integers in a float
        dtype that holds them. `phase` is fprop, dgrad or wgrad, to count by."""


def dyadic(value: torch.Tensor) -> torch.Tensor:
    """The dyadic scales nearest to these, float64: `golden.dyadic.Dyadic.nearest` of each, or the
    nearer end of its reach."""
    mantissa, exponent = torch.frexp(value.double().clamp(2.0**-48, 65535))
    return torch.ldexp((mantissa * 2**Dyadic.WIDTH).round(), exponent - Dyadic.WIDTH)


def derived(*numbers: int) -> int:
    """A seed for what these numbers name, such as (run, layer, role, step)."""
    seed = 0
    for number in numbers:
        seed = _next_seed(seed, int(number) % 2**random_words.WIDTH)
    return seed


@lru_cache(1 << 12)  # names begin alike
def _next_seed(seed: int, number: int) -> int:
    return int(random_words.block(seed, number)[0])


class Piece(NamedTuple):
    """Rows and columns that one job rounds, and its seed."""

    rows: slice
    columns: slice
    seed: int | None


def pieces(shape: tuple[int, int], to: Encoding, config: Config) -> Iterator[Piece]:
    """The jobs that round a tensor of this shape."""
    most, by_row = 1 << config.dim_width - 1, to.scale.ndim == 1
    for j, column in enumerate(range(0, shape[1], most)):
        columns = slice(column, min(column + most, shape[1]))
        for i, row in enumerate(range(0, shape[0], 1 if by_row else most)):
            seed = to.seed
            if seed is not None and by_row:
                seed = ((derived(seed, 0, j) if j else seed) + i) % 2**random_words.WIDTH
            elif seed is not None and (i or j):
                seed = derived(seed, i, j)
            yield Piece(slice(row, min(row + (1 if by_row else most), shape[0])), columns, seed)


class Part(NamedTuple):
    """Rows and columns of a product, and the stretch of K, that one job multiplies."""

    rows: slice
    columns: slice
    depth: slice


def parts(size: tuple[int, int, int], a_fmt: IntFormat, b_fmt: Format,
          config: Config) -> Iterator[Part]:
    """The jobs that multiply operands with these M, N and K; those of a stretch of K each add."""
    m, n, k = size
    most = config.max_dim
    longest = min(most, config.max_k(a_fmt, b_fmt))
    for i in range(0, m, most):
        for j in range(0, n, most):
            for depth in range(0, k, longest):
                yield Part(slice(i, min(i + most, m)), slice(j, min(j + most, n)),
                           slice(depth, min(depth + longest, k)))


class TorchExecution:
    """Torch kernels, on the device of their tensors.

    Parameters
    ----------
    config : the core that is computed like: which lane rounds what, and how long a job may be.
    native : whether compiled code rounds where a compiler is found, the same bits in one pass.
    """

    def __init__(self, config: Config | None = None, *, native: bool = True):
        self.config = checks.as_instance("config", config or preset("base"), Config)
        self.native = checks.as_flag("native", native)

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        if self.native and native.has(to.fmt) and native.library(x.device.type) is not None:
            return self._quantise_natively(x, to)
        values = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        integer = isinstance(to.fmt, IntFormat)
        inside = torch.empty(x.shape, dtype=torch.bool, device=x.device) if integer else None
        step = max(1, CHUNK // x.shape[1]) if x.device.type == "cpu" else len(x)
        most = 1 << self.config.dim_width - 1
        for job in range(0, len(x), most):  # with a scale per row, of as many jobs
            for row in range(job, min(job + most, len(x)), step):
                rows = slice(row, min(row + step, job + most, len(x)))
                y = kernels.fixed(x[rows], to.bits)
                y *= to.scale[rows, None] if to.scale.ndim else to.scale
                words = None if to.seed is None else self._words(x, rows, to)
                values[rows] = kernels.encode(y, to.fmt, to.phase, words)
                if inside is not None and isinstance(to.fmt, IntFormat):
                    inside[rows] = (y > to.fmt.lo) & (y < to.fmt.hi)
        return Rounded(values, inside)

    def _quantise_natively(self, x: torch.Tensor, to: Encoding) -> Rounded:
        x = x.float().contiguous()
        found = Rounded(torch.empty_like(x), torch.empty_like(x, dtype=torch.bool) if isinstance(
            to.fmt, IntFormat) else None)
        by_row = to.scale.ndim == 1
        # of rows with scales of their own, the piece of row 0, from whose seed theirs follow
        for piece in pieces((1 if by_row else len(x), x.shape[1]), to, self.config):
            rows = slice(None) if by_row else piece.rows
            here = (rows, piece.columns)
            native.round_piece(x[here], to.fmt, to.phase, to.bits, to.scale, piece.seed,
                               self.config, found.values[here],
                               None if found.inside is None else found.inside[here])
        return found

    def multiply(self, a, a_fmt: IntFormat, b, b_fmt: Format, phase: str) -> torch.Tensor:
        return kernels.multiply(a, a_fmt, b, b_fmt)

    def _words(self, x: torch.Tensor, rows: slice, to: Encoding) -> torch.Tensor:
        """Random words of these rows, int32 (rows, columns)."""
        found = [self._piece_words(piece, rows, to, x.device) for piece in _overlapping(
            x.shape, rows, to, self.config)]
        return torch.cat(found, dim=1)

    def _piece_words(self, piece: Piece, rows: slice, to: Encoding, device) -> torch.Tensor:
        config, seed = self.config, piece.seed or 0
        width = piece.columns.stop - piece.columns.start
        blocks = -(-width // config.cols)
        block = torch.arange(blocks, dtype=torch.int32, device=device)
        if to.scale.ndim:  # jobs of one row
            number = block.repeat(rows.stop - rows.start, 1)
            first = torch.arange(rows.start, rows.stop, device=device)
            seeds = kernels.as_int32(first + seed)[:, None].expand_as(number)
        else:
            row = torch.arange(rows.start - piece.rows.start, rows.stop - piece.rows.start,
                               dtype=torch.int32, device=device)[:, None]
            height = (piece.rows.stop - piece.rows.start - row // config.rows * config.rows).clamp(
                max=config.rows)
            number = (row // config.rows * config.rows * blocks + block * height
                      + row % config.rows)
            seeds = kernels.as_int32(torch.tensor(seed, device=device)).expand_as(number)
        words = kernels.random_words(seeds.reshape(-1), number.reshape(-1), config.cols)
        return words.reshape(rows.stop - rows.start, -1)[:, :width]


def _overlapping(shape, rows: slice, to: Encoding, config: Config) -> Iterator[Piece]:
    """A piece per stretch of columns that holds these rows; of rows with scales of their own, the
    piece of row 0, from whose seed theirs follow."""
    if to.scale.ndim:
        shape, rows = (1, shape[1]), slice(0, 1)
    for piece in pieces(shape, to, config):
        if piece.rows.start <= rows.start < piece.rows.stop:
            yield piece


class JobExecution:
    """Jobs of a backend: the golden model, or the verilated core.

    ValueError of the backend's own for what its configuration does not have.
    """

    def __init__(self, backend: Backend):
        self.backend, self.config = as_backend(backend), backend.config

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        fixed = kernels.fixed(x, to.bits).cpu().numpy().astype(np.int64)
        values = np.empty(x.shape, np.float32)
        inside = np.empty(x.shape, bool) if isinstance(to.fmt, IntFormat) else None
        for rows, columns, seed in pieces((len(x), x.shape[1]), to, self.config):
            scale = to.scale[rows.start] if to.scale.ndim else to.scale
            then = Rescale(to.fmt, Dyadic.nearest(scale.item()), seed=seed)
            result = self.backend.run(Job.quantise(fixed[rows, columns], then))
            codes = result.odd if to.phase == Phase.ODD else result.codes
            values[rows, columns] = mac_values(codes, to.fmt, np.float32)
            if inside is not None:
                inside[rows, columns] = result.inside
        return Rounded(torch.from_numpy(values).to(x.device),
                       None if inside is None else torch.from_numpy(inside).to(x.device))

    def multiply(self, a, a_fmt: IntFormat, b, b_fmt: Format, phase: str) -> torch.Tensor:
        return torch.stack([self._multiply(i, a_fmt, j, b_fmt, phase)
                            for i, j in zip(a, b, strict=True)])

    def _multiply(self, a, a_fmt: IntFormat, b, b_fmt: Format, phase: str) -> torch.Tensor:
        a_codes, b_codes = _codes(a, a_fmt), _codes(b, b_fmt)
        total = np.zeros((len(a), len(b)), np.int64)
        for rows, columns, depth in parts((len(a), len(b), a.shape[1]), a_fmt, b_fmt, self.config):
            total[rows, columns] += self.backend.run(Job.gemm(
                a_codes[rows, depth], a_fmt, b_codes[columns, depth], b_fmt, phase=phase)).codes
        return torch.from_numpy(total.astype(np.float64)).to(a.device)


def _codes(values: torch.Tensor, fmt: Format) -> np.ndarray:
    """The codes of values in MAC units, int8."""
    found = values.cpu().numpy()
    if not isinstance(fmt, LogFormat):
        return found.astype(np.int8)
    exponent = np.frexp(np.abs(found))[1] - 1
    c = np.where(found == 0, 0, exponent // fmt.log2_radix + 1)
    return (c | np.where(found < 0, 8, 0)).astype(np.int8)
