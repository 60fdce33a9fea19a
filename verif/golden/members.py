# SPDX-License-Identifier: Apache-2.0
"""Hostile values for the members of dataclasses, and what must come of each of them."""

import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import numpy as np

HOSTILE = (np.uint8(25), np.int64(3), np.uint64(2**64 - 1), np.int8(-1), 0, 1, -1, 2**70, True,
           np.bool_(True), 1.5, np.float32(1.0), "1", "INT4", "", None, float("nan"), float("inf"),
           np.array([1, 2]), [1], (4,), {}, object(), int, 1j)
PLAIN = (int, float, bool, str, tuple, type(None))


@dataclass
class Case:
    """One dataclass: `good` makes an instance; `arrays` are the members that hold arrays and
    `free` those that take anything, each tested elsewhere."""

    kind: type
    good: dict[str, Any]
    arrays: tuple[str, ...] = ()
    free: tuple[str, ...] = ()


def check_members(case: Case) -> int:
    """Every member with every hostile value: a ValueError that names both, or a plain value.

    Returns how many were taken.
    """
    taken = 0
    case.kind(**case.good)
    for field in (field for field in fields(case.kind) if field.init):
        for value in HOSTILE if field.name not in case.arrays + case.free else ():
            told = f"{case.kind.__name__}({field.name}={value!r})"
            try:
                made = case.kind(**{**case.good, field.name: value})
            except ValueError as error:
                text = str(error)
                shown = repr(value) in text or str(value) in text
                assert field.name.replace("_", " ") in text.replace("_", " "), f"{told}: {text}"
                assert shown, f"{told}: {text}"
                continue
            taken += 1
            found = getattr(made, field.name)
            assert type(found) in PLAIN or isinstance(found, Enum) or found is value, told
            assert found is value or found == value, told
            if isinstance(value, np.generic):
                assert type(found) in PLAIN or isinstance(found, Enum), told
            if isinstance(found, tuple):
                assert all(type(each) in PLAIN for each in found), told
    return taken


def public_dataclasses(package: str, without: tuple[str, ...] = ()) -> set[type]:
    """The dataclasses that a package defines under public names, but for some of its packages."""
    root = importlib.import_module(package)
    names = [info.name for info in pkgutil.walk_packages(root.__path__, f"{package}.")
             if not info.name.endswith("__main__") and not info.name.startswith(without)]
    return {kind for name in names for label, kind in vars(importlib.import_module(name)).items()
            if isinstance(kind, type) and dataclasses.is_dataclass(kind)
            and kind.__module__ == name and not label.startswith("_")}
