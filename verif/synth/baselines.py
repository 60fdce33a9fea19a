# SPDX-License-Identifier: Apache-2.0
"""Verilated baselines against their models: `python -m verif.synth.baselines --vectors N`."""

import ctypes
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.emit.verilog import write_verilog
from hdl.library import module_name
from synth.baselines.float_mac import FloatMac
from synth.baselines.minifloat import MiniFloat, fma
from synth.baselines.pipeline import Mac, MacParameters
from synth.cells import designs
from tools.arguments import Parser, integer, one_of, seed
from tools.cache import cached, digest
from tools.verilator import CONTROL, OPTIONS, make_flags, run, tool_versions, verilator_bin

BASELINES: dict[str, type[Mac]] = {module_name(mac): mac for mac in designs.BASELINES}
HARNESS = Path(__file__).with_name("mac_harness.cpp")
LIBRARY = "libmac_model.so"


@dataclass(frozen=True)
class Operations:
    """What each sum is to do: arrays of (step, sum)."""

    a: np.ndarray
    b: np.ndarray
    enable: np.ndarray
    first: np.ndarray

class Macs(wiring.Component):
    """Several multiply-accumulators side by side, each with a word of its own in every port.

    Members: operands : In, a and b. control : In, enable and first. acc : Out.
    """

    def __init__(self, macs: list[Mac]):
        self.macs = macs
        super().__init__({"operands": In(32 * len(macs)), "control": In(32 * len(macs)),
                          "acc": Out(32 * len(macs))})

    def elaborate(self, platform):
        m = Module()
        for i, mac in enumerate(self.macs):
            m.submodules[f"mac_{i}"] = mac
            operands = self.operands.word_select(i, 32)
            m.d.comb += [
                mac.a.eq(operands[:16]),
                mac.b.eq(operands[16:]),
                Cat(mac.enable, mac.first).eq(self.control.word_select(i, 32)),
                self.acc.word_select(i, 32).eq(mac.acc),
            ]
        return m


def verilog(macs: list[Mac]) -> str:
    return write_verilog(rtlil.convert(Macs(macs), name="tetra_macs"), ["tetra_macs"])["tetra_macs"]


def simulate(text: str, operands: np.ndarray, control: np.ndarray) -> np.ndarray:
    """`acc` after every cycle; all are arrays of words, (cycle, mac)."""
    options = ["--cc", "--lib-create", "mac_model", "--prefix", "Vmodel", "--top-module",
               "tetra_macs", *OPTIONS, "-MAKEFLAGS", f"{make_flags()} OPT_FAST=-O1 OPT_SLOW=-O0",
               "-CFLAGS", f"-fPIC -DMACS={operands.shape[1]}"]

    def make(folder):
        source = folder / "tetra_macs.v"
        source.write_text(text)
        run([str(verilator_bin() / "verilator"), *options, str(CONTROL), str(source), str(HARNESS),
             "-Mdir", ".", "--build"], folder, "building the verilated baselines")

    key = digest(text, CONTROL.read_bytes(), HARNESS.read_bytes(), *options, *tool_versions())
    library = ctypes.CDLL(str(cached("macs", key, [LIBRARY], make) / LIBRARY))
    acc = np.empty(operands.shape, np.uint32)
    arrays = [np.ascontiguousarray(operands, np.uint32), np.ascontiguousarray(control, np.uint32)]
    library.macs_run(ctypes.c_int64(len(acc)),
                     *(ctypes.c_void_p(x.ctypes.data) for x in (*arrays, acc)))
    return acc


def model(mac: Mac, operations: Operations) -> np.ndarray:
    """The sums after every operation, by the golden models."""
    acc = np.zeros(operations.a.shape[1], np.int64)
    found = np.empty(operations.a.shape, np.int64)
    for step in range(len(found)):
        a, b = operations.a[step], operations.b[step]
        acc = np.where(operations.first[step], 0, acc)
        if isinstance(mac, FloatMac):
            total = fused(mac, a, b, acc)
        else:
            total = (acc + a.astype(np.int8).astype(np.int64) * b.astype(np.int8)) % 2 ** 32
        acc = np.where(operations.enable[step], total, acc)
        found[step] = acc
    return found


def fused(mac: FloatMac, a, b, c) -> np.ndarray:
    """`synth.baselines.minifloat.fma` of arrays."""
    return np.array([fma(mac.a_format, mac.b_format, mac.format, *codes)
                     for codes in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)])


def differences(macs: list[Mac], count: int, seed: int) -> list[str | None]:
    """For each, the first difference between RTL and model in at least `count` operations."""
    todo = [operations(mac, count, seed) for mac in macs]
    cycles = max(ops.a.size + mac.latency for mac, ops in zip(macs, todo, strict=True))
    operands, control = np.zeros((2, cycles, len(macs)), np.uint32)
    for i, ops in enumerate(todo):
        operands[:ops.a.size, i] = (ops.a | ops.b << 16).ravel()
        control[:ops.a.size, i] = (ops.enable | ops.first << 1).ravel()
    acc = simulate(verilog(macs), operands, control)
    return [_difference(mac, ops, acc[mac.latency - 1:, i])
            for i, (mac, ops) in enumerate(zip(macs, todo, strict=True))]


def _difference(mac: Mac, ops: Operations, acc: np.ndarray) -> str | None:
    expected = model(mac, ops)
    found = acc[:expected.size].reshape(expected.shape)
    wrong = np.argwhere(found != expected)
    if not len(wrong):
        return None
    step, lane = at = tuple(wrong[0])
    before = hex(expected[step - 1, lane]) if step else "nothing"
    return (f"{module_name(type(mac))}, stages = {mac.config.stages}: {len(wrong)} of "
            f"{expected.size} sums differ, first in step {step} of sum {lane}: {ops.a[at]:#x} x "
            f"{ops.b[at]:#x} + {before} (enable {ops.enable[at]}, first {ops.first[at]}) gave "
            f"{found[at]:#x}, expected {expected[at]:#x}")


def check(macs: list[Mac], count: int, seed: int) -> None:
    """AssertionError with the first difference of each that has one."""
    if found := [text for text in differences(macs, count, seed) if text]:
        raise AssertionError("\n".join([
            *found,
            f"repeat with: python -m verif.synth.baselines --vectors {count} --seed {seed}"]))


def variants(name: str) -> list[Mac]:
    """A baseline at every depth."""
    return [BASELINES[name](MacParameters(stages)) for stages in range(len(BASELINES[name].cuts))]


def draw(fmt: MiniFloat, shape, rng, exponent=None) -> np.ndarray:
    """Codes, uniform but for corners; of given exponents, held in the format's range."""
    fraction = rng.integers(2 ** fmt.fraction, size=shape)
    corner = rng.choice([0, 1, 2 ** fmt.fraction - 1, 2 ** fmt.fraction // 2], size=shape)
    fraction = np.where(rng.random(shape) < 0.3, corner, fraction)
    if exponent is None:
        exponent = rng.integers(fmt.top + 1, size=shape)
        corner = rng.choice([0, 1, fmt.top - 1, fmt.top], size=shape)
        exponent = np.where(rng.random(shape) < 0.05, corner, exponent)
    exponent = np.clip(exponent, 0, fmt.top)
    return (rng.integers(2, size=shape) << fmt.width - 1) | exponent << fmt.fraction | fraction


def float_operations(mac: FloatMac, count: int, rng) -> Operations:
    """Episodes of three: a sum is set, met by a product near it or by its negative, and added to.

    Every distance between the exponents of sum and product has its share, and so have products
    that cancel the sum but for the last places.
    """
    fmt, a_fmt, b_fmt = mac.format, mac.a_format, mac.b_format
    shape = (-(-count // (3 * mac.interleave)), mac.interleave)
    a, b = ([draw(x, shape, rng) for _ in range(3)] for x in (a_fmt, b_fmt))
    if a_fmt == fmt:  # the sum becomes any code: times one
        loaded = rng.random(shape) < 0.7
        b[0] = np.where(loaded, b_fmt.bias << b_fmt.fraction, b[0])
    exponents = [x[0] >> y.fraction & y.top for x, y in ((a, a_fmt), (b, b_fmt))]
    here = exponents[0] + exponents[1]  # of the sum, counted as a product's
    precision = fmt.precision + a_fmt.precision + b_fmt.precision
    distance = rng.integers(-precision, precision + 1, size=shape)
    near = draw(b_fmt, shape, rng, here + distance - (a[1] >> a_fmt.fraction & a_fmt.top))
    b[1] = np.where(rng.random(shape) < 0.6, near, b[1])
    cancel = rng.random(shape) < 0.3
    a[1] = np.where(cancel, a[0] ^ 1 << a_fmt.width - 1 ^ rng.integers(4, size=shape), a[1])
    b[1] = np.where(cancel, b[0], b[1])
    enable = [rng.random(shape) < chance for chance in (0.98, 0.95, 0.8)]
    first = [np.ones(shape), np.zeros(shape), rng.random(shape) < 0.05]
    return Operations(*(np.stack(x, axis=1).astype(np.int64).reshape(-1, mac.interleave)
                        for x in (a, b, enable, first)))


def every_product(mac: Mac, rng) -> Operations:
    """Every a with every b of eight bits, each to a new sum; then the same, added up at random."""
    codes = np.arange(2 ** 16)
    pad = -len(codes) % mac.interleave
    a, b = (np.append(x, np.zeros(pad, int)) for x in (codes >> 8, codes & 255))
    order = rng.permutation(len(a))
    first = np.append(np.ones(len(a), int), rng.random(len(a)) < 0.01)
    enable = np.append(np.ones(len(a), int), rng.random(len(a)) < 0.9)
    return Operations(*(x.reshape(-1, mac.interleave) for x in (
        np.append(a, a[order]), np.append(b, b[order]), enable, first)))


def operations(mac: Mac, count: int, seed: int) -> Operations:
    """At least `count` operations, of which none depends on what was before the first."""
    rng = np.random.default_rng(seed)
    parts = [] if mac.a.shape().width > 8 else [every_product(mac, rng)]
    if isinstance(mac, FloatMac):
        parts.append(float_operations(mac, count, rng))
    while sum(part.a.size for part in parts) < count:
        parts.append(every_product(mac, rng))
    found = Operations(*(np.concatenate([getattr(part, name) for part in parts])
                         for name in ("a", "b", "enable", "first")))
    found.first[0] = 1
    return found


def long_run(module: str, doc: str, blocks: Collection[str], vectors: int,
             run: Callable[[str, int, int], Iterable[str]]) -> int:
    """The program of a long run: `run(block, vectors, seed)` says what has been found equal."""
    parser = Parser(f"python -m {module}", doc)
    parser.add_argument("--block", default="", type=one_of(["", *blocks]))
    parser.add_argument("--vectors", type=integer(1, 10**9), default=vectors)
    parser.add_argument("--seed", type=seed, default=1)
    o = parser.parse_args()
    for name in [o.block] if o.block else blocks:
        for what in run(name, o.vectors, o.seed):
            print(f"{what}, {o.vectors:,} operations each, agree", flush=True)
    return 0


def run_variants(name: str, vectors: int, seed: int) -> Iterable[str]:
    macs = variants(name)
    check(macs, vectors, seed)
    yield f"{name}: {len(macs)} depths"


def main() -> int:
    return long_run("verif.synth.baselines", __doc__, BASELINES, 1_000_000, run_variants)


if __name__ == "__main__":
    sys.exit(main())
