# SPDX-License-Identifier: Apache-2.0
"""The tasks of the study: data, model, loss and metric of each, the same for every policy."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from golden import checks
from train.study.datasets import Dataset, Part, dataset
from train.study.models import (
    Denoiser,
    DigitNet,
    LanguageNet,
    RecurrentNet,
    SpeechNet,
    VisionNet,
    WordLSTM,
    WordNet,
)


@dataclass(frozen=True)
class Goal:
    """What is to be learned.

    Members
    -------
    metric, unit, higher_is_better : of results.
    loss : of outputs and labels, the mean over them; what training makes smaller.
    score : of outputs and labels, the metric of each label (or image) of a batch.
    """

    metric: str
    unit: str
    higher_is_better: bool
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, reduction: str = "mean"):
    """In nats; classes are the last axis of `logits`."""
    return functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction=reduction)


def correct(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return 100.0 * (logits.argmax(-1) == labels)


def bits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits, labels, "none") / math.log(2)


def squared_error(pictures: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(pictures, clean)


def psnr(pictures: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """The peak signal-to-noise ratio of each picture, in dB; white is 1."""
    return -10 * (pictures - clean).square().mean((1, 2, 3)).log10()


ACCURACY = Goal("accuracy", "%", True, cross_entropy, correct)
BITS = Goal("bits per character", "bit", False, cross_entropy, bits)
PSNR = Goal("PSNR", "dB", True, squared_error, psnr)


@dataclass(frozen=True)
class Task:
    """A task.

    Members
    -------
    data : name of its data set. model : makes the model from the number of classes, maybe its
        width and its number of layers.
    tensors : inputs and labels of examples, ready for the model. batch, rate : of Adam.
    epochs, shares : of the full study and of the quick one; shares of the data, in percent.
    goal : its loss and its metric.
    context : characters of an example; 0 where the data has examples of its own.
    """

    data: str
    model: Callable[..., nn.Module]
    tensors: Callable[[Part, np.ndarray, int], tuple[torch.Tensor, torch.Tensor]]
    batch: int
    rate: float
    epochs: tuple[int, int]
    goal: Goal
    context: int = 0
    shares: tuple[int, int] = (100, 100)

    def load(self, folder: Any = None) -> Dataset:
        """The data; ToolError if it cannot be had."""
        return dataset(self.data, folder)

    def examples(self, part: Part) -> int:
        """How many examples a part has: of a text stretches that do not overlap."""
        return (len(part) - 1) // self.context if self.context else len(part)

    def batches(self, part: Part, order: np.ndarray, device: Any = "cpu",
                ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The examples in this order, batch by batch."""
        for start in range(0, len(order), self.batch):
            inputs, labels = self.tensors(part, order[start:start + self.batch], self.context)
            yield inputs.to(device), labels.to(device)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, part: Part) -> float:
        """The metric of a part, the mean over its labels or images."""
        training = model.training
        model.eval()
        total, count = 0.0, 0
        device = next((each.device for each in model.parameters()), torch.device("cpu"))
        for inputs, labels in self.batches(part, np.arange(self.examples(part)), device):
            scores = self.goal.score(model(inputs), labels)
            total += scores.sum(dtype=torch.float64).item()
            count += scores.numel()
        model.train(training)
        return total / count


def images(part: Part, chosen: np.ndarray, _: int):
    """Pixels about 0, of deviation 1, one channel."""
    pixels = torch.from_numpy(part.inputs[chosen]).float()[:, None]
    return (pixels / 255 - 0.286) / 0.353, torch.from_numpy(part.labels[chosen])


def digits(part: Part, chosen: np.ndarray, _: int):
    """Pixels about 0, of deviation 1, one channel."""
    pixels = torch.from_numpy(part.inputs[chosen]).float()[:, None]
    return (pixels - 4.9) / 6.0, torch.from_numpy(part.labels[chosen])


def pictures(part: Part, chosen: np.ndarray, _: int):
    """Noisy and clean ones, black at 0 and white at 1, one channel."""
    noisy, clean = (torch.from_numpy(pixels[chosen]).float()[:, None] / 255
                    for pixels in (part.inputs, part.labels))
    return noisy, clean


def frames(part: Part, chosen: np.ndarray, _: int):
    return torch.from_numpy(part.inputs[chosen]), torch.from_numpy(part.labels[chosen])


def spectra(part: Part, chosen: np.ndarray, _: int):
    """Half dB about 0, of deviation 1."""
    return ((torch.from_numpy(part.inputs[chosen]).float() - 91) / 18,
            torch.from_numpy(part.labels[chosen]))


def stretches(part: Part, chosen: np.ndarray, context: int):
    """Characters, and for each the next one."""
    places = chosen[:, None] * context + np.arange(context + 1)
    text = torch.from_numpy(part.inputs[places])
    return text[:, :-1], text[:, 1:].contiguous()


TASKS = {
    "digits": Task("digits", DigitNet, digits, 32, 1e-3, (30, 8), ACCURACY),
    "fashion": Task("fashion_mnist", VisionNet, images, 128, 2e-3, (2, 1), ACCURACY),
    "denoise": Task("photographs", Denoiser, pictures, 16, 2e-3, (4, 1), PSNR),
    "vowels": Task("japanese_vowels", SpeechNet, frames, 27, 3e-3, (60, 20), ACCURACY),
    "words_cnn": Task("words", WordNet, spectra, 32, 2e-3, (6, 4), ACCURACY),
    "words_lstm": Task("words", WordLSTM, spectra, 32, 3e-3, (5, 4), ACCURACY),
    "bible": Task("king_james", LanguageNet, stretches, 32, 1e-3, (1, 1), BITS, context=128),
    "bible_lstm": Task("king_james", RecurrentNet, stretches, 64, 2e-3, (1, 1), BITS, context=64,
                       shares=(50, 10)),
}


def task(name: str) -> Task:
    """The task called `name`; ValueError that lists the names otherwise."""
    return TASKS[checks.as_choice("task", name, TASKS)]
