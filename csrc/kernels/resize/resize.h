/* SPDX-License-Identifier: Apache-2.0 */
/* The two loops of a separable resize, and the repetition of nearest-neighbour upsampling. No fused multiply-add: the rows of
 * the table give the same bits. */
#ifndef PI_KERNELS_RESIZE_H
#define PI_KERNELS_RESIZE_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
    /* out[i] = sum of weight[k] * row[k][i], i in [0, n), taps >= 1 */
    void (*mix)(float *out, const float *const *row, const float *weight, int taps, int64_t n);
    /* out[j][i] = sum of weight[j][k] * in[index[j][k]][i], i in [0, inner), j in [0, n) */
    void (*line)(float *out, const float *in, const int64_t *index, const float *weight, int taps, int64_t n,
                 int64_t inner);
    /* out[2 j] = out[2 j + 1] = in[j], elements of 4 bytes, j in [0, n) */
    void (*twice)(void *out, const void *in, int64_t n);
} pi_resize_kernel;

const pi_resize_kernel *pi_resize_select(void);

#define X(isa, name) extern const pi_resize_kernel name;
#include "kernels/resize/kernels.inc"
#undef X
#endif
