/* SPDX-License-Identifier: Apache-2.0 */
/* Panel products in plain C. */
#include <string.h>

#include "kernels/quant/quant_panel.h"

void pi_quant_panel_ref(const int16_t *a, int64_t lda, const int16_t *panel, int64_t pairs, int32_t *c, int64_t ldc,
                        int64_t m)
{
    for (int64_t i = 0; i < m; i++) {
        uint32_t sum[PI_QUANT_COLUMNS] = {0}; /* unsigned: wraps */
        for (int64_t p = 0; p < pairs; p++) {
            int32_t a0 = a[i * lda + 2 * p], a1 = a[i * lda + 2 * p + 1];
            const int16_t *b = panel + p * 2 * PI_QUANT_COLUMNS;
            for (int j = 0; j < PI_QUANT_COLUMNS; j++)
                sum[j] += (uint32_t)(a0 * b[2 * j]) + (uint32_t)(a1 * b[2 * j + 1]);
        }
        memcpy(c + i * ldc, sum, sizeof sum);
    }
}

void pi_quant_widen(const void *x, int is_signed, int64_t step, int32_t zero, int16_t *out, int64_t out_step, int64_t n)
{
    if (is_signed)
        for (int64_t i = 0; i < n; i++) out[i * out_step] = (int16_t)(((const int8_t *)x)[i * step] - zero);
    else
        for (int64_t i = 0; i < n; i++) out[i * out_step] = (int16_t)(((const uint8_t *)x)[i * step] - zero);
}
