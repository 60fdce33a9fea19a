# SPDX-License-Identifier: Apache-2.0
"""`Quantised`: what codes, scale, zero point and phase are worth together."""

import re
from fractions import Fraction

import numpy as np
import pytest

from golden.formats import FP4_R2, FP4_R4, INT4, UINT4, Phase
from golden.gemm import gemm, mac_values
from golden.integer import Range, encode, quantise
from golden.tensor import Quantised
from verif.golden.oracles import LOG_IDS, LOGS


def test_integer_tensor():
    x = np.array([[-3.0, 0.3], [1.0, 9.0]])
    tensor = quantise(x, Range(INT4, 0.5, 1))
    assert tensor.codes.tolist() == [[-5, 2], [3, 7]]
    assert (tensor.fmt, tensor.scale, tensor.zero_point) == (INT4, 0.5, 1)
    assert tensor.dequantise().tolist() == [[-3.0, 0.5], [1.0, 3.0]]
    assert tensor.mac_scale == 0.5
    np.testing.assert_array_equal(encode(x, Range(INT4, 0.5, 1)), tensor.codes)


@pytest.mark.parametrize(("fmt", "phase", "levels", "ratio"), LOGS, ids=LOG_IDS)
def test_log_tensor(fmt, phase, levels, ratio):
    codes = np.arange(16, dtype=np.int8)
    tensor = Quantised(codes, fmt, 0.25, phase=phase)
    values = [Fraction(0), *levels]
    assert tensor.dequantise().tolist() == [float(v) / 4 for v in values + [-v for v in values]]
    # the MAC's integers times mac_scale are the same numbers: the phase is only a scale
    np.testing.assert_array_equal(mac_values(codes, fmt) * tensor.mac_scale, tensor.dequantise())


def test_a_product_of_tensors_is_a_gemm():
    rng = np.random.default_rng(9)
    a = Quantised(rng.integers(0, 16, (5, 40), dtype=np.int8), UINT4, 0.5)
    b = Quantised(rng.integers(0, 16, (7, 40), dtype=np.int8), FP4_R4, 4.0, phase=Phase.ODD)
    sums = gemm(a.codes, a.fmt, b.codes, b.fmt)
    np.testing.assert_array_equal(
        sums * (a.mac_scale * b.mac_scale), a.dequantise() @ b.dequantise().T)


def test_transpose_keeps_everything_else():
    tensor = Quantised(np.arange(6).reshape(2, 3), FP4_R4, 2.0, phase=Phase.ODD)
    assert tensor.T.codes.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (tensor.T.fmt, tensor.T.scale, tensor.T.phase) == (FP4_R4, 2.0, Phase.ODD)
    np.testing.assert_array_equal(tensor.T.dequantise(), tensor.dequantise().T)


def test_codes_are_checked():
    for fmt, bad in ((INT4, 8), (UINT4, -1), (FP4_R2, 16)):
        with pytest.raises(ValueError, match=re.escape(f"code {bad} of 'codes' at index (0,)")):
            Quantised(np.array([bad]), fmt, 1.0)
