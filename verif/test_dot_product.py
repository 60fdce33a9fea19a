# SPDX-License-Identifier: Apache-2.0
"""The dot product against exact sums, with corners and a held register."""

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from golden.config import Config
from golden.formats import A_FORMATS, INT4, LogFormat
from golden.gemm import gemm
from hdl.dot_product import DotProduct
from hdl.multiplier import DIGIT_WIDTH, shift_width
from verif.benches import BENCHES, run_bench
from verif.runner import Settings
from verif.stimuli import random_codes


def decoded(codes, fmt, config: Config) -> tuple[int, int]:
    """Operand b as the packed digits and shifts that the decoder would make."""
    digits, shifts = 0, 0
    for lane, code in enumerate(codes.tolist()):
        digit, shift = code, 0
        if isinstance(fmt, LogFormat):
            level = code & 7
            digit = 0 if level == 0 else -1 if code & 8 else 1
            shift = max(level - 1, 0) * fmt.log2_radix
        digits |= (digit & (2**DIGIT_WIDTH - 1)) << lane * DIGIT_WIDTH
        shifts |= shift << lane * shift_width(config)
    return digits, shifts


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
    settings = Settings.current()
    config, rng = settings.config, np.random.default_rng(settings.seed)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 0
    held = None  # what the register must show
    for a, a_fmt, b, b_fmt in vectors(rng, config, 100 * settings.length):
        enable = rng.random() < 0.8
        digits, shifts = decoded(b, b_fmt, config)
        dut.a.value = sum((int(c) & 15) << 4 * i for i, c in enumerate(a))
        dut.a_sign.value = sum((int(c) < 0) << i for i, c in enumerate(a))
        dut.digit.value, dut.shift.value, dut.enable.value = digits, shifts, int(enable)
        for _ in range(DotProduct.latency):
            await RisingEdge(dut.clk)
        await FallingEdge(dut.clk)
        if enable:
            held = int(gemm(a[None], a_fmt, b[None], b_fmt)[0, 0])
        if held is not None:
            actual = dut.sum.value.to_signed()
            assert actual == held, (f"expected {held}, got {actual} for {a} ({a_fmt.name}) . {b} "
                                    f"({b_fmt.name}); repeat with: {settings.repeat}")


@pytest.mark.parametrize("config", BENCHES["dot_product"].configs, ids=repr)
def test_verilator(config):
    run_bench("dot_product", config)
