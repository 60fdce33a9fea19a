# SPDX-License-Identifier: Apache-2.0
"""Log FP4 to nearest: vector table, every 16-bit input at every exponent, exact boundaries."""

import csv
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import logfp4
from golden.formats import FP4_R2, FP4_R4, Phase
from verif.golden.oracles import EVEN, LOG_IDS, LOGS, ODD, PROPERTY, nearest_code, nearest_codes

TABLE = Path(__file__).parent / "vectors" / "logfp4_radix4.csv"
VALUES = st.one_of(
    st.floats(-200, 200, allow_nan=False), st.floats(-0.1, 0.1),
    st.builds(lambda m, e: m * 2.0**e, st.integers(-64, 64), st.integers(-20, 8)),
)


def table():
    with TABLE.open(newline="") as file:
        rows = [{k: int(v) for k, v in row.items()} for row in csv.DictReader(file)]
    # inputs like 1/640 are no binary64 numbers; none lies so near a boundary that it matters
    y = np.array([row["numerator"] / row["denominator"] for row in rows])
    return rows, y


@pytest.mark.parametrize("phase", Phase)
def test_vector_table(phase):
    rows, y = table()
    column = f"code_{phase.name.lower()}"
    expected = [row[column] for row in rows]
    assert len(rows) == 905 and set(expected) == {*range(16)} - {8}
    assert logfp4.encode(y, FP4_R4, phase).tolist() == expected
    assert logfp4.joint_decode(logfp4.joint_encode(y), phase).tolist() == expected


def test_the_oracle_agrees_with_the_vector_table():
    rows, _ = table()
    for row in rows:
        y = Fraction(row["numerator"], row["denominator"])
        assert nearest_code(y, EVEN, Fraction(5, 8)) == row["code_even"]
        assert nearest_code(y, ODD, Fraction(5, 8)) == row["code_odd"]


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_every_16_bit_input_at_every_exponent(fmt, phase, levels, ratio):
    """All int16 * 2**e, from total underflow to total saturation."""
    numerators = np.arange(-(2**15), 2**15)
    seen = set()
    for exponent in range(-26, 9):
        expected = nearest_codes(numerators, exponent, levels, ratio)
        y = np.ldexp(numerators.astype(np.float64), exponent)
        np.testing.assert_array_equal(logfp4.encode(y, fmt, phase), expected)
        if fmt == FP4_R4:
            joint = logfp4.joint_encode(y)
            np.testing.assert_array_equal(logfp4.joint_decode(joint, phase), expected)
        seen |= set(expected.tolist())
    assert seen == {*range(16)} - {8}


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_boundaries_and_their_neighbours(fmt, phase, levels, ratio):
    exact = [float(level * ratio) for level in levels]
    assert logfp4.boundaries(fmt, phase).tolist() == exact
    for c, boundary in enumerate(exact, start=1):
        y = np.array([np.nextafter(boundary, 0), boundary, np.nextafter(boundary, np.inf)])
        assert logfp4.encode(y, fmt, phase).tolist() == [c - 1, c, c]  # ties go up
        below = c - 1 + 8 if c > 1 else 0
        assert logfp4.encode(-y, fmt, phase).tolist() == [below, c + 8, c + 8]


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_values_of_the_codes(fmt, phase, levels, ratio):
    values = [0.0, *map(float, levels)]
    assert logfp4.levels(fmt, phase).tolist() == values
    codes = np.arange(16)
    decoded = logfp4.decode(codes, fmt, phase)
    assert decoded.tolist() == values + [-v for v in values]
    assert not np.signbit(decoded[8])  # -0 decodes as 0
    codes[8] = 0  # encoders emit +0
    np.testing.assert_array_equal(logfp4.encode(decoded, fmt, phase), codes)
    # the MAC's integer, in units of c = 1
    np.testing.assert_array_equal(decoded, fmt.mac_values * fmt.unit(phase))


def test_zero_underflow_and_saturation():
    tiny, huge = 5e-324, np.finfo(np.float64).max
    for fmt, phase, *_ in LOGS:
        y = np.array([0.0, -0.0, tiny, -tiny, huge, -huge])
        assert logfp4.encode(y, fmt, phase).tolist() == [0, 0, 0, 0, 7, 15]
    assert logfp4.joint_encode(y).tolist() == [0, 0, 0, 0, 14, 30]


@PROPERTY
@given(VALUES)
def test_encode_equals_exact_fractions(y):
    for fmt, phase, levels, ratio in LOGS:
        assert logfp4.encode(y, fmt, phase) == nearest_code(Fraction(y), levels, ratio)


@PROPERTY
@given(VALUES)
def test_joint_code_is_the_formula(y):
    """`q = clip(floor(log2(1.6 |y|)) + 8, 0, 14)`, the floor found by exact comparison."""
    scaled = abs(Fraction(y)) * Fraction(8, 5)
    q = sum(scaled >= Fraction(2) ** (e - 8) for e in range(1, 15))
    assert logfp4.joint_encode(y) == (q + 16 if q and y < 0 else q)


@PROPERTY
@given(st.lists(VALUES, min_size=2, max_size=20))
def test_encode_is_monotone_and_odd(y):
    y = np.sort(y)
    for fmt, phase, *_ in LOGS:
        values = logfp4.decode(logfp4.encode(y, fmt, phase), fmt, phase)
        assert (np.diff(values) >= 0).all()
        negated = logfp4.decode(logfp4.encode(-y, fmt, phase), fmt, phase)
        np.testing.assert_array_equal(negated, -values)


@PROPERTY
@given(VALUES)
def test_two_phases_are_one_encoder(y):
    """Rounding y to the odd levels is rounding 2y to the even ones, and halving."""
    odd, even = logfp4.encode(y, phase=Phase.ODD), logfp4.encode(2 * y, phase=Phase.EVEN)
    assert odd == even
    assert logfp4.decode(odd, phase=Phase.ODD) == logfp4.decode(even, phase=Phase.EVEN) / 2


@PROPERTY
@given(st.floats(1.01, 1000), VALUES)
def test_any_base(base, y):
    """Levels 64 * base**(c - 7); nearest of the neighbouring levels, saturating."""
    levels = [Fraction(64) * Fraction(base) ** (c - 7) for c in range(1, 8)]
    np.testing.assert_allclose(logfp4.levels(base)[1:], [float(v) for v in levels], rtol=1e-14)
    boundaries = [level * (1 + 1 / Fraction(base)) / 2 for level in levels]
    y = Fraction(y)
    if all(abs(abs(y) - b) > b / 10**12 for b in boundaries):  # binary64 rounds the boundaries
        assert logfp4.encode(float(y), base) == nearest_code(y, boundaries, Fraction(1))


def test_bases_four_and_two_are_the_formats():
    y = np.linspace(-70, 70, 5001)
    np.testing.assert_array_equal(logfp4.encode(y, 4.0), logfp4.encode(y, FP4_R4))
    np.testing.assert_array_equal(logfp4.encode(y, 2), logfp4.encode(y, FP4_R2))
    np.testing.assert_array_equal(
        logfp4.encode(y, 4.0, Phase.ODD), logfp4.encode(y, FP4_R4, Phase.ODD))


@pytest.mark.parametrize("base", [1.0, 0.5, -4.0, np.nan, np.inf])
def test_base_out_of_range(base):
    with pytest.raises(ValueError, match=rf"^fmt = {base} is out of range: expected a log format"):
        logfp4.encode(1.0, base)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("encoder", [logfp4.encode, logfp4.joint_encode])
def test_nan_and_inf_are_refused(encoder, bad):
    text = f"tensor 'g' holds {bad} at index (1, 0): only finite values can be quantised"
    with pytest.raises(ValueError, match=re.escape(text)):
        encoder(np.array([[0.0], [bad]]), name="g")


def test_codes_out_of_range():
    for bad in (-1, 16):
        with pytest.raises(ValueError, match=f"code {bad} of 'codes' at index .* 0..15"):
            logfp4.decode(np.array([bad]))
    text = re.escape("are out of range: expected integers sign << 4 | q with q 0..14")
    for bad in ([-1], [32], [15], [31], [0.5]):
        with pytest.raises(ValueError, match=text):
            logfp4.joint_decode(np.array(bad), Phase.EVEN)
    assert logfp4.joint_decode(np.array([16]), Phase.ODD) == 0  # -0
    assert logfp4.joint_decode(np.zeros(0, int), Phase.ODD).shape == (0,)
