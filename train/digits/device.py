# SPDX-License-Identifier: Apache-2.0
"""What trains the 4-bit network: a whole core, from memory to memory, or an engine, job by job."""

from pathlib import Path

from driver.accelerator import Accelerator
from driver.checked import CheckedBackend, open_backend
from driver.checked_core import CheckedCore
from golden.checks import as_choice
from train.core.network import RECIPES, CoreNetwork
from train.network.mlp import Network, quantised_mlp
from train.network.schemes import SCHEMES

Device = CheckedBackend | CheckedCore
ABOUT = {**{name: each.about for name, each in RECIPES.items()},
         **{name: each.about for name, each in SCHEMES.items()}}
QUANT = "tetra"
TESTED = 400  # images that are inferred at once, at most
RING = 16  # entries of the core's command ring: a list of a step is shorter


def open_device(quant: str, name: str, preset_name: str, sizes: tuple[int, ...], batch: int, *,
                policy: str = "none", seed: int = 0, folder: Path = Path(),
                trace: tuple[Path, int, int] | None = None) -> Device:
    """What a quantisation of `ABOUT` runs on: of `RECIPES` a core, of `SCHEMES` an engine.

    `name` is "rtl" or "golden". `policy`, `seed`, `folder`, `trace` : as of `CheckedCore` and
    `CheckedBackend`. ValueError for names that do not exist.
    """
    if as_choice("quantisation", quant, ABOUT) in RECIPES:
        size = CoreNetwork.memory(sizes, max(batch, TESTED))
        return CheckedCore(name, preset_name, size, policy, seed=seed, trace=trace)
    device = open_backend(name, preset_name, trace)
    return CheckedBackend(device, policy, seed=seed, preset_name=preset_name, folder=folder)


def four_bit_network(quant: str, device: Device, sizes: tuple[int, ...],
                     seed: int) -> CoreNetwork | Network:
    """The network that such a device trains."""
    if isinstance(device, CheckedCore):
        return CoreNetwork(Accelerator(device, device.memory, RING), sizes, seed, quant)
    return quantised_mlp(sizes, seed, device, quant)
