# SPDX-License-Identifier: Apache-2.0
"""How many steps the scale solver takes for what."""

from golden.solver import SolveMode
from hdl.scales.solver_adder import LONG

FAR = 8  # places that a step moves where nothing is added; even, as a root's exponent is
STEPS = LONG  # of one multiplication whose product is to end in the long register

# Steps: load; normalise the divisor in 3 far shifts, 7 others (b = 31 places) and a load; s + b + 8
# quotient bits; round; limit. The divisor 1 is the slowest: s + b = 44 (7 / 1), 40 (64 / 1) or 43
# (15 / 1). A step is two cycles: the adder adds, then the registers move. A state takes a cycle
# more, in which what it asks of the adder is decoded.
LATENCIES = {mode: 2 * steps + states for mode, (steps, states) in {
    # And high - low; b = 23 in 2 far shifts and 7 others, s + b = 44 since the mantissa is larger;
    # a product of 16 steps and s = 21 places, 2 of them far; the zero point.
    SolveMode.RANGE: (1 + 1 + 10 + (44 + 8) + 2 + (16 + 7) + 1, 8),
    SolveMode.SYMMETRIC: (1 + 11 + (44 + 8) + 2, 5),
    SolveMode.LUQ: (1 + 11 + (40 + 8) + 2, 5),
    SolveMode.PACT: (1 + 11 + (43 + 8) + 2, 5),
    # The most of each part, which no request has of all: S2 normalised, by n, n * S2 normalised;
    # the root; S1 aligned; r - S1; by SAWB_SLOPE; the divisor normalised; by S1, aligned to it; by
    # 175, or by 350; the quotient.
    **{mode: (1 + 15 + 36 + 15 + STEPS + 47 + 1 + 22 + 11 + 64 + 47 + by_factor + 62 + 2, 15)
       for mode, by_factor in ((SolveMode.SAWB, 15), (SolveMode.SAWB_UNSIGNED, 22))},
    # load; limit; a product of 16 steps and 47 places, 5 of them far; decision
    SolveMode.GRADSCALE: (1 + 1 + (16 + 12) + 1, 4),
}.items()}
