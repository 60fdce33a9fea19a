# SPDX-License-Identifier: Apache-2.0
"""Jobs as the bits of the descriptor, and results and reports as the golden model has them."""

import numpy as np

from golden.adaptive import Adapt, Entry, Report
from golden.checks import as_instance, as_integer
from golden.config import Config
from golden.dyadic import Dyadic
from golden.engine import Job
from golden.formats import FP4_R4, INT4, INT32, IntFormat, LogFormat
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
from golden.statistics import Statistics
from hdl.engine.job import job_layout
from hdl.layouts import BFormat
from hdl.packing import Packing, packing
from hdl.scales.layouts import REPORT_LAYOUT

REPORT = Packing(REPORT_LAYOUT)


def descriptor(job: Job, config: Config) -> int:
    """The job as the bits of `job_layout`; ValueError for what is no job or no configuration."""
    as_instance("job", job, Job)
    as_instance("config", config, Config)
    m, n, k = job.shape
    preset = job.adapt.preset if job.adapt else None
    then = job.then if preset is None else Rescale(INT4, preset.scale, preset.zero_point)
    return packing(job_layout, config).pack({
        "op": job.op,
        "m": m, "n": n, "k": k,
        "a_signed": int(job.operands is not None and job.operands.a_fmt.signed),
        "b_format": BFormat.of(INT4 if job.operands is None else job.operands.b_fmt),
        "bias": int(job.bias is not None),
        "mask": int(job.mask is not None),
        "strips": int(job.strips),
        "params": {
            "format": then.fmt.encoding,
            "multiplier": then.scale.multiplier,
            "shift": then.scale.shift,
            "zero_point": then.zero_point,
            "stochastic": int(then.seed is not None),
            "seed": then.seed or 0,
        },
        "adapt": _adapt_fields(job.adapt),
    })


def _adapt_fields(adapt: Adapt | None) -> dict:
    if adapt is None:
        return {}
    entry = adapt.preset or Entry(exponent=0)
    return {
        "enable": 1,
        "tensor": adapt.tensor,
        "use": adapt.use,
        "solve": int(adapt.solve is not None),
        "mode": adapt.solve or SolveMode.RANGE,
        "alpha": adapt.alpha,
        "exponent": entry.exponent if adapt.preset else adapt.exponent,
        "preset": int(adapt.preset is not None),
        "valid": int(entry.valid),
        "frozen": int(entry.frozen),
        "discard": int(adapt.discard),
    }


def unpack_report(bits: int) -> Report:
    """A payload of `REPORT_LAYOUT` as the golden model's `Report`; ValueError if it is none."""
    report = REPORT.unpack(as_integer("bits", bits, 0, (1 << REPORT.width) - 1))
    applied, entry = report["applied"], report["entry"]
    scale = entry["scale"]
    return Report(
        Statistics(**report["statistics"]),
        Dyadic(applied["multiplier"], applied["shift"]), applied["zero_point"],
        Entry(Dyadic(scale["multiplier"], scale["shift"]), scale["zero_point"],
              entry["exponent"], bool(entry["valid"]), bool(entry["frozen"])),
        bool(report["unset"]), bool(report["clipped"]),
        **{name: bool(flag) for name, flag in report["flags"].items()},
    )


def unpack_results(words: np.ndarray, clip_mask: np.ndarray, fmt) -> Rescaled:
    """Result words (int32) and clip mask bits of the hardware as the golden model's `Rescaled`."""
    if fmt == INT32:
        return Rescaled(words)
    low = (words & 15).astype(np.int8)
    if isinstance(fmt, LogFormat):
        return Rescaled(low, odd=(words >> 4 & 15).astype(np.int8) if fmt == FP4_R4 else None)
    if isinstance(fmt, IntFormat) and fmt.signed:
        low = ((low ^ 8) - 8).astype(np.int8)
    return Rescaled(low, mask=clip_mask.astype(bool))
