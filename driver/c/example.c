/* SPDX-License-Identifier: Apache-2.0 */
/* Trains one layer on a core: Y = X W^T is to become T, for the weights that made T.

   Each step is three jobs. fprop: the core gives Y in INT32, and the host the error E = Y - T.
   QUANTISE: the core rounds E to FP4 with radix 4, two phases, stochastically. wgrad: the core
   multiplies the odd phase with X, transposing both and dW too, so that it lies like W; K is
   longer than the buffers of a small core, so sums go through scratch. The host then changes its
   own weights and writes their INT4 codes. (The even phase would go to the layer below: dgrad.)

   With the name of a file as argument all memory, the ring first, is written to it at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulated.h"
#include "tetra_driver.h"

enum { SAMPLES = 32, INPUTS = 12, OUTPUTS = 4, STEPS = 24, LOG2_ENTRIES = 3, POLLS = 1000000 };

#define BASE UINT64_C(0x400000000)
#define RATE 0.03

/* Where tensors lie, from BASE on; the ring of 8 descriptors takes the first 2 KiB. */
enum {
    X = 2048,                             /* INT4 (SAMPLES, INPUTS) */
    W = X + SAMPLES * INPUTS / 2,         /* INT4 (OUTPUTS, INPUTS) */
    Y = W + OUTPUTS * INPUTS / 2,         /* INT32 (SAMPLES, OUTPUTS) */
    E = Y + 4 * SAMPLES * OUTPUTS,        /* INT32 (SAMPLES, OUTPUTS) */
    EVEN = E + 4 * SAMPLES * OUTPUTS,     /* FP4_R4 (SAMPLES, OUTPUTS) */
    ODD = EVEN + SAMPLES * OUTPUTS / 2,   /* FP4_R4 (SAMPLES, OUTPUTS) */
    DW = ODD + SAMPLES * OUTPUTS / 2,     /* INT32 (OUTPUTS, INPUTS) */
    SCRATCH = DW + 4 * OUTPUTS * INPUTS,  /* INT32 (INPUTS, OUTPUTS) */
    SIZE = SCRATCH + 4 * INPUTS * OUTPUTS
};

static uint8_t memory[SIZE];
static tetra_core core;

static void check(int result, const char *what)
{
    if (result == TETRA_OK)
        return;
    fprintf(stderr, "%s: %s", what, tetra_result_text(result));
    if (result == TETRA_STOPPED)
        fprintf(stderr, ": %s in job %lu, address 0x%llx", tetra_fault_name(core.error),
                (unsigned long)core.error_job, (unsigned long long)core.error_address);
    fprintf(stderr, "\n");
    exit(1);
}

static void to_device(unsigned place, const void *bytes, size_t size)
{
    check(core.bus.write_memory(core.bus.context, BASE + place, bytes, size) ? TETRA_BUS : TETRA_OK,
          "writing memory");
}

static void from_device(unsigned place, void *bytes, size_t size)
{
    check(core.bus.read_memory(core.bus.context, BASE + place, bytes, size) ? TETRA_BUS : TETRA_OK,
          "reading memory");
}

/* Two codes to a byte, low nibble first; `count` is even. */
static void codes_to_device(unsigned place, const int *codes, size_t count)
{
    uint8_t packed[SAMPLES * INPUTS / 2];
    size_t i;
    for (i = 0; i < count; i += 2)
        packed[i / 2] = (uint8_t)((codes[i] & 15) | (codes[i + 1] & 15) << 4);
    to_device(place, packed, count / 2);
}

static void words_to_device(unsigned place, const int32_t *words, size_t count)
{
    uint8_t bytes[4];
    size_t i;
    unsigned byte;
    for (i = 0; i < count; i++) {
        for (byte = 0; byte < 4; byte++)
            bytes[byte] = (uint8_t)((uint32_t)words[i] >> 8 * byte);
        to_device(place + 4 * (unsigned)i, bytes, 4);
    }
}

static void words_from_device(unsigned place, int32_t *words, size_t count)
{
    uint8_t b[4];
    size_t i;
    for (i = 0; i < count; i++) {
        from_device(place + 4 * (unsigned)i, b, 4);
        words[i] = (int32_t)(b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                             (uint32_t)b[3] << 24);
    }
}

static void fprop(void)
{
    tetra_descriptor job;
    tetra_init(&job);
    tetra_set_op(&job, TETRA_OP_GEMM);
    tetra_set_barrier(&job, 1);
    tetra_set_a_signed(&job, 1);
    tetra_set_m(&job, SAMPLES);
    tetra_set_n(&job, OUTPUTS);
    tetra_set_k(&job, INPUTS);
    tetra_set_a_address(&job, BASE + X);
    tetra_set_a_stride(&job, INPUTS / 2);
    tetra_set_b_address(&job, BASE + W);
    tetra_set_b_stride(&job, INPUTS / 2);
    tetra_set_c_address(&job, BASE + Y);
    tetra_set_c_stride(&job, 4 * OUTPUTS);
    check(tetra_enqueue(&core, &job), "fprop");
}

/* Codes of E * 2^-down, whose largest magnitude is 64. */
static void quantise(int down, uint32_t seed)
{
    tetra_descriptor job;
    tetra_init(&job);
    tetra_set_op(&job, TETRA_OP_QUANTISE);
    tetra_set_barrier(&job, 1);
    tetra_set_format(&job, TETRA_OUTFORMAT_FP4_R4);
    tetra_set_shift(&job, (uint32_t)(15 + down));
    tetra_set_stochastic(&job, 1);
    tetra_set_seed(&job, seed);
    tetra_set_m(&job, SAMPLES);
    tetra_set_n(&job, OUTPUTS);
    tetra_set_x_address(&job, BASE + E);
    tetra_set_x_stride(&job, 4 * OUTPUTS);
    tetra_set_c_address(&job, BASE + EVEN);
    tetra_set_c_stride(&job, OUTPUTS / 2);
    tetra_set_c_odd_address(&job, BASE + ODD);
    tetra_set_c_odd_stride(&job, OUTPUTS / 2);
    check(tetra_enqueue(&core, &job), "quantise");
}

static void wgrad(void)
{
    tetra_descriptor job;
    tetra_init(&job);
    tetra_set_op(&job, TETRA_OP_GEMM);
    tetra_set_barrier(&job, 1);
    tetra_set_a_signed(&job, 1);
    tetra_set_b_format(&job, TETRA_BFORMAT_FP4_R4);
    tetra_set_transpose_a(&job, 1);
    tetra_set_transpose_b(&job, 1);
    tetra_set_transpose_c(&job, 1);
    tetra_set_m(&job, INPUTS);
    tetra_set_n(&job, OUTPUTS);
    tetra_set_k(&job, SAMPLES);
    tetra_set_a_address(&job, BASE + X);
    tetra_set_a_stride(&job, INPUTS / 2);
    tetra_set_b_address(&job, BASE + ODD);
    tetra_set_b_stride(&job, OUTPUTS / 2);
    tetra_set_c_address(&job, BASE + DW);
    tetra_set_c_stride(&job, 4 * INPUTS);
    tetra_set_scratch_address(&job, BASE + SCRATCH);
    tetra_set_scratch_stride(&job, 4 * OUTPUTS);
    check(tetra_enqueue(&core, &job), "wgrad");
}

/* A number low..low + range - 1. */
static int draw(int low, uint32_t range)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return low + (int)((state >> 16) % range);
}

/* The code nearest to a weight. */
static int code_of(double weight)
{
    const int nearest = (int)(weight + (weight < 0 ? -0.5 : 0.5));
    return nearest < -8 ? -8 : nearest > 7 ? 7 : nearest;
}

int main(int argc, char **argv)
{
    static int x[SAMPLES][INPUTS], teacher[OUTPUTS][INPUTS], codes[OUTPUTS][INPUTS];
    static double weights[OUTPUTS][INPUTS];
    static int32_t target[SAMPLES][OUTPUTS], y[SAMPLES][OUTPUTS], dw[OUTPUTS][INPUTS];
    tetra_transport bus = simulated_open(memory, BASE, SIZE);
    int i, j, k, step;

    check(tetra_open(&core, &bus, BASE, SIZE, LOG2_ENTRIES, POLLS), "opening the core");
    for (j = 0; j < OUTPUTS; j++)
        for (k = 0; k < INPUTS; k++)
            teacher[j][k] = draw(-7, 15);
    for (i = 0; i < SAMPLES; i++)
        for (k = 0; k < INPUTS; k++) {
            x[i][k] = draw(-8, 16);
            for (j = 0; j < OUTPUTS; j++)
                target[i][j] += x[i][k] * teacher[j][k];
        }
    codes_to_device(X, &x[0][0], SAMPLES * INPUTS);

    for (step = 0; step < STEPS; step++) {
        double loss = 0, unit = 1.0 / 128; /* of the odd phase's codes, see docs/formats.md */
        int32_t largest = 1;
        int down = 0;
        codes_to_device(W, &codes[0][0], OUTPUTS * INPUTS);
        fprop();
        check(tetra_wait(&core, POLLS), "fprop");
        words_from_device(Y, &y[0][0], SAMPLES * OUTPUTS);
        for (i = 0; i < SAMPLES; i++)
            for (j = 0; j < OUTPUTS; j++) {
                y[i][j] -= target[i][j];
                loss += (double)y[i][j] * y[i][j] / (SAMPLES * OUTPUTS);
                if (abs(y[i][j]) > largest)
                    largest = abs(y[i][j]);
            }
        printf("step %d: loss %.3f\n", step, loss);
        words_to_device(E, &y[0][0], SAMPLES * OUTPUTS);
        while (largest >> down > 64)
            down++;
        quantise(down, (uint32_t)step);
        wgrad();
        check(tetra_wait(&core, POLLS), "wgrad");
        words_from_device(DW, &dw[0][0], OUTPUTS * INPUTS);
        for (; down; down--)
            unit *= 2;
        for (j = 0; j < OUTPUTS; j++)
            for (k = 0; k < INPUTS; k++) {
                weights[j][k] -= RATE * unit * dw[j][k] / SAMPLES;
                codes[j][k] = code_of(weights[j][k]);
            }
    }
    printf("jobs %lu\n", (unsigned long)core.ended);
    if (argc > 1) {
        FILE *file = fopen(argv[1], "wb");
        if (!file || fwrite(memory, 1, SIZE, file) != SIZE || fclose(file)) {
            perror(argv[1]);
            return 1;
        }
    }
    simulated_close();
    return 0;
}
