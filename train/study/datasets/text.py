# SPDX-License-Identifier: Apache-2.0
"""Text, whose next character is to be told."""

import ast
from pathlib import Path

import numpy as np

from train.study.datasets.parts import Dataset, Part
from train.study.packages import KING_JAMES, files_of


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
