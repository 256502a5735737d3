/* SPDX-License-Identifier: Apache-2.0 */
/* f32 pooling: windows over channels-last data, and rows of channels-first data. Pointers need float alignment only;
 * y may not overlap x. A window has taps[0] x taps[1] x taps[2] places (1 at least), `step` floats apart in each direction. */
#ifndef PI_KERNELS_POOL_H
#define PI_KERNELS_POOL_H
#include <stddef.h>
#include "base/cpu.h"

typedef struct {
    /* y[c] = the largest of x over the window; NaN if one of them is. */
    void (*max_f32)(size_t c, const size_t taps[3], const ptrdiff_t step[3], const float *x, float *y);
    /* y[c] = scale * the sum of x over the window, summed in parts of 32. */
    void (*sum_f32)(size_t c, const size_t taps[3], const ptrdiff_t step[3], const float *x, float scale, float *y);
    /* y[i] = max(y[i], x[i * stride]), and y[i] += x[i * stride]. */
    void (*row_max_f32)(size_t n, const float *x, ptrdiff_t stride, float *y);
    void (*row_add_f32)(size_t n, const float *x, ptrdiff_t stride, float *y);
} pi_pool_kernels;

#define X(isa, name) extern const pi_pool_kernels name;
#include "kernels/pool/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_pool_kernels *pi_pool(void);
#endif
