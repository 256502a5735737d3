/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of f64 and of integers, which wrap: a tile of c in registers, rows of a through pointers.
 *
 *     c[i][j] = (add ? c[i][j] : 0) + sum over l < k of a[i][l] * b[l][j]
 *
 * for i < m <= mr, j < n <= nr. a[i] points at elements; b has rows of `b_row` elements, of which nr can be read; c has rows
 * of `c_row` elements, of which only the n first are written. Integers are unsigned or signed alike. No alignment needed
 * beyond the element's, no aliasing. */
#ifndef PI_KERNELS_TYPED_H
#define PI_KERNELS_TYPED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cpu.h"

typedef struct {
    size_t mr, nr;
    void (*tile)(size_t m, size_t n, size_t k, const void *const *a, const void *b, size_t b_row, void *c, size_t c_row, bool add);
} pi_typed_gemm;

typedef struct {
    pi_typed_gemm f64, i32, i64;
} pi_typed_kernels;

#define X(isa, name) extern const pi_typed_kernels name;
#include "kernels/igemm/typed.inc"
#undef X

/* The best for this CPU. */
const pi_typed_kernels *pi_typed(void);
#endif
