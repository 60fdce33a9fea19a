# SPDX-License-Identifier: Apache-2.0
"""The multiplier, exhaustively: every pair of codes in every mode and signedness."""

from itertools import product

import cocotb
import pytest
from cocotb.triggers import Timer

from golden.config import Config
from golden.formats import B_FORMATS, INT4, UINT4
from golden.gemm import products
from hdl.layouts import BFormat
from hdl.tile.multiplier import Multiplier
from verif.bench.benches import BENCHES, run_bench
from verif.bench.runner import Settings
from verif.bench.watchdog import watched


def cases(config: Config):
    """Every (a code, a_signed, b code, b_format) with its golden product."""
    for a_fmt, b_fmt in product((INT4, UINT4), B_FORMATS):
        if b_fmt not in (INT4, *config.log_formats):
            continue
        for a, b in product(range(16), repeat=2):
            a_value = a - 16 if a_fmt.signed and a > 7 else a
            b_value = b - 16 if b_fmt == INT4 and b > 7 else b
            expected = int(products(a_value, a_fmt, b_value, b_fmt))
            yield a, int(a_fmt.signed), b, BFormat.of(b_fmt).value, expected


@cocotb.test()
async def exhaustive(dut):
    checked = 0
    for a, a_signed, b, b_format, expected in cases(Settings.current().config):
        dut.a.value, dut.a_signed.value = a, a_signed
        dut.b.value, dut.b_format.value = b, b_format
        await Timer(1, "ns")
        actual = dut.product.value.to_signed()
        assert actual == expected, (
            f"{a=} {a_signed=} {b=} {b_format=}: expected {expected}, got {actual}; "
            f"repeat with: {Settings.current().repeat}")
        checked += 1
    modes = 1 + len(Settings.current().config.log_formats)
    assert checked == 256 * 2 * modes


@pytest.mark.parametrize("config", BENCHES["multiplier"].configs, ids=repr)
def test_verilator(config):
    run_bench("multiplier", config)


@pytest.mark.parametrize("config", BENCHES["multiplier"].configs, ids=repr)
def test_amaranth_simulator(config):
    dut = Multiplier(config)
    checked = 0

    async def bench(ctx):
        nonlocal checked
        for a, a_signed, b, b_format, expected in cases(config):
            ctx.set(dut.a, a)
            ctx.set(dut.a_signed, a_signed)
            ctx.set(dut.b, b)
            ctx.set(dut.b_format, BFormat(b_format))
            await ctx.delay(1e-9)
            assert ctx.get(dut.product) == expected, (a, a_signed, b, b_format)
            checked += 1

    watched(dut, bench)
    assert checked == 256 * 2 * (1 + len(config.log_formats))
