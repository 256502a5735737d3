/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter, ScatterElements, ScatterND, TensorScatter: a copy of the data, then updates in their order (so that sums do not
 * depend on the number of threads). */
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/element.h"
#include "ops/index.h"

/* dst[at[i]] = f(dst[at[i]], src[i]), i in [0, n), in order; at NULL: i itself */
typedef void (*scatter_fn)(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n);

#define SET(bytes)                                                                                             \
    for (int64_t i = 0; i < n; i++) memcpy(dst + (size_t)at[i] * (bytes), src + (size_t)i * (bytes), bytes); \
    return
static void scatter_set(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n)
{
    size_t size = pi_dtype_size(dtype);
    if (!at) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    switch (size) { /* a constant size makes memcpy one move */
    case 1: SET(1);
    case 2: SET(2);
    case 4: SET(4);
    case 8: SET(8);
    default: SET(size);
    }
}
#undef SET

/* Sums and products of integers wrap; a NaN wins against every number. */
#define LOOP(type, wide, expr)                                          \
    for (int64_t i = 0; i < n; i++) {                                   \
        type *to = (type *)(void *)dst + (at ? at[i] : i);              \
        wide a = (wide)*to, b = (wide)((const type *)(const void *)src)[i]; \
        *to = (type)(expr);                                             \
    }                                                                   \
    return
#define HALVES(get, put, expr)                                          \
    for (int64_t i = 0; i < n; i++) {                                   \
        uint16_t *to = (uint16_t *)(void *)dst + (at ? at[i] : i);      \
        float a = get(*to), b = get(((const uint16_t *)(const void *)src)[i]); \
        *to = put(expr);                                                \
    }                                                                   \
    return
#define REDUCE(name, signed_wide, int_expr, float_expr)                               \
    static void name(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n) \
    {                                                                                 \
        switch (dtype) {                                                              \
        case PI_DTYPE_F32: LOOP(float, float, float_expr);                            \
        case PI_DTYPE_F64: LOOP(double, double, float_expr);                          \
        case PI_DTYPE_F16: HALVES(pi_f16_to_float, pi_float_to_f16, float_expr);   \
        case PI_DTYPE_BF16: HALVES(pi_bf16_to_float, pi_float_to_bf16, float_expr);  \
        case PI_DTYPE_I8: LOOP(int8_t, signed_wide, int_expr);                        \
        case PI_DTYPE_I16: LOOP(int16_t, signed_wide, int_expr);                      \
        case PI_DTYPE_I32: LOOP(int32_t, signed_wide, int_expr);                      \
        case PI_DTYPE_I64: LOOP(int64_t, signed_wide, int_expr);                      \
        case PI_DTYPE_U8: LOOP(uint8_t, uint64_t, int_expr);                          \
        case PI_DTYPE_U16: LOOP(uint16_t, uint64_t, int_expr);                        \
        case PI_DTYPE_U32: LOOP(uint32_t, uint64_t, int_expr);                        \
        case PI_DTYPE_U64: LOOP(uint64_t, uint64_t, int_expr);                        \
        default: return;                                                              \
        }                                                                             \
    }
REDUCE(scatter_add, uint64_t, a + b, a + b)
REDUCE(scatter_mul, uint64_t, a *b, a *b)
REDUCE(scatter_min, int64_t, a < b ? a : b, a < b || a != a ? a : b)
REDUCE(scatter_max, int64_t, a > b ? a : b, a > b || a != a ? a : b)
#undef REDUCE
#undef HALVES
#undef LOOP

/* Truth values: sum and largest are or, product and smallest are and. */
static void scatter_or(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n)
{
    (void)dtype;
    for (int64_t i = 0; i < n; i++) {
        char *to = dst + (at ? at[i] : i);
        *to = *to || src[i];
    }
}
static void scatter_and(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n)
{
    (void)dtype;
    for (int64_t i = 0; i < n; i++) {
        char *to = dst + (at ? at[i] : i);
        *to = *to && src[i];
    }
}

static void complex_add(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n)
{
    size_t size = pi_dtype_size(dtype);
    for (int64_t i = 0; i < n; i++)
        scatter_add(pi_dtype_part(dtype), dst + (size_t)(at ? at[i] : i) * size, NULL, src + (size_t)i * size, 2);
}
static void complex_mul(pi_dtype dtype, char *dst, const int64_t *at, const char *src, int64_t n)
{
    pi_dtype part = pi_dtype_part(dtype);
    for (int64_t i = 0; i < n; i++) {
        int64_t to = 2 * (at ? at[i] : i);
        double a = pi_element_get(part, dst, to), b = pi_element_get(part, dst, to + 1);
        double c = pi_element_get(part, src, 2 * i), d = pi_element_get(part, src, 2 * i + 1);
        pi_element_put(part, dst, to, a * c - b * d);
        pi_element_put(part, dst, to + 1, a * d + b * c);
    }
}

static pi_status scatter_rule(const pi_node *node, pi_dtype dtype, scatter_fn *fn, pi_error *err)
{
    static const struct {
        const char *name;
        scatter_fn number, truth, complex;
    } rules[] = {{"none", scatter_set, scatter_set, scatter_set},
                 {"add", scatter_add, scatter_or, complex_add},
                 {"mul", scatter_mul, scatter_and, complex_mul},
                 {"min", scatter_min, scatter_and, NULL},
                 {"max", scatter_max, scatter_or, NULL}};
    const pi_attr *a = pi_attr_find(node, "reduction");
    for (size_t i = 0; i < PI_COUNT(rules); i++) {
        if (strcmp(a ? a->s.bytes : "none", rules[i].name) != 0) continue;
        *fn = i == 0 || pi_dtype_in(dtype, PI_NUMBERS) ? rules[i].number
              : dtype == PI_DTYPE_BOOL                 ? rules[i].truth
              : pi_dtype_parts(dtype) == 2             ? rules[i].complex
                                                       : NULL;
        if (*fn) return PI_E_OK;
        return pi_fail(err, PI_E_UNSUPPORTED, "reduction '%s' of %s", rules[i].name, pi_dtype_name(dtype));
    }
    return pi_fail(err, PI_E_MODEL, "reduction '%.40s' is not one of none, add, mul, min, max", a->s.bytes);
}

static void scatter_start(const pi_call *call)
{
    size_t bytes = (size_t)pi_tensor_n(call->in[0]) * pi_dtype_size(call->in[0]->dtype);
    pi_move_bytes(call, call->in[0]->data, call->out[0]->data, bytes);
}

/* ---- ScatterElements: out[index[i, j, k], j, k] = updates[i, j, k] ---- */

static pi_status elements_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *data = in[0], *index = in[1], *updates = in[2];
    int axis;
    scatter_fn fn;
    char a[160], b[160];
    PI_TRY(scatter_rule(node, data->dtype, &fn, err));
    if (data->rank == 0 || data->rank != index->rank)
        return pi_fail(err, PI_E_MODEL, "data has rank %d and indices %d, expected the same, at least 1", data->rank, index->rank);
    if (!pi_tensor_same_shape(index, updates))
        return pi_fail(err, PI_E_MODEL, "indices %s and updates %s differ in shape", pi_tensor_text(index, a, sizeof a),
                       pi_tensor_text(updates, b, sizeof b));
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), data->rank, &axis, err));
    for (int i = 0; i < data->rank; i++)
        if (i != axis && index->dim[i] > data->dim[i])
            return pi_fail(err, PI_E_MODEL, "indices have length %lld on axis %d, data only %lld", (long long)index->dim[i], i,
                           (long long)data->dim[i]);
    return pi_infer_same(node, in, out, err);
}

typedef struct {
    const pi_call *call;
    scatter_fn fn;
    int axis;
    int64_t stride[PI_MAX_RANK];
} elements_job;

/* A row of indices: their last axis. Rows of different places before the axis meet nowhere. */
static void elements_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const elements_job *job = arg;
    const pi_tensor *data = job->call->in[0], *index = job->call->in[1];
    int last = data->rank - 1, axis = job->axis;
    int64_t n = index->dim[last], limit = data->dim[axis], along = job->stride[axis], step = axis == last ? 0 : 1;
    int64_t at[PI_BLOCK];
    size_t elem = pi_dtype_size(data->dtype);
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, base = 0;
        for (int k = last - 1; k >= 0; k--) {
            if (k != axis) base += rest % index->dim[k] * job->stride[k];
            rest /= index->dim[k];
        }
        for (int64_t i = 0; i < n; i += PI_BLOCK) {
            int64_t m = pi_min_i64(PI_BLOCK, n - i), from = row * n + i;
            for (int64_t j = 0; j < m; j++) at[j] = base + pi_index_at(index, from + j, limit) * along + (i + j) * step;
            job->fn(data->dtype, job->call->out[0]->data, at, (const char *)job->call->in[2]->data + (size_t)from * elem, m);
        }
    }
}

static void elements_outer(void *arg, int64_t begin, int64_t end, int thread)
{
    const elements_job *job = arg;
    const pi_tensor *index = job->call->in[1];
    int last = index->rank - 1;
    int64_t each = job->axis >= last ? 1 : pi_dims_product(index, job->axis, last);
    elements_rows(arg, begin * each, end * each, thread);
}

static pi_status elements_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *data = call->in[0], *index = call->in[1];
    int axis;
    scatter_fn fn;
    PI_TRY(scatter_rule(call->node, data->dtype, &fn, err));
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), data->rank, &axis, err));
    PI_TRY(pi_move_outputs(call, err));
    PI_TRY(pi_index_check(index, data->dim[axis], axis, err));
    scatter_start(call);
    int64_t total = pi_tensor_n(index), outer = pi_dims_product(index, 0, axis);
    if (total == 0) return PI_E_OK;
    elements_job job = {.call = call, .fn = fn, .axis = axis};
    pi_move_strides(data->rank, data->dim, job.stride);
    pi_parallel(call->run->threads, outer, 1 + 16384 / (total / outer), elements_outer, &job);
    return PI_E_OK;
}

/* ---- ScatterND: out[index[i]] = updates[i], a row of what the tuple leaves ---- */

static pi_status nd_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *data = in[0], *index = in[1], *updates = in[2];
    scatter_fn fn;
    char a[160], b[160];
    PI_TRY(scatter_rule(node, data->dtype, &fn, err));
    if (data->rank < 1 || index->rank < 1)
        return pi_fail(err, PI_E_MODEL, "data has rank %d and indices %d, expected at least 1", data->rank, index->rank);
    int64_t tuple = index->dim[index->rank - 1];
    if (tuple < 1 || tuple > data->rank)
        return pi_fail(err, PI_E_MODEL, "the last axis of indices has length %lld, expected 1 to %d", (long long)tuple, data->rank);
    int lead = index->rank - 1, same = updates->rank == lead + data->rank - (int)tuple;
    for (int i = 0; same && i < updates->rank; i++)
        same = updates->dim[i] == (i < lead ? index->dim[i] : data->dim[i - lead + (int)tuple]);
    if (!same)
        return pi_fail(err, PI_E_MODEL, "updates %s do not fit indices %s and data of rank %d",
                       pi_tensor_text(updates, a, sizeof a), pi_tensor_text(index, b, sizeof b), data->rank);
    return pi_infer_same(node, in, out, err);
}

static pi_status nd_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *data = call->in[0], *index = call->in[1];
    scatter_fn fn;
    int tuple = (int)index->dim[index->rank - 1];
    PI_TRY(scatter_rule(call->node, data->dtype, &fn, err));
    PI_TRY(pi_move_outputs(call, err));
    PI_TRY(pi_index_check_tuples(index, tuple, data->dim, 0, err));
    scatter_start(call);
    int64_t row = pi_dims_product(data, tuple, data->rank), n = pi_dims_product(index, 0, index->rank - 1);
    int64_t stride[PI_MAX_RANK];
    size_t bytes = (size_t)row * pi_dtype_size(data->dtype);
    pi_move_strides(tuple, data->dim, stride);
    for (int64_t i = 0; i < n && row; i++) {
        int64_t to = 0;
        for (int k = 0; k < tuple; k++) to += pi_index_at(index, i * tuple + k, data->dim[k]) * stride[k];
        fn(data->dtype, (char *)call->out[0]->data + (size_t)to * bytes, NULL, (const char *)call->in[2]->data + (size_t)i * bytes,
           row);
    }
    return PI_E_OK;
}

/* ---- TensorScatter: rows of a key-value cache, written at an index of each batch entry ---- */

static pi_status cache_axis(const pi_node *node, const pi_tensor *const *in, int *axis, bool *circular, pi_error *err)
{
    const pi_tensor *cache = in[0], *update = in[1], *at = pi_move_in(node, in, 2);
    const char *mode = pi_attr_string(node, "mode");
    *circular = strcmp(mode, "circular") == 0;
    if (!*circular && strcmp(mode, "linear") != 0)
        return pi_fail(err, PI_E_MODEL, "mode '%.40s' is neither linear nor circular", mode);
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), cache->rank, axis, err));
    if (*axis == 0) return pi_fail(err, PI_E_MODEL, "axis 0 is the batch");
    int same = cache->rank == update->rank;
    for (int i = 0; same && i < cache->rank; i++)
        same = i == *axis ? update->dim[i] <= cache->dim[i] : update->dim[i] == cache->dim[i];
    if (!same) return pi_fail(err, PI_E_MODEL, "update does not fit past_cache on axis %d", *axis);
    if (at && (at->rank != 1 || at->dim[0] != cache->dim[0]))
        return pi_fail(err, PI_E_MODEL, "write_indices want one entry for each of %lld batch entries", (long long)cache->dim[0]);
    return PI_E_OK;
}

static pi_status cache_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    bool circular;
    PI_TRY(cache_axis(node, in, &axis, &circular, err));
    return pi_infer_same(node, in, out, err);
}

static pi_status cache_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *cache = call->in[0], *update = call->in[1], *at = pi_move_in(call->node, call->in, 2);
    int axis;
    bool circular;
    PI_TRY(cache_axis(call->node, call->in, &axis, &circular, err));
    PI_TRY(pi_move_outputs(call, err));
    int64_t length = cache->dim[axis], n = update->dim[axis], batch = cache->dim[0];
    for (int64_t b = 0; at && b < batch; b++) {
        int64_t i = pi_tensor_int(at, b);
        if (i < 0 || (circular ? i >= length : i > length - n))
            return pi_fail(err, PI_E_INPUT, "write index %lld of batch entry %lld is out of range for %lld rows into %lld",
                           (long long)i, (long long)b, (long long)n, (long long)length);
    }
    scatter_start(call);
    size_t row = pi_dtype_size(cache->dtype) * (size_t)pi_dims_product(cache, axis + 1, cache->rank);
    int64_t each = pi_dims_product(cache, 1, axis);
    for (int64_t o = 0; o < batch * each && row; o++) {
        int64_t from = at ? pi_tensor_int(at, o / each) : 0;
        char *dst = (char *)call->out[0]->data + (size_t)(o * length) * row;
        const char *src = (const char *)update->data + (size_t)(o * n) * row;
        for (int64_t j = 0; j < n; j++) memcpy(dst + (size_t)((from + j) % length) * row, src + (size_t)j * row, row);
    }
    return PI_E_OK;
}

static const pi_impl elements_impls[] = {{.name = "ref", .run = elements_run, .inplace = 1}, {0}};
static const pi_impl nd_impls[] = {{.name = "ref", .run = nd_run, .inplace = 1}, {0}};
static const pi_impl cache_impls[] = {{.name = "ref", .run = cache_run, .inplace = 1}, {0}};

static const pi_attr_def axis_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def elements_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {.name = "reduction", .kind = PI_ATTR_STRING, .s = "none"}, {0}};
static const pi_attr_def nd_attrs[] = {{.name = "reduction", .kind = PI_ATTR_STRING, .s = "none"}, {0}};
static const pi_attr_def cache_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = -2}, {.name = "mode", .kind = PI_ATTR_STRING, .s = "linear"}, {0}};

static const pi_op rows[] = {
    {.name = "Scatter", .since = 9, .signature = "data:T indices:U updates:T -> output:T", .T = PI_ANY, .U = PI_INDEX,
     .attrs = axis_attrs, .infer = elements_infer, .impls = elements_impls},
    {.name = "ScatterElements", .since = 11, .signature = "data:T indices:U updates:T -> output:T", .T = PI_ANY,
     .U = PI_INDEX, .attrs = axis_attrs, .infer = elements_infer, .impls = elements_impls},
    {.name = "ScatterElements", .since = 16, .signature = "data:T indices:U updates:T -> output:T", .T = PI_ANY,
     .U = PI_INDEX, .attrs = elements_attrs, .infer = elements_infer, .impls = elements_impls},
    {.name = "ScatterND", .since = 11, .signature = "data:T indices:i64 updates:T -> output:T", .T = PI_ANY,
     .infer = nd_infer, .impls = nd_impls},
    {.name = "ScatterND", .since = 16, .signature = "data:T indices:i64 updates:T -> output:T", .T = PI_ANY,
     .attrs = nd_attrs, .infer = nd_infer, .impls = nd_impls},
    {.name = "TensorScatter", .since = 24, .signature = "past_cache:T update:T write_indices?:i64 -> present_cache:T",
     .T = PI_ANY, .attrs = cache_attrs, .infer = cache_infer, .impls = cache_impls},
};
const pi_op_family pi_ops_scatter = {rows, PI_COUNT(rows)};
