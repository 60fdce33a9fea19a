# SPDX-License-Identifier: Apache-2.0
"""The engine's job descriptor, and which descriptors it refuses."""

from amaranth.hdl import Cat
from amaranth.lib import data

from golden.config import Config
from golden.engine import Op
from hdl.layouts import RESCALE_LAYOUT, BFormat, OutFormat
from hdl.scales.adaptive import ADAPT_LAYOUT


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
    "overflow": 1,  # an accumulator left its width
    "bias_saturated": 1,  # some acc + bias left 32 bits
    "bad_job": 1,  # a descriptor was refused
})


def refused(job, config: Config):
    """Whether a descriptor cannot be run: a zero dimension, an unknown operation, format, radix,
    rounding or tensor."""
    formats = {BFormat.of(fmt) for fmt in config.log_formats} | {BFormat.INT4}
    outputs = {f for f in OutFormat if not f.name.startswith("FP4")}
    outputs |= {OutFormat[fmt.name] for fmt in config.log_formats}
    known_b = Cat(job.b_format == f for f in sorted(formats, key=lambda f: f.value)).any()
    known_out = Cat(job.params.format == f for f in sorted(outputs, key=lambda f: f.value)).any()
    sized = (job.m != 0) & (job.n != 0) & known_out
    if not config.stochastic:
        sized &= ~job.params.stochastic
    table = (job.op == Op.TABLE) & job.adapt.enable
    quantise = (job.op == Op.QUANTISE) & sized
    gemm = (job.op == Op.GEMM) & sized & (job.k != 0) & known_b & ~job.adapt.discard
    known_tensor = ~job.adapt.enable | (job.adapt.tensor < config.tensors)
    return ~((gemm | quantise | table) & known_tensor)
