# SPDX-License-Identifier: Apache-2.0
"""`convert`: the one call that turns a model into one that trains in four bits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from golden import checks
from train.pytorch.attention import MultiheadAttention4
from train.pytorch.execution import Execution, TorchExecution, derived
from train.pytorch.layers import Conv2d4, Linear4
from train.pytorch.policy import Policy, policy
from train.pytorch.product import Product
from train.pytorch.recurrent import GRU4, LSTM4

LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: Linear4, nn.Conv2d: Conv2d4, nn.LSTM: LSTM4, nn.GRU: GRU4,
    nn.MultiheadAttention: MultiheadAttention4}
Filter = Callable[[str, nn.Module], bool]


@dataclass(frozen=True)
class Conversion:
    """What `convert` did: (name, class, what became of it and why) of every layer with weights."""

    policy: Policy
    layers: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        wide = max((len(name) for name, _, _ in self.layers), default=0)
        return "\n".join([f"policy {self.policy.name}:"] + [
            f"  {name or '(the model)':{max(wide, 11)}}  {kind:22}  {what}"
            for name, kind, what in self.layers])


def convert(model: nn.Module, how: Policy | str = "tetra", *, filter: Filter | None = None,
            seed: int = 0, execution: Execution | None = None) -> Conversion:
    """Swap the layers of `model`, in place, for ones that compute as a policy says.

    Parameters
    ----------
    model : any module. Its parameters stay the objects that they are, so that an optimizer that
        has them goes on; clips that are learned come as new ones, so make it afterwards.
    how : a Policy, or the name of one.
    filter : called with each layer's name and module; False leaves it. Without one the first and
        the last layer stay as they are unless the policy converts its edges.
    seed : of all random words, 0..2**32 - 1.
    execution : whoever computes; torch kernels with the bits of the `base` core unless given.

    Returns what became of every layer with weights; print it. ValueError for an unknown policy and
    for a model without a layer to convert.
    """
    how = policy(how) if isinstance(how, str) else checks.as_instance("how", how, Policy)
    checks.as_instance("model", model, nn.Module)
    seed = checks.as_integer("seed", seed, 0, 2**32 - 1)
    execution = execution or TorchExecution()
    able = [name for name, layer in model.named_modules() if type(layer) in LAYERS]
    edges = {able[0], able[-1]} if able and not how.edges and filter is None else set()
    told: list[tuple[str, str, str]] = []
    chosen: list[tuple[int, str, nn.Module]] = []
    for name, layer in model.named_modules():
        parent = name.rpartition(".")[0]
        if not any(True for _ in layer.parameters(recurse=False)) or (
                name and isinstance(model.get_submodule(parent), nn.MultiheadAttention)):
            continue  # attention's own projection is converted with it
        what = "converted"
        if type(layer) not in LAYERS:
            what = "left: it has no four-bit form"
        elif name in edges:
            what = "left: the policy keeps the first and the last layer"
        elif filter is not None and not filter(name, layer):
            what = "left: the filter says so"
        else:
            chosen.append((able.index(name), name, layer))
        told.append((name, type(layer).__name__, what))
    if not able:
        raise ValueError(f"a {type(model).__name__} without a layer to convert: expected one of "
                         f"{', '.join(kind.__name__ for kind in LAYERS)}")
    if type(model) in LAYERS:
        raise ValueError(f"the model is a single {type(model).__name__}: put it into an "
                         "nn.Sequential, so that it can be swapped in place")
    for number, name, layer in chosen if how.name != "fp32" else ():
        def make(part: str, rows: int, kind=Product, policy: Policy = how,
                 name=name, layer=layer, number=number) -> Product:
            where = f"{name}.{part}".strip(".")
            product = kind(policy, where, derived(seed, number, *part.encode()), rows, execution)
            return product.to(next(layer.parameters()).device)

        converted = LAYERS[type(layer)].of(layer, make)
        converted.train(layer.training)
        _put(model, name, converted)
    return Conversion(how, tuple(told))


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def products(model: nn.Module) -> dict[str, Product]:
    """The products of a converted model, by name."""
    return {module.where: module for module in model.modules() if isinstance(module, Product)}


def compute_with(model: nn.Module, execution: Execution) -> None:
    """Let another execution compute; the bits stay the same."""
    for product in products(model).values():
        product.execution = execution

