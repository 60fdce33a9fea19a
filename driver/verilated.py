# SPDX-License-Identifier: Apache-2.0
"""The verilated engine as a Python object: whole matrices in and out, never a cycle at a time.


A C++ harness (`engine_harness.cpp`) around the Verilated model is compiled once per configuration,
cached by content, and called through ctypes.
"""

import ctypes
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from driver.descriptor import descriptor, unpack_report, unpack_results
from golden.config import Config
from golden.engine import Job
from golden.rescale import Rescaled
from hdl.emit.verilog import verilog_file
from hdl.engine.job import FLAGS_LAYOUT
from hdl.layouts import result_layout, tag_layout
from hdl.scales.adaptive import REPORT_LAYOUT
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
CPP = [ROOT / "driver" / name for name in ("engine_harness.cpp", "bare_loop.cpp")]
LIBRARY = "libengine_model.so"
DESCRIPTOR_BYTES = 64
OUTCOMES = {
    1: "the engine hung: no handshake for 100,000 cycles",
    2: "the engine tagged a result row wrongly (keep or last)",
    3: "the engine left an operand untaken",
    4: "the engine refused the descriptor (bad_job)",
}


class _Matrix(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("row", ctypes.c_int64), ("col", ctypes.c_int64)]

    @classmethod
    def of(cls, array: np.ndarray | None) -> "_Matrix":
        if array is None:
            return cls(None, 0, 0)
        row, col = array.strides if array.ndim == 2 else (0, array.strides[0])
        return cls(array.ctypes.data, row, col)


class _Job(ctypes.Structure):
    _fields_ = [
        ("m", ctypes.c_int64), ("n", ctypes.c_int64), ("k", ctypes.c_int64),
        ("a", _Matrix), ("b", _Matrix), ("x", _Matrix), ("bias", _Matrix), ("mask", _Matrix),
        ("descriptor", ctypes.c_uint8 * DESCRIPTOR_BYTES),
        ("data", ctypes.c_void_p), ("clip_mask", ctypes.c_void_p),
        ("report", ctypes.c_void_p), ("discard", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64), ("flags", ctypes.c_uint32),
        ("trace", ctypes.c_uint32), ("stall", ctypes.c_uint32), ("seed", ctypes.c_uint64),
    ]


def build(config: Config, *, trace: bool = False) -> Path:
    """The shared library of the engine in this configuration, built unless it is cached.

    `trace` adds FST waveforms (slower). ToolError if a tool is missing or fails.
    """
    key = model_key(verilog_file(config, TOP), *(path.read_bytes() for path in CPP),
                    *_options(config, trace))
    make = partial(build_model, config, trace=trace)
    return cached("engine", key, [LIBRARY], make) / LIBRARY


def build_model(config: Config, folder: Path, *, trace: bool = False) -> None:
    """Build the shared library in `folder`, whatever is cached."""
    if trace:
        check_fst_headers()
    verilog = verilog_file(config, TOP)
    run([str(verilator_bin() / "verilator"), *_options(config, trace), str(CONTROL), str(verilog),
         *map(str, CPP), "-Mdir", ".", "--build", "-j", "0"], folder,
        "building the verilated engine")
    for header in folder.glob("*.gch"):
        header.unlink()  # precompiled headers: 140 MB that nobody reads again


def _options(config: Config, trace: bool) -> list[str]:
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
        *OPTIONS, "-MAKEFLAGS", f"{make_flags()} OPT_FAST={'-O1' if trace else '-O3'} OPT_SLOW=-O0",
        *(["--trace-fst"] if trace else []), "-CFLAGS",
        " ".join(["-fPIC", *(f"-D{name}={value}" for name, value in macros.items())]),
    ]


class RtlBackend:
    """Runs jobs on the verilated engine (see `golden.engine.Backend`).

    Parameters
    ----------
    config : the configuration to build.
    trace : None, or (file, first job, number of jobs) of an FST waveform to write.
    stall : every stream idles in `stall` of 256 cycles, for tests. seed : of those idle cycles.

    Members
    -------
    cycles : Counter by phase. jobs : jobs run. seconds : host time spent simulating.
    """

    def __init__(self, config: Config, *, trace: tuple[Path, int, int] | None = None,
                 stall: int = 0, seed: int = 1):
        self._engine = None
        if not 0 <= stall < 256:
            raise ValueError(f"stall = {stall!r} is out of range: expected 0..255 of 256 cycles")
        self.config = config
        self.stall, self.seed = stall, seed
        self.cycles: Counter[str] = Counter()
        self.jobs, self.seconds = 0, 0.0
        library = ctypes.CDLL(str(build(config, trace=trace is not None)))
        library.engine_new.restype = ctypes.c_void_p
        library.engine_new.argtypes = [ctypes.c_char_p]
        library.engine_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Job)]
        library.engine_delete.argtypes = [ctypes.c_void_p]
        self._library = library
        file, first, count = trace or (None, 0, 0)
        self._traced = range(first, first + count)
        self._engine = library.engine_new(str(file).encode() if file else None)

    def run(self, job: Job) -> Rescaled:
        """The job's results; ValueError if it does not fit, RuntimeError if the RTL misbehaves."""
        job.check(self.config)
        if self._engine is None:
            raise RuntimeError("the engine is closed: make a new RtlBackend")
        m, n, k = job.shape
        if job.adapt is not None and job.adapt.discard:
            words = np.empty((0, 0), np.int32)
        else:
            words = np.empty((m, n), np.int32)
        clip_mask = np.empty(words.shape, np.uint8)
        report = np.empty(-(-REPORT_LAYOUT.size // 64), np.uint64)
        operands = {  # kept alive while the harness reads them
            "a": _nibbles(job.a), "b": _nibbles(job.b), "x": job.x, "bias": job.bias,
            "mask": None if job.mask is None else job.mask.view(np.uint8),
        }
        call = _Job(m=m, n=n, k=k, data=words.ctypes.data, clip_mask=clip_mask.ctypes.data,
                    trace=self.jobs in self._traced, stall=self.stall,
                    seed=self.seed + 2 * self.jobs)
        for name, array in operands.items():
            setattr(call, name, _Matrix.of(array))
        call.descriptor[:] = descriptor(job, self.config).to_bytes(DESCRIPTOR_BYTES, "little")
        call.report = report.ctypes.data if job.adapt is not None else None
        call.discard = int(words.size == 0)
        start = time.perf_counter()
        outcome = self._library.engine_run(self._engine, ctypes.byref(call))
        self.seconds += time.perf_counter() - start
        if outcome:
            raise RuntimeError(f"{OUTCOMES[outcome]}, in a {job.phase} job of M, N, K = {m, n, k}")
        self.jobs += 1
        self.cycles[job.phase] += call.cycles
        flags = FLAGS_LAYOUT.from_bits(call.flags)
        if flags.overflow:
            raise RuntimeError(f"an accumulator overflowed in a job of M, N, K = {m, n, k}")
        found = Rescaled(np.zeros((0, 0), np.int8)) if not words.size else (
            unpack_results(words, clip_mask, job.then.fmt))
        if job.adapt is not None:
            bits = int.from_bytes(report.tobytes(), "little") & ((1 << REPORT_LAYOUT.size) - 1)
            found = replace(found, report=unpack_report(bits))
        return replace(found, bias_saturated=bool(flags["bias_saturated"]))

    def close(self) -> None:
        """End the simulation and complete the waveform, if any."""
        if self._engine is not None:
            self._library.engine_delete(self._engine)
            self._engine = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    __del__ = close


def _nibbles(codes):
    """Codes as bytes; the harness reads the low nibble through the array's strides."""
    if codes is None or codes.dtype.itemsize == 1:
        return codes
    return codes.astype(np.int8)
