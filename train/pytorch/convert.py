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
from train.pytorch.rivals import as_rival

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
    seed : of all random words, 0..2**32 - 1, with the layers' names; parts of a model that are
        converted by calls of their own want seeds of their own.
    execution : whoever computes; torch kernels with the bits of the `base` core unless given.

    Returns what became of every layer with weights; print it. ValueError for an unknown policy, for
    a model without a layer to convert, and for a layer that has no four-bit form in all that it
    does; the model is then as it was.
    """
    how = policy(how) if isinstance(how, str) else checks.as_instance("how", how, Policy)
    checks.as_instance("model", model, nn.Module)
    seed = checks.as_integer("seed", seed, 0, 2**32 - 1)
    execution = TorchExecution() if execution is None else as_execution(execution, how)
    able = [name for name, layer in model.named_modules() if type(layer) in LAYERS]
    if type(model) in LAYERS:
        raise ValueError(f"the model is a single {type(model).__name__}: put it into an "
                         "nn.Sequential, so that it can be swapped in place")
    edges = {able[0], able[-1]} if able and not how.edges and filter is None else set()
    told: list[tuple[str, str, str]] = []
    chosen: dict[nn.Module, nn.Module] = {}
    for name, layer in model.named_modules():
        if not _has_weights(model, name, layer):
            continue
        what = "converted"
        if type(layer) in LAYERS.values():
            what = "left: it is converted already"
        elif type(layer) not in LAYERS:
            what = "left: it has no four-bit form"
        elif how.name == "fp32":
            what = "left: the policy rounds nothing"
        elif name in edges:
            what = "left: the policy keeps the first and the last layer"
        elif filter is not None and not filter(name, layer):
            what = "left: the filter says so"
        else:
            chosen[layer] = _converted(layer, name, how, seed, execution)
        told.append((name, type(layer).__name__, what))
    if not able and not any(what.endswith("already") for _, _, what in told):
        raise ValueError(f"a {type(model).__name__} without a layer to convert: expected one of "
                         f"{', '.join(kind.__name__ for kind in LAYERS)}")
    _swap(model, chosen)
    return Conversion(how, tuple(told))


def _has_weights(model: nn.Module, name: str, layer: nn.Module) -> bool:
    """Whether a layer is one to be told of: it has parameters, and is no part of another that is
    converted as a whole."""
    parents = [model.get_submodule(name[:end]) for end in range(len(name)) if name[end] == "."]
    return any(True for _ in layer.parameters(recurse=False)) and not any(
        isinstance(parent, nn.MultiheadAttention) or type(parent) in LAYERS.values()
        for parent in parents)


def _converted(layer: nn.Module, name: str, how: Policy, seed: int,
               execution: Execution) -> nn.Module:
    """The four-bit twin of a layer, with its parameters; the layer itself stays as it is."""
    def make(part: str, rows: int, kind=Product, policy: Policy = how) -> Product:
        where = f"{name}.{part}".strip(".")
        kind = kind if policy.rival is None else as_rival(kind)
        product = kind(policy, where, derived(seed, *where.encode()), rows, execution)
        return product.to(next(layer.parameters()).device)

    return LAYERS[type(layer)].of(layer, make).train(layer.training)


def _swap(model: nn.Module, chosen: dict[nn.Module, nn.Module]) -> None:
    """Put the twins in the places of the layers, under every name that they have, and keep torch's
    fused inference, which would compute around them, out of the encoders that hold them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():  # named_children has one name of each
            if child is not None and child in chosen:
                parent._modules[name] = chosen[child]
    for module in model.modules():
        if any(isinstance(part, Product) for part in module.modules()):
            if isinstance(module, nn.TransformerEncoderLayer):
                module.activation_relu_or_gelu = 0
            elif isinstance(module, nn.TransformerEncoder):
                module.enable_nested_tensor = module.use_nested_tensor = False


def as_execution(value: Any, *policies: Policy) -> Execution:
    """`value` if it rounds and multiplies, and has what the policies need; ValueError otherwise."""
    if not all(callable(getattr(value, name, None)) for name in ("quantise", "multiply")):
        raise ValueError(f"execution = {checks.shown(value)}: expected a TorchExecution or a "
                         "JobExecution")
    for how in policies:
        if how.emulated and not isinstance(value, TorchExecution):
            raise ValueError(f"execution = {type(value).__name__} with policy {how.name}: no core "
                             "computes it; use a TorchExecution, which emulates it")
    return value


def products(model: nn.Module) -> dict[str, Product]:
    """The products of a converted model, by where they lie in it."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Product)}


def compute_with(model: nn.Module, execution: Execution) -> None:
    """Let another execution compute; the bits stay the same. ValueError for a model of which
    nothing is converted."""
    found = products(model)
    if not found:
        raise ValueError(f"a {type(model).__name__} of which nothing is converted: call convert")
    as_execution(execution, *(product.policy for product in found.values()))
    for product in found.values():
        product.execution = execution
