/* SPDX-License-Identifier: Apache-2.0 */
/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: scores [N, C, d...], labels [N, d...], a weight for each class. */
#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/move.h"

typedef enum { LOSS_NONE, LOSS_SUM, LOSS_MEAN } loss_reduction;

static pi_status loss_open(const pi_node *node, const pi_tensor *const *in, loss_reduction *reduction, pi_error *err)
{
    static const char *const names[] = {"none", "sum", "mean"};
    const pi_tensor *x = in[0], *labels = in[1], *weight = pi_move_in(node, in, 2);
    const char *text = pi_attr_string(node, "reduction");
    int r = 0;
    while (r < 3 && strcmp(names[r], text) != 0) r++;
    if (r == 3) return pi_fail(err, PI_E_MODEL, "reduction '%.40s' is not one of none, sum, mean", text);
    *reduction = (loss_reduction)r;
    bool same = x->rank >= 2 && labels->rank == x->rank - 1 && x->dim[0] == labels->dim[0];
    for (int i = 2; same && i < x->rank; i++) same = x->dim[i] == labels->dim[i - 1];
    if (!same) {
        char a[160], b[160];
        return pi_fail(err, PI_E_MODEL, "scores %s and labels %s are not [N, C, d...] and [N, d...]",
                       pi_tensor_text(x, a, sizeof a), pi_tensor_text(labels, b, sizeof b));
    }
    if (weight && (weight->rank != 1 || weight->dim[0] != x->dim[1]))
        return pi_fail(err, PI_E_MODEL, "weights want one entry for each of %lld classes", (long long)x->dim[1]);
    return PI_E_OK;
}

static pi_status loss_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    loss_reduction r;
    PI_TRY(loss_open(node, in, &r, err));
    if (r == LOSS_NONE)
        PI_TRY(pi_move_shape(&out[0], in[1]->rank, in[1]->dim, err));
    else
        PI_TRY(pi_move_shape(&out[0], 0, in[1]->dim, err));
    return node->n_out > 1 ? pi_move_shape(&out[1], in[0]->rank, in[0]->dim, err) : PI_E_OK;
}

/* Logarithm of the sum of exponentials of a place's scores: what its log-probabilities are less than its scores. */
static double log_sum(const pi_tensor *x, int64_t base, int64_t classes, int64_t step)
{
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < classes; c++) top = fmax(top, pi_element_get(x->dtype, x->data, base + c * step));
    if (!(top > -INFINITY)) return top;
    for (int64_t c = 0; c < classes; c++) sum += exp(pi_element_get(x->dtype, x->data, base + c * step) - top);
    return top + log(sum);
}

static pi_status loss_run(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    const pi_tensor *x = call->in[0], *labels = call->in[1], *weight = pi_move_in(node, call->in, 2);
    const pi_attr *ignore = pi_attr_find(node, "ignore_index");
    bool softmax = node->op->name[0] == 'S';
    loss_reduction r;
    PI_TRY(loss_open(node, call->in, &r, err));
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *y = call->out[0], *log_prob = pi_move_wants(call, 1) ? call->out[1] : NULL;
    int64_t classes = x->dim[1], inner = pi_dims_product(x, 2, x->rank), places = pi_tensor_n(labels);
    double sum = 0, weights = 0;
    for (int64_t p = 0; p < places; p++) {
        int64_t base = p / inner * classes * inner + p % inner, c = pi_tensor_int(labels, p);
        double less = softmax ? log_sum(x, base, classes, inner) : 0, loss = 0;
        if (log_prob)
            for (int64_t k = 0; k < classes; k++)
                pi_element_put(x->dtype, log_prob->data, base + k * inner,
                               pi_element_get(x->dtype, x->data, base + k * inner) - less);
        if (!ignore || c != ignore->i) {
            if (c < 0 || c >= classes)
                return pi_fail(err, PI_E_INPUT, "label %lld (element %lld) is out of range for %lld classes", (long long)c,
                               (long long)p, (long long)classes);
            double w = weight ? pi_element_get(weight->dtype, weight->data, c) : 1;
            loss = w * (less - pi_element_get(x->dtype, x->data, base + c * inner));
            weights += w;
        }
        sum += loss;
        if (y && r == LOSS_NONE) pi_element_put(y->dtype, y->data, p, loss);
    }
    if (y && r != LOSS_NONE) pi_element_put(y->dtype, y->data, 0, r == LOSS_MEAN ? sum / weights : sum);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .run = loss_run}, {0}};

static const pi_attr_def attrs[] = {
    {.name = "ignore_index", .kind = PI_ATTR_INT}, {.name = "reduction", .kind = PI_ATTR_STRING, .s = "mean"}, {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "NegativeLogLikelihoodLoss", .since = 12, .signature = "input:T target:U weight?:T -> loss:T", .T = PI_FLOATS,
     .U = INDEX, .attrs = attrs, .infer = loss_infer, .impls = impls},
    {.name = "SoftmaxCrossEntropyLoss", .since = 12, .signature = "scores:T labels:U weights?:T -> output:T log_prob?:T",
     .T = PI_FLOATS, .U = INDEX, .attrs = attrs, .infer = loss_infer, .impls = impls},
};
const pi_op_family pi_ops_loss = {rows, PI_COUNT(rows)};
