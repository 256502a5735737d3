/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors made from a shape or a few numbers: Shape, Size, ConstantOfShape, Range, EyeLike, Trilu. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"

/* ---- Shape, Size ---- */

static void shape_range(const pi_node *node, int rank, int *from, int *to)
{
    const pi_attr *end = pi_attr_find(node, "end");
    int64_t a = node->op->since >= 15 ? pi_attr_int(node, "start") : 0, b = end ? end->i : rank;
    if (a < 0) a += rank;
    if (b < 0) b += rank;
    *from = (int)pi_max_i64(0, pi_min_i64(a, rank));
    *to = (int)pi_max_i64(*from, pi_min_i64(b, rank));
}

static pi_status shape_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int from, to;
    shape_range(node, in[0]->rank, &from, &to);
    int64_t n = to - from;
    return pi_move_shape(out, 1, &n, err);
}

static pi_status shape_run(const pi_call *call, pi_error *err)
{
    int from, to;
    PI_TRY(pi_move_outputs(call, err));
    shape_range(call->node, call->in[0]->rank, &from, &to);
    memcpy(call->out[0]->data, call->in[0]->dim + from, (size_t)(to - from) * sizeof(int64_t));
    return PI_E_OK;
}

static pi_status size_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    return pi_move_shape(out, 0, (const int64_t[1]){0}, err);
}

static pi_status size_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    *(int64_t *)call->out[0]->data = pi_tensor_n(call->in[0]);
    return PI_E_OK;
}

/* ---- ConstantOfShape ---- */

static pi_status constant_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list shape;
    const pi_attr *value = pi_attr_find(node, "value");
    int64_t n;
    if (value) {
        PI_TRY(pi_tensor_count(&value->tensor->t, &n, err));
        if (n != 1) return pi_fail(err, PI_E_MODEL, "value has %lld elements, expected 1", (long long)n);
    }
    out->dtype = value ? value->tensor->t.dtype : PI_DTYPE_F32;
    if (!in[0]->data) return PI_E_OK;
    PI_TRY(pi_move_list(in[0], "shape", &shape, err));
    return pi_move_shape(out, shape.n, shape.v, err);
}

/* The value, read once: its bytes may still be in the file. */
static pi_status constant_prepare(pi_prep *prep, pi_error *err)
{
    const pi_attr *value = pi_attr_find(prep->node, "value");
    prep->state = pi_prep_alloc(prep, 16, err);
    if (!prep->state) return pi_alloc_status(err);
    if (value) {
        PI_TRY(pi_const_load(value->tensor, err));
        memcpy(prep->state, value->tensor->t.data, pi_dtype_size(value->tensor->t.dtype));
    }
    return PI_E_OK;
}

static pi_status constant_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *out = call->out[0];
    pi_move_fill(call, out->data, call->state, pi_dtype_size(out->dtype), pi_tensor_n(out));
    return PI_E_OK;
}

/* ---- Range ---- */

/* Number of elements: max(0, ceil((limit - start) / delta)). */
static pi_status range_count(const pi_tensor *const *in, int64_t *count, pi_error *err)
{
    static const char *const names[] = {"start", "limit", "delta"};
    int64_t n;
    for (int i = 0; i < 3; i++) {
        PI_TRY(pi_tensor_count(in[i], &n, err));
        if (n != 1) return pi_fail(err, PI_E_MODEL, "%s has %lld elements, expected 1", names[i], (long long)n);
    }
    if (pi_dtype_in(in[0]->dtype, PI_INTS)) {
        int64_t start = pi_tensor_int(in[0], 0), limit = pi_tensor_int(in[1], 0), delta = pi_tensor_int(in[2], 0), span;
        if (delta == 0) return pi_fail(err, PI_E_MODEL, "delta is 0");
        if (delta == INT64_MIN || __builtin_sub_overflow(limit, start, &span))
            return pi_fail(err, PI_E_LIMIT, "the range has more elements than can be counted");
        *count = span == 0 || (span > 0) != (delta > 0) ? 0 : span / delta + (span % delta != 0);
        return PI_E_OK;
    }
    double start = pi_element_get(in[0]->dtype, in[0]->data, 0), limit = pi_element_get(in[1]->dtype, in[1]->data, 0);
    double delta = pi_element_get(in[2]->dtype, in[2]->data, 0);
    if (delta == 0) return pi_fail(err, PI_E_MODEL, "delta is 0");
    double c = ceil((limit - start) / delta);
    if (!(c < 9e15)) return pi_fail(err, PI_E_LIMIT, "the range from %g to %g by %g has no count", start, limit, delta);
    *count = c > 0 ? (int64_t)c : 0;
    return PI_E_OK;
}

static pi_status range_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    int64_t n;
    if (!in[0]->data || !in[1]->data || !in[2]->data) return PI_E_OK;
    PI_TRY(range_count(in, &n, err));
    return pi_move_shape(out, 1, &n, err);
}

typedef struct {
    pi_tensor *out;
    int64_t first, step; /* of integers */
    double start, delta;
} range_job;

#define RANGE(type, value) \
    for (int64_t i = begin; i < end; i++) ((type *)data)[i] = (type)(value); \
    return

static void range_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const range_job *job = arg;
    pi_tensor *out = job->out;
    void *data = out->data;
    double start = job->start, delta = job->delta;
    uint32_t low = (uint32_t)job->first, by = (uint32_t)job->step; /* all values lie between start and limit: low bits are right */
    switch (out->dtype) {
    case PI_DTYPE_I64: {
        uint64_t step = (uint64_t)job->step, v = (uint64_t)job->first + (uint64_t)begin * step, *y = data;
        for (int64_t i = begin; i < end; i++, v += step) y[i] = v; /* a product of 64 bits would be slow */
        return;
    }
    case PI_DTYPE_I32: RANGE(uint32_t, low + (uint32_t)i * by);
    case PI_DTYPE_I16: RANGE(uint16_t, low + (uint32_t)i * by);
    case PI_DTYPE_F32: RANGE(float, start + (double)i * delta);
    case PI_DTYPE_F64: RANGE(double, start + (double)i * delta);
    default:
        for (int64_t i = begin; i < end; i++) pi_element_put(out->dtype, out->data, i, start + (double)i * delta);
    }
}
#undef RANGE

static pi_status range_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *const *in = call->in;
    int64_t n;
    PI_TRY(range_count(in, &n, err));
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    if (n > out->dim[0]) return pi_fail(err, PI_E_INTERNAL, "planned for another range");
    range_job job = {.out = out};
    if (pi_dtype_in(out->dtype, PI_INTS)) {
        job.first = pi_tensor_int(in[0], 0);
        job.step = pi_tensor_int(in[2], 0);
    } else {
        job.start = pi_element_get(out->dtype, in[0]->data, 0);
        job.delta = pi_element_get(out->dtype, in[2]->data, 0);
    }
    pi_parallel(call->run->threads, n, 32768, range_task, &job);
    return PI_E_OK;
}

/* ---- EyeLike, Trilu ---- */

static pi_status eye_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_attr *dtype = pi_attr_find(node, "dtype");
    out->dtype = dtype ? pi_dtype_from_id(dtype->i) : in[0]->dtype;
    if (!pi_dtype_in(out->dtype, PI_NUMBERS | PI_BIT(BOOL)))
        return pi_fail(err, PI_E_MODEL, "dtype %s has no 0 and 1", pi_dtype_name(out->dtype));
    if (in[0]->rank != 2) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected 2", in[0]->rank);
    return pi_move_shape(out, 2, in[0]->dim, err);
}

enum { EYE_GRAIN = 64 << 10 }; /* elements */

typedef struct {
    pi_tensor *out;
    int64_t k;
} eye_job;

static void eye_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const eye_job *job = arg;
    pi_tensor *out = job->out;
    size_t elem = pi_dtype_size(out->dtype);
    int64_t cols = out->dim[1], k = job->k;
    memset((char *)out->data + (size_t)(begin * cols) * elem, 0, (size_t)((end - begin) * cols) * elem);
    for (int64_t r = pi_max_i64(begin, -k); r < end && r + k < cols; r++) pi_element_put(out->dtype, out->data, r * cols + r + k, 1);
}

static pi_status eye_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    int64_t rows = out->dim[0], cols = out->dim[1], k = pi_attr_int(call->node, "k");
    eye_job job = {out, pi_max_i64(-rows, pi_min_i64(k, cols))};
    if (rows > 0 && cols > 0) pi_parallel(call->run->threads, rows, pi_max_i64(1, EYE_GRAIN / cols), eye_task, &job);
    return PI_E_OK;
}

static pi_status trilu_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (in[0]->rank < 2) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected at least 2", in[0]->rank);
    return pi_infer_same(node, in, out, err);
}

static pi_status trilu_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *in = call->in[0], *given = pi_move_in(call->node, call->in, 1);
    int64_t k = 0;
    if (given) PI_TRY(pi_move_scalar(given, "k", &k, err));
    int upper = pi_attr_int(call->node, "upper") != 0;
    size_t elem = pi_dtype_size(in->dtype);
    int64_t rows = in->dim[in->rank - 2], cols = in->dim[in->rank - 1], all = pi_dims_product(in, 0, in->rank - 1);
    k = pi_max_i64(-rows - 1, pi_min_i64(k, cols + 1));
    for (int64_t row = 0; row < all; row++) {
        int64_t r = row % rows;
        /* columns [from, to) are kept */
        int64_t from = upper ? pi_max_i64(0, pi_min_i64(r + k, cols)) : 0;
        int64_t to = upper ? cols : pi_max_i64(0, pi_min_i64(r + k + 1, cols));
        const char *s = (const char *)in->data + (size_t)(row * cols) * elem;
        char *d = (char *)call->out[0]->data + (size_t)(row * cols) * elem;
        memset(d, 0, (size_t)from * elem);
        if (d != s) memcpy(d + (size_t)from * elem, s + (size_t)from * elem, (size_t)(to - from) * elem);
        memset(d + (size_t)to * elem, 0, (size_t)(cols - to) * elem);
    }
    return PI_E_OK;
}

static const pi_impl shape_impls[] = {{.name = "ref", .run = shape_run}, {0}};
static const pi_impl size_impls[] = {{.name = "ref", .run = size_run}, {0}};
static const pi_impl constant_impls[] = {{.name = "ref", .prepare = constant_prepare, .run = constant_run}, {0}};
static const pi_impl range_impls[] = {{.name = "ref", .run = range_run}, {0}};
static const pi_impl eye_impls[] = {{.name = "ref", .run = eye_run}, {0}};
static const pi_impl trilu_impls[] = {{.name = "ref", .run = trilu_run, .inplace = 1}, {0}};

static const pi_attr_def shape_attrs[] = {
    {.name = "start", .kind = PI_ATTR_INT, .i = 0}, {.name = "end", .kind = PI_ATTR_INT}, {0}};
static const pi_attr_def constant_attrs[] = {{.name = "value", .kind = PI_ATTR_TENSOR}, {0}};
static const pi_attr_def range_attrs_v27[] = {{.name = "stash_type", .kind = PI_ATTR_INT, .i = 1}, {0}};
static const pi_attr_def eye_attrs[] = {
    {.name = "dtype", .kind = PI_ATTR_INT}, {.name = "k", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def trilu_attrs[] = {{.name = "upper", .kind = PI_ATTR_INT, .i = 1}, {0}};

#define RANGES (PI_BIT(F32) | PI_BIT(F64) | PI_BIT(I16) | PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "Shape", .since = 1, .signature = "data:T -> shape:i64", .T = PI_ANY, .flags = PI_OP_SHAPE_ONLY,
     .infer = shape_infer, .impls = shape_impls},
    {.name = "Shape", .since = 15, .signature = "data:T -> shape:i64", .T = PI_ANY, .flags = PI_OP_SHAPE_ONLY,
     .attrs = shape_attrs, .infer = shape_infer, .impls = shape_impls},
    {.name = "Size", .since = 1, .signature = "data:T -> size:i64", .T = PI_ANY, .flags = PI_OP_SHAPE_ONLY,
     .infer = size_infer, .impls = size_impls},
    {.name = "ConstantOfShape", .since = 9, .signature = "input:i64 -> output:any", .attrs = constant_attrs,
     .infer = constant_infer, .impls = constant_impls},
    {.name = "Range", .since = 11, .signature = "start:T limit:T delta:T -> output:T", .T = RANGES, .infer = range_infer,
     .impls = range_impls},
    {.name = "Range", .since = 27, .signature = "start:T limit:T delta:T -> output:T",
     .T = RANGES | PI_BIT(F16) | PI_BIT(BF16), .attrs = range_attrs_v27, .infer = range_infer, .impls = range_impls},
    {.name = "EyeLike", .since = 9, .signature = "input:T -> output:any", .T = PI_NUMBERS | PI_BIT(BOOL),
     .flags = PI_OP_SHAPE_ONLY, .attrs = eye_attrs, .infer = eye_infer, .impls = eye_impls},
    {.name = "Trilu", .since = 14, .signature = "input:T k?:i64 -> output:T", .T = PI_ANY, .attrs = trilu_attrs,
     .infer = trilu_infer, .impls = trilu_impls},
};
const pi_op_family pi_ops_generate = {rows, PI_COUNT(rows)};
