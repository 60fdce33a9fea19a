# SPDX-License-Identifier: Apache-2.0
"""docs/formats.md says what the golden model does: its tables are read and compared."""

import re
from fractions import Fraction

import numpy as np
import pytest

from golden import logfp4
from golden.formats import A_FORMATS, B_FORMATS, FORMATS, FP4_R4, IntFormat, Phase, pack, unpack
from tools.cache import ROOT

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def section(title):
    """The text below a heading, up to the next one of any level."""
    return re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)[1]


def table(text):
    """Rows of the first table: first cell -> the other cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells if not set(row[0]) <= {"-"}}


def fractions(cells):
    return [float(Fraction(cell)) for cell in cells if cell]


def test_summary():
    rows = table(PAGE[: PAGE.index("\n## ")])
    assert list(rows)[1:] == list(FORMATS)
    for name, fmt in FORMATS.items():
        lo, hi, zero_point, a, b, encoding = rows[name]
        limits = (fmt.lo, fmt.hi) if isinstance(fmt, IntFormat) else (0, 15)
        assert (int(lo), int(hi)) == limits and int(encoding) == fmt.encoding
        assert (zero_point != "none") == (isinstance(fmt, IntFormat) and name != "INT32")
        assert (a == "yes", b == "yes") == (fmt in A_FORMATS, fmt in B_FORMATS)


@pytest.mark.parametrize("name", ["INT4", "INT4_SYM", "UINT4"])
def test_integer_cards(name):
    rows, fmt = table(section(name)), FORMATS[name]
    nibbles = np.array([int(cell, 16) for cell in rows["nibble"]], dtype=np.uint8)
    codes = np.array([int(cell) for cell in rows["code"]])
    assert sorted(codes) == list(range(fmt.lo, fmt.hi + 1))
    np.testing.assert_array_equal(unpack(nibbles[:, None], 1, fmt)[:, 0], codes)
    np.testing.assert_array_equal(pack(codes[:, None])[:, 0], nibbles)


@pytest.mark.parametrize(("name", "phases"), [("FP4_R4", Phase), ("FP4_R2", [Phase.EVEN])])
def test_log_cards(name, phases):
    rows, fmt = table(section(name)), FORMATS[name]
    assert [int(cell) for cell in rows["c"]] == list(range(8))
    assert [int(cell) for cell in rows["MAC"]] == fmt.mac_values[:8].tolist()
    for phase in phases:
        label = phase.name.lower()
        assert fractions(rows[label]) == logfp4.levels(fmt, phase).tolist()
        boundaries = fractions(rows[f"{label} goes up at"])
        assert boundaries == logfp4.boundaries(fmt, phase).tolist()
        assert logfp4.encode(boundaries, fmt, phase).tolist() == list(range(1, 8))
    assert len(rows) == 2 + 2 * len(phases)


def test_joint_card():
    rows = table(section("Joint code"))
    q = np.array([int(cell) for cell in rows["q"]])
    assert q.tolist() == list(range(logfp4.JOINT_STEPS + 1))
    for phase in Phase:
        expected = [int(cell) for cell in rows[f"c {phase.name.lower()}"]]
        assert logfp4.joint_decode(q, phase).tolist() == expected
    lowest = logfp4.boundaries(FP4_R4, Phase.ODD)[0]
    assert logfp4.joint_encode(lowest * 2.0 ** np.arange(14)).tolist() == q[1:].tolist()


def test_every_test_named_on_the_page_exists():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    defined = set()
    for path in (ROOT / "verif").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M))
    assert len(named) > 30 and named <= defined, f"no such tests: {sorted(named - defined)}"
