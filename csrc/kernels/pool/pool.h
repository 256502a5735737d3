/* SPDX-License-Identifier: Apache-2.0 */
/* f32 pooling: windows over channels-last data, and rows of channels-first data. Pointers need float alignment only;
 * y may not overlap x. A window has taps[0] x taps[1] x taps[2] places (1 at least), `step` floats apart in each direction. */
#ifndef PI_KERNELS_POOL_H
#define PI_KERNELS_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include "base/cpu.h"

typedef struct {
    /* y[c] = the largest of x over the window; NaN if one of them is. */
    void (*max_f32)(size_t c, const size_t taps[3], const ptrdiff_t step[3], const float *x, float *y);
    /* y[c] = scale * the sum of x over the window, summed in parts of 32. */
    void (*sum_f32)(size_t c, const size_t taps[3], const ptrdiff_t step[3], const float *x, float scale, float *y);
    /* y[k * y_step + i] = the largest, or the sum, of rows[t][k * x_step + i] over t < taps (1 at least), for k < m, i < n.
     * y may be one of the rows if m is 1. */
    void (*stack_f32)(bool max, size_t m, size_t n, size_t taps, const float *const *rows, size_t x_step, float *y,
                      size_t y_step);
    /* y[i] = scale * the largest, or the sum, of x[i * stride + t * apart] over t < taps. NaN as above. */
    void (*slide_f32)(bool max, size_t n, size_t taps, const float *x, size_t apart, size_t stride, float scale, float *y);
} pi_pool_kernels;

#define X(isa, name) extern const pi_pool_kernels name;
#include "kernels/pool/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_pool_kernels *pi_pool(void);
#endif
