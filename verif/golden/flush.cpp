// SPDX-License-Identifier: Apache-2.0
// Switches flush-to-zero on and off, as a library built with -ffast-math does when it is loaded.

#include <cstdint>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

extern "C" void flush(int results, int operands) {
#if defined(__SSE2__)
    _mm_setcsr((_mm_getcsr() & ~0x8040u) | (results ? 0x8000u : 0) | (operands ? 0x0040u : 0));
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control = (control & ~(1ull << 24)) | (results || operands ? 1ull << 24 : 0);  // both at once
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
#error "how does this processor flush subnormal numbers to zero?"
#endif
}
