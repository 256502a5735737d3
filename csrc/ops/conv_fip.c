/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution on channels-last data by the fast inner product: rows of A are windows. Those of 1x1 lie in memory, others are gathered
 * for a tile at a time. Several groups are as many products, each, or a part of its rows, the work of one thread. */
#include <string.h>
#include "base/threads.h"
#include "ops/conv.h"
#include "ops/fip_product.h"

enum { LEAST_CHANNELS = 48, LEAST_PIXELS = 128 }; /* of Y, of one of several groups whose windows are gathered: for fewer it does not pay */

typedef struct {
    pi_conv c;
    pi_fip_plan product; /* of a group, and a cut if there are several groups */
    int64_t cuts;        /* of a group's rows */
    size_t each;         /* bytes of a thread's scratch */
} fip_state;

/* Rows of A from `first` on, of a group. */
typedef struct {
    const pi_conv *c;
    int64_t group, first;
} windows;

static pi_fip_plan product_of(const pi_conv *c)
{
    const pi_window *w = &c->w;
    return (pi_fip_plan){.m = pi_conv_pixels(c),
                         .n = c->out_channels / c->group,
                         .k = w->kernel[0] * w->kernel[1] * w->kernel[2] * (w->channels / c->group)};
}

const char *pi_conv_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why = pi_conv_own_refuse(node, in, out);
    if (why) return why;
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK) return "attributes";
    const pi_fip_plan s = product_of(&c);
    why = pi_fip_refuse(s.m, s.n, s.k, !pi_conv_pixelwise(&c));
    if (!why && c.group > 1 && !pi_conv_pixelwise(&c) && (s.n < LEAST_CHANNELS || s.m < LEAST_PIXELS))
        return PI_SLOWER "windows of groups are gathered for too little";
    return why;
}

/* A row of a window, n places, to `to`: zeros where it hangs over. x: the row of the image, or NULL. */
static void gather_row(const pi_conv *c, const float *x, int64_t at, float *to)
{
    const pi_window *w = &c->w;
    int64_t n = w->kernel[2], step = w->dilation[2], channels = w->channels / c->group, from = c->x.space[2];
    size_t pixel = (size_t)channels * sizeof *to;
    int64_t first = 0, last = n; /* inside the image */
    while (first < last && at + first * step < 0) first++;
    while (last > first && at + (last - 1) * step >= w->in[2]) last--;
    if (!x) first = last = 0;
    memset(to, 0, (size_t)first * pixel);
    bool gaps = step != 1 || channels != from;
    if (!gaps && last > first) memcpy(to + first * channels, x + (at + first) * channels, (size_t)(last - first) * pixel);
    for (int64_t i = first; gaps && i < last; i++) memcpy(to + i * channels, x + (at + i * step) * from, pixel);
    memset(to + last * channels, 0, (size_t)(n - last) * pixel);
}

static void gather(const pi_call *call, const void *arg, int64_t first, int64_t m, float *to)
{
    const windows *of = arg;
    const pi_conv *c = of->c;
    const pi_window *w = &c->w;
    const int64_t channels = w->channels / c->group;
    const float *x = (const float *)call->in[0]->data + of->group * channels;
    first += of->first;
    for (int64_t p = first; p < first + m; p++) {
        int64_t at[3], rest = p;
        for (int i = 2; i >= 0; i--) {
            at[i] = rest % w->out[i] * w->stride[i] - w->pad[i];
            rest /= w->out[i];
        }
        for (int64_t i = 0; i < w->kernel[0]; i++)
            for (int64_t j = 0; j < w->kernel[1]; j++, to += w->kernel[2] * channels) {
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
    const int64_t groups = s->c.group, threads = prep->threads;
    *f = product_of(&s->c);
    f->gather = pi_conv_pixelwise(&s->c) ? NULL : gather;
    f->late = pi_act_bounds(s->c.act, &f->low, &f->high);
    s->cuts = groups > 1 ? pi_parallel_blocks(prep->threads, 1, groups, f->m, 2 * PI_FIP_ROWS) : 1;
    f->m = (f->m + s->cuts - 1) / s->cuts;
    if (groups > 1) prep->threads = 1; /* of each product */
    pi_status status = pi_fip_prepare(prep, f, err);
    prep->threads = (int)threads;
    PI_TRY(status);
    s->each = prep->scratch;
    if (groups > 1 && !pi_mul(s->each, (size_t)threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the copied rows have more bytes than can be addressed");
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)f->k;
    const int64_t channels = s->c.w.channels / groups, nr = (int64_t)f->fip->nr;
    const pi_conv_pack_shape shape = {groups, f->n, channels, f->k / channels, nr};
    return pi_conv_pack(prep, 1, &shape, &f->b, err);
}

/* ---- run ---- */

/* Rows [begin, end) of a group. */
static pi_status product(const pi_call *call, int64_t group, int64_t begin, int64_t end, pi_error *err)
{
    const fip_state *s = call->state;
    const float *bias = pi_conv_optional(call, 2), *z = pi_conv_optional(call, 3);
    const int64_t channels = s->c.w.channels, outs = s->c.out_channels, to = begin * outs + group * s->product.n;
    const windows of = {&s->c, group, begin};
    pi_fip_plan p = s->product;
    int64_t nr = (int64_t)p.fip->nr;
    p.m = end - begin;
    p.minus = pi_fip_minus(s->c.group, p.panels, p.k, nr, group, s->product.b);
    p.b += group * p.panels * p.k * nr;
    const pi_fip_data data = {&of, (const float *)call->in[0]->data + begin * channels + group * (channels / s->c.group),
                              bias ? bias + group * p.n : NULL, z ? z + to : NULL, (float *)call->out[0]->data + to, channels, outs};
    return pi_fip_run(&p, call, &data, err);
}

/* A chunk is a range of (group, cut). */
static void groups_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const fip_state *s = call->state;
    const int64_t m = pi_conv_pixels(&s->c);
    pi_run alone = *call->run;
    pi_call mine = *call;
    alone.threads = 1;
    mine.run = &alone;
    mine.scratch = (char *)call->scratch + (size_t)thread * s->each;
    for (int64_t u = begin; u < end; u++) {
        int64_t cut = u % s->cuts;
        if (product(&mine, u / s->cuts, cut * m / s->cuts, (cut + 1) * m / s->cuts, NULL) != PI_E_OK) return; /* cancelled */
    }
}

pi_status pi_conv_fip_run(const pi_call *call, pi_error *err)
{
    const fip_state *s = call->state;
    if (s->c.group == 1) return product(call, 0, 0, s->product.m, err);
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->c.group * s->cuts, 1, groups_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
