# SPDX-License-Identifier: Apache-2.0
"""Who measures: the host never reduces a tensor to its range or its moments, the core does.

`Unmeasured` arrays stand for every tensor that the host holds. The host may compute with them
element by element and move them; whatever reduces one, or prepares its moments, fails. What golden
strips with `np.asarray`, to check a job or to play the core, is beyond the guard.
"""

from dataclasses import replace

import numpy as np
import pytest

import golden.integer
import train.quantisers
from golden.config import preset
from golden.engine import GoldenBackend
from golden.fixed_point import to_fixed
from golden.tensor import Quantised
from train.digits.data import digits
from train.network.mlp import quantised_mlp
from train.network.schemes import SCHEMES
from train.quantisers import Fixed, LogGradient

SIZES = (64, 24, 16, 10)
MOMENTS = (np.absolute, np.fabs, np.square, np.power, np.float_power, np.hypot, np.maximum,
           np.minimum, np.fmax, np.fmin)
METHODS = ("argmax", "argmin", "argpartition", "argsort", "cumprod", "cumsum", "dot", "flat",
           "item", "nonzero", "partition", "searchsorted", "sort", "tobytes", "tolist", "trace")
MOVES = (np.broadcast_to, np.concatenate, np.copy, np.copyto, np.empty_like, np.ones_like,
         np.ravel, np.reshape, np.shape, np.size, np.stack, np.transpose, np.where, np.zeros_like)


def refuse(what):
    raise AssertionError(f"the host measures a tensor: {what}")


class Unmeasured(np.ndarray):
    """An array of the host that can be computed with, but not measured.

    Allowed and counted in `sums`: those over the batch alone and those of chosen elements, of which
    the gradients of biases and of PACT's alpha are made.
    """

    sums = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        chosen = kwargs.get("where", True) is not True
        along_batch = kwargs.get("axis") == 0 and inputs[0].ndim == 2
        if method == "reduce" and ufunc is np.add and (along_batch or chosen):
            Unmeasured.sums += 1
        elif method == "reduce" and ufunc in (np.logical_or, np.logical_and):
            pass  # any() and all() of a comparison with constants
        elif method != "__call__" or ufunc.signature or ufunc in MOMENTS or (
                ufunc is np.multiply and same(*inputs)):
            refuse(f"{ufunc.__name__}.{method}")
        kwargs = {name: tuple(map(plain, x)) if name == "out" else plain(x)
                  for name, x in kwargs.items()}
        return guarded(getattr(ufunc, method)(*map(plain, inputs), **kwargs))

    def __iter__(self):
        refuse("iteration")

    def __array_function__(self, function, types, inputs, kwargs):
        if function not in MOVES:
            refuse(function.__name__)
        return guarded(super().__array_function__(function, types, inputs, kwargs))


for _name in METHODS:  # written in C, they ask neither of the two above
    setattr(Unmeasured, _name, property(lambda self, name=_name: refuse(name)))


def same(a, b):
    arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return arrays and a.shape == b.shape and np.may_share_memory(plain(a), plain(b))


def guarded(x):
    return x.view(Unmeasured) if isinstance(x, np.ndarray) else x


def plain(x):
    return x.view(np.ndarray) if isinstance(x, Unmeasured) else x


REDUCTIONS = {
    "min": lambda x: x.min(), "max of rows": lambda x: x.max(axis=1), "np.max": np.max,
    "ptp": np.ptp, "sum": lambda x: x.sum(), "sum of rows": lambda x: x.sum(axis=1),
    "mean": lambda x: x.mean(), "np.mean": np.mean, "std": lambda x: x.std(), "np.var": np.var,
    "abs": abs, "np.abs": np.abs, "square": lambda x: x * x, "own view": lambda x: x * x[:],
    "power": lambda x: x**2, "maximum": lambda x: np.maximum(x, 0),
    "running maximum": np.maximum.accumulate, "cumsum": lambda x: x.cumsum(),
    "reduceat": lambda x: np.add.reduceat(x, [0, 1]), "prod": lambda x: x.prod(),
    "matmul": lambda x: x @ x.T, "dot": lambda x: x.dot(x.T), "np.dot": lambda x: np.dot(x.T, x),
    "vdot": lambda x: np.vdot(x, x), "inner": lambda x: np.inner(x, x),
    "einsum": lambda x: np.einsum("ij,ij->", x, x), "norm": np.linalg.norm, "trace": np.trace,
    "tensordot": lambda x: np.tensordot(x, x), "sort": lambda x: x.sort(), "np.sort": np.sort,
    "argsort": lambda x: x.argsort(), "argmax": lambda x: x.argmax(), "np.argmin": np.argmin,
    "partition": lambda x: x.partition(1), "median": np.median, "unique": np.unique,
    "quantile": lambda x: np.quantile(x, 0.9), "histogram": np.histogram,
    "count_nonzero": np.count_nonzero, "sorted": lambda x: sorted(x.ravel()),
    "max of flat": lambda x: max(x.flat), "tolist": lambda x: x.tolist(),
    "nanmax": np.nanmax,
}
ELEMENTWISE = {
    "affine": lambda x: 3 * x - 1, "quotient": lambda x: x / 2.0, "sign": lambda x: x > 0,
    "mask": lambda x: np.where(x > 0, x, 0), "choice": lambda x: ~(x > 0) & (x == 5),
    "transpose": lambda x: x.T, "slice": lambda x: x[:1], "cast": lambda x: x.astype(np.int64),
    "product of two": lambda x: x * (x + 1), "any": lambda x: (x > 9).any(),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_the_guard_notices(name):
    """Every way to reduce a tensor; the same call works on a plain array."""
    x = np.arange(-3, 6).reshape(3, 3)
    REDUCTIONS[name](x.copy())
    with pytest.raises(AssertionError, match="the host measures a tensor"):
        REDUCTIONS[name](guarded(x))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_guard_lets_pass(name):
    x = np.arange(-3, 6).reshape(3, 3)
    expected, found = ELEMENTWISE[name](x), ELEMENTWISE[name](guarded(x))
    assert np.array_equal(plain(found), expected)
    assert isinstance(found, Unmeasured) or name == "any"  # and what comes out is guarded again


@pytest.mark.parametrize("quant", SCHEMES)
def test_who_measures(quant, monkeypatch):
    """A step and a test of each scheme; the guard notices the one scheme whose host measures."""
    class Core(GoldenBackend):
        def run(self, job):
            result = super().run(job)
            return replace(result, **{n: guarded(x) for n, x in result.arrays.items()})

    def fixed(x, *args, **kwargs):
        return guarded(to_fixed(plain(x), *args, **kwargs))

    data, dequantise = digits(0), Quantised.dequantise
    batch = guarded(data.train_images[:48]), data.train_labels[:48]
    network = quantised_mlp(SIZES, 1, Core(preset("base")), quant)
    for layer in network.layers:
        layer.weight.value = guarded(layer.weight.value)
    monkeypatch.setattr(train.quantisers, "to_fixed", fixed)
    monkeypatch.setattr(golden.integer, "check_finite", lambda name, x: x)  # hides the guard
    monkeypatch.setattr(Quantised, "dequantise", lambda self: guarded(dequantise(self)))
    if SCHEMES[quant].host_statistics:
        with pytest.raises(AssertionError, match="the host measures a tensor"):
            network.backpropagate(*batch)
        with pytest.raises(AssertionError, match="the host measures a tensor"):
            LogGradient()(GoldenBackend(preset("base")), Fixed(guarded(np.ones((1, 2), int)), 1.0))
        return
    learned = sum(p.name.startswith(("bias", "alpha")) for p in network.parameters)
    for _ in range(2):
        before = Unmeasured.sums
        network.backpropagate(*batch)
        assert Unmeasured.sums - before == learned  # a sum for each such gradient, and no other
        network.logits(batch[0])  # of which the answer is an argmax, as the loss is a sum
        assert Unmeasured.sums - before == learned
