/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a Tetra core. Made by `python -m driver.header`: change golden/descriptor.py.

   A program fills a tetra_descriptor with tetra_init and the setters, lets tetra_pack write its
   bytes into an entry of the command ring, and moves the tail. Reports of adapting jobs are read
   with tetra_report_bits. */
#ifndef TETRA_H
#define TETRA_H

#include <stdint.h>

#define TETRA_DESCRIPTOR_VERSION 1
#define TETRA_DESCRIPTOR_WORDS 64
#define TETRA_DESCRIPTOR_BYTES 256

/* op */
#define TETRA_OP_GEMM 0
#define TETRA_OP_QUANTISE 1
#define TETRA_OP_TABLE 2
#define TETRA_OP_FENCE 3

/* format */
#define TETRA_OUTFORMAT_INT4 0
#define TETRA_OUTFORMAT_INT4_SYM 1
#define TETRA_OUTFORMAT_UINT4 2
#define TETRA_OUTFORMAT_INT32 3
#define TETRA_OUTFORMAT_FP4_R4 4
#define TETRA_OUTFORMAT_FP4_R2 5

/* b_format */
#define TETRA_BFORMAT_INT4 0
#define TETRA_BFORMAT_FP4_R4 1
#define TETRA_BFORMAT_FP4_R2 2

/* adapt_use */
#define TETRA_USE_NOTHING 0
#define TETRA_USE_ENTRY 1
#define TETRA_USE_EXPONENT 2

/* adapt_mode */
#define TETRA_SOLVEMODE_RANGE 0
#define TETRA_SOLVEMODE_SYMMETRIC 1
#define TETRA_SOLVEMODE_LUQ 2
#define TETRA_SOLVEMODE_PACT 3
#define TETRA_SOLVEMODE_SAWB 4
#define TETRA_SOLVEMODE_GRADSCALE 5
#define TETRA_SOLVEMODE_SAWB_UNSIGNED 6

/* why a core stopped */
#define TETRA_FAULT_NONE 0
#define TETRA_FAULT_VERSION 1
#define TETRA_FAULT_RESERVED 2
#define TETRA_FAULT_OPERATION 3
#define TETRA_FAULT_SIZE 4
#define TETRA_FAULT_FORMAT 5
#define TETRA_FAULT_ADAPT 6
#define TETRA_FAULT_COMBINATION 7
#define TETRA_FAULT_ALIGNMENT 8
#define TETRA_FAULT_WRAP 9
#define TETRA_FAULT_READ_WINDOW 10
#define TETRA_FAULT_WRITE_WINDOW 11
#define TETRA_FAULT_READ_SLVERR 12
#define TETRA_FAULT_READ_DECERR 13
#define TETRA_FAULT_WRITE_SLVERR 14
#define TETRA_FAULT_WRITE_DECERR 15
#define TETRA_FAULT_RING 16
#define TETRA_FAULT_OVERFLOW 17

/* Where fields lie: word, lowest bit in it, width in bits. */
#define TETRA_VERSION_WORD 0
#define TETRA_VERSION_LOW 0
#define TETRA_VERSION_WIDTH 8
#define TETRA_OP_WORD 0
#define TETRA_OP_LOW 8
#define TETRA_OP_WIDTH 4
#define TETRA_BARRIER_WORD 0
#define TETRA_BARRIER_LOW 12
#define TETRA_BARRIER_WIDTH 1
#define TETRA_INTERRUPT_WORD 0
#define TETRA_INTERRUPT_LOW 13
#define TETRA_INTERRUPT_WIDTH 1
#define TETRA_ACCUMULATE_WORD 0
#define TETRA_ACCUMULATE_LOW 14
#define TETRA_ACCUMULATE_WIDTH 1
#define TETRA_TRANSPOSE_A_WORD 0
#define TETRA_TRANSPOSE_A_LOW 15
#define TETRA_TRANSPOSE_A_WIDTH 1
#define TETRA_TRANSPOSE_B_WORD 0
#define TETRA_TRANSPOSE_B_LOW 16
#define TETRA_TRANSPOSE_B_WIDTH 1
#define TETRA_TRANSPOSE_C_WORD 0
#define TETRA_TRANSPOSE_C_LOW 17
#define TETRA_TRANSPOSE_C_WIDTH 1
#define TETRA_TRANSPOSE_MASK_WORD 0
#define TETRA_TRANSPOSE_MASK_LOW 25
#define TETRA_TRANSPOSE_MASK_WIDTH 1
#define TETRA_EARLY_A_WORD 0
#define TETRA_EARLY_A_LOW 26
#define TETRA_EARLY_A_WIDTH 1
#define TETRA_EARLY_B_WORD 0
#define TETRA_EARLY_B_LOW 27
#define TETRA_EARLY_B_WIDTH 1
#define TETRA_BIAS_WORD 0
#define TETRA_BIAS_LOW 18
#define TETRA_BIAS_WIDTH 1
#define TETRA_MASK_IN_WORD 0
#define TETRA_MASK_IN_LOW 19
#define TETRA_MASK_IN_WIDTH 1
#define TETRA_MASK_OUT_WORD 0
#define TETRA_MASK_OUT_LOW 20
#define TETRA_MASK_OUT_WIDTH 1
#define TETRA_REPORT_WORD 0
#define TETRA_REPORT_LOW 21
#define TETRA_REPORT_WIDTH 1
#define TETRA_A_SIGNED_WORD 0
#define TETRA_A_SIGNED_LOW 22
#define TETRA_A_SIGNED_WIDTH 1
#define TETRA_B_FORMAT_WORD 0
#define TETRA_B_FORMAT_LOW 23
#define TETRA_B_FORMAT_WIDTH 2
#define TETRA_M_WORD 1
#define TETRA_M_LOW 0
#define TETRA_M_WIDTH 32
#define TETRA_N_WORD 2
#define TETRA_N_LOW 0
#define TETRA_N_WIDTH 32
#define TETRA_K_WORD 3
#define TETRA_K_LOW 0
#define TETRA_K_WIDTH 32
#define TETRA_BATCH_WORD 4
#define TETRA_BATCH_LOW 0
#define TETRA_BATCH_WIDTH 32
#define TETRA_MULTIPLIER_WORD 5
#define TETRA_MULTIPLIER_LOW 0
#define TETRA_MULTIPLIER_WIDTH 16
#define TETRA_SHIFT_WORD 5
#define TETRA_SHIFT_LOW 16
#define TETRA_SHIFT_WIDTH 6
#define TETRA_FORMAT_WORD 5
#define TETRA_FORMAT_LOW 24
#define TETRA_FORMAT_WIDTH 3
#define TETRA_STOCHASTIC_WORD 5
#define TETRA_STOCHASTIC_LOW 27
#define TETRA_STOCHASTIC_WIDTH 1
#define TETRA_SEED_WORD 6
#define TETRA_SEED_LOW 0
#define TETRA_SEED_WIDTH 32
#define TETRA_ZERO_POINT_WORD 7
#define TETRA_ZERO_POINT_LOW 0
#define TETRA_ZERO_POINT_WIDTH 16
#define TETRA_A_ZERO_WORD 7
#define TETRA_A_ZERO_LOW 16
#define TETRA_A_ZERO_WIDTH 8
#define TETRA_ADAPT_ENABLE_WORD 8
#define TETRA_ADAPT_ENABLE_LOW 0
#define TETRA_ADAPT_ENABLE_WIDTH 1
#define TETRA_ADAPT_TENSOR_WORD 8
#define TETRA_ADAPT_TENSOR_LOW 1
#define TETRA_ADAPT_TENSOR_WIDTH 8
#define TETRA_ADAPT_USE_WORD 8
#define TETRA_ADAPT_USE_LOW 9
#define TETRA_ADAPT_USE_WIDTH 2
#define TETRA_ADAPT_SOLVE_WORD 8
#define TETRA_ADAPT_SOLVE_LOW 11
#define TETRA_ADAPT_SOLVE_WIDTH 1
#define TETRA_ADAPT_MODE_WORD 8
#define TETRA_ADAPT_MODE_LOW 12
#define TETRA_ADAPT_MODE_WIDTH 3
#define TETRA_ADAPT_PRESET_WORD 8
#define TETRA_ADAPT_PRESET_LOW 15
#define TETRA_ADAPT_PRESET_WIDTH 1
#define TETRA_ADAPT_VALID_WORD 8
#define TETRA_ADAPT_VALID_LOW 16
#define TETRA_ADAPT_VALID_WIDTH 1
#define TETRA_ADAPT_FROZEN_WORD 8
#define TETRA_ADAPT_FROZEN_LOW 17
#define TETRA_ADAPT_FROZEN_WIDTH 1
#define TETRA_ADAPT_DISCARD_WORD 8
#define TETRA_ADAPT_DISCARD_LOW 18
#define TETRA_ADAPT_DISCARD_WIDTH 1
#define TETRA_ADAPT_EXPONENT_WORD 8
#define TETRA_ADAPT_EXPONENT_LOW 19
#define TETRA_ADAPT_EXPONENT_WIDTH 7
#define TETRA_ADAPT_ALPHA_WORD 9
#define TETRA_ADAPT_ALPHA_LOW 0
#define TETRA_ADAPT_ALPHA_WIDTH 32
#define TETRA_A_ADDRESS_WORD 12
#define TETRA_A_ADDRESS_LOW 0
#define TETRA_A_ADDRESS_WIDTH 64
#define TETRA_B_ADDRESS_WORD 14
#define TETRA_B_ADDRESS_LOW 0
#define TETRA_B_ADDRESS_WIDTH 64
#define TETRA_C_ADDRESS_WORD 16
#define TETRA_C_ADDRESS_LOW 0
#define TETRA_C_ADDRESS_WIDTH 64
#define TETRA_C_ODD_ADDRESS_WORD 18
#define TETRA_C_ODD_ADDRESS_LOW 0
#define TETRA_C_ODD_ADDRESS_WIDTH 64
#define TETRA_X_ADDRESS_WORD 20
#define TETRA_X_ADDRESS_LOW 0
#define TETRA_X_ADDRESS_WIDTH 64
#define TETRA_BIAS_ADDRESS_WORD 22
#define TETRA_BIAS_ADDRESS_LOW 0
#define TETRA_BIAS_ADDRESS_WIDTH 64
#define TETRA_MASK_IN_ADDRESS_WORD 24
#define TETRA_MASK_IN_ADDRESS_LOW 0
#define TETRA_MASK_IN_ADDRESS_WIDTH 64
#define TETRA_MASK_OUT_ADDRESS_WORD 26
#define TETRA_MASK_OUT_ADDRESS_LOW 0
#define TETRA_MASK_OUT_ADDRESS_WIDTH 64
#define TETRA_REPORT_ADDRESS_WORD 28
#define TETRA_REPORT_ADDRESS_LOW 0
#define TETRA_REPORT_ADDRESS_WIDTH 64
#define TETRA_SCRATCH_ADDRESS_WORD 30
#define TETRA_SCRATCH_ADDRESS_LOW 0
#define TETRA_SCRATCH_ADDRESS_WIDTH 64
#define TETRA_A_STRIDE_WORD 32
#define TETRA_A_STRIDE_LOW 0
#define TETRA_A_STRIDE_WIDTH 32
#define TETRA_B_STRIDE_WORD 33
#define TETRA_B_STRIDE_LOW 0
#define TETRA_B_STRIDE_WIDTH 32
#define TETRA_C_STRIDE_WORD 34
#define TETRA_C_STRIDE_LOW 0
#define TETRA_C_STRIDE_WIDTH 32
#define TETRA_C_ODD_STRIDE_WORD 35
#define TETRA_C_ODD_STRIDE_LOW 0
#define TETRA_C_ODD_STRIDE_WIDTH 32
#define TETRA_X_STRIDE_WORD 36
#define TETRA_X_STRIDE_LOW 0
#define TETRA_X_STRIDE_WIDTH 32
#define TETRA_MASK_IN_STRIDE_WORD 37
#define TETRA_MASK_IN_STRIDE_LOW 0
#define TETRA_MASK_IN_STRIDE_WIDTH 32
#define TETRA_MASK_OUT_STRIDE_WORD 38
#define TETRA_MASK_OUT_STRIDE_LOW 0
#define TETRA_MASK_OUT_STRIDE_WIDTH 32
#define TETRA_SCRATCH_STRIDE_WORD 39
#define TETRA_SCRATCH_STRIDE_LOW 0
#define TETRA_SCRATCH_STRIDE_WIDTH 32
#define TETRA_A_BATCH_STRIDE_WORD 40
#define TETRA_A_BATCH_STRIDE_LOW 0
#define TETRA_A_BATCH_STRIDE_WIDTH 32
#define TETRA_B_BATCH_STRIDE_WORD 41
#define TETRA_B_BATCH_STRIDE_LOW 0
#define TETRA_B_BATCH_STRIDE_WIDTH 32
#define TETRA_C_BATCH_STRIDE_WORD 42
#define TETRA_C_BATCH_STRIDE_LOW 0
#define TETRA_C_BATCH_STRIDE_WIDTH 32
#define TETRA_C_ODD_BATCH_STRIDE_WORD 43
#define TETRA_C_ODD_BATCH_STRIDE_LOW 0
#define TETRA_C_ODD_BATCH_STRIDE_WIDTH 32
#define TETRA_X_BATCH_STRIDE_WORD 44
#define TETRA_X_BATCH_STRIDE_LOW 0
#define TETRA_X_BATCH_STRIDE_WIDTH 32
#define TETRA_BIAS_BATCH_STRIDE_WORD 45
#define TETRA_BIAS_BATCH_STRIDE_LOW 0
#define TETRA_BIAS_BATCH_STRIDE_WIDTH 32
#define TETRA_MASK_IN_BATCH_STRIDE_WORD 46
#define TETRA_MASK_IN_BATCH_STRIDE_LOW 0
#define TETRA_MASK_IN_BATCH_STRIDE_WIDTH 32
#define TETRA_MASK_OUT_BATCH_STRIDE_WORD 47
#define TETRA_MASK_OUT_BATCH_STRIDE_LOW 0
#define TETRA_MASK_OUT_BATCH_STRIDE_WIDTH 32
#define TETRA_REPORT_BATCH_STRIDE_WORD 48
#define TETRA_REPORT_BATCH_STRIDE_LOW 0
#define TETRA_REPORT_BATCH_STRIDE_WIDTH 32

/* 32-bit words in the byte order of the machine; in memory they are little endian. */
typedef struct {
    uint32_t word[64];
} tetra_descriptor;

/* A field of at most 64 bits; those of more than 32 start at bit 0 of a word. */
static inline uint64_t tetra_get_bits(const tetra_descriptor *d, unsigned word, unsigned low,
                                      unsigned width)
{
    uint64_t value = d->word[word] >> low;
    if (width > 32u)
        value |= (uint64_t)d->word[word + 1u] << 32;
    return width < 64u ? value & (((uint64_t)1 << width) - 1u) : value;
}

static inline void tetra_set_bits(tetra_descriptor *d, unsigned word, unsigned low,
                                  unsigned width, uint64_t value)
{
    const uint32_t ones = width < 32u ? ((uint32_t)1 << width) - 1u : 0xFFFFFFFFu;
    d->word[word] = (d->word[word] & ~(ones << low)) | (((uint32_t)value & ones) << low);
    if (width > 32u)
        d->word[word + 1u] = (uint32_t)(value >> 32);
}

/* The 256 bytes of a descriptor in memory, and back. */
static inline void tetra_pack(const tetra_descriptor *d, uint8_t *bytes)
{
    unsigned i;
    for (i = 0; i < 256u; i++)
        bytes[i] = (uint8_t)(d->word[i / 4u] >> 8u * (i % 4u));
}

static inline void tetra_unpack(tetra_descriptor *d, const uint8_t *bytes)
{
    unsigned i;
    for (i = 0; i < 64u; i++)
        d->word[i] = 0;
    for (i = 0; i < 256u; i++)
        d->word[i / 4u] |= (uint32_t)bytes[i] << 8u * (i % 4u);
}

/* version: of the descriptor: 1. 0..255; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_version(tetra_descriptor *d, uint32_t value)
{
    if (value > 255u)
        return -1;
    tetra_set_bits(d, 0u, 0u, 8u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_version(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 0u, 8u);
}

/* op: GEMM 0: C = rescaled A times B; QUANTISE 1: C = rescaled x; TABLE 2: only the table of scales
   changes; FENCE 3: no job, a barrier. 0..15; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_op(tetra_descriptor *d, uint32_t value)
{
    if (value > 15u)
        return -1;
    tetra_set_bits(d, 0u, 8u, 4u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_op(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 8u, 4u);
}

/* barrier: 1: all that earlier jobs write is acknowledged before this job's first load, but for
   those of early_a and early_b. 0..1; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_barrier(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 12u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_barrier(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 12u, 1u);
}

/* interrupt: 1: interrupt when all writes of the job are acknowledged. 0..1; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_interrupt(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 13u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_interrupt(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 13u, 1u);
}

/* accumulate: 1: C = C + result, format INT32 without adapt. 0..1; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_accumulate(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 14u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_accumulate(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 14u, 1u);
}

/* transpose_a: 1: A lies as (K, M), 0: as (M, K). 0..1; the setter gives 0, or -1 for others and
   sets none */
static inline int tetra_set_transpose_a(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 15u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_transpose_a(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 15u, 1u);
}

/* transpose_b: 1: B lies as (K, N), 0: as (N, K). 0..1; the setter gives 0, or -1 for others and
   sets none */
static inline int tetra_set_transpose_b(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 16u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_transpose_b(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 16u, 1u);
}

/* transpose_c: 1: C and C odd lie as (N, M), 0: as (M, N). 0..1; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_transpose_c(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 17u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_transpose_c(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 17u, 1u);
}

/* transpose_mask: 1: mask in lies as (N, M), 0: as (M, N). 0..1; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_transpose_mask(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 25u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_transpose_mask(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 25u, 1u);
}

/* early_a: 1, with barrier: A and bias may be read before that (GEMM). 0..1; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_early_a(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 26u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_early_a(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 26u, 1u);
}

/* early_b: 1, with barrier: B and bias may be read before that (GEMM). 0..1; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_early_b(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 27u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_early_b(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 27u, 1u);
}

/* bias: 1: N words are added to every row of sums or inputs. 0..1; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_bias(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 18u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_bias(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 18u, 1u);
}

/* mask_in: 1: sums or inputs, with bias, count as 0 where a bit is 0. 0..1; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_mask_in(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 19u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_in(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 19u, 1u);
}

/* mask_out: 1: the clip mask is written, of 4-bit integer formats. 0..1; the setter gives 0, or -1
   for others and sets none */
static inline int tetra_set_mask_out(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 20u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_out(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 20u, 1u);
}

/* report: 1: the report of an adapting job is written. 0..1; the setter gives 0, or -1 for others
   and sets none */
static inline int tetra_set_report(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 21u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_report(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 21u, 1u);
}

/* a_signed: 1: codes of A are INT4, 0: UINT4. 0..1; the setter gives 0, or -1 for others and sets
   none */
static inline int tetra_set_a_signed(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 0u, 22u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_a_signed(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 22u, 1u);
}

/* b_format: codes of B: INT4 0, FP4_R4 1, FP4_R2 2. 0..3; the setter gives 0, or -1 for others and
   sets none */
static inline int tetra_set_b_format(tetra_descriptor *d, uint32_t value)
{
    if (value > 3u)
        return -1;
    tetra_set_bits(d, 0u, 23u, 2u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_b_format(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 0u, 23u, 2u);
}

/* m: rows of the result. 0..4294967295; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_m(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 1u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_m(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 1u, 0u, 32u);
}

/* n: columns of the result. 0..4294967295; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_n(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 2u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_n(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 2u, 0u, 32u);
}

/* k: products per sum; 0 but for GEMM. 0..4294967295; the setter gives 0, or -1 for others and sets
   none */
static inline int tetra_set_k(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 3u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_k(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 3u, 0u, 32u);
}

/* batch: how many times the job is done, with tensors of their own. 0..4294967295; the setter gives
   0, or -1 for others and sets none */
static inline int tetra_set_batch(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 4u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_batch(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 4u, 0u, 32u);
}

/* multiplier: results are scaled by multiplier * 2**-shift: 32768..65535, or 0. 0..65535; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_multiplier(tetra_descriptor *d, uint32_t value)
{
    if (value > 65535u)
        return -1;
    tetra_set_bits(d, 5u, 0u, 16u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_multiplier(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 5u, 0u, 16u);
}

/* shift: see multiplier. 0..63; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_shift(tetra_descriptor *d, uint32_t value)
{
    if (value > 63u)
        return -1;
    tetra_set_bits(d, 5u, 16u, 6u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_shift(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 5u, 16u, 6u);
}

/* format: of the results: INT4 0, INT4_SYM 1, UINT4 2, INT32 3, FP4_R4 4, FP4_R2 5. 0..7; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_format(tetra_descriptor *d, uint32_t value)
{
    if (value > 7u)
        return -1;
    tetra_set_bits(d, 5u, 24u, 3u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_format(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 5u, 24u, 3u);
}

/* stochastic: 1: round stochastically, formats of 4 bits; 0: to nearest. 0..1; the setter gives 0,
   or -1 for others and sets none */
static inline int tetra_set_stochastic(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 5u, 27u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_stochastic(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 5u, 27u, 1u);
}

/* seed: of random words; batch element i has seed + i. 0..4294967295; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_seed(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 6u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_seed(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 6u, 0u, 32u);
}

/* zero_point: added to the codes of 4-bit integer formats, else 0. -32768..32767; the setter gives
   0, or -1 for others and sets none */
static inline int tetra_set_zero_point(tetra_descriptor *d, int32_t value)
{
    if (value < -32768 || value > 32767)
        return -1;
    tetra_set_bits(d, 7u, 0u, 16u, (uint64_t)value);
    return 0;
}

static inline int32_t tetra_get_zero_point(const tetra_descriptor *d)
{
    return ((int32_t)tetra_get_bits(d, 7u, 0u, 16u) ^ (int32_t)32768) - (int32_t)32768;
}

/* a_zero: zero point of operand a: A stands for its codes minus a_zero. -128..127; the setter gives
   0, or -1 for others and sets none */
static inline int tetra_set_a_zero(tetra_descriptor *d, int32_t value)
{
    if (value < -128 || value > 127)
        return -1;
    tetra_set_bits(d, 7u, 16u, 8u, (uint64_t)value);
    return 0;
}

static inline int32_t tetra_get_a_zero(const tetra_descriptor *d)
{
    return ((int32_t)tetra_get_bits(d, 7u, 16u, 8u) ^ (int32_t)128) - (int32_t)128;
}

/* adapt_enable: 1: the job uses the table of scales; 0: nothing else of adapt is read. 0..1; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_enable(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 0u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_enable(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 0u, 1u);
}

/* adapt_tensor: the entry of the table. 0..255; the setter gives 0, or -1 for others and sets none
   */
static inline int tetra_set_adapt_tensor(tetra_descriptor *d, uint32_t value)
{
    if (value > 255u)
        return -1;
    tetra_set_bits(d, 8u, 1u, 8u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_tensor(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 1u, 8u);
}

/* adapt_use: NOTHING 0: the job's own scale; ENTRY 1: the entry's; EXPONENT 2: the job's own times
   2**exponent of the entry. 0..3; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_use(tetra_descriptor *d, uint32_t value)
{
    if (value > 3u)
        return -1;
    tetra_set_bits(d, 8u, 9u, 2u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_use(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 9u, 2u);
}

/* adapt_solve: 1: the job's statistics give the entry's next scale. 0..1; the setter gives 0, or -1
   for others and sets none */
static inline int tetra_set_adapt_solve(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 11u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_solve(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 11u, 1u);
}

/* adapt_mode: how to solve: RANGE 0, SYMMETRIC 1, LUQ 2, PACT 3, SAWB 4, GRADSCALE 5, SAWB_UNSIGNED
   6. 0..7; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_mode(tetra_descriptor *d, uint32_t value)
{
    if (value > 7u)
        return -1;
    tetra_set_bits(d, 8u, 12u, 3u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_mode(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 12u, 3u);
}

/* adapt_preset: 1: multiplier, shift, zero_point, exponent, valid and frozen become the entry
   (TABLE). 0..1; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_preset(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 15u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_preset(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 15u, 1u);
}

/* adapt_valid: what a preset writes. 0..1; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_valid(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 16u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_valid(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 16u, 1u);
}

/* adapt_frozen: what a preset writes. 0..1; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_frozen(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 17u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_frozen(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 17u, 1u);
}

/* adapt_discard: 1: only measure, of the results only the report is written (QUANTISE). 0..1; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_adapt_discard(tetra_descriptor *d, uint32_t value)
{
    if (value > 1u)
        return -1;
    tetra_set_bits(d, 8u, 18u, 1u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_discard(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 8u, 18u, 1u);
}

/* adapt_exponent: of PACT's alpha, or what a preset writes. -64..63; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_adapt_exponent(tetra_descriptor *d, int32_t value)
{
    if (value < -64 || value > 63)
        return -1;
    tetra_set_bits(d, 8u, 19u, 7u, (uint64_t)value);
    return 0;
}

static inline int32_t tetra_get_adapt_exponent(const tetra_descriptor *d)
{
    return ((int32_t)tetra_get_bits(d, 8u, 19u, 7u) ^ (int32_t)64) - (int32_t)64;
}

/* adapt_alpha: PACT's clipping value. 0..4294967295; the setter gives 0, or -1 for others and sets
   none */
static inline int tetra_set_adapt_alpha(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 9u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_adapt_alpha(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 9u, 0u, 32u);
}

/* a_address: address of A: 4-bit codes. 64 bits; the setter gives 0, or -1 for others and sets none
   */
static inline int tetra_set_a_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 12u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_a_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 12u, 0u, 64u);
}

/* b_address: address of B: 4-bit codes. 64 bits; the setter gives 0, or -1 for others and sets none
   */
static inline int tetra_set_b_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 14u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_b_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 14u, 0u, 64u);
}

/* c_address: address of C: 4-bit codes, of FP4_R4 the even phase's, or INT32. 64 bits; the setter
   gives 0, or -1 for others and sets none */
static inline int tetra_set_c_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 16u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_c_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 16u, 0u, 64u);
}

/* c_odd_address: address of C odd: the odd phase's codes of FP4_R4. 64 bits; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_c_odd_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 18u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_c_odd_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 18u, 0u, 64u);
}

/* x_address: address of x: INT32 (M, N), what is quantised. 64 bits; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_x_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 20u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_x_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 20u, 0u, 64u);
}

/* bias_address: address of bias: INT32 (N,). 64 bits; the setter gives 0, or -1 for others and sets
   none */
static inline int tetra_set_bias_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 22u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_bias_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 22u, 0u, 64u);
}

/* mask_in_address: address of mask in: bits (M, N), or (N, M). 64 bits; the setter gives 0, or -1
   for others and sets none */
static inline int tetra_set_mask_in_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 24u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_mask_in_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 24u, 0u, 64u);
}

/* mask_out_address: address of mask out: bits (M, N). 64 bits; the setter gives 0, or -1 for others
   and sets none */
static inline int tetra_set_mask_out_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 26u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_mask_out_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 26u, 0u, 64u);
}

/* report_address: address of report, as `golden.report_words` has it. 64 bits; the setter gives 0,
   or -1 for others and sets none */
static inline int tetra_set_report_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 28u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_report_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 28u, 0u, 64u);
}

/* scratch_address: address of scratch: INT32 (M, N), sums of a K beyond the buffers. 64 bits; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_scratch_address(tetra_descriptor *d, uint64_t value)
{
    tetra_set_bits(d, 30u, 0u, 64u, (uint64_t)value);
    return 0;
}

static inline uint64_t tetra_get_scratch_address(const tetra_descriptor *d)
{
    return (uint64_t)tetra_get_bits(d, 30u, 0u, 64u);
}

/* a_stride: bytes from one row of A to the next. 0..4294967295; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_a_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 32u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_a_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 32u, 0u, 32u);
}

/* b_stride: bytes from one row of B to the next. 0..4294967295; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_b_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 33u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_b_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 33u, 0u, 32u);
}

/* c_stride: bytes from one row of C to the next. 0..4294967295; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_c_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 34u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_c_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 34u, 0u, 32u);
}

/* c_odd_stride: bytes from one row of C odd to the next. 0..4294967295; the setter gives 0, or -1
   for others and sets none */
static inline int tetra_set_c_odd_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 35u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_c_odd_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 35u, 0u, 32u);
}

/* x_stride: bytes from one row of x to the next. 0..4294967295; the setter gives 0, or -1 for
   others and sets none */
static inline int tetra_set_x_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 36u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_x_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 36u, 0u, 32u);
}

/* mask_in_stride: bytes from one row of mask in to the next. 0..4294967295; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_mask_in_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 37u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_in_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 37u, 0u, 32u);
}

/* mask_out_stride: bytes from one row of mask out to the next. 0..4294967295; the setter gives 0,
   or -1 for others and sets none */
static inline int tetra_set_mask_out_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 38u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_out_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 38u, 0u, 32u);
}

/* scratch_stride: bytes from one row of scratch to the next. 0..4294967295; the setter gives 0, or
   -1 for others and sets none */
static inline int tetra_set_scratch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 39u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_scratch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 39u, 0u, 32u);
}

/* a_batch_stride: bytes from A of one batch element to that of the next. 0..4294967295; the setter
   gives 0, or -1 for others and sets none */
static inline int tetra_set_a_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 40u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_a_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 40u, 0u, 32u);
}

/* b_batch_stride: bytes from B of one batch element to that of the next. 0..4294967295; the setter
   gives 0, or -1 for others and sets none */
static inline int tetra_set_b_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 41u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_b_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 41u, 0u, 32u);
}

/* c_batch_stride: bytes from C of one batch element to that of the next. 0..4294967295; the setter
   gives 0, or -1 for others and sets none */
static inline int tetra_set_c_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 42u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_c_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 42u, 0u, 32u);
}

/* c_odd_batch_stride: bytes from C odd of one batch element to that of the next. 0..4294967295; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_c_odd_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 43u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_c_odd_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 43u, 0u, 32u);
}

/* x_batch_stride: bytes from x of one batch element to that of the next. 0..4294967295; the setter
   gives 0, or -1 for others and sets none */
static inline int tetra_set_x_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 44u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_x_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 44u, 0u, 32u);
}

/* bias_batch_stride: bytes from bias of one batch element to that of the next. 0..4294967295; the
   setter gives 0, or -1 for others and sets none */
static inline int tetra_set_bias_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 45u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_bias_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 45u, 0u, 32u);
}

/* mask_in_batch_stride: bytes from mask in of one batch element to that of the next. 0..4294967295;
   the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_mask_in_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 46u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_in_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 46u, 0u, 32u);
}

/* mask_out_batch_stride: bytes from mask out of one batch element to that of the next.
   0..4294967295; the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_mask_out_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 47u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_mask_out_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 47u, 0u, 32u);
}

/* report_batch_stride: bytes from report of one batch element to that of the next. 0..4294967295;
   the setter gives 0, or -1 for others and sets none */
static inline int tetra_set_report_batch_stride(tetra_descriptor *d, uint32_t value)
{
    tetra_set_bits(d, 48u, 0u, 32u, (uint64_t)value);
    return 0;
}

static inline uint32_t tetra_get_report_batch_stride(const tetra_descriptor *d)
{
    return (uint32_t)tetra_get_bits(d, 48u, 0u, 32u);
}

/* A descriptor that asks for nothing: one batch element, results INT32 with scale 1. */
static inline void tetra_init(tetra_descriptor *d)
{
    unsigned i;
    for (i = 0; i < 64u; i++)
        d->word[i] = 0;
    tetra_set_version(d, 1);
    tetra_set_batch(d, 1);
    tetra_set_multiplier(d, 32768);
    tetra_set_shift(d, 15);
    tetra_set_format(d, 3);
}

/* The name of a code of the core's error register, or "?". */
static inline const char *tetra_fault_name(uint32_t code)
{
    switch (code) {
    case TETRA_FAULT_NONE: return "NONE";
    case TETRA_FAULT_VERSION: return "VERSION";
    case TETRA_FAULT_RESERVED: return "RESERVED";
    case TETRA_FAULT_OPERATION: return "OPERATION";
    case TETRA_FAULT_SIZE: return "SIZE";
    case TETRA_FAULT_FORMAT: return "FORMAT";
    case TETRA_FAULT_ADAPT: return "ADAPT";
    case TETRA_FAULT_COMBINATION: return "COMBINATION";
    case TETRA_FAULT_ALIGNMENT: return "ALIGNMENT";
    case TETRA_FAULT_WRAP: return "WRAP";
    case TETRA_FAULT_READ_WINDOW: return "READ_WINDOW";
    case TETRA_FAULT_WRITE_WINDOW: return "WRITE_WINDOW";
    case TETRA_FAULT_READ_SLVERR: return "READ_SLVERR";
    case TETRA_FAULT_READ_DECERR: return "READ_DECERR";
    case TETRA_FAULT_WRITE_SLVERR: return "WRITE_SLVERR";
    case TETRA_FAULT_WRITE_DECERR: return "WRITE_DECERR";
    case TETRA_FAULT_RING: return "RING";
    case TETRA_FAULT_OVERFLOW: return "OVERFLOW";
    default: return "?";
    }
}

#define TETRA_REPORT_WORDS 14
#define TETRA_REPORT_BYTES 56

/* Where the fields of a report lie: lowest bit and width. */
#define TETRA_REPORT_COUNT_BIT 0
#define TETRA_REPORT_COUNT_WIDTH 33
#define TETRA_REPORT_LOW_BIT 33  /* signed */
#define TETRA_REPORT_LOW_WIDTH 32
#define TETRA_REPORT_HIGH_BIT 65  /* signed */
#define TETRA_REPORT_HIGH_WIDTH 32
#define TETRA_REPORT_LARGEST_BIT 97
#define TETRA_REPORT_LARGEST_WIDTH 32
#define TETRA_REPORT_SUM_ABS_BIT 129
#define TETRA_REPORT_SUM_ABS_WIDTH 64
#define TETRA_REPORT_SUM_SQUARES_BIT 193
#define TETRA_REPORT_SUM_SQUARES_WIDTH 95
#define TETRA_REPORT_SATURATED_BIT 288
#define TETRA_REPORT_SATURATED_WIDTH 33
#define TETRA_REPORT_UNDERFLOWED_BIT 321
#define TETRA_REPORT_UNDERFLOWED_WIDTH 33
#define TETRA_REPORT_APPLIED_MULTIPLIER_BIT 354
#define TETRA_REPORT_APPLIED_MULTIPLIER_WIDTH 16
#define TETRA_REPORT_APPLIED_SHIFT_BIT 370
#define TETRA_REPORT_APPLIED_SHIFT_WIDTH 6
#define TETRA_REPORT_APPLIED_ZERO_POINT_BIT 376  /* signed */
#define TETRA_REPORT_APPLIED_ZERO_POINT_WIDTH 16
#define TETRA_REPORT_ENTRY_MULTIPLIER_BIT 392
#define TETRA_REPORT_ENTRY_MULTIPLIER_WIDTH 16
#define TETRA_REPORT_ENTRY_SHIFT_BIT 408
#define TETRA_REPORT_ENTRY_SHIFT_WIDTH 6
#define TETRA_REPORT_ENTRY_ZERO_POINT_BIT 414  /* signed */
#define TETRA_REPORT_ENTRY_ZERO_POINT_WIDTH 16
#define TETRA_REPORT_ENTRY_EXPONENT_BIT 430  /* signed */
#define TETRA_REPORT_ENTRY_EXPONENT_WIDTH 7
#define TETRA_REPORT_ENTRY_VALID_BIT 437
#define TETRA_REPORT_ENTRY_VALID_WIDTH 1
#define TETRA_REPORT_ENTRY_FROZEN_BIT 438
#define TETRA_REPORT_ENTRY_FROZEN_WIDTH 1
#define TETRA_REPORT_IS_UNSET_BIT 439
#define TETRA_REPORT_IS_UNSET_WIDTH 1
#define TETRA_REPORT_IS_CLIPPED_BIT 440
#define TETRA_REPORT_IS_CLIPPED_WIDTH 1
#define TETRA_REPORT_IS_DEGENERATE_BIT 441
#define TETRA_REPORT_IS_DEGENERATE_WIDTH 1
#define TETRA_REPORT_IS_UNREACHABLE_BIT 442
#define TETRA_REPORT_IS_UNREACHABLE_WIDTH 1
#define TETRA_REPORT_IS_SATURATED_BIT 443
#define TETRA_REPORT_IS_SATURATED_WIDTH 1
#define TETRA_REPORT_IS_LIMITED_BIT 444
#define TETRA_REPORT_IS_LIMITED_WIDTH 1

/* Up to 64 bits of a report from bit `offset` on; the sign of a signed field is its highest bit. */
static inline uint64_t tetra_report_bits(const uint8_t *report, unsigned offset, unsigned width)
{
    uint64_t value = 0;
    unsigned i;
    for (i = 0; i < width; i++)
        value |= (uint64_t)(report[(offset + i) / 8u] >> (offset + i) % 8u & 1u) << i;
    return value;
}

#endif /* TETRA_H */
