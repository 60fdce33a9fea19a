// SPDX-License-Identifier: Apache-2.0
// A verilated core, its registers and a memory behind its AXI port: the loop over cycles is here.
//
// BUS is the bus's width in bytes (driver/verilated_core.py). The memory answers in order. What is
// written changes it only when the response goes out, so that a load that does not wait for it reads
// what was there before.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "Vmodel.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

namespace {

constexpr uint32_t kSlaveError = 2, kDecodeError = 3;

struct Region {
    uint64_t base, size;
    uint8_t* data;
};

struct Timing {  // as driver/verilated_core.py declares it
    uint32_t latency;  // cycles from an address to its first beat
    uint32_t answer;   // cycles from a burst's last data to its answer
    uint32_t stall;    // each channel idles in so many of 256 cycles
    uint32_t spacing;  // cycles from one beat of data to the next, from 1
    uint32_t seed;
};

struct Burst {
    uint64_t address, ready;
    uint32_t beats, done;
};

struct Write {
    uint64_t address, ready;
    bool addressed;
    std::vector<uint8_t> data, strobes;
};

}  // namespace

struct Core {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vmodel> top;
    uint64_t cycle = 0, random = 1, next_read = 0, next_write = 0;
    Timing timing{};
    std::vector<Region> regions;
    std::vector<std::pair<uint64_t, uint64_t>> failing;  // first and last address
    std::deque<Burst> reads, addresses;
    std::deque<Write> writes;
    Write filling;
    uint64_t strays = 0;  // beats that break the protocol
    bool r_up = false, b_up = false, dumping = true;
#if VM_TRACE_FST
    std::unique_ptr<VerilatedFstC> trace;
#endif

    explicit Core(const char* file) {
        context->traceEverOn(file != nullptr);
        top.reset(new Vmodel(context.get()));
#if VM_TRACE_FST
        if (file) {
            trace.reset(new VerilatedFstC);
            top->trace(trace.get(), 99);
            trace->open(file);
        }
#endif
        reset();
    }
    ~Core() {
#if VM_TRACE_FST
        if (trace) trace->close();
#endif
        top->final();
    }
    void eval(int clk) {
        top->clk = clk;
        top->eval();
#if VM_TRACE_FST
        if (trace && dumping) trace->dump(2 * cycle + clk);
#endif
    }
    void reset() {
        top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
        top->s_axil_bready = top->s_axil_rready = 1;
        top->m_axi_rvalid = top->m_axi_bvalid = 0;
        top->m_axi_rid = top->m_axi_bid = 0;
        reads.clear(), addresses.clear(), writes.clear();
        filling = {};
        r_up = b_up = false;
        top->rst = 1;
        eval(0), eval(1), cycle++;
        top->rst = 0;
    }
    bool idle() {
        if (!timing.stall) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return (random >> 32 & 255) < timing.stall;
    }
    uint8_t* find(uint64_t address) {
        for (const Region& r : regions)
            if (address >= r.base && address - r.base < r.size) return r.data + (address - r.base);
        return nullptr;
    }
    // The response to a beat of bytes, those that count being chosen by `used`.
    template <typename Used>
    uint32_t answer(uint64_t beat, Used used) {
        uint32_t found = 0;
        for (uint64_t i = 0; i < BUS; i++) {
            if (!used(i)) continue;
            if (!find(beat + i)) return kDecodeError;
            for (auto& f : failing)
                if (beat + i >= f.first && beat + i <= f.second) found = kSlaveError;
        }
        return found;
    }
    void tick();
    uint32_t access(uint32_t address, uint32_t* value, bool write);
};

// One cycle of the memory and of whatever drives the registers.
void Core::tick() {
    // Drive: what is valid stays so until taken.
    top->m_axi_arready = !idle() && reads.size() < 256;
    top->m_axi_awready = !idle() && addresses.size() < 64;
    top->m_axi_wready = !idle() && cycle >= next_write;
    if (!r_up && !reads.empty() && reads.front().ready <= cycle && cycle >= next_read && !idle()) {
        Burst& burst = reads.front();
        const uint64_t beat = (burst.address / BUS + burst.done) * BUS;
        uint8_t bytes[BUS];
        for (uint64_t i = 0; i < BUS; i++) {
            const uint8_t* at = find(beat + i);
            bytes[i] = at ? *at : 0xA5;
        }
        std::memcpy(&top->m_axi_rdata, bytes, BUS);
        // a beat fails where none of it is there, or some of it is made to fail
        bool any = false;
        for (uint64_t i = 0; i < BUS; i++) any |= find(beat + i) != nullptr;
        uint32_t resp = any ? 0 : kDecodeError;
        for (auto& f : failing)
            if (beat + BUS - 1 >= f.first && beat <= f.second) resp = kSlaveError;
        top->m_axi_rresp = resp;
        top->m_axi_rlast = burst.done + 1 == burst.beats;
        r_up = true;
    }
    top->m_axi_rvalid = r_up;
    if (!b_up && !writes.empty() && writes.front().addressed && writes.front().ready <= cycle &&
        !idle()) {
        Write& burst = writes.front();
        uint32_t resp = 0;
        for (uint64_t at = 0; at < burst.data.size(); at += BUS)
            resp = std::max(resp, answer(burst.address / BUS * BUS + at, [&](uint64_t i) {
                                return burst.strobes[at + i];
                            }));
        if (!resp)
            for (uint64_t at = 0; at < burst.data.size(); at++)
                if (burst.strobes[at]) *find(burst.address / BUS * BUS + at) = burst.data[at];
        top->m_axi_bresp = resp;
        b_up = true;
    }
    top->m_axi_bvalid = b_up;
    eval(0);

    // Sample the handshakes that this cycle completes, then clock.
    if (top->m_axi_arvalid && top->m_axi_arready) {
        const uint64_t first = top->m_axi_araddr, beats = top->m_axi_arlen + 1;
        if (first / 4096 != (first / BUS * BUS + beats * BUS - 1) / 4096) strays++;
        reads.push_back({first, cycle + timing.latency, static_cast<uint32_t>(beats), 0});
    }
    if (top->m_axi_awvalid && top->m_axi_awready) {
        const uint64_t first = top->m_axi_awaddr, beats = top->m_axi_awlen + 1;
        if (first / 4096 != (first / BUS * BUS + beats * BUS - 1) / 4096) strays++;
        addresses.push_back({first, 0, static_cast<uint32_t>(beats), 0});
    }
    const bool w_taken = top->m_axi_wvalid && top->m_axi_wready;
    if (w_taken) {
        uint8_t bytes[BUS];
        std::memcpy(bytes, &top->m_axi_wdata, BUS);
        for (uint64_t i = 0; i < BUS; i++) {
            filling.data.push_back(bytes[i]);
            filling.strobes.push_back(static_cast<uint64_t>(top->m_axi_wstrb) >> i & 1);
        }
        next_write = cycle + timing.spacing;
        if (top->m_axi_wlast) {
            filling.ready = cycle + timing.answer;
            // beats may come before their address: it is then the next one that comes
            writes.push_back(std::move(filling));
            filling = {};
        }
    }
    const bool r_taken = r_up && top->m_axi_rready, b_taken = b_up && top->m_axi_bready;
    eval(1);
    cycle++;
    if (r_taken) {
        r_up = false;
        next_read = cycle - 1 + timing.spacing;
        if (++reads.front().done == reads.front().beats) reads.pop_front();
    }
    if (b_taken) b_up = false, writes.pop_front();
    for (Write& burst : writes) {
        if (burst.addressed || addresses.empty()) continue;
        const Burst& address = addresses.front();
        if (address.beats * BUS != burst.data.size()) strays++;
        burst.address = address.address, burst.addressed = true;
        addresses.pop_front();
    }
}

uint32_t Core::access(uint32_t address, uint32_t* value, bool write) {
    if (write) {
        top->s_axil_awaddr = address, top->s_axil_wdata = *value, top->s_axil_wstrb = 15;
        top->s_axil_awvalid = top->s_axil_wvalid = 1;
    } else {
        top->s_axil_araddr = address, top->s_axil_arvalid = 1;
    }
    for (int patience = 0; patience < 10000; patience++) {
        top->clk = 0, top->eval();
        const bool aw = top->s_axil_awvalid && top->s_axil_awready;
        const bool w = top->s_axil_wvalid && top->s_axil_wready;
        const bool ar = top->s_axil_arvalid && top->s_axil_arready;
        const bool b = top->s_axil_bvalid, r = top->s_axil_rvalid;
        const uint32_t resp = write ? top->s_axil_bresp : top->s_axil_rresp;
        if (r && !write) *value = top->s_axil_rdata;
        tick();
        if (aw) top->s_axil_awvalid = 0;
        if (w) top->s_axil_wvalid = 0;
        if (ar) top->s_axil_arvalid = 0;
        if (write ? b : r) return resp;
    }
    return 4;  // no answer
}

extern "C" {
Core* core_new(const char* trace_file) { return new Core(trace_file); }
void core_delete(Core* core) { delete core; }
void core_reset(Core* core) { core->reset(); }
void core_timing(Core* core, const Timing* timing) {
    core->timing = *timing;
    core->random = timing->seed * 2 + 1;
}
void core_region(Core* core, uint64_t base, uint8_t* data, uint64_t size) {
    core->regions.push_back({base, size, data});
}
void core_forget(Core* core) { core->regions.clear(), core->failing.clear(); }
void core_failing(Core* core, uint64_t first, uint64_t last) {
    core->failing.push_back({first, last});
}
uint32_t core_access(Core* core, uint32_t address, uint32_t* value, uint32_t write) {
    return core->access(address, value, write);
}
// Cycles until the interrupt, or `most` of them.
void core_run(Core* core, uint64_t most) {
    for (uint64_t i = 0; i < most; i++) {
        core->tick();
        if (core->top->irq) break;
    }
}
uint64_t core_cycles(Core* core) { return core->cycle; }
void core_dump(Core* core, uint32_t on) { core->dumping = on; }
uint64_t core_strays(Core* core) { return core->strays; }
uint32_t core_irq(Core* core) { return core->top->irq; }
}
