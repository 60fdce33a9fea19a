/* SPDX-License-Identifier: Apache-2.0 */
/* A transport to the verilated core, with one piece of memory. On a board this is the file to
   replace: registers and memory are then volatile pointers. */
#ifndef SIMULATED_H
#define SIMULATED_H

#include "tetra_driver.h"

/* Starts a core that sees `size` bytes from `base` on, `memory` here. */
tetra_transport simulated_open(uint8_t *memory, uint64_t base, uint64_t size);

/* Simulates so many cycles, or until the interrupt. */
void simulated_run(uint64_t cycles);

void simulated_close(void);

#endif
