/* SPDX-License-Identifier: Apache-2.0 */
/* LinearClassifier, LinearRegressor. */
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/ml.h"
#include "ops/move.h"

enum { WORK = 1 << 14 };

typedef struct {
    bool classes;
    int64_t features, scores, columns; /* weights are [scores, features]; columns of the output */
    pi_ml_list weight, bias;
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
    s->scratch = (size_t)(s->features + s->columns) * sizeof(double);
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

static void linear_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const linear_job *job = arg;
    const linear_state *s = job->state;
    double *x = (double *)(void *)((char *)job->call->scratch + (size_t)thread * s->scratch), *v = x + s->features;
    for (int64_t r = begin; r < end && !pi_cancelled(job->call); r++) {
        pi_ml_row(job->call->in[0], r, s->features, x);
        for (int64_t k = 0; k < s->scores; k++) {
            const double *w = s->weight.v + k * s->features;
            double sum = s->bias.n ? s->bias.v[k] : 0;
            for (int64_t i = 0; i < s->features; i++) sum += w[i] * x[i];
            v[k] = sum;
        }
        if (s->columns > s->scores) {
            v[1] = v[0];
            v[0] = -v[0];
        }
        pi_ml_post_apply(s->post, v, s->columns);
        if (job->scores) pi_write_f64(PI_DTYPE_F32, (float *)job->scores->data + r * s->columns, 1, s->columns, v);
        if (job->label) pi_ml_label_put(&s->labels, job->label, r, class_of(s, v));
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
