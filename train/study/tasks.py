# SPDX-License-Identifier: Apache-2.0
"""The tasks of the study: data, model, loss and metric of each, the same for every policy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from golden import checks
from train.study.datasets import Dataset, Part, dataset


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al., 2016), normalised over groups, so that a
    batch of any size trains alike."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(8, outputs), nn.GroupNorm(8, outputs)])
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(
            inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(y)) + self.shortcut(x)).relu()


class VisionNet(nn.Module):
    """A residual network of seven layers for images of 28 x 28."""

    def __init__(self, classes: int, width: int = 16):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1)
        self.blocks = nn.Sequential(
            Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2))
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x).relu()).mean((2, 3)))


class SpeechNet(nn.Module):
    """An LSTM over frames, whose mean output tells the speaker."""

    def __init__(self, classes: int, width: int = 64):
        super().__init__()
        self.input = nn.Linear(12, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        here = x.abs().sum(2, keepdim=True) > 0  # not behind the utterance's end
        y = self.lstm(self.input(x))[0] * here
        return self.head(y.sum(1) / here.sum(1))


class LanguageNet(nn.Module):
    """A Transformer that reads from left to right, pre-norm."""

    def __init__(self, classes: int, width: int = 128, layers: int = 4, context: int = 128):
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.position = nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "relu", batch_first=True,
                                       norm_first=True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        length = x.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        y = self.embedding(x) + self.position[:length]
        for block in self.blocks:
            y = block(y, src_mask=mask)
        return self.head(self.norm(y))


@dataclass(frozen=True)
class Task:
    """A task.

    Members
    -------
    data : name of its data set. model : makes the model from the number of classes.
    tensors : inputs and labels of examples, ready for the model. batch, rate : of Adam.
    epochs : of the full study, and of the quick one. metric, unit, higher_is_better : of results.
    context : characters of an example; 0 where the data has examples of its own.
    """

    data: str
    model: Callable[[int], nn.Module]
    tensors: Callable[[Part, np.ndarray, int], tuple[torch.Tensor, torch.Tensor]]
    batch: int
    rate: float
    epochs: tuple[int, int]
    metric: str
    unit: str
    higher_is_better: bool
    context: int = 0

    def load(self, folder: Any = None) -> Dataset:
        """The data; ToolError if it cannot be had."""
        return dataset(self.data, folder)

    def examples(self, part: Part) -> int:
        """How many examples a part has: of a text stretches that do not overlap."""
        return (len(part) - 1) // self.context if self.context else len(part)

    def batches(self, part: Part, order: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The examples in this order, batch by batch."""
        for start in range(0, len(order), self.batch):
            yield self.tensors(part, order[start:start + self.batch], self.context)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, part: Part) -> float:
        """The metric of a part: accuracy in percent, or bits per character."""
        training = model.training
        model.eval()
        right, nats, count = 0, 0.0, 0
        for inputs, labels in self.batches(part, np.arange(self.examples(part))):
            logits = model(inputs).flatten(0, -2)
            labels = labels.flatten()
            nats += functional.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
            count += len(labels)
        model.train(training)
        return 100 * right / count if self.higher_is_better else nats / count / float(np.log(2))


def images(part: Part, chosen: np.ndarray, _: int):
    """Pixels about 0, of deviation 1, one channel."""
    pixels = torch.from_numpy(part.inputs[chosen]).float()[:, None]
    return (pixels / 255 - 0.286) / 0.353, torch.from_numpy(part.labels[chosen])


def frames(part: Part, chosen: np.ndarray, _: int):
    return torch.from_numpy(part.inputs[chosen]), torch.from_numpy(part.labels[chosen])


def stretches(part: Part, chosen: np.ndarray, context: int):
    """Characters, and for each the next one."""
    places = chosen[:, None] * context + np.arange(context + 1)
    text = torch.from_numpy(part.inputs[places])
    return text[:, :-1], text[:, 1:].contiguous()


TASKS = {
    "fashion": Task("fashion_mnist", VisionNet, images, 128, 2e-3, (8, 1), "accuracy", "%", True),
    "vowels": Task("japanese_vowels", SpeechNet, frames, 27, 3e-3, (60, 20), "accuracy", "%", True),
    "bible": Task("king_james", LanguageNet, stretches, 32, 1e-3, (4, 1), "bits per character",
                  "bit", False, context=128),
}


def task(name: str) -> Task:
    """The task called `name`; ValueError that lists the names otherwise."""
    return TASKS[checks.as_choice("task", name, TASKS)]
