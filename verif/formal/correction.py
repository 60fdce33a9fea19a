# SPDX-License-Identifier: Apache-2.0
"""What operand a's zero point takes from a column: the sums of its codes are exact."""

import numpy as np
from amaranth.hdl import Array, Const, Mux, Signal, signed

from golden.config import Config
from golden.formats import INT4
from golden.gemm import mac_values
from hdl.core.column_sum import ColumnSum, value_width
from verif.formal.harness import Harness, implies

LANES = Config(1, 1, 4)


def column_sum() -> Harness:
    """The sum of the codes of those lanes that exist, as `mac_values` has them."""
    config = LANES
    h = Harness(ColumnSum(config))
    dut, width = h.dut, value_width(config)
    total = Const(0, 1)
    for lane in range(config.lanes):
        code = dut.codes.word_select(lane, 4)
        value = Signal(signed(width), name=f"value_{lane}")
        h.m.d.comb += value.eq(_values(INT4, width)[code])
        for fmt, chosen in zip(config.log_formats, dut.formats, strict=True):
            with h.m.If(chosen):
                h.m.d.comb += value.eq(_values(fmt, width)[code])
        total = total + Mux(dut.lanes[lane], value, 0)
    expected = Signal(signed(width + config.lanes), name="expected")
    h.m.d.comb += expected.eq(total)
    h.assume(~dut.formats.all())  # a beat has one format
    there = h.past(h.past(Const(1, 1)))
    h.prove(implies(there, dut.total == h.past(h.past(expected))))
    return h


def _values(fmt, width: int) -> Array:
    """By the four bits of a code."""
    codes = sorted(range(fmt.lo, fmt.hi + 1), key=lambda code: code % 16)
    return Array(Const(int(value), signed(width)) for value in mac_values(np.array(codes), fmt))
