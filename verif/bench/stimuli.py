# SPDX-License-Identifier: Apache-2.0
"""Random jobs with corners, and jobs as the payloads of the engine's streams.

Shared by the cocotb bench, the Amaranth simulator's tests and the verilated binding's tests.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from golden.adaptive import Adapt, Entry, Use
from golden.config import TARGETS, Config
from golden.dyadic import IDENTITY, Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import A_FORMATS, B_FORMATS, FORMATS, INT32, LogFormat
from golden.gemm import mac_values
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
from hdl.layouts import codes_layout, result_layout, words_layout
from hdl.packing import Packing, packing


def random_codes(rng, fmt, shape) -> np.ndarray:
    """Uniform codes of a format, int8."""
    return rng.integers(fmt.lo, fmt.hi + 1, shape).astype(np.int8)


def random_config(rng) -> Config:
    """Any small configuration: every member at its corners and between them."""
    def corner_or(lo: int, hi: int, *corners: int) -> int:
        return int(rng.choice([*(corners or (lo, hi)), int(rng.integers(lo, hi + 1))]))

    rows, cols, lanes = (1 << int(rng.integers(top + 1)) for top in (3, 3, 4))
    return Config(
        rows, cols, lanes,
        accumulator_width=corner_or(20, 32, 20, 24, 31, 32), dim_width=corner_or(4, 16, 4, 5, 16),
        radices=[(4, 2), (4,), (2,)][rng.integers(3)], stochastic=bool(rng.random() < 0.7),
        tensors=corner_or(1, 256), pipeline=int(rng.integers(1, 4)),
        target=TARGETS[rng.integers(2)], serial=bool(rng.random() < 0.3))


def random_rescale(rng, config: Config, fmt, magnitude: int) -> Rescale:
    """A scale that brings numbers of this magnitude near the format's range, or a corner."""
    kind = rng.random()
    top = 31 if fmt == INT32 else int(rng.integers(-3, 9))  # about the largest result, as a power
    if fmt == INT32 and kind < 0.3:
        return Rescale(INT32, IDENTITY)
    if kind < 0.4 and fmt == INT32:
        top = int(rng.integers(31))
    if kind < 0.1:
        scale = Dyadic(0, int(rng.integers(64)))
    elif kind < 0.25:
        scale = Dyadic(int(rng.integers(2**15, 2**16)), int(rng.integers(64)))
    else:
        shift = 15 + int(magnitude).bit_length() - top + int(rng.integers(-1, 2))
        multiplier = 2**15 if rng.random() < 0.3 else int(rng.integers(2**15, 2**16))
        scale = Dyadic(multiplier, min(max(shift, 0), 63))
    return Rescale(fmt, scale, random_zero_point(rng, fmt), random_seed(rng, config, fmt))


def random_zero_point(rng, fmt) -> int:
    if isinstance(fmt, LogFormat) or fmt == INT32:
        return 0
    span = 2**15 if rng.random() < 0.1 else 20
    return int(rng.integers(-span, span))


def random_seed(rng, config: Config, fmt) -> int | None:
    """None, or a seed; the ends of the range are common."""
    if not config.stochastic or fmt == INT32 or rng.random() > 0.3:
        return None
    return int(rng.choice([0, 1, 2**32 - 1, int(rng.integers(2**32))]))


def random_near_ties(rng, shape) -> tuple[np.ndarray, Dyadic]:
    """Inputs and their scale: some half-way between codes or levels, some a small bit beyond that,
    which no fraction holds."""
    if rng.random() < 0.4:
        return random_beyond_the_top(rng, shape)
    point = int(rng.integers(20, 25))
    exponent = np.minimum(rng.integers(0, 15, shape), 10)  # 64, the top level, is common
    tie = rng.choice([4, 5, 6], shape) << exponent  # in quarters of 2**-4
    few = rng.choice([2, 6, 10], shape) << 4  # 0.5, 1.5, 2.5
    tie = np.where(rng.random(shape) < 0.5, tie, few) << point - 6
    bit = np.where(rng.random(shape) < 0.7, 1 << rng.integers(0, point - 19, shape), 0)
    return (tie + bit) * rng.choice([-1, 1], shape), Dyadic(2**15, 15 + point)


def random_beyond_the_top(rng, shape) -> tuple[np.ndarray, Dyadic]:
    """Inputs and their scale: some beyond the top level by less than 2**-32, some just below it.

    Only a multiplier of many bits makes products with bits so far below the point.
    """
    shift = 40
    top = int(LogFormat.TOP) << shift
    multipliers = np.arange(2**15 + 1, 2**16, 2)
    inputs = -(-top // multipliers)
    found = rng.choice(np.flatnonzero(inputs * multipliers - top < 2 ** (shift - 32)))
    x = int(inputs[found]) - rng.integers(0, 2, shape)
    return x * rng.choice([-1, 1], shape), Dyadic(int(multipliers[found]), shift)


def output_formats(config: Config) -> list:
    return [f for f in FORMATS.values() if not isinstance(f, LogFormat) or f in config.log_formats]


def random_job(rng, config: Config, *, largest: int = 3, longest: int = 64) -> Job:
    """A job of up to `largest` blocks per dimension; ragged, single and full blocks are common.

    Some use and update the table of scales, some have no data at all. K is `max_k` where that takes
    at most `longest` beats.
    """
    kind = rng.random()
    if kind < 0.1:
        return Job.table(random_table_change(rng, config))
    job = random_data_job(rng, config, largest=largest, longest=longest)
    return replace(job, adapt=random_adapt(rng, config, job)) if kind < 0.5 else job


def random_tensor(rng, config: Config) -> int:
    return int(rng.integers(min(config.tensors, 3)))  # few, so that jobs meet in them


def random_table_change(rng, config: Config) -> Adapt:
    """A preset, PACT's solution, the others' without elements, or just a look."""
    tensor, kind = random_tensor(rng, config), rng.random()
    if kind < 0.2:
        return Adapt(tensor)
    if kind < 0.5:
        scale = Dyadic(int(rng.integers(2**15, 2**16)), int(rng.integers(64)))
        return Adapt(tensor, preset=Entry(
            scale, int(rng.integers(-100, 100)), int(rng.integers(-40, 41)),
            bool(rng.integers(2)), bool(rng.random() < 0.3)))
    mode = SolveMode.PACT if kind < 0.7 else SolveMode(int(rng.integers(len(SolveMode))))
    return Adapt(tensor, solve=mode, exponent=int(rng.integers(-40, 40)),
                 alpha=int(rng.integers(2**32)) >> int(rng.integers(33)))


def random_adapt(rng, config: Config, job: Job) -> Adapt:
    """Any use that the job's format has, any solve."""
    return Adapt(
        random_tensor(rng, config), Use(int(rng.integers(len(Use)))),
        SolveMode(int(rng.integers(len(SolveMode)))) if rng.random() < 0.7 else None,
        alpha=int(rng.integers(2**31)), exponent=int(rng.integers(-20, 20)),
        discard=job.x is not None and rng.random() < 0.3)


def random_data_job(rng, config: Config, *, largest: int = 3, longest: int = 64) -> Job:
    """A job without adaptive scales."""
    def size(unit):
        whole = unit * int(rng.integers(1, largest + 1))
        size = rng.choice([1, whole, int(rng.integers(1, whole + 1))])
        return min(int(size), config.max_dim)

    m, n, k = size(config.rows), size(config.cols), size(config.lanes)
    strips = rng.random() < 0.25
    if strips and config.strip == 8:  # a few of them, elsewhere a part of one
        n = min(int(rng.integers(1, 3 * config.strip)), config.max_dim)
    fmts = output_formats(config)
    fmt = fmts[rng.integers(len(fmts))]
    mask = rng.random((m, n)) < 0.7 if rng.random() < 0.3 else None
    span = 2**31 if rng.random() < 0.15 else 2**12
    bias = rng.integers(-span, span, n) if rng.random() < 0.5 else None
    kind = rng.random()
    if kind < 0.1:
        x, scale = random_near_ties(rng, (m, n))
        then = Rescale(fmt, scale, random_zero_point(rng, fmt), random_seed(rng, config, fmt))
        return Job.quantise(x, then, mask=mask, strips=strips)
    if kind < 0.35:
        bits = int(rng.integers(1, 33))
        x = rng.integers(-(2**31), 2**31, (m, n)) >> (32 - bits)
        then = random_rescale(rng, config, fmt, 2 ** (bits - 1))
        return Job.quantise(x, then, bias=bias, mask=mask, strips=strips)
    a_fmt = A_FORMATS[rng.integers(len(A_FORMATS))]
    b_fmts = [f for f in B_FORMATS if not isinstance(f, LogFormat) or f in config.log_formats]
    b_fmt = b_fmts[rng.integers(len(b_fmts))]
    max_k = config.max_k(a_fmt, b_fmt)
    k = max_k if rng.random() < 0.1 and max_k <= longest * config.lanes else min(k, max_k)
    extreme = k == max_k and rng.random() < 0.5
    then = random_rescale(rng, config, fmt, k * a_fmt.magnitude * b_fmt.magnitude)
    a = random_codes(rng, a_fmt, (m, k)) if rng.random() < 0.5 else (
        random_codes(rng, a_fmt, (k, m)).T)  # strided, as dgrad and wgrad read it
    b = random_codes(rng, b_fmt, (n, k))
    if extreme:  # each sum is as far from zero as it can be, to either side
        a, b = np.full_like(a, largest_codes(a_fmt)[0]), np.repeat(
            rng.choice(largest_codes(b_fmt), (n, 1)), k, axis=1)
    return Job.gemm(a, a_fmt, b, b_fmt, then, bias=bias, mask=mask, strips=strips)


def largest_codes(fmt) -> np.ndarray:
    """The codes whose magnitude in the MAC is the format's largest, int8."""
    codes = np.arange(fmt.lo, fmt.hi + 1, dtype=np.int8)
    return codes[np.abs(mac_values(codes, fmt)) == fmt.magnitude]


def result_words(result: Rescaled) -> tuple[np.ndarray, np.ndarray]:
    """A result as the hardware's 32-bit words and clip mask bits."""
    if result.codes.dtype == np.int32:
        return result.codes.astype(np.int64) & 0xFFFFFFFF, np.zeros(result.codes.shape, np.int64)
    words = result.codes.astype(np.int64) & 15
    if result.odd is not None:
        words |= (result.odd.astype(np.int64) & 15) << 4
    mask = np.zeros_like(words) if result.mask is None else result.mask.astype(np.int64)
    return words, mask


def engine_beats(job: Job, golden: GoldenBackend, rng) -> dict[str, list]:
    """A job as payloads of the engine's streams, and the result rows and report that must come.

    What the engine has to ignore (beyond M, N, K) is random. `golden` runs the job.
    """
    m, n, _ = job.shape
    config = golden.config
    names = ("a", "b", "x", "bias", "mask", "result", "report")
    beats: dict[str, list] = {name: [] for name in names}
    expected = golden.run(job)
    words, clip = result_words(expected)
    if expected.report is not None:
        beats["report"].append(expected.report)
    for rows, cols in blocks(job, config):
        if job.a is not None:
            beats["a"] += operand_beats(job.a[rows], config, config.rows, rng)
            beats["b"] += operand_beats(job.b[cols], config, config.cols, rng)
        if job.bias is not None:
            beats["bias"].append(_words(job.bias[cols], config, rng))
        for r in range(rows.start, rows.stop):
            if job.x is not None:
                beats["x"].append(_words(job.x[r, cols], config, rng))
            if job.mask is not None:
                beats["mask"].append(_bits(job.mask[r, cols]))
            if not words.size:
                continue  # discarded
            last = r == m - 1 and cols.stop == n
            beats["result"].append(
                (words[r, cols].tolist(), _bits(clip[r, cols]), cols.stop - cols.start, last))
    return beats


def blocks(job: Job, config: Config):
    """Rows and columns of the blocks of a job's result, as slices, in the engine's order."""
    m, n, _ = job.shape
    strip = config.strip if job.strips else max(n, 1)
    for left in range(0, n, strip):
        for row in range(0, m, config.rows):
            for col in range(left, min(left + strip, n), config.cols):
                yield (slice(row, min(row + config.rows, m)),
                       slice(col, min(col + config.cols, n)))


def operand_beats(codes: np.ndarray, config: Config, vectors: int, rng,
                  absent: int | None = None) -> list[int]:
    """Codes (v, K) as beats of `vectors` x lanes, padded with the code `absent` or random ones."""
    count = -(-codes.shape[1] // config.lanes)
    padded = rng.integers(0, 16, (vectors, count * config.lanes))
    if absent is not None:
        padded[:] = absent
    padded[:codes.shape[0], :codes.shape[1]] = codes & 15
    packed = _codes_packing(config, vectors)
    return [packed.pack(padded[:, k:k + config.lanes].tolist())
            for k in range(0, padded.shape[1], config.lanes)]


@cache
def _codes_packing(config: Config, vectors: int) -> Packing:
    return Packing(codes_layout(config, vectors))


def result_row(payload: int, config: Config):
    """A payload of `result_layout` as (words of the kept columns, mask bits, columns, last)."""
    row = packing(result_layout, config).unpack(payload)
    keep = row["tag"]["keep"]
    cols = keep.bit_count()
    if keep != (1 << cols) - 1:
        raise AssertionError(f"keep = {keep:#b} has holes")
    return row["data"][:cols], row["mask"] & keep, cols, bool(row["tag"]["last"])


def _words(values, config: Config, rng) -> int:
    padded = rng.integers(-(2**31), 2**31, config.cols)
    padded[:len(values)] = values
    return packing(words_layout, config).pack(padded.tolist())


def _bits(values) -> int:
    return sum(int(bool(v)) << i for i, v in enumerate(values))
