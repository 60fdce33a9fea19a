# SPDX-License-Identifier: Apache-2.0
"""4-bit layers, networks and the optimizer, on the golden backend."""

import numpy as np
import pytest

from driver.checked import open_backend
from golden.adaptive import Adapt, Entry
from golden.config import preset
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, Phase
from golden.gradscale import GradScale
from golden.logfp4 import decode
from train.digits.data import digits
from train.digits.trainer import Schedule
from train.network.layers import softmax_cross_entropy
from train.network.mlp import float_mlp, quantised_mlp
from train.network.optimizer import Momentum, Parameter, cosine
from train.network.schemes import SCHEMES
from train.quantisers import (
    Fixed,
    GradScaled,
    LogGradient,
    Sawb,
    UnitInterval,
)

BACKEND = GoldenBackend(preset("base"))
SIZES = (64, 24, 16, 10)


@pytest.fixture
def batch():
    data = digits(0)
    return data.train_images[:48], data.train_labels[:48]


def numeric_gradient(loss, value, index, step=1e-6):
    """Central difference of `loss()` in one element of an array."""
    kept = value[index]
    value[index] = kept + step
    above = loss()
    value[index] = kept - step
    below = loss()
    value[index] = kept
    return (above - below) / (2 * step)


# Loss


def test_softmax_cross_entropy_closed_form():
    # p = (1/4, 3/4), so the loss of label 0 is ln 4 and of label 1 ln 4/3
    logits = np.log([[1.0, 3.0], [1.0, 3.0]])
    loss, gradient = softmax_cross_entropy(logits, np.array([0, 1]))
    assert loss == pytest.approx((np.log(4) + np.log(4 / 3)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-0.75, 0.75], [0.25, -0.25]], rtol=1e-14)


def test_softmax_cross_entropy_extreme_logits():
    loss, gradient = softmax_cross_entropy(np.array([[1e6, -1e6], [1e6, -1e6]]), np.array([0, 1]))
    assert loss == 1e6  # mean of 0 and 2e6
    np.testing.assert_array_equal(gradient, [[0, 0], [1, -1]])


@pytest.mark.parametrize("logits, labels, text", [
    (np.zeros((2, 3)), np.array([0, 3]), "label 3 is out of range: expected integers 0..2"),
    (np.zeros((2, 3)), np.array([-1, 0]), "label -1 is out of range: expected integers 0..2"),
    (np.zeros((2, 3)), np.array([0.0, 1.0]), "label dtype float64 is out of range"),
    (np.zeros((2, 3)), np.array([0]), r"logits of shape \(2, 3\) and labels of shape \(1,\)"),
    (np.zeros((0, 3)), np.zeros(0, int), r"logits of shape \(0, 3\)"),
])
def test_softmax_cross_entropy_errors(logits, labels, text):
    with pytest.raises(ValueError, match=text):
        softmax_cross_entropy(logits, labels)


# Gradients


def test_float_gradients_are_the_numeric_ones(batch):
    images, labels = batch
    network = float_mlp(SIZES, seed=1, dtype=np.float64)
    network.backpropagate(images, labels)
    rng = np.random.default_rng(2)

    def loss():
        return softmax_cross_entropy(network.logits(images), labels)[0]

    for p in network.parameters:
        for _ in range(5):
            index = tuple(rng.integers(p.value.shape))
            expected = numeric_gradient(loss, p.value, index)
            assert p.gradient[index] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("quant", ["adaptive", "static"])
def test_four_bit_layer_is_exact_on_its_quantised_tensors(batch, quant):
    """Only quantisation rounds: all three GEMMs are the float algebra of the dequantised codes."""
    images, _ = batch
    layer = quantised_mlp(SIZES, 1, BACKEND, quant).layers[0]
    layer.bias.value[:] = np.random.default_rng(3).normal(0, 0.5, layer.bias.value.shape)
    if quant == "static":
        layer.quantise_gradient = LogGradient(GradScale(6))
    else:
        BACKEND.run(Job.table(Adapt(layer.quantise_gradient.tensor, preset=Entry(exponent=6))))
    x = UnitInterval()(BACKEND, images)
    y = layer.forward(x)
    w = layer.codes["weights"]
    unit = x.scale * w.scale
    sums = x.dequantise() @ w.dequantise().T + unit * np.rint(layer.bias.value / unit)
    alpha = 15 * y.scale
    assert alpha == pytest.approx(float(layer.activation.alpha.value), rel=2**-15)
    np.testing.assert_allclose(
        y.dequantise(), np.clip(sums, 0, alpha), atol=y.scale * (0.5 + 1e-9)
    )

    g = np.random.default_rng(4).uniform(-1, 1, y.codes.shape)
    dx = layer.backward(Fixed.of(g, 30, name="g"), propagate=True)
    inside, above = (sums > 0) & (sums < alpha), sums >= alpha
    assert inside.any() and above.any()
    masked = g * inside * 64
    even, odd = (decode(_encoded(masked, phase), FP4_R4, phase) / 64 for phase in Phase)
    np.testing.assert_allclose(dx.values * dx.unit, even @ w.dequantise(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        layer.weight.gradient, odd.T @ x.dequantise() / len(g), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(layer.bias.gradient, odd.mean(axis=0), rtol=1e-12, atol=1e-14)
    assert layer.activation.alpha.gradient == pytest.approx((g * above).sum() / len(g), rel=1e-7)
    assert layer.quantise_gradient.log2_scale == 6  # the largest of 48 x 24 uniform values: 32..64


def _encoded(y, phase):
    """FP4 codes of y by nearest level in float, ties up; independent of the joint encoder."""
    levels = decode(np.arange(8), FP4_R4, phase)
    c = np.searchsorted((levels[:-1] + levels[1:]) / 2, np.abs(y), side="right")
    return c + 8 * ((y < 0) & (c > 0))


def test_four_bit_gradients_point_where_the_float_ones_do(batch):
    """The whole chain against FP32, signs and transposes included; radix 4 alone costs ~0.08."""
    images, labels = batch
    four_bit, reference = (f((64, 128, 10), 1, x) for f, x in (
        (quantised_mlp, BACKEND), (float_mlp, np.float64)
    ))
    four_bit.layers[0].activation.alpha.value[...] = 4.0  # above every activation: PACT is ReLU
    for _ in range(16):  # GradScale finds its range
        four_bit.backpropagate(images, labels)
    reference.backpropagate(images, labels)
    for layer, twin in zip(four_bit.layers, reference.layers, strict=True):
        for mine, exact in ((layer.weight, twin.weight), (layer.bias, twin.bias)):
            cosine_similarity = np.vdot(mine.gradient, exact.gradient) / (
                np.linalg.norm(mine.gradient) * np.linalg.norm(exact.gradient)
            )
            assert cosine_similarity > 0.85, mine.name


@pytest.mark.parametrize("quantise", [LogGradient(GradScale(3)), GradScaled(0)])
def test_grad_scale_sees_only_what_passes_the_mask(quantise):
    BACKEND.run(Job.table(Adapt(0, preset=Entry(exponent=3))))
    g = Fixed(np.array([[1 << 20, 5]]), 2.0**-20)  # 1 and nearly 0
    quantise(BACKEND, g, mask=np.array([[False, False]]))
    assert quantise.log2_scale == 3  # nothing passed: kept
    result = quantise(BACKEND, g, mask=np.array([[True, False]]))
    assert quantise.log2_scale == 4  # largest was 8: doubled after, not before, quantising
    assert result.dgrad.dequantise().tolist() == [[0.5, 0]]  # 8 is nearer to 4 than to 16
    assert result.wgrad.dequantise().tolist() == [[1, 0]]


@pytest.mark.parametrize("quant", SCHEMES)
def test_one_sample_batches(quant):
    data = digits(0)
    network = quantised_mlp(SIZES, 0, BACKEND, quant)
    for row in range(3):
        loss = network.backpropagate(
            data.train_images[row:row + 1], data.train_labels[row:row + 1]
        )
        assert np.isfinite(loss)
    assert all(np.isfinite(p.gradient).all() for p in network.parameters)


@pytest.mark.parametrize("quant", SCHEMES)
def test_same_seed_same_bits(batch, quant):
    """Also on a backend whose table an earlier network has filled; another seed differs."""
    def gradients(seed):
        network = quantised_mlp(SIZES, seed, BACKEND, quant)
        for _ in range(3):
            network.backpropagate(*batch)
        return np.concatenate([p.gradient.ravel() for p in network.parameters])

    first = gradients(5)
    np.testing.assert_array_equal(gradients(5), first)
    assert (gradients(6) != first).any()


# Errors


@pytest.mark.parametrize("call, text", [
    (lambda: UnitInterval()(BACKEND, np.array([[0, 1.5]]), name="images"),
     r"tensor 'images' holds 1.5 at index \(0, 1\): inputs lie in 0..1"),
    (lambda: UnitInterval()(BACKEND, np.array([[np.nan]]), name="images"),
     r"tensor 'images' holds nan at index \(0, 0\): only finite values"),
    (lambda: Sawb()(BACKEND, np.array([[0.5, 200.0]]), name="weight 0"),
     r"tensor 'weight 0' holds 200.0 at index \(0, 1\), out of range for 24 fraction bits"),
    (lambda: quantised_mlp(SIZES, 0, BACKEND, "int3"), "unknown quantisation 'int3': expected one "
     "of adaptive, hindsight, symmetric, range, stochastic, stochastic-all, luq, static"),
    (lambda: quantised_mlp((4,) * 7, 0, BACKEND),
     r"6 layers with QUANT=adaptive have 17 scales: this core keeps 1\.\.16 \(tensors = 16\); use "
     r"fewer layers, a Config with more tensors \(1\.\.256\), or QUANT=static"),
    (lambda: quantised_mlp((64,), 0, BACKEND), r"sizes = \(64,\): expected two or more"),
    (lambda: float_mlp((64, 0, 10), 0), r"sizes = \(64, 0, 10\): expected two or more"),
    (lambda: Momentum(1.0), "momentum = 1.0 is out of range: expected 0 <= momentum < 1"),
    (lambda: Momentum().step([], -1.0), "learning rate = -1.0 is out of range"),
    (lambda: Parameter("w", np.zeros(1), decay=-1.0), "decay of w = -1.0 is out of range"),
    (lambda: cosine(3, 3), r"step 3 is out of range: expected 0..2"),
    (lambda: Schedule(epochs=0), r"epochs = 0 is out of range: expected an integer 1\.\."),
    (lambda: open_backend("gpu", "base"), "unknown backend 'gpu': expected one of rtl, golden"),
    (lambda: open_backend("golden", "huge"), "unknown preset 'huge': expected one of tiny"),
    (lambda: open_backend("golden", "base", "0:1"), "only the RTL has waveforms"),
])
def test_errors_name_value_and_range(call, text):
    with pytest.raises(ValueError, match=text):
        call()


# Optimizer


def test_momentum_closed_form():
    p = Parameter("w", np.array([1.0, -2.0]))
    p.gradient = np.array([0.5, 3.0])
    rate, momentum, steps = 0.1, 0.9, 7
    for _ in range(steps):
        Momentum(momentum).step([p], rate)
    # v_n = g (1 - m^n) / (1 - m); the value falls by the sum of the velocities
    total = sum((1 - momentum**n) / (1 - momentum) for n in range(1, steps + 1))
    np.testing.assert_allclose(p.value, [1 - rate * total * 0.5, -2 - rate * total * 3], rtol=1e-13)


def test_weight_decay_and_floor():
    p = Parameter("w", np.array([2.0]), decay=0.5)
    q = Parameter("alpha", np.array(1.0), floor=0.25)
    q.gradient = np.array(10.0)
    for _ in range(4):
        Momentum(0.0).step([p, q], 0.1)
    assert p.value[0] == pytest.approx(2 * 0.95**4, rel=1e-14)
    assert q.value == 0.25


def test_cosine_falls_from_one():
    assert cosine(0, 10) == 1
    assert cosine(5, 10) == pytest.approx(0.5)
    assert 0 < cosine(9, 10) < 0.05
