/* SPDX-License-Identifier: Apache-2.0 */
/* Large weights that a file keeps in narrow types: Cast(W), or Mul(Cast(W), s) with a factor for each row or column. Folding
 * leaves them alone, as the result is larger, and each run would compute them. They become constants that are made when
 * they are packed; where Gather picks rows, the rows are widened and not the table. Exact: the product is rounded once. */
#include "passes/match.h"
#include "passes/passes.h"

/* v is Cast(W) to f32 of a constant that can be widened; else NULL. */
static pi_node *cast_of(const pi_value *v)
{
    pi_node *cast = pi_made_by(v, "Cast");
    const pi_const *w = cast && cast->in[0] ? cast->in[0]->constant : NULL;
    return w && pi_is_f32(v) && w->t.dtype != PI_DTYPE_F32 && pi_const_scalable(w, 0) ? cast : NULL;
}

/* The input of a Mul that is widened, and the factor: a constant of no more dims. */
static bool read_mul(const pi_node *mul, pi_node **cast, pi_value **factor)
{
    for (uint32_t i = 0; mul && i < 2 && mul->n_in == 2 && !mul->n_attrs; i++) {
        *cast = cast_of(mul->in[i]);
        *factor = mul->in[1 - i];
        if (*cast && pi_floats(*factor) && (*factor)->t.rank <= (*cast)->in[0]->t.rank) return true;
    }
    return false;
}

static pi_node *insert_like(pi_graph *g, const pi_node *like, pi_value *const *in, uint32_t n_in, pi_error *err)
{
    pi_node *node = pi_insert(g, like, like->op, in, n_in, err);
    for (uint32_t i = 0; node && i < like->n_attrs; i++)
        if (pi_attr_set(g, node, &like->attr[i], err) != PI_E_OK) return NULL;
    return node;
}

/* Gather(Mul(Cast(W), s), i) is Mul(Cast(Gather(W, i)), s), with the rows of s where it has as many. */
static pi_status pick_first(pi_graph *g, pi_node *gather, bool *changed, pi_error *err)
{
    pi_value *ids = gather->in[1], *factor = NULL;
    pi_node *mul = pi_made_by(gather->in[0], "Mul"), *cast = mul ? NULL : cast_of(gather->in[0]);
    if ((!cast && !read_mul(mul, &cast, &factor)) || pi_attr_int(gather, "axis") != 0 || !ids || ids->t.rank < 1) return PI_E_OK;
    pi_value *w = cast->in[0];
    if (w->t.rank < 1 || ids->t.rank + w->t.rank - 1 > PI_MAX_RANK) return PI_E_OK;
    pi_node *node = insert_like(g, gather, (pi_value *[]){w, ids}, 2, err);
    if (node) node = insert_like(g, cast, &node->out[0], 1, err);
    if (!node) return pi_alloc_status(err);
    if (factor) {
        pi_value *rows = node->out[0];
        if (factor->t.rank == w->t.rank && factor->t.dim[0] > 1) {
            pi_node *picked = insert_like(g, gather, (pi_value *[]){factor, ids}, 2, err);
            if (!picked) return pi_alloc_status(err);
            factor = picked->out[0];
        }
        if (!(node = insert_like(g, mul, (pi_value *[]){rows, factor}, 2, err))) return pi_alloc_status(err);
    }
    *changed = true;
    return pi_graph_replace(g, gather->out[0], node->out[0], err);
}

/* The axis of w along which the factor, or the only number, stands; -1: there is none. */
static int axis_of(const pi_tensor *w, const pi_tensor *factor)
{
    int axis = -1;
    for (int i = 0; i < factor->rank; i++) {
        int at = w->rank - factor->rank + i;
        if (factor->dim[i] == 1) continue;
        if (axis >= 0 || factor->dim[i] != w->dim[at]) return -1;
        axis = at;
    }
    return axis < 0 ? 0 : axis;
}

/* v becomes a constant: the widened w, times the factor. */
static pi_status make_constant(pi_graph *g, pi_value *v, pi_const *w, const pi_value *factor, int axis, bool *changed,
                               pi_error *err)
{
    double *number = NULL;
    if (factor) {
        int64_t n = w->t.dim[axis], each = pi_tensor_n(&factor->t) > 1;
        const float *f = factor->constant->t.data;
        if (!(number = pi_calloc(g->heap, (size_t)n, sizeof *number, err))) return pi_alloc_status(err);
        for (int64_t i = 0; i < n; i++) number[i] = (double)f[i * each];
    }
    pi_const *c = pi_const_scaled(g->heap, w, axis, number, err);
    pi_free(number);
    pi_value *to = c ? pi_graph_constant(g, v->name, c, err) : NULL;
    if (!to) return pi_alloc_status(err);
    *changed = true;
    return pi_graph_replace(g, v, to, err);
}

pi_status pi_pass_weights(pi_graph *g, pi_error *err)
{
    bool changed = false;
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++)
        if (pi_is(g->node[i], "Gather")) PI_TRY(pick_first(g, g->node[i], &changed, err));
    for (uint32_t i = 0; i < n; i++) {
        pi_node *cast;
        pi_value *factor;
        if (!pi_is(g->node[i], "Mul") || !read_mul(g->node[i], &cast, &factor)) continue;
        pi_const *w = cast->in[0]->constant;
        int axis = w->t.rank ? axis_of(&w->t, &factor->t) : -1;
        if (axis >= 0) PI_TRY(make_constant(g, g->node[i]->out[0], w, factor, axis, &changed, err));
    }
    for (uint32_t i = 0; i < n; i++) {
        pi_value *v = pi_is(g->node[i], "Cast") ? g->node[i]->out[0] : NULL;
        if (v && v->n_uses && cast_of(v)) PI_TRY(make_constant(g, v, g->node[i]->in[0]->constant, NULL, 0, &changed, err));
    }
    if (!changed) return PI_E_OK;
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    PI_TRY(pi_graph_sort(g, err));
    return pi_graph_infer(g, pi_op_fold, err);
}
