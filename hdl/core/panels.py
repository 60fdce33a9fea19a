# SPDX-License-Identifier: Apache-2.0
"""The panels of a result in the engine's order: a strip's rows of blocks, then the next strip's."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import sizes_layout


class Panels(wiring.Component):
    """Walks over pieces of `height` rows of the strips of a result.

    Members
    -------
    sizes : In(sizes_layout), of the result. start : In(1), its first panel follows.
    step : In(1), the next panel follows.
    rows, cols : Out, of the panel. rows_after, cols_after : Out, of the one that follows.
    cols_beyond : Out, of the strip that follows, if any does.
    first, last : Out(1), in its strip. last_strip : Out(1).
    """

    def __init__(self, config: Config, height: int):
        self.config, self.height = config, height
        super().__init__({
            "sizes": In(sizes_layout(config)),
            "start": In(1),
            "step": In(1),
            "rows": Out(range(height + 1)),
            "cols": Out(range(config.strip + 1)),
            "rows_after": Out(range(height + 1)),
            "cols_after": Out(range(config.strip + 1)),
            "cols_beyond": Out(range(config.strip + 1)),
            "first": Out(1),
            "last": Out(1),
            "last_strip": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        below = Signal(self.config.dim_width, reset_less=True)  # rows from this panel on
        right = Signal(self.config.dim_width, reset_less=True)  # columns from this strip on
        below_after, right_after, beyond = (Signal.like(n, name=name) for n, name in (
            (below, "below_after"), (right, "right_after"), (right, "beyond")))
        first = Signal(reset_less=True)
        height, width = self.height, self.config.strip
        m.d.comb += [
            self.last.eq(below <= height),
            self.last_strip.eq(right <= width),
            self.rows.eq(Mux(self.last, below, height)),
            self.cols.eq(Mux(self.last_strip, right, width)),
            self.first.eq(first),
            below_after.eq(Mux(self.last, self.sizes.m, below - height)),
            beyond.eq(right - width),
            right_after.eq(Mux(self.last, beyond, right)),
            self.rows_after.eq(Mux(below_after <= height, below_after, height)),
            self.cols_after.eq(Mux(right_after <= width, right_after, width)),
            self.cols_beyond.eq(Mux(beyond <= width, beyond, width)),
        ]
        with m.If(self.start):
            m.d.sync += [below.eq(self.sizes.m), right.eq(self.sizes.n), first.eq(1)]
        with m.Elif(self.step):
            m.d.sync += [below.eq(below_after), right.eq(right_after), first.eq(self.last)]
        return m


class ConfigPanels(Panels):
    """Panels of as many rows as a block has."""

    def __init__(self, config: Config):
        super().__init__(config, config.rows)


class GroupPanels(Panels):
    """Groups of rows, as many as operand a's buffer takes at once."""

    def __init__(self, config: Config):
        super().__init__(config, self.rows_of(config))

    @staticmethod
    def rows_of(config: Config) -> int:
        return config.lanes


def blocks_of(cols, config: Config):
    """How many blocks so many columns make."""
    bits = config.cols.bit_length() - 1
    return (cols + (config.cols - 1)) >> bits
