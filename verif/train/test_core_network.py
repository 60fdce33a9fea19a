# SPDX-License-Identifier: Apache-2.0
"""Networks on a core: their arithmetic, on the golden core and in simulation, and what differs."""

import numpy as np
import pytest

from driver.accelerator import Accelerator
from driver.checked import MismatchError
from driver.checked_core import BASE, CheckedCore
from golden.config import Config, preset
from golden.descriptor import BYTES
from golden.fixed_point import to_fixed
from golden.formats import UINT4, Phase
from golden.tensor import Quantised
from train.core import bench
from train.core.bench import measure
from train.core.network import RECIPES, CoreNetwork
from train.network.layers import softmax_cross_entropy
from verif.needs import needs_fst

SIZES, BATCH = (9, 13, 11, 5), 7



def opened(name="golden", preset_name="base", policy="all", **options) -> CheckedCore:
    return CheckedCore(name, preset_name, CoreNetwork.memory(SIZES, BATCH), policy, quick=True,
                       **options)


def network_on(core: CheckedCore, recipe="tetra", seed=3) -> CoreNetwork:
    return CoreNetwork(Accelerator(core, core.memory, 16), SIZES, seed, recipe)


def batch(seed=1, size=BATCH):
    rng = np.random.default_rng(seed)
    return rng.random((size, SIZES[0])), rng.integers(0, SIZES[-1], size)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_is_what_its_codes_say(recipe):
    """Sums of the codes' values in float64, which are exact, give logits and gradients."""
    network = network_on(opened(), recipe)
    inputs, labels = batch()
    for step in range(4):
        biases = [layer.bias.value.copy() for layer in network.layers]
        logits = network.forward(network.encode(inputs), frozen=False)
        loss, gradient = softmax_cross_entropy(logits, labels)
        network.backward(gradient)
        codes = [layer.codes for layer in network.layers]
        last, bias = codes[-1], biases[-1]
        sums = last["inputs"].dequantise() @ last["weights"].dequantise().T
        unit = network.layers[-1].unit
        np.testing.assert_allclose(logits, sums + unit * to_fixed(bias / unit, 0, name="bias"),
                                   rtol=1e-9, atol=1e-9 * unit)
        for layer, found in zip(network.layers, codes, strict=True):
            dy = found["gradients"]
            if recipe == "sun2020":  # wgrad takes the other phase
                odd = network.device.download(layer._dy.odd)
                dy = Quantised(odd, dy.fmt, dy.scale, phase=Phase.ODD)
            expected = dy.dequantise().T @ found["inputs"].dequantise() / BATCH
            np.testing.assert_allclose(layer.weight.gradient, expected, rtol=1e-9, atol=1e-12)
            whole = gradient if layer is network.layers[-1] else dy.dequantise()
            np.testing.assert_allclose(layer.bias.gradient, whole.mean(axis=0),
                                       rtol=1e-9, atol=1e-12)
            layer.weight.value -= 0.5 * layer.weight.gradient
            layer.bias.value -= 0.5 * layer.bias.gradient
        assert np.isfinite(loss), step


@pytest.mark.parametrize("recipe", RECIPES)
def test_gradients_are_those_of_the_layer_above(recipe):
    """dx, as codes, is near dy w where the activation was inside its clip, and 0 elsewhere."""
    network = network_on(opened(), recipe)
    inputs, labels = batch()
    for _ in range(30 if recipe == "sun2020" else 3):  # until GradScale has found its power of two
        network.backpropagate(inputs, labels)
    for below, above in zip(network.layers[:-1], network.layers[1:], strict=True):
        dy, w = above.codes["gradients"], above.codes["weights"]
        mask = network.device.download(below.result.mask)
        expected = (dy.dequantise() @ w.dequantise()) * mask
        found = below.codes["gradients"]
        top = 64 * found.scale  # what lies above was clipped: a hindsight scale may be too small
        got, expected = found.dequantise(), np.clip(expected, -top, top)
        assert not got[~mask].any() and mask.any() and (~mask).any()
        step = np.maximum(np.abs(expected), found.scale)  # a level is at most four times the next
        assert (np.abs(got - expected) <= 3 * step).all()
        assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.8


def test_a_test_leaves_the_training_alone():
    """Other scales, random words and weights come of neither a test nor its size."""
    inputs, labels = batch()
    losses = []
    for tests in (0, 2):
        network = network_on(opened())
        losses.append([])
        for _ in range(3):
            losses[-1].append(network.backpropagate(inputs, labels))
            for layer in network.layers:
                layer.weight.value -= 0.1 * layer.weight.gradient
            for test in range(tests):
                found = network.predict(batch(5, 4 + test)[0])
                assert found.shape == (4 + test,)
    assert losses[0] == losses[1]


def test_tensors_without_extent_are_counted():
    network = network_on(opened())
    network.layers[1].weight.value[:] = 0
    network.backpropagate(*batch())
    # its weights; its gradient, as no output lies inside the clip; and that of the layer below
    assert [layer.degenerate for layer in network.layers] == [1, 2, 0] and network.degenerate == 3


def test_memory_is_used_again():
    network = network_on(opened())
    for size in (BATCH, BATCH - 1, BATCH):
        network.backpropagate(*batch(size=size))
    free = network.device.memory.free_bytes
    for size in (BATCH, BATCH - 1):
        network.backpropagate(*batch(size=size))
    assert network.device.memory.free_bytes == free > 0


@pytest.mark.parametrize("sizes, size", [((256, 256, 256), 2), ((1, 1, 1, 1, 1, 2), 900),
                                         ((40, 9, 3), 300)])
def test_memory_is_enough(sizes, size):
    """For two sizes of a batch, trained and tested: the last bytes are free."""
    core = CheckedCore("golden", "base", CoreNetwork.memory(sizes, size))
    network = CoreNetwork(Accelerator(core, core.memory, 16), sizes, 0)
    rng = np.random.default_rng(0)
    for rows in (size, size - 1):
        inputs, labels = rng.random((rows, sizes[0])), rng.integers(0, sizes[-1], rows)
        network.backpropagate(inputs, labels)
        network.predict(inputs)
    assert network.device.memory.free_bytes > 0


def test_the_core_has_the_same_bits():
    """A training of three steps and a test on the verilated core: every byte of its memory is the
    golden core's, and so is what the host reads."""
    for recipe in RECIPES:
        losses, cores = [], [opened("rtl", "tiny", seed=2), opened("golden", "tiny")]
        for core in cores:
            network = network_on(core, recipe)
            losses.append([network.backpropagate(*batch(i)) for i in range(3)])
            network.predict(batch(9)[0])
        rtl, golden = cores
        assert losses[0] == losses[1]
        assert rtl.checked == rtl.jobs == golden.jobs > 40 and not rtl.mismatches
        assert rtl.macs == golden.macs and set(rtl.macs) == {"fprop", "dgrad", "wgrad"}
        rtl.close()
        rtl.close()
        with pytest.raises(ValueError, match="the core is closed"):
            rtl.read32(0)
        causes = dict(rtl.cycles)
        assert sum(causes.values()) == rtl.cycle_count
        assert causes.pop("waiting to store") >= 0  # a memory that is this quick keeps up
        assert min(causes.values()) > 0
        assert 0 < rtl.utilization() < 1 and rtl.seconds > 0
        assert golden.cycles is golden.cycle_count is golden.utilization() is golden.seconds is None


def test_another_byte_is_told():
    """One bit of a tensor that a job wrote: which byte, of which tensor, of which job."""
    core = opened("rtl", "tiny")
    network = network_on(core)
    network.backpropagate(*batch())
    device = network.device
    result = network.layers[0].result.codes
    network.forward(network.encode(batch()[0]), frozen=True)
    compare = core.compare

    def spoilt():
        core._data[result.address - BASE + 2] ^= 4
        compare()

    core.compare = spoilt
    with pytest.raises(MismatchError) as told:
        network.forward(network.encode(batch()[0]), frozen=False)
    text = str(told.value)
    assert core.mismatches == 1 and f"the first at {result.address + 2:#x}" in text
    assert "in 1 bytes" in text and "c of job" in text and "GEMM 7 x 13 x 9" in text
    assert "TRACE=" in text and device.config.rows == preset("tiny").rows
    core.close()


def test_policies():
    """`first` compares in epoch 0, `none` never."""
    for policy, checked in (("none", 0), ("first", 1)):
        core = opened("rtl", "tiny", policy)
        network = network_on(core)
        network.backpropagate(*batch())
        before = core.checked
        assert bool(before) == bool(checked)
        core.epoch = 1
        network.backpropagate(*batch())
        assert core.checked == before < core.jobs
        core.close()


@needs_fst
def test_a_window_of_jobs_is_recorded(tmp_path):
    sizes = []
    for first, count in ((0, 1), (6, 3), (10_000, 1)):
        core = opened("rtl", "tiny", trace=(tmp_path / "trace.fst", first, count))
        network_on(core).backpropagate(*batch())
        core.close()
        sizes.append((tmp_path / "trace.fst").stat().st_size)
    assert sizes[1] > sizes[2] < sizes[0]


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"inputs reach from 0\.5 to 2\.0: expected 0\.\.1"):
        network_on(opened()).encode(np.array([[0.5, 2.0]]))
    with pytest.raises(ValueError, match="unknown recipe 'best': expected one of tetra, sun2020"):
        network_on(opened(), "best")
    core = CheckedCore("golden", "base", 1 << 20)
    with pytest.raises(ValueError, match="6 layers have 17 scales: this core keeps 16"):
        CoreNetwork(Accelerator(core, core.memory, 16), (4,) * 7, 0)
    short = CheckedCore("golden", Config(2, 2, 4, depth=16, strip=8, dim_width=6), 1 << 20)
    with pytest.raises(ValueError, match=r"a layer of 63 inputs.*this core takes 63 \(max_dim\)"):
        CoreNetwork(Accelerator(short, short.memory, 16), (63, 4, 4), 0)
    with pytest.raises(ValueError, match="unknown backend 'fpga'"):
        CheckedCore("fpga", "base", 1 << 20)
    with pytest.raises(ValueError, match="size of memory"):
        CheckedCore("golden", "base", BYTES - 1)
    assert isinstance(preset("base"), Config) and UINT4.hi == 15


def test_step_bench():
    found = measure((8, 8, 8), 8, 1, core="tiny")
    assert 0 < found.utilization < 1 and sum(found.shares.values()) == pytest.approx(1)
    assert measure((8, 8, 8), 8, 1, core=preset("tiny")) == found


@pytest.mark.parametrize("config, message", [
    ("rows=4,cols=4", "CONFIG lacks lanes"), ("rows=1,cols=4,lanes=8", "rows = 1")])
def test_step_bench_of_no_core(monkeypatch, capsys, config, message):
    monkeypatch.setattr("sys.argv", ["bench", "--size", "8", "--config", config])
    assert bench.main() == 2
    assert message in capsys.readouterr().err
