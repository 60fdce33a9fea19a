# SPDX-License-Identifier: Apache-2.0
"""What a member of a dataclass may be: a plain integer, number, flag or enum in its range.

numpy's integers compute in their own width (`1 << np.uint8(25)` is 0), a float passes for an
integer until something shifts by it, and 1 is not `Use.ENTRY`. So every dataclass turns what it is
given into plain Python values, or raises a ValueError that names member, value and range.

`as_integer`, `as_real`, `as_flag`, `as_member`, `as_instance`, `as_choice`, `as_array` and
`as_integers` return what they accept, for arguments of functions; `integer`, `real`, `flag`,
`member` and `instance` do the same to a member of a dataclass.
"""

import math
import operator
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, IntEnum
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from golden.flushing import check_kept

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

SHOWN = 160  # characters of a value that an error shows


def shown(value: Any) -> str:
    """`value` for an error: its repr in one line, cut in the middle, or what it is if that fails.

    Python writes no integer of more than 4300 digits, nor what holds one.
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a repr may raise anything
        return (f"<integer of {value.bit_length()} bits>" if isinstance(value, int)
                else f"<{type(value).__name__}>")
    half = SHOWN // 2 - 2
    return text if len(text) <= SHOWN else f"{text[:half]} .. {text[-half:]}"


def as_integer(name: str, value: Any, lo: int | None, hi: int | None = None,
               way_out: str = "") -> int:
    """`value` as a plain int in lo..hi, None for no bound; numpy's integers will do."""
    try:
        number = None if isinstance(value, bool) else int(operator.index(value))
    except TypeError:
        number = None
    if number is None or (lo is not None and number < lo) or (hi is not None and number > hi):
        span = "" if lo is None else f" {lo}..{'' if hi is None else hi}"
        raise ValueError(f"{name} = {shown(value)} is out of range: expected an integer{span}"
                         + (f"; {way_out}" if way_out else ""))
    return number


@dataclass(frozen=True)
class Reals:
    """A set of numbers: how to say it, and who belongs to it. Nobody but a finite number does."""

    text: str
    holds: Callable[[float], bool]


FINITE = Reals("a finite number", lambda x: True)
NOT_NEGATIVE = Reals("a finite number >= 0", lambda x: x >= 0)
POSITIVE = Reals("a finite number > 0", lambda x: x > 0)


def as_real(name: str, value: Any, among: Reals = FINITE) -> float:
    """`value` as a plain float; integers, fractions and numpy's numbers will do."""
    if isinstance(value, float | np.floating):
        check_kept(name, value)
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        number = None
    if number is None or not math.isfinite(number) or not among.holds(number):
        raise ValueError(f"{name} = {shown(value)} is out of range: expected {among.text}")
    return number


def as_flag(name: str, value: Any) -> bool:
    """`value` as a plain bool; 0 and 1 are none."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} = {shown(value)}: expected True or False")
    return bool(value)


def as_member(name: str, value: Any, enum: type[E]) -> E:
    """`value` as a member of `enum`; of an IntEnum its number will do, another enum's will not."""
    if isinstance(value, enum):
        return value
    if issubclass(enum, IntEnum) and not isinstance(value, Enum | bool):
        with suppress(TypeError, ValueError):
            return enum(operator.index(value))
    names = ", ".join(f"{enum.__name__}.{each.name}" for each in enum)
    raise ValueError(f"{name} = {shown(value)} is unknown: expected one of {names}")


def as_instance(name: str, value: Any, kind: type[T]) -> T:
    """`value` if it is a `kind`."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(f"{name} = {shown(value)}: expected {article} {kind.__name__}")
    return value


def as_choice(name: str, value: Any, names: Iterable[str]) -> str:
    """`value` if it is one of the names; `name` says what they are names of."""
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"unknown {name} {shown(value)}: expected one of {', '.join(names)}")
    return value


def as_array(name: str, values: Any) -> np.ndarray:
    """`values` as an array of whatever dtype, if numpy can make one of them."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} = {shown(values)}: expected an array ({error})") from None


def as_integers(name: str, values: Any, lo: int, hi: int, way_out: str = "") -> np.ndarray:
    """`values` as an array of integers lo..hi, any shape; one without elements may be of floats.

    The dtype stays what it was. Where it holds no others than lo..hi, nothing is compared.
    """
    given, values = values, as_array(name, values)
    after = f"; {way_out}" if way_out else ""
    if values.dtype.kind not in "iu":
        if values.size == 0 and values.dtype.kind == "f":  # numpy's dtype of []
            return values.astype(np.int64)
        raise ValueError(f"{name} = {shown(given)} have dtype {values.dtype}: expected integers "
                         f"{lo}..{hi}{after}")
    limits = np.iinfo(values.dtype)
    if values.size and (limits.min < lo or limits.max > hi):
        least, greatest = int(values.min()), int(values.max())
        if least < lo or greatest > hi:
            bad = least if least < lo else greatest
            index = tuple(int(i) for i in np.argwhere(values == bad)[0])
            raise ValueError(f"{name} hold {bad} at index {index}, out of range: expected "
                             f"integers {lo}..{hi}{after}")
    return values


def integer(owner: Any, name: str, lo: int | None, hi: int | None = None,
            way_out: str = "") -> None:
    put(owner, name, as_integer(name, getattr(owner, name), lo, hi, way_out))


def real(owner: Any, name: str, among: Reals = FINITE) -> None:
    put(owner, name, as_real(name, getattr(owner, name), among))


def flag(owner: Any, *names: str) -> None:
    for name in names:
        put(owner, name, as_flag(name, getattr(owner, name)))


def member(owner: Any, name: str, enum: type[Enum]) -> None:
    put(owner, name, as_member(name, getattr(owner, name), enum))


def instance(owner: Any, name: str, kind: type, *, optional: bool = False) -> None:
    """Only checked: there is nothing to normalise. `optional` allows None."""
    value = getattr(owner, name)
    if value is None and optional:
        return
    as_instance(name, value, kind)


def put(owner: Any, name: str, value: Any) -> None:
    """Set a member, of a frozen dataclass too: for `__post_init__` alone."""
    object.__setattr__(owner, name, value)
