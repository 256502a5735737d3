/* SPDX-License-Identifier: Apache-2.0 */
/* Channels-last regions. Each convolution is rewritten to read and write N, spatial..., C between two transposes; then,
 * in the order of the graph, operators whose inputs come out of such a transpose move before it, so that transposes meet
 * and vanish. "First" is N, C, spatial..., "last" is N, spatial..., C. Shapes are known here. */
#include <string.h>
#include "ops/conv.h"
#include "passes/layout_parts.h"
#include "passes/match.h"
#include "passes/passes.h"

static bool is_perm(const pi_node *node, int rank, bool first)
{
    uint32_t n;
    const int64_t *p = pi_attr_ints(node, "perm", &n);
    if (!p || (int)n != rank || rank < 3) return false;
    for (int i = 0; i < rank; i++)
        if (p[i] != pi_layout_source(rank, i, first)) return false;
    return true;
}

/* The axis of the source that becomes axis i: of a transpose to "first" or to "last". */
int pi_layout_source(int rank, int i, bool first)
{
    if (i == 0) return 0;
    if (first) return i == 1 ? rank - 1 : i - 1;
    return i == rank - 1 ? 1 : i + 1;
}

/* Where an axis of a "first" tensor stands in the "last" one. */
int64_t pi_layout_axis(int rank, int64_t axis)
{
    if (axis < 0) axis += rank;
    return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

pi_value *pi_layout_undone(const pi_value *v)
{
    pi_node *t = v ? pi_made_by(v, "Transpose") : NULL;
    return t && is_perm(t, v->t.rank, true) ? t->in[0] : NULL;
}

static pi_value *transposed(pi_layout *l, const pi_node *like, pi_value *v, bool first, pi_error *err)
{
    int rank = v->t.rank;
    int64_t perm[PI_MAX_RANK];
    pi_node *node = pi_insert(l->g, like, pi_op_find(NULL, "Transpose", 13), &v, 1, err);
    if (!node) return NULL;
    node->out[0]->t = v->t;
    node->out[0]->t.data = NULL;
    for (int i = 0; i < rank; i++) {
        perm[i] = pi_layout_source(rank, i, first);
        node->out[0]->t.dim[i] = v->t.dim[perm[i]];
    }
    return pi_attr_set_ints(l->g, node, "perm", perm, (uint32_t)rank, err) == PI_E_OK ? node->out[0] : NULL;
}

/* The "last" form of v: what it was transposed from, the one made before, or a new transpose. */
pi_value *pi_layout_last(pi_layout *l, const pi_node *like, pi_value *v, pi_error *err)
{
    pi_value *undone = pi_layout_undone(v);
    if (undone) return undone;
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const pi_node *reader = v->use[i].node;
        if (pi_is(reader, "Transpose") && is_perm(reader, v->t.rank, false)) return reader->out[0];
    }
    return transposed(l, like, v, false, err);
}

/* Output i of node is "last" from now on; its readers get it through a transpose. */
pi_status pi_layout_emit(pi_layout *l, pi_node *node, uint32_t i, pi_error *err)
{
    pi_value *y = node->out[i], *last = pi_graph_value(l->g, y->name, err);
    if (!last) return pi_alloc_status(err);
    int rank = y->t.rank;
    last->t = y->t;
    last->t.data = NULL;
    for (int k = 0; k < rank; k++) last->t.dim[k] = y->t.dim[pi_layout_source(rank, k, false)];
    pi_node_set_out(node, i, last);
    pi_value *first = transposed(l, node, last, true, err);
    if (!first) return pi_alloc_status(err);
    pi_node *t = first->producer; /* it makes y itself, so that names and readers stay */
    pi_node_set_out(t, 0, y);
    return PI_E_OK;
}

/* May a transpose meet another one there? */
static bool may_cancel(const pi_node *node)
{
    return pi_is_internal(node, "Conv") || pi_is_internal(node, "ConvTranspose") || pi_is(node, "Transpose") || pi_is(node, "Reshape");
}

/* It has an implementation for the layout that its input comes in, and its output is the same in both, or stays so too. */
static bool may_stay(const pi_node *node)
{
    const pi_tensor *in[4] = {NULL}, *out = &node->out[0]->t;
    const pi_value *x = node->in[0], *y = node->out[0];
    if (pi_layout_undone(x)) return false;
    for (uint32_t i = 0; i < 4 && i < node->n_in; i++) in[i] = node->in[i] ? &node->in[i]->t : NULL;
    if (pi_is_internal(node, "ConvTranspose")) return pi_conv_few_refuse(node, in, &out) == NULL;
    if (x->producer && may_cancel(x->producer)) return false;
    for (uint32_t i = 0; i < y->n_uses; i++)
        if (may_cancel(y->use[i].node)) return false;
    return pi_conv_planes_refuse(node, in, &out) == NULL;
}

static pi_status take_conv(pi_layout *l, pi_node *node, pi_error *err)
{
    if (pi_attr_int(node, "nhwc") || node->in[0]->t.rank < 3 || may_stay(node)) return PI_E_OK;
    for (uint32_t i = 0; i < 4; i += 3) { /* X and the residual */
        if (!node->in[i]) continue;
        pi_value *last = pi_layout_last(l, node, node->in[i], err);
        if (!last) return pi_alloc_status(err);
        PI_TRY(pi_node_set_in(l->g, node, i, last, err));
    }
    PI_TRY(pi_attr_set_int(l->g, node, "nhwc", 1, err));
    return pi_layout_emit(l, node, 0, err);
}

/* A quantised convolution among others; alone it turns its data itself. */
static pi_status take_quant_conv(pi_layout *l, pi_node *node, pi_error *err)
{
    pi_attr attr[8];
    uint32_t n = node->n_attrs, n_in = node->n_in;
    if (node->in[0]->t.rank < 3 || n > PI_COUNT(attr)) return PI_E_OK;
    if (n) memcpy(attr, node->attr, n * sizeof *attr);
    pi_node *conv = pi_rewrite(l->g, node, pi_op_internal("QLinearConv"), node->in, n_in, err);
    if (!conv) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) PI_TRY(pi_attr_set(l->g, conv, &attr[i], err));
    PI_TRY(pi_attr_set_int(l->g, conv, "nhwc", 1, err));
    pi_value *last = pi_layout_last(l, conv, conv->in[0], err);
    if (!last) return pi_alloc_status(err);
    PI_TRY(pi_node_set_in(l->g, conv, 0, last, err));
    return pi_layout_emit(l, conv, 0, err);
}

static bool all_ones(const pi_tensor *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != 1) return false;
    return true;
}

/* Is every element of X treated alike? */
static bool one_scale(const pi_node *node)
{
    return (pi_is(node, "QuantizeLinear") || pi_is(node, "DequantizeLinear")) && pi_tensor_known(&node->in[1]->t) &&
           all_ones(&node->in[1]->t);
}

/* A value of lower rank that is broadcast against tensors of `rank` dims: the same with leading ones. */
static pi_value *broadened(pi_layout *l, const pi_node *like, pi_value *v, int rank, pi_error *err)
{
    int64_t dim[PI_MAX_RANK];
    int missing = rank - v->t.rank;
    for (int i = 0; i < rank; i++) dim[i] = i < missing ? 1 : v->t.dim[i - missing];
    return pi_reshaped(l->g, like, v, rank, dim, err);
}

/* At least one input comes out of a transpose to "first", and not more than as many would need a new transpose. */
static bool worth_moving(const pi_node *node, int rank)
{
    int undone = 0, costs = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        const pi_value *v = node->in[i];
        if (!v) continue;
        if (!pi_tensor_known(&v->t)) return false;
        if (v->t.rank == rank && pi_layout_undone(v))
            undone++;
        else if (!v->constant && v->t.rank == rank && !all_ones(&v->t))
            costs++;
    }
    return undone > 0 && costs <= undone;
}

static pi_status move_inputs(pi_layout *l, pi_node *node, int rank, pi_error *err)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        pi_value *v = node->in[i];
        if (!v || all_ones(&v->t)) continue;
        if (v->t.rank < rank && !(v = broadened(l, node, v, rank, err))) return pi_alloc_status(err);
        if (!(v = pi_layout_last(l, node, v, err))) return pi_alloc_status(err);
        PI_TRY(pi_node_set_in(l->g, node, i, v, err));
    }
    return PI_E_OK;
}

static pi_status take_elementwise(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->out[0]->t.rank;
    if (rank < 3 || node->n_out != 1 || !worth_moving(node, rank)) return PI_E_OK;
    PI_TRY(move_inputs(l, node, rank, err));
    return pi_layout_emit(l, node, 0, err);
}

static pi_status take_concat(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->out[0]->t.rank;
    if (rank < 3 || !worth_moving(node, rank)) return PI_E_OK;
    for (uint32_t i = 0; i < node->n_in; i++) {
        pi_value *last = pi_layout_last(l, node, node->in[i], err);
        if (!last) return pi_alloc_status(err);
        PI_TRY(pi_node_set_in(l->g, node, i, last, err));
    }
    PI_TRY(pi_attr_set_int(l->g, node, "axis", pi_layout_axis(rank, pi_attr_int(node, "axis")), err));
    return pi_layout_emit(l, node, 0, err);
}

/* A transpose that moves only dimensions of size 1 is a change of shape, which costs nothing. */
static pi_status as_reshape(pi_graph *g, pi_node *node, pi_error *err)
{
    uint32_t n;
    const int64_t *perm = pi_attr_ints(node, "perm", &n);
    const pi_tensor *x = &node->in[0]->t, *y = &node->out[0]->t;
    if (!perm || !pi_tensor_known(x) || !pi_tensor_known(y) || (int)n != x->rank) return PI_E_OK;
    int64_t before = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (x->dim[perm[i]] == 1) continue;
        if (perm[i] < before) return PI_E_OK;
        before = perm[i];
    }
    pi_value *shape = pi_graph_ints(g, y->dim, y->rank, 1, err);
    if (!shape) return pi_alloc_status(err);
    for (int i = 0; i < y->rank; i++)
        if (y->dim[i] == 0) return PI_E_OK; /* Reshape reads a zero as "keep" */
    return pi_rewrite(g, node, pi_op_find(NULL, "Reshape", 13), (pi_value *[]){node->in[0], shape}, 2, err)
               ? PI_E_OK
               : pi_alloc_status(err);
}

static pi_status take_node(pi_layout *l, pi_node *node, pi_error *err)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] && !pi_tensor_known(&node->out[i]->t)) return PI_E_OK;
    if (!node->n_in || !node->in[0] || !node->n_out || !node->out[0]) return PI_E_OK;
    if (pi_is_internal(node, "Conv") || pi_is_internal(node, "ConvTranspose")) return take_conv(l, node, err);
    if (l->quantised > 1 && pi_is(node, "QLinearConv")) return take_quant_conv(l, node, err);
    if ((node->op->flags & PI_OP_ELEMENTWISE) || one_scale(node)) return take_elementwise(l, node, err);
    if (pi_is(node, "Concat")) return take_concat(l, node, err);
    if (pi_is(node, "Transpose") && is_perm(node, node->out[0]->t.rank, false)) {
        pi_value *last = pi_layout_undone(node->in[0]);
        if (last) return pi_graph_replace(l->g, node->out[0], last, err);
    }
    if (pi_is(node, "Reshape") || pi_is(node, "Transpose")) return pi_layout_tokens(l, node, err);
    return pi_layout_undone(node->in[0]) ? pi_layout_rewrite(l, node, err) : PI_E_OK;
}

pi_status pi_pass_layout(pi_graph *g, pi_error *err)
{
    pi_layout l = {.g = g};
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) l.quantised += pi_is(g->node[i], "QLinearConv") || pi_is_internal(g->node[i], "QLinearConv");
    for (uint32_t i = 0; i < n; i++)
        if (g->node[i]->op) PI_TRY(take_node(&l, g->node[i], err));
    n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++)
        if (pi_is(g->node[i], "Transpose")) PI_TRY(as_reshape(g, g->node[i], err));
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    PI_TRY(pi_graph_sort(g, err));
    return pi_graph_infer(g, pi_op_fold, err);
}
