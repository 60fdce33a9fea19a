# SPDX-License-Identifier: Apache-2.0
"""Spoken words in noise, by speakers of whom some are held out, as log-mel spectra."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from tools.cache import ROOT, cached, digest
from tools.errors import ToolError
from train.study.datasets import speakers
from train.study.datasets.parts import Dataset, Part
from train.study.datasets.speakers import RENDITIONS, SAMPLE_RATE, SPEAKERS, WORDS
from train.study.packages import ESPEAK, AbsentError, files_of

TRAIN, VALIDATION = 60, 16  # speakers; the other 20 are for test
WINDOW, HOP, FRAMES, BANDS = 512, 256, 60, 40  # 60 frames are 0.7 s
LOWEST, HIGHEST = 100.0, 8000.0  # Hz
SNR = (10.0, 20.0)  # dB, from and to
FLOOR = 1e-3  # of the power of a band, so that silence has a logarithm: 0 in the spectrum's bytes
STEPS = 2.0  # per dB


def words(folder: Path | None = None) -> Dataset:
    """20 words, each said twice by 96 speakers that eSpeak NG synthesises, in pink noise: mel
    spectra in half dB, uint8 (n, 60, 40). 60 speakers train, 16 validate, 20 test.

    `folder` holds the files of the package. AbsentError where its library cannot run.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise AbsentError(f"the words are synthesised by a library for Linux x86_64, and this is "
                          f"{here}: go on without the tasks that need them")
    files = files_of(ESPEAK, folder)
    sources = [Path(module).read_bytes() for module in (__file__, speakers.__file__)]
    key = digest(*sources, *ESPEAK.files.values())
    inputs = np.load(cached("words", key, ["inputs.npy"], lambda work: make(files, work))
                     / "inputs.npy")
    each = len(WORDS) * RENDITIONS
    every = Part(inputs, np.tile(np.repeat(np.arange(len(WORDS)), RENDITIONS), SPEAKERS))
    first, second = TRAIN * each, (TRAIN + VALIDATION) * each
    return Dataset("words", len(WORDS), every[:first], every[first:second], every[second:])


def make(files: dict[str, Path], work: Path) -> None:
    """Let every word be spoken, and write the spectra into `work`; ToolError if that fails."""
    raw = work / "espeak"
    lay_out(files, raw)
    done = subprocess.run([sys.executable, "-m", speakers.__name__, str(raw)], cwd=ROOT, text=True,
                          capture_output=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ToolError(f"no words were spoken ({why}): go on without the tasks that need them")
    with np.load(raw / "spoken.npz") as spoken:
        samples = np.split(spoken["samples"], np.cumsum(spoken["lengths"])[:-1])
    shutil.rmtree(raw)
    rng = np.random.default_rng(0)
    np.save(work / "inputs.npy", np.stack([spectrum(in_noise(one, rng)) for one in samples]))


def lay_out(files: dict[str, Path], folder: Path) -> None:
    """Copy the package's files to where the library looks for them."""
    for path in ESPEAK.files:
        place = folder / Path(path).relative_to("espeakng_loader")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[place.name], place)


def in_noise(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A word of power 1 at a random place, float64 of the length of a spectrum, in pink noise. A
    word that is too long loses its end."""
    length = WINDOW + (FRAMES - 1) * HOP
    word = samples[:length] / np.sqrt(np.mean(np.square(samples, dtype=float)))
    sound = np.zeros(length)
    start = rng.integers(length - len(word) + 1)
    sound[start:start + len(word)] = word
    colour = np.fft.rfft(rng.standard_normal(length)) / np.sqrt(np.arange(1, length // 2 + 2))
    noise = np.fft.irfft(colour, length)
    return sound + noise / np.sqrt(np.mean(noise**2)) * 10 ** (-rng.uniform(*SNR) / 20)


def spectrum(sound: np.ndarray) -> np.ndarray:
    """The power in each mel band of each frame, in half dB above the floor, uint8 (60, 40)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames))**2 @ mel_bank()
    return np.clip(np.rint(10 * STEPS * np.log10(np.maximum(power, FLOOR) / FLOOR)),
                   0, 255).astype(np.uint8)


def mel_bank() -> np.ndarray:
    """The weight of each frequency in each band, (257, 40): triangles that overlap by half, evenly
    spaced in mel."""
    low, high = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    heard = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[:, None]
    return np.clip(np.minimum((heard - left) / (middle - left), (right - heard) / (right - middle)),
                   0, None)
