/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's minimal filtering F(4x4, 3x3) and F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015; points 0, 1, -1, 2, -2 and infinity, or 0, 1, -1 and infinity), over channels-last data: a tile of 4x4
 * outputs from 6x6 inputs takes 36 products instead of 144, one of 2x2 from 4x4 takes 16 instead of 36. All transforms go
 * over n neighbouring channels; pointers need float alignment only. */
#ifndef PI_KERNELS_WINOGRAD_H
#define PI_KERNELS_WINOGRAD_H
#include <stddef.h>
#include "base/cpu.h"

enum { PI_WINOGRAD_MOST = 36 }; /* points of the larger one */

/* What is added to a tile, and the bounds it is cut to. NaN stays. */
typedef struct {
    const float *bias;     /* n, or NULL */
    const float *const *z; /* residuals, one row of n for each of y, or NULL */
    float low, high;       /* -infinity, infinity: none */
} pi_winograd_end;

typedef struct {
    int out, in, points; /* 4, 6, 36 or 2, 4, 16: a side of a tile of outputs, of inputs, and the square of the latter */
    /* v[t * step + j] = (B' d B)[t] of channel j, for all points t. d: rows of n channels of the in x in pixels. */
    void (*input)(size_t n, const float *const *d, float *v, size_t step);
    /* The out x out pixels y[p][j] = clip((A' m A)[p] + bias[j] + z[p][j]), m[t * step + j]. A y that is NULL is outside of the
     * image and left out; y[p] may be z[p]. */
    void (*output)(size_t n, const float *m, size_t step, const pi_winograd_end *end, float *const *y);
    /* u[t * step + j] = (G g G')[t] of the 3x3 weights g = w[j * w_step + 0..8], for j < n. */
    void (*weights)(size_t n, const float *w, size_t w_step, float *u, size_t step);
} pi_winograd_kernels;

#define X(isa, name) extern const pi_winograd_kernels name[2];
#include "kernels/winograd/kernels.inc"
#undef X

/* The best for this CPU: F(4x4, 3x3), then F(2x2, 3x3). */
const pi_winograd_kernels *pi_winograd(void);
#endif
