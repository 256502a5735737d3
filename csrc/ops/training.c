/* SPDX-License-Identifier: Apache-2.0 */
/* Adagrad, Adam and Momentum of ai.onnx.preview.training: one step of an optimiser for any number of tensors. Inputs
 * are the learning rate, the count of steps, then all X, all their gradients G, and all of each kind of state; outputs
 * are all new X and all new states. Computed in double. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/move.h"

enum { MOMENTUM, ADAGRAD, ADAM };
enum { X, G, STATE, KINDS = 4, PART = PI_BLOCK / 2 }; /* in groups of inputs; a second state is behind the first */

typedef struct {
    int kind;
    bool nesterov;
    double rate, alpha, beta, epsilon, norm, shrink; /* rate and beta with what depends on the count of steps */
} optimiser;

static int kind_of(const pi_node *node)
{
    return node->op->name[0] == 'M' ? MOMENTUM : node->op->name[2] == 'a' && node->op->name[3] == 'm' ? ADAM : ADAGRAD;
}

static uint32_t groups_of(const pi_node *node) { return kind_of(node) == ADAM ? 4 : 3; }

static pi_status training_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    uint32_t groups = groups_of(node), n = (node->n_explicit - 2) / groups;
    char text[200], expected[200];
    if (n == 0 || (node->n_explicit - 2) % groups != 0)
        return pi_fail(err, PI_E_MODEL, "%u inputs behind R and T, expected a multiple of %u", node->n_explicit - 2,
                       groups);
    if (node->n_out > n * (groups - 1))
        return pi_fail(err, PI_E_MODEL, "%u outputs, expected at most %u", node->n_out, n * (groups - 1));
    for (uint32_t i = 0; i < 2; i++)
        if (pi_tensor_n(in[i]) != 1)
            return pi_fail(err, PI_E_MODEL, "%s has %lld elements, expected 1", i ? "T" : "R",
                           (long long)pi_tensor_n(in[i]));
    if (kind_of(node) == MOMENTUM) {
        const char *mode = pi_attr_string(node, "mode");
        if (strcmp(mode, "standard") != 0 && strcmp(mode, "nesterov") != 0)
            return pi_fail(err, PI_E_MODEL, "attribute 'mode' is '%.40s', expected standard or nesterov", mode);
    }
    for (uint32_t i = 0; i < n * groups; i++) {
        const pi_tensor *t = in[2 + i], *x = in[2 + i % n];
        if (!t) return pi_fail(err, PI_E_MODEL, "input %u is missing", 2 + i);
        if (!pi_dtype_in(t->dtype, PI_BIT(F32) | PI_BIT(F64)) || t->dtype != x->dtype || !pi_tensor_same_shape(t, x))
            return pi_fail(err, PI_E_MODEL, "input %u is %s, expected %s", 2 + i, pi_tensor_text(t, text, sizeof text),
                           x->dtype == t->dtype || pi_dtype_in(x->dtype, PI_BIT(F32) | PI_BIT(F64))
                               ? pi_tensor_text(x, expected, sizeof expected)
                               : "f32 or f64");
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        out[i].dtype = in[2 + i % n]->dtype;
        pi_tensor_set_shape(&out[i], in[2 + i % n]->rank, in[2 + i % n]->dim);
    }
    return PI_E_OK;
}

/* Element by element: v[X], v[G], states in; v[X] and states out. */
static void step(const optimiser *o, double v[KINDS])
{
    double g = o->norm * v[X] + v[G];
    if (o->kind == MOMENTUM) {
        v[STATE] = o->alpha * v[STATE] + o->beta * g;
        v[X] -= o->rate * (o->nesterov ? g + o->alpha * v[STATE] : v[STATE]);
    } else if (o->kind == ADAGRAD) {
        v[STATE] += g * g;
        v[X] -= o->rate * g / (sqrt(v[STATE]) + o->epsilon);
    } else {
        v[STATE] = o->alpha * v[STATE] + (1 - o->alpha) * g;
        v[STATE + 1] = o->beta * v[STATE + 1] + (1 - o->beta) * g * g;
        v[X] = o->shrink * (v[X] - o->rate * v[STATE] / (sqrt(v[STATE + 1]) + o->epsilon));
    }
}

typedef struct {
    const pi_call *call;
    const optimiser *o;
    uint32_t which, n, groups; /* tensor, tensors */
} training_task;

static void training_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const training_task *t = arg;
    const pi_call *call = t->call;
    double v[KINDS][PART];
    pi_dtype dtype = call->in[2 + t->which]->dtype;
    for (int64_t at = begin; at < end; at += PART) {
        int64_t n = pi_min_i64(PART, end - at);
        for (uint32_t k = 0; k < t->groups; k++)
            pi_read_f64(dtype, pi_at(call->in[2 + k * t->n + t->which]->data, dtype, at), 1, n, v[k]);
        for (int64_t i = 0; i < n; i++) {
            double one[KINDS] = {v[X][i], v[G][i], v[STATE][i], t->groups > 3 ? v[STATE + 1][i] : 0};
            step(t->o, one);
            for (uint32_t k = 0; k < t->groups; k++) v[k][i] = one[k];
        }
        for (uint32_t k = 0; k < t->groups - 1; k++) {
            uint32_t out = k * t->n + t->which;
            if (pi_move_wants(call, out))
                pi_write_f64(dtype, pi_at_mut(call->out[out]->data, dtype, at), 1, n, v[k == 0 ? X : k + 1]);
        }
    }
}

static pi_status training_run(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    (void)err;
    double count = (double)pi_tensor_int(call->in[1], 0);
    optimiser o = {.kind = kind_of(node), .norm = (double)pi_attr_float(node, "norm_coefficient")};
    pi_read_f64(call->in[0]->dtype, call->in[0]->data, 1, 1, &o.rate);
    if (o.kind != ADAGRAD) {
        o.alpha = (double)pi_attr_float(node, "alpha");
        o.beta = (double)pi_attr_float(node, "beta");
    }
    if (o.kind != MOMENTUM) o.epsilon = (double)pi_attr_float(node, "epsilon");
    if (o.kind == MOMENTUM) {
        o.nesterov = strcmp(pi_attr_string(node, "mode"), "nesterov") == 0;
        if (count <= 0) o.beta = 1;
    } else if (o.kind == ADAGRAD) {
        o.rate /= 1 + count * (double)pi_attr_float(node, "decay_factor");
    } else {
        if (count > 0) o.rate *= sqrt(1 - pow(o.beta, count)) / (1 - pow(o.alpha, count));
        o.shrink = 1 - (double)pi_attr_float(node, "norm_coefficient_post");
    }
    training_task t = {call, &o, 0, (node->n_explicit - 2) / groups_of(node), groups_of(node)};
    for (; t.which < t.n; t.which++)
        pi_parallel(call->run->threads, pi_tensor_n(call->in[2 + t.which]), 8192, training_chunk, &t);
    return PI_E_OK;
}

static const pi_impl impls[] = {{"ref", NULL, NULL, training_run, 0}, {0}};

#define FLOAT(name, value) {name, PI_ATTR_FLOAT, false, 0, value, NULL}
#define NEEDED(name, kind) {name, kind, true, 0, 0, NULL}
static const pi_attr_def momentum_attrs[] = {NEEDED("alpha", PI_ATTR_FLOAT),
                                             NEEDED("beta", PI_ATTR_FLOAT),
                                             NEEDED("mode", PI_ATTR_STRING),
                                             NEEDED("norm_coefficient", PI_ATTR_FLOAT),
                                             {0}};
static const pi_attr_def adagrad_attrs[] = {
    FLOAT("decay_factor", 0), FLOAT("epsilon", 1e-6f), FLOAT("norm_coefficient", 0), {0}};
static const pi_attr_def adam_attrs[] = {FLOAT("alpha", 0.9f),
                                         FLOAT("beta", 0.999f),
                                         FLOAT("epsilon", 1e-6f),
                                         FLOAT("norm_coefficient", 0),
                                         FLOAT("norm_coefficient_post", 0),
                                         {0}};

#define TRAINING(op_name, op_attrs)                        \
    {.domain = "ai.onnx.preview.training",                 \
     .name = op_name,                                      \
     .since = 1,                                           \
     .signature = "R:T T:i64 inputs*:any -> outputs*:any", \
     .T = PI_BIT(F32) | PI_BIT(F64),                       \
     .attrs = op_attrs,                                    \
     .infer = training_infer,                              \
     .impls = impls}
static const pi_op rows[] = {
    TRAINING("Momentum", momentum_attrs),
    TRAINING("Adagrad", adagrad_attrs),
    TRAINING("Adam", adam_attrs),
};
const pi_op_family pi_ops_training = {rows, PI_COUNT(rows)};
