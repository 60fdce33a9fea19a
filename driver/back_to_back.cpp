// SPDX-License-Identifier: Apache-2.0
// Counts the cycles of jobs that overlap, which driver/cycles.py states in closed form: the engine gets
// each descriptor as soon as it takes it, every operand is there, and nobody looks at results.

#include <cstdint>
#include <cstring>
#include <memory>

#include "Vmodel.h"
#include "verilated.h"

#define PORT(stream, part) stream##_##part

// Cycles from offering the first of `jobs` descriptors, 64 bytes each, to the last result; 0 if that does
// not come within `patience` cycles.
extern "C" uint64_t back_to_back(const uint8_t* descriptors, uint64_t jobs, uint64_t patience) {
    VerilatedContext context;
    std::unique_ptr<Vmodel> top{new Vmodel(&context)};
    const auto clock = [&top] {
        top->clk = 1;
        top->eval();
        top->clk = 0;
    };
    top->rst = 1;
    top->eval();
    clock();
    top->rst = 0;
    top->PORT(a, valid) = top->PORT(b, valid) = top->PORT(x, valid) = 1;
    top->PORT(result, ready) = 1;
    uint64_t offered = 0, done = 0, cycles = 0;
    for (; done < jobs && cycles < patience; cycles++) {
        top->PORT(job, valid) = offered < jobs;
        if (offered < jobs)
            std::memcpy(&top->PORT(job, payload), descriptors + 64 * offered,
                        sizeof(top->PORT(job, payload)));
        top->eval();
        uint8_t row[sizeof(top->PORT(result, payload))];
        std::memcpy(row, &top->PORT(result, payload), sizeof row);
        done += top->PORT(result, valid) && (row[RESULT_LAST / 8] >> RESULT_LAST % 8 & 1);
        offered += top->PORT(job, valid) && top->PORT(job, ready);
        clock();
    }
    return done < jobs ? 0 : cycles;
}
