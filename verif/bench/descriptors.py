# SPDX-License-Identifier: Apache-2.0
"""Random descriptors for a core, and memories that hold what they name."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from golden.config import Config
from golden.core import rows_of
from golden.descriptor import B_FORMATS, BYTES, CoreOp, Descriptor
from golden.formats import FP4_R4, INT4, INT4_SYM, INT32, UINT4, LogFormat
from golden.refused import has_data, has_results, is_split
from golden.solver import SolveMode

TENSORS = ("a", "b", "x", "bias", "mask_in", "c", "c_odd", "mask_out", "report", "scratch")
INPUTS = ("a", "b", "x", "bias", "mask_in")
BASE = 0x4_0000_0000  # beyond 32 bits
WORDS = ("x", "bias", "report", "scratch")  # of 32 bits


class Image(NamedTuple):
    """A ring of descriptors for a core and its tensors: bytes from `base` on, the ring first."""

    config: Config
    base: int
    data: np.ndarray
    descriptors: list[Descriptor]


def random_image(rng, config: Config, count: int, *, base: int = BASE,
                 largest: int = 3) -> Image:
    """`count` random descriptors, many of which read what others wrote, behind each other in a ring
    of the next power of two; all other bytes are random."""
    size = 1
    while size <= count:
        size *= 2
    place, made, starts = Places(rng, base + size * BYTES), [], []
    for _ in range(count):
        starts.append(place.end)
        made.append(linked(rng, random_descriptor(rng, config, place, largest), made, starts,
                           config))
    data = rng.integers(0, 256, place.end - base + 64, dtype=np.uint8)
    for d in made:
        calm(rng, data, base, d)
    ring = b"".join(d.pack() for d in made)
    data[:len(ring)] = np.frombuffer(ring, np.uint8)
    return Image(config, base, data, made)


def reference(config: Config) -> Image:
    """A ring whose jobs use every part: turned operands, zero point, bias, masks, chunks of K added
    up, batches, a scale that is solved, reports."""
    rng = np.random.default_rng(11)
    place = Places(rng, BASE + 8 * BYTES)
    common = {"m": config.rows + 1, "n": config.cols + 1, "multiplier": 2**15, "shift": 18}
    adapt = {"adapt_enable": True, "adapt_solve": True, "report": True}
    made = [placed(rng, d, config, place) for d in (
        Descriptor(op=CoreOp.QUANTISE, **common, transpose_c=True, format=INT4.encoding,
                   mask_out=True, **adapt, adapt_mode=int(SolveMode.SYMMETRIC)),
        Descriptor(op=CoreOp.GEMM, **common, k=config.lanes + 1, transpose_a=True, bias=True,
                   mask_in=True, a_zero=3, format=UINT4.encoding, batch=2),
        Descriptor(op=CoreOp.GEMM, **common | {"shift": 15}, k=config.depth + 1, transpose_b=True,
                   accumulate=True, format=INT32.encoding, barrier=True, early_a=True),
        Descriptor(op=CoreOp.TABLE, **adapt))]
    data = rng.integers(0, 256, place.end - BASE + 64, dtype=np.uint8)
    for d in made:
        calm(rng, data, BASE, d, always=True)
    ring = b"".join(d.pack() for d in made)
    data[:len(ring)] = np.frombuffer(ring, np.uint8)
    return Image(config, BASE, data, made)


def calm(rng, data, base: int, d: Descriptor, *, always: bool = False) -> None:
    """Make a descriptor's words small enough that sums with them seldom leave 32 bits: often, or
    always and of 24 bits."""
    for name, used in (("x", d.op == CoreOp.QUANTISE), ("bias", d.bias), ("c", d.accumulate)):
        if not used or (not always and rng.random() < 0.1):
            continue
        rows, bits = rows_of(d, name), 24 if always else int(rng.integers(8, 31))
        batch = getattr(d, f"{name}_batch_stride")
        for element in range(d.batch):
            for row in range(rows.number):
                at = rows.address + element * batch + row * rows.stride - base
                words = rng.integers(-(2**31), 2**31, rows.size // 4) >> (32 - bits)
                data[at:at + rows.size] = words.astype("<i4").view(np.uint8)


class Places:
    """Hands out memory, at every alignment."""

    def __init__(self, rng, end: int):
        self.rng, self.end = rng, end

    def take(self, size: int, align: int = 1) -> int:
        self.end += int(self.rng.integers(0, 40))
        self.end += -self.end % align
        at, self.end = self.end, self.end + size
        return at


def random_descriptor(rng, config: Config, place: Places, largest: int = 3) -> Descriptor:
    """One that no rule refuses."""
    kind = rng.random()
    common = {"interrupt": bool(rng.random() < 0.3), "barrier": bool(rng.random() < 0.4)}
    if kind < 0.08:
        return Descriptor(op=CoreOp.FENCE, **common)
    adapt = _adapt(rng, config)
    if kind < 0.15:
        return placed(rng, Descriptor(op=CoreOp.TABLE, report=bool(rng.integers(2)), **common,
                                       **adapt), config, place)
    gemm = kind < 0.7
    fmts = [INT4, INT4_SYM, UINT4, INT32, INT32, *config.log_formats]
    fmt = fmts[rng.integers(len(fmts))]
    coded = fmt != INT32
    integer = coded and not isinstance(fmt, LogFormat)
    d = Descriptor(
        op=CoreOp.GEMM if gemm else CoreOp.QUANTISE, **common,
        m=_size(rng, config.rows, largest, config.lanes, 4), n=_size(
            rng, config.cols, largest, config.strip),
        k=_size(rng, config.lanes, largest, config.depth, 3) if gemm else 0,
        batch=int(rng.choice([1, 1, 1, 2, 3])),
        transpose_a=bool(gemm and rng.integers(2)), transpose_b=bool(gemm and rng.integers(2)),
        transpose_c=bool(rng.integers(2)), bias=bool(rng.integers(2)),
        mask_in=bool(rng.random() < 0.3), mask_out=bool(integer and rng.integers(2)),
        a_signed=bool(rng.integers(2)),
        b_format=int(rng.choice([i for i, f in enumerate(B_FORMATS)
                                 if f == INT4 or f in config.log_formats])),
        multiplier=int(rng.integers(2**15, 2**16)), shift=int(rng.integers(12, 26)),
        format=fmt.encoding, zero_point=int(rng.integers(-8, 8)) if integer else 0,
        stochastic=bool(coded and config.stochastic and rng.integers(2)),
        seed=int(rng.integers(2**32)),
        a_zero=int(rng.integers(-128, 128)) if gemm and rng.random() < 0.4 else 0)
    d = replace(d, transpose_mask=bool(d.mask_in and rng.integers(2)))
    if gemm:
        d = replace(d, early_a=bool(rng.integers(2)), early_b=bool(rng.integers(2)))
    if rng.random() < 0.5:
        d = replace(d, **adapt | {"adapt_preset": False})
        if d.adapt_solve and d.adapt_mode == SolveMode.GRADSCALE:
            d = replace(d, adapt_mode=int(SolveMode.LUQ))
        d = replace(d, report=bool(rng.integers(2)), adapt_use=int(rng.integers(3)),
                    adapt_discard=bool(not gemm and rng.random() < 0.3))
    elif fmt == INT32 and gemm and rng.random() < 0.7:
        d = replace(d, accumulate=True, transpose_c=False)
        if rng.random() < 0.3:
            d = replace(d, k=int(rng.integers(config.depth + 1, 3 * config.depth)))
        if d.k > config.depth:
            d = replace(d, bias=False, mask_in=False, transpose_mask=False, multiplier=2**15,
                        shift=15)
    return placed(rng, d, config, place)


def linked(rng, d: Descriptor, made: list[Descriptor], starts: list[int],
           config: Config) -> Descriptor:
    """The descriptor, often with an input where one of the two before it has an output; behind a
    barrier, which that input waits for, if that is the last one. `starts` : where the tensors of
    each begin, this one's last: none of its outputs is read, nor any of a job in between."""
    ago = int(rng.integers(1, 3))
    inputs = [name for name in INPUTS if tensors(d, config)[name]]
    if len(made) < ago or not inputs or rng.random() < 0.3:
        return d
    source, name = made[-ago], inputs[rng.integers(len(inputs))]
    found = [at for at in outputs_at(source, config) if name not in WORDS or at % 4 == 0]
    if not found:
        return d
    at, rows = found[rng.integers(len(found))], rows_of(d, name)
    size = ((d.batch - 1) * getattr(d, f"{name}_batch_stride")
            + (rows.number - 1) * rows.stride + rows.size)
    if at + size > starts[-ago]:
        return d
    d = replace(d, **{f"{name}_address": at})
    if ago > 1:
        return d
    return replace(d, barrier=True, early_a=d.early_a and name not in ("a", "bias"),
                   early_b=d.early_b and name not in ("b", "bias"))


def outputs_at(d: Descriptor, config: Config) -> list[int]:
    """Where the outputs of a descriptor begin."""
    has = tensors(d, config)
    return [getattr(d, f"{name}_address") for name in ("c", "c_odd", "mask_out", "report")
            if has[name]]


def reads(d: Descriptor, before: Descriptor, config: Config) -> set[str]:
    """Which inputs of a descriptor begin where one before it has an output."""
    has, found = tensors(d, config), outputs_at(before, config)
    return {name for name in INPUTS if has[name] and getattr(d, f"{name}_address") in found}


def _adapt(rng, config: Config) -> dict:
    tensor = int(rng.integers(min(config.tensors, 3)))
    kind = rng.random()
    return {
        "adapt_enable": True, "adapt_tensor": tensor, "adapt_preset": bool(kind < 0.3),
        "adapt_solve": bool(kind > 0.4), "adapt_mode": int(rng.integers(len(SolveMode))),
        "adapt_exponent": int(rng.integers(-20, 20)), "adapt_alpha": int(rng.integers(2**31)),
        "adapt_valid": bool(rng.integers(2)), "adapt_frozen": bool(rng.random() < 0.2),
    }


def _size(rng, unit: int, largest: int, whole: int, most: int = 2) -> int:
    """One, a few units, or beyond what a buffer holds."""
    kind = rng.random()
    if kind < 0.15:
        return 1
    if kind < 0.75:
        return int(rng.integers(1, largest * unit + 1))
    return int(rng.integers(1, most * whole + 2))


def tensors(d: Descriptor, config: Config) -> dict[str, bool]:
    """Which tensors a descriptor has."""
    return {
        "a": d.op == CoreOp.GEMM, "b": d.op == CoreOp.GEMM, "x": d.op == CoreOp.QUANTISE,
        "bias": d.bias, "mask_in": d.mask_in, "c": has_results(d),
        "c_odd": has_results(d) and d.format == FP4_R4.encoding and has_data(d),
        "mask_out": d.mask_out, "report": d.report, "scratch": is_split(d, config)}


def placed(rng, d: Descriptor, config: Config, place: Places) -> Descriptor:
    """The descriptor with an address, a stride and a batch stride for each tensor that it has."""
    has, changes = tensors(d, config), {}
    for name in TENSORS:
        if not has[name]:
            continue
        words = name in WORDS or (name == "c" and d.format == INT32.encoding)
        align = 4 if words else 1
        rows = rows_of(d, name)
        stride = rows.size + align * int(rng.choice([0, 0, 1, 5]))
        size = (rows.number - 1) * stride + rows.size
        batch = size + align * int(rng.integers(3))
        batch += -batch % align
        changes[f"{name}_address"] = place.take(size + (d.batch - 1) * batch, align)
        if f"{name}_stride" in d.__dict__:
            changes[f"{name}_stride"] = stride
        if f"{name}_batch_stride" in d.__dict__:
            changes[f"{name}_batch_stride"] = batch
    return replace(d, **changes)
