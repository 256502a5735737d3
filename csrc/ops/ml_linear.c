/* SPDX-License-Identifier: Apache-2.0 */
/* LinearClassifier, LinearRegressor. */
#include <string.h>

#include "base/threads.h"
#include "kernels/igemm/typed.h"
#include "ops/block.h"
#include "ops/ml.h"
#include "ops/move.h"

enum { WORK = 1 << 14, ROWS = 16, FEW = 3 }; /* rows of a block; scores that are dot products */

typedef struct {
    bool classes;
    int64_t features, scores, columns; /* weights are [scores, features]; columns of the output */
    pi_ml_list weight, bias;
    const double *columns_of; /* the weights as [features, width], zero-filled; NULL: few scores */
    int64_t width;
    pi_ml_labels labels;
    pi_post post;
    size_t scratch;
} linear_state;

typedef struct {
    const pi_call *call;
    const linear_state *state;
    pi_tensor *scores, *label;
} linear_job;

static bool is_classifier(const pi_node *node) { return strcmp(node->op->name, "LinearClassifier") == 0; }

/* Rows of weights, and columns of the output: a single score of two classes is given for both. */
static pi_status linear_shape(const pi_node *node, const pi_tensor *x, int64_t *rows, int64_t *features,
                              int64_t *scores, int64_t *columns, pi_error *err)
{
    uint32_t n, labels;
    (void)pi_attr_floats(node, "coefficients", &n);
    PI_TRY(pi_ml_shape(x, rows, features, err));
    if (*features == 0 || n % *features || n == 0)
        return pi_fail(err, PI_E_MODEL, "%u coefficients for %lld features", n, (long long)*features);
    *scores = *columns = n / *features;
    if (!is_classifier(node)) {
        int64_t targets = pi_attr_int(node, "targets");
        if (targets != *scores)
            return pi_fail(err, PI_E_MODEL, "%u coefficients for %lld targets of %lld features", n, (long long)targets,
                           (long long)*features);
        return PI_E_OK;
    }
    labels = pi_ml_label_count(node, "classlabels_ints", "classlabels_strings", NULL);
    if (*scores == 1 && labels == 2) *columns = 2;
    if (labels && labels != *columns)
        return pi_fail(err, PI_E_MODEL, "%u class labels for %lld scores", labels, (long long)*scores);
    return PI_E_OK;
}

static pi_status linear_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t dim[2], features, scores;
    PI_TRY(linear_shape(node, in[0], &dim[0], &features, &scores, &dim[1], err));
    if (!is_classifier(node)) return pi_move_shape(out, 2, dim, err);
    (void)pi_ml_label_count(node, "classlabels_ints", "classlabels_strings", &out[0].dtype);
    PI_TRY(pi_move_shape(&out[0], 1, dim, err));
    return node->n_out > 1 ? pi_move_shape(&out[1], 2, dim, err) : PI_E_OK;
}

static pi_status pack(pi_prep *prep, linear_state *s, pi_error *err)
{
    int64_t nr = (int64_t)pi_typed()->f64.nr;
    size_t n;
    s->width = (s->scores + nr - 1) / nr * nr;
    if (!pi_mul((size_t)s->features, (size_t)s->width, &n) || !pi_mul(n, sizeof(double), &n))
        return pi_fail(err, PI_E_LIMIT, "too many features");
    double *w = pi_prep_alloc(prep, n, err);
    if (!w) return pi_alloc_status(err);
    for (int64_t i = 0; i < s->features; i++)
        for (int64_t k = 0; k < s->scores; k++) w[i * s->width + k] = s->weight.v[k * s->features + i];
    s->columns_of = w;
    return PI_E_OK;
}

static pi_status linear_prepare(pi_prep *prep, pi_error *err)
{
    int64_t rows;
    linear_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->classes = is_classifier(prep->node);
    PI_TRY(linear_shape(prep->node, prep->in[0], &rows, &s->features, &s->scores, &s->columns, err));
    PI_TRY(pi_ml_numbers(prep, "coefficients", NULL, &s->weight, err));
    PI_TRY(pi_ml_numbers(prep, "intercepts", NULL, &s->bias, err));
    PI_TRY(pi_ml_post(prep->node, &s->post, err));
    if (s->bias.n && s->bias.n != s->scores)
        return pi_fail(err, PI_E_MODEL, "%lld intercepts, expected %lld", (long long)s->bias.n, (long long)s->scores);
    if (s->classes) PI_TRY(pi_ml_labels_new(prep, "classlabels_ints", "classlabels_strings", &s->labels, err));
    if (s->scores > FEW) PI_TRY(pack(prep, s, err));
    s->scratch = ROWS * (size_t)(s->features + s->columns) * sizeof(double);
    if (!pi_mul(s->scratch, (size_t)pi_max_i64(prep->threads, 1), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many features");
    prep->state = s;
    return PI_E_OK;
}

static int64_t class_of(const linear_state *s, const double *v)
{
    if (s->columns > 1) return pi_ml_argmax(v, s->columns);
    bool yes = v[0] >= (s->post == PI_POST_NONE ? 0 : 0.5);
    return s->labels.n ? yes - 1 : yes; /* one label: it or none */
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The scores of n rows x, each s->columns behind the other. */
static void scores_of(const linear_state *s, const double *x, int64_t n, double *v)
{
    const pi_typed_gemm *g = &pi_typed()->f64;
    const void *row[ROWS];
    for (int64_t r = 0; r < n; r++) row[r] = x + r * s->features;
    for (int64_t r = 0, m; s->columns_of && r < n; r += m) {
        m = pi_min_i64((int64_t)g->mr, n - r);
        for (int64_t k = 0; k < s->scores; k += (int64_t)g->nr)
            g->tile((size_t)m, (size_t)pi_min_i64((int64_t)g->nr, s->scores - k), (size_t)s->features, row + r, s->columns_of + k,
                    (size_t)s->width, v + r * s->columns + k, (size_t)s->columns, false);
    }
    for (int64_t r = 0; r < n; r++, v += s->columns)
        for (int64_t k = 0; k < s->scores; k++) {
            if (!s->columns_of) v[k] = dot(s->weight.v + k * s->features, row[r], s->features);
            v[k] += s->bias.n ? s->bias.v[k] : 0;
        }
}

static void linear_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const linear_job *job = arg;
    const linear_state *s = job->state;
    double *x = (double *)(void *)((char *)job->call->scratch + (size_t)thread * s->scratch), *v = x + ROWS * s->features;
    const pi_tensor *t = job->call->in[0];
    for (int64_t r = begin, n; r < end && !pi_cancelled(job->call); r += n) {
        n = pi_min_i64(ROWS, end - r);
        pi_read_f64(t->dtype, pi_at(t->data, t->dtype, r * s->features), 1, n * s->features, x);
        scores_of(s, x, n, v);
        for (int64_t i = 0; s->columns > s->scores && i < n; i++) {
            v[2 * i + 1] = v[2 * i];
            v[2 * i] = -v[2 * i];
        }
        pi_ml_post_apply(s->post, v, n, s->columns);
        if (job->scores) pi_write_f64(PI_DTYPE_F32, (float *)job->scores->data + r * s->columns, 1, n * s->columns, v);
        for (int64_t i = 0; job->label && i < n; i++)
            pi_ml_label_put(&s->labels, job->label, r + i, class_of(s, v + i * s->columns));
    }
}

static pi_status linear_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const linear_state *s = call->state;
    const pi_tensor *x = call->in[0];
    linear_job job = {.call = call, .state = s, .label = s->classes ? call->out[0] : NULL};
    job.scores = !s->classes ? call->out[0] : pi_move_wants(call, 1) ? call->out[1] : NULL;
    pi_parallel(call->run->threads, x->rank == 2 ? x->dim[0] : 1, pi_max_i64(1, WORK / s->weight.n), linear_chunk,
                &job);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl linear_impls[] = {{.name = "ref", .prepare = linear_prepare, .run = linear_run}, {0}};

#define POST {.name = "post_transform", .kind = PI_ATTR_STRING, .s = "NONE"}
#define INTERCEPTS {.name = "intercepts", .kind = PI_ATTR_FLOATS}
static const pi_attr_def classifier_attrs[] = {{.name = "classlabels_ints", .kind = PI_ATTR_INTS},
                                               {.name = "classlabels_strings", .kind = PI_ATTR_STRINGS},
                                               {.name = "coefficients", .kind = PI_ATTR_FLOATS, .required = true},
                                               INTERCEPTS,
                                               {.name = "multi_class", .kind = PI_ATTR_INT},
                                               POST,
                                               {0}};
static const pi_attr_def regressor_attrs[] = {{.name = "coefficients", .kind = PI_ATTR_FLOATS},
                                              INTERCEPTS,
                                              {.name = "targets", .kind = PI_ATTR_INT, .i = 1},
                                              POST,
                                              {0}};

static const pi_op rows[] = {
    {.domain = PI_ML,
     .name = "LinearClassifier",
     .since = 1,
     .signature = "X:T -> Y:any Z:f32",
     .T = PI_ML_NUMBERS,
     .attrs = classifier_attrs,
     .infer = linear_infer,
     .impls = linear_impls},
    {.domain = PI_ML,
     .name = "LinearRegressor",
     .since = 1,
     .signature = "X:T -> Y:f32",
     .T = PI_ML_NUMBERS,
     .attrs = regressor_attrs,
     .infer = linear_infer,
     .impls = linear_impls},
};
const pi_op_family pi_ops_ml_linear = {rows, PI_COUNT(rows)};
