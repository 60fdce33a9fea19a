# SPDX-License-Identifier: Apache-2.0
"""The models of the study: small networks of the kinds that people train."""

from itertools import pairwise

import torch
from torch import nn


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


class DigitNet(nn.Module):
    """Three convolutions and a linear layer for images of 8 x 8."""

    def __init__(self, classes: int, width: int = 32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x):
        return self.head(self.body(x))


class Denoiser(nn.Module):
    """Convolutions that tell the noise, which is subtracted (DnCNN of Zhang et al., 2017, without
    its batch normalisation); pictures (n, 1, height, width) of any size, which have no classes."""

    def __init__(self, _classes: int = 0, width: int = 32, layers: int = 5):
        super().__init__()
        sizes = [1, *[width] * (layers - 1)]
        hidden = [layer for pair in pairwise(sizes)
                  for layer in (nn.Conv2d(*pair, 3, 1, 1), nn.ReLU())]
        self.body = nn.Sequential(*hidden, nn.Conv2d(width, 1, 3, 1, 1))

    def forward(self, x):
        return x - self.body(x)


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


class WordNet(nn.Module):
    """A residual network of nine layers over spectra (n, frames, bands)."""

    def __init__(self, classes: int, width: int = 16):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 2, 1)
        self.blocks = nn.Sequential(*(
            Residual(inputs, outputs, 2) for inputs, outputs in pairwise(
                (width, width, 2 * width, 4 * width))))
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x[:, None]).relu()).mean((2, 3)))


class WordLSTM(nn.Module):
    """An LSTM of two layers over spectra (n, frames, bands), whose mean output tells the word."""

    def __init__(self, classes: int, width: int = 96):
        super().__init__()
        self.input = nn.Linear(40, width)
        self.lstm = nn.LSTM(width, width, 2, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.lstm(self.input(x))[0].mean(1))


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


class RecurrentNet(nn.Module):
    """An LSTM of two layers over characters. The linear layer in front is the first one, which most
    policies leave as it is: otherwise they would leave the whole LSTM."""

    def __init__(self, classes: int, width: int = 256):
        super().__init__()
        self.embedding = nn.Embedding(classes, width // 2)
        self.input = nn.Linear(width // 2, width // 2)
        self.lstm = nn.LSTM(width // 2, width, 2, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.lstm(self.input(self.embedding(x)))[0])
