# SPDX-License-Identifier: Apache-2.0
"""Photographs with noise that is to be removed."""

from pathlib import Path

import numpy as np
from PIL import Image

from train.study.datasets.parts import Dataset, Part
from train.study.packages import MORE_PHOTOGRAPHS, PHOTOGRAPHS, files_of

SIGMA = 25  # of the noise, in steps of 256 grey levels
# Whole photographs are held out.
TRAIN = ("astronaut.png", "brick.png", "china.jpg", "grass.png", "gravel.png", "rocket.jpg")
VALIDATION = ("coins.png", "flower.jpg")
TEST = ("camera.png", "chelsea.png", "coffee.png")
PATCHES, PATCH = 2048, 40  # to train: how many, and pixels of a side
CROP = 128  # pixels of a side; the held-out photographs are tiled with such crops


def photographs(folder: Path | None = None) -> Dataset:
    """Grey pictures, uint8, as labels, and the same with Gaussian noise, int16 (n, side, side), as
    inputs: 2,048 patches of 40 x 40 at random places, mirrored and turned at random, to train;
    held-out photographs in crops of 128 x 128 that do not overlap, to validate and to test."""
    files = files_of(PHOTOGRAPHS, folder) | files_of(MORE_PHOTOGRAPHS, folder)
    train, validation, test = (
        [grey(files[name]) for name in names] for names in (TRAIN, VALIDATION, TEST))
    rng = np.random.default_rng(SIGMA)
    patches = [patch(train[number % len(train)], rng) for number in range(PATCHES)]
    parts = [patches, *([crop for picture in held for crop in tiles(picture)]
                        for held in (validation, test))]
    first, second, third = (noisy(np.stack(part), rng) for part in parts)
    return Dataset("photographs", 0, first, second, third)


def grey(path: Path) -> np.ndarray:
    """The luminance (Rec. 601) of a picture, uint8 (height, width)."""
    return np.asarray(Image.open(path).convert("L"))


def patch(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of a picture in one of its eight orientations."""
    top, left = (rng.integers(0, size - PATCH + 1) for size in picture.shape)
    square = np.rot90(picture[top:top + PATCH, left:left + PATCH], int(rng.integers(4)))
    return square[:, ::-1] if rng.integers(2) else square


def tiles(picture: np.ndarray) -> list[np.ndarray]:
    """Squares side by side from the top left corner; what is left at the edges is left out."""
    height, width = picture.shape
    return [picture[top:top + CROP, left:left + CROP]
            for top in range(0, height - CROP + 1, CROP)
            for left in range(0, width - CROP + 1, CROP)]


def noisy(clean: np.ndarray, rng: np.random.Generator) -> Part:
    """With noise that is not cut off at black and white. Rounded to grey levels, it is the same on
    every machine, and stronger by a factor of 1.00007 only."""
    noise = np.rint(SIGMA * rng.standard_normal(clean.shape)).astype(np.int16)
    return Part(clean + noise, clean)
