# SPDX-License-Identifier: Apache-2.0
"""Verilated dot products against their models: `python -m verif.synth.dots --vectors N`."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.emit.verilog import write_verilog
from hdl.library import module_name
from synth.baselines.block_dots import BlockDot, MxFp4Dot
from synth.baselines.exact_dots import ExactDot
from synth.baselines.golden import step, word
from synth.baselines.int8 import Int8Dot
from synth.baselines.pipeline import Mac
from synth.cells.designs import DOTS, dot_parameters
from verif.synth.baselines import draw, long_run, simulate

WORD = 32


@dataclass(frozen=True)
class DotOperations:
    """What each sum is to do: `a`, `b` (step, sum, lane) and their scales (step, sum), which only
    blocks have; `enable`, `first` (step, sum)."""

    a: np.ndarray
    b: np.ndarray
    scale_a: np.ndarray
    scale_b: np.ndarray
    enable: np.ndarray
    first: np.ndarray


class Dots(wiring.Component):
    """Dot products side by side, all bits of a kind in one port, in words.

    Members: operands : In, of each a and above it b, from a whole word on. control : In, of each
    enable and first, in a word. acc : Out, the sums, likewise from a whole word on. All three have
    as many words as the longest needs.
    """

    def __init__(self, dots: list[Mac]):
        self.dots = dots
        # three, or it is no array of words
        self.words = max(sum(map(words, dots)), sum(map(sum_words, dots)), 3)
        super().__init__({"operands": In(WORD * self.words), "control": In(WORD * self.words),
                          "acc": Out(WORD * self.words)})

    def elaborate(self, platform):
        m = Module()
        at = sums_at = 0
        for i, dot in enumerate(self.dots):
            m.submodules[f"dot_{i}"] = dot
            a_bits, b_bits = len(dot.a), len(dot.b)
            operands = self.operands[WORD * at:]
            m.d.comb += [
                dot.a.eq(operands[:a_bits]), dot.b.eq(operands[a_bits:a_bits + b_bits]),
                Cat(dot.enable, dot.first).eq(self.control.word_select(i, WORD)),
                self.acc[WORD * sums_at:][:len(dot.acc)].eq(dot.acc),
            ]
            at += words(dot)
            sums_at += sum_words(dot)
        return m


def words(dot: Mac) -> int:
    return -(-(len(dot.a) + len(dot.b)) // WORD)


def sum_words(dot: Mac) -> int:
    return -(-len(dot.acc) // WORD)


def model(dot: Mac, ops: DotOperations) -> np.ndarray:
    """The sums after every operation, which may be wider than numpy's integers."""
    found = np.zeros(ops.enable.shape, object)
    for at in np.ndindex(*found.shape):
        before = int(found[at[0] - 1, at[1]]) if at[0] and not ops.first[at] else 0
        found[at] = before if not ops.enable[at] else step(
            dot, ops.a[at].tolist(), ops.b[at].tolist(), before, int(ops.scale_a[at]),
            int(ops.scale_b[at]))
    return found


def packed(dot: Mac, ops: DotOperations) -> np.ndarray:
    """The operands of each operation, (operation, word)."""
    whole = [word(dot, dot.a, ops.a[at].tolist(), int(ops.scale_a[at]))
             | word(dot, dot.b, ops.b[at].tolist(), int(ops.scale_b[at])) << len(dot.a)
             for at in np.ndindex(*ops.enable.shape)]
    return np.array([np.frombuffer(each.to_bytes(4 * words(dot), "little"), np.uint32)
                     for each in whole])


def differences(dots: list[Mac], count: int, seed: int) -> list[str | None]:
    """For each, the first difference between RTL and model in at least `count` operations."""
    todo = [operations(dot, count, seed) for dot in dots]
    cycles = max(ops.enable.size + dot.latency for dot, ops in zip(dots, todo, strict=True))
    bench = Dots(dots)
    operands, control = np.zeros((2, cycles, bench.words), np.uint32)
    at = 0
    for i, (dot, ops) in enumerate(zip(dots, todo, strict=True)):
        operands[:ops.enable.size, at:at + words(dot)] = packed(dot, ops)
        control[:ops.enable.size, i] = (ops.enable | ops.first << 1).ravel()
        at += words(dot)
    text = write_verilog(rtlil.convert(bench, name="tetra_macs"), ["tetra_macs"])["tetra_macs"]
    acc = simulate(text, operands, control)
    at = [0, *accumulate(map(sum_words, dots))]
    return [_difference(dot, ops, acc[dot.latency - 1:, start:end])
            for dot, ops, (start, end) in zip(dots, todo, pairwise(at), strict=True)]


def _difference(dot: Mac, ops: DotOperations, acc: np.ndarray) -> str | None:
    expected = model(dot, ops)
    sums = sum(acc[:expected.size, i].astype(object) << WORD * i for i in range(acc.shape[1]))
    if isinstance(dot, ExactDot):  # beside no number nothing counts
        sums = np.where(sums >> dot.width, 1 << dot.width, sums)
    found = sums.reshape(expected.shape)
    wrong = np.argwhere(found != expected)
    if not len(wrong):
        return None
    at = tuple(wrong[0])
    before = hex(expected[at[0] - 1, at[1]]) if at[0] else "nothing"
    what = [part[at].tolist() for part in (ops.a, ops.b, ops.scale_a, ops.scale_b)]
    return (f"{described(dot)}: {len(wrong)} of {expected.size} sums differ, first in step {at[0]} "
            f"of sum {at[1]}: operands and scales {what} to {before} (enable {ops.enable[at]}, "
            f"first {ops.first[at]}) gave {found[at]:#x}, expected {expected[at]:#x}")


def described(dot: Mac) -> str:
    of = dot.config
    return f"{module_name(type(dot))} of {of.variant}, stages = {of.stages}"


def check(dots: list[Mac], count: int, seed: int) -> None:
    """AssertionError with the first difference of each that has one."""
    if found := [text for text in differences(dots, count, seed) if text]:
        raise AssertionError("\n".join([
            *found, f"repeat with: python -m verif.synth.dots --vectors {count} --seed {seed}"]))


def operations(dot: Mac, count: int, seed: int) -> DotOperations:
    """Episodes of three: a sum is set, met by what is near it or by its negative with few lanes
    changed, and added to.

    Floating-point codes of a product lie near each other, so that all of them count, or anywhere.
    """
    rng = np.random.default_rng(seed)
    if isinstance(dot, Int8Dot):
        return _integers(dot, count, rng)
    sums, lanes = dot.interleave, dot.lanes
    shape = (-(-count // (3 * sums)), sums)
    steps = [_operands(dot, shape, lanes, rng) for _ in range(3)]
    a, b, scale_a, scale_b = (list(part) for part in zip(*steps, strict=True))
    top = 1 << (4 if isinstance(dot, BlockDot) else dot.a_format.width) - 1
    again = rng.random(shape) < 0.6  # the same once more, negative, but for a lane or two
    changed = rng.random((*shape, lanes)) < 1.5 / lanes
    keep = again[..., None] & ~changed
    a[1] = np.where(keep, a[0] ^ top, a[1])
    b[1] = np.where(keep, b[0], b[1])
    near = rng.integers(-2, 3, size=shape) * (rng.random(shape) < 0.3)
    for scale in (scale_a, scale_b) if isinstance(dot, BlockDot) else ():
        scale[1] = np.where(again, np.clip(scale[0] + near, 0, 255), scale[1])
    enable = [rng.random(shape) < chance for chance in (0.98, 0.95, 0.8)]
    first = [np.ones(shape), np.zeros(shape), rng.random(shape) < 0.05]
    parts = [np.stack(part, axis=1).astype(np.int64) for part in (
        a, b, scale_a, scale_b, enable, first)]
    found = DotOperations(*(part.reshape(-1, sums, *part.shape[3:]) for part in parts))
    found.first[0] = 1
    return found


def _integers(dot: Int8Dot, count: int, rng) -> DotOperations:
    """Episodes of some steps, of codes of which many are the largest or the least; then the largest
    products until the sum is beyond 2^31, which a few lanes would take too long for."""
    climb = 2 ** 31 // (dot.lanes << 14) + 2 if dot.lanes == 32 else 0
    shape = (count + climb, 1, dot.lanes)
    corners = rng.random(shape[:2])[..., None] < 0.5
    a, b = (np.where(corners & (rng.random(shape) < 0.7), rng.choice([-128, 127, 0, -1], shape),
                     rng.integers(-128, 128, size=shape)) for _ in range(2))
    enable, first = rng.random(shape[:2]) < 0.9, rng.random(shape[:2]) < 0.1
    a[count:], b[count:], enable[count:], first[count:] = -128, -128, 1, 0
    first[0] = 1
    none = np.zeros(shape[:2], np.int64)
    return DotOperations(a, b, none, none, enable.astype(np.int64), first.astype(np.int64))


def _operands(dot: Mac, shape, lanes: int, rng):
    """a, b, and scales, mostly such that sums stay in range."""
    sparse = rng.random((*shape, 1)) < 0.2  # products that cancel, or that are few
    if isinstance(dot, BlockDot):
        a, b = (rng.integers(16, size=(*shape, lanes)) for _ in range(2))
        a = np.where(sparse & (rng.random(a.shape) < 0.9), 0, a)
        middle, spread = (127, 40) if isinstance(dot, MxFp4Dot) else (56, 40)
        scales = [np.where(rng.random(shape) < 0.9,
                           np.clip(rng.normal(middle, spread / 2, shape), 0, 255).astype(int),
                           rng.integers(256, size=shape)) for _ in range(2)]
        if not isinstance(dot, MxFp4Dot):
            scales = [scale & 127 for scale in scales]
        return a, b, *scales
    spread = rng.choice([1, 4, 100], size=(*shape, 1))
    codes = []
    for fmt in (dot.a_format, dot.b_format):
        middle = rng.normal(fmt.bias, fmt.top / 8, (*shape, 1))
        exponent = np.rint(middle + spread * rng.normal(0, 1, (*shape, lanes))).astype(int)
        plain = draw(fmt, (*shape, lanes), rng, np.clip(exponent, 0, fmt.top - 1))
        codes.append(np.where(rng.random((*shape, 1)) < 0.9, plain,
                              draw(fmt, (*shape, lanes), rng)))
    codes[0] = np.where(sparse & (rng.random(codes[0].shape) < 0.9), 0, codes[0])
    none = np.zeros(shape, int)
    return *codes, none, none


def run_variants(name: str, vectors: int, seed: int) -> Iterable[str]:
    """Every parameter set of the sweep at every depth, each in a model of its own: several units of
    32 lanes in one take a compiler longer than one after the other."""
    kind = DOTS[name]
    for parameters in dot_parameters(kind):
        for stages in range(len(kind.cuts)):
            dot = kind(replace(parameters, stages=stages))
            check([dot], vectors, seed)
            yield described(dot)


def main() -> int:
    return long_run("verif.synth.dots", __doc__, DOTS, 1_000, run_variants)


if __name__ == "__main__":
    sys.exit(main())
