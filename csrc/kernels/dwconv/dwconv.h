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

typedef void (*pi_dwconv_fn)(const pi_dwconv_row *d, const float *const *x, float *y);

#define X(isa, name) void name(const pi_dwconv_row *d, const float *const *x, float *y);
#include "kernels/dwconv/kernels.inc"
#undef X

/* The best for this CPU. */
pi_dwconv_fn pi_dwconv(void);
#endif
