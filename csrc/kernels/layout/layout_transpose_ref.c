/* SPDX-License-Identifier: Apache-2.0 */
/* Transposes in plain C, one for each element size. */
#include "kernels/layout/layout.h"

#include <string.h>

typedef struct {
    uint64_t half[2];
} wide;

#define ELEM uint8_t
void pi_transpose_1_ref(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
#include "kernels/layout/layout_transpose_body.inc"
#undef ELEM
#define ELEM uint16_t
void pi_transpose_2_ref(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
#include "kernels/layout/layout_transpose_body.inc"
#undef ELEM
#define ELEM uint32_t
void pi_transpose_4_ref(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
#include "kernels/layout/layout_transpose_body.inc"
#undef ELEM
#define ELEM uint64_t
void pi_transpose_8_ref(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
#include "kernels/layout/layout_transpose_body.inc"
#undef ELEM
#define ELEM wide
void pi_transpose_16_ref(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
#include "kernels/layout/layout_transpose_body.inc"
#undef ELEM
