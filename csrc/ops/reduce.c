/* SPDX-License-Identifier: Apache-2.0 */
/* ReduceSum and its kin, over axes from an attribute or an input. The reference computes floats in double; sums,
 * products, extremes of integers in int64_t, wrapping. Over no elements: 0, 1, the smallest, the largest number; a mean is NaN.
 * Axes that are an input may differ from run to run, so they are read in run. */
#include "ops/reduction.h"
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/reduce/reduce.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/widen.h"

typedef enum { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE } reduce_kind;

static reduce_kind kind_of(const pi_node *node)
{
    static const char *const names[] = {"Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"};
    size_t k = 0;
    while (k + 1 < PI_COUNT(names) && strcmp(node->op->name + strlen("Reduce"), names[k]) != 0) k++;
    return (reduce_kind)k;
}

/* ---- axes ---- */

static bool axes_are_input(const pi_node *node)
{
    for (const pi_attr_def *d = node->op->attrs; d->name; d++)
        if (strcmp(d->name, "axes") == 0) return false;
    return true;
}

/* Needs in[1]->data where axes are an input. */
static pi_status read_axes(const pi_node *node, const pi_tensor *const *in, unsigned *axes, pi_error *err)
{
    int rank = in[0]->rank;
    int64_t few[PI_MAX_RANK], n = 0;
    const int64_t *list = few;
    bool noop = false;
    if (axes_are_input(node)) {
        noop = pi_attr_int(node, "noop_with_empty_axes") != 0;
        const pi_tensor *t = node->n_explicit > 1 ? in[1] : NULL;
        if (t) {
            if (t->rank > 1) return pi_fail(err, PI_E_MODEL, "axes have rank %d, expected 1", t->rank);
            PI_TRY(pi_tensor_count(t, &n, err));
            if (n > rank) return pi_fail(err, PI_E_MODEL, "%lld axes for rank %d", (long long)n, rank);
            for (int64_t i = 0; i < n; i++) few[i] = pi_tensor_int(t, i);
        }
    } else {
        uint32_t count;
        list = pi_attr_ints(node, "axes", &count);
        n = count;
    }
    if (n == 0) {
        *axes = noop ? 0 : (1u << rank) - 1;
        return PI_E_OK;
    }
    return pi_reduction_axes(list, n, rank, axes, err);
}

static void reduced_shape(const pi_tensor *x, unsigned axes, bool keep, pi_tensor *y)
{
    y->rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (!(axes >> i & 1))
            y->dim[y->rank++] = x->dim[i];
        else if (keep)
            y->dim[y->rank++] = 1;
    }
}

static pi_status reduce_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    unsigned axes;
    if (axes_are_input(node) && node->n_explicit > 1 && in[1] && !in[1]->data && pi_tensor_n(in[1]) != 0)
        return PI_E_OK; /* not known yet */
    PI_TRY(read_axes(node, in, &axes, err));
    reduced_shape(in[0], axes, pi_attr_int(node, "keepdims") != 0, &out[0]);
    return PI_E_OK;
}

/* ---- reference ---- */

typedef struct {
    const pi_call *call;
    reduce_kind kind;
    pi_reduction r;
} reduce_task;

static inline __attribute__((always_inline)) double step_f64(reduce_kind kind, double acc, double largest, double v)
{
    switch (kind) {
    case MAX: return v > acc || v != v ? v : acc;
    case MIN: return v < acc || v != v ? v : acc;
    case PROD: return acc * v;
    case LOG_SUM_EXP: return acc + exp(v - largest);
    default: return acc + v;
    }
}

/* Sums that do not wait for each other, in an order that depends on n alone. */
static inline __attribute__((always_inline)) double sum_f64(reduce_kind kind, const double *v, int64_t n)
{
    enum { SUMS = 8 };
    double part[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
#pragma GCC unroll 8
        for (int j = 0; j < SUMS; j++) part[j] += kind == L1 ? fabs(v[i + j]) : kind == SUM ? v[i + j] : v[i + j] * v[i + j];
    for (; i < n; i++) part[0] += kind == L1 ? fabs(v[i]) : kind == SUM ? v[i] : v[i] * v[i];
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

/* acc with n values taken in; one loop for each kind. */
static double steps_f64(reduce_kind kind, double acc, double largest, const double *v, int64_t n)
{
#define STEPS(one)                                                               \
    for (int64_t i = 0; i < n; i++) acc = step_f64(one, acc, largest, v[i]); \
    return acc
    switch (kind) {
    case MAX: STEPS(MAX);
    case MIN: STEPS(MIN);
    case PROD: STEPS(PROD);
    case LOG_SUM_EXP: STEPS(LOG_SUM_EXP);
    case L1: return acc + sum_f64(L1, v, n);
    case L2:
    case SUM_SQUARE: return acc + sum_f64(SUM_SQUARE, v, n);
    case SUM:
    case MEAN:
    case LOG_SUM: return acc + sum_f64(SUM, v, n);
    }
#undef STEPS
    return acc;
}

/* The reduction of one kind over all rows from `start` on. */
static double gather_f64(const reduce_task *t, reduce_kind kind, int64_t start, double acc, double largest)
{
    const pi_reduction *r = &t->r;
    const pi_tensor *x = t->call->in[0];
    int64_t row = pi_reduction_row(r), step = pi_reduction_step(r);
    double v[PI_BLOCK];
    for (int64_t k = 0; r->count && k < r->count / row; k++) {
        int64_t at = start + pi_reduction_at(r, k);
        for (int64_t i = 0; i < row; i += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, row - i);
            const void *from = pi_at(x->data, x->dtype, at + i * step);
            bool there = x->dtype == PI_DTYPE_F64 && step == 1;
            if (!there) pi_read_f64(x->dtype, from, step, n, v);
            acc = steps_f64(kind, acc, largest, there ? from : v, n);
        }
    }
    return acc;
}

static double reduce_f64(const reduce_task *t, int64_t start)
{
    double largest = 0, acc;
    switch (t->kind) {
    case MAX: return gather_f64(t, MAX, start, -INFINITY, 0);
    case MIN: return gather_f64(t, MIN, start, INFINITY, 0);
    case PROD: return gather_f64(t, PROD, start, 1, 0);
    case MEAN: return gather_f64(t, MEAN, start, 0, 0) / (double)t->r.count;
    case L2: return sqrt(gather_f64(t, L2, start, 0, 0));
    case LOG_SUM: return log(gather_f64(t, LOG_SUM, start, 0, 0));
    case LOG_SUM_EXP:
        largest = gather_f64(t, MAX, start, -INFINITY, 0);
        if (isinf(largest)) return largest; /* all are -inf, or one is inf */
        acc = gather_f64(t, LOG_SUM_EXP, start, 0, largest);
        return largest + log(acc);
    default: return gather_f64(t, t->kind, start, 0, 0);
    }
}

static int64_t step_i64(reduce_kind kind, int64_t acc, int64_t v, bool is_unsigned)
{
    bool less = is_unsigned ? (uint64_t)v < (uint64_t)acc : v < acc, same = v == acc;
    switch (kind) {
    case MAX: return less || same ? acc : v;
    case MIN: return less ? v : acc;
    case PROD: return (int64_t)((uint64_t)acc * (uint64_t)v);
    case L1: return (int64_t)((uint64_t)acc + (v < 0 && !is_unsigned ? -(uint64_t)v : (uint64_t)v));
    case SUM_SQUARE: return (int64_t)((uint64_t)acc + (uint64_t)v * (uint64_t)v);
    default: return (int64_t)((uint64_t)acc + (uint64_t)v);
    }
}

/* The value before the first step: of MAX and MIN the other end of the dtype. */
static int64_t first_i64(reduce_kind kind, pi_dtype dtype)
{
    if (kind == PROD) return 1;
    if (kind != MAX && kind != MIN) return 0;
    if (dtype == PI_DTYPE_BOOL) return kind == MIN;
    double end[] = {kind == MAX ? -INFINITY : INFINITY};
    int64_t bytes[1] = {0}, v = 0;
    pi_write_f64(dtype, bytes, 1, 1, end); /* saturates */
    pi_read_i64(dtype, bytes, 1, 1, &v);
    return v;
}

static int64_t reduce_i64(const reduce_task *t, int64_t start)
{
    const pi_reduction *r = &t->r;
    const pi_tensor *x = t->call->in[0];
    bool is_unsigned = x->dtype == PI_DTYPE_U64;
    int64_t row = pi_reduction_row(r), step = pi_reduction_step(r), v[PI_BLOCK], acc = first_i64(t->kind, x->dtype);
    for (int64_t k = 0; r->count && k < r->count / row; k++) {
        int64_t at = start + pi_reduction_at(r, k);
        for (int64_t i = 0; i < row; i += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, row - i);
            pi_read_i64(x->dtype, pi_at(x->data, x->dtype, at + i * step), step, n, v);
            for (int64_t j = 0; j < n; j++) acc = step_i64(t->kind, acc, v[j], is_unsigned);
        }
    }
    if (t->kind == MEAN && r->count)
        acc = is_unsigned ? (int64_t)((uint64_t)acc / (uint64_t)r->count) : acc / r->count;
    return acc;
}

static void reduce_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const reduce_task *t = arg;
    const pi_tensor *x = t->call->in[0];
    pi_tensor *y = t->call->out[0];
    bool integers = !pi_dtype_is_float(x->dtype) && t->kind != L2 && t->kind != LOG_SUM && t->kind != LOG_SUM_EXP;
    for (int64_t i = begin; i < end && !pi_cancelled(t->call); i++) {
        int64_t start = pi_reduction_start(&t->r, i);
        void *p = pi_at_mut(y->data, y->dtype, i);
        if (integers) {
            int64_t v = reduce_i64(t, start);
            pi_write_i64(y->dtype, p, 1, 1, &v);
        } else {
            double v = reduce_f64(t, start);
            pi_write_f64(y->dtype, p, 1, 1, &v);
        }
    }
}

static pi_status reduce_run(const pi_call *call, pi_error *err)
{
    reduce_task t = {.call = call, .kind = kind_of(call->node)};
    unsigned axes;
    PI_TRY(read_axes(call->node, call->in, &axes, err));
    pi_reduction_init(&t.r, call->in[0], axes);
    pi_parallel(call->run->threads, t.r.outputs, 1 + (t.r.count ? 16384 / t.r.count : 0), reduce_chunk, &t);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- ArgMax, ArgMin ---- */

static pi_status arg_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    if (in[0]->rank == 0) return pi_fail(err, PI_E_MODEL, "the input is a scalar, expected a rank of at least 1");
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), in[0]->rank, &axis, err));
    reduced_shape(in[0], 1u << axis, pi_attr_int(node, "keepdims") != 0, &out[0]);
    int64_t n;
    PI_TRY(pi_tensor_count(&out[0], &n, err));
    if (in[0]->dim[axis] == 0 && n > 0) return pi_fail(err, PI_E_MODEL, "axis %d has no elements to choose from", axis);
    return PI_E_OK;
}

typedef struct {
    const pi_call *call;
    pi_reduction r;
    bool largest, last;
} arg_task;

/* Is b, behind a, to be taken for a? NaN counts as the largest and the smallest. */
static bool better_f64(const arg_task *t, double a, double b)
{
    if (a != a) return t->last && b != b;
    return b != b || (t->largest ? b > a : b < a) || (t->last && b == a);
}
static bool better_i64(const arg_task *t, int64_t a, int64_t b, bool u)
{
    bool less = u ? (uint64_t)a < (uint64_t)b : a < b;
    return a == b ? t->last : t->largest == less;
}

static int64_t arg_row(const arg_task *t, const void *x, pi_dtype dtype, int64_t row, int64_t step)
{
    double v[PI_BLOCK], best = 0;
    int64_t w[PI_BLOCK], best_i = 0, place = 0;
    bool floats = pi_dtype_is_float(dtype);
    for (int64_t at = 0; at < row; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, row - at);
        if (floats)
            pi_read_f64(dtype, pi_at(x, dtype, at * step), step, n, v);
        else
            pi_read_i64(dtype, pi_at(x, dtype, at * step), step, n, w);
        for (int64_t i = 0; i < n; i++) {
            if (at + i > 0 && !(floats ? better_f64(t, best, v[i]) : better_i64(t, best_i, w[i], dtype == PI_DTYPE_U64)))
                continue;
            best = floats ? v[i] : 0;
            best_i = floats ? 0 : w[i];
            place = at + i;
        }
    }
    return place;
}

static void arg_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const arg_task *t = arg;
    const pi_tensor *x = t->call->in[0];
    for (int64_t i = begin; i < end; i++) {
        int64_t place = arg_row(t, pi_at(x->data, x->dtype, pi_reduction_start(&t->r, i)), x->dtype,
                                pi_reduction_row(&t->r), pi_reduction_step(&t->r));
        memcpy((int64_t *)t->call->out[0]->data + i, &place, sizeof place);
    }
}

static pi_status arg_run(const pi_call *call, pi_error *err)
{
    int axis;
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), call->in[0]->rank, &axis, err));
    bool last = false;
    for (const pi_attr_def *d = call->node->op->attrs; d->name; d++)
        if (strcmp(d->name, "select_last_index") == 0) last = pi_attr_int(call->node, d->name) != 0;
    arg_task t = {.call = call, .largest = strcmp(call->node->op->name, "ArgMax") == 0, .last = last};
    pi_reduction_init(&t.r, call->in[0], 1u << axis);
    if (t.r.count == 0) return PI_E_OK;
    pi_parallel(call->run->threads, t.r.outputs, 1 + 16384 / t.r.count, arg_chunk, &t);
    return PI_E_OK;
}

/* ---- f32 kernels: [outer, reduced, inner] with inner 1 (rows) or more (columns); other axes go to the reference ---- */

enum { COLUMNS = 128 };

typedef struct {
    const float *x;
    float *y;       /* of a reduction */
    int64_t *index; /* of ArgMax, ArgMin */
    pi_reduce_kind kind;
    pi_arg arg;
    int64_t n, inner;
} fast_task;

/* At most one reduced dimension, with the kept ones around it. */
static bool fast_shape(const pi_reduction *r, int64_t *inner)
{
    if (r->reduced > 1 || r->count == 0 || r->outputs == 0) return false;
    *inner = pi_reduction_step(r);
    return *inner == 1 ? r->kept <= 1 : r->kept == 1 || (r->kept == 2 && r->kept_stride[1] == 1);
}

static void fast_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_task *t = arg;
    size_t rows = (size_t)(end - begin), n = (size_t)t->n;
    if (t->index)
        pi_reduce()->arg_rows_f32(t->arg, rows, n, n, t->x + begin * t->n, t->index + begin);
    else
        pi_reduce()->rows_f32(t->kind, rows, n, n, t->x + begin * t->n, t->y + begin);
}

static void fast_columns(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_task *t = arg;
    int64_t blocks = (t->inner + COLUMNS - 1) / COLUMNS;
    for (int64_t r = begin; r < end; r++) {
        int64_t column = r % blocks * COLUMNS, out = r / blocks * t->inner + column;
        const float *x = t->x + r / blocks * t->n * t->inner + column;
        size_t n = (size_t)pi_min_i64(COLUMNS, t->inner - column);
        if (t->index)
            pi_reduce()->arg_columns_f32(t->arg, (size_t)t->n, (size_t)t->inner, n, x, t->index + out);
        else
            pi_reduce()->columns_f32(t->kind, (size_t)t->n, (size_t)t->inner, n, x, t->y + out);
    }
}

static void fast_start(const pi_call *call, const pi_reduction *r, fast_task *t)
{
    t->x = call->in[0]->data;
    t->n = r->count;
    if (t->inner == 1)
        pi_parallel(call->run->threads, r->outputs, 1 + 32768 / t->n, fast_rows, t);
    else
        pi_parallel(call->run->threads, r->outputs / t->inner * ((t->inner + COLUMNS - 1) / COLUMNS),
                    1 + 32768 / COLUMNS / t->n, fast_columns, t);
}

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node;
    (void)out;
    return in[0]->dtype == PI_DTYPE_F32 ? NULL : "only f32";
}

static pi_status reduce_fast_run(const pi_call *call, pi_error *err)
{
    static const pi_reduce_kind kinds[] = {PI_REDUCE_SUM, PI_REDUCE_MEAN, PI_REDUCE_MAX, PI_REDUCE_MIN, PI_REDUCE_PROD,
                                           PI_REDUCE_L1, PI_REDUCE_L2, PI_REDUCE_LOGSUM, PI_REDUCE_LOGSUMEXP, PI_REDUCE_SUMSQ};
    unsigned axes;
    pi_reduction r;
    PI_TRY(read_axes(call->node, call->in, &axes, err));
    pi_reduction_init(&r, call->in[0], axes);
    fast_task t = {.y = call->out[0]->data, .kind = kinds[kind_of(call->node)]};
    if (!fast_shape(&r, &t.inner)) return reduce_run(call, err);
    fast_start(call, &r, &t);
    return PI_E_OK;
}

static pi_status arg_fast_run(const pi_call *call, pi_error *err)
{
    int axis;
    pi_reduction r;
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), call->in[0]->rank, &axis, err));
    pi_reduction_init(&r, call->in[0], 1u << axis);
    fast_task t = {.index = call->out[0]->data, .arg = {.min = strcmp(call->node->op->name, "ArgMin") == 0}};
    for (const pi_attr_def *d = call->node->op->attrs; d->name; d++)
        if (strcmp(d->name, "select_last_index") == 0) t.arg.last = pi_attr_int(call->node, d->name) != 0;
    if (!fast_shape(&r, &t.inner) || r.count > INT32_MAX) return arg_run(call, err);
    fast_start(call, &r, &t);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl reduce_impls[] = {
    {"simd", fast_refuse, NULL, reduce_fast_run, 0},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, NULL, reduce_run, 0},
    {0},
};
static const pi_impl arg_impls[] = {
    {"simd", fast_refuse, NULL, arg_fast_run, 0},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, NULL, arg_run, 0},
    {0},
};

#define INT(name, value) {name, PI_ATTR_INT, false, value, 0, NULL}
static const pi_attr_def axes_attr[] = {{"axes", PI_ATTR_INTS, false, 0, 0, NULL}, INT("keepdims", 1), {0}};
static const pi_attr_def axes_input[] = {INT("keepdims", 1), INT("noop_with_empty_axes", 0), {0}};
static const pi_attr_def arg_v1[] = {INT("axis", 0), INT("keepdims", 1), {0}};
static const pi_attr_def arg_v12[] = {INT("axis", 0), INT("keepdims", 1), INT("select_last_index", 0), {0}};

/* `moved`: the version that made axes an input. */
#define REDUCE(op_name, moved, types)                                                                            \
    {.name = op_name, .since = 1, .signature = "data:T -> reduced:T", .T = types, .attrs = axes_attr,               \
     .infer = reduce_infer, .impls = reduce_impls},                                                              \
    {.name = op_name, .since = moved, .signature = "data:T axes?:i64 -> reduced:T", .T = types,                     \
     .attrs = axes_input, .infer = reduce_infer, .impls = reduce_impls}
#define ARG(op_name)                                                                                             \
    {.name = op_name, .since = 1, .signature = "data:T -> reduced:i64", .T = PI_NUMBERS, .attrs = arg_v1,           \
     .infer = arg_infer, .impls = arg_impls},                                                                    \
    {.name = op_name, .since = 12, .signature = "data:T -> reduced:i64", .T = PI_NUMBERS, .attrs = arg_v12,         \
     .infer = arg_infer, .impls = arg_impls}
static const pi_op rows[] = {
    REDUCE("ReduceSum", 13, PI_NUMBERS),
    REDUCE("ReduceMean", 18, PI_NUMBERS),
    REDUCE("ReduceMax", 18, PI_NUMBERS | PI_BIT(BOOL)),
    REDUCE("ReduceMin", 18, PI_NUMBERS | PI_BIT(BOOL)),
    REDUCE("ReduceProd", 18, PI_NUMBERS),
    REDUCE("ReduceL1", 18, PI_NUMBERS),
    REDUCE("ReduceL2", 18, PI_NUMBERS),
    REDUCE("ReduceLogSum", 18, PI_NUMBERS),
    REDUCE("ReduceLogSumExp", 18, PI_NUMBERS),
    REDUCE("ReduceSumSquare", 18, PI_NUMBERS),
    ARG("ArgMax"),
    ARG("ArgMin"),
};
const pi_op_family pi_ops_reduce = {rows, PI_COUNT(rows)};
