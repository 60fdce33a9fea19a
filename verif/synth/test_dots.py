# SPDX-License-Identifier: Apache-2.0
"""Dot products of the baselines: their models against fractions and ml_dtypes, their RTL against
the models."""

from fractions import Fraction
from math import floor
from unittest.mock import patch

import ml_dtypes
import numpy as np
import pytest
from amaranth.hdl import Cat, Const

from synth.baselines import block_dots, dot_model, dot_products, exact_dots, int8, pipeline
from synth.baselines.block_dots import MxFp4Dot, NvFp4Dot
from synth.baselines.dot_model import Term, accumulate
from synth.baselines.dot_products import Bf16Dot, Dlfloat16Dot, DotParameters, Fp8Dot, Fp16Dot
from synth.baselines.exact_dots import (
    Dlfloat16ExactDot,
    ExactDot,
    Fp8ExactDot,
    Fp16ExactDot,
)
from synth.baselines.golden import step, term
from synth.baselines.int8 import Int8Dot
from synth.baselines.minifloat import (
    BFLOAT16,
    BINARY16,
    DLFLOAT16,
    FP8_143,
    FP8_152,
    SINGLE,
    MiniFloat,
)
from synth.baselines.pipeline import LaneParameters, Mac, MacParameters
from synth.cells.designs import DOTS, dot_parameters, dots
from verif.synth.dots import check, differences, operations
from verif.synth.float_oracle import value

SEED = 20261127
TOY = MiniFloat("1-4-3 lean", 4, 3, 7, ieee=False)
E2M1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(float).tolist()
E8M0 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(float).tolist()
E4M3 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(float).tolist()


def worth(found: Term) -> Fraction:
    assert found.m < 2 ** found.width
    return (-1) ** found.sign * found.m * Fraction(2) ** found.x


@pytest.mark.parametrize("of, scales", [(dot_model.mxfp4, E8M0), (dot_model.nvfp4, E4M3[:128])],
                         ids=["mxfp4", "nvfp4"])
def test_blocks_are_exact(of, scales):
    """Every product of codes, every scale, random blocks, against ml_dtypes' values."""
    rng = np.random.default_rng(SEED)
    blocks = [([a] * 4, [b, 0, 8, 0]) for a in range(16) for b in range(16)]
    blocks += [tuple(rng.integers(16, size=(2, 32)).tolist()) for _ in range(300)]
    blocks += [([15] * 32, [7] * 32), ([7] * 32, [7] * 32)]
    for number, (a, b) in enumerate(blocks):
        scale_a, scale_b = number % len(scales), int(rng.integers(len(scales)))
        found = of(a, b, scale_a, scale_b)
        factors = scales[scale_a], scales[scale_b]
        assert found.symbol == any(np.isnan(factors))
        if not found.symbol:
            exact = sum(Fraction(E2M1[x]) * Fraction(E2M1[y]) for x, y in zip(a, b, strict=True))
            assert worth(found) == exact * Fraction(factors[0]) * Fraction(factors[1])


@pytest.mark.parametrize("fmt, dtype", [(BFLOAT16, ml_dtypes.bfloat16), (SINGLE, np.float32)])
def test_wide_formats_are_those_of_others(fmt, dtype):
    """Every normal number of bfloat16, and random ones of binary32, but for the symbol's code."""
    codes = (np.arange(2 ** 16) if fmt.width == 16 else
             np.random.default_rng(SEED).integers(2 ** 32, size=3000)).astype(
                 np.uint16 if fmt.width == 16 else np.uint32)
    with np.errstate(invalid="ignore"):
        numbers = codes.view(dtype).astype(float)
    for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
        if np.isfinite(number) and fmt.fields(code)[1]:
            sign, m, x = fmt.decode(code)
            assert (-1) ** sign * m * 2.0 ** x == number


FLOATS = {"1-6-9": (DLFLOAT16, DLFLOAT16), "binary16": (BINARY16, BINARY16),
          "bfloat16": (BFLOAT16, BFLOAT16), "FP8": (FP8_143, FP8_152)}


@pytest.mark.parametrize("formats", FLOATS.values(), ids=FLOATS)
@pytest.mark.parametrize("kept", [12, 15, 60])
def test_products_are_cut_off_below_the_largest(formats, kept):
    """Each towards zero, at a place that the largest exponent gives; fractions say what is left."""
    rng = np.random.default_rng(SEED)
    cut = 0
    for _ in range(300):
        lanes = int(rng.choice([4, 8]))
        codes = [[int(rng.integers(2 ** fmt.width)) & ~(1 << fmt.width - 2) for _ in range(lanes)]
                 for fmt in formats]
        if rng.random() < 0.2:
            codes[0][1:] = [0] * (lanes - 1)
        found = dot_model.aligned(*formats, kept, *codes)
        assert not found.symbol
        products = [value(formats[0], a) * value(formats[1], b)
                    for a, b in zip(*codes, strict=True)]
        places = [sum(fmt.decode(code)[2] + fmt.precision for fmt, code in (
            (formats[0], a), (formats[1], b)))
            for (a, b), product in zip(zip(*codes, strict=True), products, strict=True) if product]
        unit = Fraction(2) ** (max(places, default=0) - kept)
        left = [floor(abs(p) / unit) * unit * (1 if p > 0 else -1) for p in products]
        assert worth(found) == sum(left)
        cut += left != products
    assert kept > 12 or cut > 50


EXACT = (Dlfloat16ExactDot, Fp16ExactDot, Fp8ExactDot)


@pytest.mark.parametrize("kind", EXACT)
def test_fixed_point_has_room_for_every_product(kind):
    """The least and the largest of either sign, and random ones, against fractions."""
    made = kind(LaneParameters(lanes=4))
    made._MustUse__used = True
    rng, unit, extremes = np.random.default_rng(SEED), Fraction(1, 2 ** made.scale), []
    for fmt in made.formats:
        finite = [code for code in range(2 ** fmt.width) if not (fmt.is_nan(code)
                                                                 or fmt.is_inf(code))]
        ordered = sorted((code for code in finite if value(fmt, code)),
                         key=lambda code: abs(value(fmt, code)))
        extremes.append((ordered[0], ordered[-1], finite))
    (least_a, most_a, codes_a), (least_b, most_b, codes_b) = extremes
    for a, b in ((least_a, least_b), (most_a, most_b), *zip(
            rng.choice(codes_a, 500).tolist(), rng.choice(codes_b, 500).tolist(), strict=True)):
        found, symbol = dot_model.exact(*made.formats, made.scale, [a, 0, a], [b, b, b])
        assert found * unit == 2 * value(made.formats[0], a) * value(made.formats[1], b)
        assert not symbol and abs(found) < 2 << made.reach
    # no bit too many: of odd significands the lowest place is in use, and the highest is
    odd, most = (dot_model.exact(*made.formats, made.scale, [a], [b])[0]
                 for a, b in ((least_a | 1, least_b | 1), (most_a, most_b)))
    assert odd % 2 and abs(most).bit_length() == made.reach
    if DLFLOAT16 not in made.formats:  # which has no significand without its leading one
        with pytest.raises(ValueError, match=r"expected \d+ or more"):
            dot_model.exact(*made.formats, made.scale - 9, [least_a], [least_b])


def test_no_number_stays_until_a_sum_begins():
    made = Fp16ExactDot(LaneParameters(lanes=4))
    made._MustUse__used = True
    codes = [0x3C00, 0, 0, 0]
    there = step(made, [0x7C00, 0, 0, 0], codes, 0)
    assert there >> made.width == 1 and step(made, codes, codes, there) >> made.width == 1
    assert step(made, codes, codes, 0) == 2 ** made.scale


def test_no_number_makes_the_symbol():
    for fmt, code in ((DLFLOAT16, DLFLOAT16.nan), (BINARY16, 0x7C00), (BINARY16, 0xFE00)):
        assert dot_model.aligned(fmt, fmt, 16, [0, code, 0, 0], [0] * 4).symbol
    assert accumulate(TOY, 8, Term(1, 1, 0, 4, True), 5) == TOY.nan
    negative = TOY.nan | 1 << TOY.width - 1  # which stays as it is
    assert accumulate(TOY, 8, Term(0, 1, 0, 4, True), negative) == negative


def joined(fmt: MiniFloat, frame: int, found: Term, code: int) -> Fraction:
    """What is left of sum and term, by fractions: both cut off in the frame, the result as well."""
    exact, here = worth(found), value(fmt, code)
    tops = found.x + found.width - 1, max((code & 2 ** (fmt.width - 1) - 1) >> fmt.fraction, 0)
    tops = tops[0], tops[1] - fmt.bias
    unit = Fraction(2) ** ((max(tops) if exact else tops[1]) - frame + 1)
    total = sum(floor(abs(x) / unit) * unit * (1 if x > 0 else -1) for x in (exact, here))
    if not total:
        return total
    one = Fraction(1)
    while one > abs(total):
        one /= 2
    while one * 2 <= abs(total):
        one *= 2
    last = one / 2 ** fmt.fraction
    return floor(abs(total) / last) * last * (1 if total > 0 else -1)


def test_every_sum_of_a_small_format():
    """Every code with terms of every size that it can meet."""
    frame, limit = 8, value(TOY, TOY.nan - 1)
    least = Fraction(2) ** (1 - TOY.bias)
    same = 0
    for code in range(2 ** TOY.width):
        if TOY.is_nan(code) or (code and value(TOY, code) == 0):
            continue
        for m in (0, 1, 2, 7, 8, 11, 15):
            for x in range(-14, 9):
                found = Term(code >> 2 & 1, m, x, 5)
                expected, result = joined(TOY, frame, found, code), accumulate(
                    TOY, frame, found, code)
                if abs(expected) > limit:
                    assert result == TOY.inf(int(expected < 0))
                elif abs(expected) < least:
                    assert result == 0
                else:
                    assert value(TOY, result) == expected
                    same += expected == worth(found) + value(TOY, code)
    assert same > 10_000  # where nothing is lost it is the sum


@pytest.mark.parametrize("fmt, frame", [(BINARY16, 30), (TOY, 3), (TOY, 5)])
def test_a_frame_has_room(fmt, frame):
    with pytest.raises(ValueError, match=rf"a frame of {frame} bits: expected a lean format and at "
                       r"least \d+"):
        accumulate(fmt, frame, Term(0, 1, 0, 5), 0)


def some():
    """Each kind, uncut, cut everywhere and between."""
    return [Dlfloat16Dot(DotParameters(0, 4, DLFLOAT16)), Fp16Dot(DotParameters(4, 4, SINGLE)),
            Bf16Dot(DotParameters(9, 4, DLFLOAT16)), Fp8Dot(DotParameters(6, 8, SINGLE)),
            MxFp4Dot(DotParameters(7, 32, SINGLE)), MxFp4Dot(DotParameters(3, 4, DLFLOAT16)),
            NvFp4Dot(DotParameters(8, 16, SINGLE)), NvFp4Dot(DotParameters(2, 4, DLFLOAT16)),
            *(Int8Dot(LaneParameters(*of)) for of in ((0, 4), (2, 8), (3, 16), (4, 32))),
            *(Fp8ExactDot(LaneParameters(*of)) for of in ((0, 8), (1, 4), (5, 16))),
            Dlfloat16ExactDot(LaneParameters(3, 4)), Fp16ExactDot(LaneParameters(4, 4)),
            Fp16ExactDot(LaneParameters(2, 4))]


def test_rtl_is_the_model():
    check(some(), 1500, SEED)


def test_operations_reach_what_matters():
    """Cancellation, sums that stay, far distances either way, zeros and symbols."""
    for dot in (Dlfloat16Dot(DotParameters(0, 4, DLFLOAT16)),
                MxFp4Dot(DotParameters(3, 4, DLFLOAT16))):
        dot._MustUse__used = True  # looked at only
        fmt, ops, seen = dot.config.format, operations(dot, 3000, SEED), dict.fromkeys(
            ("cancelled", "unchanged", "replaced", "zero", "symbol", "opposite"), 0)
        for lane in range(ops.enable.shape[1]):
            before = 0
            for number in range(len(ops.enable)):
                if ops.first[number, lane]:
                    before = 0
                if not ops.enable[number, lane]:
                    continue
                found = term(dot, *(part[number, lane].tolist() for part in (
                    ops.a, ops.b, ops.scale_a, ops.scale_b)))
                after = accumulate(fmt, dot.frame, found, before)
                alone = accumulate(fmt, dot.frame, found, 0)
                exponents = [code >> fmt.fraction & fmt.top for code in (before, alone, after)]
                seen["cancelled"] += 0 < exponents[2] < min(exponents[:2]) - 2
                seen["unchanged"] += before == after != 0
                seen["replaced"] += before != 0 and after == alone != 0
                seen["zero"] += after == 0
                seen["symbol"] += fmt.is_nan(after)
                seen["opposite"] += before != 0 and (before >> fmt.width - 1) != found.sign
                before = after
        assert min(seen.values()) > 10, seen


FAULTS = {  # what is wrong: a function of the datapath, and what it becomes
    "what is shifted far out comes back": (
        dot_products, "shift_down", lambda real: lambda m, value, amount:
            real(m, value, amount[:(len(value) - 1).bit_length()])),
    "nothing is aligned": (
        dot_products, "shift_down", lambda real: lambda m, value, amount: value),
    "subnormal codes count double": (
        block_dots, "_e2m1", lambda real: lambda m, code: (real(m, code)[0], code[1:3])),
    "a difference keeps its sign": (
        dot_products, "magnitude", lambda real: lambda *args:
            (real(*args)[0], Const(0, 1), None)),
    "what is subtracted has more below": (
        dot_products, "magnitude", lambda real: lambda *args: real(*args[:-1], Const(1, 1))),
    "leading zeros are not counted": (
        dot_products, "normalise", lambda real: lambda *args:
            (*(found := real(*args))[:2], found[2] & ~1)),
}
INTEGER_FAULTS = {
    "a carry of the tree is lost": (
        pipeline, "lower", lambda real: lambda m, columns, height:
            (real(m, columns, height), columns[9].pop())),
    "the upper half takes no carry": (
        int8, "add", lambda real: lambda m, x, y: Cat(real(m, x, y)[:15 + 2], Const(0, 2))),
}
ACCUMULATOR = 22 + 58 + 2 + exact_dots.HEADROOM + 1  # bits, of four products in binary16
EXACT_FAULTS = {
    "the farthest shift is missing": (
        ExactDot, "_shifted", lambda real: lambda self, m, size, amount:
            real(self, m, size, Cat(amount[:-1], 0))),
    "a negative product lacks its one": (
        exact_dots, "signed_columns", lambda real: lambda products:
            [(found := real(products))[0][:-1], *found[1:]]),
    "what is added has no sign": (
        exact_dots, "add", lambda real: lambda m, x, y: real(
            m, x, y & (1 << len(x) - exact_dots.HEADROOM) - 1 if len(x) == ACCUMULATOR else y)),
    "subnormals are a place too high": (
        exact_dots, "Operand", lambda real: lambda m, fmt, code: raised(real(m, fmt, code))),
    "infinities are numbers": (
        exact_dots, "Operand", lambda real: lambda m, fmt, code: tamed(real(m, fmt, code))),
}


def raised(operand):
    """The hidden one of a subnormal counts for its exponent, as of a normal number."""
    operand.exponent = Cat(operand.exponent[0] & operand.significand[-1], operand.exponent[1:])
    return operand


def tamed(operand):
    operand.inf = Const(0, 1)
    return operand


def faulty(kind: type[Mac], parameters: MacParameters, fault: tuple) -> Mac:
    """A unit whose datapath has a function changed."""
    class Faulty(kind):
        def elaborate(self, platform):
            module, name, change = fault
            with patch.object(module, name, change(getattr(module, name))):
                return super().elaborate(platform)

    return Faulty(parameters)


@pytest.mark.parametrize("kind, parameters, faults", [
    (MxFp4Dot, DotParameters(0, 4, DLFLOAT16), FAULTS),
    (Int8Dot, LaneParameters(3, 4), INTEGER_FAULTS),
    (Fp16ExactDot, LaneParameters(3, 4), EXACT_FAULTS)], ids=["floats", "integers", "exact"])
def test_faults_are_found(kind, parameters, faults):
    broken = [faulty(kind, parameters, fault) for fault in faults.values()]
    found = differences([kind(parameters), *broken], 2000, SEED)
    assert found[0] is None
    for fault, text in zip(faults, found[1:], strict=True):
        assert text and "sums differ" in text, f"not noticed that {fault}"


def test_integers_are_exact_modulo_2_32():
    made = Int8Dot(LaneParameters(0, 32))
    made._MustUse__used = True
    most = [-128] * 32
    assert step(made, most, most, 0) == 2 ** 19
    assert step(made, most, most, 2 ** 32 - 2 ** 18) == 2 ** 18
    assert step(made, [1] * 32, [-1] * 32, 0) == 2 ** 32 - 32
    codes = operations(made, 100, SEED)
    assert codes.a.min() == codes.b.min() == -128 and codes.a.max() == 127
    assert codes.enable[100:].all() and len(codes.enable) - 100 >= 2 ** 31 / 2 ** 19


@pytest.mark.parametrize("kind", DOTS.values(), ids=DOTS)
def test_cuts_are_as_many_as_stages(kind):
    """The path is cut as often as the latency says, at places that exist, in their order."""
    for parameters in dot_parameters(kind):
        made = kind(parameters)
        made._MustUse__used = True
        assert set(kind.swept) <= set(range(len(kind.cuts)))
        for stages, cuts in enumerate(kind.cuts):
            assert len(cuts) == stages and list(cuts) == [p for p in made.places if p in cuts]


@pytest.mark.parametrize("change, wrong", [({"stages": 99}, "stages = 99"), ({"lanes": 5},
                                           "lanes = 5"), ({"lanes": 64}, "lanes = 64"),
    ({"guard": 0}, "guard = 0"), ({"format": BINARY16}, "format = MiniFloat.*")])
def test_parameters_are_checked(change, wrong):
    with pytest.raises(ValueError, match=f"{wrong} is out of range: expected"):
        MxFp4Dot(DotParameters(**{"format": SINGLE} | change))


@pytest.mark.parametrize("kind", [Int8Dot, Fp8ExactDot])
@pytest.mark.parametrize("change, wrong", [({"stages": 6}, "stages = 6"), ({"lanes": 1},
                                           "lanes = 1"), ({"lanes": 64}, "lanes = 64")])
def test_parameters_of_lanes_are_checked(kind, change, wrong):
    with pytest.raises(ValueError, match=f"{wrong} is out of range: expected"):
        kind(LaneParameters(**change))


def test_designs_share_registers_as_the_tile_does():
    """32 units of 32 lanes in a grid of 8 x 4: rows of a in four of them, of b in eight."""
    unit, = dots("base", [MxFp4Dot], [0])
    assert unit.macs["fprop"] == 32 and unit.shared == 136 * 3 / 4 + 136 * 7 / 8
