/* SPDX-License-Identifier: Apache-2.0 */
/* Portable: what the kernel means. */
#include "kernels/dwconv/dwconv.h"

void pi_dwconv_ref(size_t n, size_t taps, const float *const *a, const float *w, const float *bias, float *y)
{
    for (size_t j = 0; j < n; j++) {
        float sum = bias ? bias[j] : 0.0f;
        for (size_t t = 0; t < taps; t++) sum += a[t][j] * w[t * n + j];
        y[j] = sum;
    }
}
