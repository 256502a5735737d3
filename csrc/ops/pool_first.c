/* SPDX-License-Identifier: Apache-2.0 */
/* Channels-first pooling of f32 by its two directions: the rows of X under a row of Y become one row, then windows
 * slide along it. A band of rows is done at once, one behind the other, so that windows slide along all of them in one
 * go: what they give between two rows is not copied to Y. Places whose window reaches over an edge read padding that
 * stands between the rows; averages there are divided anew. */
#include <math.h>
#include <string.h>
#include "base/size.h"
#include "base/threads.h"
#include "kernels/pool/pool.h"
#include "ops/pooling.h"

/* Floats and rows of a band that has more than one; rows that are stacked at once. */
enum { BAND = 1024, MOST_ROWS = 64, FEW = 32 };

typedef struct {
    int64_t pitch, rows; /* floats from row to row in a band, a multiple of the stride; rows in a band */
    int64_t inside[2];   /* places whose window does not reach over an edge */
    int64_t room;        /* floats of scratch a thread */
} band;

static band band_of(const pi_window *w)
{
    band b;
    int64_t stride = w->stride[2], reach = (w->kernel[2] - 1) * w->dilation[2];
    int64_t longest = pi_max_i64((w->out[2] - 1) * stride + reach + 1, w->pad[2] + w->in[2]);
    b.pitch = (longest + stride - 1) / stride * stride;
    b.rows = pi_max_i64(1, pi_min_i64(pi_min_i64(w->out[1], MOST_ROWS), BAND / b.pitch));
    b.inside[0] = pi_min_i64((w->pad[2] + stride - 1) / stride, w->out[2]);
    int64_t last = w->in[2] - 1 - reach + w->pad[2]; /* of a place times the stride */
    b.inside[1] = last < 0 ? 0 : pi_min_i64(last / stride + 1, w->out[2]);
    b.inside[1] = pi_max_i64(b.inside[0], b.inside[1]);
    b.room = b.rows * (b.pitch + b.pitch / stride);
    return b;
}

typedef struct {
    const pi_call *call;
    const pi_pooling *q;
    const pi_pool_kernels *k;
    band b;
    int64_t bands; /* of a plane of one depth */
} first_task;

/* Taps of dimension i, for a window at `start`, that lie in X. */
static void inside(const pi_window *w, int i, int64_t start, int64_t *from, int64_t *to)
{
    *from = 0, *to = w->kernel[i];
    if (start < 0 || start + (w->kernel[i] - 1) * w->dilation[i] >= w->in[i])
        pi_window_range(start, w->dilation[i], w->in[i], w->kernel[i], from, to);
}

/* The rows of X under each of the rows [h, h + n) of depth d of Y become one; returns how many they are. Either n is 1,
 * or all windows lie in X by their height. */
static int64_t stack_rows(const first_task *t, const float *x, int64_t d, int64_t h, int64_t n, float *to)
{
    const pi_pooling *q = t->q;
    const pi_window *w = &q->w;
    int64_t d0 = d * w->stride[0] - w->pad[0], h0 = h * w->stride[1] - w->pad[1], kd, kd_end, kh0, kh_end, all = 0;
    const float *rows[FEW];
    size_t taps = 0, width = (size_t)w->in[2], pitch = (size_t)t->b.pitch,
           step = (size_t)(w->stride[1] * q->x.space[1]);
    inside(w, 0, d0, &kd, &kd_end);
    inside(w, 1, h0, &kh0, &kh_end);
    for (; kd < kd_end; kd++)
        for (int64_t kh = kh0; kh < kh_end; kh++, all++) {
            if (taps == FEW) {
                t->k->stack_f32(q->kind == PI_POOL_MAX, 1, width, taps, rows, 0, to, 0);
                rows[0] = to;
                taps = 1;
            }
            rows[taps++] = x + (d0 + kd * w->dilation[0]) * q->x.space[0] + (h0 + kh * w->dilation[1]) * q->x.space[1];
        }
    if (all) t->k->stack_f32(q->kind == PI_POOL_MAX, (size_t)n, width, taps, rows, step, to, pitch);
    return all;
}

/* The rows of Y from h on, n at most, whose windows lie in X by their height, and may be stacked at once; 1 at least.
 */
static int64_t at_once(const pi_window *w, int64_t h, int64_t n)
{
    int64_t first = h * w->stride[1] - w->pad[1], room = w->in[1] - (w->kernel[1] - 1) * w->dilation[1] - 1 - first;
    if (first < 0 || room < 0 || w->kernel[0] * w->kernel[1] > FEW) return 1;
    return pi_min_i64(n, room / w->stride[1] + 1);
}

/* Averages of places [from, to) of a row, whose windows reach over an edge. */
static void edge(const pi_pooling *q, const float *row, int64_t rows, int64_t from, int64_t to, float *y)
{
    const pi_window *w = &q->w;
    for (int64_t i = from; i < to; i++) {
        float sum = 0;
        for (int64_t k = 0; k < w->kernel[2]; k++) sum += row[i * w->stride[2] + k * w->dilation[2]];
        y[i] = sum / (float)(rows * pi_pool_taps(q, 2, i));
    }
}

/* n rows from one to the next. */
static void slide(const first_task *t, int64_t n, const float *stacked, int64_t count, float *to)
{
    const pi_window *w = &t->q->w;
    t->k->slide_f32(t->q->kind == PI_POOL_MAX, (size_t)((n - 1) * t->b.pitch / w->stride[2] + w->out[2]),
                    (size_t)w->kernel[2], stacked, (size_t)w->dilation[2], (size_t)w->stride[2], 1 / (float)count, to);
}

/* Averages of row (d, h) that the band did not get right. */
static void mend(const first_task *t, const float *stacked, int64_t d, int64_t h, int64_t rows, float *y)
{
    const pi_window *w = &t->q->w;
    int64_t full = w->kernel[0] * w->kernel[1];
    if (rows != full || t->q->include_pad) rows = pi_pool_taps(t->q, 0, d) * pi_pool_taps(t->q, 1, h);
    if (rows == 0) {
        edge(t->q, stacked, rows, 0, w->out[2], y);
        return;
    }
    if (rows != full) slide(t, 1, stacked, rows * w->kernel[2], y);
    edge(t->q, stacked, rows, 0, t->b.inside[0], y);
    edge(t->q, stacked, rows, t->b.inside[1], w->out[2], y);
}

/* Rows [h, h + n) of depth d of a plane. */
static void do_band(const first_task *t, const float *x, int64_t d, int64_t h, int64_t n, float *stacked, float *y)
{
    const pi_window *w = &t->q->w;
    bool max = t->q->kind == PI_POOL_MAX;
    int64_t out_pitch = t->b.pitch / w->stride[2], rows[MOST_ROWS];
    float *slid = t->b.rows > 1 ? stacked + t->b.rows * t->b.pitch : y;
    for (int64_t i = 0, m; i < n; i += m) {
        float *row = stacked + i * t->b.pitch + w->pad[2];
        m = at_once(w, h + i, n - i);
        rows[i] = stack_rows(t, x, d, h + i, m, row);
        for (int64_t k = 1; k < m; k++) rows[i + k] = rows[i];
        for (int64_t j = 0; rows[i] == 0 && j < m; j++)
            for (int64_t k = 0; k < w->in[2]; k++) row[j * t->b.pitch + k] = max ? -INFINITY : 0;
    }
    slide(t, n, stacked, w->kernel[0] * w->kernel[1] * w->kernel[2], slid);
    for (int64_t i = 0; i < n; i++) {
        float *to = y + i * w->out[2], *from = slid + i * out_pitch;
        if (to != from) memcpy(to, from, (size_t)w->out[2] * sizeof(float));
        if (!max) mend(t, stacked + i * t->b.pitch, d, h + i, rows[i], to);
    }
}

static void first_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const first_task *t = arg;
    const pi_window *w = &t->q->w;
    float *stacked = (float *)t->call->scratch + thread * t->b.room;
    for (int64_t i = 0; i < t->b.rows * t->b.pitch; i++) stacked[i] = t->q->kind == PI_POOL_MAX ? -INFINITY : 0;
    for (int64_t u = begin; u < end; u++) {
        int64_t h = u % t->bands * t->b.rows, d = u / t->bands % w->out[0], plane = u / t->bands / w->out[0];
        do_band(t, (const float *)t->call->in[0]->data + plane * t->q->x.channel, d, h,
                pi_min_i64(t->b.rows, w->out[1] - h), stacked,
                (float *)t->call->out[0]->data + ((plane * w->out[0] + d) * w->out[1] + h) * w->out[2]);
    }
}

pi_status pi_pool_first_prepare(pi_prep *prep, const pi_pooling *q, pi_error *err)
{
    const pi_window *w = &q->w;
    if ((w->kernel[2] - 1) * w->dilation[2] > w->pad[2] + w->in[2] + w->pad_end[2] + w->stride[2])
        return pi_fail(err, PI_E_UNSUPPORTED, "the window is far wider than the input");
    band b = band_of(w);
    if (!pi_mul((size_t)b.room, sizeof(float) * (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the row is too long");
    return PI_E_OK;
}

void pi_pool_first_run(const pi_call *call, const pi_pooling *q)
{
    const pi_window *w = &q->w;
    first_task t = {call, q, pi_pool(), band_of(w), 0};
    t.bands = (w->out[1] + t.b.rows - 1) / t.b.rows;
    int64_t work = pi_min_i64(w->kernel[0] * w->kernel[1] * w->kernel[2], 32768) * w->out[2] * t.b.rows;
    pi_parallel(call->run->threads, w->batch * w->channels * w->out[0] * t.bands, 1 + 65536 / (work + 1), first_chunk,
                &t);
}
