# SPDX-License-Identifier: Apache-2.0
"""Two results of one job: where they first differ, and a file from which the job runs again."""

import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.adaptive import Adapt, Entry, Use
from golden.checks import SHOWN
from golden.config import preset as preset_named
from golden.dyadic import Dyadic
from golden.engine import Job, Op
from golden.formats import format_named
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
from tools.files import write_atomically

OPERANDS = ("a", "b", "x", "bias", "mask")


@dataclass(frozen=True)
class Difference:
    """The first difference: which result, where in it, and both values."""

    field: str
    index: tuple[int, ...]
    expected: object
    actual: object

    def __str__(self):
        where = f"{self.field}{list(self.index)}" if self.index else self.field
        return f"{where}: expected {self.expected}, got {self.actual}"


def first_difference(expected: Rescaled, actual: Rescaled) -> Difference | None:
    """None if the results are the same to the bit: arrays, dtypes, shapes and the sticky flag."""
    for name in ("codes", "odd", "mask"):
        want, got = getattr(expected, name), getattr(actual, name)
        if (kind := _kind(want)) != _kind(got):
            return Difference(name, (), kind, _kind(got))
        if want is not None and not np.array_equal(want, got):
            index = tuple(int(i) for i in np.argwhere(want != got)[0])
            return Difference(name, index, want[index].item(), got[index].item())
    if bool(expected.bias_saturated) != bool(actual.bias_saturated):
        flags = bool(expected.bias_saturated), bool(actual.bias_saturated)
        return Difference("bias_saturated", (), *flags)
    if expected.report != actual.report:
        return Difference("report", (), expected.report, actual.report)
    return None


def _kind(array) -> str:
    return "nothing" if array is None else f"{array.dtype} {list(array.shape)}"


def describe(job: Job) -> str:
    """The job in one line: phase, sizes, formats, scale."""
    m, n, k = job.shape
    parts = [f"{job.phase} job"]
    if job.op != Op.TABLE:
        taken = f"{m} x {n} int32"
        if job.operands is not None:
            taken = (f"{m} x {n} x {k} (M, N, K), "
                     f"{job.operands.a_fmt.name} x {job.operands.b_fmt.name}")
        parts.append(f"{taken} -> {job.then.fmt.name}")
        parts.append(f"scale {job.then.scale.multiplier} * 2**-{job.then.scale.shift}")
    if job.adapt is not None:
        parts.append(str(job.adapt))
    return ", ".join(parts)


def save_job(path: Path, job: Job, preset: str, entry: Entry | None = None) -> None:
    """Write the job, the preset it ran on and its tensor's entry before it, as .npz."""
    fields = {
        "preset": preset,
        "phase": job.phase,
        "a_fmt": job.a_fmt.name if job.a_fmt else None,
        "b_fmt": job.b_fmt.name if job.b_fmt else None,
        "then": [job.then.fmt.name, job.then.scale.multiplier, job.then.scale.shift,
                 job.then.zero_point, job.then.seed],
        "adapt": _adapt_fields(job.adapt),
        "entry": _entry_fields(entry),
    }
    arrays = {name: getattr(job, name) for name in OPERANDS if getattr(job, name) is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, fields=np.array(json.dumps(fields)), **arrays)
    write_atomically(path, buffer.getvalue())


def load_job(path: Path) -> tuple[Job, str, Entry | None]:
    """What `save_job` wrote; ValueError in one line if the file is not that, or is damaged, or
    holds a job that its preset cannot run."""
    try:
        with (warnings.catch_warnings(), path.open("rb") as raw,  # numpy would leave it open
              np.load(raw, allow_pickle=False) as file):
            warnings.simplefilter("ignore")  # of Python's parser, at a damaged header
            arrays = {name: file[name] for name in file.files}
        fields = json.loads(str(arrays.pop("fields")))
        fmt, multiplier, shift, zero_point, seed = fields["then"]
        then = Rescale(format_named(fmt), Dyadic(multiplier, shift), zero_point, seed)
        adapt, entry = _adapt(fields["adapt"]), _entry(fields["entry"])
        a_fmt, b_fmt = (None if fields[name] is None else format_named(fields[name])
                        for name in ("a_fmt", "b_fmt"))
        job = Job(then, arrays.get("a"), a_fmt, arrays.get("b"), b_fmt, arrays.get("x"),
                  arrays.get("bias"), arrays.get("mask"), fields["phase"], adapt)
        job.check(preset_named(fields["preset"]))
        return job, fields["preset"], entry
    except Exception as error:  # damage: whatever zipfile, zlib, numpy, json and the checks raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, ValueError | OSError):
            what = what.partition(": ")[2]
        raise ValueError(
            f"{path} does not hold a job ({what[: 3 * SHOWN]}): "
            "expected a mismatch-*.npz as a training run writes it"
        ) from error


def _entry_fields(entry: Entry | None):
    return entry and [entry.scale.multiplier, entry.scale.shift, entry.zero_point, entry.exponent,
                      entry.valid, entry.frozen]


def _entry(fields) -> Entry | None:
    return None if fields is None else Entry(Dyadic(*fields[:2]), *fields[2:])


def _adapt_fields(adapt: Adapt | None):
    return adapt and [adapt.tensor, int(adapt.use),
                      None if adapt.solve is None else int(adapt.solve), adapt.alpha,
                      adapt.exponent, _entry_fields(adapt.preset), adapt.discard]


def _adapt(fields) -> Adapt | None:
    if fields is None:
        return None
    tensor, use, solve, alpha, exponent, preset, discard = fields
    return Adapt(tensor, Use(use), None if solve is None else SolveMode(solve), alpha, exponent,
                 _entry(preset), discard)
