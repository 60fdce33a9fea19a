# SPDX-License-Identifier: Apache-2.0
"""The runs that the study consists of, the ones that say most first."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from train.study.run import Run
from train.study.tasks import TASKS
from train.study.variants import ABLATIONS

REFERENCE = "bf16"
RUNNER_UP = "luq:rows-columns-tokens"  # the best one of the shortest trainings
LEARNED = "luq:hindsight"  # `tetra`, but for learned clips of all inputs
POLICIES = (REFERENCE, "int4_forward", "sun2020", "luq", "tetra", RUNNER_UP, "nvfp4", "mxfp4")
FROM_SAWB = "luq:hindsight-from-sawb"  # where those of inputs with signs start as `tetra`'s
MORE = {"bible": (LEARNED, FROM_SAWB)}  # that one task compares beside them
SEEDS, FEWER_SEEDS = range(5), range(3)
ABLATED = {"bible": range(1), "digits": SEEDS}  # a Transformer, and a network of seconds
REPEATED = {"bible": ("luq:rows", "luq:rows-columns", "luq:max-tokens")}  # from `FEWER_SEEDS`
SWEPT = (REFERENCE, "int4_forward", "sun2020", "luq", "tetra", RUNNER_UP)
SIZES: dict[str, list[dict[str, Any]]] = {
    "bible": [{"width": 32}, {"width": 64}, {"width": 256}, {"layers": 2}],
    "fashion": [{"width": 8}, {"width": 32}, {"batch": 32}, {"batch": 512}]}
# Epochs beside those of the task, and from which seeds; all of SWEPT for the first length and seed.
LENGTHS = {"bible": {4: FEWER_SEEDS, 6: range(1)}}
LONGER = (REFERENCE, "int4_forward", LEARNED, FROM_SAWB, "tetra", "nvfp4")
QUICK_TASKS = ("digits", "vowels", "denoise")
QUICK_POLICIES = (REFERENCE, "int4_forward", "sun2020", "tetra")


def comparison() -> Iterator[Run]:
    """Every task under every policy, seed by seed."""
    for seed in SEEDS:
        for task, what in TASKS.items():
            for policy in (*POLICIES, *MORE.get(task, ())):
                yield Run(task, policy, seed, what.epochs[0], what.shares[0])


def ablations() -> Iterator[Run]:
    """One thing changed each."""
    tries = [(task, policy, seed) for task, seeds in ABLATED.items() for seed in seeds
             for policy in ABLATIONS]
    tries += [(task, policy, seed) for task, policies in REPEATED.items() for seed in FEWER_SEEDS
              for policy in policies]
    for task, policy, seed in tries:
        yield Run(task, policy, seed, TASKS[task].epochs[0], TASKS[task].shares[0])


def sensitivity() -> Iterator[Run]:
    """Where four bits break: longer trainings; other widths, depths and batches from one seed,
    whose spread is about that of the comparison."""
    for task, lengths in LENGTHS.items():
        for epochs, seeds in lengths.items():
            for seed in seeds:
                all_of_them = epochs == min(lengths) and seed == min(seeds)
                for policy in dict.fromkeys((*LONGER, *SWEPT)) if all_of_them else LONGER:
                    yield Run(task, policy, seed, epochs, TASKS[task].shares[0])
    for task, sizes in SIZES.items():
        for policy in SWEPT:
            usual = Run(task, policy, 0, TASKS[task].epochs[0], TASKS[task].shares[0])
            for size in sizes:
                yield replace(usual, **size)


def quick() -> Iterator[Run]:
    """One seed, three tasks, four policies, in minutes."""
    for task in QUICK_TASKS:
        for policy in QUICK_POLICIES:
            yield Run(task, policy, 0, TASKS[task].epochs[1], TASKS[task].shares[1])


def parts(short: bool = False) -> dict[str, list[Run]]:
    """The study by part, of the full one or of the quick one, which only compares."""
    if short:
        return {"comparison": list(quick()), "ablations": [], "sensitivity": []}
    return {"comparison": list(comparison()), "ablations": list(ablations()),
            "sensitivity": list(sensitivity())}


def every(of: dict[str, list[Run]]) -> list[Run]:
    """All runs of these parts; one that several share is there once."""
    return list(dict.fromkeys(run for part in of.values() for run in part))
