# SPDX-License-Identifier: Apache-2.0
"""How busy a core is in a training step: `python -m train.core.bench`.

A step is everything between the codes of the inputs and the gradients of all parameters: weights
and gradients rounded, statistics, scales, descriptors, loads, stores, and what the registers' bus
takes. Utilization is the products of its GEMMs over those that the tile could make in all cycles
that are simulated. The first step, in which no scale is known, is not counted. Networks are MLPs;
dgrad of the first layer has no use and is not made. Memory answers 50 cycles late. --config takes a
core of your own, as `make verilog CONFIG=` does.
"""

import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from rich.table import Table

from driver.accelerator import Accelerator
from driver.checked_core import CheckedCore
from golden.config import Config
from hdl.emit.export import parse_config
from tools.arguments import Parser, integer, one_of
from tools.console import open_console
from tools.errors import ToolError
from train.core.network import CoreNetwork
from train.network.layers import softmax_cross_entropy

NETWORKS = {"digits": ((64, 128, 10), 32), "256": ((256, 256, 256), 256),
            "1024": ((1024, 1024, 1024), 1024)}
STEPS = {"digits": 8, "256": 1, "1024": 1}
PATIENCE = 3600.0  # seconds: a GEMM of 1,024 has a million cycles to simulate


class Measured(NamedTuple):
    """Of a step: utilization, cycles, and the share of the cycles by what the core did."""

    utilization: float
    cycles: float
    shares: dict[str, float]


def measure(sizes: tuple[int, ...], batch: int, steps: int, *, core: str | Config = "base",
            recipe: str = "tetra") -> Measured:
    """The mean over steps of a network with random inputs and labels, on a preset or a Config."""
    checked = CheckedCore("rtl", core, CoreNetwork.memory(sizes, batch), "none")
    try:
        device = Accelerator(checked, checked.memory, ring=16, timeout=PATIENCE)
        network = CoreNetwork(device, sizes, 0, recipe)
        rng = np.random.default_rng(1)
        inputs, labels = rng.random((batch, sizes[0])), rng.integers(0, sizes[-1], batch)
        x = network.encode(inputs)

        def step() -> None:
            logits = network.forward(x, frozen=False)
            network.backward(softmax_cross_entropy(logits, labels)[1])

        step()
        before, macs = checked.cycles or {}, checked.macs.total()
        for _ in range(steps):
            step()
        after = checked.cycles or {}
        made = (checked.macs.total() - macs) / checked.config.macs_per_cycle
    finally:
        checked.close()
    took = {cause: after[cause] - before[cause] for cause in after}
    cycles = sum(took.values())
    return Measured(made / cycles, cycles / steps, {c: n / cycles for c, n in took.items()})


def utilization(names: Iterable[str] = NETWORKS, *, core: str | Config = "base",
                progress: Callable[[str], None] = lambda what: None) -> dict[str, Measured]:
    """Of networks of `NETWORKS`."""
    found = {}
    for name in names:
        progress(f"step of {name}")
        found[name] = measure(*NETWORKS[name], STEPS[name], core=core)
    return found


def main() -> int:
    parser = Parser("python -m train.core.bench", __doc__)
    parser.add_argument("--size", type=integer(8, 1024), metavar="N",
                        help="width and batch of one network instead of those of make bench")
    parser.add_argument("--network", type=one_of(NETWORKS), action="append",
                        help="these of make bench alone")
    parser.add_argument("--config", help="a core of your own: rows=8,cols=4,lanes=32,pipeline=3")
    o = parser.parse_args()
    console = open_console()
    try:
        core = parse_config(o.config) if o.config else "base"
        with console.status("") as status:
            if o.size:
                found = {str(o.size): measure((o.size,) * 3, o.size, 1, core=core)}
            else:
                found = utilization(o.network or NETWORKS, core=core, progress=status.update)
    except (ValueError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = Table(title=f"A training step on {o.config or core}", title_justify="left")
    for name in ("network", "utilization", "cycles", *next(iter(found.values())).shares):
        table.add_column(name, justify="right")
    for name, each in found.items():
        table.add_row(name, f"{each.utilization:.3f}", f"{each.cycles:,.0f}",
                      *(f"{share:.1%}" for share in each.shares.values()))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
