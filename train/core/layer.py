# SPDX-License-Identifier: Apache-2.0
"""A fully connected layer on a core: what it keeps in memory, and its jobs in a step.

x (batch, in) UINT4, w (out, in) INT4_SYM, y (batch, out) UINT4 or INT32, dy as y in FP4:

    QUANTISE  w   of the master copy, in the scale that the step before has solved
    GEMM      y  = clip(x w^T + bias), with its clip mask;  of the last layer the INT32 sums
    GEMM      dw^T = x^T dy                                 INT32, (in, out)
    GEMM      dx = dy w, where the mask of x is             FP4, straight from the sums

A column of ones behind x, which no job writes, makes the last row of dw^T the bias' gradient; of
the last layer the host has that.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from driver.accelerator import Accelerator, Result
from driver.device_memory import Tensor
from golden.adaptive import Adapt, Use
from golden.dyadic import Dyadic
from golden.fixed_point import to_fixed
from golden.formats import CODE_FORMATS, INT4_SYM, INT32, UINT4, Phase, as_format
from golden.report import Entry
from golden.rescale import RAW, Rescale
from golden.solver import SolveMode
from golden.tensor import Quantised
from train.core.gradients import Gradient
from train.network.optimizer import Parameter
from train.quantisers import WEIGHT_FRACTION_BITS

TOP = 2.0  # an activation's clip in the first step, whose largest no step before has told
SMALLEST = 1 / 16  # of a clip: far below any useful one, far above where a scale leaves its range
OWN = Rescale(INT4_SYM, Dyadic.nearest(INT4_SYM.hi * 2.0**-WEIGHT_FRACTION_BITS))


class Codes(NamedTuple):
    """A tensor of codes on the device, what one unit of a code is worth, and the tensor of which it
    is the first columns, the last of which is ones; logits have none."""

    tensor: Tensor
    unit: float
    with_ones: Tensor | None


def room_for_codes(device: Accelerator, rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """Memory of `Codes`, UINT4: the tensor, and it with its ones. Between an odd number of codes
    and these is a column of zeros, of which every job writes half a byte; rows are whole runs."""
    run = device.config.lanes
    whole = -(-(cols + 2) // run) * run
    found = device.upload(np.ones((rows, whole), np.int8), UINT4)
    return found.first(cols), found.first(cols + cols % 2 + 1)


class Backward(NamedTuple):
    """The gradient of a layer's output, its scale, and whether another job was queued behind the
    one that makes it: then a job that reads it needs no barrier."""

    gradient: Result
    scale: float
    settled: bool = False


class CoreLayer:
    """`y = clip(x w^T + bias)`, or the logits of the last layer.

    Parameters
    ----------
    device : Accelerator. weight, bias : Parameters of shape (out, in) and (out,), whose gradients a
        step sets. quantise_gradient : Gradient of y. tensors : entries of the core's table for the
        weights, and for the statistics of y; of the last layer the second is None.

    Members
    -------
    unit : of the sums. result : the Result of the latest forward pass. degenerate : tensors of all
        steps that had no extent to solve a scale for.
    """

    def __init__(self, device: Accelerator, weight: Parameter, bias: Parameter,
                 quantise_gradient: Gradient, tensors: tuple[int, int | None]):
        self.device, self.weight, self.bias = device, weight, bias
        self.quantise_gradient = quantise_gradient
        self._of_weight, self._of_output = tensors
        outputs, inputs = weight.value.shape
        self._master = device.empty(outputs, inputs, INT32)
        self._words = device.empty(1, outputs, INT32)
        self._kept: dict[Any, Result] = {}  # results of each kind and shape, used again
        self._room: dict[int, tuple[Tensor, Tensor]] = {}  # of y by the size of the batch
        self._top = TOP
        self.degenerate = 0
        self._upload_weight()
        found = device.quantise(self._master, OWN, adapt=Adapt(
            self._of_weight, solve=SolveMode.SAWB, discard=True))
        self._entry = device.report(found)[0].entry
        device.free(found)

    @property
    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    @property
    def is_last(self) -> bool:
        return self._of_output is None

    def prepare(self, x_unit: float) -> float:
        """Before any job of a pass: the host writes what the jobs will read. The unit of y."""
        self._w_unit = 2.0**-WEIGHT_FRACTION_BITS / _scale(self._entry).value
        self.unit = x_unit * self._w_unit
        self._upload_weight()
        bias = to_fixed(self.bias.value / self.unit, 0, name=f"{self.bias.name} / {self.unit:.3g}")
        self.device.update(self._words, bias)
        if self.is_last:
            self._then = RAW
            return self.unit
        self._then = Rescale(UINT4, Dyadic.nearest(self.unit * UINT4.hi / self._top))
        return self.unit / self._then.scale.value

    def quantise(self, frozen: bool) -> None:
        """Queue the weights' codes."""
        adapt = Adapt(self._of_weight, Use.ENTRY, None if frozen else SolveMode.SAWB)
        self._w = self._keep("w", self.device.quantise, self._master, OWN, adapt=adapt,
                             barrier=False)

    def forward(self, x: Codes, y_unit: float, frozen: bool, before: str) -> Codes:
        """Queue y; `before` says which operand the job before writes: x, w, or none of them."""
        self._x = x
        barrier, early = before != "", {"": "", "x": "b", "w": "a"}[before]
        adapt = None if self._of_output is None or frozen else Adapt(self._of_output)
        rows, cols = x.tensor.rows, len(self.bias.value)
        if not self.is_last and rows not in self._room:
            self._room[rows] = room_for_codes(self.device, rows, cols)
        place, with_ones = self._room.get(rows, (None, None))
        self.result = self._keep(
            ("y", rows, frozen), self.device.gemm, x.tensor, self._w.codes, self._then,
            bias=self._words, clip_mask=not self.is_last, adapt=adapt, barrier=barrier, early=early,
            out=place and Result(place))
        return Codes(self.result.codes, y_unit, with_ones)

    def backward(self, above: Backward, below: "CoreLayer | None") -> Backward | None:
        """Queue the gradients of the parameters and of x, that is of the output of the layer
        `below`. That of x is first: the layer below waits for it while the others are computed."""
        self._dy, self._dy_scale = dy, scale = above.gradient, above.scale
        fmt, rows = self.quantise_gradient.fmt, self._x.tensor.rows
        taken, phase = (dy.codes, Phase.EVEN) if dy.odd is None else (dy.odd, Phase.ODD)
        found = None if below is None else self._input_gradient(above, below)
        self._dw_unit = self._x.unit * scale * fmt.unit(phase)
        self._db_unit = scale * fmt.unit(phase)
        x = None if self.is_last else self._x.with_ones
        self._dw = self._keep(("dw", rows), self.device.gemm, x or self._x.tensor, taken,
                              transpose_a=True, transpose_b=True, early="a",
                              barrier=found is None and not above.settled)
        return found and found._replace(settled=True)

    def _input_gradient(self, above: Backward, below: "CoreLayer") -> Backward:
        unit = self._w_unit * above.scale * self.quantise_gradient.fmt.unit()
        gradient = below.quantise_gradient

        def queue() -> Backward:
            then, adapt = gradient.job(unit)
            result = self._keep(
                ("dx", self._x.tensor.rows), self.device.gemm, self._w.codes, above.gradient.codes,
                then, transpose_a=True, transpose_c=True, mask=below.result.mask,
                transpose_mask=True, adapt=adapt, barrier=not above.settled, early="a")
            return Backward(result, unit / gradient.applied(then, adapt).value)

        found = queue()
        if not gradient.known:  # what this job has measured is the first scale
            gradient.learn(self.device.report(found.gradient)[0])
            found = queue()
        return found

    def finish(self) -> None:
        """When all jobs of a step have ended: the parameters' gradients, but for the last layer's
        bias, and what the statistics say about the next step."""
        batch = self._x.tensor.rows
        sums = self.device.download(self._dw.codes).T
        self.weight.gradient = sums[:, :self.weight.value.shape[1]] * (self._dw_unit / batch)
        of_weight = self.device.report(self._w)[0]
        self._entry = of_weight.entry
        self.degenerate += of_weight.degenerate
        if not self.is_last:
            self.bias.gradient = sums[:, -1] * (self._db_unit / batch)
            high = self.device.report(self.result)[0].statistics.high
            self._top = max(high * self.unit, SMALLEST)
        if self._dy.report is not None:
            of_gradient = self.device.report(self._dy)[0]
            self.quantise_gradient.learn(of_gradient)
            self.degenerate += of_gradient.degenerate
        self.quantise_gradient.log2_scale = -math.log2(self._dy_scale)

    @property
    def codes(self) -> dict[str, Quantised]:
        """The tensors of the latest step, or of the latest test: weights and inputs; gradients."""
        found = {"weights": (self._w.codes, self._w_unit), "inputs": (self._x.tensor, self._x.unit)}
        if hasattr(self, "_dy"):
            found["gradients"] = (self._dy.codes, self._dy_scale)
        return {name: Quantised(self.device.download(tensor),
                                as_format("fmt", tensor.fmt, CODE_FORMATS), scale)
                for name, (tensor, scale) in found.items()}

    def _upload_weight(self) -> None:
        self.device.update(self._master, to_fixed(
            self.weight.value, WEIGHT_FRACTION_BITS, name=self.weight.name))

    def _keep(self, key: Any, queue, *operands, out: Result | None = None, **options) -> Result:
        """Queue a job whose results take the place of the latest ones of its kind and shape; the
        first of them that of `out`."""
        self._kept[key] = queue(*operands, out=self._kept.get(key, out), **options)
        return self._kept[key]


def _scale(entry: Entry) -> Dyadic:
    """Of weights: the step before's, or where they were all zero the one of [-1, 1]."""
    return entry.scale if entry.valid else OWN.scale
