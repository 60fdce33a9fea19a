# SPDX-License-Identifier: Apache-2.0
"""`make bench`: every figure of speed and accuracy, to build/bench/summary.json.

Ratios are medians of pairs measured in turn in one process, so that a machine that slows down
slows both sides. The recipe of each figure is its function's docstring.
"""

import ctypes
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from driver.core_bench import utilization
from driver.descriptor import descriptor
from driver.verilated import DESCRIPTOR_BYTES, RtlBackend, build, build_model
from golden.config import VERSION, preset
from golden.engine import Job
from golden.formats import FP4_R4, INT4
from golden.gemm import exact_depth, gemm, mac_values
from tools.arguments import Parser
from tools.cache import ROOT
from tools.console import open_console
from tools.errors import ToolError
from tools.files import write_atomically
from tools.verilator import tool_versions
from train.core.bench import utilization as step_utilization
from train.digits.seeds import accuracy_over_seeds

T = TypeVar("T")
PRESET = "base"
PAIRS = 7
SEEDS = range(5)
GEMM_PAIRS = {512: 61, 1024: 31, 2048: 7}  # by M = N = K; short ones are noisier
AIMS = {"golden_gemm_vs_numpy": ">= 0.8", "binding_vs_cpp": ">= 0.8", "utilization_256": ">= 0.95",
        "model_build_s": "< 60", "accuracy_difference_points": "within 0.5",
        "torch_linear_vs_fp32": "<= 3"}
SQUARE = 256  # M = N = K of the figures on the RTL


def random_codes(rng, fmt, size: int) -> np.ndarray:
    """Uniform codes of a format, int8 (size, size)."""
    return rng.integers(fmt.lo, fmt.hi + 1, (size, size)).astype(np.int8)


def ratio(ours, theirs, pairs: int) -> float:
    """Median over the pairs of the time of `theirs` over that of `ours`, after one warm-up each."""
    ours(), theirs()
    return statistics.median(_seconds(theirs) / _seconds(ours) for _ in range(pairs))


def golden_gemm_vs_numpy() -> dict[str, float]:
    """Golden GEMM on int8 codes against numpy's matmul of the same shape, operands already in the
    narrowest exact float type, by mode and size; 1 is numpy's speed. One BLAS thread on both sides,
    so that other load on the machine disturbs both alike."""
    rng = np.random.default_rng(1)
    found = {}
    for b_fmt in (INT4, FP4_R4):
        for size, pairs in GEMM_PAIRS.items():
            a, b = random_codes(rng, INT4, size), random_codes(rng, b_fmt, size)
            dtype = np.float32 if size <= exact_depth(INT4, b_fmt) else np.float64
            x, y = mac_values(a, INT4, dtype), mac_values(b, b_fmt, dtype)
            with threadpool_limits(1):
                found[f"{b_fmt.name}_{size}"] = ratio(
                    lambda a=a, b=b, f=b_fmt: gemm(a, INT4, b, f), lambda x=x, y=y: x @ y.T, pairs)
    return found


def rtl_speed() -> dict:
    """The verilated `base` engine, M = N = K = 256: its binding against a bare C++ loop around the
    same model (cycles per second), utilisation and millions of MACs per second."""
    config, rng = preset(PRESET), np.random.default_rng(1)
    library = ctypes.CDLL(str(build(config)))
    library.bare_loop.restype = ctypes.c_double
    library.bare_loop.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    found: dict = {}
    with RtlBackend(config) as rtl:
        for b_fmt in (INT4, FP4_R4):
            job = Job.gemm(random_codes(rng, INT4, SQUARE), INT4, random_codes(rng, b_fmt, SQUARE),
                           b_fmt, phase=b_fmt.name)
            bits = descriptor(job, config).to_bytes(DESCRIPTOR_BYTES, "little")
            beats = job.macs // config.macs_per_cycle
            ratios, speeds = [], []
            for _ in range(PAIRS):
                bare = library.bare_loop(bits, beats)
                if not bare:
                    raise RuntimeError("the bare loop hung")
                before = rtl.cycles[b_fmt.name]
                seconds = _seconds(lambda job=job: rtl.run(job))
                cycles = rtl.cycles[b_fmt.name] - before
                ratios.append(bare / (seconds / cycles))
                speeds.append(job.macs / seconds / 1e6)
            found[b_fmt.name] = {
                "binding_vs_cpp": statistics.median(ratios),
                "utilization": job.macs / cycles / config.macs_per_cycle,
                "sim_mmac_per_s": statistics.median(speeds),
            }
    return found


def model_build_s() -> float:
    """Seconds to build the verilated `base` engine from its Verilog, nothing cached."""
    with tempfile.TemporaryDirectory(prefix="tetra-bench-") as folder:
        return _seconds(lambda: build_model(preset(PRESET), Path(folder)))


def accuracy() -> dict:
    """Test accuracy of `make run`'s network over 5 seeds, 4 bit (on the golden model, which has the
    RTL's bits) and FP32, and the difference of the means in points."""
    pairs = accuracy_over_seeds(list(SEEDS))
    four, full = (statistics.mean(p[i] for p in pairs) for i in (0, 1))
    return {"seeds": list(SEEDS), "pairs": pairs, "mean_4bit": four, "mean_fp32": full,
            "difference_points": 100 * (four - full)}


def torch_linear() -> dict[str, float]:
    """`train.pytorch.speed.linear_vs_fp32`; empty without PyTorch, which is optional."""
    if importlib.util.find_spec("torch") is None:
        return {}
    from train.pytorch.speed import linear_vs_fp32

    return linear_vs_fp32()


def core_utilization() -> dict[str, dict[str, dict[str, float]]]:
    """`driver.core_bench.utilization` of `base`: by size and phase of a layer's GEMMs."""
    return {size: {phase: each._asdict() for phase, each in phases.items()}
            for size, phases in utilization(preset(PRESET)).items()}


def main() -> int:
    Parser("make bench", __doc__).parse_args()
    console = open_console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            def shown(name: str, step: Callable[[], T]) -> T:
                task = progress.add_task(name, total=1)
                found = step()
                progress.update(task, completed=1)
                return found

            gemms = shown("golden GEMM against numpy", golden_gemm_vs_numpy)
            rtl = shown("verilated engine", rtl_speed)
            build_s = shown("model build", model_build_s)
            core = shown("verilated core", core_utilization)
            step = shown("steps on the verilated core", step_utilization)
            linear = shown("a linear layer in PyTorch", torch_linear)
            trained = shown("accuracy over seeds", accuracy)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    summary = {
        "golden_gemm_vs_numpy": min(gemms.values()),
        "binding_vs_cpp": min(mode["binding_vs_cpp"] for mode in rtl.values()),
        "utilization_256": min(mode["utilization"] for mode in rtl.values()),
        "model_build_s": build_s,
        "accuracy_difference_points": trained["difference_points"],
        "torch_linear_vs_fp32": max(linear.values(), default=None),  # None: no PyTorch here
        "core_utilization": {size: {phase: each["utilization"] for phase, each in phases.items()}
                             for size, phases in core.items()},
        "step_utilization": {name: each.utilization for name, each in step.items()},
        "step": {name: each._asdict() for name, each in step.items()},
        "core": core, "torch_linear": linear, "golden_gemm": gemms, "rtl": rtl, "accuracy": trained,
        "preset": PRESET,
        "pairs": {"gemm": GEMM_PAIRS, "rtl": PAIRS},
        "machine": {"cpus": len(os.sched_getaffinity(0)), "platform": platform.platform(),
                    "tools": tool_versions(), "numpy": np.__version__, "tetra": VERSION},
    }
    path = ROOT / "build" / "bench" / "summary.json"
    write_atomically(path, (json.dumps(summary, indent=2) + "\n").encode())
    for name, aim in AIMS.items():
        shown_as = "no PyTorch" if summary[name] is None else f"{summary[name]:8.3f}"
        print(f"{name:28} {shown_as:>10}   aim {aim}")
    for size, phases in summary["core_utilization"].items():
        for phase, found in phases.items():
            print(f"{f'core_utilization {size} {phase}':28} {found:>10.3f}")
    for name, busy in summary["step_utilization"].items():
        print(f"{f'step_utilization {name}':28} {busy:>10.3f}")
    print(f"all figures: {path.relative_to(ROOT)}")
    return 0


def _seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
