# SPDX-License-Identifier: Apache-2.0
"""Bytes shifted by a number that is known late: a stage of multiplexers for each of its bits."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value


def bytes_from(m: Module, value: Value, first: Value, count: int) -> Value:
    """`count` bytes of `value` from byte number `first` on."""
    for i in reversed(range(len(first))):
        by = 8 << i
        kept = 8 * (count + (1 << i) - 1)  # what the stages that follow choose from
        stage = Signal(kept, name=f"from_{i}")
        m.d.comb += stage.eq(Mux(first[i], value[by:by + kept], value[:kept]))
        value = stage
    return value


def rotated(m: Module, value: Value, lanes: Value) -> Value:
    """Byte 0 of `value` goes to byte number `lanes`, and so on around."""
    for i in range(len(lanes)):
        by = 8 << i
        stage = Signal(len(value), name=f"rotated_{i}")
        m.d.comb += stage.eq(Mux(lanes[i], Cat(value[-by:], value[:-by]), value))
        value = stage
    return value
