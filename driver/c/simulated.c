/* SPDX-License-Identifier: Apache-2.0 */
#include "simulated.h"

#include <string.h>

/* As driver/core_harness.cpp has them. */
struct core;
struct core *core_new(const char *trace_file);
void core_delete(struct core *core);
void core_region(struct core *core, uint64_t base, uint8_t *data, uint64_t size);
uint32_t core_access(struct core *core, uint32_t address, uint32_t *value, uint32_t write);
void core_timing(struct core *core, const uint32_t *timing);
void core_run(struct core *core, uint64_t most);

static struct core *simulation;
static uint8_t *bytes_here;
static uint64_t first, length;

static int read_register(void *context, uint32_t address, uint32_t *value)
{
    return context != simulation || core_access(simulation, address, value, 0) != 0;
}

static int write_register(void *context, uint32_t address, uint32_t value)
{
    return context != simulation || core_access(simulation, address, &value, 1) != 0;
}

static int inside(uint64_t address, size_t size)
{
    return address >= first && size <= length && address - first <= length - size;
}

static int read_bytes(void *context, uint64_t address, void *bytes, size_t size)
{
    if (context != simulation || !inside(address, size))
        return -1;
    memcpy(bytes, bytes_here + (address - first), size);
    return 0;
}

static int write_bytes(void *context, uint64_t address, const void *bytes, size_t size)
{
    if (context != simulation || !inside(address, size))
        return -1;
    memcpy(bytes_here + (address - first), bytes, size);
    return 0;
}

tetra_transport simulated_open(uint8_t *memory, uint64_t base, uint64_t size)
{
    static const uint32_t timing[4] = {50, 0, 1, 1}; /* latency, stalls, spacing, seed */
    tetra_transport bus;
    simulation = core_new(0);
    core_timing(simulation, timing);
    bytes_here = memory, first = base, length = size;
    core_region(simulation, base, memory, size);
    bus.context = simulation;
    bus.read32 = read_register, bus.write32 = write_register;
    bus.read_memory = read_bytes, bus.write_memory = write_bytes;
    return bus;
}

void simulated_run(uint64_t cycles)
{
    core_run(simulation, cycles);
}

void simulated_close(void)
{
    core_delete(simulation);
    simulation = 0;
}
