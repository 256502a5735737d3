/* SPDX-License-Identifier: Apache-2.0 */
/* MaxPool, AveragePool, LpPool and their global forms; the ones of the domain pyinfer take channels-last data. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/pool/pool.h"
#include "kernels/reduce/reduce.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/pooling.h"
#include "ops/widen.h"

typedef pi_pooling pool;

/* ---- the problem ---- */

static bool is_global(const pi_node *node) { return strncmp(node->op->name, "Global", 6) == 0; }

static pi_status pool_init(pool *q, const pi_node *node, const pi_tensor *x, pi_error *err)
{
    *q = (pool){.p = 2};
    const char *name = node->op->name + (is_global(node) ? 6 : 0);
    q->kind = name[0] == 'M' ? PI_POOL_MAX : name[0] == 'A' ? PI_POOL_AVERAGE : PI_POOL_LP;
    bool nhwc = pi_row_has_attr(node, "nhwc") && pi_attr_int(node, "nhwc") != 0;
    if (is_global(node))
        PI_TRY(pi_window_global(&q->w, x, nhwc, err));
    else
        PI_TRY(pi_window_init(&q->w, node, x, nhwc, NULL, err));
    if (pi_row_has_attr(node, "count_include_pad")) q->include_pad = pi_attr_int(node, "count_include_pad") != 0;
    if (pi_row_has_attr(node, "storage_order")) q->columns = pi_attr_int(node, "storage_order") != 0;
    if (q->kind == PI_POOL_LP) q->p = node->op->since < 2 ? (double)pi_attr_float(node, "p") : (double)pi_attr_int(node, "p");
    if (!(q->p > 0)) return pi_fail(err, PI_E_MODEL, "attribute 'p' is %g, expected more than 0", q->p);
    q->x = pi_window_strides(nhwc, q->w.channels, q->w.in);
    int64_t n;
    pi_tensor y = {0};
    pi_window_output(&q->w, q->w.channels, &y);
    PI_TRY(pi_tensor_count(&y, &n, err));
    q->y = pi_window_strides(nhwc, q->w.channels, q->w.out);
    return PI_E_OK;
}

static pi_status pool_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pool q;
    PI_TRY(pool_init(&q, node, in[0], err));
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_window_output(&q.w, q.w.channels, &out[i]);
        if (!is_global(node)) continue;
        out[i].rank = in[0]->rank; /* ones in all spatial dimensions */
        for (int d = 1; d < out[i].rank; d++) out[i].dim[d] = 1;
        out[i].dim[q.w.nhwc ? out[i].rank - 1 : 1] = q.w.channels;
    }
    return PI_E_OK;
}

static pi_status pool_prepare(pi_prep *prep, pi_error *err)
{
    pool *q = prep->state = pi_prep_alloc(prep, sizeof *q, err);
    if (!q) return pi_alloc_status(err);
    return pool_init(q, prep->node, prep->in[0], err);
}

/* ---- reference: rows of Y of one channel ---- */

/* Taps k of [from, to) for which start + k * dilation lies in [0, size). */
static void taps_inside(const pi_window *w, int i, int64_t start, int64_t size, int64_t *from, int64_t *to)
{
    pi_window_range(start, w->dilation[i], size, w->kernel[i], from, to);
}

typedef struct {
    const pool *q;
    const pi_tensor *x;
    int64_t batch, channel, depth, height; /* of the row of Y */
} place;

static int64_t index_of(const place *at, int64_t id, int64_t ih, int64_t iw)
{
    const pi_window *w = &at->q->w;
    int64_t plane = at->batch * w->channels + at->channel;
    if (at->q->columns) return ((plane * w->in[2] + iw) * w->in[1] + ih) * w->in[0] + id;
    return ((plane * w->in[0] + id) * w->in[1] + ih) * w->in[2] + iw;
}

static double power(double v, double p) /* |v|^p */
{
    return p == 2 ? v * v : p == 1 ? fabs(v) : pow(fabs(v), p);
}

static void combine(const pool *q, double v, double *acc, int64_t *index, int64_t where)
{
    switch (q->kind) {
    case PI_POOL_MAX:
        if (v > *acc || v != v || *index < 0) {
            *acc = v;
            *index = where;
        }
        break;
    case PI_POOL_AVERAGE: *acc += v; break;
    case PI_POOL_LP: *acc += power(v, q->p); break;
    }
}

/* acc and index for n places of a row from `from` on. */
static void pool_row(const place *at, int64_t from, int64_t n, double *acc, int64_t *index)
{
    const pool *q = at->q;
    const pi_window *w = &q->w;
    int64_t d0 = at->depth * w->stride[0] - w->pad[0], h0 = at->height * w->stride[1] - w->pad[1];
    int64_t kd, kd_end, kh0, kh_end;
    taps_inside(w, 0, d0, w->in[0], &kd, &kd_end);
    taps_inside(w, 1, h0, w->in[1], &kh0, &kh_end);
    double row[PI_BLOCK];
    for (; kd < kd_end; kd++)
        for (int64_t kh = kh0; kh < kh_end; kh++)
            for (int64_t kw = 0; kw < w->kernel[2]; kw++) {
                int64_t id = d0 + kd * w->dilation[0], ih = h0 + kh * w->dilation[1], lo, hi;
                int64_t offset = from * w->stride[2] - w->pad[2] + kw * w->dilation[2];
                if (offset >= w->in[2]) break;
                pi_window_range(offset, w->stride[2], w->in[2], n, &lo, &hi);
                if (lo >= hi) continue;
                int64_t iw = offset + lo * w->stride[2];
                int64_t x = at->batch * q->x.batch + at->channel * q->x.channel + id * q->x.space[0] +
                            ih * q->x.space[1] + iw * q->x.space[2];
                pi_read_f64(at->x->dtype, pi_at(at->x->data, at->x->dtype, x), w->stride[2] * q->x.space[2], hi - lo, row);
                for (int64_t i = lo; i < hi; i++)
                    combine(q, row[i - lo], &acc[i], &index[i], index_of(at, id, ih, iw + (i - lo) * w->stride[2]));
            }
}

int64_t pi_pool_taps(const pi_pooling *q, int i, int64_t out)
{
    const pi_window *w = &q->w;
    int64_t start = out * w->stride[i] - w->pad[i], from, to;
    if (q->include_pad)
        taps_inside(w, i, start + w->pad[i], w->in[i] + w->pad[i] + w->pad_end[i], &from, &to);
    else
        taps_inside(w, i, start, w->in[i], &from, &to);
    return to - from;
}

static void finish_row(const place *at, int64_t from, int64_t n, double *acc)
{
    const pool *q = at->q;
    int64_t count = pi_pool_taps(q, 0, at->depth) * pi_pool_taps(q, 1, at->height);
    for (int64_t i = 0; i < n; i++) {
        if (q->kind == PI_POOL_AVERAGE) acc[i] /= (double)(count * pi_pool_taps(q, 2, from + i));
        if (q->kind == PI_POOL_LP) acc[i] = q->p == 2 ? sqrt(acc[i]) : pow(acc[i], 1 / q->p);
    }
}

static void pool_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pool *q = call->state;
    const int64_t *out = q->w.out;
    for (int64_t r = begin; r < end && !pi_cancelled(call); r++) {
        place at = {q, call->in[0], r / out[1] / out[0] / q->w.channels, r / out[1] / out[0] % q->w.channels,
                    r / out[1] % out[0], r % out[1]};
        for (int64_t ow = 0; ow < out[2]; ow += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, out[2] - ow), index[PI_BLOCK];
            double acc[PI_BLOCK];
            for (int64_t i = 0; i < n; i++) {
                acc[i] = q->kind == PI_POOL_MAX ? -INFINITY : 0;
                index[i] = -1;
            }
            pool_row(&at, ow, n, acc, index);
            finish_row(&at, ow, n, acc);
            int64_t y = at.batch * q->y.batch + at.channel * q->y.channel + at.depth * q->y.space[0] +
                        at.height * q->y.space[1] + ow * q->y.space[2];
            pi_tensor *values = call->out[0], *indices = call->node->n_out > 1 ? call->out[1] : NULL;
            if (values)
                pi_write_f64(values->dtype, pi_at_mut(values->data, values->dtype, y), q->y.space[2], n, acc);
            if (indices)
                pi_write_i64(PI_DTYPE_I64, (int64_t *)indices->data + y, q->y.space[2], n, index);
        }
    }
}

static pi_status pool_run(const pi_call *call, pi_error *err)
{
    const pool *q = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, q->w.batch * q->w.channels * q->w.out[0] * q->w.out[1], 16, pool_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- f32 kernels ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (node->n_out > 1 && node->out[1]) return "no indices";
    if (!node->out[0] || pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0) return "no elements";
    return strstr(node->op->name, "Lp") ? "no LpPool" : NULL;
}

/* What the places of one row of Y have in common. */
typedef struct {
    int64_t number;  /* of the row */
    bool some;       /* the window meets the input in depth and height */
    size_t taps[3];
    ptrdiff_t step[3];
    int64_t offset;  /* in x, of the first tap in depth and height */
    int64_t count;   /* what an average divides by, but for the width */
} pool_row_state;

static void start_row(const pool *q, int64_t number, pool_row_state *s)
{
    const pi_window *w = &q->w;
    int64_t place2[2] = {number / w->out[1] % w->out[0], number % w->out[1]};
    *s = (pool_row_state){.number = number, .some = true, .count = 1};
    s->offset = number / w->out[1] / w->out[0] * q->x.batch;
    for (int i = 0; i < 3; i++) s->step[i] = (ptrdiff_t)(w->dilation[i] * q->x.space[i]);
    for (int i = 0; i < 2; i++) {
        int64_t start = place2[i] * w->stride[i] - w->pad[i], from, to;
        taps_inside(w, i, start, w->in[i], &from, &to);
        s->some = s->some && from < to;
        s->taps[i] = (size_t)(to - from);
        s->offset += (start + from * w->dilation[i]) * q->x.space[i];
        if (q->kind == PI_POOL_AVERAGE) s->count *= pi_pool_taps(q, i, place2[i]);
    }
}

static void nothing(const pool *q, int64_t count, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = q->kind == PI_POOL_MAX ? -INFINITY : 0 / (float)count;
}

typedef struct {
    const pi_call *call;
    int64_t block, blocks; /* channels of one piece of work, pieces of one place */
} last_task;

/* Channels last: a piece is one output place and a block of channels. */
static void last_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const last_task *t = arg;
    const pool *q = t->call->state;
    const pi_window *w = &q->w;
    const pi_pool_kernels *k = pi_pool();
    pool_row_state s = {.number = -1};
    int64_t block = begin % t->blocks, at = begin / t->blocks, row = at / w->out[2], ow = at % w->out[2];
    for (int64_t r = begin; r < end; r++, block++) {
        if (block == t->blocks) block = 0, at++, ow++;
        if (ow == w->out[2]) ow = 0, row++;
        int64_t c = block * t->block, n = pi_min_i64(t->block, w->channels - c);
        int64_t start = ow * w->stride[2] - w->pad[2], from = 0, to = w->kernel[2], count = to;
        if (row != s.number) start_row(q, row, &s);
        if (start < 0 || start + (to - 1) * w->dilation[2] >= w->in[2]) { /* the window reaches over an edge */
            taps_inside(w, 2, start, w->in[2], &from, &to);
            if (q->kind == PI_POOL_AVERAGE) count = pi_pool_taps(q, 2, ow);
        }
        float *y = (float *)t->call->out[0]->data + at * w->channels + c;
        const float *x = (const float *)t->call->in[0]->data;
        if (!s.some || from >= to) {
            nothing(q, s.count * count, n, y);
            continue;
        }
        x += s.offset + (start + from * w->dilation[2]) * q->x.space[2] + c;
        s.taps[2] = (size_t)(to - from);
        if (q->kind == PI_POOL_MAX)
            k->max_f32((size_t)n, s.taps, s.step, x, y);
        else
            k->sum_f32((size_t)n, s.taps, s.step, x, 1 / (float)(s.count * count), y);
    }
}

/* Channels first, one window over a plane: a reduction of rows. */
static void plane_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pool *q = call->state;
    size_t n = (size_t)(q->w.in[0] * q->w.in[1] * q->w.in[2]);
    pi_reduce()->rows_f32(q->kind == PI_POOL_MAX ? PI_REDUCE_MAX : PI_REDUCE_MEAN, (size_t)(end - begin), n, n,
                          (const float *)call->in[0]->data + begin * (int64_t)n, (float *)call->out[0]->data + begin);
}

static pi_status fast_prepare(pi_prep *prep, pi_error *err)
{
    PI_TRY(pool_prepare(prep, err));
    const pool *q = prep->state;
    return q->w.nhwc || is_global(prep->node) ? PI_E_OK : pi_pool_first_prepare(prep, q, err);
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const pool *q = call->state;
    const pi_window *w = &q->w;
    int64_t places = w->batch * w->out[0] * w->out[1] * w->out[2];
    int64_t work = pi_min_i64(w->kernel[0] * w->kernel[1] * w->kernel[2], 32768);
    if (w->nhwc) {
        last_task t = {.call = call, .block = places < 64 ? 128 : w->channels};
        t.blocks = (w->channels + t.block - 1) / t.block;
        pi_parallel(call->run->threads, places * t.blocks, 1 + 32768 / (work * t.block + 1), last_chunk, &t);
    } else if (is_global(call->node)) {
        pi_call copy = *call;
        pi_parallel(call->run->threads, w->batch * w->channels, 1 + 32768 / work, plane_chunk, &copy);
    } else {
        pi_pool_first_run(call, q);
    }
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl pool_impls[] = {
    {"simd", fast_refuse, fast_prepare, fast_run, 0},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, pool_prepare, pool_run, 0},
    {0},
};

#define INT(name, value) {name, PI_ATTR_INT, false, value, 0, NULL}
#define INTS(name) {name, PI_ATTR_INTS, false, 0, 0, NULL}
#define COMMON {"auto_pad", PI_ATTR_STRING, false, 0, 0, "NOTSET"}, INTS("pads"), INTS("strides")
#define KERNEL {"kernel_shape", PI_ATTR_INTS, true, 0, 0, NULL}
static const pi_attr_def pool_v1[] = {COMMON, KERNEL, {0}};
static const pi_attr_def max_v8[] = {COMMON, KERNEL, INT("storage_order", 0), {0}};
static const pi_attr_def max_v10[] = {COMMON, KERNEL, INT("storage_order", 0), INT("ceil_mode", 0), INTS("dilations"), {0}};
static const pi_attr_def max_nhwc[] = {COMMON, KERNEL, INT("storage_order", 0), INT("ceil_mode", 0), INTS("dilations"),
                                       INT("nhwc", 0), {0}};
static const pi_attr_def average_v7[] = {COMMON, KERNEL, INT("count_include_pad", 0), {0}};
static const pi_attr_def average_v10[] = {COMMON, KERNEL, INT("count_include_pad", 0), INT("ceil_mode", 0), {0}};
static const pi_attr_def average_v19[] = {COMMON, KERNEL, INT("count_include_pad", 0), INT("ceil_mode", 0),
                                          INTS("dilations"), {0}};
static const pi_attr_def average_nhwc[] = {COMMON, KERNEL, INT("count_include_pad", 0), INT("ceil_mode", 0),
                                           INTS("dilations"), INT("nhwc", 0), {0}};
static const pi_attr_def lp_v1[] = {COMMON, INTS("kernel_shape"), {"p", PI_ATTR_FLOAT, false, 0, 2, NULL}, {0}};
static const pi_attr_def lp_v2[] = {COMMON, KERNEL, INT("p", 2), {0}};
static const pi_attr_def lp_v18[] = {COMMON, KERNEL, INT("p", 2), INT("ceil_mode", 0), INTS("dilations"), {0}};
static const pi_attr_def global_lp_v1[] = {{"p", PI_ATTR_FLOAT, false, 0, 2, NULL}, {0}};
static const pi_attr_def global_lp_v2[] = {INT("p", 2), {0}};
static const pi_attr_def nhwc_only[] = {INT("nhwc", 0), {0}};

#define POOL(op_name, version, attributes)                                                                       \
    {.name = op_name, .since = version, .signature = "X:T -> Y:T", .T = PI_FLOATS, .attrs = attributes,             \
     .infer = pool_infer, .impls = pool_impls}
#define MAX_POOL(version, attributes)                                                                            \
    {.name = "MaxPool", .since = version, .signature = "X:T -> Y:T Indices?:i64",                                  \
     .T = PI_FLOATS | PI_BIT(I8) | PI_BIT(U8), .attrs = attributes, .infer = pool_infer, .impls = pool_impls}
#define INTERNAL(op_name, types, attributes)                                                                     \
    {.domain = "pyinfer", .name = op_name, .since = 1, .signature = "X:T -> Y:T", .T = types, .attrs = attributes,  \
     .infer = pool_infer, .impls = pool_impls}

static const pi_op rows[] = {
    POOL("MaxPool", 1, pool_v1),
    MAX_POOL(8, max_v8),
    MAX_POOL(10, max_v10),
    INTERNAL("MaxPool", PI_FLOATS | PI_BIT(I8) | PI_BIT(U8), max_nhwc),
    POOL("AveragePool", 1, pool_v1),
    POOL("AveragePool", 7, average_v7),
    POOL("AveragePool", 10, average_v10),
    POOL("AveragePool", 19, average_v19),
    INTERNAL("AveragePool", PI_FLOATS, average_nhwc),
    POOL("LpPool", 1, lp_v1),
    POOL("LpPool", 2, lp_v2),
    POOL("LpPool", 18, lp_v18),
    POOL("GlobalMaxPool", 1, NULL),
    POOL("GlobalAveragePool", 1, NULL),
    INTERNAL("GlobalAveragePool", PI_FLOATS, nhwc_only),
    POOL("GlobalLpPool", 1, global_lp_v1),
    POOL("GlobalLpPool", 2, global_lp_v2),
};
const pi_op_family pi_ops_pool = {rows, PI_COUNT(rows)};
