# SPDX-License-Identifier: Apache-2.0
"""What goes onto which FPGA: the core's blocks in the presets that are for FPGAs, and baselines."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from amaranth.lib import wiring

from golden.config import PRESETS
from hdl.core.core import Core
from hdl.engine.engine import Engine
from hdl.library import Library, module_name
from hdl.rescaler.rescale import RescaleUnit
from hdl.scales.adaptive import AdaptUnit
from hdl.scales.solver import ScaleSolver
from hdl.scales.statistics import StatisticsUnit
from hdl.tile.dot_product import DotProduct
from hdl.tile.mac_cell import MacCell
from hdl.tile.mac_tile import MacTile
from hdl.tile.multiplier import Multiplier
from synth.cells.designs import baselines, component
from synth.fpga.fpga import ECP5, ICE40, SMALL_ECP5, Device, Mapping

BLOCKS = (Multiplier, DotProduct, MacCell, MacTile, RescaleUnit, StatisticsUnit, ScaleSolver,
          AdaptUnit, Engine, Core)
WITHOUT_DSP = (MacTile, Engine, Core)  # mapped in both ways; the others as the device likes
ON_ICE40 = (MacTile, Engine, Core)
BASELINE_DEPTH = 3  # a loop of the sum that an FPGA's tools are used to


@dataclass(frozen=True, eq=False)
class FpgaDesign:
    """One block on one device.

    Members
    -------
    block, preset, device, dsp : what it is. ours : whether it belongs to the core.
    build : makes the component. macs : multiply-accumulates per cycle, 0 where that means nothing.
    place : whether it is placed and routed, or only mapped.
    """

    block: str
    preset: str
    device: Device
    dsp: bool
    ours: bool
    build: Callable[[], wiring.Component]
    macs: int
    place: bool = True

    def __str__(self):
        dsp = "" if self.dsp or not self.device.has_dsp else " without DSPs"
        return f"{self.block}/{self.preset}, {self.device.name}{dsp}"

    def mapping(self) -> Mapping:
        made = component(self)
        library = Library()
        top = library.convert(type(made), made.config)
        return Mapping(library.text, top, self.device, self.dsp)


def fpga_designs() -> list[FpgaDesign]:
    """Every design of the full run."""
    found = [core(block, name, ECP5, dsp) for name in ("tiny", "small") for block in BLOCKS
             for dsp in ((True, False) if block in WITHOUT_DSP else (True,))]
    found += [core(block, "tiny", ICE40) for block in ON_ICE40]
    found.append(core(Core, "tiny", SMALL_ECP5, False))
    for other in baselines("base"):
        if other.depth == BASELINE_DEPTH or (other.depth < BASELINE_DEPTH and _deepest(other)):
            found.append(FpgaDesign(other.block, "one MAC", ECP5, True, False, other.build, 1))
    return found


def quick_fpga_designs() -> list[FpgaDesign]:
    """The subset of `make synth QUICK=1`: about a minute."""
    return [core(Multiplier, "small", ECP5), core(DotProduct, "small", ECP5, place=False),
            core(MacTile, "tiny", ECP5, False, place=False), core(MacTile, "tiny", ICE40)]


def core(block, name: str, device: Device, dsp: bool = True, place: bool = True) -> FpgaDesign:
    """A block of the core in a preset."""
    config = PRESETS[name]
    macs = {Multiplier: 1, DotProduct: config.lanes, MacCell: config.lanes,
            **dict.fromkeys((MacTile, Engine, Core), config.macs_per_cycle)}
    place = place and block is not Multiplier  # which has no register: there is nothing to time
    return FpgaDesign(module_name(block), name, device, dsp, True, partial(block, config),
                      macs.get(block, 0), place)


def _deepest(design) -> bool:
    made = component(design)
    return design.depth == len(type(made).cuts) - 1
