/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise Conv of lines and images on channels-first data: turning them to channels-last and back would cost more than the
 * convolution. A band of rows of a channel is copied with its padding into the scratch, which the first-level cache holds;
 * of each row, columns that a stride takes apart become a row of their own for each remainder. So each tap is the same image
 * from another place on. The zeros behind a row are those in front of the next, and each begins at a line of the cache. */
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
    int64_t taps, multiple;   /* of a window; channels of Y for one of X */
    int64_t stride[2];        /* of rows and columns; 1 where there is one window */
    int64_t band, bands;      /* rows of Y; bands of a channel */
    int64_t lead, row, lines; /* floats in front of all rows, of a row; rows of X and its padding that a band sees */
    int64_t used, filled;     /* columns of X that windows see; of a row, those of them */
    size_t scratch;           /* bytes of a thread */
    pi_dwconv_column *column;
    int64_t columns, below; /* taps of a window from one of a column to the next */
    float low, high;
    pi_act late;
} planes_state;

static int64_t floats_up(int64_t n) { return (n + 15) & ~(int64_t)15; }

/* Needs a Y with elements. False: not for this file. */
static bool lay_out(planes_state *s)
{
    const pi_window *w = &s->c.w;
    int64_t reach[2], left, right;
    for (int i = 0; i < 2; i++) {
        s->stride[i] = w->out[1 + i] > 1 ? w->stride[1 + i] : 1;
        reach[i] = (w->kernel[1 + i] - 1) * w->dilation[1 + i];
        if (s->stride[i] > MOST_FLOATS || reach[i] > MOST_FLOATS || w->pad[1 + i] > MOST_FLOATS) return false;
    }
    s->taps = w->kernel[1] * w->kernel[2];
    s->multiple = s->c.out_channels / s->c.group;
    if (s->taps > MOST_FLOATS || w->out[2] > MOST_FLOATS) return false;
    int64_t end = (w->out[2] - 1) * s->stride[1] + reach[1] - w->pad[2] + 1; /* of the columns of X that windows see */
    s->used = pi_max_i64(0, pi_min_i64(w->in[2], end));
    s->filled = pi_divide_up(s->used, s->stride[1]);
    left = pi_divide_up(w->pad[2], s->stride[1]);
    right = end > 0 ? pi_divide_up(end, s->stride[1]) : 0;
    s->lead = floats_up(left);
    s->row = floats_up(pi_max_i64(right, s->filled + left));
    int64_t line = s->row * s->stride[1];
    s->band = pi_max_i64(1, (BAND_FLOATS / line - reach[0]) / s->stride[0]);
    if (s->band > 8) s->band &= ~(int64_t)7;
    s->bands = pi_divide_up(w->out[1], s->band);
    s->band = pi_min_i64(s->band, w->out[1]);
    s->lines = (s->band - 1) * s->stride[0] + reach[0] + 1;
    if (line > MOST_FLOATS / s->lines) return false;
    s->scratch = (size_t)(s->lead + line * s->lines) * sizeof(float);
    return true;
}

/* Taps that see a row of X with `below` between them are one column for rows of Y, which are one stride apart. */
static void columns(planes_state *s)
{
    const pi_window *w = &s->c.w;
    int64_t line = s->row * s->stride[1], n = 0;
    s->below = s->stride[0] % w->dilation[1] == 0 ? s->stride[0] / w->dilation[1] : w->kernel[1];
    for (int64_t j = 0; j < w->kernel[2]; j++) {
        int64_t at = j * w->dilation[2] - w->pad[2], rest = at % s->stride[1];
        if (rest < 0) rest += s->stride[1];
        for (int64_t first = 0; first < pi_min_i64(s->below, w->kernel[1]); first++)
            for (int64_t i = first, taps; i < w->kernel[1]; i += taps * s->below) {
                taps = pi_min_i64(PI_DWCONV_TAPS, pi_divide_up(w->kernel[1] - i, s->below));
                s->column[n++] = (pi_dwconv_column){i * w->dilation[1] * line + rest * s->row + (at - rest) / s->stride[1],
                                                    (size_t)(i * w->kernel[2] + j), (size_t)taps};
            }
    }
    s->columns = n;
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
    s->column = pi_prep_alloc(prep, (size_t)s->taps * sizeof *s->column, err);
    if (!s->column) return pi_alloc_status(err);
    columns(s);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->taps;
    return PI_E_OK;
}

/* One row of X; what is padding is 0 already. */
static void spread(const planes_state *s, const float *x, float *to)
{
    int64_t step = s->stride[1];
    if (step == 1)
        memcpy(to, x, (size_t)s->used * sizeof *to);
    else if (step == 2)
        pi_dwconv()->split((size_t)s->used, x, (float *const[]){to, to + s->row});
    else {
        int64_t whole = s->used / step;
        ptrdiff_t size = sizeof *x;
        if (whole) pi_transpose_select(sizeof *x)((const char *)x, step * size, (char *)to, s->row * size, whole, step);
        for (int64_t i = whole * step; i < s->used; i++) to[i % step * s->row + whole] = x[i];
    }
}

/* Rows [begin, end) of channel oc of Y. */
static void band(const planes_state *s, const pi_call *call, int64_t b, int64_t oc, int64_t begin, int64_t end, float *rows)
{
    const pi_window *w = &s->c.w;
    const float *bias = call->node->n_explicit > 2 && call->in[2] ? call->in[2]->data : NULL;
    const float *x = (const float *)call->in[0]->data + b * s->c.x.batch + oc / s->multiple * s->c.x.channel;
    int64_t line = s->row * s->stride[1], h = begin * s->stride[0] - w->pad[1];
    int64_t lines = s->lines - (s->band - (end - begin)) * s->stride[0];
    for (int64_t i = 0; i < lines; i++, h++)
        if (h >= 0 && h < w->in[1])
            spread(s, x + h * w->in[2], rows + i * line);
        else
            memset(rows + i * line, 0, (size_t)line * sizeof *rows);
    float *y = (float *)call->out[0]->data + ((b * s->c.out_channels + oc) * w->out[1] + begin) * w->out[2];
    pi_dwconv_plane plane = {(size_t)(end - begin), (size_t)w->out[2], (size_t)(line * s->stride[0]), (size_t)w->out[2],
                             (size_t)(s->below * w->kernel[2]), (size_t)s->columns, s->column, rows,
                             (const float *)call->in[1]->data + oc * s->taps, bias ? bias[oc] : 0, s->low, s->high};
    pi_dwconv()->plane(&plane, y);
    if (s->late.kind != PI_ACT_NONE) pi_eltwise()->act_f32(s->late, (size_t)((end - begin) * w->out[2]), y, y);
}

/* A chunk is a range of (image, channel, band). */
static void chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const planes_state *s = call->state;
    float *scratch = (float *)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    memset(scratch, 0, s->scratch);
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t first = u % s->bands * s->band, plane = u / s->bands;
        band(s, call, plane / s->c.out_channels, plane % s->c.out_channels, first, pi_min_i64(first + s->band, s->c.w.out[1]),
             scratch + s->lead);
    }
}

pi_status pi_conv_planes_run(const pi_call *call, pi_error *err)
{
    const planes_state *s = call->state;
    pi_call copy = *call;
    int64_t work = s->band * s->row * s->taps + 1;
    pi_parallel(call->run->threads, s->c.w.batch * s->c.out_channels * s->bands, 65536 / work + 1, chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
