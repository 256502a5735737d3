/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that name axes, moved before a transpose: their axes, pads, scales and sizes are written in the other order. */
#include <string.h>
#include "passes/layout_parts.h"
#include "passes/match.h"

/* Sets input 0 to the "last" value and gives output 0 a transpose behind it. */
static pi_status move(pi_layout *l, pi_node *node, pi_error *err)
{
    PI_TRY(pi_node_set_in(l->g, node, 0, pi_layout_undone(node->in[0]), err));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i]) PI_TRY(pi_layout_emit(l, node, i, err));
    return PI_E_OK;
}

/* Pooling exists in both layouts in the domain "pyinfer". */
static pi_status take_pool(pi_layout *l, pi_node *node, pi_error *err)
{
    pi_attr attr[16];
    uint32_t n = node->n_attrs;
    if ((node->n_out > 1 && node->out[1]) || n > 16 || node->in[0]->t.dtype != PI_DTYPE_F32) return PI_E_OK;
    memcpy(attr, node->attr, n * sizeof *attr);
    pi_node *pool = pi_rewrite(l->g, node, pi_op_internal(node->op->name), node->in, 1, err);
    if (!pool) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) PI_TRY(pi_attr_set(l->g, pool, &attr[i], err));
    PI_TRY(pi_attr_set_int(l->g, pool, "nhwc", 1, err));
    return move(l, pool, err);
}

/* The mean or maximum over all spatial axes is a reduction. */
static pi_status take_global_pool(pi_layout *l, pi_node *node, const char *reduce, pi_error *err)
{
    int rank = node->in[0]->t.rank;
    int64_t axes[PI_MAX_RANK];
    for (int i = 0; i < rank - 2; i++) axes[i] = i + 1;
    pi_value *v = pi_graph_ints(l->g, axes, rank - 2, 1, err);
    if (!v) return pi_alloc_status(err);
    pi_node *mean = pi_rewrite(l->g, node, pi_op_find(NULL, reduce, 18), (pi_value *[]){node->in[0], v}, 2, err);
    if (!mean) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(l->g, mean, "keepdims", 1, err));
    return move(l, mean, err);
}

/* Axes of a node, from attribute or constant input; 0 if there are none or they are not known. */
static uint32_t read_axes(const pi_node *node, uint32_t input, int64_t *axes)
{
    uint32_t n = 0;
    const int64_t *list = pi_attr_ints(node, "axes", &n);
    if (!list && node->n_in > input && node->in[input] && node->in[input]->constant && node->in[input]->constant->t.data) {
        n = (uint32_t)pi_tensor_n(&node->in[input]->constant->t);
        if (n > PI_MAX_RANK) return 0;
        for (uint32_t i = 0; i < n; i++) axes[i] = pi_tensor_int(&node->in[input]->constant->t, i);
        return n;
    }
    if (n > PI_MAX_RANK) return 0;
    if (n) memcpy(axes, list, n * sizeof *axes);
    return n;
}

static pi_status write_axes(pi_layout *l, pi_node *node, uint32_t input, const int64_t *axes, uint32_t n, pi_error *err)
{
    uint32_t have;
    if (pi_attr_ints(node, "axes", &have)) return pi_attr_set_ints(l->g, node, "axes", axes, n, err);
    pi_value *v = pi_graph_ints(l->g, axes, n, 1, err);
    return v ? pi_node_set_in(l->g, node, input, v, err) : pi_alloc_status(err);
}

static pi_status take_reduce(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->in[0]->t.rank;
    int64_t axes[PI_MAX_RANK];
    uint32_t n = read_axes(node, 1, axes);
    bool keep = pi_attr_int(node, "keepdims") != 0, channel = false;
    for (uint32_t i = 0; i < n; i++) {
        axes[i] = pi_layout_axis(rank, axes[i]);
        channel |= axes[i] == rank - 1;
    }
    if (!n || (!keep && ((int)n != rank - 2 || channel))) return PI_E_OK;
    for (uint32_t i = 0; i < n; i++)
        if (!keep && axes[i] == 0) return PI_E_OK;
    PI_TRY(write_axes(l, node, 1, axes, n, err));
    if (keep) return move(l, node, err);
    return pi_node_set_in(l->g, node, 0, pi_layout_undone(node->in[0]), err); /* [N, C] in both layouts */
}

/* A constant vector with one entry an axis (or two halves of such, for Pad), in the order of the "last" tensor. */
static pi_status permute_input(pi_layout *l, pi_node *node, uint32_t input, int rank, int halves, pi_error *err)
{
    const pi_const *c = node->in[input]->constant;
    size_t size = pi_dtype_size(c->t.dtype);
    pi_const *moved = pi_const_new(l->g->heap, c->t.dtype, c->t.rank, c->t.dim, err);
    if (!moved) return pi_alloc_status(err);
    for (int h = 0; h < halves; h++)
        for (int i = 0; i < rank; i++)
            memcpy((char *)moved->t.data + size * (size_t)(h * rank + i),
                   (const char *)c->t.data + size * (size_t)(h * rank + pi_layout_source(rank, i, false)), size);
    pi_value *v = pi_graph_constant(l->g, node->in[input]->name, moved, err);
    return v ? pi_node_set_in(l->g, node, input, v, err) : pi_alloc_status(err);
}

static bool constant_of(const pi_node *node, uint32_t input, int64_t n)
{
    const pi_value *v = node->n_in > input ? node->in[input] : NULL;
    return v && v->constant && v->constant->t.data && pi_tensor_n(&v->constant->t) == n;
}

static bool absent_or_empty(const pi_node *node, uint32_t input)
{
    return node->n_in <= input || !node->in[input] || constant_of(node, input, 0);
}

static pi_status take_resize(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->in[0]->t.rank;
    uint32_t n, first = node->op->since == 10 || pi_is(node, "Upsample") ? 1 : 2; /* scales; then sizes */
    if (pi_attr_ints(node, "axes", &n) || (first == 2 && !absent_or_empty(node, 1))) return PI_E_OK;
    for (uint32_t i = first; i < node->n_in; i++)
        if (!absent_or_empty(node, i) && !constant_of(node, i, rank)) return PI_E_OK;
    for (uint32_t i = first; i < node->n_in; i++)
        if (!absent_or_empty(node, i)) PI_TRY(permute_input(l, node, i, rank, 1, err));
    return move(l, node, err);
}

static pi_status take_pad(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->in[0]->t.rank;
    if (!constant_of(node, 1, 2 * rank) || (node->n_in > 3 && node->in[3])) return PI_E_OK;
    PI_TRY(permute_input(l, node, 1, rank, 2, err));
    return move(l, node, err);
}

static pi_status take_slice(pi_layout *l, pi_node *node, pi_error *err)
{
    int rank = node->in[0]->t.rank;
    int64_t axes[PI_MAX_RANK];
    if (node->n_in < 4 || !node->in[3]) return PI_E_OK;
    uint32_t n = read_axes(node, 3, axes);
    if (!n) return PI_E_OK;
    for (uint32_t i = 0; i < n; i++) axes[i] = pi_layout_axis(rank, axes[i]);
    PI_TRY(write_axes(l, node, 3, axes, n, err));
    return move(l, node, err);
}

static pi_status take_axis(pi_layout *l, pi_node *node, pi_error *err)
{
    PI_TRY(pi_attr_set_int(l->g, node, "axis", pi_layout_axis(node->in[0]->t.rank, pi_attr_int(node, "axis")), err));
    return move(l, node, err);
}

pi_status pi_layout_rewrite(pi_layout *l, pi_node *node, pi_error *err)
{
    static const char *const reduces[] = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"};
    if (pi_is(node, "MaxPool") || pi_is(node, "AveragePool")) return take_pool(l, node, err);
    if (pi_is(node, "GlobalAveragePool")) return take_global_pool(l, node, "ReduceMean", err);
    if (pi_is(node, "GlobalMaxPool")) return take_global_pool(l, node, "ReduceMax", err);
    for (size_t i = 0; i < PI_COUNT(reduces); i++)
        if (pi_is(node, reduces[i])) return take_reduce(l, node, err);
    if (pi_is(node, "Resize") || pi_is(node, "Upsample")) return take_resize(l, node, err);
    if (pi_is(node, "Pad") && node->n_in > 1) return take_pad(l, node, err);
    if (pi_is(node, "Slice")) return take_slice(l, node, err);
    if (pi_is(node, "Split") || ((pi_is(node, "Softmax") || pi_is(node, "LogSoftmax")) && node->op->since >= 13))
        return take_axis(l, node, err);
    return PI_E_OK;
}
