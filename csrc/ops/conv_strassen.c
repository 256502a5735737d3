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
    int axis;                 /* the windows' way; -1: they are pixels */
    int64_t images, places;   /* places of an image that are read, zeros included */
    size_t padded_at;         /* in the scratch; 0: nothing is copied */
} strassen_state;

/* The only axis that has places, nothing between the taps along it; -1: there is none, or windows are pixels. */
static int only_axis(const pi_conv *c)
{
    const pi_window *w = &c->w;
    int axis = 2;
    if (pi_conv_pixelwise(c)) return -1;
    for (int i = 0; i < 2; i++)
        if (w->in[i] != 1) axis = i;
    for (int i = 0; i < 3; i++)
        if (i != axis && (w->in[i] != 1 || w->out[i] != 1 || w->kernel[i] != 1)) return -1;
    return w->dilation[axis] == 1 || w->kernel[axis] == 1 ? axis : -1;
}

static pi_strassen_plan product_of(const pi_conv *c, int64_t *images)
{
    const pi_window *w = &c->w;
    int axis = only_axis(c);
    *images = axis < 0 ? 1 : w->batch;
    return (pi_strassen_plan){.m = *images ? pi_conv_pixels(c) / *images : 0,
                              .n = c->out_channels,
                              .k = axis < 0 ? w->channels : w->kernel[axis] * w->channels,
                              .row = axis < 0 ? w->channels : w->stride[axis] * w->channels};
}

const char *pi_conv_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    int64_t images;
    const char *why = pi_conv_own_refuse(node, in, out);
    if (why) return why;
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || c.group != 1 || (only_axis(&c) < 0 && !pi_conv_pixelwise(&c)))
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
    s->axis = only_axis(&s->c);
    s->places = s->axis < 0 ? p->m : (p->m - 1) * w->stride[s->axis] + w->kernel[s->axis];
    if (s->axis >= 0 && (w->pad[s->axis] != 0 || s->places > w->in[s->axis])) {
        if (!pi_add(prep->scratch, 64, &s->padded_at) || !pi_mul((size_t)s->places, (size_t)w->channels, &bytes) ||
            !pi_mul(bytes, sizeof(float), &bytes) || !pi_add(s->padded_at &= ~(size_t)63, bytes, &prep->scratch))
            return pi_fail(err, PI_E_LIMIT, "the padded input has more bytes than can be addressed");
    }
    const pi_conv_pack_shape shape = {1, p->n, w->channels, p->k / w->channels, (int64_t)p->gemm->nr};
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
    int64_t before = w->pad[t->s->axis], n = w->channels;
    int64_t first = pi_min_i64(end, pi_max_i64(begin, before)), last = pi_max_i64(first, pi_min_i64(end, before + w->in[t->s->axis]));
    memset(t->to + begin * n, 0, (size_t)((first - begin) * n) * sizeof *t->to);
    if (last > first) memcpy(t->to + first * n, t->x + (first - before) * n, (size_t)((last - first) * n) * sizeof *t->to);
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
