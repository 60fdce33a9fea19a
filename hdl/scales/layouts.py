# SPDX-License-Identifier: Apache-2.0
"""Every payload between the blocks that measure tensors and solve, keep and apply their scales."""

from amaranth.hdl import signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.adaptive import TENSOR_WIDTH, Use
from golden.config import Config
from golden.solver import ALPHA_WIDTH, EXPONENT_WIDTH, SolveMode
from golden.statistics import COUNT_WIDTH, LARGEST_WIDTH, SUM_ABS_WIDTH, SUM_SQUARES_WIDTH
from hdl.layouts import DYADIC_MEMBERS, SCALE_LAYOUT, WORD, measured_layout, outcome_layout

STATISTICS_LAYOUT = data.StructLayout({  # the members of golden.statistics.Statistics
    "count": COUNT_WIDTH,
    "low": signed(WORD),
    "high": signed(WORD),
    "largest": LARGEST_WIDTH,
    "sum_abs": SUM_ABS_WIDTH,
    "sum_squares": SUM_SQUARES_WIDTH,
    "saturated": COUNT_WIDTH,
    "underflowed": COUNT_WIDTH,
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


REQUEST_LAYOUT = data.StructLayout({
    "mode": SolveMode,
    "statistics": STATISTICS_LAYOUT,
    "alpha": ALPHA_WIDTH,
    "exponent": signed(EXPONENT_WIDTH),
    **DYADIC_MEMBERS,  # GRADSCALE's scale
})

SOLVER_FLAGS_LAYOUT = data.StructLayout({  # as golden.solver.Solution has them
    "degenerate": 1,
    "unreachable": 1,
    "saturated": 1,
    "limited": 1,
})

SOLUTION_LAYOUT = data.StructLayout({
    "scale": SCALE_LAYOUT,
    "exponent": signed(EXPONENT_WIDTH),
    "flags": SOLVER_FLAGS_LAYOUT,
})

ENTRY_LAYOUT = data.StructLayout({  # what the table knows of one tensor
    "scale": SCALE_LAYOUT,
    "exponent": signed(EXPONENT_WIDTH),
    "valid": 1,
    "frozen": 1,
})

ADAPT_LAYOUT = data.StructLayout({  # how a job uses and updates the table
    "enable": 1,
    "tensor": TENSOR_WIDTH,
    "use": Use,
    "solve": 1,
    "mode": SolveMode,
    "alpha": ALPHA_WIDTH,
    "exponent": signed(EXPONENT_WIDTH),  # PACT's, or the preset's
    "preset": 1,  # write params, exponent and the two bits below into the entry
    "valid": 1,
    "frozen": 1,
    "discard": 1,  # give no results
})

APPLIED_LAYOUT = SCALE_LAYOUT  # the scale of the job that is about to start

REPORT_LAYOUT = data.StructLayout({
    "statistics": STATISTICS_LAYOUT,
    "applied": APPLIED_LAYOUT,
    "entry": ENTRY_LAYOUT,  # after the job
    "unset": 1,
    "clipped": 1,
    "flags": SOLVER_FLAGS_LAYOUT,
})
