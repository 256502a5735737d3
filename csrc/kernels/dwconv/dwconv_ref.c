/* SPDX-License-Identifier: Apache-2.0 */
/* Portable: what the kernel means. */
#include "kernels/dwconv/dwconv.h"

static void row(const pi_dwconv_row *d, const float *const *x, float *y)
{
    for (size_t o = 0; o < d->out; o++)
        for (size_t j = 0; j < d->n; j++) {
            float sum = d->bias ? d->bias[j] : 0.0f;
            for (size_t r = 0; r < d->kh; r++)
                for (size_t t = 0; x[r] && t < d->kw; t++) {
                    size_t at = o * d->stride + t * d->dilation;
                    if (at < d->pad || at - d->pad >= d->in) continue;
                    sum += x[r][(at - d->pad) * d->x_step + j] * d->w[(r * d->kw + t) * d->w_step + j];
                }
            sum = sum < d->low ? d->low : sum;
            y[o * d->y_step + j] = sum > d->high ? d->high : sum;
        }
}

static void plane(size_t n, size_t taps, const float *const *x, const float *w, float bias, float low, float high, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float sum = bias;
        for (size_t t = 0; t < taps; t++) sum += w[t] * x[t][i];
        sum = sum < low ? low : sum;
        y[i] = sum > high ? high : sum;
    }
}

const pi_dwconv_kernels pi_dwconv_ref = {row, plane};
