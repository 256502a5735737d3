/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax, LogSoftmax, Hardmax. Before opset 13 all dimensions from `axis` on are one row. */
#include <math.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/softmax/softmax.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/widen.h"

typedef struct {
    int64_t outer, n, inner; /* rows of n elements, `inner` apart */
    enum { SOFT, LOG, HARD } kind;
} softmax;

static pi_status softmax_init(softmax *s, const pi_node *node, const pi_tensor *x, pi_error *err)
{
    int axis;
    int64_t a = pi_attr_int(node, "axis");
    bool flat = node->op->since < 13;
    s->kind = node->op->name[0] == 'S' ? SOFT : node->op->name[0] == 'L' ? LOG : HARD;
    if (x->rank == 0 && (a == 0 || a == -1 || flat)) { /* a scalar is a row of one */
        s->outer = s->n = s->inner = 1;
        return PI_E_OK;
    }
    if (flat && a == x->rank) { /* [all, nothing]: rows of one element */
        s->outer = pi_tensor_n(x);
        s->n = s->inner = 1;
        return PI_E_OK;
    }
    PI_TRY(pi_axis(a, x->rank, &axis, err));
    s->outer = pi_dims_product(x, 0, axis);
    s->n = flat ? pi_dims_product(x, axis, x->rank) : x->dim[axis];
    s->inner = flat ? 1 : pi_dims_product(x, axis + 1, x->rank);
    return PI_E_OK;
}

static pi_status softmax_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    softmax s;
    PI_TRY(softmax_init(&s, node, in[0], err));
    return pi_infer_same(node, in, out, err);
}

static pi_status softmax_prepare(pi_prep *prep, pi_error *err)
{
    softmax *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    return softmax_init(s, prep->node, prep->in[0], err);
}

/* ---- reference: three walks over a row ---- */

typedef struct {
    double largest, sum;
    int64_t place; /* the first of the largest */
} row_facts;

/* One walk for the largest, a second for the sum. */
static row_facts look(const softmax *s, pi_dtype dtype, const void *x, int walks)
{
    row_facts f = {-INFINITY, 0, 0};
    double v[PI_BLOCK];
    for (int pass = 0; pass < walks; pass++)
        for (int64_t at = 0; at < s->n; at += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, s->n - at);
            pi_read_f64(dtype, pi_at(x, dtype, at * s->inner), s->inner, n, v);
            for (int64_t i = 0; i < n; i++) {
                if (pass == 1)
                    f.sum += exp(v[i] - f.largest);
                else if (v[i] > f.largest || (v[i] != v[i] && f.largest == f.largest)) {
                    f.largest = v[i];
                    f.place = at + i;
                }
            }
        }
    return f;
}

/* Softmax of a row of doubles that lie side by side: each e^x is computed once, and waits in y for the sum. */
static void soft_row_f64(int64_t n, const double *x, double *y, double largest)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - largest;
    pi_eltwise()->exp_f64((size_t)n, y, y);
    for (int64_t i = 0; i < n; i++) sum += y[i];
    for (int64_t i = 0; i < n; i++) y[i] /= sum;
}

static void softmax_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const softmax *s = call->state;
    pi_dtype dtype = call->in[0]->dtype;
    for (int64_t r = begin; r < end; r++) {
        int64_t start = r / s->inner * s->n * s->inner + r % s->inner;
        const void *x = pi_at(call->in[0]->data, dtype, start);
        void *y = pi_at_mut(call->out[0]->data, dtype, start);
        if (dtype == PI_DTYPE_F64 && s->kind == SOFT && s->inner == 1) {
            soft_row_f64(s->n, x, y, look(s, dtype, x, 1).largest);
            continue;
        }
        row_facts f = look(s, dtype, x, s->kind == HARD ? 1 : 2);
        double v[PI_BLOCK], log_sum = s->kind == LOG ? log(f.sum) : 0;
        for (int64_t at = 0; at < s->n; at += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, s->n - at);
            pi_read_f64(dtype, pi_at(x, dtype, at * s->inner), s->inner, n, v);
            for (int64_t i = 0; i < n; i++)
                v[i] = s->kind == HARD  ? (double)(at + i == f.place)
                       : s->kind == LOG ? v[i] - f.largest - log_sum
                                        : exp(v[i] - f.largest) / f.sum;
            pi_write_f64(dtype, pi_at_mut(y, dtype, at * s->inner), s->inner, n, v);
        }
    }
}

static pi_status softmax_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const softmax *s = call->state;
    pi_call copy = *call;
    if (s->n == 0) return PI_E_OK;
    pi_parallel(call->run->threads, s->outer * s->inner, 1 + 1000 / s->n, softmax_chunk, &copy);
    return PI_E_OK;
}

/* ---- f32 kernels: rows of contiguous elements, or blocks of columns ---- */

enum { COLUMNS = 128 };

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    return node->op->name[0] == 'H' ? "no Hardmax" : NULL;
}

static void fast_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const softmax *s = call->state;
    const float *x = (const float *)call->in[0]->data + begin * s->n;
    float *y = (float *)call->out[0]->data + begin * s->n;
    (s->kind == LOG ? pi_softmax()->log_softmax_f32 : pi_softmax()->softmax_f32)((size_t)(end - begin), (size_t)s->n, x, y);
}

/* A piece is one outer index and a block of columns. */
static void fast_columns(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const softmax *s = call->state;
    int64_t blocks = (s->inner + COLUMNS - 1) / COLUMNS;
    for (int64_t r = begin; r < end; r++) {
        int64_t column = r % blocks * COLUMNS, at = r / blocks * s->n * s->inner + column;
        pi_softmax()->softmax_axis_f32(s->kind == LOG, (size_t)s->n, (size_t)s->inner,
                                       (size_t)pi_min_i64(COLUMNS, s->inner - column),
                                       (const float *)call->in[0]->data + at, (float *)call->out[0]->data + at);
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const softmax *s = call->state;
    pi_call copy = *call;
    if (s->n == 0) return PI_E_OK;
    if (s->inner == 1)
        pi_parallel(call->run->threads, s->outer, 1 + 8192 / s->n, fast_rows, &copy);
    else
        pi_parallel(call->run->threads, s->outer * ((s->inner + COLUMNS - 1) / COLUMNS), 1 + 8192 / COLUMNS / s->n,
                    fast_columns, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl softmax_impls[] = {
    {"simd", fast_refuse, softmax_prepare, fast_run, 1},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, softmax_prepare, softmax_run, 1},
    {0},
};
static const pi_attr_def axis_one[] = {{"axis", PI_ATTR_INT, false, 1, 0, NULL}, {0}};
static const pi_attr_def axis_last[] = {{"axis", PI_ATTR_INT, false, -1, 0, NULL}, {0}};

#define SOFTMAX(op_name, version, attributes)                                                                  \
    {.name = op_name, .since = version, .signature = "input:T -> output:T", .T = PI_FLOATS, .attrs = attributes, \
     .infer = softmax_infer, .impls = softmax_impls}
static const pi_op rows[] = {
    SOFTMAX("Softmax", 1, axis_one),    SOFTMAX("Softmax", 13, axis_last),
    SOFTMAX("LogSoftmax", 1, axis_one), SOFTMAX("LogSoftmax", 13, axis_last),
    SOFTMAX("Hardmax", 1, axis_one),    SOFTMAX("Hardmax", 13, axis_last),
};
const pi_op_family pi_ops_softmax = {rows, PI_COUNT(rows)};
