// SPDX-License-Identifier: Apache-2.0
// Runs whole jobs on the verilated engine: the loop over cycles is here, never in Python.
//
// Shapes and bit positions come from the configuration as macros (driver/verilated.py): ROWS, COLS,
// LANES, RESULT_MASK, RESULT_KEEP, RESULT_LAST, FLAG_BAD_JOB. Operands are read through strides, so that a
// transposed operand costs nothing.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "Vmodel.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

#define PORT(stream, part) stream##_##part

namespace {

// What lies beyond M, N and K is fed as this, to show that the engine ignores it.
constexpr uint8_t kGarbage = 0xA5;
constexpr uint64_t kPatience = 100000;  // cycles without progress that count as a hang

enum Outcome { kOk, kHung, kBadTag, kLeftOver, kRefused, kNoMemory };  // see driver/verilated.py

struct Matrix {
    const char* data;
    int64_t row, col;  // strides in bytes
    template <typename T>
    T at(int64_t r, int64_t c) const {
        T value;
        std::memcpy(&value, data + r * row + c * col, sizeof value);
        return value;
    }
};

template <typename Port>
void drive(Port& port, const uint8_t* bytes) {
    std::memcpy(&port, bytes, sizeof port);
}

// One beat of a stream of words or nibbles, wide enough for any port's storage.
template <size_t Bits>
struct Beat {
    static constexpr size_t kBytes = (Bits + 63) / 64 * 8;
    uint8_t bytes[kBytes];
};

// Every beat of an operand, packed once: beat (vector / group) * steps + k / LANES.
template <int Group>
std::vector<Beat<Group * LANES * 4>> pack(const Matrix& codes, int64_t vectors, int64_t k) {
    using B = Beat<Group * LANES * 4>;
    const int64_t steps = (k + LANES - 1) / LANES;
    std::vector<B> beats((vectors + Group - 1) / Group * steps);
    // a model's port must not hold bits beyond its width, which only a beat of one nibble could
    const int garbage = kGarbage & (Group * LANES == 1 ? 15 : 255);
    std::memset(static_cast<void*>(beats.data()), garbage, beats.size() * sizeof(B));
    for (int64_t v = 0; v < vectors; v++)
        for (int64_t i = 0; i < k; i++) {
            const size_t nibble = (v % Group) * LANES + i % LANES;
            uint8_t& byte = beats[v / Group * steps + i / LANES].bytes[nibble / 2];
            const int shift = nibble % 2 * 4;
            byte = (byte & ~(15 << shift)) | (codes.at<uint8_t>(v, i) & 15) << shift;
        }
    return beats;
}

// Position in the blocks of a result, strip by strip and in it row by row, as the engine walks them.
struct Walk {
    int64_t m, n, strip, row = 0, block_m = 0, block_n = 0, left = 0;
    Walk(int64_t m, int64_t n, int64_t strip) : m(m), n(n), strip(strip) {}
    void end() { left = n; }
    bool done() const { return left >= n; }
    int64_t rows() const { return std::min<int64_t>(ROWS, m - block_m); }
    int64_t cols() const { return std::min<int64_t>(COLS, n - block_n); }
    bool last_row() const { return row + 1 == rows(); }
    void next_block() {
        row = 0;
        block_n += COLS;
        if (block_n >= std::min(n, left + strip)) block_n = left, block_m += ROWS;
        if (block_m >= m) block_m = 0, block_n = left += strip;
    }
    void next_row() {
        if (last_row()) next_block();
        else row++;
    }
};

}  // namespace

struct EngineJob {  // as driver/verilated.py declares it
    int64_t m, n, k, strip;
    Matrix a, b, x, bias, mask;  // data == nullptr: absent
    uint8_t descriptor[64];
    int32_t* data;  // m * n results
    uint8_t* clip_mask;  // m * n, 0 or 1
    uint8_t* report;  // of an adapting job, else nullptr
    uint32_t discard;  // no results come
    uint64_t cycles;  // out: from offering the job to its last result or report
    uint32_t flags;  // out
    uint32_t trace;  // whether this job goes into the waveform
    uint32_t stall;  // each stream idles in stall of 256 cycles, for tests
    uint64_t seed;
};

struct Engine {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vmodel> top;
    uint64_t cycle = 0, random = 1;
    bool tracing = false;
#if VM_TRACE_FST
    std::unique_ptr<VerilatedFstC> trace;
#endif

    explicit Engine(const char* trace_file) {
        context->traceEverOn(trace_file != nullptr);
        top.reset(new Vmodel(context.get()));
#if VM_TRACE_FST
        if (trace_file) {
            trace.reset(new VerilatedFstC);
            top->trace(trace.get(), 99);
            trace->open(trace_file);
        }
#endif
        reset();
    }
    void reset() {
        tracing = false;  // the waveform of a job that failed ends with it
        top->PORT(job, valid) = top->PORT(a, valid) = top->PORT(b, valid) = 0;
        top->PORT(x, valid) = top->PORT(bias, valid) = top->PORT(mask, valid) = 0;
        top->rst = 1;
        tick();
        top->rst = 0;
    }
    ~Engine() {
#if VM_TRACE_FST
        if (trace) trace->close();
#endif
        top->final();
    }
    void eval(int clk) {
        top->clk = clk;
        top->eval();
#if VM_TRACE_FST
        if (tracing) trace->dump(2 * cycle + clk);
#endif
    }
    void rise() {
        eval(1);
        cycle++;
    }
    void tick() {
        eval(0);
        rise();
    }
    bool idle(uint32_t stall) {  // xorshift64: only tests stall
        if (!stall) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return (random >> 32 & 255) < stall;
    }
    int run(EngineJob& job);
};

int Engine::run(EngineJob& job) {
    const int64_t m = job.m, n = job.n, steps = (job.k + LANES - 1) / LANES;
    const bool gemm = job.a.data;
    std::vector<Beat<ROWS * LANES * 4>> a;
    std::vector<Beat<COLS * LANES * 4>> b;
    if (gemm) {
        a = pack<ROWS>(job.a, m, job.k);
        b = pack<COLS>(job.b, n, job.k);
    }
    Walk feed(m, n, job.strip), drain = feed, result = feed;
    if (!gemm) feed.end();
    if (job.discard) result.end();
    bool reported = !job.report;
    int64_t a_step = 0, b_step = 0;
    Walk feed_b = feed;
    Beat<COLS * 32> words, biases;
    Beat<COLS> masks;
    uint8_t out[sizeof(top->PORT(result, payload)) + 8];
    const auto bit = [&out](size_t at) { return out[at / 8] >> at % 8 & 1; };
    random = job.seed | 1;
    tracing = job.trace;

    top->clear = 1;
    tick();
    top->clear = 0;
    drive(top->PORT(job, payload), job.descriptor);
    top->PORT(job, valid) = 1;
    bool a_up = false, b_up = false, x_up = false, bias_up = false, mask_up = false;
    const uint64_t start = cycle;
    uint64_t progress = cycle;
    while (!result.done() || !reported) {
        // Drive: a stream that is valid stays so until taken.
        if (!feed.done() && (a_up || !idle(job.stall))) {
            drive(top->PORT(a, payload), a[feed.block_m / ROWS * steps + a_step].bytes);
            a_up = true;
        }
        if (!feed_b.done() && (b_up || !idle(job.stall))) {
            drive(top->PORT(b, payload), b[feed_b.block_n / COLS * steps + b_step].bytes);
            b_up = true;
        }
        if (!drain.done()) {
            const int64_t row = drain.block_m + drain.row, cols = drain.cols();
            if (job.x.data && !x_up && !idle(job.stall)) {
                std::memset(&words, kGarbage, sizeof words);
                for (int64_t c = 0; c < cols; c++) {
                    const auto word = job.x.at<int32_t>(row, drain.block_n + c);
                    std::memcpy(words.bytes + 4 * c, &word, 4);
                }
                drive(top->PORT(x, payload), words.bytes);
                x_up = true;
            }
            if (job.bias.data && !bias_up && !idle(job.stall)) {
                std::memset(&biases, kGarbage, sizeof biases);
                for (int64_t c = 0; c < cols; c++) {
                    const auto word = job.bias.at<int32_t>(0, drain.block_n + c);
                    std::memcpy(biases.bytes + 4 * c, &word, 4);
                }
                drive(top->PORT(bias, payload), biases.bytes);
                bias_up = true;
            }
            if (job.mask.data && !mask_up && !idle(job.stall)) {
                std::memset(&masks, 0, sizeof masks);
                for (int64_t c = 0; c < cols; c++)
                    masks.bytes[c / 8] |= (job.mask.at<uint8_t>(row, drain.block_n + c) & 1)
                                          << c % 8;
                drive(top->PORT(mask, payload), masks.bytes);
                mask_up = true;
            }
        }
        top->PORT(a, valid) = a_up;
        top->PORT(b, valid) = b_up;
        top->PORT(x, valid) = x_up;
        top->PORT(bias, valid) = bias_up;
        top->PORT(mask, valid) = mask_up;
        top->PORT(result, ready) = !idle(job.stall);
        top->PORT(report, ready) = !idle(job.stall);
        eval(0);

        // Sample the handshakes that this cycle completes, then clock.
        const bool job_taken = top->PORT(job, valid) && top->PORT(job, ready);
        const bool a_taken = a_up && top->PORT(a, ready), b_taken = b_up && top->PORT(b, ready);
        const bool x_taken = x_up && top->PORT(x, ready);
        const bool bias_taken = bias_up && top->PORT(bias, ready);
        const bool mask_taken = mask_up && top->PORT(mask, ready);
        const bool row_taken = top->PORT(result, valid) && top->PORT(result, ready);
        const auto& payload = top->PORT(result, payload);
        if (row_taken) std::memcpy(out, &payload, sizeof payload);
        const bool report_taken = top->PORT(report, valid) && top->PORT(report, ready);
        if (report_taken) {
            if (reported) return kBadTag;
            std::memcpy(job.report, &top->PORT(report, payload), sizeof(top->PORT(report, payload)));
            reported = true;
        }
        if (row_taken && result.done()) return kBadTag;
        rise();

        if (job_taken) top->PORT(job, valid) = 0;
        if (a_taken) {
            a_up = false;
            if (++a_step == steps) a_step = 0, feed.next_block();
        }
        if (b_taken) {
            b_up = false;
            if (++b_step == steps) b_step = 0, feed_b.next_block();
        }
        x_up &= !x_taken;
        bias_up &= !bias_taken;
        mask_up &= !mask_taken;
        // x and mask advance together, one row each; without them bias sets the pace by blocks.
        if (job.x.data ? x_taken : job.mask.data && mask_taken) drain.next_row();
        else if (!job.x.data && !job.mask.data && bias_taken) drain.next_block();
        if (row_taken) {
            const int64_t at = (result.block_m + result.row) * n + result.block_n;
            const int64_t cols = result.cols();
            std::memcpy(job.data + at, out, 4 * cols);
            for (int64_t c = 0; c < COLS; c++) {
                if (c < cols) job.clip_mask[at + c] = bit(RESULT_MASK + c);
                if (bit(RESULT_KEEP + c) != (c < cols)) return kBadTag;
            }
            result.next_row();
            if (bit(RESULT_LAST) != result.done()) return kBadTag;
        }
        if (row_taken || a_taken || x_taken || job_taken || report_taken) progress = cycle;
        if (cycle - progress > kPatience) return kHung;
        if (top->flags & FLAG_BAD_JOB) return kRefused;
    }
    job.cycles = cycle - start;
    top->clk = 0;  // not dumped: the next job's first half cycle has the same time
    top->eval();
    job.flags = top->flags;
    const bool drains = job.x.data || job.mask.data || job.bias.data;
    const bool left = a_up || b_up || x_up || bias_up || mask_up || (drains && !drain.done());
    return left ? kLeftOver : kOk;
}

extern "C" {
Engine* engine_new(const char* trace_file) { return new Engine(trace_file); }
void engine_delete(Engine* engine) { delete engine; }
void engine_reset(Engine* engine) { engine->reset(); }
int engine_run(Engine* engine, EngineJob* job) try {
    const int outcome = engine->run(*job);
    if (outcome != kOk) engine->reset();  // whatever was left half-done, and the table of scales
    return outcome;
} catch (const std::bad_alloc&) {  // by pack(), before the first cycle
    return kNoMemory;
}
}
