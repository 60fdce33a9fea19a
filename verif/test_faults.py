# SPDX-License-Identifier: Apache-2.0
"""The checkers checked: a fault seeded into the Verilog of each block must turn its bench red."""

import re

import pytest

from verif.benches import BENCHES, TINY
from verif.runner import Settings, simulate
from verif.verilate import verilog_file

FAULTS = (  # bench, what is wrong, pattern in the Verilog, replacement of its first occurrence
    ("multiplier", "a position of a digit is lost", r"& \{ at\[10\],[^}]*\}", "& 4'h0"),
    ("dot_product", "a carry-save adder's carry is an OR", r"= a & b;", "= a | b;"),
    ("mac_tile", "a block starts from the last one's sums", r"\.first\(\{ begins[^)]*\)",
     ".first(4'h0)"),
    ("rescale", "ties go up", r"\| whole\[0\]", "| 1'h1"),
    ("rescale", "random words come from another generator",
     r"(b = a \^ \{ )17'h00000, a\[31:17\]", r"\g<1>16'h0000, a[31:16]"),
    ("rescale", "stochastic integers go to the nearest", r"(assign carry = )kind_1\[5\]",
     r"\1 1'h0"),
    ("rescale", "levels always go down", r"(assign rises_0 = ).*;", r"\1 1'h0;"),
    ("rescale", "an odd exponent is not normalised", r"(assign normalise_1 = ).*;", r"\1 1'h0;"),
    ("statistics", "a carry-save adder's carry is an OR", r"= a & b;", "= a | b;"),
    ("statistics", "a job's sums start from the last one's", r"(sum_abs_cleared = ).*;",
     r"\1 1'h0;"),
    ("solver", "ties go up", r"\| multiplier\[0\]", "| 1'h1"),
    ("engine", "a block ends one beat late", r"(feed_step_last = ! )next_(k_left)", r"\1\2"),
    ("engine", "a tensor's exponent acts the wrong way", r"\) - (\$signed\(entry)", r") + \1"),
)


# what a bench says of a wrong design, not of a simulator that could not start
NOTICED = r"(?s)AssertionError: .*(expected|differs|came|hang|did not hold).*repeat with: make"


def test_every_bench_has_a_fault():
    assert {block for block, *_ in FAULTS} == set(BENCHES)


@pytest.mark.parametrize(("block", "what", "pattern", "replacement"), FAULTS,
                         ids=[f"{block}-{what}".replace(" ", "_") for block, what, *_ in FAULTS])
def test_every_bench_fails_on_a_fault(block, what, pattern, replacement, tmp_path):
    settings = Settings(block, BENCHES[block].top, TINY)
    text = verilog_file(TINY, settings.top).read_text()
    broken, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1, f"nothing to break in {settings.top}: {pattern}"
    path = tmp_path / f"{settings.top}.v"
    path.write_text(broken)
    with pytest.raises(AssertionError, match=NOTICED):
        simulate(settings, verilog=path)
        pytest.fail(f"bench {block} did not notice that {what}")
