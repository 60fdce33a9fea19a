# SPDX-License-Identifier: Apache-2.0
"""The random words of stochastic rounding, a word for each lane of a row.

`RandomWords` mixes a row per cycle in a pipeline; `SerialRandomWords`, which stands in for it with
`Config.serial`, mixes one row after the other, a round per cycle.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.random_words import (
    BLOCK_LANES,
    ROTATIONS,
    ROUNDS,
    WIDTH,
    WORD_BITS,
    round_constant,
)
from hdl.library import place

CYCLES = 4  # in which a row is mixed


def row_number_width(config: Config) -> int:
    """Bits of a row's number within its job: no job has more rows, whatever its blocks."""
    return min(WIDTH, 2 * config.dim_width)


def groups(config: Config) -> range:
    """The blocks of a row: one for every `BLOCK_LANES` lanes."""
    return range(-(-config.cols // BLOCK_LANES))


def mixed(x, y, constant):
    """The half x of the block after one round; the half y is what x was."""
    first, second, beside = (x.rotate_left(places) for places in ROTATIONS)
    return y ^ (first & second) ^ beside ^ constant


def rounds_in(cycle: int) -> range:
    """The rounds of one of the `CYCLES`; the earlier have one more if they are not alike."""
    return range(-(-ROUNDS * cycle // CYCLES), -(-ROUNDS * (cycle + 1) // CYCLES))


def lane_word(x, y, lane: int):
    """A lane's word of its block."""
    return (x, y)[lane % BLOCK_LANES][WIDTH - WORD_BITS:]


def lanes_of(group: int, config: Config) -> range:
    """The lanes that share a block."""
    return range(BLOCK_LANES * group, min(BLOCK_LANES * (group + 1), config.cols))


class RowCounter(wiring.Component):
    """Numbers the rows of a job.

    Members
    -------
    take : In(1), a row comes. first : In(1), it is the first of its job. number : Out, its number
        in the job, from 0, in the same cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"take": In(1), "first": In(1), "number": Out(row_number_width(config))})

    def elaborate(self, platform):
        m = Module()
        following = Signal.like(self.number, reset_less=True)
        m.d.comb += self.number.eq(Mux(self.first, 0, following))
        with m.If(self.take):
            m.d.sync += following.eq(self.number + 1)
        return m


def words_members(config: Config) -> dict:
    """The ports of both makers of words."""
    return {
        "seed": In(WIDTH),
        "first": In(1),
        "stochastic": In(1),
        "take": In(1),
        "enable": In(1),
        "words": Out(data.ArrayLayout(WORD_BITS, config.cols)),
    }


class RandomWords(wiring.Component):
    """The words of a row per cycle.

    Members
    -------
    seed, first, stochastic : In, of the row that comes in cycle 0: its job's seed, whether it is
        the job's first, and whether it is to be rounded stochastically; else nothing is mixed.
    take : In(1), a row comes. enable : In(1), all stages hold while 0.
    words : Out, of the row that came, in cycle `latency`.

    Latency: `latency` cycles. Throughput: one row per cycle. Arithmetic:
    `golden.random_words.words`.
    """

    latency = CYCLES + 1

    def __init__(self, config: Config):
        self.config = config
        super().__init__(words_members(config))

    def elaborate(self, platform):
        m = Module()
        # Cycle 0: the row's number.
        counter = place(m, platform, "row_counter", RowCounter(self.config))
        m.d.comb += [counter.take.eq(self.take), counter.first.eq(self.first)]
        x_0 = Signal(WIDTH, reset_less=True)
        y_0 = Signal(WIDTH, reset_less=True)
        wanted = Signal(CYCLES)  # wanted[n]: the row in cycle n + 1 is to be mixed
        with m.If(self.enable):
            m.d.sync += wanted.eq(Cat(self.take & self.stochastic, wanted))
        with m.If(self.enable & self.stochastic):
            m.d.sync += [x_0.eq(counter.number), y_0.eq(self.seed)]
        for group in groups(self.config):
            # Cycles 1 to CYCLES: rounds.
            x, y = x_0, y_0
            for cycle in range(CYCLES):
                for number in rounds_in(cycle):
                    after = Signal(WIDTH, name=f"round_{group}_{number}")
                    m.d.comb += after.eq(mixed(x, y, round_constant(number, group)))
                    x, y = after, x
                x_held = Signal(WIDTH, name=f"x_{group}_{cycle + 1}", reset_less=True)
                y_held = Signal(WIDTH, name=f"y_{group}_{cycle + 1}", reset_less=True)
                with m.If(self.enable & wanted[cycle]):
                    m.d.sync += [x_held.eq(x), y_held.eq(y)]
                x, y = x_held, y_held
            for lane in lanes_of(group, self.config):
                m.d.comb += self.words[lane].eq(lane_word(x, y, lane))
        return m


class SerialRandomWords(wiring.Component):
    """The words of one row after the other.

    Members: as `RandomWords`; `enable` is not read. words : Out, `latency` cycles after the row
    came, until the next one comes.

    Throughput: a row in `latency` cycles. Arithmetic: `golden.random_words.words`.
    """

    latency = ROUNDS + 1  # load, then a round per cycle

    def __init__(self, config: Config):
        self.config = config
        super().__init__(words_members(config))

    def elaborate(self, platform):
        m = Module()
        counter = place(m, platform, "row_counter", RowCounter(self.config))
        m.d.comb += [counter.take.eq(self.take), counter.first.eq(self.first)]
        round_number = Signal(range(ROUNDS + 1), init=ROUNDS)  # of the next one
        with m.If(self.take):
            m.d.sync += round_number.eq(0)
        with m.Elif(round_number != ROUNDS):
            m.d.sync += round_number.eq(round_number + 1)
        for group in groups(self.config):
            x = Signal(WIDTH, name=f"x_{group}", reset_less=True)
            y = Signal(WIDTH, name=f"y_{group}", reset_less=True)
            with m.If(self.take):
                m.d.sync += [x.eq(counter.number), y.eq(self.seed)]
            with m.Elif(round_number != ROUNDS):
                # a round's constant is the first one's, but for the round's number
                constant = round_constant(0, group) ^ round_number
                m.d.sync += [x.eq(mixed(x, y, constant)), y.eq(x)]
            for lane in lanes_of(group, self.config):
                m.d.comb += self.words[lane].eq(lane_word(x, y, lane))
        return m


def random_words(config: Config) -> RandomWords | SerialRandomWords:
    """What makes the words in this configuration."""
    return SerialRandomWords(config) if config.serial else RandomWords(config)
