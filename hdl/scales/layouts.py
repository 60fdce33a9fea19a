# SPDX-License-Identifier: Apache-2.0
"""Every payload between the blocks that measure tensors and solve, keep and apply their scales."""

from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.adaptive import TENSOR_WIDTH, Use
from golden.config import Config
from golden.solver import ALPHA_WIDTH, EXPONENT_WIDTH, SolveMode
from golden.statistics import COUNT_WIDTH, LARGEST_WIDTH, SUM_ABS_WIDTH, SUM_SQUARES_WIDTH
from hdl.layouts import (
    DYADIC_MEMBERS,
    SCALE_LAYOUT,
    WORD,
    Field,
    Payload,
    measured_layout,
    outcome_layout,
)

STATISTICS_LAYOUT = Payload({  # the members of golden.statistics.Statistics
    "count": Field(COUNT_WIDTH, "elements measured"),
    "low": Field(signed(WORD), "the smallest input, after bias and mask"),
    "high": Field(signed(WORD), "the largest input"),
    "largest": Field(LARGEST_WIDTH, "the largest magnitude of an input"),
    "sum_abs": Field(SUM_ABS_WIDTH, "sum of the magnitudes"),
    "sum_squares": Field(SUM_SQUARES_WIDTH, "sum of the squares"),
    "saturated": Field(COUNT_WIDTH, "how many values were beyond the format's range"),
    "underflowed": Field(COUNT_WIDTH, "how many values other than 0 became 0"),
})


def statistics_signature(config: Config) -> wiring.Signature:
    """The ports of a statistics unit, described in `hdl.scales.statistics.StatisticsUnit`."""
    return wiring.Signature({
        "row": In(measured_layout(config)),
        "outcome": In(outcome_layout(config)),
        "valid": In(1),
        "first": In(1),
        "last": In(1),
        "clear": In(1),
        "result": Out(STATISTICS_LAYOUT),
        "done": Out(1),
    })


ALPHA = Field(ALPHA_WIDTH, "PACT's clipping value: alpha * 2**-exponent, in units of the input's "
              "lowest bit, becomes code 15", "mode PACT")
EXPONENT = "GradScale's e: a job with use EXPONENT multiplies its scale by 2**e"
MODE = Field(SolveMode, "which rule finds the scale from the statistics. RANGE: 15 / (high - low), "
             "and the zero point that gives low the code -8; SYMMETRIC: 7 / largest; LUQ: 64 / "
             "largest; PACT: 15 / (alpha * 2**-exponent); SAWB: 7 / (12.035 sqrt(sum_squares / "
             "count) - 12.03 sum_abs / count), or 7 / largest where that divisor is below sum_abs "
             "/ count; SAWB_UNSIGNED: twice SAWB's, for UINT4; GRADSCALE: leaves the scale and "
             "moves the entry's exponent: with m = largest * applied scale one up where 0 < m <= "
             "32, one down where m > 64",
             "solve = 1")

REQUEST_LAYOUT = Payload({
    "mode": MODE._replace(read_by=""),
    "statistics": Field(STATISTICS_LAYOUT, "of the tensor"),
    "alpha": ALPHA,
    "exponent": Field(signed(EXPONENT_WIDTH), "PACT: see alpha; GRADSCALE: the present e, -40..40",
                      "modes PACT, GRADSCALE"),
    **{name: field._replace(doc="the present scale: " + field.doc, read_by="mode GRADSCALE")
       for name, field in DYADIC_MEMBERS.items()},
})

SOLVER_FLAGS_LAYOUT = Payload({  # as golden.solver.Solution has them
    "degenerate": Field(1, "the statistics allow no scale (nothing measured, all alike, ...)"),
    "unreachable": Field(1, "the scale lies outside 2**-48..65535: the nearer end"),
    "saturated": Field(1, "the zero point was clamped to its range"),
    "limited": Field(1, "the exponent would have left -40..40: it stays at the limit"),
})

SOLUTION_LAYOUT = Payload({
    "scale": Field(SCALE_LAYOUT, "what was found"),
    "exponent": Field(signed(EXPONENT_WIDTH), EXPONENT + "; GRADSCALE: the next; else as asked"),
    "flags": Field(SOLVER_FLAGS_LAYOUT, "what was exceptional"),
})

ENTRY_LAYOUT = Payload({  # what the table knows of one tensor
    "scale": Field(SCALE_LAYOUT, "of the tensor's values"),
    "exponent": Field(signed(EXPONENT_WIDTH), EXPONENT),
    "valid": Field(1, "1: the entry's scale was solved, or preset as valid. Reset clears it"),
    "frozen": Field(1, "1: no solve changes the entry"),
})

ADAPT_LAYOUT = Payload({  # how a job uses and updates the table
    "enable": Field(1, "1: the job names a tensor and gives a report; 0: nothing else of adapt is "
                       "read"),
    "tensor": Field(TENSOR_WIDTH, "the entry of the table, from 0"),
    "use": Field(Use, "NOTHING: params' scale and zero point apply; ENTRY: the entry's, if it is "
                      "valid, else params'; EXPONENT: params', times 2**exponent of the entry"),
    "solve": Field(1, "1: after the job its statistics give the entry's next scale"),
    "mode": MODE,
    "alpha": ALPHA,
    "exponent": Field(signed(EXPONENT_WIDTH), "PACT: see alpha, -64..63; preset: -40..40",
                      "mode PACT; preset = 1"),
    "preset": Field(1, "1: write params' scale and zero point, exponent, valid and frozen into the "
                       "entry", "TABLE"),
    "valid": Field(1, "what preset writes", "preset = 1"),
    "frozen": Field(1, "what preset writes", "preset = 1"),
    "discard": Field(1, "1: the job measures and gives no results", "QUANTISE"),
})

APPLIED_LAYOUT = SCALE_LAYOUT  # the scale of the job that is about to start

REPORT_LAYOUT = Payload({
    "statistics": Field(STATISTICS_LAYOUT, "of the job's inputs; TABLE: 0"),
    "applied": Field(APPLIED_LAYOUT, "the scale that the job used; TABLE: that of params"),
    "entry": Field(ENTRY_LAYOUT, "of the tensor, after the job"),
    "unset": Field(1, "1: use was ENTRY and the entry was not valid"),
    "clipped": Field(1, "1: use was EXPONENT and the shift left 0..63: the nearest end was taken"),
    "flags": Field(SOLVER_FLAGS_LAYOUT, "of the solve; 0 without one"),
})
