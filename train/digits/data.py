# SPDX-License-Identifier: Apache-2.0
"""The UCI handwritten digits, 1,797 scans of 8 x 8 pixels, as scikit-learn ships them."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

CLASSES = 10
PIXELS = 64
LEVELS = 16  # the brightest pixel
TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Digits:
    """Images float64 (n, 64) in [0, 1] and labels int64 (n,) 0..9, for training and test."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def digits(seed: int) -> Digits:
    """The split of this seed: a fifth for the test, every class in proportion."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images / LEVELS, labels, test_size=TEST_SHARE, stratify=labels, random_state=seed
    )
    return Digits(train_images, train_labels, test_images, test_labels)
