# SPDX-License-Identifier: Apache-2.0
"""`python -m synth.energy [DESIGN ...]`: pJ per MAC of some designs, by the recipes of `QUICK`.

Designs are named as in summary.json; without a name the tiles of `base` and `lean` are beside
a unit of each kind that it is compared with.
"""

import sys
from collections import defaultdict

from rich.table import Table

from synth.cells.designs import designs, dots
from synth.cells.libraries import NANGATE45
from synth.cells.recipes import QUICK
from synth.cells.summary import HEADLINE, MEASURES, best
from synth.cells.sweep import sweep
from synth.energy.energy import Energies, measure
from tools.arguments import Parser, add_switch, add_workers, one_of
from tools.console import open_console
from tools.jobs import open_pool

USUAL = ("tetra_mac_tile/base/3", "tetra_mac_tile/lean/3", "tetra_dlfloat16_mac/base/4",
         "tetra_bf16_dot/base, 8 into 1-6-9/8", "tetra_fp8_dot/base, 8 into 1-6-9/8",
         "tetra_mx_fp4_dot/base, 32 into 1-8-23/6", "tetra_nv_fp4_dot/base, 16 into 1-8-23/6",
         "tetra_int8_dot/base, 16 lanes/4")


def main() -> int:
    # of ours the tile alone takes the recorded operands
    known = {str(design): design for design in (*designs(), *dots("base"))
             if not design.ours or design.block == HEADLINE["tile"]}
    parser = Parser("python -m synth.energy", __doc__)
    parser.add_argument("designs", nargs="*", type=one_of(known), metavar="DESIGN",
                        help="default: " + "; ".join(USUAL))
    add_switch(parser, "quick", "fewer cycles, glitches not on their own")
    add_workers(parser)
    o = parser.parse_args()
    chosen, console = [known[name] for name in o.designs or USUAL], open_console()
    with open_pool(o.jobs, o.scheduler) as pool:
        found = sweep(chosen, QUICK, NANGATE45, pool, lambda *_: None)
        points = defaultdict(list)
        for point in found.points:
            points[point.design].append(point)
        energies = measure([best(each, NANGATE45) for each in points.values()], QUICK, NANGATE45,
                           o.quick, pool, lambda done, total: console.print(
                               f"{done} of {total} simulations", highlight=False))
    console.print(table(energies))
    for failure in (*found.failures, *energies.failures):
        console.print(f"failed: {failure.design} {failure.block} by {failure.recipe}: "
                      f"{failure.message} ({failure.log})", highlight=False)
    for text in {*found.missing, *energies.missing}:
        console.print(f"absent: {text}", highlight=False)
    return int(len(energies.designs) < len(chosen))


def table(energies: Energies) -> Table:
    found = Table("design", title="pJ per MAC, before layout", title_justify="left")
    for heading in ("MHz", *MEASURES, "over the first", "of it glitches"):
        found.add_column(heading, justify="right")
    for design in energies.designs:
        per_mac, parts = design["pj_per_mac"], design["parts"].values()
        found.add_row(
            design["name"], f"{design['clock_mhz']:,.0f}",
            *(f"{per_mac[measure]:.3f}" for measure in MEASURES),
            f"{per_mac['training'] / energies.designs[0]['pj_per_mac']['training']:.2f}",
            ", ".join(f"{p['glitches'] / p['total']:.0%}" for p in parts if "glitches" in p))
    return found


if __name__ == "__main__":
    sys.exit(main())
