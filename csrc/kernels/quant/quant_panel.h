/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products of 16-bit operands (8-bit values less their zero points) in 32 bits, which wrap.
 * A panel is 16 columns of B: panel[tap][pair][16][2], k in pairs (an odd one is filled with 0). */
#ifndef PI_KERNELS_QUANT_PANEL_H
#define PI_KERNELS_QUANT_PANEL_H
#include <stddef.h>
#include <stdint.h>

enum { PI_QUANT_COLUMNS = 16 };

/* Where the values of a row of the left operand lie: for each tap 2 * pairs of them, offset[tap] elements from where the row
 * begins. A product of matrices has one tap; a convolution has one for each line of its window. */
typedef struct {
    int64_t n, pairs;
    const int64_t *offset;
} pi_quant_taps;

/* c[i][j] = the sum over taps and k of a[i][offset + k] * panel[tap][k][j], j in [0, 16), i in [0, m); c has rows of ldc.
 * What is multiplied by a 0 that fills a pair is read, too. */
typedef void (*pi_quant_panel_fn)(const int16_t *const *a, int64_t m, const pi_quant_taps *taps, const int16_t *panel,
                                  int32_t *c, int64_t ldc);
pi_quant_panel_fn pi_quant_panel_select(void);

/* n bytes, signed or not, `step` apart, less `zero`, as 16-bit numbers `out_step` apart. */
void pi_quant_widen(const void *x, int is_signed, int64_t step, int32_t zero, int16_t *out, int64_t out_step,
                    int64_t n);

#define X(isa, name)                                                                                               \
    void name(const int16_t *const *a, int64_t m, const pi_quant_taps *taps, const int16_t *panel, int32_t *c, \
              int64_t ldc);
#include "kernels/quant/kernels.inc"
#undef X
#endif
