/* SPDX-License-Identifier: Apache-2.0 */
#include "tetra_driver.h"

#include <string.h>

#include "tetra_registers.h"

/* A field of a register that has been read. */
#define FIELD(value, name) (((value) & TETRA__##name##_bm) >> TETRA__##name##_bp)
#define DO(call) do { const int done_ = (call); if (done_) return done_; } while (0)

static int get(tetra_core *core, uint32_t address, uint32_t *value)
{
    return core->bus.read32(core->bus.context, address, value) ? TETRA_BUS : TETRA_OK;
}

static int put(tetra_core *core, uint32_t address, uint32_t value)
{
    return core->bus.write32(core->bus.context, address, value) ? TETRA_BUS : TETRA_OK;
}

static int put64(tetra_core *core, uint32_t address, uint64_t value)
{
    DO(put(core, address, (uint32_t)value));
    return put(core, address + 4u, (uint32_t)(value >> 32));
}

static int get64(tetra_core *core, uint32_t address, uint64_t *value)
{
    uint32_t low, high;
    DO(get(core, address, &low));
    DO(get(core, address + 4u, &high));
    *value = (uint64_t)high << 32 | low;
    return TETRA_OK;
}

/* Windows may be locked: then they have to be these already. */
static int set_window(tetra_core *core, uint32_t address, uint64_t value)
{
    uint64_t found;
    DO(put64(core, address, value));
    DO(get64(core, address, &found));
    return found == value ? TETRA_OK : TETRA_LOCKED;
}

static int check_identity(tetra_core *core)
{
    uint32_t id, version, interfaces;
    const uint32_t minor = TETRA__VERSION__MAJOR_bm | TETRA__VERSION__MINOR_bm;
    const uint32_t wanted = (uint32_t)TETRA__VERSION__MAJOR_reset << TETRA__VERSION__MAJOR_bp |
                            (uint32_t)TETRA__VERSION__MINOR_reset << TETRA__VERSION__MINOR_bp;
    DO(get(core, TETRA_ID_ADDRESS, &id));
    DO(get(core, TETRA_VERSION_ADDRESS, &version));
    DO(get(core, TETRA_INTERFACES_ADDRESS, &interfaces));
    if (id != TETRA__ID__VALUE_reset || (version & minor) != wanted ||
        FIELD(interfaces, INTERFACES__DESCRIPTOR) != TETRA_DESCRIPTOR_VERSION)
        return TETRA_NO_CORE;
    return TETRA_OK;
}

static int quiesce(tetra_core *core, uint32_t polls)
{
    uint32_t status;
    DO(put(core, TETRA_CONTROL_ADDRESS, TETRA__CONTROL__SOFT_RESET_bm));
    core->queued = core->ended = 0;
    core->error = TETRA_FAULT_NONE;
    for (;;) {
        DO(get(core, TETRA_STATUS_ADDRESS, &status));
        if (FIELD(status, STATUS__IDLE))
            return TETRA_OK;
        if (!polls--)
            return TETRA_BUSY;
    }
}

int tetra_open(tetra_core *core, const tetra_transport *bus, uint64_t base, uint64_t size,
               unsigned log2_entries, uint32_t polls)
{
    const uint64_t last = base + (size - 1u);
    uint32_t addresses, width;
    memset(core, 0, sizeof *core);
    core->bus = *bus;
    if (log2_entries < 1u || log2_entries > 15u)
        return TETRA_ARGUMENT;
    core->entries = (uint32_t)1 << log2_entries;
    core->ring = base;
    if (base % TETRA_DESCRIPTOR_BYTES || last < base || !size ||
        size < (uint64_t)core->entries * TETRA_DESCRIPTOR_BYTES)
        return TETRA_ARGUMENT;
    DO(check_identity(core));
    DO(get(core, TETRA_ADDRESSES_ADDRESS, &addresses));
    width = FIELD(addresses, ADDRESSES__ADDRESS_WIDTH);
    if (width < 64u && last >> width)
        return TETRA_ARGUMENT;
    DO(quiesce(core, polls));
    DO(put64(core, TETRA_RING_BASE_LOW_ADDRESS, base));
    DO(put(core, TETRA_RING_SIZE_ADDRESS, log2_entries));
    DO(set_window(core, TETRA_READ_BASE_LOW_ADDRESS, base));
    DO(set_window(core, TETRA_READ_LIMIT_LOW_ADDRESS, last));
    DO(set_window(core, TETRA_WRITE_BASE_LOW_ADDRESS, base));
    DO(set_window(core, TETRA_WRITE_LIMIT_LOW_ADDRESS, last));
    return put(core, TETRA_CONTROL_ADDRESS, TETRA__CONTROL__ENABLE_bm);
}

uint64_t tetra_behind_ring(const tetra_core *core)
{
    return core->ring + (uint64_t)core->entries * TETRA_DESCRIPTOR_BYTES;
}

int tetra_poll(tetra_core *core)
{
    uint32_t status, head, error;
    DO(get(core, TETRA_STATUS_ADDRESS, &status));
    DO(get(core, TETRA_RING_HEAD_ADDRESS, &head)); /* after status: what has ended counts */
    core->ended += (head - core->ended) & (core->entries - 1u);
    if (FIELD(status, STATUS__STOPPED)) {
        DO(get(core, TETRA_ERROR_ADDRESS, &error));
        DO(get64(core, TETRA_ERROR_ADDRESS_LOW_ADDRESS, &core->error_address));
        core->error = FIELD(error, ERROR__CODE);
        core->error_job = core->ended; /* the head stays at the job that failed */
        return TETRA_STOPPED;
    }
    return FIELD(status, STATUS__IDLE) && core->ended == core->queued ? TETRA_OK : TETRA_BUSY;
}

int tetra_enqueue(tetra_core *core, const tetra_descriptor *job)
{
    uint8_t bytes[TETRA_DESCRIPTOR_BYTES];
    const uint32_t mask = core->entries - 1u, entry = core->queued & mask;
    if (core->queued - core->ended == mask) {
        const int found = tetra_poll(core);
        if (core->queued - core->ended == mask)
            return found;
        if (found == TETRA_BUS)
            return found;
    }
    tetra_pack(job, bytes);
    if (core->bus.write_memory(core->bus.context, core->ring + (uint64_t)entry * sizeof bytes,
                               bytes, sizeof bytes))
        return TETRA_BUS;
    core->queued++;
    return put(core, TETRA_RING_TAIL_ADDRESS, core->queued & mask);
}

int tetra_wait(tetra_core *core, uint32_t polls)
{
    int found;
    do
        found = tetra_poll(core);
    while (found == TETRA_BUSY && polls--);
    return found;
}

int tetra_acknowledge(tetra_core *core)
{
    return put(core, TETRA_CONTROL_ADDRESS,
               TETRA__CONTROL__ENABLE_bm | TETRA__CONTROL__ACKNOWLEDGE_bm);
}

int tetra_soft_reset(tetra_core *core, uint32_t polls)
{
    DO(quiesce(core, polls));
    return put(core, TETRA_CONTROL_ADDRESS, TETRA__CONTROL__ENABLE_bm);
}

const char *tetra_result_text(int result)
{
    switch (result) {
    case TETRA_OK: return "done";
    case TETRA_BUSY: return "not yet done";
    case TETRA_STOPPED: return "the core has stopped";
    case TETRA_BUS: return "registers or memory do not answer";
    case TETRA_NO_CORE: return "no core of this version";
    case TETRA_ARGUMENT: return "a ring or memory that cannot be";
    case TETRA_LOCKED: return "the windows are locked with other values";
    default: return "?";
    }
}
