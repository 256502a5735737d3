/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions of f32 along rows or columns: pi_reduce()->rows_f32(PI_REDUCE_SUM, ...).
 * Everywhere: float alignment is enough; rows begin `row` floats apart; x and y do not overlap. A reduction of nothing
 * gives the value in reduce.inc. NaN makes the result NaN, in MAX and MIN too, as in NumPy.
 * Sums run in blocks of fixed size whose results are added in double: rounding grows with the block, not the length. */
#ifndef PI_KERNELS_REDUCE_H
#define PI_KERNELS_REDUCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
#define X(name, empty, part, join) PI_REDUCE_##name,
#include "kernels/reduce/reduce.inc"
#undef X
    PI_REDUCE_COUNT
} pi_reduce_kind;

/* argmax or argmin; of equal ones the first, or the last. NaN wins (the first or last NaN). */
typedef struct {
    bool min, last;
} pi_arg;

typedef struct {
    /* y[r] = of x[r][0..n) */
    void (*rows_f32)(pi_reduce_kind kind, size_t rows, size_t row, size_t n, const float *x, float *y);
    /* y[i] = of x[0..rows)[i] */
    void (*columns_f32)(pi_reduce_kind kind, size_t rows, size_t row, size_t n, const float *x, float *y);
    /* The same two for indices; what is reduced may not be empty (0 is written) nor longer than INT32_MAX. */
    void (*arg_rows_f32)(pi_arg arg, size_t rows, size_t row, size_t n, const float *x, int64_t *y);
    void (*arg_columns_f32)(pi_arg arg, size_t rows, size_t row, size_t n, const float *x, int64_t *y);
    /* Products of a matrix with one vector, in float: y[r] = sum of x[r][i] * v[i], and y[i] += sum of w[r] * x[r][i]. */
    void (*dot_rows_f32)(size_t rows, size_t row, size_t n, const float *x, const float *v, float *y);
    void (*add_rows_f32)(size_t rows, size_t row, size_t n, const float *x, const float *w, float *y);
} pi_reduce_kernels;

#define X(isa, name) extern const pi_reduce_kernels name;
#include "kernels/reduce/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_reduce_kernels *pi_reduce(void);

/* See reduce.inc; n: how many values there were in all parts. */
pi_reduce_kind pi_reduce_part(pi_reduce_kind kind);
pi_reduce_kind pi_reduce_join(pi_reduce_kind kind);
float pi_reduce_finish(pi_reduce_kind kind, float joined, size_t n);
#endif
