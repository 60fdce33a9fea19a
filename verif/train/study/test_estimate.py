# SPDX-License-Identifier: Apache-2.0
"""The estimate of a training step: the jobs that it counts, what it says of them, the command."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from torch import nn  # noqa: E402

from driver.cycles import Size  # noqa: E402
from driver.verilated import RtlBackend  # noqa: E402
from golden.config import Config, preset  # noqa: E402
from golden.engine import GoldenBackend, Job  # noqa: E402
from golden.formats import FP4_R2, FP4_R4, INT4_SYM, INT32, UINT4  # noqa: E402
from tools.errors import ToolError  # noqa: E402
from train.pytorch.convert import compute_with, convert, products  # noqa: E402
from train.pytorch.execution import JobExecution  # noqa: E402
from train.pytorch.recorder import Work, record  # noqa: E402
from train.study import costs  # noqa: E402
from train.study import estimate as program  # noqa: E402
from train.study.costs import Cost, Estimate, cost, estimate, result_bits  # noqa: E402
from train.study.datasets import Dataset, Part  # noqa: E402
from train.study.estimate import Step, deviations  # noqa: E402
from train.study.tasks import TASKS, Task  # noqa: E402
from train.study.variants import variant  # noqa: E402


class Net(nn.Module):
    """A layer of every kind."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, groups=2)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.head = nn.Linear(5, 6)

    def forward(self, x):
        y = self.conv(x).flatten(2).transpose(1, 2)
        y = self.head(self.lstm(y)[0])
        return self.attention(y, y, y)[0]


def step_of(name: str):
    """A converted net, and a function that lets it make one step."""
    torch.manual_seed(0)
    model = Net()
    convert(model, variant(name).but(edges=True, attention=True))
    x = torch.randn(2, 2, 5, 5)
    return model, lambda: model(x).square().mean().backward()


class Noting(GoldenBackend):
    """Notes every job that it runs."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.noted = []

    def run(self, job: Job):
        operands = () if job.operands is None else (job.a_fmt, job.b_fmt)
        self.noted.append((job.phase, job.shape, operands, job.then.fmt,
                           job.then.seed is not None))
        return super().run(job)


@pytest.mark.parametrize("name", ["sun2020", "luq:rows"])
def test_what_is_recorded_is_what_a_backend_gets(name):
    """On a core whose jobs are so short that all operands are cut."""
    config = Config(4, 2, 4, dim_width=4)
    model, run = step_of(name)
    recorded = record(model, config, run)
    again, run_again = step_of(name)
    backend = Noting(config)
    compute_with(again, JobExecution(backend))
    run_again()
    assert [(w.phase, tuple(w.size), w.operands, w.to, w.stochastic)
            for w in recorded] == backend.noted
    assert {w.phase for w in recorded} == set(costs.PHASES)
    assert {w.layer for w in recorded} == set(products(model))
    assert any(w.by_row for w in recorded) == (name == "luq:rows")
    grads = [[p.grad for p in each.parameters()] for each in (model, again)]
    assert all(torch.equal(*pair) for pair in zip(*grads, strict=True))


def recorded_sizes(layer: nn.Module, x: torch.Tensor) -> dict[str, list[tuple[str, tuple]]]:
    """Phase and size of the products of a layer, by part."""
    model = nn.ModuleList([layer])
    convert(model, variant("luq").but(edges=True))
    found: dict[str, list] = {}

    def run():
        y = model[0](x)
        (y if isinstance(y, torch.Tensor) else y[0]).sum().backward()

    for each in record(model, preset("base"), run):
        if each.phase != "quantise":
            found.setdefault(each.layer, []).append((each.phase, tuple(each.size)))
    return found


def test_sizes_and_phases():
    """Of 7 tokens, and of 2 steps of a batch of 7."""
    assert recorded_sizes(nn.Linear(5, 6), torch.randn(7, 5)) == {
        "0.product": [("fprop", (7, 6, 5)), ("dgrad", (5, 7, 6)), ("wgrad", (5, 6, 7))]}
    assert recorded_sizes(nn.LSTM(3, 4), torch.randn(2, 7, 3)) == {
        "0.inputs.0": [("fprop", (14, 16, 3)), ("dgrad", (3, 14, 16)), ("wgrad", (3, 16, 14))],
        "0.states.0": [("fprop", (7, 16, 4))] * 2 + [("dgrad", (4, 7, 16))] * 2 + [
            ("wgrad", (4, 16, 14))]}


def test_recording_leaves_the_model_as_it_was():
    model, _ = step_of("luq")
    before = {name: product.execution for name, product in products(model).items()}

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(model, preset("tiny"), fails)
    assert {name: product.execution for name, product in products(model).items()} == before


def test_a_whole_step_takes_the_cycles_of_the_engine():
    config = preset("tiny")
    model, run = step_of("luq:rows")
    found = estimate(record(model, config, run), config)
    again, run_again = step_of("luq:rows")
    with RtlBackend(config, few_jobs=True) as rtl:
        compute_with(again, JobExecution(rtl))
        run_again()
        assert set(deviations(found, rtl.cycles).values()) == {0.0}
        assert found.total().jobs == rtl.jobs > 100
    assert 0.5 * found.total().cycles < found.overlapped < found.total().cycles


def work(size: Size, to=INT32, phase: str = "fprop", operands=(UINT4, INT4_SYM)) -> Work:
    return Work("layer", phase if size.k else "quantise", size, operands if size.k else (), to,
                False, False)


def test_traffic():
    config = Config(4, 2, 8)
    gemm = cost(work(Size(5, 3, 9)), config)  # 2 x 2 blocks of 2 beats
    assert (gemm.jobs, gemm.macs, gemm.slots) == (1, 5 * 3 * 9, 8 * 64)
    assert (gemm.read, gemm.written) == (8 * (4 + 2) * 8 / 2, 5 * 3 * 4)
    rounded = cost(work(Size(5, 3, 0), FP4_R4), config)  # two columns a row: 2 x 5 rows
    assert (rounded.macs, rounded.slots) == (0, 0)
    assert (rounded.read, rounded.written) == (10 * 2 * 4, 5 * 3)
    assert [result_bits(fmt) for fmt in (INT32, FP4_R4, FP4_R2, UINT4)] == [32, 8, 4, 5]


FIGURES = {
    "full": {"tetra_engine/base/3": 4.0, "tetra_fp16_mac/base/0": 0.25,
             "tetra_dlfloat16_mac/base/2": 0.5, "tetra_int8_mac/base/1": 9.0},
    "energy": {"quick": {
        "tetra_mac_tile/base/3": {"fprop": 0.5, "dgrad": 0.25, "wgrad": 0.125},
        "tetra_fp16_mac/base/0": {"fprop": 8.0, "dgrad": 8.0, "wgrad": 8.0},
        "tetra_dlfloat16_mac/base/2": {"fprop": 4.0, "dgrad": 2.0, "wgrad": 1.0}}}}


@pytest.fixture
def silicon(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "FIGURES", tmp_path / "figures.json")
    costs.FIGURES.write_text(json.dumps(FIGURES))


def step(*, macs: int = 1_024_000, cycles: int = 2_000, name: str = "base") -> Estimate:
    return Estimate(preset(name), {
        ("a", "quantise"): Cost(1, 0, cycles // 2),
        ("a", "fprop"): Cost(1, macs // 2, cycles // 4, 2 * macs),
        ("b", "wgrad"): Cost(1, macs // 2, cycles // 4, macs)})


def test_comparison_with_16_bits(silicon):
    found = step()  # 1,024 MACs per cycle could be: half of them are
    assert found.utilization == 0.5
    assert found.speed() == 0.5 * 4.0 / 0.5
    assert found.energy() == pytest.approx((
        (2 * 1_024_000 * 0.5 + 1_024_000 * 0.125) * 1e-12, 512_000 * (4 + 1) * 1e-12))
    told = found.as_dict()
    assert told["fp16_time_ratio"] == 4 and told["preset"] == "base"
    assert told["fp16_energy_ratio"] == pytest.approx(2_560 / 1_152)
    assert [row["layer"] for row in told["layers"]] == ["a", "a", "b"]
    measured = FIGURES["energy"] | {"full": {
        each: {phase: 2 * value for phase, value in gemms.items()}
        for each, gemms in FIGURES["energy"]["quick"].items()}}
    twice = [2 * joules for joules in found.energy()]
    costs.FIGURES.write_text(json.dumps(FIGURES | {"energy": measured}))
    assert found.energy() == pytest.approx(twice)  # the full sweep counts, where there is one


def test_what_was_not_measured_is_not_told(silicon):
    told = step(name="tiny").as_dict()
    assert told["fp16_time_ratio"] is None and told["tile_joules"] is None
    assert Estimate(Config(2, 2, 2), step().costs).preset is None


def test_the_figures_are_there():
    """Those of the repository have what an estimate of every preset takes."""
    for name in ("tiny", "small", "base", "big"):
        assert 0 < step(name=name).speed() < 100
    tile, other = step().energy()
    assert 0 < tile < other


def test_deviations():
    found = step()
    exact = {"quantise": 1_000, "fprop": 500, "wgrad": 500}
    assert deviations(found, Counter(exact)) == {
        "quantise": 0, "fprop": 0, "wgrad": 0, "total": 0}
    apart = deviations(found, Counter(exact | {"fprop": 400}))
    assert apart["fprop"] == 0.25 and apart["total"] == pytest.approx(100 / 1_900)
    with pytest.raises(ValueError, match=r"^dgrad has 0 cycles in the estimate and 7 "):
        deviations(found, Counter(exact | {"dgrad": 7}))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The task `vowels` with three examples and a smaller model, of which one layer is converted.
    """
    rng = np.random.default_rng(0)
    layers = nn.Flatten(), nn.Linear(29 * 12, 9), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9)
    monkeypatch.setitem(TASKS, "vowels", replace(
        TASKS["vowels"], model=lambda classes: nn.Sequential(*layers)))
    part = Part(rng.random((3, 29, 12)).astype(np.float32), np.arange(3))
    monkeypatch.setattr(Task, "load", lambda self, folder=None: Dataset(
        "small", 9, part, part, part))
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr(program, "FOLDER", tmp_path / "estimate")


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["estimate", *arguments])
    return program.main()


def test_the_command(small, monkeypatch, capsys):
    assert run(monkeypatch, "--task", "vowels", "--batch", "2") == 0
    out = capsys.readouterr().out
    assert "Estimate of a step: vowels, tetra, batch 2, base" in out
    assert "times as long (estimate, before layout)" in out
    told = json.loads((program.FOLDER / "vowels-tetra-base-2.json").read_text())
    expected = Step("vowels", "tetra", 2).estimate(preset("base")).as_dict()
    assert told == json.loads(json.dumps(
        {"task": "vowels", "policy": "tetra", "batch": 2, **expected}))
    assert sum(row["cycles"] for row in told["layers"]) == told["total"]["cycles"] > 0


def test_a_batch_that_is_not_there(small, monkeypatch, capsys):
    with pytest.raises(ToolError, match=r"^BATCH = 0 is out of range: vowels has 1\.\.3 examples"):
        Step("vowels", "tetra", 0)
    assert run(monkeypatch, "--task", "vowels", "--batch", "4") == 2
    assert capsys.readouterr().err == (
        "error: BATCH = 4 is out of range: vowels has 1..3 examples to train\n")


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_policy_without_codes_is_refused(small, monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as exit:
        run(monkeypatch, "--task", "vowels", "--policy", name)
    assert exit.value.code == 2 and f"POLICY = {name!r} is unknown" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^no jobs to estimate: nothing of the model is rounded"):
        Step("vowels", name, 2).estimate(preset("base"))


@pytest.mark.parametrize("factor, code", [(1.0, 0), (1.019, 0), (1.021, 1)])
def test_check_fails_beyond_two_percent_in_one_phase(small, monkeypatch, capsys, factor, code):
    monkeypatch.setattr(program, "RtlBackend",
                        lambda config: RtlBackend(config, few_jobs=True))
    before = costs.alone
    monkeypatch.setattr(costs, "alone", lambda config, size: before(config, size) * (
        1 if size.k else factor))
    arguments = ("--task", "vowels", "--batch", "1", "--preset", "tiny", "--policy", "luq")
    assert run(monkeypatch, *arguments, "--check") == code
    out = capsys.readouterr().out
    assert f"quantise: {factor - 1:+.2%}" in out and "fprop: +0.00%" in out
