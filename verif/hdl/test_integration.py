# SPDX-License-Identifier: Apache-2.0
"""docs/integration.md: its tables are up to date, its example is what both cores do."""

import re

import numpy as np
import pytest

from driver.verilated_core import VerilatedCore
from golden.core import GoldenCore
from golden.descriptor import BYTES, CoreFault, Descriptor
from golden.memory import Memory, Window
from hdl.core.register_map import register_map
from verif.hdl.integration_page import BASE, CONFIG, PAGE, SIZE, TABLES, part

LIMIT = BASE + SIZE - 1


def memory(text: str, *names: str) -> np.ndarray:
    """The bytes that parts of the page show, the later over the earlier; 0xee where there is none.
    """
    data = np.full(SIZE, 0xEE, np.uint8)
    for name in names:
        first, last = part(text, name)
        lines = re.findall(r"^([0-9a-f]{8}): (.*)$", text[first:last], re.M)
        assert lines
        for address, line in lines:
            found = [int(byte, 16) for byte in line.split()]
            data[int(address, 16) - BASE:][:len(found)] = found
    return data


def golden(data: np.ndarray) -> np.ndarray:
    core = GoldenCore(CONFIG, *[Window(BASE, LIMIT)] * 2)
    core.run(Memory({BASE: data}), [Descriptor.unpack(data[:BYTES].tobytes())])
    assert core.interrupts == 1
    return data


def verilated(data: np.ndarray, text: str) -> np.ndarray:
    """What the boot sequence of the page makes of a memory: its writes, in its order."""
    address = {name: register.address for name, register in register_map(CONFIG).registers.items()}
    steps = re.findall(r"^\| \d+ \| `(\w+)` \| `(0x[0-9a-f]+|\d+)` \|", text, re.M)
    assert len(steps) == 13
    with VerilatedCore(CONFIG, quick=True) as core:
        core.attach({BASE: data})
        core.reset()
        assert core.read32(address["id"]) == 0x5254_4554
        for name, value in steps:
            core.run(1)
            start = core.cycles
            core.write32(address[name], int(value, 0))
        assert core.run(100_000), "no interrupt"
        taken = core.cycles - start
        assert core.read32(address["error"]) == 0 and core.read32(address["interrupt_status"]) & 1
        assert not core.strays
        cycles = re.search(r"([\d,]+) cycles after the doorbell", text)
        assert cycles and int(cycles[1].replace(",", "")) == taken
    return data


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_up_to_date(name):
    """`python -m verif.hdl.integration_page` would change nothing."""
    text = PAGE.read_text()
    first, last = part(text, name)
    assert text[first:last] == TABLES[name]()


def test_example_on_the_golden_core():
    text = PAGE.read_text()
    np.testing.assert_array_equal(golden(memory(text, "job", "before")),
                                  memory(text, "job", "before", "after"))


def test_example_on_the_verilated_core():
    text = PAGE.read_text()
    np.testing.assert_array_equal(verilated(memory(text, "job", "before"), text),
                                  memory(text, "job", "before", "after"))


@pytest.mark.parametrize("name", ["job", "before", "after"])
def test_a_wrong_byte_is_noticed(name):
    text = PAGE.read_text()
    first, last = part(text, name)
    at = first + re.search(r": (?!00|ee)([0-9a-f]{2})", text[first:last]).start(1)
    wrong = text[:at] + f"{int(text[at:at + 2], 16) ^ 1:02x}" + text[at + 2:]
    try:
        found = golden(memory(wrong, "job", "before"))
    except CoreFault as error:
        assert name == "job", error
    else:
        assert (found != memory(wrong, "job", "before", "after")).any()
