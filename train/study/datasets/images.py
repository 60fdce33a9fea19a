# SPDX-License-Identifier: Apache-2.0
"""Images of things to be told."""

import gzip
from pathlib import Path

import numpy as np

from tools.errors import ToolError
from train.study.datasets.parts import Dataset, Part
from train.study.packages import DIGITS, FASHION_MNIST, files_of


def fashion_mnist(folder: Path | None = None) -> Dataset:
    """60,000 + 10,000 images of clothes, uint8 (n, 28, 28), 10 classes (Xiao et al., 2017). The
    last 5,000 of the images to train are for validation."""
    files = files_of(FASHION_MNIST, folder)

    def part(name: str) -> Part:
        return Part(_idx(files[f"{name}-images-idx3-ubyte.gz"]),
                    _idx(files[f"{name}-labels-idx1-ubyte.gz"]).astype(np.int64))

    train, test = part("train"), part("t10k")
    return Dataset("Fashion-MNIST", 10, train[:-5000], train[-5000:], test)


def _idx(path: Path) -> np.ndarray:
    """An array in the format of MNIST's files: two zeros, a type, the number of axes, sizes."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    if data[:3] != b"\0\0\x08" or not axes:
        raise ToolError(f"{path} is no IDX file of bytes: it starts with {data[:4].hex()}")
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, -1, 4 + 4 * axes).reshape(shape)


def digits(folder: Path | None = None) -> Dataset:
    """1,797 handwritten digits, uint8 (n, 8, 8) of 0..16 (Alpaydin and Kaynak, 1998). They come
    writer by writer, so the last fifth, to test, and the one before, to validate, are by hands that
    the first three have hardly seen."""
    table = np.loadtxt(files_of(DIGITS, folder)["digits.csv.gz"], np.uint8, delimiter=",")
    every = Part(table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64))
    first, second = len(every) * 3 // 5, len(every) * 4 // 5
    return Dataset("digits", 10, every[:first], every[first:second], every[second:])
