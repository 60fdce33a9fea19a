# SPDX-License-Identifier: Apache-2.0
"""The dot product against exact sums, with corners and a held register."""

from collections import deque

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from golden.config import Config
from golden.formats import A_FORMATS, INT4, LogFormat
from golden.gemm import gemm
from hdl.layouts import BFormat
from hdl.tile.dot_product import DotProduct
from verif.bench.benches import BENCHES, run_bench
from verif.bench.runner import Settings
from verif.bench.stimuli import random_codes


def vectors(rng, config: Config, count: int):
    """Operand pairs of every mode: the extremes first, then random ones."""
    for a_fmt in A_FORMATS:
        for b_fmt in (INT4, *config.log_formats):
            tops = (7, 15) if isinstance(b_fmt, LogFormat) else (b_fmt.lo, b_fmt.hi)
            for a in (a_fmt.lo, a_fmt.hi):
                for b in tops:
                    yield (np.full(config.lanes, a, np.int8), a_fmt,
                           np.full(config.lanes, b, np.int8), b_fmt)
            for _ in range(count):
                yield (random_codes(rng, a_fmt, config.lanes), a_fmt,
                       random_codes(rng, b_fmt, config.lanes), b_fmt)


@cocotb.test()
async def randomised(dut):
    """A pair per cycle, now and then held up: the sums come in order, `latency` cycles later."""
    settings = Settings.current()
    config, rng = settings.config, np.random.default_rng(settings.seed)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 0
    await FallingEdge(dut.clk)  # a clock gate takes `enable` before the edge
    expected = deque([None] * DotProduct.latency(config))  # before the first sum: anything
    cases = deque(vectors(rng, config, 100 * settings.length))
    while cases:
        enable = rng.random() < 0.8
        a, a_fmt, b, b_fmt = cases[0]
        dut.a.value = sum((int(c) & 15) << 4 * i for i, c in enumerate(a))
        dut.b.value = sum((int(c) & 15) << 4 * i for i, c in enumerate(b))
        dut.a_signed.value, dut.b_format.value = int(a_fmt.signed), BFormat.of(b_fmt).value
        dut.enable.value = int(enable)
        await RisingEdge(dut.clk)
        await FallingEdge(dut.clk)
        if enable:
            cases.popleft()
            expected.append((int(gemm(a[None], a_fmt, b[None], b_fmt)[0, 0]), a, a_fmt, b, b_fmt))
            expected.popleft()
        if expected[0] is not None:
            held, *inputs = expected[0]
            actual = dut.sum.value.to_signed()
            assert actual == held, (f"expected {held}, got {actual} for {inputs}; "
                                    f"repeat with: {settings.repeat}")


@pytest.mark.parametrize("config", BENCHES["dot_product"].configs, ids=repr)
def test_verilator(config):
    run_bench("dot_product", config)
