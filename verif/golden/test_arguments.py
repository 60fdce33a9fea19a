# SPDX-License-Identifier: Apache-2.0
"""Arguments of golden's functions that are none: a ValueError that names them, never a wrap."""

import re
import warnings
from fractions import Fraction

import numpy as np
import pytest

from golden import checks, integer
from golden.adaptive import Adapt, ScaleTable
from golden.config import Config, preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.fixed_point import to_fixed
from golden.formats import (
    CODE_FORMATS,
    FP4_R4,
    INT4,
    INT4_SYM,
    INT32,
    UINT4,
    IntFormat,
    check_codes,
    check_finite,
    format_named,
    max_product,
    pack,
    unpack,
)
from golden.gemm import exact_depth, gemm, mac_values, products
from golden.integer import Range
from golden.rescale import RAW, rescale, round_half_even
from golden.solver import Request, SolveMode, nearest, sawb_divisor, solve
from golden.statistics import NOTHING, Statistics, measure
from golden.tensor import Quantised

RANGE = Range(INT4, 1.0)
WIDE = IntFormat("X", -512, 511, 7)
CODES = "expected one of INT4, INT4_SYM, UINT4, FP4_R4, FP4_R2 of"
INTEGERS = "expected one of INT4, INT4_SYM, UINT4 of"
FORMATS = [
    (lambda: Range(INT32, 1.0), f"fmt = {INT32!r} is no format: {INTEGERS}"),
    (lambda: Range(WIDE, 1.0), f"fmt = {WIDE!r} is no format: {INTEGERS}"),
    (lambda: Range(FP4_R4, 1.0), f"fmt = {FP4_R4!r} is no format: {INTEGERS}"),
    (lambda: integer.symmetric_max([1.0], fmt=INT32), "fmt = IntFormat(name='INT32'"),
    (lambda: integer.symmetric_max([1.0], fmt=None), f"fmt = None is no format: {INTEGERS}"),
    (lambda: Quantised([2**30], INT32, 1.0), "fmt = IntFormat(name='INT32'"),
    (lambda: Quantised([0], WIDE, 1.0), f"fmt = {WIDE!r} is no format: {CODES}"),
    (lambda: check_codes("w", [300], INT32), "format of 'w' = IntFormat(name='INT32'"),
    (lambda: products([1], INT32, [1], INT4), "operand a cannot be INT32: expected one of INT4"),
    (lambda: mac_values([1], WIDE), f"format of 'codes' = {WIDE!r} is no format: {CODES}"),
    (lambda: mac_values([-1], FP4_R4), "code -1 of 'codes' at index (0,) is not a FP4_R4 code"),
    (lambda: mac_values([7], FP4_R4, np.int8), "dtype = int8: expected one that holds +-4096"),
    (lambda: mac_values([7], UINT4, "U1"), "dtype = <U1: expected one that holds +-15"),
    (lambda: exact_depth("INT4", INT4), "a_fmt = 'INT4' is no format"),
    (lambda: max_product(INT4, UINT4), "operand b cannot be UINT4: expected one of INT4, INT4_SYM"),
    (lambda: gemm([[1], [1, 2]], INT4, [[1]], INT4), "a = [[1], [1, 2]]: expected an array ("),
    (lambda: format_named([]), "unknown format []: expected one of INT4, INT4_SYM, UINT4, INT32"),
]
PACKED = [
    (lambda: pack(np.int16([300])), "codes hold 300 at index (0,), out of range: expected"),
    (lambda: pack([1.9]), "codes = [1.9] have dtype float64: expected integers -8..15"),
    (lambda: pack("12"), "codes = '12' have dtype <U2: expected integers -8..15"),
    (lambda: pack(np.array(3)), "codes = 3: expected one axis or more"),
    (lambda: unpack(np.int16([300]), 2, INT4), "packed bytes hold 300 at index (0,), out of range"),
    (lambda: unpack([300], 2, INT4), "packed bytes hold 300 at index (0,), out of range: expected"),
    (lambda: unpack([-1], 2, INT4), "packed bytes hold -1 at index (0,), out of range: expected"),
    (lambda: unpack([1.9], 2, INT4), "packed bytes = [1.9] have dtype float64: expected integers"),
    (lambda: unpack([2**70], 2, INT4), "packed bytes = [1180591620717411303424] have dtype object"),
    (lambda: unpack(np.uint8(3), 1, INT4), "packed bytes = 3: expected one axis or more"),
    (lambda: unpack([3], 2, "INT4"), f"fmt = 'INT4' is no format: {CODES}"),
    (lambda: unpack([3], 2, INT32), "fmt = IntFormat(name='INT32'"),
    (lambda: unpack([0x81], 2, INT4_SYM), "code -8 of 'packed' at index (1,) is not a INT4_SYM"),
    (lambda: unpack([3], 2.0, INT4), "count = 2.0 is out of range: expected an integer 0.."),
    (lambda: unpack([3], None, INT4), "count = None is out of range: expected an integer 0.."),
    (lambda: unpack([3], -1, INT4), "count = -1 is out of range: expected an integer 0.."),
    (lambda: unpack([3], 10**5000, INT4), "1 bytes do not hold <integer of 16610 bits> codes"),
]
HOST = [
    (lambda: integer.encode([1.0], None), "rng = None: expected a Range"),
    (lambda: integer.decode([1], "x"), "rng = 'x': expected a Range"),
    (lambda: integer.quantise([1.0], INT4), f"rng = {INT4!r}: expected a Range"),
    (lambda: integer.pact_mask([1.0], None), "PACT alpha = None is out of range: expected a fin"),
    (lambda: integer.pact_mask([1.0], np.nan), "PACT alpha = nan is out of range: expected a fin"),
    (lambda: Range(INT4, 1.0, 2**53 + 1), "zero_point = 9007199254740993 is out of range: expected "
     "an integer -9007199254740977..9007199254740977"),
    (lambda: Quantised([1], INT4, 1.0, 10**400), "zero_point = 1000"),
    (lambda: Quantised([1], INT4, 1.0, 10**5000), "zero_point = <integer of 16610 bits> is out of"),
    (lambda: integer.range_of([2.0**52, 2.0**52 + 1], name="t"), "tensor 't' of 4503599627370496.0"
     "..4503599627370497.0 lies too far from zero: its zero point is out of"),
]

TINY = preset("tiny")
DIGITS = "<integer of 16610 bits>"
MEASURED = [
    (lambda: measure([1.5]), "values = [1.5] have dtype float64: expected integers -2147483648.."),
    (lambda: measure(["3"]), "values = ['3'] have dtype <U1: expected integers"),
    (lambda: measure(np.uint64([2**64 - 1])), "values hold 18446744073709551615 at index (0,)"),
    (lambda: measure([2**31]), "values hold 2147483648 at index (0,), out of range: expected"),
    (lambda: measure([1], 1.5), "saturated = 1.5 is out of range: expected an integer 0.."),
    (lambda: measure([1], 0, "1"), "underflowed = '1' is out of range: expected an integer 0.."),
    (lambda: Statistics(0, 5, -5), "low = 5 is out of range: expected 0, as for every member"),
    (lambda: Statistics(saturated=1), "saturated = 1 is out of range: expected 0, as for every"),
    (lambda: Statistics(2, 5, -5), "low = 5 lies above high = -5"),
]
OTHERS = [
    (lambda: preset([]), "unknown preset []: expected one of tiny, small, base, lean, big"),
    (lambda: TINY.max_k("INT4", INT4), "a_fmt = 'INT4' is no format: expected one of INT4"),
    (lambda: TINY.max_k(INT4, UINT4), "operand b cannot be UINT4: expected one of INT4"),
    (lambda: Config(10**5000, 1, 1), f"rows = {DIGITS} is out of range: expected an integer 1..64"),
    (lambda: Config(1, 1, 1, radices=(10**5000,)), "radices = <tuple>: expected (4,), (2,) or"),
    (lambda: Config(1, 1, 1, target=10**5000), f"target = {DIGITS}: expected 'asic' or 'fpga'"),
    (lambda: Dyadic(10**5000, 0), f"multiplier = {DIGITS} is out of range: expected an integer 0"),
    (lambda: Dyadic.nearest(10**5000), f"scale {DIGITS} is out of range: a 16-bit multiplier"),
    (lambda: Dyadic.nearest(-(10**5000)), f"scale {DIGITS} is out of range: expected a finite"),
    (lambda: Dyadic.nearest(np.zeros(2)), "scale array([0., 0.]) is out of range: expected a fin"),
    (lambda: solve(None), "request = None: expected a Request"),
    (lambda: solve(Request(SolveMode.PACT), strict=1), "strict = 1: expected True or False"),
    (lambda: nearest("1"), "scale '1': expected a Fraction > 0"),
    (lambda: nearest(Fraction(-1)), "scale Fraction(-1, 1): expected a Fraction > 0"),
    (lambda: sawb_divisor(0, 0, 1), "count = 0 is out of range: expected an integer 1.."),
    (lambda: rescale([1], None), "job = None: expected a Rescale"),
    (lambda: rescale([[1], [1, 2]], RAW), "values = [[1], [1, 2]]: expected an array ("),
    (lambda: rescale([1], RAW, mask=[[1], [1, 2]]), "mask = [[1], [1, 2]]: expected an array ("),
    (lambda: round_half_even([1], 63), "shift = 63 is out of range: expected an integer 0..62"),
    (lambda: round_half_even([1.0], 1), "p = [1.0] have dtype float64: expected integers"),
    (lambda: to_fixed([1.0], 1.5), "fraction_bits = 1.5 is out of range: expected an integer -10"),
    (lambda: to_fixed([1.0], 10**4), "fraction_bits = 10000 is out of range: expected an integer"),
    (lambda: GoldenBackend("tiny"), "config = 'tiny': expected a Config"),
    (lambda: GoldenBackend(TINY).run(None), "job = None: expected a Job"),
    (lambda: GoldenBackend(TINY).run("x"), "job = 'x': expected a Job"),
    (lambda: Job.table(Adapt(0)).check("tiny"), "config = 'tiny': expected a Config"),
    (lambda: ScaleTable(0), "tensors = 0 is out of range: expected an integer 1..256"),
    (lambda: ScaleTable(4).apply(Adapt(4), RAW), "tensor = 4 is out of range: expected an integer"),
    (lambda: ScaleTable(4).finish(None, RAW), "adapt = None: expected an Adapt"),
]


@pytest.mark.parametrize("call, text", [*FORMATS, *PACKED, *HOST, *MEASURED, *OTHERS],
                         ids=lambda v: v if isinstance(v, str) else "")
def test_refused(call, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        call()


@pytest.mark.parametrize("bad", [
    "1", ["1.5"], 1j, [1 + 0j], np.array(["2026-11-26"], "M8[D]"), np.array([3], "m8[s]"), None,
    [None], object(), [Fraction(1, 2)], [10**400], True, [False], {}, [[1.0], [1.0, 2.0]], b"1"])
def test_tensors_are_of_floats_or_integers(bad):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (lambda: check_finite("t", bad), lambda: integer.encode(bad, RANGE, name="t"),
                     lambda: integer.sawb(bad, name="t"), lambda: integer.range_of(bad, name="t")):
            with pytest.raises(ValueError, match=r"^tensor 't' = .* (has dtype|an array \()"):
                call()


def test_tensors_of_every_width():
    import ml_dtypes

    for dtype in (np.float16, np.float32, np.longdouble, np.int8, np.uint64, ml_dtypes.bfloat16):
        assert check_finite("t", np.array([1, 2], dtype)).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="tensor 't' holds inf at index"):
        check_finite("t", np.array([0, np.finfo(np.longdouble).max]))


def test_the_farthest_zero_points_are_exact():
    for fmt in (INT4, UINT4):
        codes = np.arange(fmt.lo, fmt.hi + 1)
        for zero_point in (2**53 - 15, -(2**53 - 15)):
            rng = Range(fmt, 1.0, zero_point)
            values = integer.decode(codes, rng)
            assert [int(v) for v in values] == [int(code) - zero_point for code in codes]
            assert integer.encode(values, rng).tolist() == codes.tolist()
            tensor = Quantised(codes, fmt, 1.0, zero_point)
            assert tensor.dequantise().tolist() == values.tolist()


def test_every_format_of_codes_packs():
    for fmt in CODE_FORMATS:
        codes = np.arange(fmt.lo, fmt.hi + 1, dtype=np.uint64 if fmt.lo == 0 else np.int64)
        assert unpack(pack(codes), np.int8(codes.size), fmt).tolist() == codes.tolist()
    assert pack([]).shape == (0,)


def test_what_is_shown():
    assert checks.shown("ab") == "'ab'" and checks.shown(10**5000) == "<integer of 16610 bits>"
    assert checks.shown([10**5000]) == "<list>" and checks.shown(Fraction(10**5000)) == "<Fraction>"
    long = checks.shown("x" * 10**6)
    assert len(long) <= checks.SHOWN and long.startswith("'xxx") and " .. " in long
    assert "\n" not in checks.shown(np.eye(9))
    assert checks.as_integers("n", np.array([1, 2], ">i2"), 0, 2).tolist() == [1, 2]
    assert checks.as_integers("n", [], 0, 2).dtype == np.int64


def test_the_config_of_a_backend_stays():
    with pytest.raises(AttributeError, match="config"):
        GoldenBackend(TINY).config = preset("base")
    assert measure([]) is NOTHING and measure(np.uint64([3])).largest == 3
