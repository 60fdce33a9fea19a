# SPDX-License-Identifier: Apache-2.0
"""Packing against Amaranth's own constants."""

import numpy as np
import pytest
from amaranth.hdl import Shape, signed
from amaranth.lib import data

from golden.config import PRESETS, Config, preset
from golden.engine import Op
from golden.solver import SolveMode
from hdl import layouts
from hdl.engine.job import FLAGS_LAYOUT, job_layout
from hdl.packing import Packing, packing
from hdl.scales.layouts import (
    REPORT_LAYOUT,
    REQUEST_LAYOUT,
    SOLUTION_LAYOUT,
    STATISTICS_LAYOUT,
)

CONFIGURED = (
    layouts.beat_layout, layouts.row_layout, layouts.words_layout, layouts.rescale_layout,
    layouts.result_layout, layouts.measured_layout, layouts.outcome_layout, job_layout)
FIXED = (REPORT_LAYOUT, REQUEST_LAYOUT, SOLUTION_LAYOUT, STATISTICS_LAYOUT, FLAGS_LAYOUT)
SHAPES = (
    *(layout(config) for layout in CONFIGURED
      for config in (*map(preset, PRESETS), Config(1, 1, 1, tensors=1))), *FIXED)


def random_value(rng, shape):
    """A value of every field, its ends included: numbers, of enums too."""
    if isinstance(shape, data.ArrayLayout):
        return [random_value(rng, field.shape) for _, field in shape]
    if isinstance(shape, data.Layout):
        return {name: random_value(rng, field.shape) for name, field in shape}
    if not isinstance(shape, int | range | Shape):  # an enum: its members
        return int(rng.choice([member.value for member in shape]))
    width, low = Shape.cast(shape).width, 0
    if Shape.cast(shape).signed:
        low = -(1 << width - 1)
    ends = (low, low + (1 << width) - 1)
    return ends[rng.integers(2)] if rng.random() < 0.3 else low + int.from_bytes(
        rng.bytes(width // 8 + 1)) % (1 << width)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.size}_bits")
def test_bits_are_amaranths_and_back(shape):
    rng, packed = np.random.default_rng(1), Packing(shape)
    assert packed.width == shape.size
    for _ in range(5):
        value = random_value(rng, shape)
        bits = packed.pack(value)
        assert bits == shape.const(value).as_bits()
        assert packed.unpack(bits) == value
        assert packed.unpack(bits | 1 << shape.size) == value  # what lies above is another's


def test_members_that_are_left_out_are_zero():
    config, some = preset("tiny"), {"m": 3, "params": {"zero_point": -2}}
    assert packing(job_layout, config).pack(some) == job_layout(config).const(some).as_bits()


def test_enums_and_bits_are_values_too():
    config = preset("tiny")
    job, beat = packing(job_layout, config), packing(layouts.beat_layout, config)
    wanted = {"op": Op.QUANTISE, "b_format": layouts.BFormat.FP4_R2,
              "adapt": {"mode": SolveMode.SAWB, "enable": True}}
    assert job.pack(wanted) == job_layout(config).const(wanted).as_bits()
    codes = Packing(layouts.codes_layout(config, config.rows)).pack(
        [[5] * config.lanes] * config.rows)
    assert beat.unpack(beat.pack({"a": codes}))["a"] == [[5] * config.lanes] * config.rows


@pytest.mark.parametrize(("shape", "value", "said"), [
    (4, 16, r"16 does not fit 4 bits: expected 0\.\.15"),
    (signed(4), 8, r"8 does not fit 4 bits: expected -8\.\.7"),
    (signed(4), -9, "-9 does not fit 4 bits"),
    (data.ArrayLayout(4, 2), [1, -1], r"-1 does not fit 4 bits: expected 0\.\.15"),
    (data.ArrayLayout(4, 2), [1, 2, 3], "no member 2: expected one of 0, 1"),
    (data.StructLayout({"a": 1, "b": 1}), {"c": 1}, "no member 'c': expected one of a, b"),
    (data.StructLayout({"a": 1, "b": 1}), 4, "4 does not fit 2 bits"),
])
def test_what_does_not_fit(shape, value, said):
    with pytest.raises(ValueError, match=said):
        Packing(shape).pack(value)
