# SPDX-License-Identifier: Apache-2.0
"""Value change dumps (IEEE 1364-2005, 18): how often each scalar toggles and how long it is 1."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """Of one signal: changes between 0 and 1, and the share of time it is 1.

    `unknown` : it was x or z for some time, which counts as 0.
    """

    toggles: int
    duty: float
    unknown: bool


def activities(lines: Iterable[str], end: int) -> dict[str, Activity]:
    """Every scalar of a dump, by name without scope, from its first time to `end` (its unit).

    Changes that are undone at the same time do not count. ValueError for vectors, for a name that
    stands for two signals, and for a dump without values or with times beyond `end`.
    """
    names: dict[str, str] = {}
    lines = iter(lines)
    for line in lines:
        if line.startswith("$enddefinitions"):
            break
        if line.startswith("$var"):
            _, _, width, code, name, *_ = line.split()
            if width != "1":
                raise ValueError(f"{name} has {width} bits: expected scalars only")
            if names.setdefault(name, code) != code:
                raise ValueError(f"{name} is in two scopes: expected one scope")
    codes = set(names.values())
    value = dict.fromkeys(codes, "x")
    since, ones, toggles = (dict.fromkeys(codes, 0) for _ in range(3))
    pending: dict[str, str] = {}
    unknown: set[str] = set()
    start = now = None

    def settle():
        for code, new in pending.items():
            old = value[code]
            if new == old:
                continue
            toggles[code] += now != start and old in "01" and new in "01"
            if old == "1":
                ones[code] += now - since[code]
            elif old != "0" and now != start:
                unknown.add(code)
            since[code], value[code] = now, new
        pending.clear()

    for line in lines:
        kind = line[0]
        if kind in "01xz":
            pending[line[1:].rstrip()] = kind
        elif kind == "#":
            if start is None:
                start = int(line[1:])
            else:
                settle()
            now = int(line[1:])
    if start is None or end <= start or now > end:
        raise ValueError(f"a dump from {start} to {now}: expected one that ends by {end}")
    settle()
    unknown |= {code for code in codes if value[code] not in "01"}
    span = end - start
    return {name: Activity(
        toggles[code], (ones[code] + (end - since[code]) * (value[code] == "1")) / span,
        code in unknown) for name, code in names.items()}
