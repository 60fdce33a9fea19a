# SPDX-License-Identifier: Apache-2.0
"""Buffers of the two operands: filled by runs along K or across it, read as beats of the tile."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.layouts import Target, run_bits, run_layout
from hdl.core.operand_memory import SLOTS, OperandMemory, OperandMemoryA, OperandMemoryB
from hdl.layouts import codes_layout
from hdl.library import place


class OperandBuffer(wiring.Component):
    """Keeps two slots of an operand: `span` vectors (rows of A, or columns, which are rows of B) of
    up to `Config.depth` codes.

    A word is a beat: `vectors` x lanes codes. lanes / vectors banks side by side hold as many
    vectors as a run has codes, so that a run goes in at once whichever way it lies: along K into
    one vector of a word, or turned, a code into every vector. A bank is a memory per vector:
    tools take their time over words of a thousand bits that are written in pieces.

    Members
    -------
    run : In(run_layout), written in the cycle in which `write` is 1, if it is of this operand.
    filled : Out(1), the slot's last run is written. complete : Out, how many blocks of the slot
        that is being filled are, if its vectors come one by one.
    slot, block, chunk : In, what is read: `vectors` vectors from `vectors * block` on, lanes steps
        of K from `lanes * chunk` on.
    advance : In(1), registers of the read go on.
    beat : Out(codes_layout), `LATENCY` cycles of `advance` later.
    """

    LATENCY = 2
    target: Target
    memory: type[OperandMemory]

    def __init__(self, config: Config, vectors: int):
        self.config, self.vectors, span = config, vectors, self.memory.span(config)
        self.groups = span // config.lanes
        self.blocks, self.chunks = span // vectors, config.depth // config.lanes
        super().__init__({
            "run": In(run_layout(config)),
            "write": In(1),
            "filled": Out(1),
            "complete": Out(range(max(self.blocks, 2))),
            "slot": In(1),
            "block": In(range(max(self.blocks, 2))),
            "chunk": In(range(max(self.chunks, 2))),
            "advance": In(1),
            "beat": Out(codes_layout(config, vectors)),
        })

    def elaborate(self, platform):
        m = Module()
        config, lanes, vectors = self.config, self.config.lanes, self.vectors
        banks, groups = lanes // vectors, self.groups
        tag = self.run.tag
        mine = Signal()
        m.d.comb += [mine.eq(self.write & (tag.target == self.target)),
                     self.filled.eq(mine & tag.end & self.run.last)]

        # Runs of a segment come one after the other: along K the chunk counts, turned the group.
        number = Signal(range(max(self.chunks, groups, 2)))
        turn = Signal.like(number)
        m.d.comb += turn.eq(Mux(self.run.first, 0, number))
        with m.If(mine):
            m.d.sync += number.eq(turn + 1)
        vector, bank, group = _split(tag.index, vectors, banks, groups)
        with m.If(self.filled):
            m.d.sync += self.complete.eq(0)
        with m.Elif(mine & self.run.last & ~tag.turned & (vector == vectors - 1)):
            m.d.sync += self.complete.eq(self.complete + 1)
        lane, chunk = _split(tag.index, lanes, self.chunks)
        at = Signal(range(max(SLOTS * groups * self.chunks, 2)))
        m.d.comb += at.eq(_address(tag.slot[0], Mux(tag.turned, turn, group),
                                   Mux(tag.turned, chunk, turn), groups, self.chunks))
        run = self.run.data

        # Cycle 0: the address that is read, and from which bank.
        within, read_group = _split(self.block, banks, groups)
        chosen = Signal(range(max(banks, 2)), reset_less=True)
        with m.If(self.advance):
            m.d.sync += chosen.eq(within)
        read_at = _address(self.slot, read_group, self.chunk, groups, self.chunks)
        one_lane = Cat(mine & (lane == k) for k in range(lanes))
        found = []
        for number_of_bank in range(banks):
            mine_here = mine & (bank == number_of_bank)
            words = []
            for v in range(vectors):
                store = place(m, platform, f"bank_{number_of_bank}_vector_{v}",
                                 self.memory(config))
                code = run.word_select(number_of_bank * vectors + v, 4)  # of a turned run
                m.d.comb += [
                    store.write_addr.eq(at),
                    store.write_en.eq(Mux(tag.turned, one_lane, (
                        mine_here & (vector == v)).replicate(lanes))),
                    store.write_data.eq(Mux(tag.turned, code.replicate(lanes), run)),
                    store.read_addr.eq(read_at),
                    store.read_en.eq(self.advance),
                ]
                words.append(store.read_data)
            found.append(Cat(words))
        # Cycle 1: the banks' words.
        beat = Signal(4 * lanes * vectors, reset_less=True)
        with m.If(self.advance):
            m.d.sync += beat.eq(Array(found)[chosen] if banks > 1 else found[0])
        # Cycle 2: the beat.
        m.d.comb += self.beat.as_value().eq(beat)
        assert len(run) == run_bits(config)
        return m


def _split(index, *sizes: int):
    """An index in parts, the lowest first, of sizes that are powers of two."""
    parts, low = [], 0
    for size in sizes:
        bits = size.bit_length() - 1
        parts.append(index[low:low + bits] if bits else 0)
        low += bits
    return parts


def _address(slot, group, chunk, groups: int, chunks: int):
    """Of a word: the slot on top, then the group, then the chunk."""
    def bits(value, size):
        width = size.bit_length() - 1
        return [] if not width else [value[:width] if not isinstance(value, int) else value]

    return Cat(*bits(chunk, chunks), *bits(group, groups), slot)


class BufferA(OperandBuffer):
    """Of operand a: a slot has the rows of one group."""

    target, memory = Target.A, OperandMemoryA

    def __init__(self, config: Config):
        super().__init__(config, config.rows)


class BufferB(OperandBuffer):
    """Of operand b: a slot has the columns of one strip."""

    target, memory = Target.B, OperandMemoryB

    def __init__(self, config: Config):
        super().__init__(config, config.cols)
