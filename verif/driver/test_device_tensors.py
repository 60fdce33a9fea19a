# SPDX-License-Identifier: Apache-2.0
"""Where jobs of `Accelerator` put their results: tensors that are there already, some columns of
wider ones."""

import numpy as np
import pytest

from driver.accelerator import Accelerator, Result
from driver.verilated_core import VerilatedCore
from golden.adaptive import Adapt
from golden.formats import INT4, INT32
from golden.rescale import Rescale, rescale
from verif.driver.mirrored import Mirrored
from verif.driver.test_accelerator import CONFIG, MEMORY, SCALED, check, codes


@pytest.fixture(scope="module")
def device():
    with (VerilatedCore(CONFIG, quick=True, latency=9) as core,
          Accelerator(Mirrored(core), MEMORY, ring=4, timeout=20) as device):
        yield device


def test_update_and_reuse(device):
    rng = np.random.default_rng(6)
    a, b = device.upload(codes(rng, INT4, 3, 8), INT4), device.upload(codes(rng, INT4, 2, 8), INT4)
    result = device.gemm(a, b)
    first = device.download(result.c)
    values = codes(rng, INT4, 3, 8)
    device.update(a, values)
    assert device.gemm(a, b, out=result) == result
    np.testing.assert_array_equal(device.download(result.c), values @ device.download(b).T)
    assert (device.download(result.c) != first).any()
    check(device)


def test_some_columns_of_a_wider_tensor(device):
    """Results and operands of a job, per batch element; the columns beside them stay."""
    rng = np.random.default_rng(10)
    a, b = codes(rng, INT4, 2, 5, 8), codes(rng, INT4, 6, 8)
    on_a, on_b = device.upload(a, INT4), device.upload(b, INT4)
    wide = device.upload(np.full((2, 5, 9), 3), INT4)
    result = device.gemm(on_a, on_b, SCALED, clip_mask=True, out=Result(wide.first(6)))
    expected = rescale(a @ b.T, SCALED)
    assert result.codes == wide.first(6) and result.mask is not None
    np.testing.assert_array_equal(device.download(result.codes), expected.codes)
    np.testing.assert_array_equal(device.download(result.mask), expected.mask)
    np.testing.assert_array_equal(device.download(wide)[..., :6], expected.codes)
    assert (device.download(wide)[..., 6:] == 3).all()
    sums = device.gemm(result.codes, result.codes)
    np.testing.assert_array_equal(device.download(sums.codes),
                                  expected.codes.astype(int) @ expected.codes.transpose(0, 2, 1))
    device.gemm(on_a, device.upload(b[:5], INT4), SCALED, out=Result(wide.first(5)))
    found = device.download(wide)
    assert not found[..., 5].any() and (found[..., 6:] == 3).all()  # the other half of a byte
    with pytest.raises(ValueError, match="cols = 10 is out of range"):
        wide.first(10)
    with pytest.raises(ValueError, match="update of the first 5 columns of a wider tensor"):
        device.update(wide.first(5), np.zeros((2, 5, 5), int))
    check(device)


def test_a_job_that_is_refused_takes_no_memory(device):
    rng = np.random.default_rng(11)
    a = device.upload(codes(rng, INT4, 3, 8), INT4)
    x = device.upload(np.ones((3, 2), int), INT32)
    odd = device.empty(3, 9, INT32)._replace(cols=2, pitch=9)
    device.wait()
    left = device.memory.free_bytes
    with pytest.raises(ValueError, match="accumulate without out"):
        device.gemm(a, a, accumulate=True, out=Result(None))
    with pytest.raises(ValueError, match="the core refuses this job, ALIGNMENT"):
        device.quantise(x, Rescale(), adapt=Adapt(0), out=Result(odd))
    assert device.memory.free_bytes == left
    whole = device.empty(4, 4, INT4)
    assert whole.first(4) == whole
