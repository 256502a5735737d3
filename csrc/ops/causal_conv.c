/* SPDX-License-Identifier: Apache-2.0 */
/* CausalConvWithState: a depthwise convolution over the past only, that hands on the last k - 1 positions.
 *     padded = [past_state or zeros, input],  output[l] = act(bias + sum over j of weight[j] * padded[l + j]) */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/ops.h"

typedef struct {
    int64_t batch, channels, length, taps;
    bool silu;
} causal;

static pi_status causal_init(causal *c, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0], *w = in[1], *bias = node->n_in > 2 ? in[2] : NULL, *past = node->n_in > 3 ? in[3] : NULL;
    const char *act = pi_attr_string(node, "activation");
    char text[200];
    if (x->rank != 3)
        return pi_fail(err, PI_E_MODEL, "input is %s, expected [batch, channels, length]", pi_tensor_text(x, text, sizeof text));
    *c = (causal){.batch = x->dim[0], .channels = x->dim[1], .length = x->dim[2], .taps = w->rank == 3 ? w->dim[2] : 0};
    if (w->rank != 3 || w->dim[0] != c->channels || w->dim[1] != 1 || c->taps < 1)
        return pi_fail(err, PI_E_MODEL, "weight is %s, expected [%lld, 1, k] with k of at least 1",
                       pi_tensor_text(w, text, sizeof text), (long long)c->channels);
    if (bias && (bias->rank != 1 || bias->dim[0] != c->channels))
        return pi_fail(err, PI_E_MODEL, "bias is %s, expected [%lld]", pi_tensor_text(bias, text, sizeof text),
                       (long long)c->channels);
    if (past && (past->rank != 3 || past->dim[0] != c->batch || past->dim[1] != c->channels || past->dim[2] != c->taps - 1))
        return pi_fail(err, PI_E_MODEL, "past_state is %s, expected [%lld, %lld, %lld]", pi_tensor_text(past, text, sizeof text),
                       (long long)c->batch, (long long)c->channels, (long long)c->taps - 1);
    c->silu = strcmp(act, "silu") == 0 || strcmp(act, "swish") == 0;
    if (c->silu || strcmp(act, "none") == 0) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "attribute 'activation' is '%.40s', expected none, silu or swish", act);
}

static pi_status causal_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    causal c;
    PI_TRY(causal_init(&c, node, in, err));
    pi_tensor_set_shape(&out[0], 3, in[0]->dim);
    if (node->n_out > 1) pi_tensor_set_shape(&out[1], 3, (int64_t[]){c.batch, c.channels, c.taps - 1});
    return PI_E_OK;
}

/* n values of a row's padded input from place `from` on. */
static void read_padded(const causal *c, const pi_call *call, int64_t row, int64_t from, int64_t n, double *out)
{
    const pi_tensor *x = call->in[0], *past = call->node->n_in > 3 ? call->in[3] : NULL;
    int64_t before = c->taps - 1, old = from < before ? pi_min_i64(n, before - from) : 0;
    if (past)
        pi_read_f64(past->dtype, pi_at(past->data, past->dtype, row * before + from), 1, old, out);
    else
        for (int64_t i = 0; i < old; i++) out[i] = 0;
    if (n > old)
        pi_read_f64(x->dtype, pi_at(x->data, x->dtype, row * c->length + from + old - before), 1, n - old, out + old);
}

static void convolve(const causal *c, const pi_call *call, int64_t row, int64_t from, int64_t n)
{
    const pi_tensor *w = call->in[1], *bias = call->node->n_in > 2 ? call->in[2] : NULL, *y = call->out[0];
    double acc[PI_BLOCK], x[PI_BLOCK], start = 0, weight;
    void *at = pi_at_mut(y->data, y->dtype, row * c->length + from);
    if (bias) pi_read_f64(bias->dtype, pi_at(bias->data, bias->dtype, row % c->channels), 0, 1, &start);
    for (int64_t i = 0; i < n; i++) acc[i] = start;
    for (int64_t j = 0; j < c->taps; j++) {
        pi_read_f64(w->dtype, pi_at(w->data, w->dtype, row % c->channels * c->taps + j), 0, 1, &weight);
        read_padded(c, call, row, from + j, n, x);
        for (int64_t i = 0; i < n; i++) acc[i] += weight * x[i];
    }
    pi_write_f64(y->dtype, at, 1, n, acc);
    if (!c->silu) return;
    pi_read_f64(y->dtype, at, 1, n, acc); /* of the rounded sum, as the standard's body has it */
    for (int64_t i = 0; i < n; i++) acc[i] /= 1 + exp(-acc[i]);
    pi_write_f64(y->dtype, at, 1, n, acc);
}

/* A chunk is a range of (batch, channel). */
static void causal_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const causal *c = call->state;
    pi_tensor *state = call->node->n_out > 1 ? call->out[1] : NULL;
    double last[PI_BLOCK];
    for (int64_t row = begin; row < end && !pi_cancelled(call); row++) {
        for (int64_t l = 0; call->out[0] && l < c->length; l += PI_BLOCK)
            convolve(c, call, row, l, pi_min_i64(PI_BLOCK, c->length - l));
        for (int64_t i = 0; state && i < c->taps - 1; i += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, c->taps - 1 - i);
            read_padded(c, call, row, c->length + i, n, last);
            pi_write_f64(state->dtype, pi_at_mut(state->data, state->dtype, row * (c->taps - 1) + i), 1, n, last);
        }
    }
}

static pi_status causal_prepare(pi_prep *prep, pi_error *err)
{
    causal *c = prep->state = pi_prep_alloc(prep, sizeof *c, err);
    if (!c) return pi_alloc_status(err);
    PI_TRY(causal_init(c, prep->node, prep->in, err));
    prep->flops = 2.0 * (double)pi_tensor_n(prep->in[0]) * (double)c->taps;
    return PI_E_OK;
}

static pi_status causal_run(const pi_call *call, pi_error *err)
{
    const causal *c = call->state;
    pi_call copy = *call;
    int64_t work = c->length > 0 ? c->length : 1;
    pi_parallel(call->run->threads, c->batch * c->channels, 4096 / work + 1, causal_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl causal_impls[] = {{"ref", NULL, causal_prepare, causal_run, 0}, {0}};
static const pi_attr_def causal_attrs[] = {{"activation", PI_ATTR_STRING, false, 0, 0, "none"}, {0}};
static const pi_op rows[] = {
    {.name = "CausalConvWithState", .since = 27,
     .signature = "input:T weight:T bias?:T past_state?:T -> output:T present_state:T",
     .T = PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16), .attrs = causal_attrs, .infer = causal_infer,
     .impls = causal_impls},
};
const pi_op_family pi_ops_causal_conv = {rows, PI_COUNT(rows)};
