/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products of 16-bit operands (8-bit values less their zero points) in 32 bits, which wrap.
 * A panel is 16 columns of B: panel[pair][16][2], k in pairs (an odd one is filled with 0). */
#ifndef PI_KERNELS_QUANT_PANEL_H
#define PI_KERNELS_QUANT_PANEL_H
#include <stddef.h>
#include <stdint.h>

enum { PI_QUANT_COLUMNS = 16 };

/* c[i][j] = sum over k of a[i][k] * panel[k][j], j in [0, 16), i in [0, m); a has rows of lda elements, of which the
 * first 2 * pairs count; c has rows of ldc. */
typedef void (*pi_quant_panel_fn)(const int16_t *a, int64_t lda, const int16_t *panel, int64_t pairs, int32_t *c,
                                  int64_t ldc, int64_t m);
pi_quant_panel_fn pi_quant_panel_select(void);

/* n bytes, signed or not, `step` apart, less `zero`, as 16-bit numbers `out_step` apart. */
void pi_quant_widen(const void *x, int is_signed, int64_t step, int32_t zero, int16_t *out, int64_t out_step,
                    int64_t n);

#define X(isa, name) \
    void name(const int16_t *a, int64_t lda, const int16_t *panel, int64_t pairs, int32_t *c, int64_t ldc, int64_t m);
#include "kernels/quant/kernels.inc"
#undef X
#endif
