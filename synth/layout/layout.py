# SPDX-License-Identifier: Apache-2.0
"""One design's layout: placed, routed, checked, timed with its wires; kept by its content."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import ClassVar

from synth.cells import sta
from synth.cells.libraries import NANGATE45, MissingError
from synth.energy import gates
from synth.layout import check, gds, kit, pieces, place, route, trace, wires
from synth.layout.kit import DBU
from synth.layout.pieces import Wire
from tools.cache import digest
from tools.tasks import Task

CONTENTS = ("layout.json", "placed.json", "flat.v", "routed.def", "wires.spef", "route.log",
            "layout.gds")


@dataclass(frozen=True)
class Layout(Task):
    """A design of mapped blocks: netlists in, a layout out.

    `routed` : whether it is routed; one that is only placed has wires as its pins' places promise.
    """

    top: str
    netlists: tuple[str, ...]
    routed: bool
    kind: ClassVar[str] = "layout"
    products: ClassVar[tuple[str, ...]] = CONTENTS

    @cached_property
    def key(self) -> str:
        return digest(
            self.top, *self.netlists, repr(self.routed), *sta.depends_on(NANGATE45),
            package("coloquinte"), kit.file(kit.CELLS).read_bytes(),
            *([route.version(), package("klayout"), kit.file(kit.TECHNOLOGY).read_bytes(),
               kit.file(kit.CELLS_GDS).read_bytes()] if self.routed else []),
            *(Path(module.__file__).read_bytes()
              for module in (check, gates, gds, kit, pieces, place, route, trace, wires)),
            Path(__file__).read_bytes())

    def make(self, folder: Path) -> None:
        paths = [folder / f"block{i}.v" for i in range(len(self.netlists))]
        for path, text in zip(paths, self.netlists, strict=True):
            path.write_text(text)
        flat = gates.flatten(paths, self.top, NANGATE45, folder)
        placed = place.place(flat)
        (folder / "placed.json").write_text(json.dumps(
            {"width": placed.width, "height": placed.height, "at": placed.at,
             "kinds": {name: kind for name, (kind, _) in flat.cells.items()}}))

        def period(spef: str) -> float:
            path = folder / "wires.spef"
            path.write_text(spef)
            return sta.shortest_period([folder / "flat.v"], self.top, NANGATE45, True, folder,
                                       path)

        promised = placed.half_perimeters()
        found = {
            "cells": len(flat.cells), "nets": len(flat.nets),
            "cell_area_um2": sum(NANGATE45.area(kind) for kind, _ in flat.cells.values()),
            "core_area_um2": placed.area, "half_perimeter_um": sum(promised.values()) / DBU,
            "period_ns": {
                "wires by fanout": sta.shortest_period([folder / "flat.v"], self.top, NANGATE45,
                                                       True, folder),
                "no wires": period(wires.no_wires(placed)),
                "placed": period(wires.promised_wires(placed))}}
        if self.routed:
            found |= self._route(placed, folder, period)
        else:
            for name in ("routed.def", "route.log", "layout.gds"):
                (folder / name).write_text("")
        (folder / "layout.json").write_text(json.dumps(found))

    def _route(self, placed: place.Placed, folder: Path, period) -> dict:
        """What routing adds to layout.json."""
        routed = route.route(placed, folder)
        checked = check.check(placed, routed)
        as_written = checked.opens
        if as_written:
            routed = route.mended(routed, as_written)
            checked = check.check(placed, routed)
            path = folder / "routed.def"
            path.write_text(route.rewritten(path.read_text(), routed, as_written))
        gds.write(placed, routed, folder / "layout.gds")
        length = Counter()
        for laid in routed.nets.values():
            for piece in laid:
                if isinstance(piece, Wire):
                    length[piece.layer] += piece.length / DBU
        found = {"wire_um": dict(sorted(length.items())), "failed": routed.failed,
                 "mended": sorted(set(as_written) - set(checked.opens))} | asdict(checked)
        # the wires of an open net lead nowhere, and those of a short to two places
        if not (checked.opens or checked.shorts or routed.failed):
            found["routed_ns"] = period(wires.routed_wires(placed, routed))
        return found

    def read(self, folder: Path) -> "Result":
        found = json.loads((folder / "layout.json").read_text())
        if "routed_ns" in found:
            found["period_ns"]["routed"] = found.pop("routed_ns")
        return Result(found, folder)


@dataclass(frozen=True)
class Result:
    """The figures of a layout, as layout.json has them, and the folder of its `CONTENTS`."""

    figures: dict
    folder: Path

    @property
    def clean(self) -> bool:
        """Whether it was routed, without an open net or a short."""
        return not any(self.figures.get(name, [""]) for name in ("opens", "shorts", "failed"))


def package(name: str) -> str:
    """Its version; MissingError that says how to get it."""
    try:
        return f"{name} {installed(name)}"
    except PackageNotFoundError:
        raise MissingError(f"{name}: not installed; make setup") from None
