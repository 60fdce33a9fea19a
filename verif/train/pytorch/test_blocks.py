# SPDX-License-Identifier: Apache-2.0
"""MXFP4 and NVFP4 against casts of ml_dtypes and a slow block-by-block reading of the papers."""

import ml_dtypes
import numpy as np
import pytest
from scipy.linalg import hadamard

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from golden import random_words  # noqa: E402
from train.pytorch import blocks  # noqa: E402
from train.pytorch.blocks import (  # noqa: E402
    UNBIASED,
    e2m1_,
    mxfp4,
    nvfp4,
    rotated,
    rotation,
    uniform,
)

E2M1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)


def every(dtype) -> np.ndarray:
    """All finite numbers of a 16-bit dtype, float32."""
    values = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float32)
    return values[np.isfinite(values)]


def cast(x: np.ndarray, dtype, top: float) -> np.ndarray:
    """By ml_dtypes, saturating, float32."""
    return x.clip(-top, top).astype(dtype).astype(np.float32)


def mx_block(x: np.ndarray) -> np.ndarray:
    """One block: OCP Microscaling Formats v1.0, 6.3."""
    _, exponent = np.frexp(np.abs(x).max())  # largest = 0.5..1 times 2**exponent
    scale = 2.0 ** max(int(exponent) - 1 - 2, -127) if x.any() else 2.0**-127
    assert float(ml_dtypes.float8_e8m0fnu(scale)) == scale
    return cast(x.astype(np.float64) / scale, ml_dtypes.float4_e2m1fn, 6) * np.float32(scale)


def nv_block(x: np.ndarray, tensor_largest: np.float32) -> np.ndarray:
    """One block or square: NVIDIA 2025, appendix B, equations 1 to 4, in float32."""
    finite = np.finfo(np.float32).max
    with np.errstate(all="ignore"):  # what is beyond float32 is its end
        encode = min(np.float32(6 * 448) / tensor_largest, finite)
        decode = np.float32(1) / encode
        local = np.abs(x).max() / np.float32(6)
        step = cast(np.array(local * encode), ml_dtypes.float8_e4m3fn, 448) * decode
        inverse = np.minimum(np.float32(1) / step, finite)
        return cast(x * inverse, ml_dtypes.float4_e2m1fn, 6) * step


def by_block(x: np.ndarray, size: tuple[int, int], rounded, *arguments) -> np.ndarray:
    """Blocks of (rows, columns), the last ones short."""
    y = np.empty_like(x)
    for i in range(0, x.shape[0], size[0]):
        for j in range(0, x.shape[1], size[1]):
            part = np.s_[i:i + size[0], j:j + size[1]]
            y[part] = rounded(x[part], *arguments)
    return y


FORMATS = {
    "mxfp4": (mxfp4, lambda x: by_block(x, (1, 32), mx_block)),
    "nvfp4": (nvfp4, lambda x: by_block(x, (1, 16), nv_block, np.abs(x).max())),
    "nvfp4, squares": (lambda x: nvfp4(x, square=True),
                       lambda x: by_block(x, (16, 16), nv_block, np.abs(x).max())),
}


def check(name: str, x: np.ndarray) -> None:
    ours, slow = FORMATS[name]
    found = ours(torch.from_numpy(x.copy())).numpy()
    assert found.shape == x.shape
    np.testing.assert_array_equal(found, slow(x))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_e2m1_of_every_16_bit_number(dtype):
    x = every(dtype)
    found = e2m1_(torch.from_numpy(x.copy())).numpy()
    np.testing.assert_array_equal(found, cast(x, ml_dtypes.float4_e2m1fn, 6))
    assert set(found.tolist()) == set(E2M1.tolist())


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_of_all_kinds(name):
    """Ragged sizes, scales from subnormal to huge, outliers, zeros, a tensor of zeros alone."""
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (3, 32), (17, 33), (40, 100), (16, 15)):
        for scale in (1e-38, 1e-30, 1.0, 1e36):
            x = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
            x[rng.random(x.shape) < 0.1] *= 50
            x[:, :7] = 0
            check(name, x)
    check(name, np.zeros((4, 40), np.float32))


def test_every_bfloat16_as_the_largest_of_a_block():
    """All scales of E8M0 that there can be, and subnormal numbers."""
    x = np.zeros((65280, 4), np.float32)
    x[:, 1] = every(ml_dtypes.bfloat16)
    x[:, 2:] = x[:, 1:2] * np.float32([0.3, -0.7])
    slow = np.stack([mx_block(row) for row in x[::7]])
    np.testing.assert_array_equal(mxfp4(torch.from_numpy(x)).numpy()[::7], slow)


def test_every_scale_of_e4m3():
    """With 6 * 448 as the tensor's largest a block's scale is the E4M3 of its own sixth."""
    largest = every(ml_dtypes.bfloat16)
    largest = largest[(largest >= 0) & (largest <= 6 * 448)]
    assert largest.max() == 6 * 448
    x = np.zeros((len(largest), 16), np.float32)
    x[:, 3], x[:, 5] = largest, -0.4 * largest
    found = nvfp4(torch.from_numpy(x)).numpy()
    slow = np.stack([nv_block(row, largest.max()) for row in x[::3]])
    np.testing.assert_array_equal(found[::3], slow)
    scales = cast(largest / 6, ml_dtypes.float8_e4m3fn, 448)
    kept = scales > 0
    assert len(set(scales)) == 127 and not found[~kept].any()
    # 3 and 4 where the scale is subnormal, far from a sixth
    assert set(found[kept, 3] / scales[kept]) == {3, 4, 6}


def test_what_is_not_finite_spreads():
    x = torch.ones(2, 64)
    for bad in (float("nan"), float("inf"), -float("inf")):
        x[0, 40] = bad
        assert mxfp4(x).isnan().nonzero().tolist() == [[0, n] for n in range(32, 64)]
        assert nvfp4(x).isnan().all()


# Stochastic rounding


def test_draws_are_words_of_the_generator():
    words = random_words.words(2**32 - 1, np.arange(2, 9), blocks.LANES)
    halves = np.stack([words >> 12, words & 4095], -1).reshape(-1)[:200]
    found = uniform(2**32 - 1, 2 * 2 * blocks.LANES, 200, torch.device("cpu"))
    np.testing.assert_array_equal(found.numpy(), (halves + 0.5) / 4096)


def test_bits_do_not_hang_on_what_is_rounded_at_once(monkeypatch):
    x = torch.randn(300, 64)
    one = mxfp4(x, 7)
    monkeypatch.setattr(blocks, "CHUNK", 1 << 10)
    assert torch.equal(one, mxfp4(x, 7))
    assert not torch.equal(one, mxfp4(x, 8))


def test_stochastic_rounding_is_unbiased_between_neighbours():
    draws = 1 << 15
    values = np.concatenate([np.linspace(-6, 6, 97), [0.01, -0.03]]).astype(np.float32)
    x = torch.from_numpy(values).repeat_interleave(draws)
    found = e2m1_(x, 5).view(len(values), draws).numpy()
    levels = np.unique(E2M1)
    for value, row in zip(values, found, strict=True):
        above = levels[levels >= value].min()
        below = levels[levels <= value].max()
        assert set(row.tolist()) <= {below, above}
        share = (value - below) / (above - below) if above > below else 0
        sigma = (above - below) * (share * (1 - share) / draws) ** 0.5
        assert abs(row.mean(dtype=np.float64) - value) <= 4 * sigma + 1e-4, value
    # the place of one element says nothing about that of its neighbour
    ups = found == found.max(1, keepdims=True)
    middle = ups[values == 2.5][0]
    assert abs(np.corrcoef(middle[:-1], middle[1:])[0, 1]) < 4 / draws**0.5


@pytest.mark.parametrize("rounded, factor", [(mxfp4, UNBIASED), (nvfp4, 1.0)])
def test_mean_of_blocks(rounded, factor):
    """The largest of a block included, for MXFP4: 7.9 scales do not saturate."""
    torch.manual_seed(0)
    x = torch.randn(8, 64)
    x[:, 3] = 7.9
    found = rounded(x.repeat(2_000, 1), 3).view(2_000, 8, 64).mean(0)
    # NVFP4 leaves its own scales' rounding: what is beyond 6 of them saturates
    close = (found - factor * x).abs() < 0.1
    assert close[:, :3].all() and close[:, 4:].all()
    assert (found[:, 3] - factor * 7.9).abs().max() < (0.1 if factor < 1 else 0.5)


# Hadamard transforms


@pytest.mark.parametrize("size", [16, 64])
def test_rotation_is_a_hadamard_matrix_with_random_signs(size):
    found = rotation(size, 3, torch.device("cpu")).double().numpy()
    np.testing.assert_array_equal(found / found[:, :1], hadamard(size))
    assert set(found[:, 0] * size**0.5) == {-1, 1}
    np.testing.assert_array_equal(found @ found.T, np.eye(size))
    assert (found[:, 0] != rotation(size, 4, torch.device("cpu")).double().numpy()[:, 0]).any()


@pytest.mark.parametrize("depth", [1, 16, 75, 128])
def test_rotation_cancels_in_a_product(depth):
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, depth).double(), torch.randn(2, 7, depth).double()
    turn = rotation(64, 9, a.device).double()
    found = rotated(a, turn) @ rotated(b, turn).transpose(1, 2)
    np.testing.assert_allclose(found, a @ b.transpose(1, 2), rtol=0, atol=1e-12)
    spread = rotated(torch.eye(64)[:1], turn.float())
    assert spread.abs().max() < 0.126  # one outlier becomes 64 equal parts
