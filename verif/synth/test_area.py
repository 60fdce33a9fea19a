# SPDX-License-Identifier: Apache-2.0
"""The area estimate: blocks add up, and unknown cells are refused."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module

from golden.config import Config
from golden.formats import Phase
from golden.logfp4 import joint_decode
from synth.area import (
    FLIP_FLOP,
    MEMORY,
    TRANSISTORS,
    compare_phases,
    measure,
    measure_core,
    transistors,
)
from synth.phases import PairEncoder, PhaseDecoder
from verif.bench.watchdog import watched


def test_blocks_add_up():
    config = Config(2, 2, 4, accumulator_width=20, radices=(4,), stochastic=False, tensors=1)
    blocks = measure(config)
    assert blocks["tetra_engine"] == {
        "transistors": blocks["tetra_engine"]["transistors"], "instances": 1, "share": 1.0}
    assert blocks["tetra_mac_cell"]["instances"] == 4
    assert blocks["tetra_zero_cell"]["instances"] == 2
    assert blocks["tetra_digit_multiplier"]["instances"] == 24
    assert blocks["tetra_operand_decoder"]["instances"] == 8
    tile, cell = blocks["tetra_mac_tile"], blocks["tetra_mac_cell"]
    assert 4 * cell["transistors"] < tile["transistors"] < blocks["tetra_engine"]["transistors"]


def test_core_around_its_engine():
    """Memories count as bits, in the block that has them."""
    config = Config(2, 1, 4, accumulator_width=20, dim_width=5, radices=(2,), stochastic=False,
                    tensors=1, pipeline=1, serial=True, bus_width=64, depth=16, strip=8)
    blocks = measure_core(config)
    core, engine = blocks["tetra_core"], blocks["tetra_engine"]
    assert core["share"] == 1 and 0 < engine["transistors"] < core["transistors"]
    assert engine["memory_bits"] == 0 < blocks["tetra_counters"]["memory_bits"]
    assert transistors(MEMORY) == 0


def test_phase_blocks_are_the_golden_code():
    """What is measured computes what the model defines."""
    config = Config(2, 2, 4)
    encoder, decoder = PairEncoder(config), PhaseDecoder(config)
    m = Module()
    m.submodules.encoder, m.submodules.decoder = encoder, decoder

    async def bench(ctx):
        for sign, q in product(range(2), range(15)):
            joint = sign << 4 | q
            ctx.set(encoder.q, q)
            ctx.set(encoder.sign, sign)
            ctx.set(decoder.joint, joint)
            for phase, code in ((Phase.EVEN, encoder.even), (Phase.ODD, encoder.odd)):
                ctx.set(decoder.odd, int(phase))
                await ctx.delay(1e-9)
                expected = int(joint_decode(np.array([joint]), phase)[0])
                assert ctx.get(code) == ctx.get(decoder.code) == expected

    watched(m, bench)


def test_two_codes_are_smaller():
    found = compare_phases(Config(8, 8, 16))
    assert 0 < found["two_codes"] < found["joint_code"]


def test_cells():
    assert transistors("$_NAND_") == 4
    assert transistors("$_DFF_P_") == FLIP_FLOP
    assert transistors("$_SDFFCE_PP0P_") == FLIP_FLOP + TRANSISTORS["MUX"]
    with pytest.raises(ValueError, match="cell \\$_DLATCH_P_: expected a gate of abc or a flip-"):
        transistors("$_DLATCH_P_")
