/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of one output pixel, channels-last:
 *
 *     y[j] = (bias ? bias[j] : 0) + sum over taps t of a[t][j] * w[t * n + j]      for j < n
 *
 * a: a row of n channels for each tap; one that lies in the padding points at n zeros. No alignment needed; y overlaps
 * nothing. */
#ifndef PI_KERNELS_DWCONV_H
#define PI_KERNELS_DWCONV_H
#include <stddef.h>
#include "base/cpu.h"

typedef void (*pi_dwconv_fn)(size_t n, size_t taps, const float *const *a, const float *w, const float *bias, float *y);

#define X(isa, name) void name(size_t n, size_t taps, const float *const *a, const float *w, const float *bias, float *y);
#include "kernels/dwconv/kernels.inc"
#undef X

/* The best for this CPU. */
pi_dwconv_fn pi_dwconv(void);
#endif
