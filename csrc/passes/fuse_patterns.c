/* SPDX-License-Identifier: Apache-2.0 */
/* What exporters spell out in small operators becomes the operator that it means: GELU (erf and tanh forms), SiLU,
 * HardSwish, LayerNormalization, and the guard against NaN behind a softmax whose row is all masked. */
#include <math.h>
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

/* x of: v = x * number or number * x, or x / (1/number). */
static pi_value *scaled(const pi_value *v, double number)
{
    pi_node *mul = pi_made_by(v, "Mul"), *div = pi_made_by(v, "Div");
    if (mul) return pi_with_number(mul, number);
    return div && pi_is_number(div->in[1], 1.0 / number) ? div->in[0] : NULL;
}

/* The Mul that ends "half * x * one_plus", in any order of the products; NULL if it is not there. */
static pi_node *half_product(pi_value *one_plus, const pi_value *x)
{
    pi_node *mul = pi_only_reader(one_plus);
    if (!pi_is(mul, "Mul")) return NULL;
    pi_value *factor = pi_other(mul, one_plus);
    if (factor && factor != x && scaled(factor, 0.5) == x) return mul; /* (x/2) * (1 + ...) */
    if (factor == x) {                                                 /* (x * (1 + ...)) / 2 */
        pi_node *last = pi_only_reader(mul->out[0]);
        if (pi_is(last, "Mul") && pi_with_number(last, 0.5) == mul->out[0]) return last;
    }
    if (pi_is_number(factor, 0.5)) { /* x * (0.5 * (1 + ...)) */
        pi_node *last = pi_only_reader(mul->out[0]);
        if (pi_is(last, "Mul") && pi_other(last, mul->out[0]) == x) return last;
    }
    return NULL;
}

static pi_status make_gelu(pi_graph *g, pi_node *last, pi_value *x, const char *approximate, pi_error *err)
{
    pi_node *gelu = pi_rewrite(g, last, pi_op_find(NULL, "Gelu", 20), &x, 1, err);
    if (!gelu) return pi_alloc_status(err);
    pi_attr a = {.name = "approximate", .kind = PI_ATTR_STRING, .n = 1, .s = {approximate, strlen(approximate)}};
    return pi_attr_set(g, gelu, &a, err);
}

static pi_value *plus_one(const pi_node *node)
{
    pi_node *add = pi_only_reader(node->out[0]);
    return pi_is(add, "Add") && pi_with_number(add, 1.0) == node->out[0] ? add->out[0] : NULL;
}

/* x/2 * (1 + erf(x / sqrt(2))) */
static pi_status match_gelu_erf(pi_graph *g, pi_node *erf_node, pi_error *err)
{
    pi_value *x = scaled(erf_node->in[0], M_SQRT1_2), *one_plus = plus_one(erf_node);
    pi_node *last = x && one_plus ? half_product(one_plus, x) : NULL;
    return last ? make_gelu(g, last, x, "none", err) : PI_E_OK;
}

/* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))) */
static pi_status match_gelu_tanh(pi_graph *g, pi_node *tanh_node, pi_error *err)
{
    pi_value *sum = scaled(tanh_node->in[0], sqrt(2.0 / M_PI)), *one_plus = plus_one(tanh_node);
    pi_node *add = sum ? pi_made_by(sum, "Add") : NULL;
    if (!add || !one_plus) return PI_E_OK;
    for (int i = 0; i < 2; i++) {
        pi_value *x = add->in[i], *cube = scaled(add->in[1 - i], 0.044715);
        pi_node *pow_node = cube ? pi_made_by(cube, "Pow") : NULL;
        if (!pow_node || pow_node->in[0] != x || !pi_is_number(pow_node->in[1], 3.0)) continue;
        pi_node *last = half_product(one_plus, x);
        if (last) return make_gelu(g, last, x, "tanh", err);
    }
    return PI_E_OK;
}

/* x * sigmoid(x) */
static pi_status match_silu(pi_graph *g, pi_node *sigmoid, pi_error *err)
{
    pi_value *x = sigmoid->in[0];
    pi_node *mul = pi_only_reader(sigmoid->out[0]);
    if (!pi_is(mul, "Mul") || pi_other(mul, sigmoid->out[0]) != x) return PI_E_OK;
    return pi_rewrite(g, mul, pi_op_find(NULL, "Swish", 24), &x, 1, err) ? PI_E_OK : pi_alloc_status(err);
}

/* x * hard_sigmoid(x; 1/6, 1/2), and x * clip(x + 3, 0, 6) / 6 */
static pi_status match_hard_swish(pi_graph *g, pi_node *node, pi_error *err)
{
    pi_node *last = NULL, *mul = pi_only_reader(node->out[0]);
    pi_value *x = NULL;
    if (!pi_is(mul, "Mul")) return PI_E_OK;
    if (pi_is(node, "HardSigmoid")) {
        x = node->in[0];
        bool sixth = fabsf(pi_attr_float(node, "alpha") - 1.0f / 6.0f) < 1e-6f;
        if (sixth && fabsf(pi_attr_float(node, "beta") - 0.5f) < 1e-6f && pi_other(mul, node->out[0]) == x) last = mul;
    } else if (node->n_in == 3 && pi_is_number(node->in[2], 6.0)) {
        double low;
        pi_node *add = pi_made_by(node->in[0], "Add");
        x = add ? pi_with_number(add, 3.0) : NULL;
        if (!x || !pi_scalar(node->in[1], &low) || low != 0 || pi_other(mul, node->out[0]) != x) return PI_E_OK;
        pi_node *div = pi_only_reader(mul->out[0]);
        if (div && scaled(div->out[0], 1.0 / 6.0) == mul->out[0]) last = div;
    }
    if (!last) return PI_E_OK;
    return pi_rewrite(g, last, pi_op_find(NULL, "HardSwish", 14), &x, 1, err) ? PI_E_OK : pi_alloc_status(err);
}

/* ReduceMean over the last axis, keeping it. */
static bool mean_last(const pi_node *mean)
{
    uint32_t n;
    if (!mean || pi_attr_int(mean, "keepdims") != 1) return false;
    const pi_value *v = mean->n_in > 1 ? mean->in[1] : NULL;
    const int64_t *axes = v && v->constant ? v->constant->t.data : pi_attr_ints(mean, "axes", &n);
    if (v && v->constant) n = (uint32_t)pi_tensor_n(&v->constant->t);
    int rank = mean->in[0]->t.rank;
    return axes && n == 1 && (axes[0] == -1 || (rank > 0 && axes[0] == rank - 1));
}

/* (x - mean) / sqrt(mean((x - mean)^2) + eps), times scale, plus bias where they follow. */
static pi_status match_layer_norm(pi_graph *g, pi_node *div, pi_error *err)
{
    double eps;
    pi_node *root = pi_made_by(div->in[1], "Sqrt"), *sub = pi_made_by(div->in[0], "Sub");
    pi_node *add = root ? pi_made_by(root->in[0], "Add") : NULL;
    if (!sub || !add || !pi_scalar(add->in[1], &eps)) return PI_E_OK;
    pi_node *variance = pi_made_by(add->in[0], "ReduceMean"), *mean = pi_made_by(sub->in[1], "ReduceMean");
    if (!mean_last(variance) || !mean_last(mean) || mean->in[0] != sub->in[0]) return PI_E_OK;
    pi_node *square = pi_made_by(variance->in[0], "Pow");
    if (!square || square->in[0] != sub->out[0] || !pi_is_number(square->in[1], 2.0)) return PI_E_OK;
    pi_node *mul = pi_only_reader(div->out[0]);
    pi_value *scale = pi_is(mul, "Mul") ? pi_other(mul, div->out[0]) : NULL;
    if (!scale || !scale->constant || scale->t.rank != 1) return PI_E_OK;
    const pi_tensor *x = &sub->in[0]->t; /* one number for all, or a row for each element, is no scale of a normalisation */
    if (!pi_tensor_known(x) || !x->rank || x->dim[x->rank - 1] != scale->t.dim[0]) return PI_E_OK;
    pi_node *last = mul, *plus = pi_only_reader(mul->out[0]);
    pi_value *bias = pi_is(plus, "Add") ? pi_other(plus, mul->out[0]) : NULL;
    if (bias && bias->constant && bias->t.rank == 1 && pi_tensor_same_shape(&bias->t, &scale->t))
        last = plus;
    else
        bias = NULL;
    pi_value *in[3] = {sub->in[0], scale, bias};
    pi_node *norm = pi_rewrite(g, last, pi_op_find(NULL, "LayerNormalization", 17), in, bias ? 3 : 2, err);
    if (!norm) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(g, norm, "axis", -1, err));
    return pi_attr_set_float(g, norm, "epsilon", (float)eps, err);
}

pi_status pi_pass_fuse_patterns(pi_graph *g, pi_error *err)
{
    uint32_t n = g->n_nodes; /* nodes that are added need no look */
    for (uint32_t i = 0; i < n; i++) {
        pi_node *node = g->node[i];
        if (!node->op || !node->n_out || !node->out[0]) continue;
        if (pi_is(node, "Erf")) PI_TRY(match_gelu_erf(g, node, err));
        else if (pi_is(node, "Tanh")) PI_TRY(match_gelu_tanh(g, node, err));
        else if (pi_is(node, "Sigmoid")) PI_TRY(match_silu(g, node, err));
        else if (pi_is(node, "HardSigmoid") || pi_is(node, "Clip")) PI_TRY(match_hard_swish(g, node, err));
        else if (pi_is(node, "Div")) PI_TRY(match_layer_norm(g, node, err));
    }
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
