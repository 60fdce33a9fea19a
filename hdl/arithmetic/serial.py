# SPDX-License-Identifier: Apache-2.0
"""How long the serial units take, which use two bits of a number per cycle, from the lowest on."""

from golden.config import Config
from hdl.layouts import WORD

WORD_CYCLES = 1 + WORD // 2  # of a word: to load it, then one per digit


def row_cycles(config: Config) -> int:
    """Cycles from one row into the rescaling unit to the next: what its statistics need."""
    return 1 + WORD_CYCLES * config.cols if config.serial else 1
