# SPDX-License-Identifier: Apache-2.0
"""How much slower a four-bit layer is than a float one, for `make bench`."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from train.pytorch.convert import convert
from train.pytorch.policy import policy

SIZE = 1024  # tokens, inputs and outputs
PAIRS = 9
NAMES = ("int4_forward", "sun2020", "luq", "tetra")


def linear_vs_fp32() -> dict[str, float]:
    """Time of a step, forward and backward, of a converted `Linear` over that of the float layer,
    1,024 in each direction, by policy: the median over pairs that are measured in turn."""
    torch.manual_seed(0)
    x, dy = torch.randn(SIZE, SIZE, requires_grad=True), torch.randn(SIZE, SIZE)
    plain = nn.Linear(SIZE, SIZE)
    found = {}
    for name in NAMES:
        model = nn.Sequential(nn.Linear(SIZE, SIZE))
        convert(model, policy(name).but(edges=True))
        ratios = [_seconds(model, x, dy) / _seconds(plain, x, dy) for _ in range(PAIRS + 1)]
        found[name] = statistics.median(ratios[1:])  # the first warms up
    return found


def _seconds(layer: Callable[[torch.Tensor], torch.Tensor], x, dy) -> float:
    start = time.perf_counter()
    layer(x).backward(dy)
    return time.perf_counter() - start
