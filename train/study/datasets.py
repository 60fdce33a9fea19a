# SPDX-License-Identifier: Apache-2.0
"""Data sets as arrays, each in three parts: to train, to choose anything by, and to test once."""

import ast
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden import checks
from tools.errors import ToolError
from train.study.packages import FASHION_MNIST, JAPANESE_VOWELS, KING_JAMES, files_of


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs and labels, one axis of examples first; for text both are the characters."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Members
    -------
    name : for tables. classes : labels are 0..classes - 1.
    train, validation, test : Part. alphabet : the characters of a text, in the order of labels.
    """

    name: str
    classes: int
    train: Part
    validation: Part
    test: Part
    alphabet: str = ""


def fashion_mnist(folder: Path | None = None) -> Dataset:
    """60,000 + 10,000 images of clothes, uint8 (n, 28, 28), 10 classes (Xiao et al., 2017). The
    last 5,000 of the images to train are for validation."""
    files = files_of(FASHION_MNIST, folder)

    def part(name: str) -> Part:
        return Part(_idx(files[f"{name}-images-idx3-ubyte.gz"]),
                    _idx(files[f"{name}-labels-idx1-ubyte.gz"]).astype(np.int64))

    train, test = part("train"), part("t10k")
    return Dataset("Fashion-MNIST", 10, Part(train.inputs[:-5000], train.labels[:-5000]),
                   Part(train.inputs[-5000:], train.labels[-5000:]), test)


def _idx(path: Path) -> np.ndarray:
    """An array in the format of MNIST's files: two zeros, a type, the number of axes, sizes."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    if data[:3] != b"\0\0\x08" or not axes:
        raise ToolError(f"{path} is no IDX file of bytes: it starts with {data[:4].hex()}")
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, -1, 4 + 4 * axes).reshape(shape)


VOWEL_STEPS = 29  # of the longest utterance


def japanese_vowels(folder: Path | None = None) -> Dataset:
    """Two vowels by nine speakers, whose voice is to be told (Kudo et al., 1999): 12 LPC cepstra
    per frame, float32 (n, 29, 12), zeros behind the end of an utterance. 270 utterances to train,
    of which every fifth is for validation, and 370 to test."""
    files = files_of(JAPANESE_VOWELS, folder)
    train = _utterances(files["JapaneseVowels_TRAIN.ts"])
    held = np.arange(len(train)) % 5 == 4
    return Dataset("JapaneseVowels", 9, Part(train.inputs[~held], train.labels[~held]),
                   Part(train.inputs[held], train.labels[held]),
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


def king_james(folder: Path | None = None) -> Dataset:
    """The King James Bible, 4.1 million characters, int64 (n,): nine tenths to train, a twentieth
    each, in order, to validate and to test. Brackets around added words are left out."""
    path = files_of(KING_JAMES, folder)["plain_text_readers_bible.py"]
    call = next(node.value for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.Assign))
    assert isinstance(call, ast.Call)
    text = ast.literal_eval(call.args[1]).replace("[", "").replace("]", "").strip()
    alphabet = "".join(sorted(set(text)))
    table = np.full(max(map(ord, alphabet)) + 1, -1)
    table[[ord(letter) for letter in alphabet]] = np.arange(len(alphabet))
    codes = table[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    first, second = len(codes) * 18 // 20, len(codes) * 19 // 20
    train, validation, test = (
        Part(part, part) for part in (codes[:first], codes[first:second], codes[second:]))
    return Dataset("King James", len(alphabet), train, validation, test, alphabet)


DATASETS = {"fashion_mnist": fashion_mnist, "japanese_vowels": japanese_vowels,
            "king_james": king_james}


def dataset(name: str, folder: Path | None = None) -> Dataset:
    """The data set called `name`; ValueError that lists the names otherwise."""
    return DATASETS[checks.as_choice("dataset", name, DATASETS)](folder)
