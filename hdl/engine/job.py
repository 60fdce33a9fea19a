# SPDX-License-Identifier: Apache-2.0
"""The engine's job descriptor, and which descriptors it refuses."""

from amaranth.hdl import Cat

from golden.adaptive import Use
from golden.config import Config
from golden.engine import Op
from golden.gradscale import GradScale
from golden.solver import SolveMode
from hdl.layouts import (
    A_SIGNED,
    B_FORMAT,
    RESCALE_LAYOUT,
    BFormat,
    Field,
    OutFormat,
    Payload,
)
from hdl.scales.layouts import ADAPT_LAYOUT


def job_layout(config: Config) -> Payload:
    """The job descriptor."""
    return Payload({
        "op": Field(Op, "GEMM: a times b, rescaled; QUANTISE: the stream x, rescaled; TABLE: no "
                        "data, only the table of scales changes"),
        "m": Field(config.dim_width, "rows of the result, from 1", "GEMM, QUANTISE"),
        "n": Field(config.dim_width, "columns of the result, from 1", "GEMM, QUANTISE"),
        "k": Field(config.dim_width, "products per sum, from 1", "GEMM"),
        "a_signed": A_SIGNED._replace(read_by="GEMM"),
        "b_format": B_FORMAT._replace(read_by="GEMM"),
        "bias": Field(1, "1: the bias stream is read, one beat per block", "GEMM, QUANTISE"),
        "mask": Field(1, "1: the mask stream is read, one beat per row", "GEMM, QUANTISE"),
        "params": Field(RESCALE_LAYOUT, "how results are scaled and rounded; scale and zero point "
                        "are the entry's own where adapt.preset writes them"),
        "adapt": Field(ADAPT_LAYOUT, "how the job uses and changes the table of scales"),
        "strips": Field(1, f"1: blocks are computed strip by strip, {config.strip} columns each, "
                           "in a strip row by row; 0: row by row over all columns",
                        "GEMM, QUANTISE"),
    })


FLAGS_LAYOUT = Payload({
    "overflow": Field(1, "sticky: a sum did not fit the accumulator: K was beyond max_k"),
    "bias_saturated": Field(1, "sticky: some accumulator + bias left 32 bits"),
    "bad_job": Field(1, "sticky: a descriptor was refused; it gives no results and no report"),
})


def refused(job, config: Config):
    """Whether a descriptor cannot be run: a zero dimension, an unknown operation, format, radix or
    rounding, or a use of the table of scales that does not exist (`misuses_table`)."""
    formats = {BFormat.of(fmt) for fmt in config.log_formats} | {BFormat.INT4}
    outputs = {f for f in OutFormat if not f.name.startswith("FP4")}
    outputs |= {OutFormat[fmt.name] for fmt in config.log_formats}
    known_b = _one_of(job.b_format, formats)
    sized = (job.m != 0) & (job.n != 0) & _one_of(job.params.format, outputs)
    if not config.stochastic:
        sized &= ~job.params.stochastic
    table = (job.op == Op.TABLE) & job.adapt.enable
    quantise = (job.op == Op.QUANTISE) & sized
    gemm = (job.op == Op.GEMM) & sized & (job.k != 0) & known_b
    return ~(gemm | quantise | table) | (job.adapt.enable & misuses_table(job, config))


def misuses_table(job, config: Config):
    """Whether a job that names a tensor asks for what `golden.adaptive.Adapt` and `Job` refuse: an
    unknown tensor, use or solve; a preset beside a solve or data, or with an exponent from which
    the solver could not keep within its limit; a use or a discard without data; a discard of
    accumulators. Without `adapt.enable` nothing of `adapt` is read."""
    adapt, exponent = job.adapt, job.adapt.exponent
    dataless = job.op == Op.TABLE
    bad_solve = adapt.solve & (~_one_of(adapt.mode, SolveMode) | adapt.preset)
    beyond = (exponent < -GradScale.LIMIT) | (exponent > GradScale.LIMIT)
    return ((adapt.tensor >= config.tensors)
            | ~_one_of(adapt.use, Use)
            | bad_solve
            | (adapt.preset & (~dataless | beyond))
            | (dataless & (adapt.use != Use.NOTHING))
            | (adapt.discard & (job.op != Op.QUANTISE)))


def _one_of(field, members):
    """Whether a field of an enum's shape holds one of these members."""
    return Cat(field == member for member in sorted(members, key=lambda f: f.value)).any()
