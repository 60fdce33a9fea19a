# SPDX-License-Identifier: Apache-2.0
"""Operands of a short training run."""

from dataclasses import replace
from functools import cache

from synth.energy import operands
from synth.energy.operands import Gemm


@cache
def short() -> dict[str, Gemm]:
    """By phase; three epochs instead of twenty, of which the second is recorded."""
    jobs, twin = operands.record(replace(operands.SCHEDULE, epochs=3), 1)
    return {phase: Gemm(job.a, job.a_fmt, job.b, job.b_fmt, *twin[phase], phase != "fprop")
            for phase, job in jobs.items()}
