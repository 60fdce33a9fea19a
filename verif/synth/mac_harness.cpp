// SPDX-License-Identifier: Apache-2.0
// Clocks the multiply-accumulators of verif/synth/baselines.py; a word of each port belongs to each.
#include <cstdint>
#include <cstring>
#include "Vmodel.h"

extern "C" void macs_run(int64_t cycles, const uint32_t* operands, const uint32_t* control,
                         uint32_t* acc) {
    Vmodel model;
    for (int64_t i = 0; i < cycles * MACS; i += MACS) {
        std::memcpy(model.operands.m_storage, operands + i, sizeof(uint32_t) * MACS);
        std::memcpy(model.control.m_storage, control + i, sizeof(uint32_t) * MACS);
        model.clk = 0;
        model.eval();
        model.clk = 1;
        model.eval();
        std::memcpy(acc + i, model.acc.m_storage, sizeof(uint32_t) * MACS);
    }
}
