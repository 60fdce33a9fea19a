# SPDX-License-Identifier: Apache-2.0
"""Silicon that multiplies and accumulates for a policy, beside 16 bits, from `synth/figures.json`.
"""

from collections.abc import Iterable
from typing import Any

from golden.formats import FP4_R2, FP4_R4
from train.pytorch.policy import Policy
from train.study.costs import BASELINES, MEASURED, figures
from train.study.plan import REFERENCE
from train.study.variants import variant

ALONE = {frozenset({FP4_R4}): (f"{MEASURED}, radix 4 alone",), frozenset({FP4_R2}): ("lean",)}


def areas(policies: Iterable[str]) -> list[dict[str, Any]]:
    """Of each policy the block that computes it, `area` of that for as many MACs per second in
    training as one of 16 bits does on 1, or None and `why` there is no such block."""
    full: dict[str, float] = figures()["full"]
    baseline = max((name for name in full if name.split("/")[0] in BASELINES), key=full.__getitem__)
    found = []
    for name in policies:
        block, why = (baseline, "") if name == REFERENCE else _tile(variant(name), full)
        found.append({"policy": name, "block": block, "why": why,
                      "area": full[baseline] / full[block] if block else None})
    return found


def _tile(policy: Policy, full: dict[str, float]) -> tuple[str | None, str]:
    """The densest tile that has the policy's formats; else None, and why."""
    if policy.rival is not None:
        return None, "no tile for its blocks was designed here"
    radices = {policy.dgrad.fmt, policy.wgrad.fmt}
    if not policy.input.coded or not radices <= {FP4_R2, FP4_R4}:
        return None, "its backward GEMMs have formats that no tile here computes"
    presets = {MEASURED, *ALONE.get(frozenset(radices), ())}
    tiles = [name for name in full if name.startswith("tetra_mac_tile/")
             and name.split("/")[1] in presets]
    return max(tiles, key=full.__getitem__), ""
