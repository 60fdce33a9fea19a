# SPDX-License-Identifier: Apache-2.0
"""The figures of a sweep: each design's best point, and the ratios to the toughest rivals.

Density is MACs per second and square micrometre. Training is three GEMMs of equal size one after
the other, so its density is the harmonic mean of theirs. A baseline is counted in the same grid as
the core's tile, its operand registers shared by a row or column as there; the routing and the load
that this costs are not counted, to the baseline's advantage.
"""

import importlib.metadata
from collections import defaultdict

from golden.config import VERSION
from synth.cells import sta
from synth.cells.designs import DOTS, GEMMS, Design, only
from synth.cells.libraries import LIBRARIES, NANGATE45, CellLibrary, MissingError
from synth.cells.sweep import Outcome, Point

MEASURES = (*GEMMS, "training")
HEADLINE = {"tile": "tetra_mac_tile", "engine": "tetra_engine"}
PRESET = "base"  # of the headline
# by the radices of gradients that it multiplies
FORMATS = {"4+2": PRESET, "4": only(PRESET, 4), "2": "lean"}
TOUGHEST = ("tetra_fp16_mac", "tetra_dlfloat16_mac")
DOT16 = ("tetra_dlfloat16_dot", "tetra_fp16_dot", "tetra_bf16_dot", "tetra_dlfloat16_exact_dot",
         "tetra_fp16_exact_dot")
RIVALS = {  # of each kind the densest counts
    "fma16": TOUGHEST,
    "dot16": (*TOUGHEST, *DOT16),
    "fp4": ("tetra_mx_fp4_dot", "tetra_nv_fp4_dot"),
    "fp8": ("tetra_fp8_mac", "tetra_fp8_dot", "tetra_fp8_exact_dot"),
    "int8": ("tetra_int8_mac", "tetra_int8_dot"),
}
KINDS = {  # the first three are the headlines
    "fma16": "16-bit fused multiply-add, as published", "dot16": "16 bits, of any structure",
    "fp4": "4 bits in blocks (MXFP4, NVFP4)", "fp8": "FP8", "int8": "INT8"}
TOLERANCE = 0.03
PUBLISHED = (  # what, on which basis, density against 16 bits
    ("INT4 x FP4 four-way inner product (Sun et al., NeurIPS 2020)",
     "estimate of the datapath alone, no chip", "7.3"),
    ("the same, weight gradients in FP8", "estimate", "3.9"),
    ("INT4 forward, FP8 backward", "estimate", "2.7"),
    ("FP8 forward and backward", "estimate", "2.0"),
    ("INT4 forward, FP16 backward", "estimate", "1.4"),
)


def training(per_gemm: dict[str, float]) -> float:
    """The harmonic mean over the three GEMMs."""
    return len(per_gemm) / sum(1 / value for value in per_gemm.values())


def densities(point: Point, library: CellLibrary, shared: bool = True) -> dict[str, float]:
    """Per GEMM and in training; `shared` : a baseline's operand registers are the grid's."""
    saved = point.design.shared * library.areas[library.flip_flop] if shared else 0.0
    found = {gemm: point.density(gemm, point.area - saved) for gemm in GEMMS}
    return found | {"training": training(found)}


def best(points: list[Point], library: CellLibrary) -> Point:
    """The densest in training; of blocks without MACs the one with the most Fmax per area."""
    return max(points, key=lambda point: densities(point, library)["training"])


def densest(points: list[Point], library: CellLibrary, *blocks: str, preset: str = PRESET,
            ) -> Point | None:
    """The best point of these blocks in a preset, None without one."""
    found = [p for p in points if p.design.block in blocks and p.design.preset == preset]
    return best(found, library) if found else None


def finalists(points: list[Point]) -> list[Design]:
    """Of every kind of dot product the densest, which the full sweep maps by all recipes."""
    found = [densest(points, NANGATE45, block) for block in DOTS]
    return [point.design for point in found if point]


def density_ratio(points: list[Point], library: CellLibrary) -> dict:
    """Of each kind of `RIVALS` the densest (`against`), its density in training, `alone` that with
    operand registers of its own, and by level and set of `FORMATS` how many times as dense we are;
    None for what was not measured."""
    ours = {level: {formats: densest(points, library, block, preset=preset)
                    for formats, preset in FORMATS.items()} for level, block in HEADLINE.items()}
    result = {}
    for kind, blocks in RIVALS.items():
        rival = densest(points, library, *blocks)
        shared, alone = (rival and densities(rival, library, shared)["training"]
                         for shared in (True, False))
        result[kind] = {"against": rival and str(rival.design), "density": shared, "alone": alone}
        for level, found in ours.items():
            result[kind][level] = {
                formats: densities(point, library)["training"] / shared if point and rival else None
                for formats, point in found.items()}
    return result


def energy_ratio(designs: list[dict], density: dict) -> dict:
    """Of each kind: energy per MAC in training of the rival of the `density_ratio`, over that of
    our tile by set of `FORMATS`; None for what was not measured."""
    known = {design["name"]: design["pj_per_mac"]["training"] for design in designs}
    ours = {design["preset"]: design["pj_per_mac"]["training"] for design in designs
            if design["block"] == HEADLINE["tile"]}
    result = {}
    for kind, found in density.items():
        rival = known.get(found["against"])
        result[kind] = {"against": found["against"], "tile": {
            formats: rival / ours[preset] if rival and preset in ours else None
            for formats, preset in FORMATS.items()}}
    return result


def summarise(outcomes: dict[str, Outcome], energies, quick: bool) -> dict:
    """What is written to summary.json; the first library is the one that counts.

    `energies` : `synth.energy.energy.Energies`.
    """
    main, *others = outcomes
    found = _library(main, outcomes[main])
    return {
        "version": VERSION, "quick": quick, "preset": PRESET,
        "tools": {"pyosys": importlib.metadata.version("pyosys"), "opensta": _sta()},
        **found,
        "energy_ratio": energy_ratio(energies.designs, found["density_ratio"]),
        "energy": energies.designs,
        "second_libraries": [_library(name, outcomes[name]) for name in others],
        "missing": sorted({text for each in (*outcomes.values(), energies)
                           for text in each.missing}),
        "failures": [vars(failure) for each in (*outcomes.values(), energies)
                     for failure in each.failures],
    }


def figures(summary: dict) -> dict:
    """What a later run is compared with: the best density of every design, and the ratios."""
    found = {design["name"]: design["best"]["density"]["training"]
             for design in summary["designs"]}
    for kind, ratio in summary["density_ratio"].items():
        for level in HEADLINE:
            if one := next(iter(ratio[level].values())):
                found[f"{level} / {kind}"] = one
    return found


def energy_figures(summary: dict) -> dict:
    """Picojoules per MAC of the headline's tile and of the 16-bit baselines, by design and GEMM."""
    blocks = (HEADLINE["tile"], *TOUGHEST)
    return {design["name"]: {gemm: design["pj_per_mac"][gemm] for gemm in GEMMS}
            for design in summary["energy"] if design["block"] in blocks}


def regressions(now: dict, before: dict) -> list[str]:
    """What fell by more than `TOLERANCE`, or is gone."""
    found = []
    for name, old in before.items():
        if name not in now:
            found.append(f"{name}: gone (was {old:.4g})")
        elif now[name] < old * (1 - TOLERANCE):
            found.append(f"{name}: {now[name]:.4g}, {1 - now[name] / old:.1%} below {old:.4g}")
    return found


def _library(name: str, outcome: Outcome) -> dict:
    library = LIBRARIES[name]
    by_design: dict[Design, list[Point]] = defaultdict(list)
    for point in outcome.points:
        by_design[point.design].append(point)
    return {
        "library": library.name, "title": library.title, "timing": _assumptions(library),
        "density_ratio": density_ratio(outcome.points, library),
        "designs": [_design(design, points, library) for design, points in by_design.items()],
    }


def _design(design: Design, points: list[Point], library: CellLibrary) -> dict:
    chosen = best(points, library)
    return {
        "name": str(design), "block": design.block, "preset": design.preset,
        "variant": design.variant, "depth": design.depth, "ours": design.ours,
        "macs_per_cycle": design.macs,
        "flip_flops_shared": design.shared,
        "best": _point(chosen, library) | {"blocks": chosen.blocks},
        "fastest_mhz": max(point.fmax for point in points),
        "smallest_um2": min(point.area for point in points),
        "points": [_point(point, library) for point in points],
    }


def _point(point: Point, library: CellLibrary) -> dict:
    return {"recipes": point.recipes, "area_um2": point.area, "fmax_mhz": point.fmax,
            "gate_equivalents": point.area / library.areas[library.gate],
            "density": densities(point, library)}


def _assumptions(library: CellLibrary) -> str:
    try:
        return sta.assumptions(library)
    except MissingError:
        return "none"


def _sta() -> str | None:
    try:
        return sta.version()
    except MissingError:
        return None
