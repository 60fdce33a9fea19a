# SPDX-License-Identifier: Apache-2.0
"""The area estimate: blocks add up, and unknown cells are refused."""

import pytest

from golden.config import Config
from synth.area import FLIP_FLOP, TRANSISTORS, measure, transistors


def test_blocks_add_up():
    config = Config(2, 2, 4, accumulator_width=20, radices=(4,), stochastic=False, tensors=1)
    blocks = measure(config)
    assert blocks["tetra_engine"] == {
        "transistors": blocks["tetra_engine"]["transistors"], "instances": 1, "share": 1.0}
    assert blocks["tetra_mac_cell"]["instances"] == 4
    assert blocks["tetra_digit_multiplier"]["instances"] == 16
    assert blocks["tetra_operand_decoder"]["instances"] == 8
    tile, cell = blocks["tetra_mac_tile"], blocks["tetra_mac_cell"]
    assert 4 * cell["transistors"] < tile["transistors"] < blocks["tetra_engine"]["transistors"]


def test_cells():
    assert transistors("$_NAND_") == 4
    assert transistors("$_DFF_P_") == FLIP_FLOP
    assert transistors("$_SDFFCE_PP0P_") == FLIP_FLOP + TRANSISTORS["MUX"]
    with pytest.raises(ValueError, match="cell \\$_DLATCH_P_: expected a gate of abc or a flip-"):
        transistors("$_DLATCH_P_")
