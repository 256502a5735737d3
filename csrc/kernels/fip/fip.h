/* SPDX-License-Identifier: Apache-2.0 */
/* S. Winograd's inner product ("A New Algorithm for Inner Product", IEEE Trans. Computers C-17, 1968; also called the fast inner
 * product): of two terms of a sum one multiplication,
 *
 *     a0 b0 + a1 b1 = (a0 + b1) (a1 + b0) - a0 a1 - b0 b1,
 *
 * where the sums of a0 a1, one for a row, and of b0 b1, one for a column, are made once. On CPUs whose additions have units of
 * their own two additions take the time of one multiply-add, so that both units work all the time if every third term of a sum is a
 * plain multiply-add: three terms in the time of two. Of six terms, k = 0 to 5 with b[k] for one column,
 *
 *     (b1 + a0) (b0 + a1) + a2 b2 - (b4 - a3) (b3 - a4) + a5 b5,
 *
 * what is to be subtracted is a0 a1 + b0 b1 - a3 a4 - b3 b4: it does not grow with the length of a sum whose a are all positive.
 *
 * The factors must be of one magnitude, or digits are lost: rows of a are multiplied by a power of two when they are copied. Where large
 * numbers of a row meet small ones of b all the same, its sums are small beside what they were made of: such rows are added up plainly,
 * and so are those with a NaN or an infinity. */
#ifndef PI_KERNELS_FIP_H
#define PI_KERNELS_FIP_H
#include <stdbool.h>
#include <stddef.h>
#include "base/cpu.h"
#include "kernels/igemm/igemm.h"

enum {
    PI_FIP_TERMS = 6,
    PI_FIP_BLOCK = 96, /* a copied tile is [block of k][PI_FIP_ROWS][PI_FIP_BLOCK] */
    PI_FIP_ROWS = 8,
};

/* Of a copied row: what its sums begin with, -(sum of a0 a1 - a3 a4), and 1 / its factor, or 0 for a row of zeros. If no sum of a tile is
 * as large as `least`, an eighth (of `row`: a third) of what numbers without order would give, too many digits were
 * lost. */
typedef struct {
    float start[PI_FIP_ROWS], back[PI_FIP_ROWS], least[PI_FIP_ROWS];
} pi_fip_rows;

typedef struct {
    size_t nr; /* columns of a tile, those of kernels/igemm's packed panels */
    /* minus[j], of each of the nr columns of k rows of b, the sum of b0 b1 - b3 b4. Returns the sum of the squares of all. */
    float (*columns)(size_t k, const float *b, float *minus);
    /* m <= PI_FIP_ROWS rows of k numbers, multiplied by powers of two so that the mean of their squares is near `square`. A row
     * with a NaN or an infinity keeps its numbers. `to` is aligned to 64 bytes. */
    void (*rows)(size_t m, size_t k, const float *const *a, float square, float *to, pi_fip_rows *rows);
    /* The same for row i of each of m copied tiles, which are `step` floats apart and have tables rows_step apart: a + t * a_step,
     * square[t] for tile t. */
    void (*row)(size_t m, size_t k, const float *a, size_t a_step, const float *square, size_t i, float *to, size_t step,
                pi_fip_rows *rows, size_t rows_step);
    /* c[i][j] = end(sum over l < k of a[i][l] b[l][j]) for i < m and j < n <= nr, of copied rows. b: k rows of nr. minus: of each
     * of the nr columns the sum of b0 b1 - b3 b4. c has rows of c_row floats, and may be end->residual. Fetches as
     * pi_igemm_kernels.tile_ahead does, with every PI_FIP_TERMS rows of b. */
    void (*tile)(size_t m, size_t n, size_t k, const float *a, const pi_fip_rows *rows, const float *b, const float *minus,
                 const pi_igemm_end *end, float *c, size_t c_row, const float *ahead, size_t lines);
} pi_fip_kernels;

#define X(isa, name) extern const pi_fip_kernels name;
#include "kernels/fip/kernels.inc"
#undef X

/* The best for this CPU, with panels as those of pi_igemm(). */
const pi_fip_kernels *pi_fip(void);
/* The CPU adds beside its multiply-adds, and broadcasts from memory at no cost: the tile takes two thirds of the time. */
bool pi_fip_pays(void);
#endif
