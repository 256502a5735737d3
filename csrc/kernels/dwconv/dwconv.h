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

/* Taps of a window one above the other: of the image in front of them, the next row of Y sees the next row. */
typedef struct {
    ptrdiff_t x;
    size_t w, taps; /* of the first; taps <= PI_DWCONV_TAPS */
} pi_dwconv_column;
enum { PI_DWCONV_TAPS = 7 };

/* One channel of an image, along its rows:
 *
 *     y[r * y_step + i] = clamp(bias + sum over columns c, k < c.taps of w[c.w + k * w_step] * x[c.x + (r + k) * x_step + i])
 *
 * for r < rows, i < n. */
typedef struct {
    size_t rows, n, x_step, y_step, w_step, columns;
    const pi_dwconv_column *column;
    const float *x, *w;
    float bias, low, high;
} pi_dwconv_plane;

typedef struct {
    void (*row)(const pi_dwconv_row *d, const float *const *x, float *y);
    void (*plane)(const pi_dwconv_plane *p, float *y);
    /* to[0][i] = x[2 i], to[1][i] = x[2 i + 1] for 2 i, 2 i + 1 < n. */
    void (*split)(size_t n, const float *x, float *const to[2]);
} pi_dwconv_kernels;

#define X(isa, name) extern const pi_dwconv_kernels name;
#include "kernels/dwconv/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_dwconv_kernels *pi_dwconv(void);
#endif
