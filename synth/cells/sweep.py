# SPDX-License-Identifier: Apache-2.0
"""Designs by recipes, in parallel; what was done before is taken from the cache.

Blocks are mapped first, each with each recipe. A design of one block then has a point per recipe. A
design of several blocks may map each by another recipe: the block with the largest share sets the
pace, the others are as small as that pace allows, and the most promising choices are timed whole.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from synth.cells.asic import MappedBlock, mappings, timing
from synth.cells.designs import Design
from synth.cells.libraries import CellLibrary, MissingError
from synth.cells.recipes import QUICK, Recipe
from tools.cache import ROOT
from tools.files import write_atomically
from tools.jobs import Pool
from tools.tasks import run_all

FAILED = ROOT / "build" / "synth" / "failed"
ASSEMBLED = ((100, 4), (10_000, 2))  # up to so many instances: choices timed whole, at most


@dataclass(frozen=True)
class Point:
    """A design, mapped: square micrometres, nanoseconds, and what each block has of it."""

    design: Design
    library: str
    recipes: dict[str, str]
    area: float
    period: float
    blocks: dict[str, dict]

    @property
    def fmax(self) -> float:
        """Megahertz."""
        return 1000 / self.period

    def density(self, gemm: str = "fprop", area: float | None = None) -> float:
        """MACs per second and square micrometre, in millions; blocks without MACs count as one."""
        return (self.design.macs or {gemm: 1})[gemm] * self.fmax / (area or self.area)


@dataclass(frozen=True)
class Failure:
    """What did not work, and where its log is."""

    design: str
    block: str
    recipe: str
    library: str
    log: str
    message: str


@dataclass
class Outcome:
    """All that a sweep found."""

    points: list[Point] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """What another sweep in the same library found."""
        self.points += other.points
        self.failures += other.failures
        self.missing += other.missing


def sweep(chosen: list[Design], recipes: list[Recipe], library: CellLibrary, pool: Pool,
          progress: Callable[[str, int, int], None]) -> Outcome:
    """Points and failures of the designs in one library; `progress(what, done, of)` as they come.

    Nothing but a note of what is missing where the library or a tool is not installed.
    """
    outcome = Outcome()
    netlists = {design: design.netlist() for design in chosen}
    try:
        todo = {design: mappings(netlists[design], recipes, library) for design in chosen}
        unique = {one.key: one for design in todo.values() for per_block in design.values()
                  for one in per_block}
    except MissingError as error:
        outcome.missing.append(str(error))
        return outcome
    mapped = run_all(pool, unique, lambda n: progress("map", n, len(unique)))
    for design, per_block in todo.items():
        for name, tried in per_block.items():
            outcome.failures += [
                failure(design, name, str(one.recipe), one.key, library, mapped[one.key])
                for one in tried if isinstance(mapped[one.key], Exception)]
    plans = {}
    for design, per_block in todo.items():
        good = {name: [found for one in tried if isinstance(found := mapped[one.key], MappedBlock)]
                for name, tried in per_block.items()}
        found = candidates(netlists[design].blocks, good)
        if not design.macs and all(good.values()) and len(good) > 1:
            found.append(fastest(good))
        for i, choice in enumerate(found):
            plans[design, i] = (design, choice)
    timed = time_all(pool, {key: (netlists[design], list(choice.values()))
                            for key, (design, choice) in plans.items()}, library,
                     lambda n: progress("time", n, len(plans)))
    for key, (design, choice) in plans.items():
        found = {name: str(block.recipe) for name, block in choice.items()}
        if isinstance(timed[key], Exception):
            outcome.failures.append(failure(design, design.block, "; ".join(found.values()),
                                             "-".join(map(str, key)), library, timed[key]))
            continue
        instances = netlists[design].blocks
        blocks = {name: {"instances": instances[name], "area": block.area, "cells": block.cells}
                  for name, block in choice.items()}
        outcome.points.append(Point(
            design, library.name, found,
            sum(b["instances"] * b["area"] for b in blocks.values()), timed[key], blocks))
    return outcome


def candidates(instances: dict[str, int], mapped: dict[str, list[MappedBlock]],
               ) -> list[dict[str, MappedBlock]]:
    """`choices` of all recipes, and of those of `QUICK` alone: what promises most is a guess, and
    a guess from more recipes must not end with less."""
    few = {name: [block for block in found if block.recipe in QUICK]
           for name, found in mapped.items()}
    found: list[dict[str, MappedBlock]] = []
    for options in (mapped, few):
        if all(options.values()):
            found += [choice for choice in choices(instances, options) if choice not in found]
    return found


def choices(instances: dict[str, int], mapped: dict[str, list[MappedBlock]],
            ) -> list[dict[str, MappedBlock]]:
    """Which mapping each block has: all of a single block's, else the most promising.

    Blocks that are not timed on their own (they have others in them) are all mapped by one recipe,
    which is taken to make them as slow as it makes the block that sets the pace.
    """
    if len(mapped) == 1:
        return [{name: block} for name, found in mapped.items() for block in found]
    leaves = [name for name, found in mapped.items() if found[0].period is not None]
    leader = max(leaves, key=lambda name: instances[name] * min(b.area for b in mapped[name]))
    found = []  # promise, choice
    for pace in pareto(mapped[leader]):
        for glue in mapped[leader]:
            choice = {}
            for name, options in mapped.items():
                if name == leader:
                    choice[name] = pace
                elif name in leaves:
                    quick = [b for b in options if b.period <= pace.period]
                    choice[name] = (min(quick, key=lambda b: b.area) if quick
                                    else min(options, key=lambda b: b.period))
                else:
                    alike = [b for b in options if b.recipe == glue.recipe]
                    choice[name] = alike[0] if alike else min(options, key=lambda b: b.area)
            if all(choice != other for _, other in found):
                period = max(glue.period, *(choice[name].period for name in leaves))
                found.append((period * sum(instances[name] * b.area for name, b in choice.items()),
                              choice))
    size = sum(instances.values())
    few = next(few for limit, few in ASSEMBLED if size <= limit)
    few = min(few, max(2, len(mapped) - 1))  # of few kinds the first was the best
    return [choice for _, choice in sorted(found, key=lambda each: each[0])[:few]]


def fastest(mapped: dict[str, list[MappedBlock]]) -> dict[str, MappedBlock]:
    """Each block at its fastest, for designs of which no density counts; those that have others in
    them by the recipe of the slowest of these."""
    leaves = {name: min(found, key=lambda b: b.period) for name, found in mapped.items()
              if found[0].period is not None}
    slowest = max(leaves.values(), key=lambda b: b.period)
    return {name: leaves.get(name) or next(
        (b for b in found if b.recipe == slowest.recipe), found[0])
        for name, found in mapped.items()}


def pareto(options: Iterable[MappedBlock]) -> list[MappedBlock]:
    """Those of which no other is both smaller and faster, the smallest first."""
    kept: list[MappedBlock] = []
    for block in sorted(options, key=lambda b: (b.area, b.period)):
        if not kept or block.period < kept[-1].period:
            kept.append(block)
    return kept


def time_all(pool: Pool, plans: dict, library: CellLibrary, progress: Callable[[int], None],
             ) -> dict:
    """The period of every plan, a netlist and its blocks, or the RuntimeError that it ended with.

    A single block that was timed on its own has that period.
    """
    known = {key: blocks[0].period for key, (_, blocks) in plans.items()
             if len(blocks) == 1 and blocks[0].period is not None}
    for n in range(len(known)):
        progress(n + 1)
    return known | run_all(pool, {key: timing(netlist, blocks, library)
                                  for key, (netlist, blocks) in plans.items() if key not in known},
                           lambda n: progress(len(known) + n))


def failure(design: Design, block: str, recipe: str, key: str, library: CellLibrary,
            error: Exception) -> Failure:
    """What is listed of an error, and its log, named by `key`."""
    log, message = keep_log(key, f"{design} {block}\n{recipe}\n{library.name}", error)
    return Failure(str(design), block, recipe, library.name, log, message)


def keep_log(name: str, of: str, error: Exception) -> tuple[str, str]:
    """Where the whole of an error is kept, and the line of it that tells most."""
    log = FAILED / f"{re.sub('[ /]', '-', name)}.log"
    write_atomically(log, f"{of}\n\n{error}\n".encode())
    lines = str(error).splitlines() or [repr(error)]
    telling = [line for line in lines if "ERROR" in line or "OpenSTA:" in line]
    return os.path.relpath(log, ROOT), (telling or lines)[0]
