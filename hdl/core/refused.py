# SPDX-License-Identifier: Apache-2.0
"""Which descriptors the core refuses, and why: the rules of `golden.refused`, in their order."""

from functools import reduce

from amaranth.hdl import Mux

from golden.adaptive import Use
from golden.config import Config
from golden.descriptor import SIZE_WIDTH, VERSION, CoreOp, Fault
from golden.dyadic import IDENTITY
from golden.formats import INT4, INT4_SYM, INT32, UINT4
from golden.gradscale import GradScale
from golden.solver import SolveMode
from hdl.layouts import BFormat, OutFormat

MASKED = (INT4, INT4_SYM, UINT4)  # formats with a clip mask and a zero point


def fault(d, reserved, config: Config):
    """The code of the first rule that a descriptor breaks, 0 if none. `d` has its fields as
    members; `reserved` says whether a bit that is no field's is 1."""
    gemm, quantise, table = (d.op == op for op in (CoreOp.GEMM, CoreOp.QUANTISE, CoreOp.TABLE))
    fence = d.op == CoreOp.FENCE
    has_data = gemm | quantise
    masked, words = _one_of(d.format, [f.encoding for f in MASKED]), d.format == INT32.encoding
    rules = (
        (Fault.VERSION, d.version != VERSION),
        (Fault.RESERVED, reserved),
        (Fault.OPERATION, ~_one_of(d.op, CoreOp)),
        (Fault.SIZE, _wrong_size(d, has_data, gemm, config)),
        (Fault.FORMAT, _wrong_format(d, gemm, table, masked, words, config)),
        (Fault.ADAPT, _wrong_adapt(d, quantise, table, fence, config)),
        (Fault.COMBINATION, _wrong_combination(d, gemm, has_data, masked, words, config)),
        (Fault.ALIGNMENT, _misaligned(d, gemm, quantise, has_data, words, config)),
    )
    return reduce(lambda later, rule: Mux(rule[1], rule[0], later), reversed(rules), Fault.NONE)


def _wrong_size(d, has_data, gemm, config: Config):
    bits = SIZE_WIDTH
    wrong = ((d.m == 0) | (d.m[config.dim_width:] != 0) | (d.n == 0)
             | (d.n[config.dim_width:] != 0) | (d.batch == 0) | (d.batch[bits:] != 0)
             | (d.k[bits:] != 0) | ((d.k == 0) == gemm))
    return Mux(has_data, wrong, (d.m != 0) | (d.n != 0) | (d.k != 0) | (d.batch != 1))


def _wrong_format(d, gemm, table, masked, words, config: Config):
    outputs = {f.value for f in OutFormat if not f.name.startswith("FP4")}
    outputs |= {fmt.encoding for fmt in config.log_formats}
    formats = {BFormat.of(fmt).value for fmt in config.log_formats} | {BFormat.INT4.value}
    of_scale = (d.multiplier != 0) & ~d.multiplier[-1]
    stochastic = d.stochastic & words if config.stochastic else d.stochastic
    of_data = (~_one_of(d.format, outputs) | stochastic | ((d.zero_point != 0) & ~masked)
               | (gemm & ~_one_of(d.b_format, formats)))
    return (of_scale & (d.op != CoreOp.FENCE)) | (of_data & (d.op != CoreOp.FENCE) & ~table)


def _wrong_adapt(d, quantise, table, fence, config: Config):
    beyond = (d.adapt_exponent < -GradScale.LIMIT) | (d.adapt_exponent > GradScale.LIMIT)
    wrong = (fence
             | (d.adapt_tensor >= config.tensors)
             | ~_one_of(d.adapt_use, Use)
             | (d.adapt_solve & (~_one_of(d.adapt_mode, SolveMode) | d.adapt_preset))
             | (d.adapt_preset & (~table | beyond))
             | (table & (d.adapt_use != Use.NOTHING))
             | (d.adapt_discard & ~quantise))
    return Mux(d.adapt_enable, wrong, table)


def _wrong_combination(d, gemm, has_data, masked, words, config: Config):
    of_gemm = (d.transpose_a | d.transpose_b | (d.a_zero != 0) | d.accumulate | d.early_a
               | d.early_b)
    of_data = d.transpose_c | d.bias | d.mask_in | d.mask_out
    # sums of chunks of K are added to C at once, and so is nothing but sums
    scaled = (d.multiplier != IDENTITY.multiplier) | (d.shift != IDENTITY.shift)
    chunks = (d.k > config.depth) & (scaled | d.bias | d.mask_in)
    return ((of_gemm & ~gemm) | (of_data & ~has_data) | (d.transpose_mask & ~d.mask_in)
            | (d.accumulate & (d.adapt_enable | ~words | d.transpose_c | chunks))
            | (d.mask_out & ~masked) | (d.report & ~d.adapt_enable))


def _misaligned(d, gemm, quantise, has_data, words, config: Config):
    def odd(tensor):
        ends = (getattr(d, f"{tensor}_{end}", None) for end in (
            "address", "stride", "batch_stride"))
        return reduce(lambda a, b: a | b, (end[:2] != 0 for end in ends if end is not None))

    return ((odd("c") & has_data & words & ~(d.adapt_enable & d.adapt_discard))
            | (odd("x") & quantise) | (odd("bias") & d.bias) | (odd("report") & d.report)
            | (odd("scratch") & gemm & (d.k > config.depth) & ~d.accumulate))


def _one_of(field, values):
    found = [field == int(getattr(value, "value", value)) for value in values]
    return reduce(lambda a, b: a | b, found)
