// SPDX-License-Identifier: Apache-2.0
// One pass over a tensor that rounds it to four-bit codes: `round_rows` of kernels.py, the same bits.
//
// g++ compiles it for the CPU and nvcc for a GPU. Every value is an integer, or one times a power of
// two or a dyadic scale, that a double holds exactly: no order and no fused operation changes a bit.
// ROUNDS, ROTATION_*, CONSTANT, WORD_BITS, COARSE_BITS and LEVELS come from the golden model.
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define ANYWHERE __host__ __device__ inline
#else
#include <algorithm>
#include <thread>
#include <vector>
#define ANYWHERE static inline __attribute__((always_inline))
#endif

struct How {
    int64_t rows, columns, row_stride;  // of x and of the results: columns of a wider tensor, maybe
    uint32_t seed;
    int32_t tile_rows, log2_lanes;
    int32_t lo, hi;       // of an integer format
    int32_t log2_radix;   // of FP4; 0: an integer format
    int32_t lowest;       // log2 of FP4's lowest level
    double bits;          // integers are round(x * bits)
    double scale;         // where rows have none of their own
};

ANYWHERE uint32_t rotated(uint32_t x, int places) { return x << places | x >> (32 - places); }

// The two halves of a block: words of an even lane and of the odd one beside it in a row of a job
// (`golden.random_words`).
ANYWHERE void two_words(uint32_t seed, uint32_t number, uint32_t lane, uint32_t &even,
                        uint32_t &odd) {
    uint32_t x = number, y = seed;
    for (uint32_t n = 0; n < ROUNDS; ++n) {
        uint32_t mixed = (rotated(x, ROTATION_0) & rotated(x, ROTATION_1)) ^ rotated(x, ROTATION_2);
        uint32_t next = y ^ mixed ^ (CONSTANT ^ (lane / 2 << 4 | n));
        y = x;
        x = next;
    }
    even = x >> (32 - WORD_BITS);
    odd = y >> (32 - WORD_BITS);
}

// Where in a job a row is: of column c the seed, and the number `first + step * (c / lanes)`.
struct Place {
    uint32_t seed, first, step;
};

template <bool BY_ROW>
ANYWHERE Place place_of(const How &how, int64_t row) {
    if (BY_ROW) return {how.seed + (uint32_t)row, 0, 1};
    int64_t within = row % how.tile_rows, band = row - within, left = how.rows - band;
    int64_t blocks = (how.columns + (1 << how.log2_lanes) - 1) >> how.log2_lanes;
    return {how.seed, (uint32_t)(band * blocks + within),
            (uint32_t)(left < how.tile_rows ? left : how.tile_rows)};
}

ANYWHERE void words_at(const How &how, const Place &at, uint32_t column, uint32_t &even,
                       uint32_t &odd) {
    two_words(at.seed, at.first + at.step * (column >> how.log2_lanes),
              column & ((1u << how.log2_lanes) - 1), even, odd);
}

ANYWHERE double threshold(uint32_t word, int bits) {
    return (word + 0.5) / (double)(1u << bits);
}

ANYWHERE int64_t pattern(double x) {
    int64_t found;
    memcpy(&found, &x, sizeof found);
    return found;
}

ANYWHERE double power_of_two(int64_t exponent) {
    int64_t bits = (exponent + 1023) << 52;
    double found;
    memcpy(&found, &bits, sizeof found);
    return found;
}

template <bool STOCHASTIC>
ANYWHERE float to_integer(double y, uint32_t word, const How &how) {
    double code;
    if (STOCHASTIC) {
        double magnitude = fabs(y), below = floor(magnitude);
        code = copysign(below + (threshold(word, WORD_BITS) < magnitude - below), y);
    } else {
        code = rint(y);
    }
    return (float)fmin(fmax(code, (double)how.lo), (double)how.hi);
}

template <bool STOCHASTIC, int K>
ANYWHERE float to_level(double y, uint32_t word, const How &how) {
    double magnitude = fabs(y);
    int64_t bits = pattern(magnitude), bias = 1023 + how.lowest, c;
    if (STOCHASTIC) {
        int64_t lower = (((bits >> 52) - bias) >> (K - 1)) + 1;
        lower = lower < 1 ? 1 : lower > LEVELS - 1 ? LEVELS - 1 : lower;
        double level = power_of_two((lower - 1) * K + how.lowest);
        double part = threshold(word >> (WORD_BITS - COARSE_BITS), COARSE_BITS);
        double bound = (part * ((1 << K) - 1) + 1) * level;
        double bottom = power_of_two(how.lowest);
        int64_t fine = threshold(word, WORD_BITS) * bottom < magnitude;
        c = magnitude < bottom ? fine : lower + (bound < magnitude);
    } else {
        // the boundary below a level 2**l is (1 + 2**-k) 2**(l - 1): a carry into the exponent
        const int64_t carry = ((int64_t)1 << 52) - ((int64_t)1 << (52 - K));
        c = (((bits + carry) >> 52) - bias) >> (K - 1);
        c = c < -1 ? 0 : c >= LEVELS ? LEVELS : c + 1;
    }
    int32_t value = (int32_t)((c - 1) * K + 127) << 23;
    float found;
    memcpy(&found, &value, sizeof found);
    found = c == 0 ? 0.0f : found;
    return y < 0 ? -found : found;
}

// K: log2 of the radix, 0 of an integer format.
template <bool STOCHASTIC, bool BY_ROW, int K>
ANYWHERE void round_one(const How &how, const float *x, const double *scales, float *values,
                        bool *inside, int64_t row, int64_t column, uint32_t word) {
    int64_t place = row * how.row_stride + column;
    double y = rint((double)x[place] * how.bits) * (BY_ROW ? scales[row] : how.scale);
    if (K == 0) {
        values[place] = to_integer<STOCHASTIC>(y, word, how);
        inside[place] = y > how.lo && y < how.hi;
    } else {
        values[place] = to_level<STOCHASTIC, K ? K : 1>(y, word, how);
    }
}

#ifdef __CUDACC__
template <bool STOCHASTIC, bool BY_ROW, int K>
__global__ void each(How how, const float *x, const double *scales, float *values, bool *inside) {
    int64_t count = how.rows * how.columns, stride = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < count; i += stride) {
        int64_t row = i / how.columns, column = i % how.columns;
        uint32_t even = 0, odd = 0;
        if (STOCHASTIC) words_at(how, place_of<BY_ROW>(how, row), (uint32_t)column, even, odd);
        uint32_t word = how.log2_lanes && column % 2 ? odd : even;
        round_one<STOCHASTIC, BY_ROW, K>(how, x, scales, values, inside, row, column, word);
    }
}

template <bool STOCHASTIC, bool BY_ROW, int K>
static void run(const How &how, const float *x, const double *scales, float *values, bool *inside,
                int, void *stream) {
    int64_t blocks = (how.rows * how.columns + 255) / 256;
    each<STOCHASTIC, BY_ROW, K><<<(unsigned)(blocks < 65535 ? blocks : 65535), 256, 0,
                                  (cudaStream_t)stream>>>(how, x, scales, values, inside);
}
#else
// The words of a row: columns in pairs, which share a block, unless the core has one lane.
template <bool BY_ROW>
static void words_of(const How &how, int64_t row, uint32_t *words) {
    const How mine = how;  // a compiler would have to read again what results may overlap with
    const Place at = place_of<BY_ROW>(mine, row);
    const uint32_t columns = (uint32_t)mine.columns;
    if (mine.log2_lanes == 0) {
        for (uint32_t column = 0; column < columns; ++column) {
            uint32_t odd;
            words_at(mine, at, column, words[column], odd);
        }
        return;
    }
#pragma GCC ivdep
    for (uint32_t pair = 0; pair < (columns + 1) / 2; ++pair)
        words_at(mine, at, 2 * pair, words[2 * pair], words[2 * pair + 1]);
}

template <bool STOCHASTIC, bool BY_ROW, int K>
static void run(const How &how, const float *x, const double *scales, float *values, bool *inside,
                int threads, void *) {
    auto rows = [&](int64_t from, int64_t to) {
        const How mine = how;
        std::vector<uint32_t> buffer(STOCHASTIC ? mine.columns + 1 : 0);
        uint32_t *words = buffer.data();
        for (int64_t row = from; row < to; ++row) {
            if (STOCHASTIC) words_of<BY_ROW>(mine, row, words);
#pragma GCC ivdep
            for (int64_t column = 0; column < mine.columns; ++column)
                round_one<STOCHASTIC, BY_ROW, K>(mine, x, scales, values, inside, row, column,
                                                 STOCHASTIC ? words[column] : 0);
        }
    };
    int64_t enough = how.rows * how.columns >> 15;  // elements that are worth a thread
    int64_t parts = std::max<int64_t>(1, std::min<int64_t>({threads, enough, how.rows}));
    std::vector<std::thread> others;
    for (int64_t part = 1; part < parts; ++part)
        others.emplace_back(rows, how.rows * part / parts, how.rows * (part + 1) / parts);
    rows(0, how.rows / parts);
    for (auto &other : others) other.join();
}
#endif

#ifdef __CUDACC__
__global__ void each_pair(uint32_t seed, uint32_t first, uint32_t rows, uint32_t lanes,
                          int32_t *words) {
    uint32_t pairs = rows * (lanes / 2);
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += gridDim.x * blockDim.x) {
        uint32_t even, odd;
        two_words(seed, first + i / (lanes / 2), 2 * (i % (lanes / 2)), even, odd);
        words[2 * i] = (int32_t)even;
        words[2 * i + 1] = (int32_t)odd;
    }
}
#endif

// Words of all lanes, an even number, of rows `first` and following: `kernels.random_words`.
extern "C" void tetra_words(uint32_t seed, uint32_t first, uint32_t rows, uint32_t lanes,
                            int32_t *words, void *stream) {
#ifdef __CUDACC__
    uint32_t blocks = (rows * (lanes / 2) + 255) / 256;
    each_pair<<<blocks < 65535 ? blocks : 65535, 256, 0, (cudaStream_t)stream>>>(
        seed, first, rows, lanes, words);
#else
    (void)stream;
    for (uint32_t row = 0; row < rows; ++row)
#pragma GCC ivdep
        for (uint32_t lane = 0; lane < lanes; lane += 2) {
            uint32_t even, odd;
            two_words(seed, first + row, lane, even, odd);
            words[row * lanes + lane] = (int32_t)even;
            words[row * lanes + lane + 1] = (int32_t)odd;
        }
#endif
}

template <bool STOCHASTIC, bool BY_ROW>
static void choose(const How &how, const float *x, const double *scales, float *values, bool *inside,
                   int threads, void *stream) {
    auto chosen = how.log2_radix == 0   ? run<STOCHASTIC, BY_ROW, 0>
                  : how.log2_radix == 1 ? run<STOCHASTIC, BY_ROW, 1>
                                        : run<STOCHASTIC, BY_ROW, 2>;
    chosen(how, x, scales, values, inside, threads, stream);
}

extern "C" void tetra_round(const How *how, const float *x, const double *scales, float *values,
                            bool *inside, int stochastic, int by_row, int threads, void *stream) {
    auto chosen = stochastic ? (by_row ? choose<true, true> : choose<true, false>)
                             : (by_row ? choose<false, true> : choose<false, false>);
    chosen(*how, x, scales, values, inside, threads, stream);
}
