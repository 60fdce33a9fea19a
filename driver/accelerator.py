# SPDX-License-Identifier: Apache-2.0
"""A core as numpy sees it: tensors that stay on the device, jobs that are queued, results."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from driver.command_queue import CommandQueue
from driver.descriptor import unpack_report
from driver.device_memory import DeviceMemory, Tensor, described
from driver.transport import Transport
from golden import checks, formats
from golden.adaptive import Adapt
from golden.descriptor import B_FORMATS, BYTES, FIELDS, CoreFault, CoreOp, Descriptor
from golden.formats import A_FORMATS, FP4_R4, INT4, INT4_SYM, INT32, UINT4, Format
from golden.memory import END
from golden.refused import decode, has_mask, is_split
from golden.report import Report
from golden.report_words import REPORT_WORDS
from golden.rescale import RAW, Rescale
from hdl.core.register_map import register_map

MEMBERS = {field.name for field in FIELDS}


class Result(NamedTuple):
    """Where a job puts its results, None for those that it has not.

    Members
    -------
    c : codes or INT32. odd : of FP4_R4 the odd phase's codes, c are those of the even phase.
    mask : where values lay strictly inside the range. report : of an adapting job, its words.
    """

    c: Tensor | None
    odd: Tensor | None = None
    mask: Tensor | None = None
    report: Tensor | None = None

    @property
    def codes(self) -> Tensor:
        """c; ValueError of a job that only measures."""
        if self.c is None:
            raise ValueError("no codes: the job only measured (adapt.discard)")
        return self.c


class Accelerator:
    """Runs jobs on a core, in the order in which they are queued.

    `gemm`, `quantise`, `preset` and `fence` queue a job and return at once; `download`, `report`
    and `wait` wait until all jobs have ended. Every job starts when all that was written before is
    in memory, unless it is queued with barrier=False: then of the job right before it may not be.
    With `early` only some operands of a job do not wait for that one.

    Parameters
    ----------
    transport : Transport. memory : (base, size) of the memory that the core may use and nobody
        else does; the core's windows are exactly that. ring : entries of the command ring, a power
        of two; jobs that do not fit wait. timeout : seconds without progress until TimeoutError.

    Members
    -------
    config : what the core can, as it says itself. queue : CommandQueue with the registers.

    ValueError for what is no core of this version, and whatever does not fit; `CoreFault` where
    the core stops, with the number of the descriptor as `enqueue` returns it.
    """

    def __init__(self, transport: Transport, memory: tuple[int, int], ring: int = 16,
                 timeout: float = 60.0):
        base, size = memory
        checks.as_integer("base of memory", base, 0, END - 1)
        checks.as_integer("size of memory", size, 1, END - base)
        checks.as_integer("ring", ring, 2)
        first = -(-base // BYTES) * BYTES
        if first + ring * BYTES > base + size:
            raise ValueError(f"memory of {size} bytes: a ring of {ring} entries takes "
                             f"{first - base + ring * BYTES}; give more memory or a smaller ring")
        self.transport = transport
        self.queue = CommandQueue(transport, first, ring, (base, base + size - 1), timeout)
        self.config = self.queue.config
        behind = first + ring * BYTES
        self.memory = DeviceMemory(behind, base + size - behind)
        self._freed: list[Tensor] = []  # while jobs were queued that may use them
        self._scratch: Tensor | None = None

    def upload(self, values: Any, fmt: Format | None) -> Tensor:
        """Put values on the device: codes of a 4-bit format, INT32, or with None a mask of bools.

        One row, (rows, cols) or (batch, rows, cols).
        """
        shape, values = described(values, fmt)
        tensor = self._take(shape)
        self.transport.write_memory(tensor.address, tensor.encode(values))
        return tensor

    def update(self, tensor: Tensor, values: Any) -> None:
        """Write new values over a tensor's, when all jobs have ended.

        ValueError for values of another shape, and for some columns of a wider tensor.
        """
        shape, values = described(values, tensor.fmt)
        if tensor.pitch:
            raise ValueError(f"update of the first {tensor.cols} columns of a wider tensor: give "
                             "all values of that one")
        if shape != tensor._replace(address=0):
            raise ValueError(f"values of shape {values.shape}: expected {_shape(tensor)}")
        self.wait()
        self.transport.write_memory(tensor.address, tensor.encode(values))

    def empty(self, rows: int, cols: int, fmt: Format | None, batch: int = 1) -> Tensor:
        """A tensor that holds whatever was there; ValueError for what is no shape or format."""
        rows, cols, batch = (checks.as_integer(name, value, 1) for name, value in (
            ("rows", rows), ("cols", cols), ("batch", batch)))
        if fmt is not None:
            formats.as_format("fmt", fmt)
        return self._take(Tensor(0, rows, cols, fmt, batch))

    def download(self, tensor: Tensor) -> np.ndarray:
        """The values: int8 codes, int32 or bool, when all jobs have ended."""
        checks.as_instance("tensor", tensor, Tensor)
        self.wait()
        return tensor.decode(self.transport.read_memory(tensor.address, tensor.size))

    def report(self, result: Result) -> list[Report]:
        """What an adapting job tells, per batch element, when all jobs have ended."""
        report = checks.as_instance("result", result, Result).report
        if report is None:
            raise ValueError("no report: the job did not adapt (adapt was None)")
        words = self.download(report).reshape(-1, REPORT_WORDS).astype("<i4")
        return [unpack_report(int.from_bytes(row.tobytes(), "little")) for row in words]

    def free(self, *tensors: Tensor | Result | None) -> None:
        """Give memory back: at once, or when the jobs that are queued now have ended."""
        for each in tensors:
            if isinstance(each, Result):
                self.free(*each)
            elif each is not None:
                checks.as_instance("what is freed", each, Tensor)
                if each.address in (other.address for other in self._freed):
                    raise ValueError(f"the tensor at {each.address:#x} is freed twice")
                self.memory.check_taken(each.address)
                self._freed.append(each)
        if self.queue.ended == self.queue.queued:
            self._release()

    def gemm(self, a: Tensor, b: Tensor, then: Rescale = RAW, *, transpose_a: bool = False,
             transpose_b: bool = False, a_zero: int = 0, accumulate: bool = False,
             early: str = "", **options: Any) -> Result:
        """Queue C = rescale(sum over K of (a - a_zero) * b + bias).

        Parameters
        ----------
        a : INT4, INT4_SYM or UINT4 codes (M, K), or (K, M) with transpose_a. b : INT4, INT4_SYM or
            log codes (N, K), or (K, N) with transpose_b. Where one of them has a batch, the other
            has as many, or 1 and serves all. accumulate : C = C + sums, with `out`. early : "a",
            "b" or "ab", which operands are read while the job right before runs, which must not
            write them, nor bias.
        options : as of `quantise`.
        """
        for name, each in (("a", a), ("b", b)):
            checks.as_instance(name, each, Tensor)
        m, k = _turned(a, transpose_a)
        n, other = _turned(b, transpose_b)
        if k != other:
            raise ValueError(f"K = {k} of a, {_shape(a)}, and {other} of b, {_shape(b)}: expected "
                             "the same; a is (M, K), b is (N, K), transposed the other way round")
        checks.as_choice("early", early, ("", "a", "b", "ab"))
        _check_format("a", a, A_FORMATS)
        _check_format("b", b, formats.B_FORMATS)
        out = options.get("out")
        if accumulate and (out is None or (isinstance(out, Result) and out.c is None)):
            raise ValueError("accumulate without out: give the result to which is added")
        job = Descriptor(
            op=CoreOp.GEMM, m=m, n=n, k=k, transpose_a=transpose_a, transpose_b=transpose_b,
            a_signed=a.fmt != UINT4, a_zero=a_zero, accumulate=accumulate,
            early_a="a" in early, early_b="b" in early,
            b_format=B_FORMATS.index(INT4 if b.fmt == INT4_SYM else b.fmt))
        return self._queue_data(job, {"a": a, "b": b}, then, **options)

    def quantise(self, x: Tensor, then: Rescale, **options: Any) -> Result:
        """Queue C = rescale(x + bias).

        Parameters
        ----------
        x : INT32 (M, N). then : Rescale with format, scale, zero point and seed.
        bias : INT32, one row of N, per batch element or for all. mask : (M, N), values count as 0
            where it is False; (N, M) with transpose_mask. transpose_c : C is written as (N, M), the
            clip mask is not. clip_mask : write the mask of
            4-bit integer formats. adapt : Adapt; then a report is written. out : where results go:
            the Result of an earlier job of the same shape, or tensors of yours; what the job has
            and `out` has not gets memory of its own. barrier : False lets the job start
            before what the one right before it writes is in memory. interrupt : on completion.
        """
        _check_format("x", checks.as_instance("x", x, Tensor), (INT32,))
        job = Descriptor(op=CoreOp.QUANTISE, m=x.rows, n=x.cols)
        return self._queue_data(job, {"x": x}, then, **options)

    def preset(self, adapt: Adapt) -> int:
        """Queue a change of the table of scales, as `adapt.preset` says."""
        job = _adapting(Descriptor(op=CoreOp.TABLE), checks.as_instance("adapt", adapt, Adapt))
        return self.enqueue(self._checked(job))

    def fence(self) -> int:
        """Queue a barrier."""
        return self.enqueue(Descriptor(op=CoreOp.FENCE))

    def enqueue(self, job: Descriptor) -> int:
        """Queue any descriptor, and return its number; see `CommandQueue.enqueue`."""
        return self.queue.enqueue(job)

    def wait(self) -> None:
        """Until all jobs have ended; `CoreFault` as `CommandQueue.wait` says."""
        self.queue.wait()
        self._release()

    def counters(self, *, clear: bool = False) -> dict[str, int]:
        """The core's counters by name."""
        return self.queue.counters(clear=clear)

    def reset(self) -> None:
        """Forget the jobs that are queued or under way, and the table of scales; tensors stay, but
        what those jobs were to write is undefined."""
        self.queue.restart()
        self._release()

    def close(self) -> None:
        """Reset the core and leave it without interrupts and windows."""
        self.queue.close()

    def __enter__(self) -> "Accelerator":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def _take(self, tensor: Tensor) -> Tensor:
        try:
            return tensor._replace(address=self.memory.take(tensor.size))
        except ValueError:
            if not self._freed:
                raise
        self.wait()
        return tensor._replace(address=self.memory.take(tensor.size))

    def _release(self) -> None:
        while self._freed:
            self.memory.release(self._freed.pop().address)

    def _queue_data(self, job: Descriptor, inputs: dict[str, Tensor], then: Rescale, *,
                    bias: Tensor | None = None, mask: Tensor | None = None,
                    transpose_c: bool = False, transpose_mask: bool = False,
                    clip_mask: bool = False, adapt: Adapt | None = None,
                    out: Result | None = None, barrier: bool = True,
                    interrupt: bool = False) -> Result:
        checks.as_instance("then", then, Rescale)
        if out is not None:
            checks.as_instance("out", out, Result)
        if clip_mask and not has_mask(then.fmt):
            raise ValueError(f"clip_mask with {then.fmt.name}: only results of 4-bit integer "
                             "formats have one")
        batch = max(each.batch for each in inputs.values())
        job = replace(
            job, batch=batch, transpose_c=transpose_c, transpose_mask=transpose_mask,
            bias=bias is not None, mask_in=mask is not None, mask_out=clip_mask,
            report=adapt is not None,
            barrier=barrier, interrupt=interrupt, format=then.fmt.encoding,
            multiplier=then.scale.multiplier, shift=then.scale.shift, zero_point=then.zero_point,
            stochastic=then.seed is not None, seed=then.seed or 0)
        if adapt is not None:
            job = _adapting(job, checks.as_instance("adapt", adapt, Adapt))
        if bias is not None:
            inputs["bias"] = _expected("bias", bias, (INT32,), (1, job.n))
        if mask is not None:
            shape = (job.n, job.m) if transpose_mask else (job.m, job.n)
            inputs["mask_in"] = _expected("mask", mask, (None,), shape)
        self._checked(job)
        for name, tensor in inputs.items():
            if tensor.batch not in (1, batch):
                raise ValueError(f"batch = {tensor.batch} of {name}: expected 1 or {batch}")
        given, wanted = out or Result(None), self._wanted(job, then)
        for each, expected in zip(given, wanted, strict=True):
            if each and each._replace(address=0, pitch=0) != expected:
                raise ValueError(f"out = {checks.shown(out)}: expected the result of a job of the "
                                 f"same shape, {checks.shown(wanted)} at any address")
        new: list[Tensor] = []
        try:
            for each, expected in zip(given, wanted, strict=True):
                if expected and not each:
                    new.append(self._take(expected))
            taken = iter(new)
            result = Result(*(each or (expected and next(taken))
                              for each, expected in zip(given, wanted, strict=True)))
            if is_split(job, self.config):
                job = replace(job, barrier=True)
                inputs["scratch"] = self._scratch_for(job)
            places = {**inputs, "c": result.c, "c_odd": result.odd, "mask_out": result.mask,
                      "report": result.report}
            for name, place in places.items():
                if place is not None:
                    job = replace(job, **_places(name, place))
            self.enqueue(self._checked(job))
        except BaseException:  # of memory, of an earlier job: this one is not queued
            self.free(*new)
            raise
        return result

    @staticmethod
    def _wanted(job: Descriptor, then: Rescale) -> Result:
        """The shapes of what a job gives, without addresses."""
        rows, cols = (job.n, job.m) if job.transpose_c else (job.m, job.n)
        c = Tensor(0, rows, cols, then.fmt, job.batch)
        return Result(
            None if job.adapt_discard else c,
            c if then.fmt == FP4_R4 and not job.adapt_discard else None,
            Tensor(0, job.m, job.n, None, job.batch) if job.mask_out else None,
            Tensor(0, 1, REPORT_WORDS, INT32, job.batch) if job.report else None)

    def _scratch_for(self, job: Descriptor) -> Tensor:
        """Words for the sums of a K in chunks: the same for all jobs, which have barriers."""
        if self._scratch is None or self._scratch.rows * self._scratch.cols < job.m * job.n:
            larger = self.empty(job.m, job.n, INT32)
            self.free(self._scratch)
            self._scratch = larger
        return Tensor(self._scratch.address, job.m, job.n, INT32)

    def _checked(self, job: Descriptor) -> Descriptor:
        """The job, if the core takes it."""
        most = self.config.max_dim
        for name in ("m", "n"):
            if getattr(job, name) > most:
                raise ValueError(f"{name} = {getattr(job, name)} is out of range: expected 1.."
                                 f"{most} on this core; cut the job into several")
        try:
            return decode(job.pack(), self.config)
        except CoreFault as fault:
            text = register_map().errors[fault.code.name][1]
            raise ValueError(f"the core refuses this job, {fault.code.name}: {text} "
                             "golden/refused.py has every rule") from None


def _turned(tensor: Tensor, transposed: bool) -> tuple[int, int]:
    """(M or N, K) of an operand."""
    rows, cols = tensor.rows, tensor.cols
    return (cols, rows) if transposed else (rows, cols)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.batch, tensor.rows, tensor.cols)[tensor.batch == 1:]


def _check_format(name: str, tensor: Tensor, among: tuple[Format | None, ...]) -> None:
    checks.as_instance(name, tensor, Tensor)
    if tensor.fmt not in among:
        found, *names = ("mask" if fmt is None else fmt.name for fmt in (tensor.fmt, *among))
        raise ValueError(f"{name} is {found}: expected {' or '.join(names)}")


def _expected(name: str, tensor: Tensor, among: tuple[Format | None, ...],
              shape: tuple[int, int]) -> Tensor:
    """The tensor, if it has the format and shape."""
    _check_format(name, tensor, among)
    if (tensor.rows, tensor.cols) != shape:
        raise ValueError(f"{name} of shape {_shape(tensor)}: expected {shape}")
    return tensor


def _places(name: str, tensor: Tensor) -> dict[str, Any]:
    """The members of a descriptor that say where a tensor lies; one without a batch serves all."""
    found = {f"{name}_address": tensor.address, f"{name}_stride": tensor.stride,
             f"{name}_batch_stride": tensor.batch_stride if tensor.batch > 1 else 0}
    return {key: value for key, value in found.items() if key in MEMBERS}


def _adapting(job: Descriptor, adapt: Adapt) -> Descriptor:
    """The job with the members that use or change the table of scales."""
    job = replace(
        job, adapt_enable=True, adapt_tensor=adapt.tensor, adapt_use=adapt.use,
        adapt_solve=adapt.solve is not None, adapt_mode=adapt.solve or 0,
        adapt_alpha=adapt.alpha, adapt_exponent=adapt.exponent, adapt_discard=adapt.discard)
    if (entry := adapt.preset) is None:
        return job
    return replace(
        job, adapt_preset=True, adapt_valid=entry.valid, adapt_frozen=entry.frozen,
        adapt_exponent=entry.exponent, multiplier=entry.scale.multiplier,
        shift=entry.scale.shift, zero_point=entry.zero_point)
