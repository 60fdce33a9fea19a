# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptrons that a core trains from memory to memory.

The host writes master copies and inputs, queues two lists of descriptors per step, and reads logits
and the parameters' gradients. No scale is waited for within a step: every one is known from the
step before, but that of the logits' gradient, which the host computes anyhow.
"""

from typing import NamedTuple

import numpy as np

from driver.accelerator import Accelerator, Result
from driver.device_memory import Tensor
from golden import checks
from golden.adaptive import Adapt
from golden.descriptor import BYTES
from golden.dyadic import Dyadic
from golden.fixed_point import to_fixed
from golden.formats import INT32, UINT4
from golden.report import Entry
from golden.rescale import Rescale
from train.core.gradients import Gradient, Largest, TwoPhases
from train.core.layer import Backward, Codes, CoreLayer, room_for_codes
from train.network.layers import softmax_cross_entropy
from train.network.mlp import LOSS_FRACTION_BITS, initial, layer_sizes
from train.network.optimizer import Parameter
from train.quantisers import INPUT_FRACTION_BITS

INPUTS = Rescale(UINT4, Dyadic.nearest(UINT4.hi * 2.0**-INPUT_FRACTION_BITS))  # of [0, 1]
INPUT_UNIT = 2.0**-INPUT_FRACTION_BITS / INPUTS.scale.value
SPARE = 1 << 14  # bytes of a layer for what is small: reports, padding


class Recipe(NamedTuple):
    """How a network on the core quantises: one sentence, and the kind of its gradients."""

    about: str
    gradient: type[Gradient]


RECIPES = {
    "tetra": Recipe(
        "from memory to memory, each tensor rounded once: weights SAWB, activations by their "
        "largest, gradients radix 2 rounded stochastically by their largest, all in hindsight",
        Largest),
    "sun2020": Recipe(
        "from memory to memory, each tensor rounded once: weights SAWB and activations by their "
        "largest in hindsight, gradients radix 4 in two phases with GradScale", TwoPhases),
}


class CoreNetwork:
    """A network with layers of `sizes` (inputs, hidden ..., classes).

    Parameters
    ----------
    device : Accelerator, whose table of scales is the network's: three entries per layer, two of
        the last one.
    seed : of the initial weights, and of random words. recipe : one of `RECIPES`.

    ValueError for sizes that are none or too large, and for more layers than the table has scales
    for.
    """

    def __init__(self, device: Accelerator, sizes: tuple[int, ...], seed: int,
                 recipe: str = "tetra"):
        chosen = RECIPES[checks.as_choice("recipe", recipe, RECIPES)]
        sizes = layer_sizes(sizes)
        used, available = 3 * (len(sizes) - 1) - 1, device.config.tensors
        if used > available:
            raise ValueError(
                f"{len(sizes) - 1} layers have {used} scales: this core keeps {available} "
                "(tensors); use fewer layers, or a Config with more tensors (1..256)")
        for inputs in sizes[:-2]:
            if inputs + inputs % 2 + 1 > device.config.max_dim:
                raise ValueError(f"a layer of {inputs} inputs, below the last one, and a column of "
                                 f"ones: this core takes {device.config.max_dim} (max_dim)")
        self.device = device
        for tensor in range(used):
            device.preset(Adapt(tensor, preset=Entry()))
        rng = np.random.default_rng(seed).spawn(1)[0]  # independent of the initial weights
        self.layers = []
        for i, (weight, bias) in enumerate(initial(sizes, seed, np.float64)):
            entries = (3 * i, 3 * i + 2 if i < len(sizes) - 2 else None)
            gradient = chosen.gradient(3 * i + 1, rng)
            self.layers.append(CoreLayer(device, weight, bias, gradient, entries))
        self._rooms: dict[tuple[str, int, int], Tensor] = {}
        self._codes: dict[int, tuple[Tensor, Tensor]] = {}  # of inputs, by the size of the batch
        self._gradient: dict[int, Result] = {}  # of logits, likewise

    @staticmethod
    def memory(sizes: tuple[int, ...], batch: int) -> int:
        """Bytes of device memory that are enough for batches of up to so many samples, of two
        sizes, and as many of the same to infer."""
        parameters = sum(a * (b + 2) for a, b in zip(sizes[1:], sizes[:-1], strict=True))
        per_sample = 28 * sum(sizes) + 96 * len(sizes)
        return 14 * parameters + batch * per_sample + SPARE * len(sizes) + 64 * BYTES

    @property
    def parameters(self) -> list[Parameter]:
        return [p for layer in self.layers for p in layer.parameters]

    @property
    def degenerate(self) -> int:
        """How many tensors of all steps had no extent, so that their scale stayed."""
        return sum(layer.degenerate for layer in self.layers)

    @property
    def quantised(self) -> list[CoreLayer]:
        """The layers, all of four bits."""
        return self.layers

    def encode(self, inputs) -> Codes:
        """Queue the codes of inputs (batch, features) in [0, 1].

        ValueError for values beyond it.
        """
        inputs = np.asarray(inputs)
        if inputs.size and not (inputs.min() >= 0 and inputs.max() <= 1):
            raise ValueError(f"inputs reach from {inputs.min()} to {inputs.max()}: expected 0..1; "
                             "scale them by their maximum")
        words = self._room("x", *inputs.shape)
        self.device.update(words, to_fixed(inputs, INPUT_FRACTION_BITS, name="inputs"))
        if len(inputs) not in self._codes:
            self._codes[len(inputs)] = room_for_codes(self.device, *inputs.shape)
        codes, with_ones = self._codes[len(inputs)]
        self.device.quantise(words, INPUTS, out=Result(codes))
        return Codes(codes, INPUT_UNIT, with_ones)

    def forward(self, x: Codes, *, frozen: bool) -> np.ndarray:
        """Logits (batch, classes), float64."""
        units = [x.unit]
        for layer in self.layers:
            units.append(layer.prepare(units[-1]))
        for layer in self.layers:
            layer.quantise(frozen)
        before = "w" if len(self.layers) == 1 else ""  # that job makes the last layer's weights
        for layer, unit in zip(self.layers, units[1:], strict=True):
            x = layer.forward(x, unit, frozen, before)
            before = "x"
        return self.device.download(self.layers[-1].result.codes) * units[-1]

    def backward(self, gradient: np.ndarray) -> None:
        """Set the gradient of every parameter; `gradient` is each sample's p - onehot."""
        batch, classes = gradient.shape
        fixed = to_fixed(gradient, LOSS_FRACTION_BITS, name="loss gradient")
        words = self._room("dy", batch, classes)
        self.device.update(words, fixed)
        unit, last = 2.0**-LOSS_FRACTION_BITS, self.layers[-1].quantise_gradient
        then, adapt = last.first(unit, int(np.abs(fixed.astype(np.int64)).max()))
        dy = self.device.quantise(words, then, adapt=adapt, out=self._gradient.get(batch))
        self._gradient[batch] = dy
        found: Backward | None = Backward(dy, unit / last.applied(then, adapt).value)
        for layer, below in zip(self.layers[::-1], [*self.layers[-2::-1], None], strict=True):
            assert found is not None  # but the first layer all have one below
            found = layer.backward(found, below)
        for layer in self.layers:
            layer.finish()
        # the host has this one exactly, where the device had to sum what it has rounded
        self.layers[-1].bias.gradient = gradient.mean(axis=0)

    def backpropagate(self, inputs, labels) -> float:
        """Mean loss of a batch; sets the gradient of every parameter."""
        logits = self.forward(self.encode(inputs), frozen=False)
        loss, gradient = softmax_cross_entropy(logits, labels)
        self.backward(gradient)
        return loss

    def predict(self, inputs) -> np.ndarray:
        """The most likely class of each input, (batch,): with the scales that training left."""
        return self.forward(self.encode(inputs), frozen=True).argmax(axis=1)

    def _room(self, name: str, rows: int, cols: int) -> Tensor:
        key = (name, rows, cols)
        if key not in self._rooms:
            self._rooms[key] = self.device.empty(rows, cols, INT32)
        return self._rooms[key]
