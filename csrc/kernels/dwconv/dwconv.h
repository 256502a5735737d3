/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of one row of output pixels, channels-last:
 *
 *     y[o * y_step + j] = clamp((bias ? bias[j] : 0) +
 *                         sum over taps (r, t) of x[r][(o * stride + t * dilation - pad) * x_step + j] * w[(r * kw + t) * w_step + j])
 *
 * for j < n and 0 <= o < out. What lies left of pixel 0 or from pixel `in` on is 0, and so is a row x[r] that is NULL.
 * clamp(v) = min(high, max(low, v)); NaN stays. No alignment needed; y overlaps nothing. */
#ifndef PI_KERNELS_DWCONV_H
#define PI_KERNELS_DWCONV_H
#include <stddef.h>
#include "base/cpu.h"

typedef struct {
    size_t n;                      /* channels */
    size_t x_step, y_step, w_step; /* floats from a pixel, or a tap, to the next */
    size_t kh, kw, stride, dilation, pad;
    size_t in, out;                /* pixels of a row */
    const float *w, *bias;         /* bias may be NULL */
    float low, high;
} pi_dwconv_row;

typedef struct {
    void (*row)(const pi_dwconv_row *d, const float *const *x, float *y);
    /* One channel, along its pixels: y[i] = clamp(bias + sum over t < taps of w[t] * x[t][i]) for i < n. */
    void (*plane)(size_t n, size_t taps, const float *const *x, const float *w, float bias, float low, float high, float *y);
} pi_dwconv_kernels;

#define X(isa, name) extern const pi_dwconv_kernels name;
#include "kernels/dwconv/kernels.inc"
#undef X

/* even[i] = x[2 i], odd[i] = x[2 i + 1] for i < n. */
void pi_dwconv_split(size_t n, const float *x, float *even, float *odd);

/* The best for this CPU. */
const pi_dwconv_kernels *pi_dwconv(void);
#endif
