# SPDX-License-Identifier: Apache-2.0
"""The C driver on the simulated core: the example trains, faults, full rings and resets."""

import re
import subprocess
from itertools import pairwise

import numpy as np

from driver.c_example import EXAMPLE, FOLDER, STRICT, c_compiler, program
from golden.core import GoldenCore, outputs
from golden.descriptor import BYTES, CoreOp, Descriptor
from golden.memory import Memory
from hdl.emit.registers import c_header
from tools.verilator import compiler
from verif.bench.benches import CORES
from verif.needs import needs_c

CONFIG = CORES["asic"]
BASE, ENTRIES = 0x4_0000_0000, 8
pytestmark = needs_c


def test_the_example_trains_as_the_golden_core_does(tmp_path):
    """The loss falls to a thousandth, and the last step's bytes are the golden model's."""
    made, dump = program(EXAMPLE, CONFIG, tmp_path, quick=True), tmp_path / "memory"
    shown = subprocess.run([made, dump], text=True, capture_output=True, check=True).stdout
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", shown)]
    assert len(losses) == 24 and losses[-1] < losses[0] / 1000, shown
    assert all(b < a for a, b in pairwise(losses[:6])), shown
    jobs = int(re.search(r"jobs (\d+)", shown)[1])
    found = np.frombuffer(dump.read_bytes(), np.uint8)
    last = [Descriptor.unpack(found[at:at + BYTES].tobytes())
            for at in (number % ENTRIES * BYTES for number in range(jobs - 3, jobs))]
    assert [d.op for d in last] == [CoreOp.GEMM, CoreOp.QUANTISE, CoreOp.GEMM]
    expected, wiped = found.copy(), 0
    for rows in (rows for d in last for rows in outputs(d, CONFIG)):
        for row in range(rows.number):
            at = rows.address + row * rows.stride - BASE
            expected[at:at + rows.size] = 0xA5
            wiped += rows.size
    assert wiped == 512 + 64 + 64 + 192 + 192  # y, both phases, dw, scratch
    # what the host makes of y lies in memory: the three jobs can be repeated in a row
    GoldenCore(CONFIG).run(Memory({BASE: expected}), last)
    np.testing.assert_array_equal(found, expected)


PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include "simulated.h"
#include "tetra_driver.h"

#define BASE UINT64_C(0x400000000)
#define CHECK(truth) check(truth, #truth, __LINE__)

static uint8_t memory[8192], before[8192];
static tetra_core core;
static int bad;
static uint32_t changed_address = 1, changed_value, fails;
static tetra_transport real;

static void check(int holds, const char *truth, int line)
{
    if (!holds)
        bad++, printf("line %d: %s\n", line, truth);
}

static int read32(void *context, uint32_t address, uint32_t *value)
{
    const int result = real.read32(context, address, value);
    if (address == changed_address)
        *value = changed_value;
    return fails ? -1 : result;
}

static tetra_descriptor copy_job(unsigned from, unsigned to)
{
    tetra_descriptor job;
    tetra_init(&job);
    tetra_set_op(&job, TETRA_OP_QUANTISE);
    tetra_set_barrier(&job, 1);
    tetra_set_m(&job, 1);
    tetra_set_n(&job, 4);
    tetra_set_x_address(&job, BASE + from);
    tetra_set_c_address(&job, BASE + to);
    return job;
}

int main(void)
{
    tetra_transport bus = real = simulated_open(memory, BASE, sizeof memory);
    tetra_descriptor good = copy_job(4096, 4112), bad_size = copy_job(4096, 4128);
    tetra_descriptor outside = copy_job(8192, 4128), behind = copy_job(4096, 6000);
    int i;

    bus.read32 = read32;
    for (i = 0; i < 16; i++)
        memory[4096 + i] = (uint8_t)(i + 1);

    CHECK(tetra_open(&core, &bus, BASE, 4096, 0, 99) == TETRA_ARGUMENT);
    CHECK(tetra_open(&core, &bus, BASE, 4096, 16, 99) == TETRA_ARGUMENT);
    CHECK(tetra_open(&core, &bus, BASE, 1023, 2, 99) == TETRA_ARGUMENT);
    CHECK(tetra_open(&core, &bus, BASE + 64, 4096, 2, 99) == TETRA_ARGUMENT);
    CHECK(tetra_open(&core, &bus, UINT64_C(0xFFFFFFFFFFFFFF00), 4096, 2, 99) == TETRA_ARGUMENT);
    fails = 1;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_BUS);
    fails = 0;
    changed_address = 0x18;
    changed_value = 34; /* the highest address has 35 bits */
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_ARGUMENT);
    changed_value = 35;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_OK);
    changed_address = 0;
    changed_value = 0;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_NO_CORE);
    changed_address = 4, changed_value = 0x00630000;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_NO_CORE);
    changed_address = 0x14, changed_value = 7 << 12;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_NO_CORE);
    changed_address = 1;
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 99) == TETRA_OK);
    CHECK(tetra_behind_ring(&core) == BASE + 1024);
    CHECK(tetra_wait(&core, 0) == TETRA_OK);
    for (i = 0; i < 2; i++) { /* read_limit, write_limit */
        uint32_t low, high;
        CHECK(!bus.read32(bus.context, 0x88u + 16u * (uint32_t)i, &low) && low == 5999);
        CHECK(!bus.read32(bus.context, 0x8Cu + 16u * (uint32_t)i, &high) && high == 4);
    }

    /* a core that is idle because it is disabled has not ended what is queued */
    CHECK(!bus.write32(bus.context, 0x40, 0));
    CHECK(tetra_enqueue(&core, &good) == TETRA_OK && tetra_wait(&core, 99) == TETRA_BUSY);
    CHECK(tetra_soft_reset(&core, 99) == TETRA_OK && tetra_wait(&core, 0) == TETRA_OK);

    /* many more jobs than entries */
    for (i = 0; i < 20; i++) {
        int found = tetra_enqueue(&core, &good);
        for (; found == TETRA_BUSY; found = tetra_enqueue(&core, &good))
            CHECK(core.queued - core.ended == 3);
        CHECK(found == TETRA_OK && core.queued == (uint32_t)i + 1);
    }
    CHECK(tetra_wait(&core, 1) == TETRA_BUSY);
    CHECK(tetra_wait(&core, 100000) == TETRA_OK && core.ended == 20);
    CHECK(!memcmp(memory + 4096, memory + 4112, 16));

    /* a bad one, one outside, one that is good behind them */
    tetra_set_m(&bad_size, 0);
    memset(memory + 4112, 0, 16);
    memcpy(before, memory, sizeof memory);
    CHECK(tetra_enqueue(&core, &bad_size) == TETRA_OK);
    CHECK(tetra_enqueue(&core, &outside) == TETRA_OK);
    CHECK(tetra_enqueue(&core, &good) == TETRA_OK);
    CHECK(tetra_wait(&core, 100000) == TETRA_STOPPED);
    CHECK(tetra_enqueue(&core, &good) == TETRA_STOPPED);
    CHECK(core.error == TETRA_FAULT_SIZE && core.error_job == 20 && core.error_address == 0);
    CHECK(!strcmp(tetra_fault_name(core.error), "SIZE"));
    CHECK(tetra_acknowledge(&core) == TETRA_OK);
    CHECK(tetra_wait(&core, 100000) == TETRA_STOPPED);
    CHECK(core.error == TETRA_FAULT_READ_WINDOW && core.error_job == 21);
    CHECK(core.error_address == BASE + 8192);
    CHECK(!memcmp(memory + 1024, before + 1024, sizeof memory - 1024));
    CHECK(tetra_acknowledge(&core) == TETRA_OK);
    CHECK(tetra_wait(&core, 100000) == TETRA_OK && core.ended == 23);
    CHECK(!memcmp(memory + 4096, memory + 4112, 16));
    CHECK(tetra_enqueue(&core, &behind) == TETRA_OK);
    CHECK(tetra_wait(&core, 100000) == TETRA_STOPPED);
    CHECK(core.error == TETRA_FAULT_WRITE_WINDOW && core.error_address == BASE + 6000);

    /* reset while stopped, and while jobs are under way */
    for (i = 0; i < 3; i++) {
        CHECK(tetra_soft_reset(&core, 1000) == TETRA_OK);
        CHECK(core.queued == 0 && core.ended == 0 && core.error == TETRA_FAULT_NONE);
        memset(memory + 4112, 0, 16);
        CHECK(tetra_enqueue(&core, &good) == TETRA_OK && tetra_wait(&core, 99999) == TETRA_OK);
        CHECK(!memcmp(memory + 4096, memory + 4112, 16));
        CHECK(tetra_enqueue(&core, &good) == TETRA_OK && tetra_enqueue(&core, &good) == TETRA_OK);
        simulated_run((uint64_t)(1 + 70 * i));
    }

    /* locked windows */
    CHECK(bus.write32(bus.context, 0xA0, 1) == 0);
    CHECK(tetra_open(&core, &bus, BASE, 6000, 2, 999) == TETRA_OK);
    CHECK(tetra_open(&core, &bus, BASE, 6001, 2, 999) == TETRA_LOCKED);
    CHECK(!strcmp(tetra_result_text(TETRA_LOCKED), "the windows are locked with other values"));
    CHECK(!strcmp(tetra_result_text(99), "?"));
    simulated_close();
    return bad != 0;
}
"""


def test_faults_full_rings_and_resets(tmp_path):
    source = tmp_path / "check.c"
    source.write_text(PROGRAM)
    made = program(source, CONFIG, tmp_path, quick=True)
    done = subprocess.run([made], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_compiles_alone(tmp_path):
    """No header but C99's stdint, stddef and string and its own; C++ links with it."""
    (tmp_path / "tetra_registers.h").write_text(c_header(CONFIG))
    include = (f"-I{tmp_path}", f"-I{FOLDER}")
    subprocess.run([c_compiler(), *STRICT, "-ffreestanding", "-Wconversion", *include, "-c",
                    FOLDER / "tetra.c", "-o", tmp_path / "tetra.o"], check=True)
    (tmp_path / "main.cpp").write_text(
        '#include "tetra_driver.h"\nint main() { return !tetra_result_text(0); }\n')
    subprocess.run([compiler(), "-std=c++11", *STRICT[1:], *include, tmp_path / "main.cpp",
                    tmp_path / "tetra.o", "-o", tmp_path / "linked"], check=True)
    subprocess.run([tmp_path / "linked"], check=True)
    named = set()
    for name in ("tetra.c", "tetra_driver.h", "tetra.h"):
        named |= set(re.findall(r"#include [<\"](.*)[>\"]", (FOLDER / name).read_text()))
    assert named == {"stddef.h", "stdint.h", "string.h", "tetra.h", "tetra_driver.h",
                     "tetra_registers.h"}
