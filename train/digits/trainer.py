# SPDX-License-Identifier: Apache-2.0
"""One network, one schedule: the same trainer for 4 bit and for FP32."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from golden import checks
from golden.formats import Format
from train.digits.data import CLASSES, PIXELS, Digits
from train.network.mlp import layer_sizes
from train.network.optimizer import Momentum, cosine
from train.network.protocols import Trainable


@dataclass(frozen=True)
class Schedule:
    """What is trained and for how long; the same for both networks.

    Members
    -------
    sizes : layer sizes, inputs first, classes last.
    epochs : passes over the training images, from 1.
    batch : samples per step at most, from 1; an epoch is split into steps of even size.
    rate : initial learning rate, > 0; it falls to 0 as half a cosine.
    """

    sizes: tuple[int, ...] = (PIXELS, 128, CLASSES)
    epochs: int = 12
    batch: int = 32
    rate: float = 0.2

    def __post_init__(self):
        checks.put(self, "sizes", layer_sizes(self.sizes))
        checks.integer(self, "epochs", 1)
        checks.integer(self, "batch", 1)
        checks.real(self, "rate", checks.POSITIVE)


@dataclass
class CodeCounts:
    """How often a tensor took each code; `counts` int64 (16,), indexed by the code's four bits."""

    fmt: Format
    counts: np.ndarray


@dataclass
class History:
    """What the report shows of one network's training.

    Members
    -------
    loss, accuracy : per epoch, mean training loss (nats) and share of test images right (0..1).
    predicted : int64 (n,), the classes found in the latest test; empty before the first.
    log2_scales : per step, of each layer's gradients, as the step left it; empty rows for FP32.
    codes : the use of the 16 codes over the last epoch, by (tensor, layer).
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    log2_scales: list[list[float]] = field(default_factory=list)
    codes: dict[tuple[str, int], CodeCounts] = field(default_factory=dict)


class Trainer:
    """Trains `network` on `data` epoch by epoch; `history` grows as it goes."""

    def __init__(self, network: Trainable, data: Digits, schedule: Schedule, seed: int):
        self.network, self.data, self.schedule, self.seed = network, data, schedule, seed
        self.optimizer = Momentum()
        self.history = History()
        self.steps_per_epoch = math.ceil(len(data.train_labels) / schedule.batch)

    def epoch(self, index: int, on_step: Callable[[float], None] = lambda loss: None) -> None:
        """Epoch `index`, from 0, and a test after it; `on_step` gets each step's loss.

        The order of the samples depends on seed and epoch alone, so both networks see the same.
        """
        data, steps = self.data, self.steps_per_epoch
        order = np.random.default_rng([self.seed, index]).permutation(len(data.train_labels))
        total = 0.0
        for i, rows in enumerate(np.array_split(order, steps)):
            loss = self.network.backpropagate(data.train_images[rows], data.train_labels[rows])
            share = cosine(index * steps + i, self.schedule.epochs * steps)
            self.optimizer.step(self.network.parameters, self.schedule.rate * share)
            total += loss * len(rows)
            self._observe(count_codes=index == self.schedule.epochs - 1)
            on_step(loss)
        self.history.loss.append(total / len(order))
        self._test()

    def _observe(self, count_codes: bool) -> None:
        layers = self.network.quantised
        self.history.log2_scales.append([layer.quantise_gradient.log2_scale for layer in layers])
        if count_codes:
            for i, layer in enumerate(layers):
                for name, tensor in layer.codes.items():
                    fresh = CodeCounts(tensor.fmt, np.zeros(16, dtype=np.int64))
                    total = self.history.codes.setdefault((name, i), fresh)
                    total.counts += np.bincount(tensor.codes.ravel() & 15, minlength=16)

    def _test(self) -> None:
        found = self.network.predict(self.data.test_images)
        self.history.predicted = found
        self.history.accuracy.append(float((found == self.data.test_labels).mean()))
