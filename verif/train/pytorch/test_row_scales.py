# SPDX-License-Identifier: Apache-2.0
"""The golden model's scales per row are those of the front end, which has a job for each row."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from golden.config import Config  # noqa: E402
from golden.engine import GoldenBackend  # noqa: E402
from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, UINT4, LogFormat, Phase  # noqa: E402
from golden.gemm import gemm, mac_values  # noqa: E402
from golden.rescale import Rescaled  # noqa: E402
from golden.row_scales import rescale_grid, rescale_rows, units  # noqa: E402
from train.pytorch import kernels  # noqa: E402
from train.pytorch.execution import JobExecution, TorchExecution, derived  # noqa: E402
from train.pytorch.policy import Axis, Role, Rounding  # noqa: E402
from train.pytorch.product import ROLES, Product  # noqa: E402
from train.pytorch.quantiser import FIXED_BITS, Quantiser  # noqa: E402
from train.study.variants import variant  # noqa: E402

KEY = (3, 1, 4)
CONFIG = Config(4, 2, 4)
# zeros, one element beside zeros, the least integers, less than those, equal ones, the largest
CORNERS = torch.tensor([[0, 0, 0, 0, 0], [0, 0, -1, 0, 0], [2.0**-27, 0, -(2.0**-26), 0, 2.0**-28],
                        [2.0**-30, 0, 0, 0, 0], [1, -1, 1, -1, 1], [7, -6.5, 5, 0.5, -1e-9]])


def bits_of(x: torch.Tensor) -> int:
    return FIXED_BITS - int(np.frexp(x.abs().max().item())[1])


def tensors():
    rng = torch.Generator().manual_seed(6)
    yield CORNERS
    for shape in ((1, 1), (7, 3), (9, 33)):
        magnitude = 10 ** (3 * torch.randn(shape[0], 1, generator=rng))
        yield magnitude * torch.randn(shape, generator=rng)


@pytest.mark.parametrize("rounding", Rounding, ids=lambda rounding: rounding.value)
@pytest.mark.parametrize("fmt, phase", [
    (INT4, Phase.EVEN), (INT4_SYM, Phase.EVEN), (UINT4, Phase.EVEN), (FP4_R2, Phase.EVEN),
    (FP4_R4, Phase.EVEN), (FP4_R4, Phase.ODD)], ids=str)
def test_rows_are_the_front_ends(fmt, phase, rounding):
    """Codes and units of a `Quantiser` that asks a backend for a job per row."""
    quantiser = Quantiser(Role(fmt, axis=Axis.ROW, rounding=rounding, phase=phase), "layer")
    seed = derived(*KEY) if rounding == Rounding.STOCHASTIC else None
    for x in tensors():
        wanted = quantiser(x, JobExecution(GoldenBackend(CONFIG)), KEY, frozen=False)
        bits = bits_of(x)
        given = kernels.fixed(x, bits).long().numpy()
        found = rescale_rows(given, fmt, seed=seed,
                             lanes=None if seed is None else CONFIG.cols)
        codes = found.results.odd if phase == Phase.ODD else found.results.codes
        assert np.array_equal(mac_values(codes, fmt), wanted.values.numpy())
        one = fmt.unit(phase) if isinstance(fmt, LogFormat) else 1.0
        assert [2.0**-bits / scale.value * one for scale in found.scales] == wanted.unit.tolist()
        assert found.degenerate.tolist() == (given == 0).all(1).tolist()


def integers(x: torch.Tensor) -> np.ndarray:
    return kernels.fixed(x.detach(), bits_of(x.detach())).long().numpy()


def far(found: Rescaled, exponent: int, wanted: torch.Tensor) -> float:
    """The share of results `found * 2**exponent` that are off by 2**-12 of the largest."""
    error = np.abs(np.ldexp(found.codes.astype(float), exponent) - wanted.detach().numpy())
    return (error > 2.0**-12 * wanted.abs().max().item()).mean()


def test_the_recipe_in_integers_is_the_front_ends_but_for_its_float32():
    """The three GEMMs of rows-columns-tokens: the front end multiplies by units, and folds them
    into the gradient, in float32; the core by Dyadics. Another seed moves nearly everything."""
    rng = torch.Generator().manual_seed(1)
    product = Product(variant("luq:rows-columns-tokens"), "layer", 5, 48, TorchExecution(CONFIG))
    x = torch.randn(64, 40, generator=rng) * torch.rand(64, 1, generator=rng).exp()
    w = torch.randn(48, 40, generator=rng).requires_grad_()
    dy = torch.randn(64, 48, generator=rng) * 10 ** torch.randn(64, 1, generator=rng)
    x.requires_grad_()
    y = product(x[None], w[None])
    y.backward(dy[None])
    xq, wq = (rescale_rows(integers(each), INT4_SYM) for each in (x, w))
    xu, wu = units(xq.scales), units(wq.scales)
    sums = gemm(xq.results.codes, INT4_SYM, wq.results.codes, INT4_SYM)
    found = rescale_grid(sums, rows=xu.factors, columns=wu.factors, exponent=12)
    assert far(found, xu.exponent - bits_of(x) + wu.exponent - bits_of(w) - 12, y[0]) == 0
    for role, a, unit, bits, gradient, wanted in (
            ("dgrad", wq, wu, bits_of(w), integers(dy), x.grad.T),
            ("wgrad", xq, xu, bits_of(x), integers(dy).T, w.grad.T)):
        folded = rescale_grid(gradient, columns=unit.factors).codes
        shares = []
        for key in (5, 6):
            gq = rescale_rows(folded, FP4_R2, seed=derived(key, ROLES.index(role), 1),
                              lanes=CONFIG.cols)
            gu = units(gq.scales)
            sums = gemm(a.results.codes.T, INT4_SYM, gq.results.codes, FP4_R2)
            found = rescale_grid(sums, columns=gu.factors, exponent=12)
            exponent = gu.exponent + unit.exponent - bits - bits_of(dy) - 12
            shares.append(far(found, exponent, wanted))
        assert shares[0] < 0.01 < 0.5 < shares[1], (role, shares)
