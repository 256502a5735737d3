/* SPDX-License-Identifier: Apache-2.0 */
/* See ml.h. */
#include "ops/ml.h"
#include <math.h>
#include <string.h>

#include "kernels/eltwise/eltwise.h"
#include "ops/block.h"
#include "ops/element.h"
#include "ops/prep.h"

pi_status pi_ml_shape(const pi_tensor *x, int64_t *rows, int64_t *features, pi_error *err)
{
    if (x->rank != 1 && x->rank != 2) return pi_fail(err, PI_E_MODEL, "X has rank %d, expected [N, C] or [C]", x->rank);
    *rows = x->rank == 2 ? x->dim[0] : 1;
    *features = x->dim[x->rank - 1];
    return PI_E_OK;
}

void pi_ml_row(const pi_tensor *x, int64_t r, int64_t features, double *out)
{
    pi_read_f64(x->dtype, pi_at(x->data, x->dtype, r * features), 1, features, out);
}

/* ---- attributes ---- */

pi_status pi_ml_tensor(const pi_node *node, const char *name, const pi_tensor **out, pi_error *err)
{
    const pi_attr *a = name ? pi_attr_find(node, name) : NULL;
    *out = NULL;
    if (!a) return PI_E_OK;
    PI_TRY(pi_const_load(a->tensor, err));
    *out = &a->tensor->t;
    return PI_E_OK;
}

pi_status pi_ml_numbers(pi_prep *prep, const char *floats, const char *tensor, pi_ml_list *out, pi_error *err)
{
    uint32_t n = 0;
    const pi_tensor *t;
    const float *f = floats ? pi_attr_floats(prep->node, floats, &n) : NULL;
    PI_TRY(pi_ml_tensor(prep->node, tensor, &t, err));
    *out = (pi_ml_list){.n = n};
    if (f && n && t) return pi_fail(err, PI_E_MODEL, "'%s' and '%s' are both given", floats, tensor);
    if (t && !pi_dtype_in(t->dtype, PI_FLOATS | PI_INTS))
        return pi_fail(err, PI_E_MODEL, "'%s' is %s, expected numbers", tensor, pi_dtype_name(t->dtype));
    if (t) PI_TRY(pi_tensor_count(t, &out->n, err));
    double *v = pi_prep_alloc(prep, (size_t)out->n * sizeof *v, err);
    if (!v) return pi_alloc_status(err);
    if (t)
        pi_read_f64(t->dtype, t->data, 1, out->n, v);
    else
        for (uint32_t i = 0; i < n; i++) v[i] = f[i];
    out->v = v;
    return PI_E_OK;
}

/* ---- labels ---- */

uint32_t pi_ml_label_count(const pi_node *node, const char *ints, const char *strings, pi_dtype *dtype)
{
    const pi_attr *s = pi_attr_find(node, strings), *i = pi_attr_find(node, ints);
    bool text = s && s->n && !(i && i->n);
    if (dtype) *dtype = text ? PI_DTYPE_STRING : PI_DTYPE_I64;
    return text ? s->n : i ? i->n : 0;
}

pi_status pi_ml_labels_new(pi_prep *prep, const char *ints, const char *strings, pi_ml_labels *out, pi_error *err)
{
    pi_dtype dtype;
    uint32_t n = pi_ml_label_count(prep->node, ints, strings, &dtype);
    *out = (pi_ml_labels){.n = n, .strings = dtype == PI_DTYPE_STRING};
    if (!out->strings) {
        out->ints = pi_attr_ints(prep->node, ints, &n);
        return PI_E_OK;
    }
    const pi_attr *a = pi_attr_find(prep->node, strings);
    const pi_str **list = pi_prep_alloc(prep, n * sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++)
        if (!(list[i] = pi_str_new(&prep->services->arena, a->strings[i].bytes, a->strings[i].n, err)))
            return pi_alloc_status(err);
    out->texts = list;
    return PI_E_OK;
}

void pi_ml_label_put(const pi_ml_labels *labels, pi_tensor *y, int64_t row, int64_t index)
{
    if (labels->strings)
        ((const pi_str **)y->data)[row] = index >= 0 && index < labels->n ? labels->texts[index] : NULL;
    else
        ((int64_t *)y->data)[row] = index < 0 ? 0 : index < labels->n ? labels->ints[index] : index;
}

int64_t pi_ml_argmax(const double *v, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return best;
}

/* ---- scores ---- */

pi_status pi_ml_post(const pi_node *node, pi_post *post, pi_error *err)
{
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const char *name = pi_attr_string(node, "post_transform");
    for (unsigned i = 0; i < PI_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *post = (pi_post)i;
            return PI_E_OK;
        }
    return pi_fail(err, PI_E_MODEL,
                   "post_transform is '%.40s', expected NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT", name);
}

/* exp of n numbers, in place. */
static void exponential(double *v, int64_t n) { pi_eltwise()->exp_f64((size_t)n, v, v); }

static void logistic(double *v, int64_t n)
{
    double e[PI_BLOCK];
    for (int64_t at = 0, m; at < n; at += m) {
        m = pi_min_i64(PI_BLOCK, n - at);
        for (int64_t i = 0; i < m; i++) e[i] = -fabs(v[at + i]);
        exponential(e, m);
        for (int64_t i = 0; i < m; i++) v[at + i] = (v[at + i] < 0 ? e[i] : 1) / (1 + e[i]);
    }
}

/* Inverse of the normal distribution: S. Winitzki's approximation of the inverse error function, which ONNX's operators
 * have always had: good to two digits. */
static double probit(double p)
{
    double x = 2 * p - 1, rest = (1 - x) * (1 + x);
    if (rest == 0) return 0;
    double log_rest = log(rest), v = 2 / (3.14159265358979323846 * 0.147) + 0.5 * log_rest;
    double root = sqrt(sqrt(v * v - log_rest / 0.147) - v);
    return 1.41421356237309505 * (x < 0 ? -root : root);
}

static void softmax(double *v, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        double top = v[r * n];
        for (int64_t i = 1; i < n; i++) top = v[r * n + i] > top ? v[r * n + i] : top;
        for (int64_t i = 0; i < n; i++) v[r * n + i] -= top;
    }
    exponential(v, rows * n);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += v[r * n + i];
        for (int64_t i = 0; i < n; i++) v[r * n + i] = sum == 0 ? 0.5 : v[r * n + i] / sum;
    }
}

static void softmax_zero(double *v, int64_t n)
{
    double top = n ? v[0] : 0, sum = 0;
    for (int64_t i = 1; i < n; i++) top = v[i] > top ? v[i] : top;
    for (int64_t i = 0; i < n; i++) {
        v[i] = fabs(v[i]) <= 1e-7 ? v[i] * exp(-top) : exp(v[i] - top);
        sum += v[i];
    }
    for (int64_t i = 0; i < n; i++) v[i] = sum == 0 ? 0.5 : v[i] / sum;
}

void pi_ml_post_apply(pi_post post, double *v, int64_t rows, int64_t n)
{
    switch (post) {
        case PI_POST_NONE:
            break;
        case PI_POST_SOFTMAX:
            softmax(v, n ? rows : 0, n);
            break;
        case PI_POST_SOFTMAX_ZERO:
            for (int64_t r = 0; r < rows; r++) softmax_zero(v + r * n, n);
            break;
        case PI_POST_LOGISTIC:
            logistic(v, rows * n);
            break;
        case PI_POST_PROBIT:
            for (int64_t i = 0; i < rows * n; i++) v[i] = probit(v[i]);
            break;
    }
}
