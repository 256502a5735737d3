/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, ConvTranspose, MatMul and Gemm become their counterparts of the domain "pyinfer", which end in
 * act(x + bias + residual): what follows them and fits there is taken in. */
#include <float.h>
#include <string.h>
#include "base/act.h"
#include "passes/match.h"
#include "passes/passes.h"

static bool f32(const pi_value *v) { return v && v->t.dtype == PI_DTYPE_F32; }

/* The lower or upper bound of a Clip, from its input (opset 11 on) or its attribute. */
static bool clip_bound(const pi_node *clip, uint32_t i, const char *attr, double standard, float *out)
{
    const pi_attr *a = pi_attr_find(clip, attr);
    double number = a ? (double)a->f : standard;
    if (clip->n_in > i && clip->in[i] && !pi_scalar(clip->in[i], &number)) return false;
    *out = (float)number;
    return true;
}

/* The activation that a node of one input applies; false if it is none that an epilogue knows. */
static bool read_act(const pi_node *node, pi_act *act)
{
    static const struct {
        const char *op, *a, *b;
        pi_act_kind kind;
    } plain[] = {
        {"Relu", NULL, NULL, PI_ACT_RELU},           {"LeakyRelu", "alpha", NULL, PI_ACT_LEAKY_RELU},
        {"Sigmoid", NULL, NULL, PI_ACT_SIGMOID},     {"Tanh", NULL, NULL, PI_ACT_TANH},
        {"Swish", "alpha", NULL, PI_ACT_SILU},       {"HardSigmoid", "alpha", "beta", PI_ACT_HARD_SIGMOID},
        {"HardSwish", NULL, NULL, PI_ACT_HARD_SWISH}, {"Elu", "alpha", NULL, PI_ACT_ELU},
        {"Mish", NULL, NULL, PI_ACT_MISH},
    };
    *act = (pi_act){0};
    for (size_t i = 0; i < PI_COUNT(plain); i++)
        if (pi_is(node, plain[i].op)) {
            act->kind = plain[i].kind;
            if (plain[i].a) act->a = pi_attr_float(node, plain[i].a);
            if (plain[i].b) act->b = pi_attr_float(node, plain[i].b);
            return true;
        }
    if (pi_is(node, "Gelu")) {
        const char *form = pi_attr_string(node, "approximate");
        act->kind = form && strcmp(form, "tanh") == 0 ? PI_ACT_GELU_TANH : PI_ACT_GELU_ERF;
        return true;
    }
    act->kind = PI_ACT_CLIP;
    return pi_is(node, "Clip") && clip_bound(node, 1, "min", -(double)FLT_MAX, &act->a) &&
           clip_bound(node, 2, "max", (double)FLT_MAX, &act->b) && act->a <= act->b;
}

/* A constant that is one number for each index of the given axis of y: as a vector [n]; NULL if it is none. */
static pi_value *as_bias(pi_graph *g, pi_value *c, const pi_tensor *y, int axis, pi_error *err)
{
    int64_t n = y->dim[axis], count;
    if (!f32(c) || !c->constant || pi_tensor_count(&c->t, &count, NULL) != PI_E_OK || count != n || c->t.rank > y->rank)
        return NULL;
    int at = axis - (y->rank - c->t.rank);
    if (at < 0 || c->t.dim[at] != n) return NULL;
    if (c->t.rank == 1) return c;
    if (pi_const_load(c->constant, err) != PI_E_OK) return NULL;
    pi_const *flat = pi_const_new(g->heap, PI_DTYPE_F32, 1, &n, err);
    if (!flat) return NULL;
    memcpy(flat->t.data, c->constant->t.data, flat->bytes);
    return pi_graph_constant(g, c->name, flat, err);
}

/* node is y * number or y / number. */
static bool scales(const pi_node *node, const pi_value *y, double *number)
{
    bool mul = pi_is(node, "Mul"), div = pi_is(node, "Div") && node->in[0] == y;
    if ((!mul && !div) || node->n_attrs || !pi_scalar(pi_other(node, y), number)) return false;
    if (div) *number = 1 / *number;
    return *number != 0 && pi_tensor_same_shape(&node->out[0]->t, &y->t);
}

enum { BIAS = 2, RESIDUAL = 3 };

/* Takes `next`, the only reader of node's result, into node if it fits; *done says so. */
static pi_status absorb(pi_graph *g, pi_node *node, pi_node *next, int channel, bool *done, pi_error *err)
{
    pi_value *y = node->out[0], *out = next->out[0];
    pi_act act;
    double number;
    *done = false;
    if (!out || pi_attr_int(node, "act") != PI_ACT_NONE) return PI_E_OK;
    if (next->in[0] == y && read_act(next, &act)) {
        PI_TRY(pi_attr_set_int(g, node, "act", act.kind, err));
        PI_TRY(pi_attr_set_float(g, node, "act_a", act.a, err));
        PI_TRY(pi_attr_set_float(g, node, "act_b", act.b, err));
        *done = true;
    } else if (pi_is_internal(node, "MatMul") && !node->in[BIAS] && !node->in[RESIDUAL] && scales(next, y, &number)) {
        PI_TRY(pi_attr_set_float(g, node, "alpha", (float)((double)pi_attr_float(node, "alpha") * number), err));
        *done = true;
    } else if (pi_is(next, "Add") && !next->n_attrs && !node->in[RESIDUAL]) {
        pi_value *c = pi_other(next, y);
        if (!f32(c) || c == y) return PI_E_OK;
        pi_value *bias = node->in[BIAS] ? NULL : as_bias(g, c, &y->t, channel, err);
        if (bias) {
            PI_TRY(pi_node_set_in(g, node, BIAS, bias, err));
            *done = true;
        } else if (pi_tensor_same_shape(&c->t, &y->t)) {
            PI_TRY(pi_node_set_in(g, node, RESIDUAL, c, err));
            *done = true;
        }
    }
    if (!*done) return PI_E_OK;
    pi_node_set_out(next, 0, NULL);
    pi_node_set_out(node, 0, out);
    pi_graph_remove(g, next);
    return PI_E_OK;
}

static pi_status absorb_all(pi_graph *g, pi_node *node, int channel, pi_error *err)
{
    for (bool done = true; done;) {
        pi_node *next = pi_only_reader(node->out[0]);
        if (!next) break;
        PI_TRY(absorb(g, node, next, channel, &done, err));
    }
    return PI_E_OK;
}

static pi_status take_conv(pi_graph *g, pi_node *conv, const char *name, pi_error *err)
{
    pi_value *in[4] = {conv->in[0], conv->in[1], conv->n_in > 2 ? conv->in[2] : NULL, NULL};
    pi_attr attr[16];
    uint32_t n_attrs = conv->n_attrs;
    if (!f32(in[0]) || !f32(in[1]) || !pi_tensor_known(&conv->out[0]->t) || n_attrs > 16) return PI_E_OK;
    memcpy(attr, conv->attr, n_attrs * sizeof *attr);
    pi_node *node = pi_rewrite(g, conv, pi_op_internal(name), in, 4, err);
    if (!node) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n_attrs; i++) PI_TRY(pi_attr_set(g, node, &attr[i], err));
    return absorb_all(g, node, 1, err);
}

static pi_status take_matmul(pi_graph *g, pi_node *mm, pi_error *err)
{
    bool gemm = pi_is(mm, "Gemm");
    pi_value *in[4] = {mm->in[0], mm->in[1], NULL, NULL};
    const pi_tensor *y = &mm->out[0]->t;
    if (!f32(in[0]) || !f32(in[1]) || in[0]->t.rank < 2 || in[1]->t.rank < 2 || !pi_tensor_known(y)) return PI_E_OK;
    if (!pi_tensor_known(&in[0]->t) || !pi_tensor_known(&in[1]->t)) return PI_E_OK;
    int64_t trans_a = 0, trans_b = 0;
    float alpha = 1;
    if (gemm) {
        trans_a = pi_attr_int(mm, "transA");
        trans_b = pi_attr_int(mm, "transB");
        alpha = pi_attr_float(mm, "alpha");
        pi_value *c = mm->n_in > 2 ? mm->in[2] : NULL;
        if (c && pi_attr_float(mm, "beta") != 1.0f) return PI_E_OK;
        if (c && alpha != 1.0f) return PI_E_OK;
        if (c && c->t.rank == 1 && c->t.dim[0] == y->dim[1])
            in[BIAS] = c;
        else if (c && !(in[BIAS] = as_bias(g, c, y, 1, err))) {
            if (!pi_tensor_same_shape(&c->t, y)) return PI_E_OK;
            in[RESIDUAL] = c;
        }
    }
    pi_node *node = pi_rewrite(g, mm, pi_op_internal("MatMul"), in, 4, err);
    if (!node) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(g, node, "trans_a", trans_a, err));
    PI_TRY(pi_attr_set_int(g, node, "trans_b", trans_b, err));
    PI_TRY(pi_attr_set_float(g, node, "alpha", alpha, err));
    return absorb_all(g, node, node->out[0]->t.rank - 1, err);
}

pi_status pi_pass_fuse_epilogue(pi_graph *g, pi_error *err)
{
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) {
        pi_node *node = g->node[i];
        if (pi_is(node, "Conv"))
            PI_TRY(take_conv(g, node, "Conv", err));
        else if (pi_is(node, "ConvTranspose"))
            PI_TRY(take_conv(g, node, "ConvTranspose", err));
        else if (pi_is(node, "MatMul") || pi_is(node, "Gemm"))
            PI_TRY(take_matmul(g, node, err));
    }
    return PI_E_OK;
}
