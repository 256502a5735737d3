/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of one group on channels-last data by the fast inner product: rows of A are windows. Those of 1x1 lie in memory, others
 * are gathered for a tile at a time. */
#include <string.h>
#include "ops/conv.h"
#include "ops/fip_product.h"

typedef struct {
    pi_conv c;
    pi_fip_plan product;
} fip_state;

static pi_fip_plan product_of(const pi_conv *c)
{
    const pi_window *w = &c->w;
    return (pi_fip_plan){.m = pi_conv_pixels(c), .n = c->out_channels, .k = w->kernel[0] * w->kernel[1] * w->kernel[2] * w->channels};
}

const char *pi_conv_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why = pi_conv_own_refuse(node, in, out);
    if (why) return why;
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || c.group != 1) return "only one group";
    const pi_fip_plan s = product_of(&c);
    return pi_fip_refuse(s.m, s.n, s.k, !pi_conv_pixelwise(&c));
}

/* A row of a window, n places, to `to`: zeros where it hangs over. x: the row of the image, or NULL. */
static void gather_row(const pi_conv *c, const float *x, int64_t at, float *to)
{
    const pi_window *w = &c->w;
    int64_t n = w->kernel[2], step = w->dilation[2], channels = w->channels;
    size_t pixel = (size_t)channels * sizeof *to;
    int64_t first = 0, last = n; /* inside the image */
    while (first < last && at + first * step < 0) first++;
    while (last > first && at + (last - 1) * step >= w->in[2]) last--;
    if (!x) first = last = 0;
    memset(to, 0, (size_t)first * pixel);
    if (step == 1 && last > first) memcpy(to + first * channels, x + (at + first) * channels, (size_t)(last - first) * pixel);
    for (int64_t i = first; step != 1 && i < last; i++) memcpy(to + i * channels, x + (at + i * step) * channels, pixel);
    memset(to + last * channels, 0, (size_t)(n - last) * pixel);
}

static void gather(const pi_call *call, const void *arg, int64_t first, int64_t m, float *to)
{
    const pi_conv *c = arg;
    const pi_window *w = &c->w;
    const float *x = call->in[0]->data;
    for (int64_t p = first; p < first + m; p++) {
        int64_t at[3], rest = p;
        for (int i = 2; i >= 0; i--) {
            at[i] = rest % w->out[i] * w->stride[i] - w->pad[i];
            rest /= w->out[i];
        }
        for (int64_t i = 0; i < w->kernel[0]; i++)
            for (int64_t j = 0; j < w->kernel[1]; j++, to += w->kernel[2] * w->channels) {
                int64_t d = at[0] + i * w->dilation[0], h = at[1] + j * w->dilation[1];
                bool out = d < 0 || d >= w->in[0] || h < 0 || h >= w->in[1];
                gather_row(c, out ? NULL : x + rest * c->x.batch + d * c->x.space[0] + h * c->x.space[1], at[2], to);
            }
    }
}

pi_status pi_conv_fip_prepare(pi_prep *prep, pi_error *err)
{
    fip_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    pi_fip_plan *f = &s->product;
    *f = product_of(&s->c);
    f->gather = pi_conv_pixelwise(&s->c) ? NULL : gather;
    f->late = pi_act_bounds(s->c.act, &f->low, &f->high);
    PI_TRY(pi_fip_prepare(prep, f, err));
    const int64_t channels = s->c.w.channels, nr = (int64_t)f->fip->nr;
    const pi_conv_pack_shape shape = {1, f->n, channels, f->k / channels, nr};
    PI_TRY(pi_conv_pack(prep, 1, &shape, &f->b, err));
    f->minus = pi_fip_minus(1, f->panels, f->k, nr, 0, f->b);
    return PI_E_OK;
}

pi_status pi_conv_fip_run(const pi_call *call, pi_error *err)
{
    const fip_state *s = call->state;
    const pi_fip_data data = {&s->c, call->in[0]->data, pi_conv_optional(call, 2), pi_conv_optional(call, 3), call->out[0]->data,
                              s->c.w.channels, s->product.n};
    return pi_fip_run(&s->product, call, &data, err);
}
