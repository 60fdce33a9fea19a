# SPDX-License-Identifier: Apache-2.0
"""The figures of layouts: densities before and behind it, and how many times as dense we are."""

from golden.config import VERSION
from synth.cells.designs import Design
from synth.cells.libraries import NANGATE45
from synth.layout import route
from synth.layout.layout import Result
from synth.layout.place import UTILISATION

TIMINGS = {  # of period_ns: what the wires are
    "no wires": "without wires",
    "wires by fanout": "wires by fanout, as in synthesis",
    "placed": "wires as long as half the perimeter of their pins' box",
    "routed": "routed wires, extracted",
}
MISSING = ("a clock tree (the clock is routed, and ideal in timing), power straps, sizing of cells "
           "behind placement, filling, the foundry's rule deck, antennas")


def summarise(found: dict[Design, Result], against: str, drawn: list[dict], missing: list[str],
              failures: list[dict]) -> dict:
    """What is written to summary.json; `against` : the fused multiply-add that counts, `drawn` :
    energies by design."""
    designs = [_design(design, result) for design, result in found.items()]
    ours = [design for design in designs if design["ours"]]
    return {
        "version": VERSION, "library": NANGATE45.title, "utilisation": UTILISATION,
        "router": _version(), "timings": TIMINGS, "without": MISSING, "designs": designs,
        "ratios": [_ratio(one, other) for one in ours for other in designs if not other["ours"]],
        "against": against, "energies": drawn, "missing": missing, "failures": failures}


def _design(design: Design, result: Result) -> dict:
    figures = result.figures
    macs = design.macs["fprop"]
    saved = design.shared * NANGATE45.area(NANGATE45.flip_flop)
    area = figures["cell_area_um2"] - saved
    return {
        "name": str(design), "block": design.block, "variant": design.variant,
        "depth": design.depth, "ours": design.ours, "macs_per_cycle": macs,
        # None of one that is only placed
        "clean": result.clean if "opens" in figures else None,
        "markers": sum(figures.get("close", {}).values()),
        "density": {timing: 1000 * macs / (period * area)
                    for timing, period in figures["period_ns"].items()}, **figures}


def _ratio(one: dict, other: dict) -> dict:
    return {"ours": one["name"], "rival": other["name"]} | {
        timing: one["density"][timing] / other["density"][timing] for timing in TIMINGS
        if timing in one["density"] and timing in other["density"]}


def _version() -> str | None:
    try:
        return f"qrouter {route.version()}"
    except RuntimeError:
        return None
