# SPDX-License-Identifier: Apache-2.0
"""Data sets as arrays, each in three parts: to train, to choose anything by, and to test once."""

from pathlib import Path

from golden import checks
from train.study.datasets.denoising import photographs
from train.study.datasets.images import digits, fashion_mnist
from train.study.datasets.parts import Dataset, Part
from train.study.datasets.speech import japanese_vowels
from train.study.datasets.spoken import words
from train.study.datasets.text import king_james

__all__ = ["DATASETS", "Dataset", "Part", "dataset"]

DATASETS = {"fashion_mnist": fashion_mnist, "digits": digits, "photographs": photographs,
            "japanese_vowels": japanese_vowels, "words": words, "king_james": king_james}


def dataset(name: str, folder: Path | None = None) -> Dataset:
    """The data set called `name`; ValueError that lists the names otherwise."""
    return DATASETS[checks.as_choice("dataset", name, DATASETS)](folder)
