/* SPDX-License-Identifier: Apache-2.0 */
/* Runs jobs on a Tetra core: C99, no operating system, no allocation.

   tetra_open resets a core and gives it a ring and its windows; tetra_enqueue queues a descriptor
   (tetra.h has its setters); tetra_wait waits until all have ended. Where the core stops, the
   fields error, error_address and error_job of tetra_core say why, and tetra_acknowledge lets it
   go on behind the descriptor that failed. tetra_registers.h is generated: hdl/emit/registers.py. */
#ifndef TETRA_DRIVER_H
#define TETRA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "tetra.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How to reach registers and memory, addresses as the core sees them; each gives 0, or another
   number if it failed. What write_memory has written the core reads once a later write32 is done:
   on a CPU with a cache or a weak order that takes a flush or a barrier. */
typedef struct {
    void *context; /* handed to the functions */
    int (*read32)(void *context, uint32_t address, uint32_t *value);
    int (*write32)(void *context, uint32_t address, uint32_t value);
    int (*read_memory)(void *context, uint64_t address, void *bytes, size_t size);
    int (*write_memory)(void *context, uint64_t address, const void *bytes, size_t size);
} tetra_transport;

enum tetra_result {
    TETRA_OK = 0,
    TETRA_BUSY = 1,     /* not yet: jobs are under way, or the ring is full */
    TETRA_STOPPED = 2,  /* the core has stopped: see error, then tetra_acknowledge */
    TETRA_BUS = 3,      /* the transport failed */
    TETRA_NO_CORE = 4,  /* there is no core of this version at this address */
    TETRA_ARGUMENT = 5, /* a ring or memory that cannot be, or that the core's bus does not reach */
    TETRA_LOCKED = 6    /* the windows are locked with other values */
};

typedef struct {
    tetra_transport bus;
    uint64_t ring;          /* address of entry 0 */
    uint32_t entries;       /* of the ring; one stays unused */
    uint32_t queued, ended; /* jobs since the last reset; they wrap at 2^32 */
    uint32_t error;         /* TETRA_FAULT_..., of the last stop */
    uint32_t error_job;     /* which one failed: it was queued as the so many-th, from 0 */
    uint64_t error_address; /* the byte that the error is about, or 0 */
} tetra_core;

/* Resets the core at the transport's address 0 and lets it access memory [base, base + size) and
   nothing else. The ring, of 2^log2_entries descriptors (1..15), takes its first bytes; base is a
   multiple of 256. `polls`: how often to ask for the end of the reset before TETRA_BUSY. */
int tetra_open(tetra_core *core, const tetra_transport *bus, uint64_t base, uint64_t size,
               unsigned log2_entries, uint32_t polls);

/* The first byte behind the ring. */
uint64_t tetra_behind_ring(const tetra_core *core);

/* Queues a job; TETRA_BUSY where the ring is full, TETRA_STOPPED where it is and the core waits. */
int tetra_enqueue(tetra_core *core, const tetra_descriptor *job);

/* TETRA_OK when all that is queued has ended and is in memory, TETRA_BUSY before, TETRA_STOPPED. */
int tetra_poll(tetra_core *core);

/* Asks at most `polls` times, until it is not TETRA_BUSY. */
int tetra_wait(tetra_core *core, uint32_t polls);

/* Lets a core that has stopped go on behind the job that failed. */
int tetra_acknowledge(tetra_core *core);

/* Forgets all jobs, and the table of scales; ring and windows stay. */
int tetra_soft_reset(tetra_core *core, uint32_t polls);

/* What a result means. The name of `error` tells tetra_fault_name of tetra.h. */
const char *tetra_result_text(int result);

#ifdef __cplusplus
}
#endif

#endif /* TETRA_DRIVER_H */
