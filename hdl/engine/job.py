# SPDX-License-Identifier: Apache-2.0
"""The engine's job descriptor, and which descriptors it refuses."""

from amaranth.hdl import Cat
from amaranth.lib import data

from golden.adaptive import Use
from golden.config import Config
from golden.engine import Op
from golden.gradscale import GradScale
from golden.solver import SolveMode
from hdl.layouts import RESCALE_LAYOUT, BFormat, OutFormat
from hdl.scales.layouts import ADAPT_LAYOUT


def job_layout(config: Config) -> data.StructLayout:
    """The job descriptor."""
    return data.StructLayout({
        "op": Op,
        "m": config.dim_width,
        "n": config.dim_width,
        "k": config.dim_width,  # not read when quantising
        "a_signed": 1,
        "b_format": BFormat,
        "bias": 1,  # the bias stream is read, one beat per block
        "mask": 1,  # the mask stream is read, one beat per row
        "params": RESCALE_LAYOUT,
        "adapt": ADAPT_LAYOUT,
    })


FLAGS_LAYOUT = data.StructLayout({
    "overflow": 1,  # a result is not its sum: K is beyond `max_k`
    "bias_saturated": 1,  # some acc + bias left 32 bits
    "bad_job": 1,  # a descriptor was refused
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
