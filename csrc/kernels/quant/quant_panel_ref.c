/* SPDX-License-Identifier: Apache-2.0 */
/* Panel products in plain C. */
#include <string.h>

#include "kernels/quant/quant_panel.h"

void pi_quant_panel_ref(const int16_t *const *a, int64_t m, const pi_quant_taps *taps, const int16_t *panel, int32_t *c,
                        int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        uint32_t sum[PI_QUANT_COLUMNS] = {0}; /* unsigned: wraps */
        const int16_t *b = panel;
        for (int64_t t = 0; t < taps->n; t++) {
            const int16_t *row = a[i] + taps->offset[t];
            for (int64_t p = 0; p < taps->pairs; p++, row += 2, b += 2 * PI_QUANT_COLUMNS)
                for (int j = 0; j < PI_QUANT_COLUMNS; j++)
                    sum[j] += (uint32_t)(row[0] * b[2 * j]) + (uint32_t)(row[1] * b[2 * j + 1]);
        }
        memcpy(c + i * ldc, sum, sizeof sum);
    }
}

/* The steps are constants where it matters: the loop becomes instructions on vectors. */
static inline __attribute__((always_inline)) void widen(const void *x, int is_signed, int64_t step, int32_t zero,
                                                        int16_t *restrict out, int64_t out_step, int64_t n)
{
    if (is_signed)
        for (int64_t i = 0; i < n; i++) out[i * out_step] = (int16_t)(((const int8_t *)x)[i * step] - zero);
    else
        for (int64_t i = 0; i < n; i++) out[i * out_step] = (int16_t)(((const uint8_t *)x)[i * step] - zero);
}

void pi_quant_widen(const void *x, int is_signed, int64_t step, int32_t zero, int16_t *out, int64_t out_step, int64_t n)
{
    if (step == 1 && out_step == 1)
        widen(x, is_signed, 1, zero, out, 1, n);
    else if (step == 1 && out_step == 2)
        widen(x, is_signed, 1, zero, out, 2, n);
    else
        widen(x, is_signed, step, zero, out, out_step, n);
}
