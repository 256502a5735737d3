/* SPDX-License-Identifier: Apache-2.0 */
/* Removes nodes that change nothing: Identity, Dropout at inference, casts to the same type, shapes that stay as they
 * are, sums of one, products with one; pairs of Transpose become one. */
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

static bool same_shape(const pi_node *node)
{
    const pi_tensor *x = &node->in[0]->t, *y = &node->out[0]->t;
    return pi_tensor_known(x) && pi_tensor_known(y) && x->dtype == y->dtype && pi_tensor_same_shape(x, y);
}

static bool is_view(const pi_node *node) { return node && node->op && (node->op->flags & PI_OP_VIEW) && !node->op->domain; }

/* All elements of a small integer constant are `number`; an absent input counts as true. */
static bool all_are(const pi_node *node, uint32_t i, int64_t number)
{
    if (node->n_in <= i || !node->in[i]) return true;
    const pi_const *c = node->in[i]->constant;
    if (!c || !c->t.data) return false;
    for (int64_t k = 0; k < pi_tensor_n(&c->t); k++)
        if (pi_tensor_int(&c->t, k) != number) return false;
    return true;
}

static pi_value *arithmetic(const pi_node *node)
{
    if (node->n_attrs || !node->in[1]) return NULL;
    double neutral = pi_is(node, "Mul") || pi_is(node, "Div") ? 1 : 0, number;
    bool commutes = pi_is(node, "Mul") || pi_is(node, "Add");
    for (int i = 0; i < (commutes ? 2 : 1); i++) {
        const pi_value *x = node->in[i], *c = node->in[1 - i];
        if (pi_scalar(c, &number) && number == neutral && pi_tensor_known(&x->t) && x->t.rank >= c->t.rank)
            return node->in[i];
    }
    return NULL;
}

/* The value that node's output 0 always equals, or NULL. */
static pi_value *nothing_done(const pi_node *node)
{
    pi_value *x = node->n_in ? node->in[0] : NULL;
    if (!x) return NULL;
    if (pi_is(node, "Identity")) return x;
    if (pi_is(node, "Dropout")) {
        bool training = node->n_in > 2 && node->in[2] && !(node->in[2]->constant && all_are(node, 2, 0));
        return training || (node->n_out > 1 && node->out[1]) ? NULL : x;
    }
    if (pi_is(node, "Cast") || pi_is(node, "CastLike")) return x->t.dtype && x->t.dtype == node->out[0]->t.dtype ? x : NULL;
    if (node->n_in == 1 && (pi_is(node, "Concat") || pi_is(node, "Sum") || pi_is(node, "Max") || pi_is(node, "Min"))) return x;
    if (is_view(node)) return same_shape(node) ? x : NULL;
    if (pi_is(node, "Expand") || pi_is(node, "Tile")) return same_shape(node) ? x : NULL;
    if (pi_is(node, "Slice") && node->n_in > 2) return same_shape(node) && all_are(node, 4, 1) ? x : NULL;
    if (pi_is(node, "Pad") && node->n_in > 1) return same_shape(node) && all_are(node, 1, 0) ? x : NULL;
    if (pi_is(node, "Mul") || pi_is(node, "Div") || pi_is(node, "Add") || pi_is(node, "Sub")) return arithmetic(node);
    return NULL;
}

/* perm as numbers; the default reverses. false if the rank is not known. */
static bool read_perm(const pi_node *node, int64_t *perm, int *rank)
{
    uint32_t n;
    const int64_t *p = pi_attr_ints(node, "perm", &n);
    *rank = p ? (int)n : node->in[0]->t.rank;
    if (*rank < 0 || *rank > PI_MAX_RANK) return false;
    for (int i = 0; i < *rank; i++) perm[i] = p ? p[i] : *rank - 1 - i;
    return true;
}

static pi_status merge_transposes(pi_graph *g, pi_node *node, pi_error *err)
{
    int64_t outer[PI_MAX_RANK], inner[PI_MAX_RANK], both[PI_MAX_RANK];
    int rank, inner_rank;
    bool identity = true;
    pi_node *before = pi_made_by(node->in[0], "Transpose");
    if (!read_perm(node, outer, &rank)) return PI_E_OK;
    if (before) {
        if (!read_perm(before, inner, &inner_rank) || inner_rank != rank) return PI_E_OK;
        for (int i = 0; i < rank; i++) both[i] = inner[outer[i]];
        PI_TRY(pi_attr_set_ints(g, node, "perm", both, (uint32_t)rank, err));
        PI_TRY(pi_node_set_in(g, node, 0, before->in[0], err));
        memcpy(outer, both, sizeof outer);
    }
    for (int i = 0; i < rank; i++) identity &= outer[i] == i;
    return identity ? pi_graph_replace(g, node->out[0], node->in[0], err) : PI_E_OK;
}

/* A view of a view is one view of the first, under the last shape. */
static pi_status merge_views(pi_graph *g, pi_node *node, pi_error *err)
{
    pi_node *before = node->in[0]->producer;
    const pi_tensor *y = &node->out[0]->t;
    if (!is_view(before) || before->out[0] != node->in[0] || !pi_tensor_known(y)) return PI_E_OK;
    if (!before->in[0] || before->in[0]->t.dtype != y->dtype) return PI_E_OK;
    for (int i = 0; i < y->rank; i++)
        if (y->dim[i] == 0) return PI_E_OK; /* Reshape reads a zero as "keep" */
    pi_value *shape = pi_graph_ints(g, y->dim, y->rank, 1, err);
    if (!shape) return pi_alloc_status(err);
    pi_node *view = pi_rewrite(g, node, pi_op_find(NULL, "Reshape", 13), (pi_value *[]){before->in[0], shape}, 2, err);
    if (!view) return pi_alloc_status(err);
    return same_shape(view) ? pi_graph_replace(g, view->out[0], view->in[0], err) : PI_E_OK;
}

/* The last two dims of both. */
static bool same_matrix(const pi_tensor *a, const pi_tensor *b)
{
    return pi_tensor_known(a) && pi_tensor_known(b) && a->rank >= 2 && b->rank >= 2 &&
           a->dim[a->rank - 1] == b->dim[b->rank - 1] && a->dim[a->rank - 2] == b->dim[b->rank - 2];
}

/* Reshape(Transpose(Reshape(x))) that merges leading dims, swaps the last two and splits the leading dims again is a
 * Transpose of x; where it splits them otherwise than x had them, of a Reshape of x. */
static pi_status swap_between_reshapes(pi_graph *g, pi_node *last, pi_error *err)
{
    pi_node *swap = pi_made_by(last->in[0], "Transpose"), *first = swap ? pi_made_by(swap->in[0], "Reshape") : NULL;
    int64_t perm[PI_MAX_RANK], dim[PI_MAX_RANK];
    int rank;
    if (!first || !read_perm(swap, perm, &rank) || rank < 2 || perm[rank - 1] != rank - 2 || perm[rank - 2] != rank - 1)
        return PI_E_OK;
    for (int i = 0; i < rank - 2; i++)
        if (perm[i] != i) return PI_E_OK;
    const pi_tensor *x = &first->in[0]->t, *y = &last->out[0]->t;
    if (!same_matrix(x, &first->out[0]->t) || !same_matrix(&swap->out[0]->t, y) || pi_tensor_n(x) == 0) return PI_E_OK;
    bool same = x->rank == y->rank;
    for (int i = 0; i < y->rank; i++) perm[i] = i, dim[i] = y->dim[i];
    for (int i = 0; same && i < x->rank - 2; i++) same = x->dim[i] == y->dim[i];
    rank = y->rank;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    pi_value *from = first->in[0];
    if (!same) {
        dim[rank - 1] = x->dim[x->rank - 1];
        dim[rank - 2] = x->dim[x->rank - 2];
        if (!(from = pi_reshaped(g, last, from, rank, dim, err))) return pi_alloc_status(err);
    }
    pi_node *node = pi_rewrite(g, last, pi_op_find(NULL, "Transpose", 13), &from, 1, err);
    if (!node) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_ints(g, node, "perm", perm, (uint32_t)rank, err));
    return merge_transposes(g, node, err);
}

pi_status pi_pass_simplify(pi_graph *g, pi_error *err)
{
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) {
        pi_node *node = g->node[i];
        if (!node->op || !node->n_out || !node->out[0]) continue;
        pi_value *same = nothing_done(node);
        if (same && same != node->out[0]) PI_TRY(pi_graph_replace(g, node->out[0], same, err));
        if (pi_is(node, "Transpose") && node->in[0]) PI_TRY(merge_transposes(g, node, err));
        if (pi_is(node, "Reshape") && node->in[0]) PI_TRY(swap_between_reshapes(g, node, err));
        if (is_view(node) && node->in[0]) PI_TRY(merge_views(g, node, err));
    }
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
