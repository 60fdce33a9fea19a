# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers, 4 bit and FP32, and softmax cross-entropy.

Both layers have one interface, so the networks made of them share everything else:
`forward(x)` keeps what `backward` needs, `backward(g, propagate)` sets the gradients of the
layer's parameters (means over the batch) and returns the gradient of its input. To infer,
`forward(x, frozen=True)` leaves the core's scales and the random seeds as they are.
Gradients between layers are those of each sample's own loss, not divided by the batch, so that
GradScale does not depend on the batch size.

The three GEMMs of a 4-bit layer, all exact, all on the backend:

    fprop  Y (batch, out) = X UINT4 (batch, in)   x W INT4 (out, in)            then clip, or INT32
    dgrad  dX^T (in, batch) = W^T INT4 (in, out)  x dY FP4 (batch, out)         then INT32
    wgrad  dW^T (in, out) = X^T UINT4 (in, batch) x dY^T FP4 (out, batch)       then INT32

X may also be INT4 with a zero point, which `multiply` takes out again. In radix 4 dgrad takes the
even phase of dY and wgrad the odd one.
"""

import numpy as np

from golden.adaptive import Adapt
from golden.engine import Backend, Job, as_backend
from golden.fixed_point import to_fixed
from golden.formats import INT32
from golden.rescale import RAW, Rescale, Rescaled
from golden.tensor import Quantised
from train.network.optimizer import Parameter
from train.network.protocols import Activation, GradientQuantiser, WeightQuantiser
from train.quantisers import Fixed


def multiply(backend: Backend, a: Quantised, b: Quantised, then: Rescale = RAW, *, bias=None,
             phase: str, adapt: Adapt | None = None) -> Rescaled:
    """`rescale((a - a.zero_point) @ b.T + bias)` of the codes' integers, exactly.

    A zero point z costs a second, small GEMM: `sum_k (a - z) b` is `sum_k a b - z sum_k b`, whose
    last sum is the same for every row of a. An operand of ones finds it for all columns, and it
    goes into the bias. ValueError if a corrected accumulator leaves 32 bits.
    """
    if a.zero_point:
        ones = np.ones((1, a.codes.shape[1]), np.int8)
        sums = backend.run(Job.gemm(ones, a.fmt, b.codes, b.fmt, phase=phase)).codes[0]
        bias = (0 if bias is None else bias) - a.zero_point * sums.astype(np.int64)
    result = backend.run(Job.gemm(
        a.codes, a.fmt, b.codes, b.fmt, then, bias=bias, phase=phase, adapt=adapt))
    if result.bias_saturated:
        raise ValueError(
            f"{phase}, zero point {a.zero_point}: an accumulator with its bias leaves "
            f"{INT32.lo}..{INT32.hi}; use a smaller bias, or a range that includes 0")
    return result


class QuantisedDense:
    """`y = activation(x W^T + b)`, or the logits without one; every GEMM operand has 4 bits.

    Parameters
    ----------
    backend : Backend that runs the GEMMs and the quantisations.
    weight, bias : Parameters of shape (out, in) and (out,): the float64 master copies.
    quantise_weight, quantise_gradient : the quantisers of the weights and of the output's gradient
        (`train.network.protocols`); the gradients themselves are `weight.gradient` and its like.
    activation : an Activation; None for the last layer.

    Members
    -------
    codes : the Quantised tensors of the latest step: weights, inputs, gradients.
    """

    def __init__(self, backend: Backend, weight: Parameter, bias: Parameter,
                 quantise_weight: WeightQuantiser, quantise_gradient: GradientQuantiser,
                 activation: Activation | None):
        self.backend, self.weight, self.bias = as_backend(backend), weight, bias
        self.quantise_weight, self.quantise_gradient = quantise_weight, quantise_gradient
        self.activation = activation
        self.codes: dict[str, Quantised] = {}

    @property
    def parameters(self) -> list[Parameter]:
        learned = () if self.activation is None else self.activation.parameters
        return [self.weight, self.bias, *learned]

    def forward(self, x: Quantised, *, frozen: bool = False) -> Quantised | np.ndarray:
        """4-bit activations (batch, out); float64 logits from the last layer.

        The bias is added as an integer in units of the accumulator, so it is rounded to one unit.
        """
        w = self.quantise_weight(
            self.backend, self.weight.value, name=self.weight.name, frozen=frozen)
        self.codes = {"weights": w, "inputs": x}
        unit = x.mac_scale * w.mac_scale
        bias = to_fixed(self.bias.value / unit, 0, name=f"{self.bias.name} / {unit:.3g}")

        def product(then: Rescale, adapt: Adapt | None) -> Rescaled:
            return multiply(self.backend, x, w, then, bias=bias, phase="fprop", adapt=adapt)

        if self.activation is None:
            return unit * product(RAW, None).codes
        return self.activation(self.backend, product, unit, frozen=frozen)

    def backward(self, g: Fixed, propagate: bool) -> Fixed | None:
        """From the gradient of the output (batch, out) to that of the input, if `propagate`."""
        w, x, batch = self.codes["weights"], self.codes["inputs"], len(g.values)
        mask = None if self.activation is None else self.activation.backward(g)
        dy = self.quantise_gradient(self.backend, g, mask=mask)
        self.codes["gradients"] = dy.dgrad
        self.bias.gradient = dy.wgrad.dequantise().mean(axis=0)
        wgrad = self._product(x.T, dy.wgrad.T, "wgrad")
        self.weight.gradient = wgrad.values.T * (wgrad.unit / batch)
        if not propagate:
            return None  # nothing below learns: the first layer saves its dgrad
        dgrad = self._product(w.T, dy.dgrad, "dgrad")
        return Fixed(dgrad.values.T, dgrad.unit)

    def _product(self, a: Quantised, b: Quantised, phase: str) -> Fixed:
        result = multiply(self.backend, a, b, phase=phase)
        return Fixed(result.codes, a.mac_scale * b.mac_scale)


class FloatDense:
    """The twin of `QuantisedDense` in the dtype of its parameters: `y = relu(x W^T + b)`."""

    _x: np.ndarray  # of the latest step
    _y: np.ndarray

    def __init__(self, weight: Parameter, bias: Parameter, relu: bool):
        self.weight, self.bias, self.relu = weight, bias, relu

    @property
    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def forward(self, x: np.ndarray, *, frozen: bool = False) -> np.ndarray:
        y = x @ self.weight.value.T + self.bias.value
        self._x, self._y = x, np.maximum(y, 0) if self.relu else y
        return self._y

    def backward(self, g: np.ndarray, propagate: bool) -> np.ndarray | None:
        if self.relu:
            g = g * (self._y > 0)
        self.bias.gradient = g.mean(axis=0)
        self.weight.gradient = g.T @ self._x / len(g)
        return g @ self.weight.value if propagate else None


def softmax_cross_entropy(logits, labels) -> tuple[float, np.ndarray]:
    """Mean loss (nats), and each sample's gradient `p - onehot`, within [-1, 1].

    Parameters
    ----------
    logits : finite floats (batch, classes); the gradient has their shape and dtype.
    labels : integers (batch,), 0..classes - 1.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or 0 in logits.shape or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits of shape {logits.shape} and labels of shape {labels.shape} do not fit: "
            "expected (batch, classes) and (batch,) with one label per row"
        )
    bad = (labels < 0) | (labels >= logits.shape[1])
    if labels.dtype.kind not in "iu" or bad.any():
        found = f"dtype {labels.dtype}" if labels.dtype.kind not in "iu" else int(labels[bad][0])
        raise ValueError(
            f"label {found} is out of range: expected integers 0..{logits.shape[1] - 1}, "
            "one per class of the last layer"
        )
    shifted = logits - logits.max(axis=1, keepdims=True)  # exp cannot overflow
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(log_p)
    gradient[rows, labels] -= 1
    return float(-log_p[rows, labels].mean()), gradient
