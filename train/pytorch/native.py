# SPDX-License-Identifier: Apache-2.0
"""What rounds, compiled: `rounding.cpp` by the C++ compiler for a CPU, by nvcc for NVIDIA's GPUs.

The torch kernels say what it computes and take its place where there is no compiler.
"""

import ctypes
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path

import torch

from golden.config import Config
from golden.formats import Format, IntFormat, LogFormat, Phase
from golden.random_words import COARSE_BITS, CONSTANT, ROTATIONS, ROUNDS, WORD_BITS
from tools.cache import cached, digest
from tools.errors import ToolError
from tools.verilator import compiler
from train.pytorch import kernels

SOURCE = Path(__file__).with_name("rounding.cpp")
LIBRARY = "rounding.so"
DEFINES = [f"-D{name}={value}" for name, value in (
    ("ROUNDS", ROUNDS), *((f"ROTATION_{i}", places) for i, places in enumerate(ROTATIONS)),
    ("CONSTANT", f"{CONSTANT}u"), ("WORD_BITS", WORD_BITS), ("COARSE_BITS", COARSE_BITS),
    ("LEVELS", LogFormat.LEVELS))]
CPU = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread", "-ffp-contract=off",
       "-fno-math-errno", "-fno-trapping-math"]
GPU = ["-O3", "-arch=native", "-std=c++17", "-shared", "-Xcompiler", "-fPIC", "--fmad=false"]


class _How(ctypes.Structure):
    """As in rounding.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "columns", "row_stride")),
        ("seed", ctypes.c_uint32),
        *((name, ctypes.c_int32) for name in ("tile_rows", "log2_lanes", "lo", "hi", "log2_radix",
                                              "lowest")),
        ("bits", ctypes.c_double), ("scale", ctypes.c_double)]


@cache
def library(device: str) -> ctypes.CDLL | None:
    """The compiled rounding for tensors of a type of device; None where nothing compiles it."""
    program, flags = {"cpu": (compiler(), CPU), "cuda": ("nvcc", GPU)}.get(device, ("", []))
    if not shutil.which(program):
        return None
    command = [program, *flags, *DEFINES, "-x", "cu" if device == "cuda" else "c++", str(SOURCE)]
    versions = [_output([program, "--version"]), _target(program, device)]
    try:
        folder = cached("rounding", digest(SOURCE.read_bytes(), *command, *versions), [LIBRARY],
                        lambda folder: _compile([*command, "-o", str(folder / LIBRARY)]))
    except ToolError as error:
        warnings.warn(f"torch's own operations round, many times slower: {error}", stacklevel=2)
        return None
    return ctypes.CDLL(str(folder / LIBRARY))


def has(fmt: object) -> bool:
    """Whether `round_piece` takes this format."""
    return isinstance(fmt, IntFormat | LogFormat)


def round_piece(x: torch.Tensor, fmt: Format, phase: Phase, bits: int, scale: torch.Tensor,
                seed: int | None, config: Config, values: torch.Tensor,
                inside: torch.Tensor | None) -> None:
    """Round a job's tensor, or a job per row where each has its scale, into `values` and, of an
    integer format, `inside`.

    Parameters
    ----------
    x : float32 (rows, columns), its columns side by side; the results lie as it does.
    bits, scale, phase, seed : as of an Encoding; the seed is row 0's. config : of the core.
    """
    assert x.stride() == values.stride() and x.stride(1) == 1
    log = (0, 0)
    if isinstance(fmt, LogFormat):
        log = fmt.log2_radix, kernels.lowest_level(fmt, phase)
    how = _How(*x.shape, x.stride(0), seed or 0, config.rows, config.cols.bit_length() - 1,
               fmt.lo, fmt.hi, *log, 2.0**bits, 0.0 if scale.ndim else scale.item())
    scales = scale.contiguous() if scale.ndim else None
    loaded = library(x.device.type)
    assert loaded is not None
    loaded.tetra_round(
        ctypes.byref(how), *(ctypes.c_void_p(None if each is None else each.data_ptr())
                             for each in (x, scales, values, inside)),
        int(seed is not None), scale.ndim, torch.get_num_threads(), _stream(x.device))


def random_words(seed: int, first: int, rows: int, lanes: int, device: torch.device,
                 ) -> torch.Tensor:
    """Words of all lanes, an even number, of so many rows from `first`, int32 (rows, lanes)."""
    loaded = library(device.type)
    if loaded is None:
        turns = torch.arange(first, first + rows, device=device)
        seeds = kernels.as_int32(torch.full_like(turns, seed))
        return kernels.random_words(seeds, kernels.as_int32(turns), lanes)
    words = torch.empty(rows, lanes, dtype=torch.int32, device=device)
    loaded.tetra_words(*(ctypes.c_uint32(number) for number in (seed, first, rows, lanes)),
                       ctypes.c_void_p(words.data_ptr()), _stream(device))
    return words


def _stream(device: torch.device) -> ctypes.c_void_p:
    on_gpu = device.type == "cuda"
    return ctypes.c_void_p(torch.cuda.current_stream(device).cuda_stream if on_gpu else 0)


def _target(program: str, device: str) -> str:
    """What `native` stands for on this machine."""
    if device == "cuda":
        return str(torch.cuda.get_device_capability())
    return _output([program, "-march=native", "-Q", "--help=target"])


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
