# SPDX-License-Identifier: Apache-2.0
"""What a data set is: three parts of examples."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs and labels, one axis of examples first; for text both are the characters, for
    photographs the label of a noisy one is the clean one."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, chosen) -> "Part":
        """The examples that an index, a slice or a mask chooses."""
        return Part(self.inputs[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Members
    -------
    name : for tables. classes : labels are 0..classes - 1; 0 where labels are no classes.
    train, validation, test : Part. alphabet : the characters of a text, in the order of labels.
    """

    name: str
    classes: int
    train: Part
    validation: Part
    test: Part
    alphabet: str = ""
