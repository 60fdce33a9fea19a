# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit's static datapath, with the bit widths of the hardware.

`p = sat32(acc + bias) * M` (48 bits), then round to nearest even and clamp (INT4, UINT4, INT32)
or find the leading one and encode (log FP4, both phases at once). This is the only place where
anything rounds.
"""

from dataclasses import dataclass

import numpy as np

from golden import checks, logfp4, random_words
from golden.dyadic import IDENTITY, Dyadic
from golden.formats import FP4_R4, INT32, ZERO_POINTS, IntFormat, LogFormat, Phase, as_format
from golden.report import Report
from golden.statistics import Statistics, measure
from golden.stochastic import round_up


@dataclass(frozen=True)
class Rescale:
    """What one job asks of the rescaling unit.

    Members
    -------
    fmt : output format: INT4, INT4_SYM, UINT4, INT32, FP4_R4 or FP4_R2.
    scale : Dyadic; IDENTITY passes INT32 through unchanged.
    zero_point : -32768..32767, added after rounding; must be 0 for INT32 and log FP4.
    seed : None rounds to nearest; 0..2**32 - 1 rounds stochastically with the random words of
        `golden.random_words` (4-bit formats only).
    """

    fmt: IntFormat | LogFormat = INT32
    scale: Dyadic = IDENTITY
    zero_point: int = 0
    seed: int | None = None

    def __post_init__(self):
        as_format("fmt", self.fmt)
        checks.instance(self, "scale", Dyadic)
        if self.seed is not None:
            checks.put(self, "seed", random_words.as_seed(self.seed, "None rounds to nearest"))
        if self.seed is not None and self.fmt == INT32:
            raise ValueError("stochastic rounding with INT32: only 4-bit formats have it, use None")
        checks.integer(self, "zero_point", *ZERO_POINTS, "the range lies too far from zero for "
                       "its width, subtract its centre first")
        if self.zero_point and (self.fmt == INT32 or isinstance(self.fmt, LogFormat)):
            raise ValueError(
                f"zero_point = {self.zero_point} with {self.fmt.name}: only 4-bit integer formats "
                "have one, use 0"
            )


RAW = Rescale()  # INT32 through, unchanged


@dataclass(frozen=True, eq=False)
class Rescaled:
    """Results, all of the input's shape.

    Members
    -------
    codes : int8 codes, or int32 values for INT32; the even phase for FP4_R4.
    odd : the odd phase's codes, FP4_R4 only, else None.
    mask : where the unclipped value lay strictly inside (lo, hi), bool; 4-bit integers only.
    bias_saturated : sticky flag: some acc + bias left 32 bits and was saturated.
    statistics : of the inputs (after bias and mask) and of the results, where `rescale` was asked
        itself; a backend tells them in the report alone, and this is None.
    report : of an adapting job, else None.
    """

    codes: np.ndarray
    odd: np.ndarray | None = None
    mask: np.ndarray | None = None
    bias_saturated: bool = False
    statistics: Statistics | None = None
    report: Report | None = None

    @property
    def told(self) -> Report:
        """The report of a job that adapted; ValueError if it did not."""
        if self.report is None:
            raise ValueError("no report: the job did not adapt (Job.adapt was None)")
        return self.report

    @property
    def inside(self) -> np.ndarray:
        """`mask` of a 4-bit integer format; ValueError for another format's results."""
        if self.mask is None:
            raise ValueError("no mask: only results in a 4-bit integer format have one")
        return self.mask

    @classmethod
    def nothing(cls, *, bias_saturated: bool = False, report: Report | None = None) -> "Rescaled":
        """Of a job that gives no results, only a report."""
        return cls(np.zeros((0, 0), np.int8), bias_saturated=bias_saturated, report=report)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The results that exist, by name."""
        found = {"codes": self.codes, "odd": self.odd, "mask": self.mask}
        return {name: array for name, array in found.items() if array is not None}


def rescale(values, job: Rescale, *, bias=None, mask=None, words=None) -> Rescaled:
    """Rescale 32-bit integers.

    Parameters
    ----------
    values : integers in int32's range, any shape.
    bias : None, or integers in int32's range that broadcast to the shape (one per column).
    mask : None, or bool of the same shape; where False the input counts as 0.
    words : random words of the same shape, 0..2**24 - 1, if the job rounds stochastically.

    ValueError that names the argument otherwise.
    """
    checks.as_instance("job", job, Rescale)
    if (words is None) != (job.seed is None):
        raise ValueError("random words and a seed go together: give both or neither")
    total = as_int32("values", values)
    saturated = False
    if bias is not None:
        bias = as_int32("bias", bias)
        if np.broadcast_shapes(bias.shape, total.shape) != total.shape:
            raise ValueError(f"bias of shape {bias.shape} does not broadcast to {total.shape}")
        total = total + bias
        inside = np.clip(total, INT32.lo, INT32.hi)
        saturated = bool((inside != total).any())
        total = inside
    if mask is not None:
        total = np.where(as_mask(mask, total.shape), total, 0)
    p = total * job.scale.multiplier  # |p| < 2**47
    if isinstance(job.fmt, LogFormat):
        results, clamped, vanished = _encode_log(p, job.fmt, job.scale.shift, words)
    else:
        results, clamped, vanished = _encode_int(p, job, words)
    statistics = measure(total, clamped.sum(), (vanished & (p != 0)).sum())
    return Rescaled(**results, bias_saturated=saturated, statistics=statistics)


def _encode_int(p: np.ndarray, job: Rescale, words):
    shift = min(job.scale.shift, 48)  # |p| * 2**-48 < 1/2: any larger shift also rounds to 0
    if words is None:
        rounded = round_half_even(p, shift)
    else:
        floor = np.abs(p) >> shift
        rest = np.ldexp((np.abs(p) - (floor << shift)).astype(np.float64), -job.scale.shift)
        rounded = (floor + round_up(rest, 1.0, words, random_words.WORD_BITS)) * np.sign(p)
    wanted = rounded + job.zero_point
    codes = np.clip(wanted, job.fmt.lo, job.fmt.hi)
    clamped, vanished = codes != wanted, rounded == 0
    if job.fmt == INT32:
        return {"codes": codes.astype(np.int32)}, clamped, vanished
    # lo < p * 2**-s + zero_point < hi, compared exactly without dividing
    low, high = job.fmt.lo - job.zero_point, job.fmt.hi - job.zero_point
    shift = job.scale.shift
    floor = p >> shift
    exact = (floor << shift) == p
    mask = ((floor > low) | ((floor == low) & ~exact)) & (floor < high)
    return {"codes": codes.astype(np.int8), "mask": mask}, clamped, vanished


def _encode_log(p: np.ndarray, fmt: LogFormat, shift: int, words):
    y = np.ldexp(p.astype(np.float64), -shift)  # exact: |p| < 2**53
    random = {} if words is None else {"words": words, "bits": random_words.WORD_BITS}
    if fmt == FP4_R4 and words is None:
        joint = logfp4.joint_encode(y)
        results = {"codes": logfp4.joint_decode(joint, Phase.EVEN),
                   "odd": logfp4.joint_decode(joint, Phase.ODD)}
    else:
        results = {"codes": logfp4.encode(y, fmt, **random)}
        if fmt == FP4_R4:
            results["odd"] = logfp4.encode(y, fmt, Phase.ODD, **random)
    # nearest would go beyond the top level at the midpoint to a level that does not exist
    beyond = LogFormat.TOP * (1 + fmt.radix) / 2 if words is None else LogFormat.TOP
    clamped = np.abs(y) >= beyond if words is None else np.abs(y) > beyond
    return results, clamped, results["codes"] & 7 == 0


def round_half_even(p: np.ndarray, shift: int) -> np.ndarray:
    """`rne(p * 2**-shift)` of int64, exact, for 0 <= shift <= 62; ValueError for others."""
    shift = checks.as_integer("shift", shift, 0, 62)
    p = checks.as_integers("p", p, -(2**63), 2**63 - 1).astype(np.int64, copy=False)
    floor = p >> shift
    twice = (p - (floor << shift)) << 1  # twice the remainder, 0 .. 2 * 2**shift - 1
    half = 1 << shift
    return floor + ((twice > half) | ((twice == half) & (floor & 1 == 1)))


def as_mask(mask, shape: tuple[int, ...]) -> np.ndarray:
    """`mask` as bool of this shape, a new array: any byte of its own but 0 counts as True.

    ValueError for another shape or dtype.
    """
    mask = checks.as_array("mask", mask)
    if mask.shape != shape or mask.dtype != bool:
        raise ValueError(
            f"mask of shape {mask.shape} and dtype {mask.dtype}: expected bool of shape {shape}"
        )
    return mask.view(np.uint8) != 0


def as_int32(name: str, values) -> np.ndarray:
    """`values` as int64 if they are integers in int32's range, ValueError otherwise."""
    values = checks.as_array(name, values)
    if values.dtype.kind not in "iu":
        raise ValueError(
            f"{name} have dtype {values.dtype}: expected integers; "
            "use golden.fixed_point to convert floats"
        )
    return checks.as_integers(name, values, INT32.lo, INT32.hi).astype(np.int64)
