# SPDX-License-Identifier: Apache-2.0
"""Every property that is proven, and for each a fault that its proof must notice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hdl.engine import Engine
from hdl.mac_tile import MacTile
from hdl.rescale import RescaleUnit
from hdl.solver import ScaleSolver
from verif.formal import arithmetic, progress, streams
from verif.formal.harness import SMALL, Harness
from verif.formal.prover import Verdict, prove
from verif.formal.structure import independent


@dataclass(frozen=True)
class Property:
    """One line of the table.

    Members
    -------
    name, block : what is proven, of which block. harness : makes what is to be proven by induction,
    or for a structural property the block. fault : net -> constant or net that takes its place.
    cycles : proven for so many cycles after reset only; 0 for always.
    """

    name: str
    block: str
    harness: Callable
    fault: dict[str, str] = field(hash=False)
    cycles: int = 0

    def check(self, faults: dict[str, str] | None = None, trace: Path | None = None) -> Verdict:
        made = self.harness()
        if isinstance(made, Harness):
            return prove(made, self.cycles or 1, faults, bool(self.cycles), trace)
        return independent(made, faults)


def _of(block, fault: dict[str, str], harness=None):
    harness = harness or (lambda: streams.stable(block(SMALL)))
    return Property("an offer holds until it is taken", block.__name__, harness, fault)


def _shape(block, fault: dict[str, str]):
    return Property("valid does not look at ready; no loops", block.__name__,
                    lambda: block(SMALL), fault)


PROPERTIES = (
    _of(MacTile, {"capture": "full"}),
    _of(RescaleUnit, {"advance": "1'b1"}),
    _of(ScaleSolver, {"unreachable": "last"}),
    _of(Engine, {"adapt_unit.idle": "1'b1"}, streams.stable_engine),
    _shape(MacTile, {"o__valid": "capture"}),
    _shape(RescaleUnit, {"o__valid": "advance"}),
    _shape(ScaleSolver, {"o__valid": "i__ready"}),
    _shape(Engine, {"rescale_unit.o__valid": "result__ready"}),
    Property("no row is lost, none is late", "MacTile", progress.tile_progress,
             {"capture": "1'b0"}),
    Property("no row is lost, none is late", "RescaleUnit", progress.rescale_progress,
             {"advance": "1'b0"}),
    Property(f"any request is answered in {progress.ANSWER} cycles", "ScaleSolver",
             progress.solver_progress, {"last": "1'b0"}),
    Property(f"something moves every {progress.QUIET} cycles", "Engine",
             progress.engine_progress, {"mac_tile.capture": "1'b0"}, cycles=26),
    Property("no overflow up to max_k, 20 bits", "MacTile",
             lambda: arithmetic.accumulator(arithmetic.NARROW), {"mac_cell_0_0.first": "1'b0"}),
    Property("no overflow up to max_k, 32 bits", "MacTile",
             lambda: arithmetic.accumulator(arithmetic.WIDE), {"mac_cell_0_0.first": "1'b0"}),
    Property("an overflow raises the flag", "MacTile",
             lambda: arithmetic.overflow_flag(arithmetic.NARROW),
             {"mac_cell_0_0.overflow": "1'b0"}),
    Property("no sum wraps up to 2**32 elements", "StatisticsUnit", arithmetic.statistics,
             {"first_1": "2'b00"}),
    Property("magnitudes reach 2**31 at most", "RescaleUnit", arithmetic.magnitudes,
             {"rescale_lane_0.magnitude_0": "32'hffffffff"}),
    Property("squares reach 2**62 at most", "Squarer", arithmetic.square,
             {"square": "64'hffffffffffffffff"}),
)
