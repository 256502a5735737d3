/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise Conv of lines and images on channels-first data: turning them to channels-last and back would cost more than the
 * convolution. A band of rows of a channel is copied with its padding into the scratch, which the first-level cache holds;
 * strides are taken apart into a small image for each remainder of a place by the stride. So each tap is the same image from
 * another place on, and all rows of the band are one run of numbers: those between two rows of Y are thrown away. */
#include <string.h>
#include "base/size.h"
#include "base/threads.h"
#include "kernels/dwconv/dwconv.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/layout/layout.h"
#include "ops/conv.h"
#include "ops/ops.h"

enum { BAND_FLOATS = 4096, MOST_FLOATS = 65536 }; /* of the copied rows: what a band should have, and what it may */

typedef struct {
    pi_conv c;
    int64_t taps, multiple;          /* of a window; channels of Y for one of X */
    int64_t stride[2];               /* of rows and columns; 1 where there is one window */
    int64_t band, bands;             /* rows of Y; bands of a channel */
    int64_t row, rows, image;        /* floats of a row of an image, its rows, their product */
    int64_t filled, lines;           /* columns and rows of X and its padding that all images of a band have together */
    size_t run_at, taps_at, scratch; /* of a thread: images, the run, pointers; its bytes */
    float low, high;
    pi_act late;
} planes_state;

/* Needs a Y with elements. False: not for this file. */
static bool lay_out(planes_state *s)
{
    const pi_window *w = &s->c.w;
    int64_t reach[2];
    for (int i = 0; i < 2; i++) {
        s->stride[i] = w->out[1 + i] > 1 ? w->stride[1 + i] : 1;
        reach[i] = (w->kernel[1 + i] - 1) * w->dilation[1 + i];
    }
    s->taps = w->kernel[1] * w->kernel[2];
    s->multiple = s->c.out_channels / s->c.group;
    s->row = w->out[2] + reach[1] / s->stride[1];
    if (s->row > MOST_FLOATS || s->stride[1] > MOST_FLOATS || reach[0] > MOST_FLOATS || s->stride[0] > MOST_FLOATS) return false;
    s->filled = s->row * s->stride[1];
    s->band = pi_max_i64(1, BAND_FLOATS / (s->filled * s->stride[0]) - reach[0] / s->stride[0]);
    s->bands = (w->out[1] + s->band - 1) / s->band;
    s->band = (w->out[1] + s->bands - 1) / s->bands; /* alike */
    s->bands = (w->out[1] + s->band - 1) / s->band;
    s->rows = s->band + reach[0] / s->stride[0];
    s->lines = s->rows * s->stride[0];
    s->image = s->row * s->rows;
    if (s->filled > MOST_FLOATS / s->lines || s->taps > MOST_FLOATS) return false;
    s->run_at = ((size_t)(s->filled * s->lines) * sizeof(float) + 63) & ~(size_t)63;
    s->taps_at = (s->run_at + (size_t)(s->row * s->band) * sizeof(float) + 63) & ~(size_t)63;
    s->scratch = (s->taps_at + (size_t)s->taps * sizeof(float *) + 63) & ~(size_t)63;
    return true;
}

const char *pi_conv_planes_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    planes_state s;
    const pi_window *w = &s.c.w;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_init(&s.c, node, in, NULL) != PI_E_OK) return "attributes";
    if (w->nhwc) return "only channels-first";
    if (s.c.group != w->channels || s.c.group < 2 || w->spatial > 2) return "only depthwise, of lines and images";
    if (w->pad[1] < 0 || w->pad[2] < 0) return "only padding that adds";
    if (node->n_explicit > 3 && in[3]) return "no residual";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0) return "no elements";
    return lay_out(&s) ? NULL : "only rows that a cache holds";
}

pi_status pi_conv_planes_prepare(pi_prep *prep, pi_error *err)
{
    planes_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    s->late = pi_act_bounds(s->c.act, &s->low, &s->high);
    if (!lay_out(s) || !pi_mul(s->scratch, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the rows have more bytes than can be addressed");
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->taps;
    return PI_E_OK;
}

/* One row of X into the images, [remainder] `image` floats apart; what is padding there is 0 already. */
static void spread(const planes_state *s, const float *x, float *to)
{
    const pi_window *w = &s->c.w;
    int64_t step = s->stride[1], at = w->pad[2], n = pi_min_i64(w->in[2], s->filled - at);
    if (step == 1) {
        if (n > 0) memcpy(to + at, x, (size_t)n * sizeof *to);
        return;
    }
    for (; n > 0 && at % step; n--, at++) to[at % step * s->image + at / step] = *x++;
    int64_t whole = n > 0 ? n / step : 0;
    if (step == 2 && whole > 0)
        pi_dwconv_split((size_t)whole, x, to + at / step, to + s->image + at / step);
    else if (whole > 0)
        pi_transpose_select(sizeof *x)((const char *)x, step * (ptrdiff_t)sizeof *x, (char *)(to + at / step),
                                       s->image * (ptrdiff_t)sizeof *x, whole, step);
    x += whole * step, at += whole * step, n -= whole * step;
    for (; n > 0; n--, at++) to[at % step * s->image + at / step] = *x++;
}

/* Rows [begin, end) of channel oc of Y. */
static void band(const planes_state *s, const pi_call *call, int64_t b, int64_t oc, int64_t begin, int64_t end, char *scratch)
{
    const pi_window *w = &s->c.w;
    const float *bias = call->node->n_explicit > 2 && call->in[2] ? call->in[2]->data : NULL;
    const float *x = (const float *)call->in[0]->data + b * s->c.x.batch + oc / s->multiple * s->c.x.channel;
    float *images = (float *)(void *)scratch, *run = (float *)(void *)(scratch + s->run_at);
    const float **tap = (const float **)(void *)(scratch + s->taps_at);
    int64_t across = s->stride[1] * s->image; /* from a remainder of rows to the next */
    for (int64_t i = 0, h = begin * s->stride[0] - w->pad[1]; i < s->lines; i++, h++) {
        float *to = images + i % s->stride[0] * across + i / s->stride[0] * s->row;
        if (h >= 0 && h < w->in[1])
            spread(s, x + h * w->in[2], to);
        else
            for (int64_t r = 0; r < s->stride[1]; r++) memset(to + r * s->image, 0, (size_t)s->row * sizeof *to);
    }
    for (int64_t i = 0, t = 0, h = 0; i < w->kernel[1]; i++, h += w->dilation[1])
        for (int64_t j = 0, v = 0; j < w->kernel[2]; j++, v += w->dilation[2], t++)
            tap[t] = images + h % s->stride[0] * across + v % s->stride[1] * s->image + h / s->stride[0] * s->row + v / s->stride[1];
    float *y = (float *)call->out[0]->data + ((b * s->c.out_channels + oc) * w->out[1] + begin) * w->out[2];
    int64_t rows = end - begin, n = (rows - 1) * s->row + w->out[2];
    bool dense = rows == 1 || s->row == w->out[2];
    pi_dwconv()->plane((size_t)n, (size_t)s->taps, tap, (const float *)call->in[1]->data + oc * s->taps, bias ? bias[oc] : 0, s->low,
                       s->high, dense ? y : run);
    for (int64_t r = 0; r < rows && !dense; r++) memcpy(y + r * w->out[2], run + r * s->row, (size_t)w->out[2] * sizeof *y);
    if (s->late.kind != PI_ACT_NONE) pi_eltwise()->act_f32(s->late, (size_t)(rows * w->out[2]), y, y);
}

/* A chunk is a range of (image, channel, band). */
static void chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const planes_state *s = call->state;
    char *scratch = (char *)call->scratch + (size_t)thread * s->scratch;
    memset(scratch, 0, s->run_at);
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t first = u % s->bands * s->band, plane = u / s->bands;
        band(s, call, plane / s->c.out_channels, plane % s->c.out_channels, first, pi_min_i64(first + s->band, s->c.w.out[1]), scratch);
    }
}

pi_status pi_conv_planes_run(const pi_call *call, pi_error *err)
{
    const planes_state *s = call->state;
    pi_call copy = *call;
    int64_t work = s->image * s->taps + 1;
    pi_parallel(call->run->threads, s->c.w.batch * s->c.out_channels * s->bands, 65536 / work + 1, chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
