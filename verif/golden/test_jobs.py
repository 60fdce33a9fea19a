# SPDX-License-Identifier: Apache-2.0
"""A job checks itself however it is made; its operands say what it does, its label nothing."""

import copy
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from driver.reproducer import describe, first_difference, load_job, save_job
from golden.adaptive import Adapt, Entry, Use
from golden.config import preset
from golden.engine import GoldenBackend, Job, Op
from golden.formats import FP4_R4, INT4, INT4_SYM, INT32, UINT4
from golden.rescale import RAW, Rescale
from golden.solver import SolveMode

BACKEND = GoldenBackend(preset("base"))
RNG = np.random.default_rng(4)
A, B = RNG.integers(0, 16, (5, 7), dtype=np.int8), RNG.integers(-8, 8, (3, 7), dtype=np.int8)
BIAS, MASK = RNG.integers(-9, 9, 3), RNG.random((5, 3)) < 0.5
GEMM = Job.gemm(A, UINT4, B, INT4, bias=BIAS, mask=MASK)
QUANTISE = Job.quantise(np.arange(-7, 8).reshape(5, 3), RAW, bias=BIAS, mask=MASK)
TABLE = Job.table(Adapt(0))
KINDS = {Op.GEMM: GEMM, Op.QUANTISE: QUANTISE, Op.TABLE: TABLE}


@pytest.mark.parametrize("label", ["table", "fprop", "quantise", "", "another"])
@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_the_label_decides_nothing(op, label, tmp_path):
    job = replace(KINDS[op], phase=label, adapt=Adapt(0))
    assert job.op is op and job.shape == KINDS[op].shape
    expected = BACKEND.run(replace(KINDS[op], adapt=Adapt(0)))
    assert first_difference(expected, BACKEND.run(job)) is None
    assert expected.codes.shape == ((0, 0) if op == Op.TABLE else (5, 3))
    save_job(tmp_path / "job.npz", job, "base")
    loaded, _, _ = load_job(tmp_path / "job.npz")
    assert (loaded.op, loaded.phase, describe(loaded)) == (op, label, describe(job))
    assert first_difference(expected, BACKEND.run(loaded)) is None
    assert describe(job).startswith(f"{label} job, ") and ("INT32" in describe(job)) == (op < 2)


WRONG = [
    (GEMM, {"bias": np.zeros(2, int)}, "bias of shape (2,): expected (3,), one per column"),
    (GEMM, {"bias": np.zeros((1, 3), int)}, "bias of shape (1, 3): expected (3,), one per column"),
    (GEMM, {"bias": np.full(3, 2**31)}, "bias hold "),
    (GEMM, {"bias": np.array([2**64 - 1] * 3, np.uint64)}, "bias hold "),
    (GEMM, {"bias": [2**70, 0, 0]}, "bias have dtype object: expected integers"),
    (GEMM, {"bias": "123"}, "bias have dtype <U3: expected integers"),
    (GEMM, {"mask": MASK[:4]}, "mask of shape (4, 3) and dtype bool: expected bool of shape (5, "),
    (GEMM, {"mask": MASK.astype(int)}, "mask of shape (5, 3) and dtype int64"),
    (GEMM, {"mask": 1}, "mask of shape () and dtype int64"),
    (GEMM, {"a": A[:, :6]}, "operands of shapes (5, 6) and (3, 7) do not fit"),
    (GEMM, {"a": A[0]}, "operands of shapes (7,) and (3, 7) do not fit"),
    (GEMM, {"a": A[:0], "mask": None}, "operands of shapes (0, 7) and (3, 7) are empty"),
    (GEMM, {"a": A[:4]}, "mask of shape (5, 3) and dtype bool: expected bool of shape (4, 3)"),
    (GEMM, {"b": B[:2]}, "bias of shape (3,): expected (2,), one per column"),
    (GEMM, {"a": A + 16}, "of 'a' at index (0, 0) is not a UINT4 code: the range is 0..15"),
    (GEMM, {"b": np.full((3, 7), 2**63, np.uint64)}, "code 9223372036854775808 of 'b' at index"),
    (GEMM, {"a": A.astype(float)}, "codes of 'a' have dtype float64"),
    (GEMM, {"a": A > 3}, "codes of 'a' have dtype bool"),
    (GEMM, {"a": object()}, "operands of shapes () and (3, 7) do not fit"),
    (GEMM, {"a": None}, "a GEMM without a or b: it takes both operands, with their formats"),
    (GEMM, {"b": None}, "a GEMM without a or b: it takes both operands, with their formats"),
    (GEMM, {"a_fmt": None}, "a_fmt = None is no format: expected one of INT4, INT4_SYM"),
    (GEMM, {"b_fmt": UINT4}, "operand b cannot be UINT4: expected one of INT4, INT4_SYM, FP4_R4"),
    (GEMM, {"a_fmt": INT32}, "operand a cannot be INT32: expected one of INT4, INT4_SYM, UINT4"),
    (GEMM, {"a_fmt": INT4}, "is not a INT4 code: the range is -8..7"),
    (GEMM, {"x": QUANTISE.x}, "x and a in one job: a job multiplies or quantises"),
    (GEMM, {"adapt": Adapt(0, preset=Entry())}, "a preset in a job with data: use Job.table"),
    (GEMM, {"adapt": Adapt(0, discard=True)}, "discard in a GEMM: only a quantising job can"),
    (QUANTISE, {"x": None}, "a job without operands and without adapt: it has nothing to do"),
    (QUANTISE, {"x": np.zeros((5, 3))}, "x have dtype float64: expected integers"),
    (QUANTISE, {"x": np.zeros((5, 3, 1), int)}, "x of shape (5, 3, 1): expected (M, N)"),
    (QUANTISE, {"x": np.full((5, 3), -(2**31) - 1)}, "x hold -2147483649 at index (0, 0)"),
    (QUANTISE, {"a": A}, "x and a in one job: a job multiplies or quantises"),
    (TABLE, {"adapt": None}, "a job without operands and without adapt: it has nothing to do"),
    (TABLE, {"adapt": Adapt(0, Use.ENTRY)}, "a table job has no data: use and discard have no"),
    (TABLE, {"adapt": Adapt(0, discard=True)}, "a table job has no data: use and discard"),
    (TABLE, {"bias": BIAS}, "a table job has no data: then, bias and mask have no meaning here"),
    (TABLE, {"then": Rescale(INT4)}, "a table job has no data: then, bias and mask have no"),
]


@pytest.mark.parametrize("job, changes, text", WRONG, ids=lambda v: v if isinstance(v, str) else "")
def test_a_changed_job_checks_itself(job, changes, text):
    """`dataclasses.replace` and the bare constructor check as `Job.gemm` does."""
    for make in (lambda: replace(job, **changes), lambda: Job(**{**vars(job), **changes})):
        with pytest.raises(ValueError, match=re.escape(text)):
            make()


def variants(array):
    """One array in every guise that numpy has."""
    wide = np.zeros(tuple(2 * size for size in array.shape), array.dtype)
    wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    yield from (array.tolist(), np.asfortranarray(array), frozen, array[::-1].copy()[::-1],
                wide[tuple(slice(None, None, 2) for _ in array.shape)])
    if array.dtype != bool:
        yield from (array.astype(kind) for kind in (">i2", "<i4", ">i8", np.int64))
        odd = np.frombuffer(b"\0" + array.astype(np.int32).tobytes(), np.uint8)[1:]
        yield odd.view(np.int32).reshape(array.shape)  # not aligned


def test_arrays_in_every_guise():
    expected = BACKEND.run(GEMM).codes
    for name in ("a", "b", "bias", "mask"):
        for array in variants(getattr(GEMM, name)):
            job = replace(GEMM, **{name: array})
            kept = getattr(job, name)
            assert kept.dtype == getattr(GEMM, name).dtype and kept.dtype.isnative
            np.testing.assert_array_equal(BACKEND.run(job).codes, expected)
    for x in variants(QUANTISE.x):
        np.testing.assert_array_equal(
            BACKEND.run(replace(QUANTISE, x=x)).codes, BACKEND.run(QUANTISE).codes)
    row = np.broadcast_to(A[0], A.shape)  # strides of 0
    np.testing.assert_array_equal(BACKEND.run(replace(GEMM, a=row, mask=None)).codes,
                                  np.broadcast_to(B @ A[0].astype(int) + BIAS, (5, 3)))
    codes = RNG.integers(0, 16, B.shape).astype(np.uint8)
    job = Job.gemm(A, UINT4, codes, FP4_R4)
    assert job.b.dtype == np.int8 and job.a is A  # what fits is not copied


def test_any_byte_of_a_mask_but_zero_is_true():
    bytes_ = np.array(RNG.integers(0, 3, (5, 3)) * 127, np.uint8)
    mask = bytes_.view(bool)
    for job in (GEMM, QUANTISE):
        odd, clean = replace(job, mask=mask), replace(job, mask=bytes_ > 0)
        assert set(odd.mask.view(np.uint8).ravel()) <= {0, 1}
        np.testing.assert_array_equal(BACKEND.run(odd).codes, BACKEND.run(clean).codes)


def test_jobs_copy_and_pickle():
    for job in KINDS.values():
        for twin in (copy.copy(job), copy.deepcopy(job), pickle.loads(pickle.dumps(job))):
            assert first_difference(BACKEND.run(job), BACKEND.run(twin)) is None


def test_statistics_are_the_reports():
    """Of a backend's results, golden's or another's, the report alone has them."""
    adapt = Adapt(1, solve=SolveMode.SYMMETRIC)
    for job in (GEMM, QUANTISE, replace(GEMM, adapt=adapt), replace(QUANTISE, adapt=adapt)):
        result = BACKEND.run(job)
        assert result.statistics is None and (result.report is None) == (job.adapt is None)
    assert BACKEND.run(replace(QUANTISE, adapt=adapt)).told.statistics.count == 15
    with pytest.raises(ValueError, match="no report: the job did not adapt"):
        print(BACKEND.run(GEMM).told)


def test_reset_unsets_every_entry():
    backend = GoldenBackend(preset("tiny"))
    backend.run(Job.table(Adapt(3, preset=Entry(exponent=7, valid=True))))
    with pytest.raises(ValueError, match="tensor 9 is unknown"):  # and leaves the table alone
        backend.run(Job.table(Adapt(9)))
    assert backend.run(Job.table(Adapt(3))).told.entry.exponent == 7
    backend.reset()
    assert backend.run(Job.table(Adapt(3))).told.entry == Entry()
    assert Job.gemm(A, UINT4, np.abs(B) - 1, INT4_SYM).op == Op.GEMM
