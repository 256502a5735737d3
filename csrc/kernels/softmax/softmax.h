/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of f32: pi_softmax()->softmax_f32(rows, n, x, y).
 * Everywhere: float alignment is enough; sizes may be 0; y may be x (in place), otherwise they do not overlap.
 * NaN or +inf in a row, or nothing but -inf, makes the whole row NaN, as in NumPy; -inf in other rows gives exactly 0.
 * Values whose share is below e^-87 of the largest are 0. */
#ifndef PI_KERNELS_SOFTMAX_H
#define PI_KERNELS_SOFTMAX_H
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    /* Dense rows x n, along each row. */
    void (*softmax_f32)(size_t rows, size_t n, const float *x, float *y);
    void (*log_softmax_f32)(size_t rows, size_t n, const float *x, float *y);
    /* softmax(scale * x + mask): row r of x and y begins after r * row floats, of the mask r * mask_row (0: one row for all;
     * mask NULL: none). */
    void (*softmax_mask_f32)(size_t rows, size_t n, size_t row, float scale, const float *x, const float *mask, size_t mask_row,
                             float *y);
    /* Along the first axis of axis x n values, rows `inner` floats apart in x and in y (n <= inner). A caller shares
     * out the columns; 128 and its multiples are good parts. */
    void (*softmax_axis_f32)(bool log, size_t axis, size_t inner, size_t n, const float *x, float *y);
} pi_softmax_kernels;

#define X(isa, name) extern const pi_softmax_kernels name;
#include "kernels/softmax/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_softmax_kernels *pi_softmax(void);
#endif
