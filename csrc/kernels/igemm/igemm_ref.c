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

static void tile_sum(int which, size_t k, const float *const *a, const float *const b[4], float *t, const pi_igemm_end *end, float *c,
                     size_t c_row, const float *ahead, size_t lines)
{
    for (size_t i = 0; i < k * 16; i++) {
        float one = b[1][i] - b[0][i], two = b[3][i] - one;
        t[i] = which == 1 ? one : which == 2 ? two : which == 3 ? b[3][i] - b[1][i] : b[2][i] - two;
    }
    tile_ahead(4, 16, 1, k, a, t, end, c, c_row, ahead, lines);
}

static void dots(size_t m, size_t taps, size_t k, const float *const *a, const float *b, const pi_igemm_end *end, float *c,
                 size_t c_row)
{
    for (size_t i = 0; i < m; i++) {
        float y = end->bias ? end->bias[0] : 0.0f;
        for (size_t t = 0; t < taps; t++)
            for (size_t l = 0; l < k; l++) y += a[t * m + i][l] * b[t * k + l];
        if (end->residual) y += end->residual[i * c_row];
        if (y < end->low) y = end->low;
        c[i * c_row] = y > end->high ? end->high : y;
    }
}

const pi_igemm_kernels pi_igemm_ref = {4, 16, tile, tile_ahead, tile_sum, dots};
