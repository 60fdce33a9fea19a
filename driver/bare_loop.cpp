// SPDX-License-Identifier: Apache-2.0
// What the binding is measured against: the same verilated model driven by the shortest loop that
// keeps it busy, with operands prepared before and results not even looked at.

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "Vmodel.h"
#include "verilated.h"

#define PORT(stream, part) stream##_##part

// Runs one GEMM job of `beats` operand beats; returns seconds per simulated cycle, 0 if it hangs.
extern "C" double bare_loop(const uint8_t* descriptor, uint64_t beats) {
    VerilatedContext context;
    std::unique_ptr<Vmodel> top{new Vmodel(&context)};
    std::vector<uint64_t> noise(64 + sizeof(top->PORT(a, payload)) / 8 + 1);
    uint64_t random = 88172645463325252ULL;
    for (uint64_t& word : noise)
        random ^= random << 13, random ^= random >> 7, random ^= random << 17, word = random;
    const auto clock = [&top] {
        top->clk = 1;
        top->eval();
        top->clk = 0;
    };
    top->rst = 1;
    top->eval();
    clock();
    top->rst = 0;
    std::memcpy(&top->PORT(job, payload), descriptor, sizeof(top->PORT(job, payload)));
    top->PORT(job, valid) = top->PORT(a, valid) = top->PORT(b, valid) = 1;
    top->PORT(result, ready) = top->PORT(report, ready) = 1;
    top->eval();
    clock();
    top->PORT(job, valid) = 0;

    const auto start = std::chrono::steady_clock::now();
    uint64_t taken = 0, cycles = 0;
    for (; taken < beats && cycles < 16 * beats + 1000; cycles++) {
        std::memcpy(&top->PORT(a, payload), &noise[cycles % 64], sizeof(top->PORT(a, payload)));
        std::memcpy(&top->PORT(b, payload), &noise[~cycles % 64], sizeof(top->PORT(b, payload)));
        top->eval();
        taken += top->PORT(a, ready);
        clock();
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    return taken < beats ? 0 : spent.count() / cycles;
}
