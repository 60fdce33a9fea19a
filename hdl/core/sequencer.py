# SPDX-License-Identifier: Apache-2.0
"""Makes jobs of the engine of descriptors: one of every batch element, and of every chunk of K that
the buffers hold."""

from types import SimpleNamespace

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.descriptor import FIELDS, USED, WORD, WORDS, BitField, CoreOp, Fault
from golden.dyadic import IDENTITY
from golden.formats import FP4_R4, INT32
from hdl.core.layouts import (
    NUMBER,
    address_width,
    feed_layout,
    line_words,
    load_layout,
    moved,
    store_layout,
    stream_layout,
)
from hdl.core.refused import fault
from hdl.engine.job import Op, job_layout

MOVED = ("a", "b", "c", "c_odd", "x", "bias", "mask_in", "mask_out", "report")  # by batch strides


def is_address(field: BitField) -> bool:
    return field.name.endswith("_address")


class State(enum.Enum, shape=4):
    IDLE = 0
    READ = 1  # line by line
    CHECK = 2
    ORDER = 3  # until what came before is done
    BEGIN = 4  # an element of the batch
    JOB = 5  # until all have taken the engine's job
    AFTER = 6
    MOVE = 7  # every address by its batch stride
    SHARED = 8  # until the element before is done with scratch
    FAULT = 9


class Sequencer(wiring.Component):
    """Turns descriptors into jobs of the engine and of those that load, feed and store for it.

    Members
    -------
    there, shown, line, data, taken : as of `Fetch`. pending : In, descriptors taken and not done.
    load, feed, streams, store, engine : Out(streams), a job each.
    fenced : Out(1), a FENCE is done. fault : Out(4 bits and more), why the descriptor is refused;
        0: none. It stays so until reset. number : Out, of that descriptor.
    settled : Out(1), the job that is loaded may read what the one before writes.
    hold : In(1), take no further descriptor. idle : Out(1), none is under way: others have taken
        all its jobs.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "there": In(1),
            "shown": In(NUMBER),
            "line": Out(range(WORDS // line_words(config))),
            "data": In(WORD * line_words(config)),
            "taken": Out(1),
            "pending": In(range(8)),
            "hold": In(1),
            "settled": Out(1),
            "idle": Out(1),
            "load": Out(stream.Signature(load_layout(config))),
            "feed": Out(stream.Signature(feed_layout(config))),
            "streams": Out(stream.Signature(stream_layout(config))),
            "store": Out(stream.Signature(store_layout(config))),
            "engine": Out(stream.Signature(job_layout(config))),
            "fenced": Out(1),
            "fault": Out(Fault),
            "number": Out(NUMBER),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        state = Signal(State)
        d = SimpleNamespace(**{
            f.name: Signal(address_width(config) if is_address(f) else signed(f.width) if f.signed
                           else f.width, name=f.name, reset_less=True)
            for f in FIELDS})
        per_line = line_words(config)
        lines, bits = WORDS // per_line, WORD * per_line
        line = Signal(range(lines + 2))
        reserved = Signal()
        m.d.comb += [self.line.eq(line), self.idle.eq(state == State.IDLE)]

        # A descriptor is read.
        previous = Signal(range(lines + 1), reset_less=True)
        m.d.sync += previous.eq(line)
        unused = Signal(bits)
        words = [self.data.word_select(i, WORD) for i in range(per_line)]
        with m.Switch(previous):
            for number in range(lines):
                with m.Case(number):
                    m.d.comb += unused.eq(~(USED >> (bits * number)) & ((1 << bits) - 1))
                    with m.If(state == State.READ):
                        for f in FIELDS:
                            self._read(m, f, getattr(d, f.name),
                                       dict(enumerate(words, number * per_line)))

        # What the engine's next job is.
        split = Signal()  # K in chunks
        through = Signal()  # by way of scratch, and not added to C at once
        sums = Signal()  # this job makes sums of a chunk
        last_chunk = Signal()
        gathers = Signal()  # the pass over scratch that ends it
        k_left = Signal(len(d.k))
        k_now = Signal(range(config.depth + 1))
        first_chunk = Signal()
        a_at, b_at = (Signal(address_width(config), reset_less=True, name=name)
                      for name in ("a_at", "b_at"))
        batch_left = Signal(len(d.batch), reset_less=True)
        gemm, quantise, table = (d.op == op for op in (
            CoreOp.GEMM, CoreOp.QUANTISE, CoreOp.TABLE))
        whole = Signal()  # this job has the descriptor's own options
        m.d.comb += [
            through.eq(split & ~d.accumulate),
            sums.eq(split & ~gathers),
            whole.eq(~sums),
        ]
        m.d.sync += split.eq(gemm & (d.k > config.depth))  # long before it counts

        def begin(k) -> list:
            """The next chunk: so much of K is left."""
            last = k <= config.depth
            return [k_left.eq(k), last_chunk.eq(last), k_now.eq(Mux(last, k, config.depth))]

        multiplies = gemm & ~gathers
        from_x = quantise | gathers
        words = sums | (d.format == INT32.encoding)
        load, feed, streams, store, engine = (getattr(self, name).p for name in (
            "load", "feed", "streams", "store", "engine"))
        adds = (sums & ~first_chunk) | d.accumulate
        results = ~table & ~(d.adapt_enable & d.adapt_discard)
        last_element = batch_left == 1
        for sizes in (load.sizes, feed.sizes, streams.sizes, store.sizes):
            m.d.comb += [sizes.m.eq(d.m), sizes.n.eq(d.n)]
        m.d.comb += [
            load.number.eq(self.number),
            load.k.eq(k_now), load.gemm.eq(multiplies),
            load.bias.eq(whole & d.bias), load.mask.eq(whole & d.mask_in), load.x.eq(from_x | adds),
            load.early_a.eq(d.early_a), load.early_b.eq(d.early_b),
            load.turn_a.eq(d.transpose_a), load.turn_b.eq(d.transpose_b),
            load.turn_mask.eq(d.transpose_mask),
            load.a.eq(a_at), load.b.eq(b_at), load.a_stride.eq(d.a_stride),
            load.b_stride.eq(d.b_stride),
            load.x_at.eq(Mux(through, d.scratch_address, Mux(quantise, d.x_address, d.c_address))),
            load.x_stride.eq(Mux(through, d.scratch_stride,
                                 Mux(quantise, d.x_stride, d.c_stride))),
            load.bias_at.eq(d.bias_address),
            load.mask_at.eq(d.mask_in_address), load.mask_stride.eq(d.mask_in_stride),
            feed.k.eq(k_now), feed.zero.eq(d.a_zero), feed.b_format.eq(d.b_format),
            streams.bias.eq(load.bias), streams.mask.eq(load.mask), streams.x.eq(load.x),
            streams.turn_mask.eq(d.transpose_mask),
            streams.accumulate.eq(adds),
            streams.corrected.eq(multiplies & (d.a_zero != 0)),
            store.results.eq(results), store.words.eq(words),
            store.odd.eq(whole & (d.format == FP4_R4.encoding)),
            store.mask.eq(whole & d.mask_out), store.turn.eq(whole & d.transpose_c),
            store.adapt.eq(whole & d.adapt_enable), store.report.eq(whole & d.report),
            store.accumulate.eq(adds), store.corrected.eq(streams.corrected),
            store.done.eq((whole | (sums & last_chunk & d.accumulate)) & (last_element | table)),
            store.interrupt.eq(d.interrupt),
            store.c.eq(Mux(sums & through, d.scratch_address, d.c_address)),
            store.c_stride.eq(Mux(sums & through, d.scratch_stride, d.c_stride)),
            store.c_odd.eq(d.c_odd_address), store.c_odd_stride.eq(d.c_odd_stride),
            store.mask_at.eq(d.mask_out_address), store.mask_stride.eq(d.mask_out_stride),
            store.report_at.eq(d.report_address),
            engine.op.eq(Mux(table, Op.TABLE, Mux(from_x, Op.QUANTISE, Op.GEMM))),
            engine.m.eq(d.m), engine.n.eq(d.n), engine.k.eq(k_now),
            engine.a_signed.eq(d.a_signed), engine.b_format.eq(d.b_format),
            engine.bias.eq(load.bias | streams.corrected), engine.mask.eq(load.mask),
            engine.strips.eq(1),
            engine.params.format.eq(Mux(sums, INT32.encoding, d.format)),
            engine.params.multiplier.eq(Mux(sums, IDENTITY.multiplier, d.multiplier)),
            engine.params.shift.eq(Mux(sums, IDENTITY.shift, d.shift)),
            engine.params.zero_point.eq(Mux(sums, 0, d.zero_point)),
            engine.params.stochastic.eq(whole & d.stochastic), engine.params.seed.eq(d.seed),
            engine.adapt.enable.eq(whole & d.adapt_enable),
            *(getattr(engine.adapt, name).eq(getattr(d, f"adapt_{name}")) for name in (
                "tensor", "use", "solve", "mode", "alpha", "exponent", "preset", "valid", "frozen",
                "discard")),
        ]

        # Who still has to take it.
        outputs = {"load": ~table, "feed": multiplies, "streams": ~table, "store": 1, "engine": 1}
        waits = {name: Signal(name=f"waits_{name}") for name in outputs}
        taken = []
        for name, wait in waits.items():
            target = getattr(self, name)
            m.d.comb += target.valid.eq(wait)
            taken.append(~wait | target.ready)
            with m.If(wait & target.ready):
                m.d.sync += wait.eq(0)

        refusal = fault(d, reserved, config)
        index = Signal(range(len(MOVED)))
        addresses = Array(getattr(d, f"{name}_address") for name in MOVED)
        strides = Array(getattr(d, f"{name}_batch_stride") for name in MOVED)
        depth_bits = config.depth.bit_length() - 1
        alone = self.pending == 1  # all before it are done: `pending` counts this one too
        with m.If(alone):
            m.d.sync += self.settled.eq(1)
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += reserved.eq(0)
                with m.If(self.there & ~self.hold):
                    m.d.sync += [state.eq(State.READ), line.eq(1), self.number.eq(self.shown)]
            with m.Case(State.READ):
                m.d.sync += [line.eq(line + 1), reserved.eq(reserved | (self.data & unused).any())]
                with m.If(previous == lines - 1):
                    m.d.comb += self.taken.eq(1)
                    m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                m.d.sync += [self.fault.eq(refusal), batch_left.eq(d.batch), line.eq(0)]
                m.d.sync += state.eq(Mux(refusal != Fault.NONE, State.FAULT, State.ORDER))
            with m.Case(State.ORDER):
                waits_for_all = d.barrier | (d.op == CoreOp.FENCE)
                with m.If(~waits_for_all | alone | (gemm & (d.early_a | d.early_b))):
                    m.d.sync += self.settled.eq(~d.barrier | alone)
                    m.d.comb += self.fenced.eq(d.op == CoreOp.FENCE)
                    m.d.sync += state.eq(Mux(d.op == CoreOp.FENCE, State.IDLE, State.BEGIN))
            with m.Case(State.BEGIN):
                m.d.sync += [*begin(d.k), first_chunk.eq(1), a_at.eq(d.a_address),
                             b_at.eq(d.b_address), state.eq(State.JOB)]
                m.d.sync += [waits[name].eq(needed) for name, needed in outputs.items()]
            with m.Case(State.JOB):
                done = taken[0]
                for each in taken[1:]:
                    done = done & each
                with m.If(done):
                    m.d.sync += state.eq(State.AFTER)
            with m.Case(State.AFTER):
                # sums of the next chunk, or what is made of them, read what this job writes
                m.d.sync += first_chunk.eq(0)
                with m.If(sums & ~(last_chunk & d.accumulate)):
                    with m.If(self.store.ready):
                        m.d.sync += [
                            *begin((k_left - config.depth)[:len(k_left)]),
                            a_at.eq(moved(a_at, Mux(d.transpose_a, d.a_stride << depth_bits,
                                                     config.depth // 2))),
                            b_at.eq(moved(b_at, Mux(d.transpose_b, d.b_stride << depth_bits,
                                                     config.depth // 2))),
                            gathers.eq(last_chunk), state.eq(State.JOB)]
                        m.d.sync += [waits[name].eq(1) for name in ("load", "streams", "store",
                                                                    "engine")]
                        m.d.sync += waits["feed"].eq(~last_chunk)
                with m.Elif(last_element | table):
                    m.d.sync += [state.eq(State.IDLE), gathers.eq(0)]
                with m.Else():
                    m.d.sync += [state.eq(State.MOVE), index.eq(0), gathers.eq(0)]
            with m.Case(State.MOVE):
                m.d.sync += [addresses[index].eq(moved(addresses[index], strides[index])),
                             index.eq(index + 1)]
                with m.If(index == len(MOVED) - 1):
                    # elements that share scratch wait for each other
                    m.d.sync += [batch_left.eq(batch_left - 1), d.seed.eq(d.seed + 1),
                                 state.eq(State.SHARED)]
            with m.Case(State.SHARED):
                with m.If(~through | self.store.ready):
                    m.d.sync += state.eq(State.BEGIN)
        return m

    def _read(self, m: Module, f: BitField, field: Signal, words: dict):
        """What `words`, by their number, have of a field."""
        bus = self.config.address_width
        for above in range(0, f.width, WORD):
            word = words.get(f.word + above // WORD)
            if word is not None:
                m.d.sync += field[above:][:WORD].eq(word[f.low:])
        high = words.get(f.word + 1)
        if is_address(f) and high is not None:
            m.d.sync += field[bus].eq((high >> (bus - WORD)).any())
