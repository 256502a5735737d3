/* SPDX-License-Identifier: Apache-2.0 */
/* SVMClassifier, SVMRegressor: support vectors as libsvm has them. One machine for each pair of classes votes; with
 * prob_a and prob_b their scores become probabilities (T. Wu, C. Lin, R. Weng, "Probability estimates for multi-class
 * classification by pairwise coupling", 2004, its second method). Without support vectors the machines are linear. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "ops/block.h"
#include "ops/ml.h"
#include "ops/move.h"

enum { WORK = 1 << 14, MOST_CLASSES = 4096 };
enum { LINEAR, POLY, RBF, SIGMOID };

typedef struct {
    bool classes, one_class, linear, probable;
    int kernel;
    double gamma, coef0, degree;
    int64_t features, vectors, n_classes, pairs, columns;
    pi_ml_list coef, rho, prob_a, prob_b;
    double *across; /* feature f of support vector j: across[f * vectors + j] */
    int64_t *first; /* support vectors of class i: first[i] to first[i + 1] */
    pi_ml_labels labels;
    pi_post post;
    size_t scratch;
} svm_state;

typedef struct {
    const pi_call *call;
    const svm_state *state;
    pi_tensor *scores, *label;
} svm_job;

static bool is_classifier(const pi_node *node) { return strcmp(node->op->name, "SVMClassifier") == 0; }

/* Support vectors in all (0: linear), classes, and columns of the scores. */
static pi_status svm_shape(const pi_node *node, int64_t *vectors, int64_t *classes, int64_t *columns, pi_error *err)
{
    uint32_t n, prob;
    *vectors = 0;
    if (!is_classifier(node)) {
        *vectors = pi_attr_int(node, "n_supports");
        *classes = *columns = 1;
        return *vectors < 0 ? pi_fail(err, PI_E_MODEL, "n_supports is %lld", (long long)*vectors) : PI_E_OK;
    }
    const int64_t *each = pi_attr_ints(node, "vectors_per_class", &n);
    (void)pi_attr_floats(node, "prob_a", &prob);
    *classes = pi_max_i64(1, pi_ml_label_count(node, "classlabels_ints", "classlabels_strings", NULL));
    if (*classes > MOST_CLASSES)
        return pi_fail(err, PI_E_LIMIT, "%lld classes, at most %d are supported", (long long)*classes, MOST_CLASSES);
    for (uint32_t i = 0; i < n; i++)
        if (each[i] < 0 || !pi_add_i64(*vectors, each[i], vectors))
            return pi_fail(err, PI_E_MODEL, "vectors_per_class has %lld", (long long)each[i]);
    if (*vectors && (n != *classes || n < 2))
        return pi_fail(err, PI_E_MODEL, "vectors_per_class has %u entries for %lld classes", n, (long long)*classes);
    int64_t pairs = *classes * (*classes - 1) / 2;
    *columns = *vectors == 0 || prob ? *classes : pairs == 1 ? 2 : pairs;
    return PI_E_OK;
}

static pi_status svm_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t dim[2], features, vectors, classes;
    PI_TRY(pi_ml_shape(in[0], &dim[0], &features, err));
    PI_TRY(svm_shape(node, &vectors, &classes, &dim[1], err));
    if (!is_classifier(node)) return pi_move_shape(out, 2, dim, err);
    (void)pi_ml_label_count(node, "classlabels_ints", "classlabels_strings", &out[0].dtype);
    PI_TRY(pi_move_shape(&out[0], 1, dim, err));
    return node->n_out > 1 ? pi_move_shape(&out[1], 2, dim, err) : PI_E_OK;
}

static pi_status expect(const char *name, const pi_ml_list *l, int64_t n, pi_error *err)
{
    if (l->n == n) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "'%s' has %lld values, expected %lld", name, (long long)l->n, (long long)n);
}

static pi_status read_kernel(pi_prep *prep, svm_state *s, pi_error *err)
{
    static const char *const names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const char *name = pi_attr_string(prep->node, "kernel_type");
    pi_ml_list params;
    while (s->kernel < 4 && strcmp(names[s->kernel], name) != 0) s->kernel++;
    if (s->kernel == 4)
        return pi_fail(err, PI_E_MODEL, "kernel_type is '%.40s', expected LINEAR, POLY, RBF or SIGMOID", name);
    PI_TRY(pi_ml_numbers(prep, "kernel_params", NULL, &params, err));
    if (params.n == 0) return PI_E_OK;
    PI_TRY(expect("kernel_params", &params, 3, err));
    s->gamma = params.v[0];
    s->coef0 = params.v[1];
    s->degree = params.v[2];
    return PI_E_OK;
}

static pi_status read_classes(pi_prep *prep, svm_state *s, pi_error *err)
{
    uint32_t n;
    const int64_t *each = pi_attr_ints(prep->node, "vectors_per_class", &n);
    PI_TRY(pi_ml_labels_new(prep, "classlabels_ints", "classlabels_strings", &s->labels, err));
    PI_TRY(pi_ml_numbers(prep, "prob_a", NULL, &s->prob_a, err));
    PI_TRY(pi_ml_numbers(prep, "prob_b", NULL, &s->prob_b, err));
    s->pairs = s->n_classes * (s->n_classes - 1) / 2;
    s->probable = !s->linear && s->prob_a.n;
    if (s->linear) {
        if (s->rho.n == 0) return pi_fail(err, PI_E_MODEL, "'rho' is missing");
        return expect("coefficients", &s->coef, s->n_classes * s->features, err);
    }
    PI_TRY(expect("coefficients", &s->coef, (s->n_classes - 1) * s->vectors, err));
    PI_TRY(expect("rho", &s->rho, s->pairs, err));
    if (s->probable) PI_TRY(expect("prob_a", &s->prob_a, s->pairs, err));
    if (s->probable) PI_TRY(expect("prob_b", &s->prob_b, s->pairs, err));
    if (!(s->first = pi_prep_alloc(prep, ((size_t)n + 1) * sizeof *s->first, err))) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) s->first[i + 1] = s->first[i] + each[i];
    return PI_E_OK;
}

static pi_status svm_prepare(pi_prep *prep, pi_error *err)
{
    int64_t rows, supports;
    pi_ml_list support;
    svm_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->classes = is_classifier(prep->node);
    PI_TRY(pi_ml_shape(prep->in[0], &rows, &s->features, err));
    PI_TRY(svm_shape(prep->node, &s->vectors, &s->n_classes, &s->columns, err));
    PI_TRY(pi_ml_numbers(prep, "coefficients", NULL, &s->coef, err));
    PI_TRY(pi_ml_numbers(prep, "support_vectors", NULL, &support, err));
    PI_TRY(pi_ml_numbers(prep, "rho", NULL, &s->rho, err));
    PI_TRY(pi_ml_post(prep->node, &s->post, err));
    PI_TRY(read_kernel(prep, s, err));
    s->linear = s->vectors == 0;
    if (s->vectors > support.n || !pi_mul_i64(s->vectors, s->features, &supports))
        return pi_fail(err, PI_E_MODEL, "%lld support vectors of %lld features", (long long)s->vectors,
                       (long long)s->features);
    if (!s->linear) {
        PI_TRY(expect("support_vectors", &support, supports, err));
        if (!(s->across = pi_prep_alloc(prep, (size_t)supports * sizeof *s->across, err))) return pi_alloc_status(err);
        for (int64_t j = 0; j < s->vectors; j++)
            for (int64_t f = 0; f < s->features; f++) s->across[f * s->vectors + j] = support.v[j * s->features + f];
    }
    if (s->classes) {
        PI_TRY(read_classes(prep, s, err));
    } else {
        s->one_class = pi_attr_int(prep->node, "one_class") != 0;
        PI_TRY(expect("rho", &s->rho, 1, err));
        PI_TRY(expect("coefficients", &s->coef, s->linear ? s->features : s->vectors, err));
    }
    /* the row, kernels, scores of pairs, votes, results; for probabilities two matrices */
    int64_t k = s->n_classes,
            words = s->features + s->vectors + s->pairs + 3 * k + s->columns + 2 + (s->probable ? 2 * k * k : 0);
    s->scratch = (size_t)words * sizeof(double);
    if (!pi_mul(s->scratch, (size_t)pi_max_i64(prep->threads, 1), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many vectors");
    prep->state = s;
    return PI_E_OK;
}

/* ---- run ---- */

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void power(double *k, int64_t n, double degree)
{
    enum { TILE = 64 };
    double base[TILE];
    if (degree != floor(degree) || degree < 1 || degree > 16) {
        for (int64_t j = 0; j < n; j++) k[j] = pow(k[j], degree);
        return;
    }
    for (int64_t at = 0; at < n; at += TILE) {
        double *tile = k + at;
        int64_t m = pi_min_i64(TILE, n - at);
        memcpy(base, tile, (size_t)m * sizeof *base);
        for (int d = 1; d < (int)degree; d++)
            for (int64_t j = 0; j < m; j++) tile[j] *= base[j];
    }
}

/* The kernel function of x and each support vector. */
static void kernel_row(const svm_state *s, const double *x, double *restrict k)
{
    const pi_eltwise_kernels *fast = pi_eltwise();
    const int64_t n = s->vectors;
    memset(k, 0, (size_t)n * sizeof *k);
    for (int64_t f = 0; f < s->features; f++) {
        const double *restrict v = s->across + f * n, xf = x[f];
        if (s->kernel == RBF)
            for (int64_t j = 0; j < n; j++) k[j] += (xf - v[j]) * (xf - v[j]);
        else
            for (int64_t j = 0; j < n; j++) k[j] += xf * v[j];
    }
    switch (s->kernel) {
        case RBF:
            for (int64_t j = 0; j < n; j++) k[j] *= -s->gamma;
            fast->exp_f64((size_t)n, k, k);
            return;
        case POLY:
            for (int64_t j = 0; j < n; j++) k[j] = k[j] * s->gamma + s->coef0;
            power(k, n, s->degree);
            return;
        case SIGMOID: /* tanh y = 1 - 2 / (e^2y + 1) */
            for (int64_t j = 0; j < n; j++) k[j] = 2 * (k[j] * s->gamma + s->coef0);
            fast->exp_f64((size_t)n, k, k);
            for (int64_t j = 0; j < n; j++) k[j] = 1 - 2 / (k[j] + 1);
            return;
        default:
            return;
    }
}

static double regression(const svm_state *s, const double *x, double *kernel)
{
    double sum = s->rho.v[0];
    if (s->linear) {
        sum += dot(x, s->coef.v, s->features);
    } else {
        kernel_row(s, x, kernel);
        sum += dot(kernel, s->coef.v, s->vectors);
    }
    return s->one_class ? (sum > 0 ? 1 : -1) : sum;
}

/* Scores of all pairs of classes, and how many pairs each class wins. */
static void pair_scores(const svm_state *s, const double *kernel, double *score, double *votes)
{
    int64_t p = 0;
    memset(votes, 0, (size_t)s->n_classes * sizeof *votes);
    for (int64_t i = 0; i < s->n_classes; i++)
        for (int64_t j = i + 1; j < s->n_classes; j++, p++) {
            const double *for_i = s->coef.v + (j - 1) * s->vectors, *for_j = s->coef.v + i * s->vectors;
            double sum = s->rho.v[p];
            for (int64_t k = s->first[i]; k < s->first[i + 1]; k++) sum += for_i[k] * kernel[k];
            for (int64_t k = s->first[j]; k < s->first[j + 1]; k++) sum += for_j[k] * kernel[k];
            score[p] = sum;
            votes[sum > 0 ? i : j] += 1;
        }
}

/* p[k] from the probabilities r[i, j] that i wins against j. m, q: scratch of k * k and k. */
static void couple(int64_t k, const double *r, double *m, double *q, double *p)
{
    for (int64_t t = 0; t < k; t++) {
        p[t] = 1 / (double)k;
        m[t * k + t] = 0;
        for (int64_t j = 0; j < k; j++) {
            if (j == t) continue;
            m[t * k + t] += r[j * k + t] * r[j * k + t];
            m[t * k + j] = -r[j * k + t] * r[t * k + j];
        }
    }
    for (int64_t round = pi_max_i64(100, k); round > 0; round--) {
        double all = 0, worst = 0;
        for (int64_t t = 0; t < k; t++) {
            q[t] = 0;
            for (int64_t j = 0; j < k; j++) q[t] += m[t * k + j] * p[j];
            all += p[t] * q[t];
        }
        for (int64_t t = 0; t < k; t++) worst = fmax(worst, fabs(q[t] - all));
        if (worst < 0.005 / (double)k) return;
        for (int64_t t = 0; t < k; t++) {
            double d = (all - q[t]) / m[t * k + t];
            p[t] += d;
            all = (all + d * (d * m[t * k + t] + 2 * q[t])) / ((1 + d) * (1 + d));
            for (int64_t j = 0; j < k; j++) {
                q[j] = (q[j] + d * m[t * k + j]) / (1 + d);
                p[j] /= 1 + d;
            }
        }
    }
}

static void probabilities(const svm_state *s, const double *score, double *matrices, double *q, double *p)
{
    int64_t k = s->n_classes, pair = 0;
    double *r = matrices;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = i + 1; j < k; j++, pair++) {
            double v = score[pair] * s->prob_a.v[pair] + s->prob_b.v[pair], e = exp(-fabs(v));
            v = v < 0 ? 1 / (1 + e) : e / (1 + e);
            v = v < 1e-7 ? 1e-7 : v > 1 - 1e-7 ? 1 - 1e-7 : v;
            r[i * k + j] = v;
            r[j * k + i] = 1 - v;
        }
    couple(k, r, matrices + k * k, q, p);
}

static int64_t classify(const svm_state *s, const double *x, double *work, double *out)
{
    double *kernel = work, *score = kernel + s->vectors, *votes = score + s->pairs, *q = votes + s->n_classes,
           *matrices = q + s->n_classes;
    int64_t best;
    if (s->linear) {
        for (int64_t k = 0; k < s->n_classes; k++) out[k] = dot(x, s->coef.v + k * s->features, s->features) + s->rho.v[0];
        best = s->n_classes > 1 ? pi_ml_argmax(out, s->n_classes) : out[0] > 0 ? 0 : -1;
        if (s->n_classes == 1 && s->labels.n == 0) best++;
    } else {
        kernel_row(s, x, kernel);
        pair_scores(s, kernel, score, votes);
        best = pi_ml_argmax(votes, s->n_classes);
        if (s->probable) {
            probabilities(s, score, matrices, q, out);
        } else if (s->pairs == 1) {
            out[0] = -score[0];
            out[1] = score[0];
        } else {
            memcpy(out, score, (size_t)s->pairs * sizeof *out);
        }
    }
    pi_ml_post_apply(s->post, out, 1, s->columns);
    return best;
}

static void svm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const svm_job *job = arg;
    const svm_state *s = job->state;
    double *x = (double *)(void *)((char *)job->call->scratch + (size_t)thread * s->scratch);
    double *out = x + s->features, *work = out + s->columns + 1;
    for (int64_t r = begin; r < end && !pi_cancelled(job->call); r++) {
        pi_ml_row(job->call->in[0], r, s->features, x);
        if (s->classes) {
            int64_t best = classify(s, x, work, out);
            if (job->label) pi_ml_label_put(&s->labels, job->label, r, best);
        } else {
            out[0] = regression(s, x, work);
            pi_ml_post_apply(s->post, out, 1, 1);
        }
        if (job->scores) pi_write_f64(PI_DTYPE_F32, (float *)job->scores->data + r * s->columns, 1, s->columns, out);
    }
}

static pi_status svm_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const svm_state *s = call->state;
    const pi_tensor *x = call->in[0];
    svm_job job = {.call = call, .state = s, .label = s->classes ? call->out[0] : NULL};
    job.scores = !s->classes ? call->out[0] : pi_move_wants(call, 1) ? call->out[1] : NULL;
    int64_t cost = s->coef.n + s->vectors * s->features + 1;
    pi_parallel(call->run->threads, x->rank == 2 ? x->dim[0] : 1, pi_max_i64(1, WORK / cost), svm_chunk, &job);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl svm_impls[] = {{.name = "ref", .prepare = svm_prepare, .run = svm_run}, {0}};

#define FLOATS(attr) {.name = attr, .kind = PI_ATTR_FLOATS}
#define COMMON                                                                                 \
    FLOATS("coefficients"), FLOATS("kernel_params"), FLOATS("rho"), FLOATS("support_vectors"), \
        {.name = "kernel_type", .kind = PI_ATTR_STRING, .s = "LINEAR"},                        \
        {.name = "post_transform", .kind = PI_ATTR_STRING, .s = "NONE"}
static const pi_attr_def classifier_attrs[] = {COMMON,
                                               FLOATS("prob_a"),
                                               FLOATS("prob_b"),
                                               {.name = "classlabels_ints", .kind = PI_ATTR_INTS},
                                               {.name = "classlabels_strings", .kind = PI_ATTR_STRINGS},
                                               {.name = "vectors_per_class", .kind = PI_ATTR_INTS},
                                               {0}};
static const pi_attr_def regressor_attrs[] = {
    COMMON, {.name = "n_supports", .kind = PI_ATTR_INT}, {.name = "one_class", .kind = PI_ATTR_INT}, {0}};

static const pi_op rows[] = {
    {.domain = PI_ML,
     .name = "SVMClassifier",
     .since = 1,
     .signature = "X:T -> Y:any Z:f32",
     .T = PI_ML_NUMBERS,
     .attrs = classifier_attrs,
     .infer = svm_infer,
     .impls = svm_impls},
    {.domain = PI_ML,
     .name = "SVMRegressor",
     .since = 1,
     .signature = "X:T -> Y:f32",
     .T = PI_ML_NUMBERS,
     .attrs = regressor_attrs,
     .infer = svm_infer,
     .impls = svm_impls},
};
const pi_op_family pi_ops_ml_svm = {rows, PI_COUNT(rows)};
