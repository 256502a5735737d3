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

static void plane(const pi_dwconv_plane *p, float *y)
{
    for (size_t r = 0; r < p->rows; r++)
        for (size_t i = 0; i < p->n; i++) {
            float sum = p->bias;
            for (const pi_dwconv_column *c = p->column; c < p->column + p->columns; c++)
                for (size_t k = 0; k < c->taps; k++) sum += p->w[c->w + k * p->w_step] * (p->x + c->x)[(r + k) * p->x_step + i];
            sum = sum < p->low ? p->low : sum;
            y[r * p->y_step + i] = sum > p->high ? p->high : sum;
        }
}

static void split(size_t n, const float *x, float *const to[2])
{
    for (size_t i = 0; i < n; i++) to[i % 2][i / 2] = x[i];
}

const pi_dwconv_kernels pi_dwconv_ref = {row, plane, split};
