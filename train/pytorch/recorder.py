# SPDX-License-Identifier: Apache-2.0
"""Which jobs a converted model gives the core: torch kernels compute, each job is written down."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from driver.cycles import Size
from golden.config import Config
from golden.formats import INT32, Format, IntFormat
from train.pytorch.convert import products
from train.pytorch.execution import Encoding, Rounded, TorchExecution, parts, pieces


class Work(NamedTuple):
    """A job, without its numbers.

    Members
    -------
    layer : the product that asks for it. phase : quantise, fprop, dgrad or wgrad. size : Size.
    operands : formats of a GEMM's a and b, none when quantising. to : format of the results.
    stochastic : whether they take random words. by_row : whether the job is one row of a tensor
        with a scale per row.
    """

    layer: str
    phase: str
    size: Size
    operands: tuple[Format, ...]
    to: Format
    stochastic: bool
    by_row: bool


class Recorder:
    """An execution with torch's kernels that appends to `jobs` what the core would have run for a
    layer, cut into jobs as `train.pytorch.execution.JobExecution` cuts it."""

    def __init__(self, layer: str, config: Config, jobs: list[Work]):
        self.layer, self.config, self.jobs = layer, config, jobs
        self.torch = TorchExecution(config)

    def quantise(self, x: torch.Tensor, to: Encoding) -> Rounded:
        for rows, columns, seed in pieces((len(x), x.shape[1]), to, self.config):
            size = Size(rows.stop - rows.start, columns.stop - columns.start, 0)
            self.jobs.append(Work(self.layer, "quantise", size, (), to.fmt, seed is not None,
                                  to.scale.ndim == 1))
        return self.torch.quantise(x, to)

    def multiply(self, a: torch.Tensor, a_fmt: IntFormat, b: torch.Tensor, b_fmt: Format,
                 phase: str) -> torch.Tensor:
        found = parts((a.shape[1], b.shape[1], a.shape[2]), a_fmt, b_fmt, self.config)
        sizes = [Size(*(part.stop - part.start for part in each)) for each in found]
        self.jobs += [Work(self.layer, phase, size, (a_fmt, b_fmt), INT32, False, False)
                      for size in sizes] * len(a)  # of each group
        return self.torch.multiply(a, a_fmt, b, b_fmt, phase)


def record(model: nn.Module, config: Config, run: Callable[[], object]) -> list[Work]:
    """The jobs of `run()`, in order, on a core of this configuration; the model's executions are
    then what they were. Products of floats are no jobs: a policy may leave some or all of them."""
    found, jobs = products(model), list[Work]()
    before = {product: product.execution for product in found.values()}
    try:
        for layer, product in found.items():
            product.execution = Recorder(layer, config, jobs)
        run()
    finally:
        for product, execution in before.items():
            product.execution = execution
    return jobs
