/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.Conv, pyinfer.ConvTranspose and pyinfer.MatMul end in act(x + bias + residual): what follows them and fits there
 * is taken in. */
#include "base/act.h"
#include "passes/match.h"
#include "passes/passes.h"

/* The activation that a node applies; false if it is none that an epilogue knows. */
static bool read_act(const pi_node *node, pi_act *act)
{
    pi_eltwise_kernel k;
    if (!pi_eltwise_of(node, &k) || k.form != PI_FORM_ACT) return false;
    *act = (pi_act){(pi_act_kind)k.kind, k.a, k.b};
    return act->kind != PI_ACT_CLIP || act->a <= act->b;
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
        if (!pi_is_f32(c) || c == y) return PI_E_OK;
        pi_value *bias = node->in[BIAS] ? NULL : pi_as_bias(g, c, &y->t, channel, err);
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

pi_status pi_pass_fuse_epilogue(pi_graph *g, pi_error *err)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        pi_node *node = g->node[i];
        if (pi_is_internal(node, "Conv") || pi_is_internal(node, "ConvTranspose"))
            PI_TRY(absorb_all(g, node, 1, err));
        else if (pi_is_internal(node, "MatMul"))
            PI_TRY(absorb_all(g, node, node->out[0]->t.rank - 1, err));
    }
    return PI_E_OK;
}
