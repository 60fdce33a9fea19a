# SPDX-License-Identifier: Apache-2.0
"""Two results of one job: where they first differ, and a file from which the job runs again."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.dyadic import Dyadic
from golden.engine import Job
from golden.formats import format_named
from golden.rescale import Rescale, Rescaled
from verif.files import write_atomically

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
    return None


def _kind(array) -> str:
    return "nothing" if array is None else f"{array.dtype} {list(array.shape)}"


def describe(job: Job) -> str:
    """The job in one line: phase, sizes, formats, scale."""
    m, n, k = job.shape
    scale = f"{job.then.scale.multiplier} * 2**-{job.then.scale.shift}"
    if job.x is not None:
        return f"{job.phase} job, {m} x {n} int32 -> {job.then.fmt.name}, scale {scale}"
    product = f"{m} x {n} x {k} (M, N, K), {job.a_fmt.name} x {job.b_fmt.name}"
    return f"{job.phase} job, {product} -> {job.then.fmt.name}, scale {scale}"


def save_job(path: Path, job: Job, preset: str) -> None:
    """Write the job and the preset it ran on as .npz."""
    fields = {
        "preset": preset,
        "phase": job.phase,
        "a_fmt": job.a_fmt.name if job.a_fmt else None,
        "b_fmt": job.b_fmt.name if job.b_fmt else None,
        "then": [job.then.fmt.name, job.then.scale.multiplier, job.then.scale.shift,
                 job.then.zero_point],
    }
    arrays = {name: getattr(job, name) for name in OPERANDS if getattr(job, name) is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, fields=np.array(json.dumps(fields)), **arrays)
    write_atomically(path, buffer.getvalue())


def load_job(path: Path) -> tuple[Job, str]:
    """The job and the name of its preset; ValueError if the file is not what `save_job` writes."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        fields = json.loads(str(arrays.pop("fields")))
        fmt, multiplier, shift, zero_point = fields["then"]
        then = Rescale(format_named(fmt), Dyadic(multiplier, shift), zero_point)
        more = {"bias": arrays.get("bias"), "mask": arrays.get("mask"), "phase": fields["phase"]}
        if "x" in arrays:
            return Job.quantise(arrays["x"], then, **more), fields["preset"]
        a_fmt, b_fmt = format_named(fields["a_fmt"]), format_named(fields["b_fmt"])
        return Job.gemm(arrays["a"], a_fmt, arrays["b"], b_fmt, then, **more), fields["preset"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold a job ({error}): "
            "expected a mismatch-*.npz as a training run writes it"
        ) from error
