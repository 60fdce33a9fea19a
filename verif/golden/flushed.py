# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.golden.flushed LIBRARY RESULTS OPERANDS`: golden with flush-to-zero on.

Every call gives the bits that it gives without, or a ValueError that says why not. Prints how many
did the one and the other.
"""

import ctypes
import sys
from collections import Counter

import numpy as np

from driver.reproducer import first_difference
from golden import integer, logfp4
from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend
from golden.fixed_point import to_fixed
from golden.flushing import flushing
from golden.formats import A_FORMATS, B_FORMATS, FP4_R2, FP4_R4, INT4_SYM, Phase
from golden.gemm import exact_depth, gemm
from golden.gradscale import GradScale
from golden.tensor import Quantised
from verif.bench.stimuli import random_codes, random_job

TINY = 5e-324
CONFIG = preset("base")


def tensors(rng):
    """Floats of every magnitude: ordinary, the least normal and subnormal ones, few or all."""
    for top in (0, -20, -398, -402, -520, -1018, -1040, -1074):
        x = rng.normal(size=(4, 5)) * 2.0**top
        yield x
        yield np.where(rng.random(x.shape) < 0.2, rng.integers(-9, 10, x.shape) * TINY, x)
        yield np.full((2, 3), x[0, 0])
        yield (rng.normal(size=(4, 5)) * 2.0 ** max(top, -140)).astype(np.float32)
    yield np.array([1.0, 1.5]) * 2.0**-1022  # their difference is subnormal


def updated(largest: float) -> int:
    scale = GradScale(3)
    scale.update(largest)
    return scale.exponent


def calls(rng):
    """What takes floats of the host, as functions without arguments."""
    for x in tensors(rng):
        words = rng.integers(0, 3, x.shape)  # the small ones decide about small numbers
        peak = np.abs(x).max()
        yield lambda x=x: to_fixed(x, 20)
        yield lambda x=x: integer.range_of(x)
        yield lambda x=x: integer.symmetric_max(x)
        yield lambda x=x: integer.sawb(x)
        yield lambda x=x: integer.quantise(x, integer.range_of(x)).dequantise()
        yield lambda p=peak: integer.pact(p)
        yield lambda x=x, p=peak: integer.pact_mask(x, float(p))
        yield lambda p=peak: Dyadic.nearest(p)
        yield lambda p=peak: updated(p)
        for scale in (1.0, 2.0**-1022, 3 * TINY, 2.0**520):
            rng_ = integer.Range(INT4_SYM, scale)
            yield lambda x=x, r=rng_: integer.encode(x, r)
            yield lambda x=x, r=rng_, w=words: integer.encode(x, r, words=w, bits=12)
            yield lambda r=rng_: integer.decode(np.arange(-7, 8), r)
            for fmt, phase in ((FP4_R4, Phase.ODD), (FP4_R2, Phase.EVEN)):
                codes = Quantised(np.arange(16), fmt, scale, phase=phase)
                yield lambda q=codes: q.dequantise()
                yield lambda q=codes: q.mac_scale
        for fmt in (FP4_R4, FP4_R2):
            yield lambda x=x, f=fmt: logfp4.encode(x, f)
            yield lambda x=x, f=fmt, w=words: logfp4.encode(x, f, words=w, bits=12)
        yield lambda x=x: logfp4.joint_encode(x)


def outcome(call) -> tuple[str, object]:
    try:
        found = call()
    except ValueError as error:
        return "error", str(error)
    array = np.asarray(found)
    return "value", array.tobytes() if array.dtype.kind in "fiub" else repr(found)


def main(library: str, *modes: str) -> None:
    flush, rng = ctypes.CDLL(library).flush, np.random.default_rng(1)
    on = tuple(map(int, modes))
    work = list(calls(rng))
    gemms = []
    for a_fmt in A_FORMATS:
        for b_fmt in B_FORMATS:
            k = min(3 * exact_depth(a_fmt, b_fmt), 3000)
            gemms.append((random_codes(rng, a_fmt, (9, k)), a_fmt,
                          random_codes(rng, b_fmt, (7, k)), b_fmt))
    jobs = [random_job(rng, CONFIG) for _ in range(150)]
    plain, other = GoldenBackend(CONFIG), GoldenBackend(CONFIG)
    assert not flushing()
    expected = [outcome(call) for call in work], [gemm(*operands) for operands in gemms], [
        plain.run(job) for job in jobs]
    flush(*on)
    assert flushing()
    found = [outcome(call) for call in work], [gemm(*operands) for operands in gemms], [
        other.run(job) for job in jobs]
    flush(0, 0)
    assert all(map(np.array_equal, expected[1], found[1]))
    differences = [first_difference(*pair) for pair in zip(expected[2], found[2], strict=True)]
    assert not any(differences), differences
    counts: Counter[str] = Counter()
    for i, (want, got) in enumerate(zip(expected[0], found[0], strict=True)):
        refused = got[0] == "error" and "flush-to-zero" in got[1]
        assert refused or want == got, f"call {i}: {want} became {got}"
        counts["refused" if refused else "same"] += 1
    print(counts["same"], counts["refused"])


if __name__ == "__main__":
    main(*sys.argv[1:])
