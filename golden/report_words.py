# SPDX-License-Identifier: Apache-2.0
"""The report of an adapting job as a core writes it to memory: fields in the order of their bits,
little endian, in whole words of 32 bits; bits beyond the last field are 0."""

from operator import attrgetter
from typing import NamedTuple

from golden import checks
from golden.dyadic import Dyadic
from golden.formats import ZERO_POINT_WIDTH
from golden.report import Report
from golden.solver import EXPONENT_WIDTH
from golden.statistics import COUNT_WIDTH, LARGEST_WIDTH, SUM_ABS_WIDTH, SUM_SQUARES_WIDTH


class ReportField(NamedTuple):
    """A field of the report, `width` bits from bit `offset` on; `member` is that of `Report`."""

    name: str
    member: str
    offset: int
    width: int
    signed: bool


def _fields() -> tuple[ReportField, ...]:
    statistics = {"count": COUNT_WIDTH, "low": -32, "high": -32, "largest": LARGEST_WIDTH,
                  "sum_abs": SUM_ABS_WIDTH, "sum_squares": SUM_SQUARES_WIDTH,
                  "saturated": COUNT_WIDTH, "underflowed": COUNT_WIDTH}
    scale = {"scale.multiplier": Dyadic.WIDTH, "scale.shift": Dyadic.SHIFT_WIDTH,
             "zero_point": -ZERO_POINT_WIDTH}
    entry = {**scale, "exponent": -EXPONENT_WIDTH, "valid": 1, "frozen": 1}
    flags = ("unset", "clipped", "degenerate", "unreachable", "saturated", "limited")
    widths = [  # negative: signed
        *((name, f"statistics.{name}", width) for name, width in statistics.items()),
        *((f"applied_{name.split('.')[-1]}", name, width) for name, width in scale.items()),
        *((f"entry_{name.split('.')[-1]}", f"entry.{name}", width)
          for name, width in entry.items()),
        *((f"is_{name}", name, 1) for name in flags),
    ]
    found, offset = [], 0
    for name, member, width in widths:
        found.append(ReportField(name, member, offset, abs(width), width < 0))
        offset += abs(width)
    return tuple(found)


REPORT_FIELDS = _fields()
REPORT_WIDTH = REPORT_FIELDS[-1].offset + REPORT_FIELDS[-1].width
REPORT_WORDS = -(-REPORT_WIDTH // 32)


def pack_report(report: Report) -> bytes:
    """The bytes that a core writes, 4 * REPORT_WORDS of them."""
    checks.as_instance("report", report, Report)
    bits = 0
    for each in REPORT_FIELDS:
        value = int(attrgetter(each.member)(report))
        bits |= (value & ((1 << each.width) - 1)) << each.offset
    return bits.to_bytes(4 * REPORT_WORDS, "little")
