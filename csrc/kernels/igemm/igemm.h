/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of rows that are reached through pointers, after M. Dukhan, "The Indirect Convolution Algorithm",
 * arXiv 1907.02129: the same kernel does GEMM (one tap) and convolution on channels-last data (a tap for each place of the
 * window; a row that lies in the padding points at zeros).
 *
 *     c[i][j] = end(sum over taps t, l < k of a[t * m + i][l] * b[t * k + l][j])
 *
 * for i < m <= mr, j < n <= nr. b is packed: a panel of taps * k rows with nr columns each, zero-filled. c has rows of
 * `c_row` floats; only the n first columns of m rows are written. No alignment needed, no aliasing but of c and
 * end->residual, which may be the same. */
#ifndef PI_KERNELS_IGEMM_H
#define PI_KERNELS_IGEMM_H
#include <stddef.h>
#include <stdint.h>
#include "base/cpu.h"

/* min(high, max(low, sum + bias[j] + residual[i][j])), where bias (n values) and residual (rows of c_row) may be NULL. NaN
 * stays. */
typedef struct {
    const float *bias, *residual;
    float low, high;
} pi_igemm_end;

typedef struct {
    size_t mr, nr; /* the tile */
    /* end NULL: the sum as it is. */
    void (*tile)(size_t m, size_t n, size_t taps, size_t k, const float *const *a, const float *b, const pi_igemm_end *end,
                 float *c, size_t c_row);
    /* The same; fetches `lines` cache lines at `ahead` (which needs not be readable) with every PI_IGEMM_STEP rows of b, each
     * call the next ones, into the second-level cache. */
    void (*tile_ahead)(size_t m, size_t n, size_t taps, size_t k, const float *const *a, const float *b,
                       const pi_igemm_end *end, float *c, size_t c_row, const float *ahead, size_t lines);
    /* mr rows by nr columns with T(which) of kernels/strassen, 1 to 4, in place of b: made of the blocks of B in b, and left in t,
     * k rows of nr. */
    void (*tile_sum)(int which, size_t k, const float *const *a, const float *const b[4], float *t, const pi_igemm_end *end,
                     float *c, size_t c_row, const float *ahead, size_t lines);
    /* One column: b is taps * k numbers; m <= PI_IGEMM_DOTS, c[i * c_row]. Vectors go along k, so that few columns waste none. */
    void (*dots)(size_t m, size_t taps, size_t k, const float *const *a, const float *b, const pi_igemm_end *end, float *c,
                 size_t c_row);
} pi_igemm_kernels;
enum { PI_IGEMM_STEP = 8, PI_IGEMM_DOTS = 6 };

/* What tile number `tile` of `tiles`, which all go through k rows of a panel, is to fetch of `size` floats at `next`; NULL: nothing.
 * Not for a single row: it goes through memory in one line, where the hardware's own fetching is faster (31 GB/s, not 20, Zen 4). */
typedef struct {
    const float *at;
    size_t lines;
} pi_igemm_ahead;
pi_igemm_ahead pi_igemm_share(const float *next, size_t size, size_t k, size_t tile, size_t tiles);

#define X(isa, name) extern const pi_igemm_kernels name;
#include "kernels/igemm/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_igemm_kernels *pi_igemm(void);

/* Panels of b, `rows` rows each, that stay in the second-level cache: a tile of a is multiplied by all of them, so that it is
 * read once and results are written along rows, before the next tile. */
int64_t pi_igemm_group(const pi_igemm_kernels *kernels, size_t rows);
#endif
