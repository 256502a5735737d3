/* SPDX-License-Identifier: Apache-2.0 */
/* LpNormalization, MeanVarianceNormalization (over axes) and LRN (over neighbouring channels). */
#include <math.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/norm/norm.h"
#include "kernels/reduce/reduce.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/reduction.h"
#include "ops/widen.h"

/* ---- LpNormalization and MeanVarianceNormalization: x is reduced over axes, each element then shifted and scaled ---- */

typedef struct {
    pi_reduction r;
    bool moments; /* MeanVariance; else the norm */
    int64_t p;
} axis_norm;

static pi_status axis_norm_init(axis_norm *s, const pi_node *node, const pi_tensor *x, pi_error *err)
{
    unsigned axes;
    int axis;
    s->moments = node->op->name[0] == 'M';
    if (s->moments) {
        static const int64_t usual[] = {0, 2, 3};
        uint32_t n = 3;
        const int64_t *list = pi_attr_find(node, "axes") ? pi_attr_ints(node, "axes", &n) : usual;
        PI_TRY(pi_reduction_axes(list, n, x->rank, &axes, err));
    } else {
        s->p = pi_attr_int(node, "p");
        if (s->p != 1 && s->p != 2) return pi_fail(err, PI_E_MODEL, "attribute 'p' is %lld, expected 1 or 2", (long long)s->p);
        PI_TRY(pi_axis(pi_attr_int(node, "axis"), x->rank, &axis, err));
        axes = 1u << axis;
    }
    pi_reduction_init(&s->r, x, axes);
    return PI_E_OK;
}

static pi_status axis_norm_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    axis_norm s;
    PI_TRY(axis_norm_init(&s, node, in[0], err));
    return pi_infer_same(node, in, out, err);
}

static pi_status axis_norm_prepare(pi_prep *prep, pi_error *err)
{
    axis_norm *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    return axis_norm_init(s, prep->node, prep->in[0], err);
}

enum walk { SUM_UP, SUM_ABS, SUM_SQUARES, APPLY };

/* One walk over the elements of output i: sums (v - shift) in a way, or writes (v - shift) * scale. */
static double walk_over(const pi_call *call, enum walk what, int64_t start, double shift, double scale)
{
    const axis_norm *s = call->state;
    const pi_tensor *x = call->in[0];
    pi_tensor *y = call->out[0];
    int64_t row = pi_reduction_row(&s->r), step = pi_reduction_step(&s->r);
    double v[PI_BLOCK], sum = 0;
    for (int64_t k = 0; s->r.count && k < s->r.count / row; k++)
        for (int64_t i = 0; i < row; i += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, row - i), at = start + pi_reduction_at(&s->r, k) + i * step;
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), step, n, v);
            for (int64_t j = 0; j < n; j++) {
                v[j] -= shift;
                sum += what == SUM_UP ? v[j] : what == SUM_ABS ? fabs(v[j]) : v[j] * v[j];
                v[j] *= scale;
            }
            if (what == APPLY) pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, at), step, n, v);
        }
    return sum;
}

static void axis_norm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const axis_norm *s = call->state;
    for (int64_t i = begin; i < end; i++) {
        int64_t start = pi_reduction_start(&s->r, i);
        double mean = 0, scale, count = (double)s->r.count;
        if (s->moments) {
            mean = walk_over(call, SUM_UP, start, 0, 0) / count;
            scale = 1 / (sqrt(walk_over(call, SUM_SQUARES, start, mean, 0) / count) + 1e-9);
        } else {
            double size = s->p == 1 ? walk_over(call, SUM_ABS, start, 0, 0) : sqrt(walk_over(call, SUM_SQUARES, start, 0, 0));
            scale = size == 0 ? 0 : 1 / size;
        }
        (void)walk_over(call, APPLY, start, mean, scale);
    }
}

/* f32: rows that lie in one piece, or columns of one reduced axis. */

enum { COLUMNS = 128 };

static const char *axis_norm_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    axis_norm s;
    (void)out;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (axis_norm_init(&s, node, in[0], NULL) != PI_E_OK) return "attributes";
    if (s.r.count == 0 || s.r.outputs == 0) return "no elements";
    if (pi_reduction_step(&s.r) == 1) return pi_reduction_row(&s.r) >= 8 ? NULL : "short rows";
    return s.moments ? "rows that are not in one piece" : NULL;
}

/* Squares of these have neither overflowed nor vanished; others are left to the reference, which computes in double. */
static bool norm_is_safe(float size) { return size > 1e-15f && size < 1e18f; }

/* Each unit is the elements of one output. */
static void norm_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const axis_norm *s = call->state;
    const pi_reduction *r = &s->r;
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    int64_t row = pi_reduction_row(r);
    for (int64_t i = begin; i < end; i++) {
        int64_t start = pi_reduction_start(r, i);
        float scale, size;
        if (!s->moments) { /* one axis: one row */
            pi_reduce()->rows_f32(s->p == 1 ? PI_REDUCE_L1 : PI_REDUCE_L2, 1, 0, (size_t)row, x + start, &size);
            if (!norm_is_safe(size)) {
                axis_norm_chunk(arg, i, i + 1, thread);
                continue;
            }
            scale = 1 / size;
            pi_eltwise()->affine_f32(&(pi_affine){.scale = &scale}, 1, (size_t)row, x + start, y + start);
            continue;
        }
        pi_moments all = {0}, one;
        for (int64_t k = 0; k < r->count / row; k++) {
            pi_norm()->moments_f32((size_t)row, x + start + pi_reduction_at(r, k), &one);
            all = pi_moments_add(all, one);
        }
        if (!isfinite(all.m2)) {
            axis_norm_chunk(arg, i, i + 1, thread);
            continue;
        }
        float mean = (float)all.mean;
        scale = (float)(1 / (sqrt(all.m2 / all.n) + 1e-9));
        for (int64_t k = 0; k < r->count / row; k++) {
            int64_t at = start + pi_reduction_at(r, k);
            for (int64_t j = 0; j < row; j++) y[at + j] = (x[at + j] - mean) * scale;
        }
    }
}

/* Each unit is a block of columns between two steps of the outer axes. */
static void norm_columns(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const axis_norm *s = call->state;
    int64_t inner = pi_reduction_step(&s->r), blocks = (inner + COLUMNS - 1) / COLUMNS;
    for (int64_t u = begin; u < end; u++) {
        float scale[COLUMNS];
        int64_t column = u % blocks * COLUMNS, at = u / blocks * s->r.count * inner + column;
        int64_t n = pi_min_i64(COLUMNS, inner - column);
        const float *x = (const float *)call->in[0]->data + at;
        float *y = (float *)call->out[0]->data + at;
        pi_reduce()->columns_f32(s->p == 1 ? PI_REDUCE_L1 : PI_REDUCE_L2, (size_t)s->r.count, (size_t)inner, (size_t)n, x, scale);
        bool safe = true;
        for (int64_t j = 0; j < n; j++) {
            safe &= norm_is_safe(scale[j]);
            scale[j] = 1 / scale[j];
        }
        if (!safe) {
            axis_norm_chunk(arg, u / blocks * inner + column, u / blocks * inner + column + n, thread);
            continue;
        }
        for (int64_t k = 0; k < s->r.count; k++)
            pi_eltwise()->affine_f32(&(pi_affine){.scale = scale, .elem = 1}, 1, (size_t)n, x + k * inner, y + k * inner);
    }
}

static pi_status axis_norm_fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const axis_norm *s = call->state;
    pi_call copy = *call;
    int64_t inner = pi_reduction_step(&s->r), blocks = (inner + COLUMNS - 1) / COLUMNS;
    if (inner == 1)
        pi_parallel(call->run->threads, s->r.outputs, 1 + 16384 / s->r.count, norm_rows, &copy);
    else
        pi_parallel(call->run->threads, s->r.outputs / inner * blocks, 1 + 16384 / COLUMNS / s->r.count, norm_columns, &copy);
    return PI_E_OK;
}

static pi_status axis_norm_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const axis_norm *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->r.outputs, 1 + (s->r.count ? 1000 / s->r.count : 0), axis_norm_chunk, &copy);
    return PI_E_OK;
}

/* ---- LRN: y = x / (bias + alpha / size * sum of squares over neighbouring channels) ^ beta ---- */

static pi_status lrn_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    char text[200];
    int64_t size = pi_attr_int(node, "size");
    if (size < 1) return pi_fail(err, PI_E_MODEL, "attribute 'size' is %lld, expected at least 1", (long long)size);
    if (in[0]->rank < 2)
        return pi_fail(err, PI_E_MODEL, "X is %s, expected a rank of at least 2", pi_tensor_text(in[0], text, sizeof text));
    return pi_infer_same(node, in, out, err);
}

/* A chunk is a range of (batch, channel). */
static void lrn_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_tensor *x = call->in[0];
    pi_tensor *y = call->out[0];
    int64_t size = pi_attr_int(call->node, "size"), channels = x->dim[1], space = pi_dims_product(x, 2, x->rank);
    double alpha = (double)pi_attr_float(call->node, "alpha"), beta = (double)pi_attr_float(call->node, "beta");
    double bias = (double)pi_attr_float(call->node, "bias"), v[PI_BLOCK], sum[PI_BLOCK];
    for (int64_t r = begin; r < end; r++) {
        int64_t c = r % channels, first = c - pi_min_i64(c, (size - 1) / 2);
        int64_t last = c + pi_min_i64(channels - 1 - c, size - 1 - (size - 1) / 2);
        for (int64_t at = 0; at < space; at += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, space - at);
            for (int64_t i = 0; i < n; i++) sum[i] = 0;
            for (int64_t k = first; k <= last; k++) {
                pi_read_f64(x->dtype, pi_at(x->data, x->dtype, (r - c + k) * space + at), 1, n, v);
                for (int64_t i = 0; i < n; i++) sum[i] += v[i] * v[i];
            }
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, r * space + at), 1, n, v);
            for (int64_t i = 0; i < n; i++) v[i] /= pow(bias + alpha / (double)size * sum[i], beta);
            pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, r * space + at), 1, n, v);
        }
    }
}

static pi_status lrn_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    if (pi_tensor_n(call->in[0]) == 0) return PI_E_OK;
    pi_parallel(call->run->threads, call->in[0]->dim[0] * call->in[0]->dim[1], 1, lrn_chunk, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl axis_norm_impls[] = {{"simd", axis_norm_refuse, axis_norm_prepare, axis_norm_fast_run, 1},
                                          {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
                                          {"ref", NULL, axis_norm_prepare, axis_norm_run, 1}, {0}};
static const pi_impl lrn_impls[] = {{"ref", NULL, NULL, lrn_run, 0}, {0}};

static const pi_attr_def lp_attrs[] = {{"axis", PI_ATTR_INT, false, -1, 0, NULL}, {"p", PI_ATTR_INT, false, 2, 0, NULL}, {0}};
static const pi_attr_def mvn_attrs[] = {{"axes", PI_ATTR_INTS, false, 0, 0, NULL}, {0}};
static const pi_attr_def lrn_attrs[] = {{"alpha", PI_ATTR_FLOAT, false, 0, 0.0001f, NULL},
                                        {"beta", PI_ATTR_FLOAT, false, 0, 0.75f, NULL},
                                        {"bias", PI_ATTR_FLOAT, false, 0, 1, NULL},
                                        {"size", PI_ATTR_INT, true, 0, 0, NULL},
                                        {0}};
static const pi_op rows[] = {
    {.name = "LpNormalization", .since = 1, .signature = "input:T -> output:T", .T = PI_FLOATS, .attrs = lp_attrs,
     .infer = axis_norm_infer, .impls = axis_norm_impls},
    {.name = "MeanVarianceNormalization", .since = 9, .signature = "X:T -> Y:T", .T = PI_FLOATS, .attrs = mvn_attrs,
     .infer = axis_norm_infer, .impls = axis_norm_impls},
    {.name = "LRN", .since = 1, .signature = "X:T -> Y:T", .T = PI_FLOATS, .attrs = lrn_attrs, .infer = lrn_infer,
     .impls = lrn_impls},
};
const pi_op_family pi_ops_norm_axis = {rows, PI_COUNT(rows)};
