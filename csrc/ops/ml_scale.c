/* SPDX-License-Identifier: Apache-2.0 */
/* Features by themselves: Scaler, Normalizer, Imputer, Binarizer, ArrayFeatureExtractor, FeatureVectorizer. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/ml.h"
#include "ops/move.h"

enum { GRAIN = 1 << 13 };

typedef struct {
    pi_ml_list scale, offset; /* of Imputer: what is put in */
    int64_t last;             /* length of the last axis */
} scale_state;

typedef struct {
    const pi_call *call;
    const scale_state *state;
} scale_job;

static int64_t last_dim(const pi_tensor *x) { return x->rank ? x->dim[x->rank - 1] : 1; }

/* 0 (left out), 1 or one value a feature. */
static pi_status check_list(const char *name, const pi_ml_list *l, int64_t features, pi_error *err)
{
    if (l->n <= 1 || l->n == features) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "'%s' has %lld values for %lld features", name, (long long)l->n,
                   (long long)features);
}

/* ---- Scaler ---- */

static pi_status scaler_prepare(pi_prep *prep, pi_error *err)
{
    scale_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->last = last_dim(prep->in[0]);
    PI_TRY(pi_ml_numbers(prep, "scale", NULL, &s->scale, err));
    PI_TRY(pi_ml_numbers(prep, "offset", NULL, &s->offset, err));
    PI_TRY(check_list("scale", &s->scale, s->last, err));
    PI_TRY(check_list("offset", &s->offset, s->last, err));
    prep->state = s;
    return PI_E_OK;
}

static void scaler_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const scale_job *job = arg;
    const scale_state *s = job->state;
    const pi_tensor *x = job->call->in[0];
    for (int64_t at = begin, n; at < end; at += n) {
        double v[PI_BLOCK];
        n = pi_min_i64(PI_BLOCK, end - at);
        pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), 1, n, v);
        for (int64_t i = 0, k = at % s->last; i < n; i++, k = k + 1 == s->last ? 0 : k + 1) {
            if (s->offset.n) v[i] -= s->offset.v[s->offset.n == 1 ? 0 : k];
            if (s->scale.n) v[i] *= s->scale.v[s->scale.n == 1 ? 0 : k];
        }
        pi_write_f64(PI_DTYPE_F32, (float *)job->call->out[0]->data + at, 1, n, v);
    }
}

static pi_status scaler_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), GRAIN, scaler_chunk, &(scale_job){call, call->state});
    return PI_E_OK;
}

/* ---- Normalizer ---- */

static pi_status normalizer_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const char *norm = pi_attr_string(node, "norm");
    if (strcmp(norm, "MAX") != 0 && strcmp(norm, "L1") != 0 && strcmp(norm, "L2") != 0)
        return pi_fail(err, PI_E_MODEL, "norm is '%.40s', expected MAX, L1 or L2", norm);
    return pi_infer_same(node, in, out, err);
}

/* Adds n numbers to the size of a row, in the norm whose name this is. */
static double more_size(const char *norm, double size, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double a = fabs(v[i]);
        if (norm[0] == 'M')
            size = a > size ? a : size;
        else
            size += norm[1] == '1' ? a : a * a;
    }
    return size;
}

static double divisor(const char *norm, double size)
{
    if (norm[1] == '2') size = sqrt(size);
    return size < 1e-30 ? 1e-30 : size;
}

/* As many short rows at a time as a block holds, or a row in blocks. */
static void normalizer_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_tensor *x = call->in[0];
    const char *norm = pi_attr_string(call->node, "norm");
    int64_t last = last_dim(x), each = last <= PI_BLOCK ? PI_BLOCK / last : 1;
    float *y = call->out[0]->data;
    for (int64_t r = begin, rows; r < end; r += rows) {
        double v[PI_BLOCK], size = 0;
        rows = pi_min_i64(each, end - r);
        for (int64_t at = 0, n; last > PI_BLOCK && at < last; at += n) {
            n = pi_min_i64(PI_BLOCK, last - at);
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, r * last + at), 1, n, v);
            size = more_size(norm, size, v, n);
        }
        for (int64_t at = 0, n; at < rows * last; at += n) {
            n = pi_min_i64(last <= PI_BLOCK ? each * last : PI_BLOCK, rows * last - at);
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, r * last + at), 1, n, v);
            for (int64_t from = 0, m; from < n; from += m) {
                m = pi_min_i64(last, n - from);
                double by = divisor(norm, last <= PI_BLOCK ? more_size(norm, 0, v + from, m) : size);
                for (int64_t i = 0; i < m; i++) v[from + i] /= by;
            }
            pi_write_f64(PI_DTYPE_F32, y + r * last + at, 1, n, v);
        }
    }
}

static pi_status normalizer_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    int64_t last = last_dim(call->in[0]), n = pi_tensor_n(call->in[0]);
    if (n)
        pi_parallel(call->run->threads, n / last, pi_max_i64(1, GRAIN / last), normalizer_chunk,
                    (void *)(uintptr_t)call);
    return PI_E_OK;
}

/* ---- Imputer ---- */

static pi_status imputer_prepare(pi_prep *prep, pi_error *err)
{
    const pi_tensor *x = prep->in[0];
    bool floats = pi_dtype_in(x->dtype, PI_FLOATS);
    scale_state *s = pi_prep_alloc(prep, sizeof *s, err);
    uint32_t n;
    if (!s) return pi_alloc_status(err);
    s->last = last_dim(x);
    PI_TRY(pi_ml_numbers(prep, "imputed_value_floats", NULL, &s->scale, err));
    (void)pi_attr_ints(prep->node, "imputed_value_int64s", &n);
    if (!floats) s->scale.n = n;
    if (s->scale.n == 0) return pi_fail(err, PI_E_MODEL, "there are no imputed values for %s", pi_dtype_name(x->dtype));
    prep->state = s;
    return check_list(floats ? "imputed_value_floats" : "imputed_value_int64s", &s->scale, s->last, err);
}

static pi_status imputer_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const scale_state *s = call->state;
    const pi_tensor *x = call->in[0];
    uint32_t n_ints;
    const int64_t *ints = pi_attr_ints(call->node, "imputed_value_int64s", &n_ints);
    int64_t n = pi_tensor_n(x), whole = pi_attr_int(call->node, "replaced_value_int64");
    double gone = (double)pi_attr_float(call->node, "replaced_value_float");
    bool floats = pi_dtype_in(x->dtype, PI_FLOATS);
    pi_move_bytes(call, x->data, call->out[0]->data, (size_t)n * pi_dtype_size(x->dtype));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = s->scale.n == 1 ? 0 : i % s->last, v;
        void *y = pi_at_mut(call->out[0]->data, x->dtype, i);
        if (floats) {
            double d;
            pi_read_f64(x->dtype, y, 1, 1, &d);
            if (d == gone || (d != d && gone != gone)) pi_write_f64(x->dtype, y, 1, 1, &s->scale.v[k]);
        } else {
            pi_read_i64(x->dtype, y, 1, 1, &v);
            if (v == whole) pi_write_i64(x->dtype, y, 1, 1, &ints[k]);
        }
    }
    return PI_E_OK;
}

/* ---- Binarizer ---- */

static void binarizer_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_tensor *x = call->in[0];
    double threshold = (double)pi_attr_float(call->node, "threshold"), v[PI_BLOCK];
    for (int64_t at = begin, n; at < end; at += n) {
        n = pi_min_i64(PI_BLOCK, end - at);
        pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), 1, n, v);
        for (int64_t i = 0; i < n; i++) v[i] = v[i] > threshold;
        pi_write_f64(x->dtype, pi_at_mut(call->out[0]->data, x->dtype, at), 1, n, v);
    }
}

static pi_status binarizer_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), GRAIN, binarizer_chunk, (void *)(uintptr_t)call);
    return PI_E_OK;
}

/* ---- ArrayFeatureExtractor: columns by number ---- */

static pi_status extract_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    int64_t dim[PI_MAX_RANK] = {1}, n;
    if (in[0]->rank == 0) return pi_fail(err, PI_E_MODEL, "X is a scalar");
    PI_TRY(pi_tensor_count(in[1], &n, err));
    int rank = in[0]->rank == 1 ? 2 : in[0]->rank; /* a vector counts as one row */
    for (int i = 0; i + 1 < in[0]->rank; i++) dim[i] = in[0]->dim[i];
    dim[rank - 1] = n;
    return pi_move_shape(out, rank, dim, err);
}

static pi_status extract_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *x = call->in[0];
    int64_t n = pi_tensor_n(call->in[1]), last = last_dim(x), rows = pi_dims_product(x, 0, x->rank - 1);
    const int64_t *index = call->in[1]->data;
    size_t size = pi_dtype_size(x->dtype);
    for (int64_t i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= last)
            return pi_fail(err, PI_E_INPUT, "Y has %lld, X has %lld columns", (long long)index[i], (long long)last);
    char *y = call->out[0]->data;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++, y += size) memcpy(y, pi_at(x->data, x->dtype, r * last + index[i]), size);
    return PI_E_OK;
}

/* ---- FeatureVectorizer: columns side by side ---- */

static pi_status vector_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    uint32_t n;
    const int64_t *width = pi_attr_ints(node, "inputdimensions", &n);
    int64_t dim[2] = {0, 0};
    if (n && n != node->n_explicit)
        return pi_fail(err, PI_E_MODEL, "inputdimensions has %u entries for %u inputs", n, node->n_explicit);
    for (uint32_t i = 0; i < node->n_explicit; i++) {
        if (!in[i] || in[i]->rank < 1 || in[i]->rank > 2)
            return pi_fail(err, PI_E_MODEL, "input %u is no [N] or [N, C]", i);
        int64_t have = in[i]->rank == 2 ? in[i]->dim[1] : 1;
        if (i && in[i]->dim[0] != dim[0])
            return pi_fail(err, PI_E_MODEL, "input %u has %lld rows, the first %lld", i, (long long)in[i]->dim[0],
                           (long long)dim[0]);
        dim[0] = in[i]->dim[0];
        if ((n && width[i] < 0) || !pi_add_i64(dim[1], n ? width[i] : have, &dim[1]))
            return pi_fail(err, PI_E_MODEL, "inputdimensions[%u] is %lld", i, (long long)width[i]);
    }
    return pi_move_shape(out, 2, dim, err);
}

static pi_status vector_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    uint32_t n;
    const int64_t *width = pi_attr_ints(call->node, "inputdimensions", &n);
    int64_t rows = call->out[0]->dim[0], columns = call->out[0]->dim[1], to = 0;
    float *y = call->out[0]->data;
    int64_t n_out = rows * columns;
    if (n_out > 0) memset(y, 0, (size_t)n_out * sizeof *y);
    for (uint32_t i = 0; i < call->node->n_explicit; i++) {
        const pi_tensor *x = call->in[i];
        int64_t have = x->rank == 2 ? x->dim[1] : 1, want = n ? width[i] : have, take = pi_min_i64(have, want);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t at = 0, k; at < take; at += k) {
                double v[PI_BLOCK];
                k = pi_min_i64(PI_BLOCK, take - at);
                pi_read_f64(x->dtype, pi_at(x->data, x->dtype, r * have + at), 1, k, v);
                pi_write_f64(PI_DTYPE_F32, y + r * columns + to + at, 1, k, v);
            }
        to += want;
    }
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl scaler_impls[] = {{.name = "ref", .prepare = scaler_prepare, .run = scaler_run}, {0}};
static const pi_impl normalizer_impls[] = {{.name = "ref", .run = normalizer_run}, {0}};
static const pi_impl imputer_impls[] = {{.name = "ref", .prepare = imputer_prepare, .run = imputer_run}, {0}};
static const pi_impl binarizer_impls[] = {{.name = "ref", .run = binarizer_run}, {0}};
static const pi_impl extract_impls[] = {{.name = "ref", .run = extract_run}, {0}};
static const pi_impl vector_impls[] = {{.name = "ref", .run = vector_run}, {0}};

static const pi_attr_def scaler_attrs[] = {
    {.name = "scale", .kind = PI_ATTR_FLOATS}, {.name = "offset", .kind = PI_ATTR_FLOATS}, {0}};
static const pi_attr_def normalizer_attrs[] = {{.name = "norm", .kind = PI_ATTR_STRING, .s = "MAX"}, {0}};
static const pi_attr_def imputer_attrs[] = {{.name = "imputed_value_floats", .kind = PI_ATTR_FLOATS},
                                            {.name = "imputed_value_int64s", .kind = PI_ATTR_INTS},
                                            {.name = "replaced_value_float", .kind = PI_ATTR_FLOAT},
                                            {.name = "replaced_value_int64", .kind = PI_ATTR_INT},
                                            {0}};
static const pi_attr_def binarizer_attrs[] = {{.name = "threshold", .kind = PI_ATTR_FLOAT}, {0}};
static const pi_attr_def vector_attrs[] = {{.name = "inputdimensions", .kind = PI_ATTR_INTS}, {0}};

static const pi_op rows[] = {
    {.domain = PI_ML,
     .name = "Scaler",
     .since = 1,
     .signature = "X:T -> Y:f32",
     .T = PI_ML_NUMBERS,
     .attrs = scaler_attrs,
     .infer = pi_infer_same,
     .impls = scaler_impls},
    {.domain = PI_ML,
     .name = "Normalizer",
     .since = 1,
     .signature = "X:T -> Y:f32",
     .T = PI_ML_NUMBERS,
     .attrs = normalizer_attrs,
     .infer = normalizer_infer,
     .impls = normalizer_impls},
    {.domain = PI_ML,
     .name = "Imputer",
     .since = 1,
     .signature = "X:T -> Y:T",
     .T = PI_ML_NUMBERS,
     .attrs = imputer_attrs,
     .infer = pi_infer_same,
     .impls = imputer_impls},
    {.domain = PI_ML,
     .name = "Binarizer",
     .since = 1,
     .signature = "X:T -> Y:T",
     .T = PI_ML_NUMBERS,
     .attrs = binarizer_attrs,
     .infer = pi_infer_same,
     .impls = binarizer_impls},
    {.domain = PI_ML,
     .name = "ArrayFeatureExtractor",
     .since = 1,
     .signature = "X:T Y:i64 -> Z:T",
     .T = PI_ML_NUMBERS | PI_BIT(STRING),
     .infer = extract_infer,
     .impls = extract_impls},
    {.domain = PI_ML,
     .name = "FeatureVectorizer",
     .since = 1,
     .signature = "X*:T -> Y:f32",
     .T = PI_ML_NUMBERS,
     .attrs = vector_attrs,
     .infer = vector_infer,
     .impls = vector_impls},
};
const pi_op_family pi_ops_ml_scale = {rows, PI_COUNT(rows)};
