# SPDX-License-Identifier: Apache-2.0
"""Which descriptors a core refuses before it touches memory, with which code.

The rules are asked in this order, the first one that is broken gives the code; each looks at bits
and compares with constants. An option that the operation does not have is refused, an address,
stride or parameter that nothing reads is ignored. `data` is op GEMM or QUANTISE.

1. VERSION: version is not 1.
2. RESERVED: a bit that is no field's is 1.
3. OPERATION: op is not 0..3.
4. SIZE: data: m or n is not 1..max_dim, or batch not 1..2**24 - 1; GEMM: k is not 1..2**24 - 1;
   QUANTISE: k is not 0; TABLE, FENCE: m, n or k is not 0, or batch not 1.
5. FORMAT: data: format is none of the configuration's (INT4, INT4_SYM, UINT4, INT32, the log
   formats of its radices); stochastic with INT32 or in a configuration without; zero_point is not 0
   with INT32 or a log format. GEMM: b_format is none of the configuration's. Data, TABLE: the
   multiplier is not 0 and its top bit is 0.
6. ADAPT: TABLE without adapt_enable; FENCE with it. With adapt_enable: tensor is not below the
   configuration's tensors; use is 3; solve with a mode of 6 or 7; solve and preset; preset other
   than in TABLE, or with an exponent not -40..40; use other than NOTHING in TABLE; discard other
   than in QUANTISE. Without adapt_enable the rest of adapt is ignored.
7. COMBINATION: transpose_a, transpose_b, early_a, early_b or an a_zero that is not 0, other than in
   GEMM; transpose_c, bias, mask_in or mask_out without data; transpose_mask without mask_in;
   accumulate other than in GEMM, with adapt_enable, with transpose_c, with a format other than
   INT32, or where K is in chunks with bias, mask_in or a scale other than multiplier 32768, shift
   15; mask_out with INT32 or a log format; report without adapt_enable.
8. ALIGNMENT: one of the two lowest bits of address, row stride or batch stride is 1, of a tensor
   of words that the job has: c (data with INT32, unless its results are discarded), x (QUANTISE),
   bias (bias), report (report), scratch (k > depth, unless accumulate). Strides count even where
   the tensor has one row or the batch one element.

Everything else (WRAP, windows, answers of the bus) is found row by row as memory is accessed.
"""

from golden.adaptive import Use
from golden.config import Config
from golden.descriptor import (
    B_FORMATS,
    SIZE_WIDTH,
    USED,
    VERSION,
    CoreFault,
    CoreOp,
    Descriptor,
    Fault,
    as_bits,
)
from golden.dyadic import IDENTITY
from golden.formats import FORMATS, INT32, Format, IntFormat, LogFormat
from golden.gradscale import GradScale
from golden.solver import SolveMode

ENCODED = {fmt.encoding: fmt for fmt in FORMATS.values()}  # formats of results


def decode(data: bytes, config: Config) -> Descriptor:
    """The descriptor in 256 bytes; CoreFault if a core of this configuration refuses it."""
    bits, found = as_bits(data), Descriptor.unpack(data)
    rules = {  # in the order of asking
        Fault.VERSION: lambda: found.version != VERSION,
        Fault.RESERVED: lambda: bits & ~USED != 0,
        Fault.OPERATION: lambda: found.op not in set(CoreOp),
        Fault.SIZE: lambda: _wrong_size(found, config),
        Fault.FORMAT: lambda: _wrong_format(found, config),
        Fault.ADAPT: lambda: _wrong_adapt(found, config),
        Fault.COMBINATION: lambda: _wrong_combination(found, config),
        Fault.ALIGNMENT: lambda: _misaligned(found, config),
    }
    for code, broken in rules.items():
        if broken():
            raise CoreFault(code)
    return found


def has_data(d: Descriptor) -> bool:
    return d.op in (CoreOp.GEMM, CoreOp.QUANTISE)


def has_results(d: Descriptor) -> bool:
    """Whether the job writes anything beside the report."""
    return has_data(d) and not (d.adapt_enable and d.adapt_discard)


def in_chunks(d: Descriptor, config: Config) -> bool:
    """Whether K is more than the buffers hold."""
    return d.op == CoreOp.GEMM and d.k > config.depth


def is_split(d: Descriptor, config: Config) -> bool:
    """Whether sums of chunks go through scratch: with accumulate C takes them at once."""
    return in_chunks(d, config) and not d.accumulate


def has_mask(fmt: Format | None) -> bool:
    """Whether results of this format come with a clip mask, and have a zero point."""
    return isinstance(fmt, IntFormat) and fmt != INT32


def _wrong_size(d: Descriptor, config: Config) -> bool:
    if not has_data(d):
        return (d.m, d.n, d.k, d.batch) != (0, 0, 0, 1)
    most = 2**SIZE_WIDTH - 1
    wrong_k = not 1 <= d.k <= most if d.op == CoreOp.GEMM else d.k != 0
    return (not 1 <= d.m <= config.max_dim or not 1 <= d.n <= config.max_dim
            or not 1 <= d.batch <= most or wrong_k)


def _wrong_format(d: Descriptor, config: Config) -> bool:
    if d.op == CoreOp.FENCE:
        return False
    wrong = 0 < d.multiplier < IDENTITY.multiplier
    if not has_data(d):
        return wrong
    fmt = ENCODED.get(d.format)
    wrong |= fmt is None or _other_radix(fmt, config)
    wrong |= d.stochastic and (fmt == INT32 or not config.stochastic)
    wrong |= d.zero_point != 0 and not has_mask(fmt)
    if d.op == CoreOp.GEMM:
        wrong |= d.b_format >= len(B_FORMATS) or _other_radix(B_FORMATS[d.b_format], config)
    return wrong


def _other_radix(fmt: Format, config: Config) -> bool:
    return isinstance(fmt, LogFormat) and fmt.radix not in config.radices


def _wrong_adapt(d: Descriptor, config: Config) -> bool:
    table = d.op == CoreOp.TABLE
    if not d.adapt_enable:
        return table
    return (d.op == CoreOp.FENCE
            or d.adapt_tensor >= config.tensors
            or d.adapt_use not in set(Use)
            or (d.adapt_solve and (d.adapt_mode not in set(SolveMode) or d.adapt_preset))
            or (d.adapt_preset and (not table or abs(d.adapt_exponent) > GradScale.LIMIT))
            or (table and d.adapt_use != Use.NOTHING)
            or (d.adapt_discard and d.op != CoreOp.QUANTISE))


def _wrong_combination(d: Descriptor, config: Config) -> bool:
    fmt = ENCODED.get(d.format)
    of_gemm = (d.accumulate or d.transpose_a or d.transpose_b or d.a_zero != 0 or d.early_a
               or d.early_b)
    of_data = d.transpose_c or d.bias or d.mask_in or d.mask_out
    scaled = (d.multiplier, d.shift) != (IDENTITY.multiplier, IDENTITY.shift)
    chunks = in_chunks(d, config) and (scaled or d.bias or d.mask_in)
    return ((of_gemm and d.op != CoreOp.GEMM)
            or (of_data and not has_data(d))
            or (d.transpose_mask and not d.mask_in)
            or (d.accumulate and (d.adapt_enable or fmt != INT32 or d.transpose_c or chunks))
            or (d.mask_out and not has_mask(fmt))
            or (d.report and not d.adapt_enable))


def _misaligned(d: Descriptor, config: Config) -> bool:
    words = {
        "c": has_results(d) and d.format == INT32.encoding,
        "x": d.op == CoreOp.QUANTISE,
        "bias": d.bias,
        "report": d.report,
        "scratch": is_split(d, config),
    }
    ends = ("address", "stride", "batch_stride")
    return any(getattr(d, f"{tensor}_{end}", 0) & 3
               for tensor, used in words.items() if used for end in ends)
