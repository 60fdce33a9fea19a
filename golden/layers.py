# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers, 4 bit and FP32, and softmax cross-entropy.

Both layers have one interface, so the networks made of them share everything else:
`forward(x)` keeps what `backward` needs, `backward(g, propagate)` sets the gradients of the
layer's parameters (means over the batch) and returns the gradient of its input.
Gradients between layers are those of each sample's own loss, not divided by the batch, so that
GradScale does not depend on the batch size.

The three GEMMs of a 4-bit layer, all exact, all on the backend:

    fprop  Y (batch, out) = X UINT4 (batch, in)   x W INT4 (out, in)            then clip, or INT32
    dgrad  dX^T (in, batch) = W^T INT4 (in, out)  x dY FP4 (batch, out)         then INT32
    wgrad  dW^T (in, out) = X^T UINT4 (in, batch) x dY^T FP4 (out, batch)       then INT32

In radix 4 dgrad takes the even phase of dY and wgrad the odd one.
"""

import numpy as np

from golden.engine import Backend, Job
from golden.fixed_point import to_fixed
from golden.optimizer import Parameter
from golden.quantisers import Fixed, Pact
from golden.rescale import RAW
from golden.tensor import Quantised


class QuantisedDense:
    """`y = pact(x W^T + b)`, or INT32 logits without `pact`; every GEMM operand has 4 bits.

    Parameters
    ----------
    backend : Backend that runs the GEMMs and the quantisations.
    weight, bias : Parameters of shape (out, in) and (out,): the float64 master copies.
    quantise_weight, gradient : the quantisers of the weights and of the output's gradient.
    pact : Pact with its learned alpha; None for the last layer.

    Members: `codes`, the Quantised tensors of the latest step by name, and `gradient.log2_scale`.
    """

    def __init__(self, backend: Backend, weight: Parameter, bias: Parameter, quantise_weight,
                 gradient, pact: Pact | None):
        self.backend, self.weight, self.bias, self.pact = backend, weight, bias, pact
        self.quantise_weight, self.gradient = quantise_weight, gradient
        self.codes: dict[str, Quantised] = {}
        self._clipped = None

    @property
    def parameters(self) -> list[Parameter]:
        clip = [self.pact.alpha] if self.pact else []
        return [self.weight, self.bias, *clip]

    def forward(self, x: Quantised) -> Quantised | np.ndarray:
        """UINT4 activations (batch, out); float64 logits from the last layer.

        The bias is added as an integer in units of the accumulator, so it is rounded to one unit.
        """
        w = self.quantise_weight(self.backend, self.weight.value, name=self.weight.name)
        unit = x.mac_scale * w.mac_scale
        then, adapt = self.pact.prepare(self.backend, unit) if self.pact else (RAW, None)
        bias = to_fixed(self.bias.value / unit, 0, name=f"{self.bias.name} / {unit:.3g}")
        result = self.backend.run(
            Job.gemm(x.codes, x.fmt, w.codes, w.fmt, then, bias=bias, phase="fprop", adapt=adapt)
        )
        self.codes = {"weights": w, "inputs": x}
        if self.pact is None:
            return unit * result.codes
        y, self._clipped = self.pact.wrap(result, then, unit)
        return y

    def backward(self, g: Fixed, propagate: bool) -> Fixed | None:
        """From the gradient of the output (batch, out) to that of the input, if `propagate`."""
        w, x, batch = self.codes["weights"], self.codes["inputs"], len(g.values)
        if self.pact:
            above = g.values.sum(where=self._clipped.above, dtype=np.int64)
            self.pact.alpha.gradient = np.asarray(above * g.unit / batch)
        dy = self.gradient(self.backend, g, mask=self._clipped.inside if self.pact else None)
        self.codes["gradients"] = dy.dgrad
        self.bias.gradient = dy.wgrad.dequantise().mean(axis=0)
        wgrad = self._gemm(x.T, dy.wgrad.T, "wgrad")
        self.weight.gradient = wgrad.values.T * (wgrad.unit / batch)
        if not propagate:
            return None  # nothing below learns: the first layer saves its dgrad
        dgrad = self._gemm(w.T, dy.dgrad, "dgrad")
        return Fixed(dgrad.values.T, dgrad.unit)

    def _gemm(self, a: Quantised, b: Quantised, phase: str) -> Fixed:
        result = self.backend.run(Job.gemm(a.codes, a.fmt, b.codes, b.fmt, phase=phase))
        return Fixed(result.codes, a.mac_scale * b.mac_scale)


class FloatDense:
    """The twin of `QuantisedDense` in the dtype of its parameters: `y = relu(x W^T + b)`."""

    def __init__(self, weight: Parameter, bias: Parameter, relu: bool):
        self.weight, self.bias, self.relu = weight, bias, relu
        self._x = self._y = None

    @property
    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def forward(self, x: np.ndarray) -> np.ndarray:
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
