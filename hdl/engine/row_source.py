# SPDX-License-Identifier: Apache-2.0
"""Where the words of one column come from: the stream x, or the tile."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.layouts import WORD

SOURCE_LAYOUT = data.StructLayout({
    "quantise": 1,  # the words are those of x
    "gemm": 1,  # the words are those of the tile
    "biased": 1,  # they have a bias
})


class RowSource(wiring.Component):
    """Chooses the rescaling unit's words of one column.

    Members
    -------
    load : In(1), no job runs, or its last row moves: `job` is taken over.
    job : In(SOURCE_LAYOUT), of the job that follows.
    x, tile, bias : In(signed 32), the words of this column.
    value, addend : Out(signed 32), of the job that was taken over.

    Latency: 0 cycles from words to words, 1 from `load`.

    A module of its own: what it knows of the job drives 32 bits here, where the registers of the
    whole engine would be slow to drive those of every column.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "load": In(1),
            "job": In(SOURCE_LAYOUT),
            "x": In(signed(WORD)),
            "tile": In(signed(WORD)),
            "bias": In(signed(WORD)),
            "value": Out(signed(WORD)),
            "addend": Out(signed(WORD)),
        })

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: the job.
        job = Signal(SOURCE_LAYOUT, name="held", reset_less=True)
        with m.If(self.load):
            m.d.sync += job.eq(self.job)

        # Cycle 1: its words.
        m.d.comb += [
            self.value.eq((self.x & job.quantise.replicate(WORD))
                          | (self.tile & job.gemm.replicate(WORD))),
            self.addend.eq(self.bias & job.biased.replicate(WORD)),
        ]
        return m
