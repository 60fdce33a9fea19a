# SPDX-License-Identifier: Apache-2.0
"""4-bit layers, optimizer and the training program, on the golden backend."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

import train.digits
import train.replay
from golden.config import preset
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4_SYM, UINT4, Phase
from golden.gradscale import GradScale
from golden.layers import softmax_cross_entropy
from golden.logfp4 import decode
from golden.network import float_mlp, quantised_mlp
from golden.optimizer import Momentum, Parameter, cosine
from golden.quantisers import Fixed, LogGradient, Pact, Sawb, UnitInterval
from golden.rescale import Rescale
from train.backends import CheckedBackend, MismatchError, open_backend
from train.data import digits
from train.trainer import Schedule
from verif.files import write_atomically
from verif.reproducer import first_difference, load_job, save_job

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


def test_four_bit_layer_is_exact_on_its_quantised_tensors(batch):
    """Only quantisation rounds: all three GEMMs are the float algebra of the dequantised codes."""
    images, _ = batch
    layer = quantised_mlp(SIZES, seed=1, backend=BACKEND).layers[0]
    layer.bias.value[:] = np.random.default_rng(3).normal(0, 0.5, layer.bias.value.shape)
    layer.gradient = LogGradient(GradScale(6))
    x = UnitInterval()(BACKEND, images)
    y = layer.forward(x)
    w = layer.codes["weights"]
    unit = x.scale * w.scale
    sums = x.dequantise() @ w.dequantise().T + unit * np.rint(layer.bias.value / unit)
    alpha = 15 * y.scale
    assert alpha == pytest.approx(float(layer.pact.alpha.value), rel=2**-15)
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
    assert layer.pact.alpha.gradient == pytest.approx((g * above).sum() / len(g), rel=1e-7)
    assert layer.gradient.scale.exponent == 6  # the largest of 48 x 24 uniform values: 32..64


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
    four_bit.layers[0].pact.alpha.value[...] = 4.0  # above every activation: PACT is ReLU
    for _ in range(16):  # GradScale finds its range
        four_bit.backpropagate(images, labels)
    reference.backpropagate(images, labels)
    for layer, twin in zip(four_bit.layers, reference.layers, strict=True):
        for mine, exact in ((layer.weight, twin.weight), (layer.bias, twin.bias)):
            cosine_similarity = np.vdot(mine.gradient, exact.gradient) / (
                np.linalg.norm(mine.gradient) * np.linalg.norm(exact.gradient)
            )
            assert cosine_similarity > 0.85, mine.name


def test_grad_scale_sees_only_what_passes_the_mask():
    quantise = LogGradient(GradScale(3))
    g = Fixed(np.array([[1 << 20, 5]]), 2.0**-20)  # 1 and nearly 0
    quantise(BACKEND, g, mask=np.array([[False, False]]))
    assert quantise.scale.exponent == 3  # nothing passed: kept
    result = quantise(BACKEND, g, mask=np.array([[True, False]]))
    assert quantise.scale.exponent == 4  # largest was 8: doubled after, not before, quantising
    assert result.even.dequantise().tolist() == [[0.5, 0]]  # 8 is nearer to 4 than to 16
    assert result.odd.dequantise().tolist() == [[1, 0]]


def test_one_sample_batches():
    data = digits(0)
    network = quantised_mlp(SIZES, 0, BACKEND)
    for row in range(3):
        loss = network.backpropagate(
            data.train_images[row:row + 1], data.train_labels[row:row + 1]
        )
        assert np.isfinite(loss)
    assert all(np.isfinite(p.gradient).all() for p in network.parameters)


def test_same_seed_same_bits(batch):
    images, labels = batch
    runs = []
    for _ in range(2):
        network = quantised_mlp(SIZES, 5, BACKEND)
        network.backpropagate(images, labels)
        runs.append([p.gradient for p in network.parameters])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


# Quantisers


def test_quantisers_carry_the_applied_scale():
    images = np.array([[0, 0.5, 1]])
    x = UnitInterval()(BACKEND, images)
    assert x.codes.tolist() == [[0, 8, 15]] and x.fmt == UINT4
    assert x.scale == pytest.approx(1 / 15, rel=2**-15)
    w = np.random.default_rng(0).normal(0, 0.1, (10, 20))
    q = Sawb()(BACKEND, w)
    assert q.fmt == INT4_SYM
    inside = np.abs(q.codes) < 7
    assert np.abs(q.dequantise() - w)[inside].max() <= q.scale * (0.5 + 2**-14)


def test_pact_tells_just_below_alpha_from_alpha():
    pact, unit = Pact(Parameter("alpha", np.array(1.5))), 2.0**-10
    then = pact.rescale(unit)  # exactly 10 * 2**-10
    x = np.array([[-5, 0, 1, 1535, 1536, 9000]])
    y, clipped = pact.wrap(BACKEND.run(Job.quantise(x, then)), then, unit)
    assert y.codes.tolist() == [[0, 0, 0, 15, 15, 15]] and y.scale == 0.1
    assert clipped.inside.tolist() == [[False, False, True, True, False, False]]
    assert clipped.above.tolist() == [[False, False, False, False, True, True]]


@pytest.mark.parametrize("call, text", [
    (lambda: UnitInterval()(BACKEND, np.array([[0, 1.5]]), name="images"),
     r"tensor 'images' holds 1.5 at index \(0, 1\): inputs lie in 0..1"),
    (lambda: UnitInterval()(BACKEND, np.array([[np.nan]]), name="images"),
     r"tensor 'images' holds nan at index \(0, 0\): only finite values"),
    (lambda: Sawb()(BACKEND, np.array([[0.5, 200.0]]), name="weight 0"),
     r"tensor 'weight 0' holds 200.0 at index \(0, 1\), out of range for 24 fraction bits"),
    (lambda: quantised_mlp((64,), 0, BACKEND), r"sizes = \(64,\): expected two or more"),
    (lambda: float_mlp((64, 0, 10), 0), r"sizes = \(64, 0, 10\): expected two or more"),
    (lambda: Momentum(1.0), "momentum = 1.0 is out of range: expected 0 <= momentum < 1"),
    (lambda: Momentum().step([], -1.0), "learning rate -1.0 is out of range"),
    (lambda: Parameter("w", np.zeros(1), decay=-1.0), "decay = -1.0 of w is out of range"),
    (lambda: cosine(3, 3), r"step 3 is out of range: expected 0..2"),
    (lambda: Schedule(epochs=0), "epochs = 0 is out of range: expected > 0"),
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


# Check against the golden model


class Faulty:
    """A device that spoils one field of one job; `fault` maps a right result to a wrong one."""

    def __init__(self, fault, job):
        self.config, self.fault, self.job, self.count = preset("tiny"), fault, job, 0

    def run(self, job):
        self.count += 1
        result = GoldenBackend(self.config).run(job)
        return self.fault(result) if self.count == self.job else result


def flip(name, seed, bit=1):
    """A fault: one bit of one element of an array, chosen by the seed."""
    def fault(result):
        array = getattr(result, name).copy()
        index = np.random.default_rng(seed).integers(array.size)
        array.flat[index] = ~array.flat[index] if array.dtype == bool else array.flat[index] ^ bit
        return replace(result, **{name: array})
    return fault


def jobs(seed):
    """A fused fprop with mask, then a gradient with both phases, then a biased INT32 GEMM."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 16, (5, 9)), rng.integers(-7, 8, (3, 9))
    x = rng.integers(-(2**31), 2**31, (4, 6))
    then = Rescale(UINT4, BACKEND_SCALE)
    return [
        Job.gemm(a, UINT4, b, INT4_SYM, then, bias=rng.integers(-50, 50, 3)),
        Job.quantise(x, Rescale(FP4_R4, BACKEND_SCALE), mask=rng.random(x.shape) < 0.5),
        Job.gemm(a, UINT4, rng.integers(0, 16, (3, 9)), FP4_R4, phase="wgrad"),
    ]


BACKEND_SCALE = replace(Rescale().scale, shift=20)  # 2**-5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name, job", [("codes", 1), ("mask", 1), ("codes", 2), ("odd", 2),
                                       ("codes", 3)])
def test_one_wrong_bit_is_caught_and_replays(name, job, seed, tmp_path, monkeypatch, capsys):
    faulty = Faulty(flip(name, seed), job)
    backend = CheckedBackend(faulty, "all", seed=seed, preset_name="tiny", folder=tmp_path)
    work = jobs(seed)
    with pytest.raises(MismatchError) as caught:
        for one in work:
            backend.run(one)
    assert (backend.checked, backend.mismatches, backend.jobs) == (job, 1, job)
    path = tmp_path / f"mismatch-seed{seed}-job{job}.npz"
    message = str(caught.value)
    assert f"job {job}, epoch 1, seed {seed}, preset tiny" in message
    assert work[job - 1].phase in message and f"{name}[" in message
    assert "expected" in message and f"make replay FILE={path}" in message

    # the recorded job, on the faulty device and on a right one
    monkeypatch.setattr(train.replay, "open_backend", lambda *_: Faulty(flip(name, seed), 1))
    assert train.replay.main([str(path)]) == 1
    output = capsys.readouterr().out
    assert f"MISMATCH at {name}[" in output and "golden codes" in output and "rtl codes" in output
    monkeypatch.undo()
    assert train.replay.main([str(path), "--backend", "golden"]) == 0
    assert "same to the bit" in capsys.readouterr().out


@pytest.mark.parametrize("fault, text", [
    (lambda r: replace(r, codes=r.codes.astype(np.int16)),
     r"codes: expected int8 \[5, 3\], got int16"),
    (lambda r: replace(r, codes=r.codes[:-1]), r"codes: expected int8 \[5, 3\], got int8 \[4, 3\]"),
    (lambda r: replace(r, mask=None), r"mask: expected bool \[5, 3\], got nothing"),
    (lambda r: replace(r, bias_saturated=True), "bias_saturated: expected False, got True"),
])
def test_wrong_kind_is_caught(fault, text, tmp_path):
    backend = CheckedBackend(Faulty(fault, 1), "all", seed=0, preset_name="tiny", folder=tmp_path)
    with pytest.raises(MismatchError, match=text):
        backend.run(jobs(0)[0])


def test_policies_check_what_they_say(tmp_path):
    counts = {}
    for policy in ("all", "first", "none"):
        backend = CheckedBackend(BACKEND, policy, seed=0, preset_name="base", folder=tmp_path)
        for backend.epoch in range(2):
            for job in jobs(0):
                backend.run(job)
        counts[policy] = backend.checked
        assert (backend.jobs, backend.gemms, backend.mismatches) == (6, 4, 0)
        assert backend.macs["wgrad"] == 2 * 5 * 3 * 9
    assert counts == {"all": 6, "first": 3, "none": 0}
    with pytest.raises(ValueError, match="check 'some': expected one of all, first, none"):
        CheckedBackend(BACKEND, "some", seed=0, preset_name="base", folder=tmp_path)


def test_saved_jobs_load_as_they_were(tmp_path):
    for i, job in enumerate(jobs(7)):
        save_job(tmp_path / f"{i}.npz", job, "tiny")
        loaded, preset_name = load_job(tmp_path / f"{i}.npz")
        assert (loaded.then, loaded.phase, preset_name) == (job.then, job.phase, "tiny")
        assert first_difference(BACKEND.run(job), BACKEND.run(loaded)) is None


def test_replay_refuses_other_files(tmp_path, capsys):
    path = tmp_path / "other.npz"
    path.write_text("not an archive")
    assert train.replay.main([str(path)]) == 2
    assert train.replay.main([str(tmp_path / "absent.npz")]) == 2
    assert "does not hold a job" in capsys.readouterr().err


# The program


def test_one_epoch_end_to_end(tmp_path, capsys):
    arguments = ["--backend", "golden", "--epochs", "1", "--seed", "3", "--out", str(tmp_path)]
    assert train.digits.main(arguments) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "summary.json"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"accuracy_4bit", "accuracy_fp32", "rtl_gemms", "rtl_mismatches", "macs", "cycles",
            "utilization", "sim_mmac_per_s", "wall_s", "seed", "preset", "versions"} <= set(summary)
    assert 0.8 < summary["accuracy_4bit"] <= 1 and 0.8 < summary["accuracy_fp32"] <= 1
    assert summary["seed"] == 3 and summary["preset"] == "base" and summary["macs"] > 1e6
    assert summary["rtl_gemms"] is summary["cycles"] is summary["utilization"] is None
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "http" not in page.lower()
    assert "epoch 1/1" in capsys.readouterr().out


def test_cycles_reach_summary_and_report(tmp_path, monkeypatch, capsys):
    class Timed:
        """A stand-in for the RTL: the golden model, and 100 cycles a job."""

        def __init__(self):
            self.config, self.cycles, self.seconds = preset("base"), {}, 2.0

        def run(self, job):
            self.cycles[job.phase] = self.cycles.get(job.phase, 0) + 100
            return BACKEND.run(job)

    monkeypatch.setattr(train.digits, "open_backend", lambda *_: Timed())
    assert train.digits.main(["--epochs", "1", "--batch", "256", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["cycles"] == 100 * summary["rtl_jobs"] == 100 * summary["rtl_checked"]
    assert summary["rtl_mismatches"] == 0
    assert summary["utilization"] == pytest.approx(summary["macs"] / (summary["cycles"] * 1024))
    assert summary["sim_mmac_per_s"] == pytest.approx(summary["macs"] / 2e6)
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") == 6
    capsys.readouterr()


def test_mismatch_stops_the_program(tmp_path, monkeypatch, capsys):
    faulty = Faulty(flip("codes", 0), 20)
    monkeypatch.setattr(train.digits, "open_backend", lambda *_: faulty)
    assert train.digits.main(["--preset", "tiny", "--out", str(tmp_path)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mismatch-seed0-job20.npz"]
    assert "MISMATCH: RTL and golden model differ in job 20" in capsys.readouterr().err


def test_interrupt_writes_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.digits.Live, "epoch", interrupt)
    arguments = ["--backend", "golden", "--batch", "512", "--out", str(tmp_path)]
    assert train.digits.main(arguments) == 130
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "interrupted: the report of this run was not written\n"


def test_missing_rtl_names_the_way_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "verif.binding", None)  # import raises ImportError
    assert train.digits.main(["--out", str(tmp_path)]) == 2
    assert "train on the golden model with BACKEND=golden" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, text", [
    (["--epochs", "0"], "argument --epochs: '0' is out of range: expected an integer 1..1000"),
    (["--batch", "x"], "argument --batch: 'x' is out of range: expected an integer 1..1024"),
    (["--seed", "-1"], "argument --seed: '-1' is out of range: expected an integer 0..4294967295"),
    (["--preset", "huge"], "'huge' is unknown: expected one of tiny, small, base, big"),
    (["--backend", "gpu"], "'gpu' is unknown: expected one of rtl, golden"),
    (["--check", "some"], "'some' is unknown: expected one of all, first, none"),
    (["--trace", "3"], "'3' is not a window of jobs: expected FIRST:COUNT"),
])
def test_wrong_options(arguments, text, capsys):
    with pytest.raises(SystemExit) as caught:
        train.digits.main(arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_failed_writes_leave_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
