# SPDX-License-Identifier: Apache-2.0
"""The verilated engine as a Python object: whole matrices in and out, never a cycle at a time.

A C++ harness (`engine_harness.cpp`) around the Verilated model is compiled once per configuration,
cached by content, and called through ctypes.
"""

import ctypes
import os
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from driver.descriptor import descriptor, unpack_report, unpack_results
from golden.checks import as_instance, as_integer, shown
from golden.config import Config
from golden.engine import Job
from golden.gemm import check_operands
from golden.rescale import Rescaled, as_mask
from hdl.emit.verilog import verilog_file
from hdl.engine.job import FLAGS_LAYOUT
from hdl.layouts import result_layout, tag_layout
from hdl.scales.layouts import REPORT_LAYOUT
from tools.cache import ROOT, cached
from tools.verilator import (
    CONTROL,
    OPTIONS,
    check_fst_headers,
    make_flags,
    model_key,
    run,
    verilator_bin,
)

TOP = "tetra_engine"
CPP = [ROOT / "driver" / name for name in (
    "engine_harness.cpp", "bare_loop.cpp", "back_to_back.cpp")]
LIBRARY = "libengine_model.so"
DESCRIPTOR_BYTES = 64
OUTCOMES = {
    1: "the engine hung: no handshake for 100,000 cycles",
    2: "the engine tagged a result row wrongly (keep or last)",
    3: "the engine left an operand untaken",
    4: "the engine refused the descriptor (bad_job)",
}
NO_MEMORY = 5  # the harness could not pack the operands; the engine saw nothing of the job


class _Matrix(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("row", ctypes.c_int64), ("col", ctypes.c_int64)]

    @classmethod
    def of(cls, name: str, array: np.ndarray | None, shape: tuple[int, ...],
           dtype: type[np.generic]) -> "_Matrix":
        """Where the harness reads the operand; it reads `shape` elements, and they are there."""
        if array is None:
            return cls(None, 0, 0)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape}: expected {dtype.__name__} of "
                f"shape {shape}; the job was changed after it was made, use dataclasses.replace")
        row, col = array.strides if array.ndim == 2 else (0, array.strides[0])
        return cls(array.ctypes.data, row, col)


class _Job(ctypes.Structure):
    _fields_ = [
        ("m", ctypes.c_int64), ("n", ctypes.c_int64), ("k", ctypes.c_int64),
        ("strip", ctypes.c_int64),  # columns that are computed before the next ones
        ("a", _Matrix), ("b", _Matrix), ("x", _Matrix), ("bias", _Matrix), ("mask", _Matrix),
        ("descriptor", ctypes.c_uint8 * DESCRIPTOR_BYTES),
        ("data", ctypes.c_void_p), ("clip_mask", ctypes.c_void_p),
        ("report", ctypes.c_void_p), ("discard", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64), ("flags", ctypes.c_uint32),
        ("trace", ctypes.c_uint32), ("stall", ctypes.c_uint32), ("seed", ctypes.c_uint64),
    ]


def build(config: Config, *, trace: bool = False, few_jobs: bool = False) -> Path:
    """The shared library of the engine in this configuration, built unless it is cached.

    `trace` adds FST waveforms (slower). `few_jobs` compiles in a fraction of the time what then
    runs slower. ToolError if a tool is missing or fails, ValueError for what is no Config.
    """
    as_instance("config", config, Config)
    key = model_key(verilog_file(config, TOP), *(path.read_bytes() for path in CPP),
                    *_options(config, trace, few_jobs))
    make = partial(build_model, config, trace=trace, few_jobs=few_jobs)
    return cached("engine", key, [LIBRARY], make) / LIBRARY


def build_model(config: Config, folder: Path, *, trace: bool = False,
                few_jobs: bool = False) -> None:
    """Build the shared library in `folder`, whatever is cached."""
    if trace:
        check_fst_headers()
    verilog = verilog_file(config, TOP)
    run([str(verilator_bin() / "verilator"), *_options(config, trace, few_jobs), str(CONTROL),
         str(verilog), *map(str, CPP), "-Mdir", ".", "--build", "-j", "0"], folder,
        "building the verilated engine")
    for header in folder.glob("*.gch"):
        header.unlink()  # precompiled headers: 140 MB that nobody reads again


def _options(config: Config, trace: bool, few_jobs: bool) -> list[str]:
    level = "-O0" if few_jobs else "-O1" if trace else "-O3"
    layout, tag = result_layout(config), tag_layout(config)
    macros = {
        "ROWS": config.rows, "COLS": config.cols, "LANES": config.lanes,
        "RESULT_MASK": layout["mask"].offset,
        "RESULT_KEEP": layout["tag"].offset + tag["keep"].offset,
        "RESULT_LAST": layout["tag"].offset + tag["last"].offset,
        "FLAG_BAD_JOB": 1 << FLAGS_LAYOUT["bad_job"].offset,
    }
    return [
        "--cc", "--lib-create", "engine_model", "--prefix", "Vmodel", "--top-module", TOP,
        *OPTIONS, "-MAKEFLAGS", f"{make_flags()} OPT_FAST={level} OPT_SLOW=-O0",
        *(["--trace-fst"] if trace else []),
        # without optimising, to parse the headers anew takes longer than to compile most files
        *(["--output-split", "0"] if few_jobs else []), "-CFLAGS",
        " ".join(["-fPIC", *(f"-D{name}={value}" for name, value in macros.items())]),
    ]


class RtlBackend:
    """Runs jobs on the verilated engine (see `golden.engine.Backend`).

    Parameters
    ----------
    config : the configuration to build.
    trace : None, or (file, first job, number of jobs) of an FST waveform to write.
    stall : every stream idles in `stall` of 256 cycles, for tests. seed : of those idle cycles.
    few_jobs : rather compile quickly than run fast.

    Members
    -------
    config : as given, read-only.
    stall, seed : may be set; ValueError out of their ranges.
    cycles : Counter by phase. jobs : jobs run. seconds : host time spent simulating. Read-only.

    Threads: jobs of several threads run one after the other, and `close` waits for the one that
    runs; two backends are independent and run in parallel. A backend cannot be copied or pickled.

    Errors: ValueError (what is no job, or does not fit, or holds operands that somebody changed to
    what are no codes) and MemoryError leave the engine as it was. Whatever else a run
    raises (RuntimeError where the RTL misbehaves, an interrupt) loses the table of scales: jobs
    that adapt then raise RuntimeError until `reset`, others run on.
    """

    def __init__(self, config: Config, *, trace: tuple[Path, int, int] | None = None,
                 stall: int = 0, seed: int = 1, few_jobs: bool = False):
        self._engine = None
        self._lock = threading.Lock()
        self._lost = False  # the table of scales, by a job that failed
        self._config = as_instance("config", config, Config)
        self.stall, self.seed = stall, seed
        self._cycles: Counter[str] = Counter()
        self._jobs, self._seconds = 0, 0.0
        file, self._traced = _window(trace)
        if file is not None:
            Path(file).write_bytes(b"")  # an OSError now: the harness could not raise one
        library = ctypes.CDLL(str(build(config, trace=trace is not None, few_jobs=few_jobs)))
        library.engine_new.restype = ctypes.c_void_p
        library.engine_new.argtypes = [ctypes.c_char_p]
        library.engine_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Job)]
        library.engine_delete.argtypes = [ctypes.c_void_p]
        library.engine_reset.argtypes = [ctypes.c_void_p]
        self._library = library
        self._engine = library.engine_new(None if file is None else os.fsencode(file))

    @property
    def config(self) -> Config:
        return self._config

    @property
    def stall(self) -> int:
        return self._stall

    @stall.setter
    def stall(self, value: int) -> None:
        self._stall = as_integer("stall", value, 0, 255, "so many of 256 cycles idle")

    @property
    def seed(self) -> int:
        return self._seed

    @seed.setter
    def seed(self, value: int) -> None:
        self._seed = as_integer("seed", value, 0, 2**32 - 1)

    @property
    def cycles(self) -> Counter[str]:
        return self._cycles

    @property
    def jobs(self) -> int:
        return self._jobs

    @property
    def seconds(self) -> float:
        return self._seconds

    def run(self, job: Job) -> Rescaled:
        """The job's results; ValueError if it does not fit, RuntimeError if the RTL misbehaves."""
        as_instance("job", job, Job).check(self.config)
        with self._lock:
            self._check_open()
            if self._lost and job.adapt is not None:
                raise RuntimeError(
                    "the table of scales was lost when an earlier job failed: call reset(), which "
                    "unsets every entry, then preset or solve those that are needed")
            return self._run(job)

    def reset(self) -> None:
        """Unset every entry of the table of scales, one that was lost included."""
        with self._lock:
            self._check_open()
            self._library.engine_reset(self._engine)
            self._lost = False

    def _check_open(self) -> None:
        if self._engine is None:
            raise RuntimeError("the engine is closed: make a new RtlBackend")

    def _run(self, job: Job) -> Rescaled:
        m, n, k = job.shape
        if job.operands is not None:  # the caller's arrays may have changed since the job was made
            check_operands(*job.operands)
        if job.adapt is not None and job.adapt.discard:
            words = np.empty((0, 0), np.int32)
        else:
            words = np.empty((m, n), np.int32)
        clip_mask = np.empty(words.shape, np.uint8)
        report = np.empty(-(-REPORT_LAYOUT.size // 64), np.uint64)
        a, b, x, bias, mask = job.a, job.b, job.x, job.bias, job.mask  # kept alive while read
        call = _Job(m=m, n=n, k=k, strip=self.config.strip if job.strips else max(n, 1),
                    data=words.ctypes.data, clip_mask=clip_mask.ctypes.data,
                    trace=self._jobs in self._traced, stall=self.stall,
                    seed=self.seed + 2 * self.jobs)
        call.a = _Matrix.of("a", a, (m, k), np.int8)
        call.b = _Matrix.of("b", b, (n, k), np.int8)
        call.x = _Matrix.of("x", x, (m, n), np.int32)
        call.bias = _Matrix.of("bias", bias, (n,), np.int32)
        call.mask = _Matrix.of("mask", mask, (m, n), np.bool_)
        if mask is not None:  # the harness reads one bit of a byte, numpy may write others
            mask = as_mask(mask, (m, n))
            call.mask = _Matrix.of("mask", mask, (m, n), np.bool_)
        call.descriptor[:] = descriptor(job, self.config).to_bytes(DESCRIPTOR_BYTES, "little")
        call.report = report.ctypes.data if job.adapt is not None else None
        call.discard = int(words.size == 0)
        lost, self._lost = self._lost, True  # until the job is known to have gone well
        start = time.perf_counter()
        outcome = self._library.engine_run(self._engine, ctypes.byref(call))
        self._seconds += time.perf_counter() - start
        if outcome == NO_MEMORY:
            self._lost = lost
            raise MemoryError(f"no memory to pack the operands of M, N, K = {m, n, k}; split them")
        if outcome:
            raise RuntimeError(f"{OUTCOMES[outcome]}, in a {job.phase} job of M, N, K = {m, n, k}")
        self._jobs += 1
        self.cycles[job.phase] += call.cycles
        flags = FLAGS_LAYOUT.from_bits(call.flags)
        if flags.overflow:
            raise RuntimeError(f"an accumulator overflowed in a job of M, N, K = {m, n, k}")
        found = Rescaled.nothing() if not words.size else (
            unpack_results(words, clip_mask, job.then.fmt))
        if job.adapt is not None:
            bits = int.from_bytes(report.tobytes(), "little") & ((1 << REPORT_LAYOUT.size) - 1)
            try:
                found = replace(found, report=unpack_report(bits))
            except ValueError as error:
                raise RuntimeError(f"the engine's report is none: {error}") from error
        self._lost = lost
        return replace(found, bias_saturated=bool(flags["bias_saturated"]))

    def close(self) -> None:
        """End the simulation and complete the waveform, if any."""
        with self._lock:
            if self._engine is not None:
                self._library.engine_delete(self._engine)
                self._engine = None

    def __enter__(self) -> "RtlBackend":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    __del__ = close

    def __reduce_ex__(self, protocol):  # what copy, deepcopy and pickle ask
        raise TypeError("an RtlBackend cannot be copied or pickled: it owns a simulation in this "
                        "process; make another one with RtlBackend(config)")


def _window(trace) -> tuple[Any, range]:
    """The waveform's file, or None, and the numbers of the jobs that go there."""
    if trace is None:
        return None, range(0)
    if not isinstance(trace, tuple) or len(trace) != 3:
        raise ValueError(f"trace = {shown(trace)}: expected None or (file, first job, number of "
                         "jobs)")
    file, first, count = trace
    if not isinstance(file, str | os.PathLike):
        raise ValueError(f"file of the trace = {shown(file)}: expected a path")
    first = as_integer("first job of the trace", first, 0)
    return file, range(first, first + as_integer("jobs in the trace", count, 0))
