# SPDX-License-Identifier: Apache-2.0
"""Members of golden's dataclasses: numpy's scalars become plain values, what is none is refused."""

from dataclasses import replace

import numpy as np
import pytest

from golden.adaptive import Adapt, Use
from golden.checks import FINITE, POSITIVE, Reals, as_flag, as_integer, as_member, as_real
from golden.config import Config, preset
from golden.descriptor import Descriptor
from golden.dyadic import IDENTITY, Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4, INT32, UINT4, IntFormat, LogFormat, Phase
from golden.gradscale import GradScale
from golden.integer import Range
from golden.report import Entry, Report
from golden.rescale import RAW, Rescale, Rescaled, rescale
from golden.row_scales import RowsRescaled, Units
from golden.solver import Request, Solution, SolveMode
from golden.statistics import NOTHING, Statistics
from golden.tensor import Quantised
from verif.golden.members import Case, check_members, public_dataclasses

ONES = np.ones((2, 3), np.int8)
CASES = [
    Case(Adapt, {"tensor": 0}),
    Case(Config, {"rows": 4, "cols": 1, "lanes": 4}),
    Case(Descriptor, {}),
    Case(Dyadic, {"multiplier": 32768, "shift": 3}),
    Case(Entry, {}),
    Case(GradScale, {}),
    Case(IntFormat, {"name": "INT3", "lo": -4, "hi": 3, "encoding": 0}),
    Case(LogFormat, {"name": "FP4_R8", "radix": 8, "encoding": 0}),
    Case(Job, {"then": RAW, "a": ONES, "a_fmt": INT4, "b": ONES, "b_fmt": FP4_R4},
         arrays=("a", "b", "x", "bias", "mask")),
    Case(Job, {"then": RAW, "x": ONES}, arrays=("a", "b", "x", "bias", "mask"),
         free=("a_fmt", "b_fmt")),
    Case(Quantised, {"codes": ONES, "fmt": INT4, "scale": 1.0}, arrays=("codes",)),
    Case(Range, {"fmt": INT4, "scale": 1.0}),
    Case(Report, {"statistics": NOTHING, "scale": IDENTITY, "zero_point": 0, "entry": Entry()}),
    Case(Request, {"mode": SolveMode.PACT}),
    Case(Rescale, {"fmt": INT4}),
    Case(Solution, {"scale": IDENTITY}),
    Case(Statistics, {"count": 5}),
]
# made by golden alone: results, and the ranges of members
RESULTS = {Rescaled, Reals, RowsRescaled, Units}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)
def test_members(case):
    assert check_members(case) > 0


def test_no_dataclass_is_forgotten():
    assert public_dataclasses("golden") == {case.kind for case in CASES} | RESULTS


def test_numpy_scalars_round_as_plain_integers():
    """`1 << np.uint8(25)` is 0: a shift of numpy's once rounded wrongly, and said nothing."""
    x = np.arange(-(2**26), 2**26, 12345)
    for shift, fmt in ((25, INT32), (25, INT4), (40, UINT4), (33, FP4_R4)):
        plain = rescale(x, Rescale(fmt, Dyadic(50000, shift)))
        for kind in (np.uint8, np.int8, np.int16, np.uint64):
            scale = Dyadic(np.uint16(50000), kind(shift))
            assert type(scale.shift) is type(scale.multiplier) is int
            np.testing.assert_array_equal(rescale(x, Rescale(fmt, scale)).codes, plain.codes)
    entry = Entry(Dyadic(50000, np.uint8(25)), np.int8(-3), np.int8(4), np.bool_(True))
    assert repr(entry) == repr(Entry(Dyadic(50000, 25), -3, 4, True))


def test_enums_are_theirs_or_numbers():
    assert Adapt(0, 1).use is Use.ENTRY and Adapt(0, np.int8(2)).use is Use.EXPONENT
    assert Adapt(0, solve=np.int64(0)).solve is SolveMode.RANGE
    text = (r"^use = <SolveMode.SYMMETRIC: 1> is unknown: expected one of Use.NOTHING, Use.ENTRY, "
            r"Use.EXPONENT$")
    with pytest.raises(ValueError, match=text):
        Adapt(0, SolveMode.SYMMETRIC)
    with pytest.raises(ValueError, match="use = 3 is unknown"):
        Adapt(0, 3)
    assert type(Dyadic(32768, Use.ENTRY).shift) is int
    backend = GoldenBackend(preset("tiny"))
    backend.run(Job.table(Adapt(1, preset=Entry(Dyadic(32768, 20), valid=True))))
    job = Job.quantise(np.full((1, 2), 96), Rescale(INT4), adapt=Adapt(1, 1))
    assert backend.run(job).codes.tolist() == [[3, 3]]  # 96 / 2**5: the entry was used


def test_formats_are_no_names():
    for make in (lambda: Rescale("INT4"), lambda: Rescale(None), lambda: Rescale(INT4.name),
                 lambda: Job.gemm(ONES, "INT4", ONES, INT4), lambda: Job.gemm(ONES, INT4, ONES, 4),
                 lambda: Quantised(ONES, "INT4", 1.0),
                 lambda: Rescale(IntFormat("INT4", -4, 3, 0))):
        with pytest.raises(ValueError, match="is no format: expected one of INT4, INT4_SYM, UINT4"):
            make()


def test_the_checks_themselves():
    assert as_integer("n", np.array(3), 0, 3) == 3
    for bad in (np.array([3]), np.array(True), np.bool_(True), 3.0, 4, -1):
        with pytest.raises(ValueError, match=r"^n = .* is out of range: expected an integer 0\.\."):
            as_integer("n", bad, 0, 3)
    with pytest.raises(ValueError, match=r"^n = 'x' is out of range: expected an integer; ask$"):
        as_integer("n", "x", None, way_out="ask")
    with pytest.raises(ValueError, match=r"^n = -1 is out of range: expected an integer 0\.\.$"):
        as_integer("n", -1, 0)
    for bad in (10**400, "1", None, True, np.inf, 1j, 0):
        with pytest.raises(ValueError, match=r"expected a finite number > 0$"):
            as_real("r", bad, POSITIVE)
    assert type(as_real("r", np.float32(0.5), FINITE)) is float
    assert as_flag("f", np.bool_(False)) is False
    assert as_member("phase", 1, Phase) is Phase.ODD
    with pytest.raises(ValueError, match="phase = True is unknown"):
        as_member("phase", True, Phase)


def test_dyadics_nearest_to_no_number():
    for bad in ("1", None, True, object(), 1j, float("nan"), np.array([1, 2]), np.complex64(1)):
        with pytest.raises(ValueError, match=r"expected a finite number >= 0"):
            Dyadic.nearest(bad)


def test_what_a_config_makes_is_plain():
    config = replace(preset("base"), rows=np.int64(8), radices=(np.int8(2), np.int64(4)))
    assert repr(config.radices) == "(2, 4)" and type(config.max_k(INT4, INT4)) is int
