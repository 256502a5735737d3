/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's form of V. Strassen's matrix product ("Gaussian Elimination is not Optimal", 1969): seven products of blocks in
 * place of eight, and 15 sums. A, B and C = A B are cut in four, 11 to 22:
 *
 *     S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
 *     T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = B21 - T2
 *     P1 = A11 B11   P2 = A12 B21   P3 = S4 B22   P4 = A22 T4   P5 = S1 T1   P6 = S2 T2   P7 = S3 T3
 *     U2 = P1 + P6   U3 = U2 + P7
 *     C11 = P1 + P2   C12 = U2 + P5 + P3   C21 = U3 + P4   C22 = U3 + P5
 *
 * Sums of B are made where they are multiplied: tile_sum of kernels/igemm. Pointers need float alignment only; results alias
 * nothing but where it is said. */
#ifndef PI_KERNELS_STRASSEN_H
#define PI_KERNELS_STRASSEN_H
#include <stddef.h>
#include "base/cpu.h"

enum { PI_STRASSEN_PRODUCTS = 7 };

/* C[i][j] = min(high, max(low, C[i][j] + bias[j] + residual[i][j])); NaN stays. */
typedef struct {
    const float *bias[2];     /* of the left and the right columns, or NULL */
    const float *residual[4]; /* rows like those of C, which they may be, or NULL */
    float low, high;          /* -infinity, infinity: none */
} pi_strassen_end;

typedef struct {
    /* s[i] = S(i + 1), n numbers each, of n numbers of each block of A. */
    void (*a_sums)(size_t n, const float *const a[4], float *const s[4]);
    /* m rows of the blocks c[0..3] = C11, C12, C21, C22: nr columns on the left, n on the right, rows c_row floats apart.
     * p + i * step: P(i + 1), rows of nr floats, nr a multiple of 16. c[2] NULL: the upper blocks only. */
    void (*combine)(size_t m, size_t nr, size_t n, const float *p, size_t step, const pi_strassen_end *end, float *const c[4],
                    size_t c_row);
} pi_strassen_kernels;

#define X(isa, name) extern const pi_strassen_kernels name;
#include "kernels/strassen/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_strassen_kernels *pi_strassen(void);
#endif
