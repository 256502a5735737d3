/* SPDX-License-Identifier: Apache-2.0 */
/* 8-bit numbers from floats and back. Each row of the table gives the same bits. Any alignment; x and y do not overlap.
 */
#ifndef PI_KERNELS_QUANT_LINEAR_H
#define PI_KERNELS_QUANT_LINEAR_H
#include <stdbool.h>
#include <stdint.h>

/* Two operands and a result on bytes. */
typedef struct {
    float a_scale, a_zero, b_scale, b_zero, y_scale, y_zero;
    bool a_signed, b_signed, y_signed;
    bool product; /* else the sum */
} pi_quant_pair;

typedef struct {
    /* y[i] = saturate(round(x[i] / scale) + zero), to int8 if `is_signed`, else uint8; ties to even; NaN: the lowest */
    void (*to_bytes)(void *y, const float *x, int64_t n, float scale, float zero, bool is_signed);
    /* y[i] = (x[i] - zero) * scale */
    void (*to_floats)(float *y, const void *x, int64_t n, float scale, float zero, bool is_signed);
    /* y[i] = (x[i] - zero[i]) * scale[i]; zero: bytes as x, or NULL */
    void (*to_floats_each)(float *y, const void *x, int64_t n, const float *scale, const void *zero, bool is_signed);
    /* y[i][j] = saturate(round((float)(c[i][j] + add[j]) * scale[j]) + zero), rounded as in to_bytes; the sum wraps;
     * add NULL: 0. Rows of y are y_row bytes apart, rows of c c_row elements. */
    void (*requantize)(void *y, int64_t y_row, const int32_t *c, int64_t c_row, int64_t rows, int64_t n,
                       const int32_t *add, const float *scale, float zero, bool is_signed);
    /* y[i] = to_bytes(to_floats(a[i]) + to_floats(b[i])), or times; y may be a or b */
    void (*pair)(void *y, const void *a, const void *b, int64_t n, const pi_quant_pair *p);
    /* *low becomes the least of itself and all x, *high the greatest; NaN counts for nothing */
    void (*range)(const float *x, int64_t n, float *low, float *high);
    /* the sum of n bytes */
    int64_t (*sum)(const void *x, int64_t n, bool is_signed);
} pi_quant_linear;

const pi_quant_linear *pi_quant_linear_select(void);

#define X(isa, name) extern const pi_quant_linear name;
#include "kernels/quant/linear.inc"
#undef X
#endif
