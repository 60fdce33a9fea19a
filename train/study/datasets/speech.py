# SPDX-License-Identifier: Apache-2.0
"""Speech: speakers and words to be told."""

from pathlib import Path

import numpy as np

from train.study.datasets.parts import Dataset, Part
from train.study.packages import JAPANESE_VOWELS, files_of

VOWEL_STEPS = 29  # of the longest utterance


def japanese_vowels(folder: Path | None = None) -> Dataset:
    """Two vowels by nine speakers, whose voice is to be told (Kudo et al., 1999): 12 LPC cepstra
    per frame, float32 (n, 29, 12), zeros behind the end of an utterance. 270 utterances to train,
    of which every fifth is for validation, and 370 to test."""
    files = files_of(JAPANESE_VOWELS, folder)
    train = _utterances(files["JapaneseVowels_TRAIN.ts"])
    held = np.arange(len(train)) % 5 == 4
    return Dataset("JapaneseVowels", 9, train[~held], train[held],
                   _utterances(files["JapaneseVowels_TEST.ts"]))


def _utterances(path: Path) -> Part:
    """What a `.ts` file holds: behind @data a line per utterance, a colon between channels, the
    label last."""
    lines = path.read_text().splitlines()
    lines = [line for line in lines[lines.index("@data") + 1:] if line.strip()]
    inputs, labels = np.zeros((len(lines), VOWEL_STEPS, 12), np.float32), []
    for number, line in enumerate(lines):
        *channels, label = line.split(":")
        frames = np.array([channel.split(",") for channel in channels], np.float32).T
        inputs[number, :len(frames)] = frames
        labels.append(int(label) - 1)
    return Part(inputs, np.array(labels))
