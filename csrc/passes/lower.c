/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, ConvTranspose, MatMul and Gemm become their counterparts of the domain "pyinfer", which have an epilogue. A product
 * of a flattened tensor with a matrix is one of the tensor itself: then what follows meets it without a Reshape between. */
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

enum { BIAS = 2, RESIDUAL = 3 };

static pi_status take_conv(pi_graph *g, pi_node *conv, const char *name, pi_error *err)
{
    pi_value *in[4] = {conv->in[0], conv->in[1], conv->n_in > 2 ? conv->in[2] : NULL, NULL};
    pi_attr attr[16];
    uint32_t n_attrs = conv->n_attrs;
    if (!pi_is_f32(in[0]) || !pi_is_f32(in[1]) || !pi_tensor_known(&conv->out[0]->t) || n_attrs > 16) return PI_E_OK;
    if (n_attrs) memcpy(attr, conv->attr, n_attrs * sizeof *attr);
    pi_node *node = pi_rewrite(g, conv, pi_op_internal(name), in, 4, err);
    if (!node) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n_attrs; i++) PI_TRY(pi_attr_set(g, node, &attr[i], err));
    return PI_E_OK;
}

/* All that reads the product [m, n] is a Reshape to [..., n]: multiply A as [..., k], and the product has that shape. */
static pi_status unflatten(pi_graph *g, pi_node *node, pi_error *err)
{
    pi_value *a = node->in[0], *y = node->out[0];
    pi_node *next = pi_only_reader(y);
    if (!pi_is(next, "Reshape") || a->t.rank != 2 || node->in[1]->t.rank != 2 || node->in[RESIDUAL]) return PI_E_OK;
    const pi_tensor *wide = &next->out[0]->t;
    if (pi_attr_int(node, "trans_a") || !pi_tensor_known(wide) || wide->rank < 3 || pi_tensor_n(wide) == 0 || a->t.dim[1] == 0)
        return PI_E_OK;
    if (wide->dim[wide->rank - 1] != y->t.dim[1]) return PI_E_OK;
    int64_t dim[PI_MAX_RANK];
    memcpy(dim, wide->dim, sizeof dim);
    dim[wide->rank - 1] = a->t.dim[1];
    pi_value *x = pi_reshaped(g, node, a, wide->rank, dim, err), *out = next->out[0];
    if (!x) return pi_alloc_status(err);
    PI_TRY(pi_node_set_in(g, node, 0, x, err));
    pi_node_set_out(next, 0, NULL);
    pi_node_set_out(node, 0, out);
    pi_graph_remove(g, next);
    return PI_E_OK;
}

static pi_status take_matmul(pi_graph *g, pi_node *mm, pi_error *err)
{
    bool gemm = pi_is(mm, "Gemm");
    pi_value *in[5] = {mm->in[0], mm->in[1]};
    const pi_tensor *y = &mm->out[0]->t;
    if (!pi_is_f32(in[0]) || !pi_is_f32(in[1]) || in[0]->t.rank < 2 || in[1]->t.rank < 2 || !pi_tensor_known(y)) return PI_E_OK;
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
        else if (c && !(in[BIAS] = pi_as_bias(g, c, y, 1, err))) {
            if (!pi_tensor_same_shape(&c->t, y)) return PI_E_OK;
            in[RESIDUAL] = c;
        }
    }
    pi_node *node = pi_rewrite(g, mm, pi_op_internal("MatMul"), in, 5, err);
    if (!node) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(g, node, "trans_a", trans_a, err));
    PI_TRY(pi_attr_set_int(g, node, "trans_b", trans_b, err));
    PI_TRY(pi_attr_set_float(g, node, "alpha", alpha, err));
    return unflatten(g, node, err);
}

pi_status pi_pass_lower(pi_graph *g, pi_error *err)
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
    return pi_graph_sort(g, err);
}
