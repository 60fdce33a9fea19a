# SPDX-License-Identifier: Apache-2.0
"""The training program: checked backends, reproducers, options, summary, interruption."""

import json
import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import driver.replay
from driver.checked import CheckedBackend, MismatchError
from driver.reproducer import first_difference, load_job, save_job
from golden.config import preset
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4_SYM, UINT4
from golden.rescale import Rescale
from tools.files import write_atomically
from train.digits import __main__ as program
from train.digits import device, seeds
from train.digits.device import ABOUT
from verif.pages import check_page

BACKEND = GoldenBackend(preset("base"))
RADIX_2 = ("luq", "tetra")
ON_ENGINE = ["--quant", "adaptive"]

# Check against the golden model


class Faulty:
    """A device that spoils one field of one job; `fault` maps a right result to a wrong one."""

    def __init__(self, fault, job):
        self.config, self.fault, self.job, self.count = preset("tiny"), fault, job, 0
        self.golden = GoldenBackend(self.config)

    def run(self, job):
        self.count += 1
        result = self.golden.run(job)
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
    monkeypatch.setattr(driver.replay, "open_backend", lambda *_: Faulty(flip(name, seed), 1))
    assert driver.replay.main([str(path)]) == 1
    output = capsys.readouterr().out
    assert f"MISMATCH at {name}[" in output and "golden codes" in output and "rtl codes" in output
    monkeypatch.undo()
    assert driver.replay.main([str(path), "--backend", "golden"]) == 0
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
    with pytest.raises(ValueError, match="backend = None: expected a Backend"):
        CheckedBackend(None, "all", seed=0, preset_name="base", folder=tmp_path)
    with pytest.raises(ValueError, match="unknown preset 'huge'"):
        CheckedBackend(BACKEND, "all", seed=0, preset_name="huge", folder=tmp_path)


def test_a_mismatch_is_told_where_it_cannot_be_recorded():
    backend = CheckedBackend(Faulty(flip("codes", 0), 1), "all", seed=0, preset_name="tiny",
                             folder="/proc/nowhere")
    with pytest.raises(MismatchError, match="could not be recorded in /proc/nowhere"):
        for job in jobs(0):
            backend.run(job)


def test_saved_jobs_load_as_they_were(tmp_path):
    for i, job in enumerate(jobs(7)):
        save_job(tmp_path / f"{i}.npz", job, "tiny")
        loaded, preset_name, _ = load_job(tmp_path / f"{i}.npz")
        assert (loaded.then, loaded.phase, preset_name) == (job.then, job.phase, "tiny")
        assert first_difference(BACKEND.run(job), BACKEND.run(loaded)) is None


def test_replay_refuses_other_files(tmp_path, capsys):
    text, other = tmp_path / "text.npz", tmp_path / "other.npz"
    text.write_text("not an archive")
    np.savez(other, a=np.zeros(3))
    for argument, expected in (
        ("", "FILE= is missing: expected a mismatch-*.npz as a training run writes it"),
        (tmp_path / "absent.npz", "absent.npz does not hold a job: there is no such file"),
        (text, "text.npz does not hold a job: it is no npz archive"),
        (other, "other.npz does not hold a job"),
    ):
        assert driver.replay.main([str(argument)]) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ") and expected in message and "pickle" not in message


# The program


@pytest.mark.parametrize("quant", ABOUT)
def test_one_epoch_end_to_end(quant, tmp_path, capsys):
    arguments = ["--backend", "golden", "--epochs", "1", "--seed", "3", "--out", str(tmp_path),
                 "--quant", quant]
    assert program.main(arguments) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "summary.json"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"accuracy_4bit", "accuracy_fp32", "rtl_gemms", "rtl_mismatches", "macs", "cycles",
            "utilization", "sim_mmac_per_s", "wall_s", "seed", "preset", "versions"} <= set(summary)
    assert 0.8 < summary["accuracy_4bit"] <= 1 and 0.8 < summary["accuracy_fp32"] <= 1
    assert summary["seed"] == 3 and summary["preset"] == "base" and summary["macs"] > 1e6
    assert summary["rtl_gemms"] is summary["cycles"] is summary["utilization"] is None
    assert summary["degenerate_scales"] == 0
    assert (summary["quant"], summary["host_statistics"]) == (quant, quant == "static")
    page = (tmp_path / "report.html").read_text()
    assert check_page(page).pictures == 5
    assert "http" not in re.sub(r'base64,[^"]*', "", page).lower()  # an image may spell anything
    assert "tensors without extent" not in page
    assert f"activations in {'INT4' if quant == 'range' else 'UINT4'}, gradients" in page
    assert f">{quant}: " in page and f"radix {2 if quant in RADIX_2 else 4} reach" in page
    assert ("the core solved at each step, from the first" in page) == (quant in RADIX_2)
    assert ("the first point is what the first step made of it" in page) == (quant not in RADIX_2)
    output = capsys.readouterr().out
    assert "epoch 1/1" in output and "preparing" not in output


def test_the_core_trains_and_tells_where_its_cycles_went(tmp_path, capsys):
    arguments = ["--preset", "tiny", "--epochs", "1", "--batch", "512", "--out", str(tmp_path)]
    assert program.main(arguments) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["rtl_checked"] == summary["rtl_jobs"] > 30 and summary["rtl_mismatches"] == 0
    causes = summary["cycles_by_cause"]
    assert causes["multiplying"] > 0 and sum(causes.values()) >= summary["cycles"] > 10**6
    page = (tmp_path / "report.html").read_text()
    assert check_page(page).pictures == 6 and "what the core did in them" in page
    assert "verilated RTL of the core, preset tiny" in capsys.readouterr().out


def test_tensors_without_extent_are_reported(tmp_path, monkeypatch, capsys):
    def zeroed(*arguments):
        pair = seeds.trainers(*arguments)
        pair[0].network.layers[1].weight.value[:] = 0  # until the first step
        return pair

    monkeypatch.setattr(program, "trainers", zeroed)
    arguments = ["--backend", "golden", "--epochs", "1", "--batch", "512", "--out", str(tmp_path)]
    assert program.main([*ON_ENGINE, *arguments]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["degenerate_scales"] == 1
    page = (tmp_path / "report.html").read_text()
    assert ">1, which took a fixed scale, or in hindsight the one before<" in page
    assert "tensors without extent" in capsys.readouterr().out


def test_default_quantisation_is_that_of_the_core():
    assert program.options([]).quant == seeds.QUANT == "tetra"


class Timed(GoldenBackend):
    """A stand-in for the RTL: the golden model, and 100 cycles a job."""

    def __init__(self):
        super().__init__(preset("base"))
        self.cycles, self.seconds = {}, 2.0

    def run(self, job):
        self.cycles[job.phase] = self.cycles.get(job.phase, 0) + 100
        return super().run(job)


def test_cycles_reach_summary_and_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(device, "open_backend", lambda *_: Timed())
    arguments = [*ON_ENGINE, "--epochs", "1", "--batch", "256", "--out", str(tmp_path)]
    assert program.main(arguments) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["cycles"] == 100 * summary["rtl_jobs"] == 100 * summary["rtl_checked"]
    assert summary["rtl_mismatches"] == 0
    assert summary["cycles_by_phase"].keys() == {"fprop", "dgrad", "wgrad", "quantise", "table"}
    assert summary["macs_by_phase"]["table"] == 0 < summary["cycles_by_phase"]["table"]
    assert summary["rtl_gemms"] == 5 * 6 + 2  # of each step, and of the test
    assert summary["utilization"] == pytest.approx(summary["macs"] / (summary["cycles"] * 1024))
    assert summary["sim_mmac_per_s"] == pytest.approx(summary["macs"] / 2e6)
    page = (tmp_path / "report.html").read_text()
    assert check_page(page).pictures == 6
    assert "Utilisation is the share of the core&#x27;s multipliers at work" in page
    assert "batches of 256, K = 10..256" in page
    assert capsys.readouterr().out.startswith("preparing the rtl backend, preset base")


def test_nothing_compared_is_no_success(tmp_path, monkeypatch, capsys):
    (tmp_path / "trace.fst").write_text("of an earlier run")
    monkeypatch.setattr(device, "open_backend", lambda *_: Timed())
    arguments = ["--epochs", "1", "--batch", "512", "--check", "none", "--out", str(tmp_path)]
    assert program.main([*ON_ENGINE, *arguments]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["rtl_checked"], summary["rtl_mismatches"]) == (0, None)
    output = capsys.readouterr().out
    assert not (tmp_path / "trace.fst").exists()
    assert "no comparison" in output and "mismatches" not in output


@pytest.mark.parametrize("window, status", [("0:3", 0), ("48:1", 0), ("49:1", 2), ("900:3", 2)])
def test_trace_that_was_never_reached(window, status, tmp_path, monkeypatch, capsys):
    def open_backend(name, preset_name, trace):
        assert not trace[0].exists()  # an earlier run's is gone
        trace[0].write_text("an empty waveform")
        return Timed()

    monkeypatch.setattr(device, "open_backend", open_backend)
    (tmp_path / "trace.fst").write_text("stale")
    arguments = ["--epochs", "1", "--batch", "512", "--trace", window, "--out", str(tmp_path)]
    assert program.main([*ON_ENGINE, *arguments]) == status
    output = capsys.readouterr()
    assert (tmp_path / "trace.fst").exists() == ("waveform:" in output.out) == (status == 0)
    first = window.partition(":")[0]
    assert (f"error: no waveform: job {first} was never reached, the run had 49 jobs"
            in output.err) == (status == 2)


def test_mismatch_stops_the_program(tmp_path, monkeypatch, capsys):
    faulty = Faulty(flip("codes", 0), 21)  # weights in a scale that job 20 solved
    monkeypatch.setattr(device, "open_backend", lambda *_: faulty)
    for name in ("report.html", "summary.json"):
        (tmp_path / name).write_text("of an earlier run")
    assert program.main([*ON_ENGINE, "--preset", "tiny", "--out", str(tmp_path)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mismatch-seed0-job21.npz"]
    assert "MISMATCH: RTL and golden model differ in job 21" in capsys.readouterr().err
    path = tmp_path / "mismatch-seed0-job21.npz"  # with the table's entry as it was before
    assert load_job(path)[2].valid
    assert driver.replay.main([str(path), "--backend", "golden"]) == 0
    assert "Use.ENTRY" in capsys.readouterr().out


def test_a_job_that_hangs_is_recorded(tmp_path):
    class Hanging(Faulty):
        def run(self, job):
            raise RuntimeError("the engine hung")

    backend = CheckedBackend(Hanging(None, 0), "all", seed=0, preset_name="tiny", folder=tmp_path)
    with pytest.raises(MismatchError, match=r"the engine hung\n.*make replay FILE="):
        backend.run(jobs(0)[0])
    assert load_job(tmp_path / "mismatch-seed0-job1.npz")[1] == "tiny"


def test_out_is_tried_before_training(tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = ["--backend", "golden", "--out", str(tmp_path / "file")]
    assert program.main(arguments) == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error and "like OUT=build/run" in error
    assert error.count("\n") == 1


def test_interrupt_writes_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(program.Live, "epoch", interrupt)
    arguments = ["--backend", "golden", "--batch", "512", "--out", str(tmp_path)]
    assert program.main(arguments) == 130
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "interrupted: the report of this run was not written\n"


def test_missing_rtl_names_the_way_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "driver.verilated", None)  # import raises ImportError
    assert program.main([*ON_ENGINE, "--out", str(tmp_path)]) == 2
    assert "train on the golden model with BACKEND=golden" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, text", [
    (["--epochs", "0"], "EPOCHS = '0' is out of range: expected an integer 1..1000"),
    (["--batch", "x"], "BATCH = 'x' is out of range: expected an integer 1..1024"),
    (["--seed", "-1"], "SEED = '-1' is out of range: expected an integer 0..4294967295"),
    (["--preset", "huge"], "'huge' is unknown: expected one of tiny, small, base, lean, big"),
    (["--backend", "gpu"], "'gpu' is unknown: expected one of rtl, golden"),
    (["--quant", "int3"], "QUANT = 'int3' is unknown: expected one of tetra, "
     "sun2020, adaptive, hindsight, symmetric, range, stochastic, stochastic-all, luq, static"),
    (["--check", "some"], "'some' is unknown: expected one of all, first, none"),
    (["--trace", "3"], "'3' is not a window of jobs: expected FIRST:COUNT"),
])
def test_wrong_options(arguments, text, capsys):
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
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
