# SPDX-License-Identifier: Apache-2.0
"""xorshift32: the random words of one lane."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.xorshift import LANE_STEP, TRIPLE, WIDTH, WORD_BITS


class Xorshift(wiring.Component):
    """One generator (Marsaglia 2003), full period 2**32 - 1.

    Members
    -------
    seed : In(32), of the job. constant : In(32), of the lane. first : In(1), start from the seed.
    enable : In(1), go on to the next state. word : Out, of the state that it went to last.
    thrice : Out, 2**12 + 3 * word.

    Latency: 1. Arithmetic: `golden.xorshift.words`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "seed": In(WIDTH),
            "constant": In(WIDTH),
            "first": In(1),
            "enable": In(1),
            "word": Out(WORD_BITS),
            "thrice": Out(WORD_BITS + 2),
        })

    def elaborate(self, platform):
        m = Module()
        state = Signal(WIDTH, reset_less=True)
        start, mixed = Signal(WIDTH), Signal(WIDTH)
        left, right, last = TRIPLE
        m.d.comb += [
            mixed.eq(self.seed ^ self.constant),
            start.eq(Mux(self.first, Mux(mixed == 0, LANE_STEP, mixed), state)),
        ]
        stages = [start]
        for name, shifted in (("a", lambda x: x << left), ("b", lambda x: x >> right),
                              ("c", lambda x: x << last)):
            after = Signal(WIDTH, name=name)
            m.d.comb += after.eq(stages[-1] ^ shifted(stages[-1])[:WIDTH])
            stages.append(after)
        word = stages[-1][WIDTH - WORD_BITS:]
        thrice = Signal(WORD_BITS + 2, reset_less=True)
        m.d.comb += [self.word.eq(state[WIDTH - WORD_BITS:]), self.thrice.eq(thrice)]
        with m.If(self.enable):
            m.d.sync += [state.eq(stages[-1]), thrice.eq(word + (word << 1) + (1 << WORD_BITS))]
        return m
