# SPDX-License-Identifier: Apache-2.0
"""Operands of the FP32 network in the formats of the baselines, against numpy and ml_dtypes."""

import ml_dtypes
import numpy as np
import pytest

from synth.baselines.block_dots import MxFp4Dot, NvFp4Dot
from synth.baselines.dot_products import DotParameters
from synth.baselines.int8 import Int8Dot
from synth.baselines.minifloat import BFLOAT16, BINARY16, DLFLOAT16, FP8_143, FP8_152
from synth.baselines.pipeline import LaneParameters
from synth.energy.encoding import (
    E2M1,
    E4M3,
    Encoded,
    encoded,
    float_codes,
    int8_codes,
    mxfp4_codes,
    nearest,
    nvfp4_codes,
)
from verif.synth import recorded

SEED = 20261128
BLOCKS = {"mxfp4": (mxfp4_codes, 32), "nvfp4": (nvfp4_codes, 16)}


@pytest.fixture(scope="module")
def short():
    return recorded.short()


@pytest.mark.parametrize("a_fmt, b_fmt", [
    (BINARY16, BINARY16), (DLFLOAT16, DLFLOAT16), (BFLOAT16, BFLOAT16),
    (FP8_143, FP8_152)])
def test_floats_are_rounded_and_in_range(short, a_fmt, b_fmt):
    for gemm in short.values():
        for codes, values, fmt in zip(float_codes(gemm, a_fmt, b_fmt),
                                      (gemm.a_float, gemm.b_float), (a_fmt, b_fmt), strict=True):
            assert not any(fmt.is_nan(int(c)) or fmt.is_inf(int(c)) for c in codes.flat)
            assert ((codes >> fmt.width - 1) == np.signbit(values))[values != 0].mean() > 0.3
    if a_fmt == BINARY16:  # numpy knows it
        gemm = short["fprop"]
        codes, _ = float_codes(gemm, a_fmt, b_fmt)
        assert (codes == gemm.a_float.astype(np.float16).view(np.uint16)).all()


def test_integers_are_symmetric(short):
    for codes in int8_codes(short["dgrad"]):
        assert np.abs(codes).max() == 127


@pytest.mark.parametrize("table, dtype", [
    (E2M1, ml_dtypes.float4_e2m1fn), (E4M3, ml_dtypes.float8_e4m3fn)], ids=["e2m1", "e4m3"])
def test_nearest_is_ml_dtypes(table, dtype):
    """Every value, every middle, what is beside them, and random ones; beyond the last it stays."""
    middles = (table[1:] + table[:-1]) / 2
    exact = np.concatenate([table, middles, np.random.default_rng(SEED).random(3000) * table[-1]],
                           dtype=np.float32)  # which ml_dtypes goes through
    x = np.concatenate([exact, *(np.nextafter(exact, np.float32(end)) for end in (0, 1e9))])
    x = x[x <= table[-1]]
    assert (table[nearest(table, x)] == x.astype(dtype).astype(float)).all()
    assert (nearest(table, np.array([table[-1] * 1.01, 1e30])) == len(table) - 1).all()


def spread(rows: int = 64) -> np.ndarray:
    """Numbers of many magnitudes, blocks of zeros, and largest ones right at a power of two."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(rows, 64)) * 2.0 ** rng.integers(-12, 12, size=(rows, 64))
    x *= 2.0 ** rng.integers(-30, 30, size=(rows, 1))
    x[0], x[1, :32], x[2, 5] = 0, 0, 2.0 ** 60
    x[3] = 0.0
    x[3, ::16] = np.nextafter(8.0, 0), 8.0, 6.0, np.nextafter(4.0, 5.0)
    return x


@pytest.mark.parametrize("of, block", BLOCKS.values(), ids=BLOCKS)
def test_elements_are_the_nearest_at_their_scale(of, block):
    """Against a cast by ml_dtypes of what the scale leaves, beyond 6 it is 6."""
    x = spread()
    found = of(x)
    assert isinstance(found, Encoded) and found.codes.shape == x.shape
    assert found.scales.shape == (len(x), x.shape[1] // block)
    if of is mxfp4_codes:
        scales = found.scales.astype(np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(float)
    else:
        scales = found.scales.astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(float)
        scales *= np.abs(x).max() / (6 * 448)
    at = np.repeat(scales, block, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(at > 0, x / at, np.copysign(0.0, x))
    expected = np.clip(left, -6, 6).astype(ml_dtypes.float4_e2m1fn)
    values = found.codes.astype(np.uint8).view(ml_dtypes.float4_e2m1fn).astype(float)
    # a division that ends right between two may round to either, by its own last place
    tie = np.isclose(np.abs(left)[..., None], (E2M1[1:] + E2M1[:-1]) / 2, rtol=1e-12).any(-1)
    exact = of is mxfp4_codes
    assert (values == expected.astype(float))[exact | ~tie].all()
    assert (np.signbit(values) == np.signbit(x)).all()


def test_mxfp4_scales_are_those_of_the_specification():
    """2^(floor(log2 largest) - 2), so that the largest element is 4 or more, up to 8."""
    x = spread()
    largest = np.abs(x.reshape(len(x), -1, 32)).max(-1)
    scales = mxfp4_codes(x).scales
    some = largest > 0
    assert (scales[~some] == 0).all() and (~some).any()
    ratio = largest[some] / 2.0 ** (scales[some] - 127)
    assert (ratio >= 4).all() and (ratio < 8).all()
    assert mxfp4_codes(np.full((1, 32), 1e-45)).scales == 0  # held at 2^-127


def test_nvfp4_scales_take_the_whole_range():
    """The block with the largest magnitude has 448; each is a sixth of its largest, to nearest."""
    x = spread()
    scales = nvfp4_codes(x).scales
    assert scales.max() == 126 and scales.min() == 0
    blocks = np.abs(x.reshape(len(x), -1, 16)).max(-1) * (448 / np.abs(x).max())
    assert (scales == blocks.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)).mean() > 0.99


def test_steps_have_the_codes_along_k(short):
    """A block's codes and the scale that is theirs; integers without one."""
    for unit, lanes in ((MxFp4Dot(DotParameters(lanes=32)), 32), (NvFp4Dot(
            DotParameters(lanes=16)), 16), (Int8Dot(LaneParameters(lanes=8)), 8)):
        unit._MustUse__used = True
        for operand, values in zip(encoded(unit, short["wgrad"]), (
                short["wgrad"].a_float, short["wgrad"].b_float), strict=True):
            codes, scale = operand.of(3, 64, lanes)
            assert codes == operand.codes[3, 64:64 + lanes].tolist()
            part = values[3, 64:64 + lanes]
            if lanes == 32:
                again = mxfp4_codes(part[None])
                assert codes == again.codes[0].tolist() and scale == again.scales[0, 0]
            elif lanes == 16:
                assert scale == operand.scales[3, 4]
            else:
                assert scale == 0 and max(map(abs, codes)) <= 127
