/* SPDX-License-Identifier: Apache-2.0 */
/* Portable: what the tile means, one element at a time. */
#include "kernels/igemm/igemm.h"

static void tile(size_t m, size_t n, size_t taps, size_t k, const float *const *a, const float *b, const float *bias,
                 float *c, size_t c_row)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) c[i * c_row + j] = bias ? bias[j] : 0.0f;
        for (size_t t = 0; t < taps; t++)
            for (size_t l = 0; l < k; l++)
                for (size_t j = 0; j < n; j++) c[i * c_row + j] += a[t * m + i][l] * b[(t * k + l) * 16 + j];
    }
}

const pi_igemm_kernels pi_igemm_ref = {4, 16, tile};
