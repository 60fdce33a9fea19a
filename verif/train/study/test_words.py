# SPDX-License-Identifier: Apache-2.0
"""Synthesised words: the same samples everywhere, speakers held out, spectra by definition."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tools.cache import ROOT, digest
from tools.errors import ToolError
from train.study.datasets import dataset, speakers, spoken
from train.study.packages import ESPEAK, AbsentError, files_of
from verif.train.study.test_datasets import had


@pytest.fixture
def library(tmp_path):
    """A folder with the library and its data."""
    spoken.lay_out(had(files_of, ESPEAK), tmp_path)
    return tmp_path


def test_samples_are_the_same_everywhere(library):
    """Those of the first two speakers, in a process of its own as the data set has them."""
    program = ("import sys, pathlib, numpy as np; from train.study.datasets.speakers import speak; "
               "np.save(sys.argv[1] + '/heard', np.concatenate(speak(pathlib.Path(sys.argv[1]), "
               "range(2))))")
    subprocess.run([sys.executable, "-c", program, str(library)], cwd=ROOT, check=True)
    heard = np.load(library / "heard.npy")
    assert heard.dtype == np.int16
    assert digest(heard.tobytes()) == "4a5235bc08ed9b10af89"


def test_spectra_are_the_same_everywhere():
    made = had(dataset, "words")
    assert [digest(part.inputs.tobytes()) for part in (made.train, made.validation, made.test)
            ] == ["200ae4329c70dc6e9673", "1b58e21a2b5daf1fdde8", "f4802f57537ef6d84373"]


def test_speakers_are_held_out(monkeypatch):
    """Every example is painted in the number of its speaker; each says every word twice."""
    each = len(speakers.WORDS) * speakers.RENDITIONS
    painted = np.repeat(np.arange(speakers.SPEAKERS, dtype=np.uint8), each)
    monkeypatch.setattr(spoken, "files_of", lambda *_: {})
    monkeypatch.setattr(spoken, "cached", lambda *_: Path())
    monkeypatch.setattr(spoken.np, "load", lambda _: painted)
    made = dataset("words")
    parts = (made.train, made.validation, made.test)
    heard = [set(part.inputs.tolist()) for part in parts]
    assert [len(those) for those in heard] == [60, 16, 20] and len(set.union(*heard)) == 96
    for part in parts:
        for speaker in set(part.inputs.tolist()):
            counts = np.bincount(part.labels[part.inputs == speaker])
            assert counts.tolist() == [2] * 20
        assert len({speaker % len(speakers.ACCENTS) for speaker in part.inputs.tolist()}) == 8


def test_voices_differ():
    voices = [speakers.voice(speaker).splitlines()[2:] for speaker in range(speakers.SPEAKERS)]
    assert len({tuple(voice) for voice in voices}) == speakers.SPEAKERS
    low = [int(re.search(r"pitch (\d+)", "\n".join(voice))[1]) for voice in voices]
    assert min(low) < 90 and max(low) > 170


def test_a_word_has_power_1(monkeypatch):
    """Whole and at places that differ, before noise, which is inaudible here."""
    monkeypatch.setattr(spoken, "SNR", (300.0, 300.0))
    rng, word = np.random.default_rng(1), np.full(3000, -1000, np.int16)
    sounds = [spoken.in_noise(word, rng) for _ in range(4)]
    assert np.allclose([np.sum(sound**2) for sound in sounds], 3000)
    assert len({int(np.argmin(sound)) // 10 for sound in sounds}) > 1


def test_noise_is_as_strong_as_asked(monkeypatch):
    """And pink: each octave has as much of it. The word is silent but for one sample."""
    monkeypatch.setattr(spoken, "SNR", (6.0, 6.0))
    rng = np.random.default_rng(1)
    noise = np.stack([spoken.in_noise(np.array([1]), rng) for _ in range(60)])
    assert abs(10 * np.log10(np.mean(noise**2)) + 6) < 0.1
    power = np.mean(np.abs(np.fft.rfft(noise))**2, 0)
    octaves = [power[start:2 * start].sum() for start in (64, 512, 3900)]
    assert max(octaves) < 1.2 * min(octaves)


def test_a_tone_is_in_its_band():
    """Corners of the bands are evenly spaced in mel, so band b peaks at its own frequency."""
    time = np.arange(spoken.WINDOW + (spoken.FRAMES - 1) * spoken.HOP) / speakers.SAMPLE_RATE
    mel = 2595 * np.log10(1 + np.array([100, 8000]) / 700)
    for band in (5, 20, 39):
        at = mel[0] + (mel[1] - mel[0]) * (band + 1) / 41
        tone = np.sin(2 * np.pi * 700 * (10 ** (at / 2595) - 1) * time)
        found = spoken.spectrum(tone)
        assert found.shape == (60, 40) and found.dtype == np.uint8
        assert (found.argmax(1) == band).all()
        louder = spoken.spectrum(10 * tone)[:, band].astype(int) - found[:, band]
        assert (abs(louder - 40) <= 1).all()  # 20 dB


def test_silence_is_the_floor():
    assert not spoken.spectrum(np.zeros(spoken.WINDOW + (spoken.FRAMES - 1) * spoken.HOP)).any()


def test_a_library_that_fails(monkeypatch, tmp_path):
    files = had(files_of, ESPEAK)
    monkeypatch.setattr(speakers, "__name__", "train.study.no_such_program")
    with pytest.raises(ToolError, match=r"no words were spoken \(.*no_such_program.*\): go on"):
        spoken.make(files, tmp_path)


def test_a_library_without_its_data(library):
    (library / "espeak-ng-data" / "phontab").unlink()
    done = subprocess.run([sys.executable, "-m", speakers.__name__, str(library)], cwd=ROOT,
                          text=True, capture_output=True)
    assert done.returncode and not (library / "spoken.npz").exists()


def test_another_machine(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(AbsentError, match="synthesised by a library for Linux x86_64, and this is "
                                          "Linux aarch64: go on without"):
        dataset("words")
