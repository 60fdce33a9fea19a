# SPDX-License-Identifier: Apache-2.0
"""`Config`: presets, derived widths and bounds, and what it refuses to be."""

import re
from dataclasses import FrozenInstanceError, replace
from itertools import product

import pytest

from golden.config import PRESETS, Config, preset
from golden.formats import (
    A_FORMATS,
    B_FORMATS,
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    UINT4,
    LogFormat,
    max_product,
)


def test_presets():
    sizes = {name: (c.rows, c.cols, c.lanes) for name, c in PRESETS.items()}
    assert sizes == {"tiny": (4, 1, 4), "small": (4, 4, 16), "base": (8, 4, 32),
                     "lean": (8, 4, 32), "big": (16, 8, 32)}
    for name, config in PRESETS.items():
        assert preset(name) is config
        assert config.macs_per_cycle == config.rows * config.cols * config.lanes
        assert Config(**config.as_dict()) == config
    assert [name for name, config in PRESETS.items() if config.is_fpga] == ["tiny", "small"]
    assert preset("lean") == replace(preset("base"), radices=(2,))
    with pytest.raises(ValueError, match=r"^unknown preset 'huge': expected one of tiny, small, "):
        preset("huge")


def test_a_config_is_immutable():
    with pytest.raises(FrozenInstanceError):
        preset("tiny").rows = 4


@pytest.mark.parametrize("name", ["rows", "cols", "lanes"])
@pytest.mark.parametrize("value", [0, -1, 128, 65, 2.0, "4", True, None])
def test_grid_out_of_range(name, value):
    text = f"{name} = {value!r} is out of range: expected an integer 1..64"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        replace(preset("tiny"), **{name: value})


@pytest.mark.parametrize("name", ["rows", "cols", "lanes"])
@pytest.mark.parametrize(("value", "below"), [(3, 2), (12, 8), (63, 32)])
def test_grid_must_be_powers_of_two(name, value, below):
    text = f"^{name} = {value} is not a power of two: use {below} or {2 * below}$"
    with pytest.raises(ValueError, match=text):
        replace(preset("tiny"), **{name: value})


@pytest.mark.parametrize(
    ("name", "lo", "hi"), [("accumulator_width", 20, 32), ("dim_width", 4, 16)])
def test_widths_out_of_range(name, lo, hi):
    for good in (lo, hi):
        assert getattr(replace(preset("tiny"), **{name: good}), name) == good
    for bad in (lo - 1, hi + 1, 24.0):
        text = f"{name} = {bad!r} is out of range: expected an integer {lo}..{hi}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            replace(preset("tiny"), **{name: bad})


@pytest.mark.parametrize("target", ["ASIC", "", None, True, 0, ["fpga"]])
def test_targets_that_nobody_makes(target):
    text = f"target = {target!r}: expected 'asic' or 'fpga'"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        replace(preset("base"), target=target)


@pytest.mark.parametrize("radices", [(), (8,), (4, 4), (4, 2, 10), (4, 3), [4, 2], 4, (4.0,)])
def test_radices_that_no_hardware_has(radices):
    text = f"radices = {radices!r}: expected (4,), (2,) or (4, 2); other bases exist"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        replace(preset("tiny"), radices=radices)


def test_log_formats_follow_the_radices():
    for radices, formats in (((4,), (FP4_R4,)), ((2,), (FP4_R2,)), ((2, 4), (FP4_R4, FP4_R2))):
        assert replace(preset("tiny"), radices=radices).log_formats == formats


def test_bounds_on_k():
    config = replace(preset("base"), dim_width=16)
    assert config.max_dim == 2**16 - 1
    assert config.max_k(UINT4, FP4_R4) == 34_952  # 2**31 / 61,440
    assert config.max_k(INT4, FP4_R4) == 65_535
    assert config.max_k(INT4_SYM, INT4) == 2**16 - 1  # the dimension's width binds
    for width, (a, b) in product((20, 24, 32), product(A_FORMATS, B_FORMATS)):
        limit = replace(config, accumulator_width=width).max_k(a, b)
        top = 2 ** (width - 1) - 1
        assert limit * max_product(a, b) <= top
        assert limit == config.max_dim or (limit + 1) * max_product(a, b) > top


def test_dot_width_holds_every_dot_product():
    for lanes, radices in product((1, 8, 16, 64), ((4,), (2,), (4, 2))):
        config = Config(2, 2, lanes, radices=radices)
        formats = [b for b in B_FORMATS if not isinstance(b, LogFormat) or b.radix in radices]
        largest = lanes * max(max_product(a, b) for a, b in product(A_FORMATS, formats))
        assert 2 ** (config.dot_width - 2) <= largest < 2 ** (config.dot_width - 1)
    assert preset("base").dot_width == 22 and INT4 in B_FORMATS
