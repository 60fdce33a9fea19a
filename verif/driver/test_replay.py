# SPDX-License-Identifier: Apache-2.0
"""`make replay` on damaged files: one line that says so and status 2, never a traceback."""

import json
import zipfile

import numpy as np
import pytest

from driver import replay
from driver.reproducer import load_job, save_job
from golden.adaptive import Adapt, Entry
from golden.engine import Job
from golden.formats import INT4
from golden.rescale import Rescale

RNG = np.random.default_rng(3)
JOB = Job.gemm(RNG.integers(-8, 8, (5, 40)), INT4, RNG.integers(-8, 8, (3, 40)), INT4,
               Rescale(INT4), bias=RNG.integers(-9, 9, 3), adapt=Adapt(1))


@pytest.fixture
def path(tmp_path):
    save_job(tmp_path / "job.npz", JOB, "tiny", Entry())
    return tmp_path / "job.npz"


def refuse(path, capsys) -> str:
    """The one line; nothing else is printed."""
    status = replay.main([str(path), "--backend", "golden"])
    output = capsys.readouterr()
    assert (status, output.out, output.err.count("\n")) == (2, "", 1), output
    assert output.err.startswith(f"error: {path} does not hold a job"), output
    assert "expected a mismatch-*.npz as a training run writes it" in output.err
    return output.err


def rewrite(path, arrays=(), **changes) -> None:
    """The same file with other fields and arrays, and sound checksums."""
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    fields = {**json.loads(str(kept.pop("fields"))), **changes}
    np.savez_compressed(path, fields=np.array(json.dumps(fields)), **{**kept, **dict(arrays)})


def test_every_flipped_byte(path, capsys):
    """Of 300 anywhere in the file: refused in one line, or (in a date, say) without effect."""
    sound, refused = path.read_bytes(), 0
    for at in RNG.choice(len(sound), 300, replace=False):
        damaged = bytearray(sound)
        damaged[at] ^= int(RNG.integers(1, 256))
        path.write_bytes(damaged)
        try:
            load_job(path)
        except ValueError:
            refuse(path, capsys)
            refused += 1
    assert refused > 150


def test_a_cut_file(path, capsys):
    sound = path.read_bytes()
    for size in (0, 1, 100, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:size])
        refuse(path, capsys)


def test_compressed_data_that_is_damaged(path, capsys):
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("a.npy")
    damaged = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len("a.npy")
    start += int.from_bytes(damaged[member.header_offset + 28 : member.header_offset + 30],
                            "little")
    damaged[start + 1] ^= 0xFF
    path.write_bytes(damaged)
    refuse(path, capsys)


@pytest.mark.parametrize("changes, text", [
    ({"preset": ["tiny"]}, "unknown preset ['tiny']: expected one of tiny, small, base, lean, big"),
    ({"preset": None}, "unknown preset None: expected one of tiny"),
    ({"then": ["INT4", 10**99, 0, 0, None]}, "multiplier = 1000"),
    ({"then": []}, "not enough values to unpack"), ({"then": 5}, "TypeError: cannot unpack"),
    ({"phase": 3}, "phase = 3: expected a str"), ({"a_fmt": ["INT4"]}, "unknown format ['INT4']"),
    ({"adapt": [9, 0, None, 0, 0, None, False]}, "tensor 9 is unknown"),
    ({"adapt": 0}, "TypeError: cannot unpack"), ({"entry": ""}, "TypeError: "),
    ({"entry": 5}, "TypeError: "), ({"entry": [32768, 0, 0, 99, True, False]}, "exponent = 99 is"),
    ({"arrays": {"a": np.zeros((5, 5000), np.int8), "b": np.zeros((3, 5000), np.int8)}},
     "K = 5000 is out of range: one job takes 1..4095"),
    ({"arrays": {"a": np.full((5, 40), 99)}}, "code 99 of 'a' at index (0, 0) is not a INT4 code"),
    ({"arrays": {"bias": np.zeros(3)}}, "bias have dtype float64"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_contents_that_make_no_job(path, capsys, changes, text):
    rewrite(path, **changes)
    assert text in refuse(path, capsys)


def test_a_sound_file(path, capsys):
    assert replay.main([str(path), "--backend", "golden"]) == 0
    assert "same to the bit" in capsys.readouterr().out
