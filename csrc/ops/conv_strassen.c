/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution on channels-last data by one level of Strassen's product, where each window is one run of memory: pixels (1x1), or
 * along one axis, whose windows lie `stride` places from each other. A padded input is copied between its zeros first. */
#include <string.h>
#include "base/threads.h"
#include "ops/conv.h"
#include "ops/strassen_product.h"

typedef struct {
    pi_conv c;
    pi_strassen_plan product; /* of one image */
    int64_t images, places;   /* places of an image that are read, zeros included */
    size_t padded_at;         /* in the scratch; 0: nothing is copied */
} strassen_state;

/* One axis alone, and nothing between the taps. */
static bool along_one_axis(const pi_window *w)
{
    for (int i = 0; i < 2; i++)
        if (w->in[i] != 1 || w->out[i] != 1 || w->kernel[i] != 1) return false;
    return w->dilation[2] == 1 || w->kernel[2] == 1;
}

static pi_strassen_plan product_of(const pi_conv *c, int64_t *images)
{
    const pi_window *w = &c->w;
    *images = pi_conv_pixelwise(c) ? 1 : w->batch;
    return (pi_strassen_plan){.m = *images ? pi_conv_pixels(c) / *images : 0,
                              .n = c->out_channels,
                              .k = w->kernel[2] * w->channels,
                              .row = w->stride[2] * w->channels};
}

const char *pi_conv_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    int64_t images;
    const char *why = pi_conv_own_refuse(node, in, out);
    if (why) return why;
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || c.group != 1 || !(pi_conv_pixelwise(&c) || along_one_axis(&c.w)))
        return "only one group, 1x1 with stride 1 or one axis without dilation";
    const pi_strassen_plan s = product_of(&c, &images);
    return pi_strassen_refuse(s.m, s.n, s.k);
}

pi_status pi_conv_strassen_prepare(pi_prep *prep, pi_error *err)
{
    strassen_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    size_t bytes;
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    pi_strassen_plan *p = &s->product;
    *p = product_of(&s->c, &s->images);
    p->late = pi_act_bounds(s->c.act, &p->low, &p->high);
    PI_TRY(pi_strassen_prepare(prep, p, err));
    prep->flops *= (double)s->images;
    s->places = (p->m - 1) * w->stride[2] + w->kernel[2];
    if (!pi_conv_pixelwise(&s->c) && (w->pad[2] != 0 || s->places > w->in[2])) {
        if (!pi_add(prep->scratch, 64, &s->padded_at) || !pi_mul((size_t)s->places, (size_t)w->channels, &bytes) ||
            !pi_mul(bytes, sizeof(float), &bytes) || !pi_add(s->padded_at &= ~(size_t)63, bytes, &prep->scratch))
            return pi_fail(err, PI_E_LIMIT, "the padded input has more bytes than can be addressed");
    }
    const pi_conv_pack_shape shape = {1, p->n, w->channels, w->kernel[2], (int64_t)p->gemm->nr};
    return pi_conv_pack(prep, 1, &shape, &p->b, err);
}

typedef struct {
    const strassen_state *s;
    const float *x;
    float *to;
} pad_task;

/* A chunk is a range of places. */
static void pad_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pad_task *t = arg;
    const pi_window *w = &t->s->c.w;
    int64_t first = pi_max_i64(begin, w->pad[2]), last = pi_min_i64(end, w->pad[2] + w->in[2]), n = w->channels;
    first = pi_min_i64(first, end), last = pi_max_i64(last, first);
    memset(t->to + begin * n, 0, (size_t)((first - begin) * n) * sizeof *t->to);
    if (last > first) memcpy(t->to + first * n, t->x + (first - w->pad[2]) * n, (size_t)((last - first) * n) * sizeof *t->to);
    memset(t->to + last * n, 0, (size_t)((end - last) * n) * sizeof *t->to);
}

pi_status pi_conv_strassen_run(const pi_call *call, pi_error *err)
{
    enum { GRAIN = 1 << 16 };
    const strassen_state *s = call->state;
    const pi_strassen_plan *p = &s->product;
    const float *z = pi_conv_optional(call, 3);
    float *y = call->out[0]->data;
    for (int64_t i = 0, image = p->m * p->n; i < s->images; i++) {
        const float *x = (const float *)call->in[0]->data + i * s->c.x.batch;
        if (s->padded_at) {
            pad_task pad = {s, x, (float *)(void *)((char *)call->scratch + s->padded_at)};
            pi_parallel(call->run->threads, s->places, 1 + GRAIN / s->c.w.channels, pad_chunk, &pad);
            x = pad.to;
        }
        const pi_strassen_data data = {x, pi_conv_optional(call, 2), z ? z + i * image : NULL, y + i * image, p->row, p->n};
        PI_TRY(pi_strassen_run(p, call, &data, err));
    }
    return PI_E_OK;
}
