/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around a pyinfer.MatMul and only moves or scales its operands goes into it: transposes become strides
 * (perm_a, perm_b, perm_y), factors become alpha. */
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

/* x and the number of x * number or x / number. */
static pi_value *unscaled(const pi_value *v, double *number)
{
    pi_node *mul = pi_made_by(v, "Mul"), *div = pi_made_by(v, "Div");
    const pi_node *node = mul ? mul : div;
    if (!node || node->n_attrs || v->n_uses != 1 || v->n_outputs) return NULL;
    for (int i = 0; i < (mul ? 2 : 1); i++) {
        pi_value *x = node->in[i];
        if (!pi_scalar(node->in[1 - i], number) || !pi_tensor_same_shape(&x->t, &v->t)) continue;
        if (div) *number = 1 / *number;
        return *number != 0 ? x : NULL;
    }
    return NULL;
}

static pi_status scale(pi_graph *g, pi_node *node, double number, pi_error *err)
{
    return pi_attr_set_float(g, node, "alpha", (float)((double)pi_attr_float(node, "alpha") * number), err);
}

/* Operand i is read through this Transpose: its perm comes before the one that is there already. */
static pi_status read_through(pi_graph *g, pi_node *node, uint32_t i, const pi_node *transpose, pi_error *err)
{
    const char *perm_name = i ? "perm_b" : "perm_a", *trans_name = i ? "trans_b" : "trans_a";
    uint32_t n, n_inner;
    const int64_t *outer = pi_attr_ints(node, perm_name, &n), *inner = pi_attr_ints(transpose, "perm", &n_inner);
    int rank = node->in[i]->t.rank;
    int64_t perm[PI_MAX_RANK];
    if (!inner || (int)n_inner != rank || (outer && n != n_inner)) return PI_E_OK;
    for (int k = 0; k < rank; k++) perm[k] = inner[outer ? outer[k] : k];
    if (pi_attr_int(node, trans_name)) {
        int64_t last = perm[rank - 1];
        perm[rank - 1] = perm[rank - 2];
        perm[rank - 2] = last;
        PI_TRY(pi_attr_set_int(g, node, trans_name, 0, err));
    }
    PI_TRY(pi_attr_set_ints(g, node, perm_name, perm, n_inner, err));
    return pi_node_set_in(g, node, i, transpose->in[0], err);
}

static pi_status take_operand(pi_graph *g, pi_node *node, uint32_t i, pi_error *err)
{
    for (;;) {
        pi_value *v = node->in[i];
        double number;
        pi_value *x = unscaled(v, &number);
        pi_node *transpose = pi_made_by(v, "Transpose");
        if (x) {
            PI_TRY(scale(g, node, number, err));
            PI_TRY(pi_node_set_in(g, node, i, x, err));
        } else if (transpose && transpose->in[0]->t.dtype == PI_DTYPE_F32) {
            PI_TRY(read_through(g, node, i, transpose, err));
        }
        if (node->in[i] == v) return PI_E_OK;
    }
}

/* A Transpose that is all that reads the product; a residual lies in the order of the product, so there is none. */
static pi_status take_result(pi_graph *g, pi_node *node, pi_error *err)
{
    uint32_t n;
    pi_node *next = pi_only_reader(node->out[0]);
    if (!pi_is(next, "Transpose") || node->in[3] || pi_attr_find(node, "perm_y")) return PI_E_OK;
    const int64_t *perm = pi_attr_ints(next, "perm", &n);
    int rank = node->out[0]->t.rank;
    if (!perm || (int)n != rank || perm[rank - 1] != rank - 1) return PI_E_OK; /* rows stay dense */
    PI_TRY(pi_attr_set_ints(g, node, "perm_y", perm, n, err));
    pi_value *out = next->out[0];
    pi_node_set_out(next, 0, NULL);
    pi_node_set_out(node, 0, out);
    pi_graph_remove(g, next);
    return PI_E_OK;
}

pi_status pi_pass_fuse_matmul(pi_graph *g, pi_error *err)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        pi_node *node = g->node[i];
        if (!pi_is_internal(node, "MatMul")) continue;
        for (uint32_t k = 0; k < 2; k++)
            if (!node->in[k]->constant) PI_TRY(take_operand(g, node, k, err));
        PI_TRY(take_result(g, node, err));
    }
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
