# SPDX-License-Identifier: Apache-2.0
"""The core: descriptors and memory in, memory out.

A job (m, n, k) is done `batch` times, for element i with every address moved by i batch strides and
with seed + i; each is an engine's job of its own, with a report of its own. Per element:

1. GEMM, k <= depth: C = rescale(sum (a - a_zero) * b + bias). The engine adds to the exact sums
   one 32-bit word per column, `bias - a_zero * sum_k b`, itself saturated to 32 bits.
   GEMM, k > depth: K is cut into chunks of `Config.depth`, the last may be shorter. Chunk by chunk
   `sum (a - a_zero) * b` goes to scratch, the first one written, the others added. So scratch holds
   the sums over all of K before bias and mask when the job is done, those of the last element.
   Scratch is used whatever the result is; it is read too, so it lies in both windows. A
   QUANTISE of scratch, with all other options of the descriptor, makes the result. With accumulate
   every chunk's sums are added to C instead.
2. QUANTISE: C = rescale(x + bias).
3. TABLE: the table of scales changes. FENCE: nothing does.

Every sum that leaves 32 bits saturates: the word per column, sums with that word or with bias (also
where mask_in drops them), sums in scratch, C + result. The pass in which one did ends with
OVERFLOW; it is the last thing of that pass. A GEMM that is not split is one pass; one that is has a
pass per chunk, then that of QUANTISE. Results that the rescaling clamps are no fault.

A fault leaves the outputs of the descriptor undefined within their own bytes (`outputs` names
them), unsets the table of scales, and what comes later is not done. Where several rows of one
descriptor are wrong, or a sum overflows too, any of these faults may come first.
Undefined is, too, what results if outputs of an element overlap its inputs (other than C with
accumulate) or each other, or the inputs of a later element.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from golden import checks
from golden.adaptive import Adapt, ScaleTable, Use
from golden.config import Config
from golden.descriptor import B_FORMATS, CoreFault, CoreOp, Descriptor, Fault
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4, INT32, UINT4, Format, IntFormat, pack, unpack
from golden.gemm import mac_values
from golden.memory import EVERYWHERE, Memory, Rows, Window
from golden.refused import ENCODED, decode, has_results, in_chunks, is_split
from golden.report import Entry
from golden.report_words import REPORT_WORDS, pack_report
from golden.rescale import RAW, Rescale, Rescaled
from golden.solver import SolveMode


class GoldenCore:
    """A core that is idle after each call.

    Parameters
    ----------
    config : Config. read_window, write_window : addresses that may be accessed (after reset a core
        allows none; here it is all unless given).

    Members
    -------
    table : the table of scales. interrupts : how many descriptors have asked for one and are done.
    macs : M * N * K of the elements that are done. saturated, underflowed : of results of jobs
        that adapt, as `golden.statistics.Statistics` counts them.

    ValueError for a configuration that no core can have.
    """

    def __init__(self, config: Config, read_window: Window = EVERYWHERE,
                 write_window: Window = EVERYWHERE):
        checks.as_instance("config", config, Config).check_core()
        self.config = config
        self.read_window, self.write_window = read_window, write_window
        self._backend = GoldenBackend(config)
        self.interrupts = self.macs = self.saturated = self.underflowed = 0

    @property
    def table(self) -> ScaleTable:
        """Which a fault replaces by a new one."""
        return self._backend.table

    def reset(self) -> None:
        """Unset the table of scales, as every fault does."""
        self._backend.reset()

    def run(self, memory: Memory, descriptors: Iterable[Descriptor | bytes]) -> Memory:
        """Run descriptors in order; `memory` is changed and returned.

        CoreFault, with the descriptor's index, of the first one that fails; those behind it are
        not run.
        """
        for index, descriptor in enumerate(descriptors):
            try:
                self.execute(memory, descriptor)
            except CoreFault as fault:
                raise CoreFault(fault.code, fault.address, index) from None
        return memory

    def execute(self, memory: Memory, descriptor: Descriptor | bytes) -> None:
        """Run one descriptor. CoreFault where it fails, then the table of scales is unset."""
        data = descriptor.pack() if isinstance(descriptor, Descriptor) else descriptor
        try:
            d = decode(data, self.config)
            for element in range(d.batch if d.op != CoreOp.FENCE else 0):
                self._element(memory, d, element)
        except CoreFault:
            self.reset()
            raise
        self.interrupts += d.interrupt

    def _element(self, memory: Memory, d: Descriptor, element: int) -> None:
        """One element of the batch."""
        if in_chunks(d, self.config) and d.accumulate:
            self._sum_chunks(memory, d, element, "c")
            self.macs += d.m * d.n * d.k
            return
        if d.op == CoreOp.TABLE:
            adapt = checks.as_instance("adapt", self._adapt(d), Adapt)
            own = Rescale(INT4, _scale(d), d.zero_point)
            result = Rescaled.nothing(report=self.table.finish(adapt, own))
        else:
            result = self._result(memory, d, element)
        overflow = result.bias_saturated
        if has_results(d):
            overflow |= self._store(memory, d, element, result)
        if d.report:
            report = np.frombuffer(pack_report(result.told), np.uint8)
            self._write(memory, d, element, "report", report[None, :])
        if overflow:
            raise CoreFault(Fault.OVERFLOW)
        self.macs += d.m * d.n * d.k

    def _result(self, memory: Memory, d: Descriptor, element: int) -> Rescaled:
        """What the engine makes of GEMM and QUANTISE."""
        options = self._options(memory, d, element)
        overflow = False
        if d.op == CoreOp.QUANTISE:
            job = Job.quantise(_words(self._read(memory, d, element, "x")), **options)
        else:
            if is_split(d, self.config):
                self._sum_chunks(memory, d, element, "scratch")
                job = Job.quantise(_words(self._read(memory, d, element, "scratch")), **options)
            else:
                a, b = self._operands(memory, d, element)
                options["bias"], overflow = _corrected(d, b, options["bias"])
                job = _product(d, a, b, **options)
        result = self._backend.run(job)
        if d.adapt_enable:
            self.saturated += self._backend.measured.saturated
            self.underflowed += self._backend.measured.underflowed
        return replace(result, bias_saturated=result.bias_saturated or overflow)

    def _sum_chunks(self, memory: Memory, d: Descriptor, element: int, tensor: str) -> None:
        """Sums over all of K, to scratch, or added to C."""
        a, b = self._operands(memory, d, element)
        for start in range(0, d.k, self.config.depth):
            chunk = slice(start, start + self.config.depth)
            bias, overflow = _corrected(d, b[:, chunk], None)
            result = self._backend.run(
                _product(d, a[:, chunk], b[:, chunk], then=RAW, bias=bias, strips=True))
            sums, overflow = result.codes, overflow or result.bias_saturated
            if start or d.accumulate:
                before = _words(self._read(memory, d, element, tensor))
                sums, beyond = _saturated(sums + before.astype(np.int64))
                overflow |= beyond
            self._write(memory, d, element, tensor, _bytes(sums, INT32))
            if overflow:
                raise CoreFault(Fault.OVERFLOW)

    def _options(self, memory: Memory, d: Descriptor, element: int) -> dict:
        """What GEMM and QUANTISE have in common."""
        bias = mask = None
        if d.bias:
            bias = _words(self._read(memory, d, element, "bias"))[0]
        if d.mask_in:
            bits = np.unpackbits(self._read(memory, d, element, "mask_in"), axis=1,
                                 bitorder="little")
            mask = (bits[:, : d.m].T if d.transpose_mask else bits[:, : d.n]).astype(bool)
        seed = (d.seed + element) % 2**32 if d.stochastic else None
        then = Rescale(ENCODED[d.format], _scale(d), d.zero_point, seed)
        return {"then": then, "bias": bias, "mask": mask, "adapt": self._adapt(d), "strips": True}

    def _operands(self, memory: Memory, d: Descriptor,
                  element: int) -> tuple[np.ndarray, np.ndarray]:
        """The codes of A (M, K) and B (N, K)."""
        a = unpack(self._read(memory, d, element, "a"), d.m if d.transpose_a else d.k, _a_format(d))
        b = unpack(self._read(memory, d, element, "b"), d.n if d.transpose_b else d.k,
                   B_FORMATS[d.b_format])
        return a.T if d.transpose_a else a, b.T if d.transpose_b else b

    def _store(self, memory: Memory, d: Descriptor, element: int, result: Rescaled) -> bool:
        """Write results and clip mask; whether a sum with C left 32 bits."""
        fmt, overflow = ENCODED[d.format], False
        for name, codes in (("c", result.codes), ("c_odd", result.odd)):
            if codes is None:
                continue
            laid = codes.T if d.transpose_c else codes
            if d.accumulate:
                before = _words(self._read(memory, d, element, name))
                laid, overflow = _saturated(laid + before.astype(np.int64))
            self._write(memory, d, element, name, _bytes(laid, fmt))
        if d.mask_out:
            mask = np.packbits(result.inside, axis=1, bitorder="little")
            self._write(memory, d, element, "mask_out", mask)
        return overflow

    @staticmethod
    def _adapt(d: Descriptor) -> Adapt | None:
        if not d.adapt_enable:
            return None
        preset = None
        if d.adapt_preset:
            preset = Entry(_scale(d), d.zero_point, d.adapt_exponent, d.adapt_valid, d.adapt_frozen)
        solve = SolveMode(d.adapt_mode) if d.adapt_solve else None
        return Adapt(d.adapt_tensor, Use(d.adapt_use), solve, d.adapt_alpha, d.adapt_exponent,
                     preset, d.adapt_discard)

    def _read(self, memory: Memory, d: Descriptor, element: int, tensor: str) -> np.ndarray:
        return memory.read(rows_of(d, tensor, element), self.read_window,
                           self.config.address_width)

    def _write(self, memory: Memory, d: Descriptor, element: int, tensor: str, data) -> None:
        memory.write(rows_of(d, tensor, element), data, self.write_window,
                     self.config.address_width)


def rows_of(d: Descriptor, tensor: str, element: int = 0) -> Rows:
    """Where a tensor of an element lies; of one that the job does not have, where it would lie."""
    address, stride = d.rows_of(tensor, element)
    mask, word = (d.m, -(-d.n // 8)), (d.m, 4 * d.n)
    if tensor in ("c", "c_odd"):
        number, columns = (d.n, d.m) if d.transpose_c else (d.m, d.n)
        size = 4 * columns if d.format == INT32.encoding else -(-columns // 2)
    elif tensor == "a":
        number, size = (d.k, -(-d.m // 2)) if d.transpose_a else (d.m, -(-d.k // 2))
    elif tensor == "b":
        number, size = (d.k, -(-d.n // 2)) if d.transpose_b else (d.n, -(-d.k // 2))
    else:
        turned = (d.n, -(-d.m // 8)) if d.transpose_mask else mask
        number, size = {"x": word, "scratch": word, "bias": (1, 4 * d.n), "mask_in": turned,
                       "mask_out": mask, "report": (1, 4 * REPORT_WORDS)}[tensor]
    return Rows(address, number, size, stride)


def outputs(d: Descriptor, config: Config) -> list[Rows]:
    """All rows that a descriptor that is not refused writes, of all elements: those whose bytes
    are undefined if it fails."""
    written = {
        "c": has_results(d),
        "c_odd": has_results(d) and d.format == FP4_R4.encoding,
        "mask_out": has_results(d) and d.mask_out,
        "report": d.report,
        "scratch": is_split(d, config),
    }
    return [rows_of(d, tensor, element) for tensor, used in written.items() if used
            for element in range(d.batch)]


def _product(d: Descriptor, a, b, **options) -> Job:
    return Job.gemm(a, _a_format(d), b, B_FORMATS[d.b_format], **options)


def _corrected(d: Descriptor, b: np.ndarray,
               bias: np.ndarray | None) -> tuple[np.ndarray | None, bool]:
    """The word per column that the engine adds to sums of `a * b`, and whether one saturated."""
    if d.a_zero == 0:
        return bias, False
    sums = mac_values(b, B_FORMATS[d.b_format]).sum(axis=1)
    return _saturated((0 if bias is None else bias.astype(np.int64)) - d.a_zero * sums)


def _saturated(sums: np.ndarray) -> tuple[np.ndarray, bool]:
    """The sums in 32 bits, and whether one had more."""
    inside = np.clip(sums, INT32.lo, INT32.hi)
    return inside.astype(np.int32), bool((inside != sums).any())


def _a_format(d: Descriptor) -> IntFormat:
    return INT4 if d.a_signed else UINT4


def _scale(d: Descriptor) -> Dyadic:
    return Dyadic(d.multiplier, d.shift)


def _words(data: np.ndarray) -> np.ndarray:
    """Rows of bytes as rows of int32."""
    return np.ascontiguousarray(data).view("<i4")


def _bytes(values: np.ndarray, fmt: Format) -> np.ndarray:
    """Rows of INT32 or of codes as rows of bytes."""
    if fmt == INT32:
        return np.ascontiguousarray(values, "<i4").view(np.uint8)
    return pack(values)
