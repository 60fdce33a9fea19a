# SPDX-License-Identifier: Apache-2.0
"""GradScale's rule table ([Sun20] 3.2) and its limits."""

import re

import numpy as np
import pytest

from golden.gradscale import GradScale


@pytest.mark.parametrize(("largest", "change"), [
    (0.0, 0), (5e-324, 1), (1.0, 1), (np.nextafter(32.0, 0), 1), (32.0, 1),
    (np.nextafter(32.0, 64), 0), (33.0, 0), (63.9, 0), (64.0, 0),
    (np.nextafter(64.0, 65), -1), (64.1, -1), (1e300, -1),
])
@pytest.mark.parametrize("start", [0, -7, 12])
def test_rule(largest, change, start):
    scale = GradScale(start)
    scale.update(largest)
    assert (scale.exponent, scale.limited) == (start + change, False)
    assert scale.value == 2.0 ** (start + change)


def test_starts_at_one():
    assert GradScale().value == 1 and not GradScale().limited


def test_limits_are_sticky():
    scale = GradScale(39)
    scale.update(1.0)
    assert (scale.exponent, scale.limited) == (40, False)
    scale.update(1.0)
    assert (scale.exponent, scale.limited) == (40, True)
    scale.update(100.0)
    assert (scale.exponent, scale.limited) == (39, True)
    scale = GradScale(-40)
    scale.update(100.0)
    assert (scale.exponent, scale.limited) == (-40, True)


def test_settles_for_any_gradient():
    for largest in (1e-9, 0.3, 32.0, 64.0, 1e9):
        scale = GradScale()
        for _ in range(64):
            scale.update(largest * scale.value)
        assert 32 < largest * scale.value <= 64 and not scale.limited


@pytest.mark.parametrize("exponent", [41, -41, 1.0, "0"])
def test_exponent_out_of_range(exponent):
    text = f"exponent = {exponent!r} is out of range: expected an integer -40..40"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        GradScale(exponent)


@pytest.mark.parametrize("largest", [-1.0, np.nan, np.inf])
def test_largest_must_be_finite(largest):
    text = f"largest gradient = {largest} is out of range: expected a finite number >= 0"
    with pytest.raises(ValueError, match=text):
        GradScale().update(largest)
