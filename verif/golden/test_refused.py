# SPDX-License-Identifier: Apache-2.0
"""Which descriptors are refused with which code: a table, the order, and the engine's own rules."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config, preset
from golden.descriptor import FIELDS, USED, CoreFault, CoreOp, Descriptor, Fault
from golden.formats import FORMATS
from golden.refused import decode
from hdl.engine.job import job_layout, refused
from hdl.packing import packing
from verif.bench.watchdog import watched

BASE = preset("base")  # depth 1024, 16 tensors, 65,535 rows and columns
PLAIN = replace(BASE, radices=(4,), stochastic=False)
INT4, UINT4, INT32, FP4_R4, FP4_R2 = (
    FORMATS[name].encoding for name in ("INT4", "UINT4", "INT32", "FP4_R4", "FP4_R2"))
GEMM = Descriptor(m=5, n=7, k=9)
QUANTISE = Descriptor(op=1, m=5, n=7)
TABLE, FENCE = Descriptor(op=2, adapt_enable=True), Descriptor(op=3)
OPS = (GEMM, QUANTISE, TABLE, FENCE)
ADAPT = replace(QUANTISE, adapt_enable=True)
TOP, WIDE = 65535, 2**24 - 1
TENSOR_FIELDS = [each.name for each in FIELDS if each.word >= 12]


def code(d: Descriptor | bytes, config: Config = BASE) -> Fault:
    try:
        decode(d.pack() if isinstance(d, Descriptor) else d, config)
    except CoreFault as fault:
        assert fault.address == 0 and fault.descriptor is None
        return fault.code
    return Fault.NONE


GOOD = [
    *OPS, ADAPT,
    replace(GEMM, m=1, n=1, k=1), replace(GEMM, m=TOP, n=TOP, k=WIDE, batch=WIDE),
    replace(QUANTISE, m=TOP, batch=WIDE),
    replace(GEMM, format=FP4_R2, b_format=2, stochastic=True, multiplier=0),
    replace(GEMM, format=INT4, zero_point=-32768, multiplier=65535, mask_out=True),
    replace(GEMM, accumulate=True, transpose_a=True, transpose_b=True, bias=True, mask_in=True,
            a_zero=-128, barrier=True, early_a=True, early_b=True, interrupt=True),
    replace(QUANTISE, b_format=3, a_signed=True),  # which nothing reads
    replace(QUANTISE, adapt_tensor=255, adapt_use=3, adapt_solve=True, adapt_mode=7,
            adapt_preset=True, adapt_discard=True),  # without adapt_enable
    replace(ADAPT, adapt_tensor=15, adapt_use=2, adapt_solve=True, adapt_mode=5, report=True),
    replace(ADAPT, adapt_mode=7, adapt_exponent=-64),  # without a solve
    replace(TABLE, adapt_preset=True, adapt_exponent=40, adapt_valid=True, report=True),
    replace(TABLE, format=7, stochastic=True, zero_point=5, b_format=3, seed=9),
    replace(FENCE, format=7, multiplier=1, adapt_tensor=99, barrier=True, interrupt=True),
    replace(ADAPT, adapt_discard=True, c_address=1, mask_out=True, format=INT4),
    replace(GEMM, format=INT4, c_address=1, c_stride=3, c_batch_stride=5, x_address=1,
            scratch_address=1, report_address=2, bias_address=3, a_address=1, b_stride=3,
            mask_in_address=1),
    replace(GEMM, k=1024, scratch_address=2),
]
BAD = [
    *((Fault.VERSION, replace(each, version=v)) for each in OPS for v in (0, 2, 255)),
    *((Fault.OPERATION, replace(GEMM, op=op)) for op in (4, 7, 8, 15)),
    *((Fault.SIZE, replace(each, **{name: 0})) for each in (GEMM, QUANTISE) for name in "mn"),
    *((Fault.SIZE, replace(each, batch=0)) for each in OPS),
    *((Fault.SIZE, replace(each, **{name: TOP + 1})) for each in (GEMM, QUANTISE) for name in "mn"),
    *((Fault.SIZE, replace(each, batch=WIDE + 1)) for each in (GEMM, QUANTISE)),
    *((Fault.SIZE, replace(GEMM, k=k)) for k in (0, WIDE + 1, 2**31)),
    (Fault.SIZE, replace(QUANTISE, k=1)),
    *((Fault.SIZE, replace(each, **{name: 1})) for each in (TABLE, FENCE) for name in "mnk"),
    *((Fault.SIZE, replace(each, batch=2)) for each in (TABLE, FENCE)),
    *((Fault.FORMAT, replace(GEMM, format=fmt)) for fmt in (6, 7)),
    (Fault.FORMAT, replace(GEMM, b_format=3)),
    (Fault.FORMAT, replace(QUANTISE, stochastic=True)),
    *((Fault.FORMAT, replace(QUANTISE, format=fmt, zero_point=-1))
      for fmt in (INT32, FP4_R4, FP4_R2)),
    *((Fault.FORMAT, replace(each, multiplier=v)) for each in OPS[:3] for v in (1, 32767)),
    (Fault.ADAPT, replace(TABLE, adapt_enable=False)),
    (Fault.ADAPT, replace(FENCE, adapt_enable=True)),
    *((Fault.ADAPT, replace(each, adapt_tensor=16)) for each in (ADAPT, TABLE)),
    (Fault.ADAPT, replace(ADAPT, adapt_use=3)),
    (Fault.ADAPT, replace(ADAPT, adapt_solve=True, adapt_mode=7)),
    (Fault.ADAPT, replace(TABLE, adapt_solve=True, adapt_preset=True)),
    (Fault.ADAPT, replace(ADAPT, adapt_preset=True)),
    *((Fault.ADAPT, replace(TABLE, adapt_preset=True, adapt_exponent=e)) for e in (41, -41, -64)),
    *((Fault.ADAPT, replace(TABLE, adapt_use=use)) for use in (1, 2)),
    (Fault.ADAPT, replace(TABLE, adapt_discard=True)),
    (Fault.ADAPT, replace(GEMM, adapt_enable=True, adapt_discard=True)),
    *((Fault.COMBINATION, replace(each, **{name: True})) for each in (QUANTISE, TABLE, FENCE)
      for name in ("transpose_a", "transpose_b", "early_a", "early_b")),
    *((Fault.COMBINATION, replace(each, a_zero=v)) for each in OPS[1:] for v in (-1, 1)),
    *((Fault.COMBINATION, replace(each, format=INT4, **{name: True})) for each in (TABLE, FENCE)
      for name in ("transpose_c", "bias", "mask_in", "mask_out", "accumulate")),
    *((Fault.COMBINATION, replace(each, accumulate=True)) for each in (
        ADAPT, QUANTISE, replace(GEMM, format=INT4), replace(GEMM, transpose_c=True),
        *(replace(GEMM, k=BASE.depth + 1, **change) for change in (
            {"bias": True}, {"mask_in": True}, {"shift": 16}, {"multiplier": 32769})))),
    *((Fault.COMBINATION, replace(GEMM, format=fmt, mask_out=True))
      for fmt in (INT32, FP4_R4, FP4_R2)),
    *((Fault.COMBINATION, replace(each, report=True)) for each in (GEMM, QUANTISE, FENCE)),
    *((Fault.COMBINATION, replace(each, transpose_mask=True)) for each in OPS),
    *((Fault.ALIGNMENT, replace(each, **{f"{tensor}_{end}": low}))
      for each, tensor in ((GEMM, "c"), (QUANTISE, "c"), (QUANTISE, "x"),
                           (replace(GEMM, bias=True), "bias"),
                           (replace(ADAPT, report=True), "report"),
                           (replace(TABLE, report=True), "report"),
                           (replace(GEMM, k=1025, format=INT4), "scratch"))
      for end in ("address", "stride", "batch_stride") for low in (1, 2, 7)
      if f"{tensor}_{end}" in TENSOR_FIELDS),
]


@pytest.mark.parametrize("d", GOOD, ids=range(len(GOOD)))
def test_accepted(d):
    assert code(d) == Fault.NONE and decode(d.pack(), BASE) == d


@pytest.mark.parametrize(("fault", "d"), BAD, ids=range(len(BAD)))
def test_refused(fault, d):
    assert code(d) == fault


def test_what_a_configuration_lacks():
    for d in (replace(GEMM, format=FP4_R2), replace(GEMM, b_format=2),
              replace(GEMM, format=INT4, stochastic=True)):
        assert (code(d), code(d, PLAIN)) == (Fault.NONE, Fault.FORMAT)
    assert code(replace(GEMM, m=4096), preset("tiny")) == Fault.SIZE
    assert code(replace(GEMM, k=129, scratch_address=2), preset("tiny")) == Fault.ALIGNMENT


@pytest.mark.parametrize("op", CoreOp, ids=lambda op: op.name)
def test_every_other_bit_is_reserved(op):
    bits = int.from_bytes(OPS[op].pack(), "little")
    for place in range(2048):
        if not USED >> place & 1:
            assert code((bits | 1 << place).to_bytes(256, "little")) == Fault.RESERVED


def test_the_first_rule_wins():
    """Break rule after rule, from the last to the first: each time the code is the newest's."""
    broken = [(Fault.ALIGNMENT, {"c_address": 1}), (Fault.COMBINATION, {"report": True}),
              (Fault.ADAPT, {"adapt_enable": True, "adapt_discard": True}),
              (Fault.FORMAT, {"b_format": 3}), (Fault.SIZE, {"m": 0}), (Fault.OPERATION, {"op": 9})]
    d = GEMM
    for fault, members in broken:
        d = replace(d, **members)
        assert code(d) == fault
    bits = int.from_bytes(d.pack(), "little") | 1 << 320
    assert code(bits.to_bytes(256, "little")) == Fault.RESERVED
    assert code((bits ^ 2).to_bytes(256, "little")) == Fault.VERSION


def test_addresses_and_strides_that_nothing_reads_are_ignored():
    rng = np.random.default_rng(5)
    for _ in range(100):
        noise = {name: int(rng.integers(2**32)) for name in TENSOR_FIELDS}
        assert code(replace(GEMM, **noise, format=INT4)) == Fault.NONE
        assert code(replace(TABLE, **noise)) == code(replace(FENCE, **noise)) == Fault.NONE


class Refuser(wiring.Component):
    """`hdl.engine.job.refused` of a job, alone."""

    def __init__(self, config):
        self.config = config
        super().__init__({"job": In(job_layout(config)), "out": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.out.eq(refused(self.job, self.config))
        m.d.sync += Signal().eq(0)
        return m


@pytest.mark.parametrize("config", [BASE, PLAIN], ids=["base", "plain"])
def test_the_engine_refuses_the_same(config):
    """Where the core's own rules hold, FORMAT and ADAPT are what the engine's unit refuses."""
    rng, seen = np.random.default_rng(6), set()
    dut = Refuser(config)

    def pick(*values):
        return values[int(rng.integers(len(values)))]

    async def bench(ctx):
        for _ in range(1500):
            fmt, flags = int(rng.integers(8)), (rng.random(5) < 0.3).tolist()
            d = replace(
                pick(GEMM, QUANTISE, TABLE), format=fmt, b_format=int(rng.integers(4)),
                stochastic=flags[0] and fmt != INT32, adapt_enable=flags[1],
                adapt_tensor=pick(0, 0, 15, 16), adapt_use=int(rng.integers(4)),
                adapt_solve=flags[2], adapt_mode=int(rng.integers(8)), adapt_preset=flags[3],
                adapt_discard=flags[4], adapt_exponent=pick(0, 40, -40, 41, -41, 63))
            ctx.set(dut.job.as_value(), packing(job_layout, config).pack({
                "op": d.op, "m": d.m, "n": d.n, "k": d.k, "b_format": d.b_format,
                "params": {"format": d.format, "stochastic": d.stochastic},
                "adapt": {each.name.removeprefix("adapt_"): int(getattr(d, each.name))
                          for each in FIELDS if each.name.startswith("adapt_")}}))
            await ctx.delay(1e-9)
            found = code(d, config)
            seen.add(found)
            assert ctx.get(dut.out) == (found in (Fault.FORMAT, Fault.ADAPT)), d

    watched(dut, bench)
    assert seen == {Fault.NONE, Fault.FORMAT, Fault.ADAPT}
