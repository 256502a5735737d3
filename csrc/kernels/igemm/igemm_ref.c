/* SPDX-License-Identifier: Apache-2.0 */
/* Portable: what the tile means, one element at a time. */
#include "kernels/igemm/igemm.h"

static void tile(size_t m, size_t n, size_t taps, size_t k, const float *const *a, const float *b, const pi_igemm_end *end,
                 float *c, size_t c_row)
{
    for (size_t i = 0; i < m; i++) {
        float sum[16];
        for (size_t j = 0; j < n; j++) sum[j] = end && end->bias ? end->bias[j] : 0.0f;
        for (size_t t = 0; t < taps; t++)
            for (size_t l = 0; l < k; l++)
                for (size_t j = 0; j < n; j++) sum[j] += a[t * m + i][l] * b[(t * k + l) * 16 + j];
        for (size_t j = 0; j < n; j++) {
            float v = sum[j] + (end && end->residual ? end->residual[i * c_row + j] : 0.0f);
            if (end && v < end->low) v = end->low;
            c[i * c_row + j] = end && v > end->high ? end->high : v;
        }
    }
}

static void tile_ahead(size_t m, size_t n, size_t taps, size_t k, const float *const *a, const float *b, const pi_igemm_end *end,
                       float *c, size_t c_row, const float *ahead, size_t lines)
{
    (void)ahead, (void)lines;
    tile(m, n, taps, k, a, b, end, c, c_row);
}

const pi_igemm_kernels pi_igemm_ref = {4, 16, tile, tile_ahead};
