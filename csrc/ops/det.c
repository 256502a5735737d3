/* SPDX-License-Identifier: Apache-2.0 */
/* Det: determinants of square matrices by Gaussian elimination with partial pivoting, in double (Golub and Van Loan,
 * "Matrix Computations", 3.4). */
#include <math.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/move.h"

static pi_status det_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *x = in[0];
    char text[200];
    (void)node;
    if (x->rank < 2 || x->dim[x->rank - 1] != x->dim[x->rank - 2])
        return pi_fail(err, PI_E_MODEL, "X is %s, expected square matrices", pi_tensor_text(x, text, sizeof text));
    return pi_move_shape(out, x->rank - 2, x->dim, err);
}

static pi_status det_prepare(pi_prep *prep, pi_error *err)
{
    size_t n = (size_t)prep->in[0]->dim[prep->in[0]->rank - 1], bytes;
    if (pi_tensor_n(prep->in[0]) == 0) return PI_E_OK;
    if (!pi_mul(n, n, &bytes) || !pi_mul(bytes, sizeof(double), &bytes) ||
        !pi_mul(bytes, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "a matrix of %zu rows", n);
    prep->flops = 2.0 / 3 * (double)pi_tensor_n(prep->in[0]) * (double)n;
    return PI_E_OK;
}

/* Of n rows of n; a is overwritten. */
static double determinant(double *a, int64_t n)
{
    double det = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]) || isnan(a[i * n + k])) pivot = i;
        if (a[pivot * n + k] == 0) return 0;
        if (pivot != k) {
            det = -det;
            for (int64_t j = k; j < n; j++) {
                double t = a[k * n + j];
                a[k * n + j] = a[pivot * n + j];
                a[pivot * n + j] = t;
            }
        }
        det *= a[k * n + k];
        for (int64_t i = k + 1; i < n; i++) {
            double factor = a[i * n + k] / a[k * n + k], *row = a + i * n;
            const double *top = a + k * n;
            for (int64_t j = k + 1; j < n; j++) row[j] -= factor * top[j];
        }
    }
    return det;
}

static void det_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const pi_tensor *x = call->in[0];
    int64_t n = x->dim[x->rank - 1];
    double *a = (double *)call->scratch + (int64_t)thread * n * n;
    for (int64_t i = begin; i < end && !pi_cancelled(call); i++) {
        pi_read_f64(x->dtype, pi_at(x->data, x->dtype, i * n * n), 1, n * n, a);
        double det = determinant(a, n);
        pi_write_f64(x->dtype, pi_at_mut(call->out[0]->data, x->dtype, i), 1, 1, &det);
    }
}

static pi_status det_run(const pi_call *call, pi_error *err)
{
    pi_tensor *y = call->out[0];
    int64_t n = call->in[0]->dim[call->in[0]->rank - 1], count = pi_tensor_n(y);
    pi_call copy = *call;
    for (int64_t i = 0; n == 0 && i < count; i++) { /* the empty product */
        double one = 1;
        pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, i), 1, 1, &one);
    }
    if (n > 0)
        pi_parallel(call->run->threads, count, 1 + (int64_t)(1e5 / ((double)n * (double)n * (double)n)), det_chunk,
                    &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl impls[] = {{"ref", NULL, det_prepare, det_run, 0}, {0}};

static const pi_op rows[] = {
    {.name = "Det", .since = 11, .signature = "X:T -> Y:T", .T = PI_FLOATS, .infer = det_infer, .impls = impls},
};
const pi_op_family pi_ops_det = {rows, PI_COUNT(rows)};
