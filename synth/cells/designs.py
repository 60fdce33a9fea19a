# SPDX-License-Identifier: Apache-2.0
"""What is synthesised: every block of the core for every preset, and what it is compared with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from amaranth.lib import wiring

from golden.config import PRESETS, Config
from hdl.core.core import Core
from hdl.engine.engine import Engine
from hdl.library import Library, module_name
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import AdaptUnit
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from hdl.tile.dot_product import DotProduct
from hdl.tile.mac_tile import MacCell, MacTile
from hdl.tile.multiplier import Multiplier
from synth.baselines.block_dots import MxFp4Dot, NvFp4Dot
from synth.baselines.dot_products import (
    Bf16Dot,
    Dlfloat16Dot,
    DotParameters,
    FloatDot,
    Fp8Dot,
    Fp16Dot,
)
from synth.baselines.exact_dots import (
    Dlfloat16ExactDot,
    ExactDot,
    Fp8ExactDot,
    Fp16ExactDot,
)
from synth.baselines.float_mac import Dlfloat16Mac, Fp8Mac, Fp16Mac
from synth.baselines.int8 import Int8Dot, Int8Mac
from synth.baselines.minifloat import DLFLOAT16, SINGLE
from synth.baselines.pipeline import LaneParameters, Mac, MacParameters
from synth.cells.asic import Netlist
from synth.cells.macros import with_macros

GEMMS = ("fprop", "dgrad", "wgrad")
# Blocks that are mapped once and placed often, or large enough to be mapped on their own.
BOUNDARIES = frozenset({
    "tetra_mac_cell", "tetra_zero_cell", "tetra_mac_tile", "tetra_rescale_lane",
    "tetra_rescale_unit", "tetra_statistics_unit", "tetra_scale_solver", "tetra_adapt_unit",
    "tetra_row_source",
    # around an engine
    "tetra_registers", "tetra_read_dma", "tetra_write_dma", "tetra_fetch", "tetra_sequencer",
    "tetra_load", "tetra_buffer_a", "tetra_buffer_b", "tetra_feed", "tetra_correction",
    "tetra_store", "tetra_engine"})
BASELINES = (Fp16Mac, Dlfloat16Mac, Fp8Mac, Int8Mac)
# by name: what accumulates once for several products
DOTS: dict[str, type[Mac]] = {module_name(kind): kind for kind in (
    Dlfloat16Dot, Fp16Dot, Bf16Dot, Fp8Dot, MxFp4Dot, NvFp4Dot, Int8Dot, Dlfloat16ExactDot,
    Fp16ExactDot, Fp8ExactDot)}


@dataclass(frozen=True, eq=False)
class Design:
    """One point of the comparison.

    Members
    -------
    block, preset : what it is; baselines have the preset that their grid is as fast as. variant :
        of a block that has several, in words. depth : pipeline stages. ours : whether it belongs to
        the core.
    build : makes the component. macs : multiply-accumulates per cycle of each GEMM, empty where
        that means nothing.
    shared : per-MAC share of operand registers that a grid saves, in flip-flops: a baseline's own
        registers less those of its row and column, spread over the grid.
    """

    block: str
    preset: str
    depth: int
    ours: bool
    build: Callable[[], wiring.Component]
    macs: dict[str, int]
    shared: float = 0.0
    variant: str = ""

    def __str__(self):
        variant = f", {self.variant}" if self.variant else ""
        return f"{self.block}/{self.preset}{variant}/{self.depth}"

    def netlist(self) -> Netlist:
        made = component(self)
        library = Library()
        top = library.convert(type(made), made.config)
        text = with_macros(library.text, top) if isinstance(made, Core) else library.text
        return Netlist(text, top, BOUNDARIES)


def designs() -> list[Design]:
    """Every design of the full sweep, but for `dots`."""
    return [*contenders(), *others()]


def contenders() -> list[Design]:
    """What every recipe maps: the presets that headlines are of at their own depth, and every
    baseline; the core too, whose clock needs the fastest of them."""
    ours = [d for name in ("base", "lean") for d in core(name)
            if d.depth == PRESETS[name].pipeline]
    return [*ours, *alone("base", 4), *baselines("base")]


def others() -> list[Design]:
    """Other presets, other depths: fewer recipes will do, which makes them no denser."""
    known = {str(design) for design in contenders()}
    return [design for name in PRESETS for design in core(name) if str(design) not in known]


def quick_designs() -> list[Design]:
    """The subset of `make synth QUICK=1`: two headline tiles, and near the depth that is densest
    what they are compared with."""
    ours = [d for name in ("base", "lean") for d in core(name)
            if d.block in ("tetra_mac_cell", "tetra_mac_tile")
            and d.depth == PRESETS[name].pipeline]
    return [*ours, *baselines("base", every=2, last=2), *dots("base", [MxFp4Dot], [6])]


def second_library_designs() -> list[Design]:
    """What is mapped to the second library too: whatever the headline compares."""
    blocks, depth = {"tetra_mac_tile", "tetra_engine"}, PRESETS["base"].pipeline
    ours = [d for d in core("base") if d.block in blocks and d.depth == depth]
    return [*ours, *baselines("base", every=2)]


def core(name: str) -> list[Design]:
    """The blocks of a preset; those of the tile of `base` in every pipeline depth."""
    config = PRESETS[name]
    found = []
    for variant in pipelines(config) if name == "base" else [config]:
        found += _tile(name, variant)
        if variant == config:
            around = {Core: 0} if name == "base" else {}
            found += _blocks(name, config, around | {
                Engine: config.macs_per_cycle, Multiplier: 1, RescaleUnit: 0, StatisticsUnit: 0,
                ScaleSolver: 0, AdaptUnit: 0})
    return found


def alone(name: str, radix: int) -> list[Design]:
    """Engine and tile of a preset, and what is in that, for one radix of gradients: 4 is the
    paper's."""
    config, per_tile = replace(PRESETS[name], radices=(radix,)), PRESETS[name].macs_per_cycle
    return _tile(only(name, radix), config) + _blocks(
        only(name, radix), config, {Engine: per_tile})


def only(name: str, radix: int) -> str:
    """What a preset is called that has one radix of gradients."""
    return f"{name}, radix {radix} alone"


def _tile(preset: str, config: Config) -> list[Design]:
    """The tile and what is in it."""
    return _blocks(preset, config, {DotProduct: config.lanes, MacCell: config.lanes,
                                    MacTile: config.macs_per_cycle})


def _blocks(preset: str, config: Config, macs: dict[type[wiring.Component], int]) -> list[Design]:
    """Of each its MACs per cycle, 0 where that means nothing."""
    return [Design(module_name(block), preset, config.pipeline, True, partial(block, config),
                   dict.fromkeys(GEMMS, count) if count else {})
            for block, count in macs.items()]


def pipelines(config: Config) -> list[Config]:
    """The preset in every depth that it takes, itself first."""
    others = []
    for depth in range(1, 10):
        try:
            others.append(replace(config, pipeline=depth))
        except ValueError:  # deeper than there are places for registers
            break
    return [config, *(c for c in others if c != config)]


def grid(config: Config, lanes: int = 1) -> Config:
    """The squarest grid of units of so many lanes that does as many MACs: it shares most registers.
    """
    bits = (config.macs_per_cycle // lanes).bit_length() - 1
    return replace(config, rows=1 << bits // 2, cols=1 << bits - bits // 2, lanes=lanes)


def baselines(name: str, every: int = 1, last: int = 0) -> list[Design]:
    """The baselines in a `grid` as fast as a preset; `every` so many depths, the deepest always,
    and the `last` so many of them, if not all."""
    return [_baseline(kind, MacParameters(depth), name) for kind in BASELINES
            for depth in sorted({*range(len(kind.cuts))[::every], len(kind.cuts) - 1})[-last:]]


def dots(name: str, kinds: Iterable[type[Mac]] = DOTS.values(), depths: Iterable[int] = (),
         ) -> list[Design]:
    """Dot products, in a grid as fast as a preset; in the depths that their kind is swept in,
    unless others are given."""
    return [_baseline(kind, replace(parameters, stages=depth), name)
            for kind in kinds for parameters in dot_parameters(kind)
            for depth in depths or kind.swept]


def _baseline(kind: type[Mac], parameters: MacParameters, name: str) -> Design:
    build = partial(kind, parameters)
    unit = _look(build())
    units = grid(PRESETS[name], unit.lanes)
    shared = len(unit.a) * (1 - 1 / units.cols) + len(unit.b) * (1 - 1 / units.rows)
    return Design(module_name(kind), name, parameters.stages, False, build,
                  dict.fromkeys(GEMMS, unit.lanes), shared, parameters.variant)


def dot_parameters(kind: type[Mac]) -> list[MacParameters]:
    """What a kind is measured with: floats in every number of lanes into 1-6-9, eight into
    binary32's range and exactly too; blocks as long as their formats have them, into that range."""
    if issubclass(kind, ExactDot):
        return [LaneParameters()]
    if issubclass(kind, Int8Dot):
        return [LaneParameters(lanes=lanes) for lanes in (4, 8, 16, 32)]
    if issubclass(kind, FloatDot):
        return [DotParameters(lanes=lanes, format=fmt) for lanes, fmt in (
            (4, DLFLOAT16), (8, DLFLOAT16), (16, DLFLOAT16), (32, DLFLOAT16), (8, SINGLE))]
    return [DotParameters(lanes=32 if kind is MxFp4Dot else 16, format=SINGLE)]


def component(design: Design) -> wiring.Component:
    """What a design is, not to be elaborated itself."""
    return _look(design.build())


def _look(component: wiring.Component) -> wiring.Component:
    """The component, looked at only: no warning that it is not elaborated."""
    component._MustUse__used = True
    return component
