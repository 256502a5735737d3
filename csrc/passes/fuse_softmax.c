/* SPDX-License-Identifier: Apache-2.0 */
/* The softmax of attention: a mask added before it, and NaN (of rows without anything to attend to) made 0 after it, as
 * PyTorch's exports spell it, go into pyinfer.Softmax. */
#include <math.h>
#include "passes/match.h"
#include "passes/passes.h"

/* Where(IsNaN(y), 0, y), which is all that reads y; else NULL. */
static pi_node *nan_guard(const pi_value *y)
{
    double zero;
    if (y->n_uses != 2 || y->n_outputs) return NULL;
    for (uint32_t i = 0; i < 2; i++) {
        pi_node *isnan = y->use[i].node, *where = y->use[1 - i].node;
        if (!pi_is(isnan, "IsNaN") || !pi_is(where, "Where") || pi_only_reader(isnan->out[0]) != where) continue;
        if (where->in[0] == isnan->out[0] && where->in[2] == y && pi_scalar(where->in[1], &zero) && zero == 0 &&
            !signbit(zero) && pi_tensor_same_shape(&where->out[0]->t, &y->t))
            return where;
    }
    return NULL;
}

/* Does the mask repeat over all axes but the last, which it has? */
static bool is_mask(const pi_tensor *mask, const pi_tensor *x)
{
    int skip = x->rank - mask->rank;
    if (mask->rank < 1 || skip < 0 || mask->dim[mask->rank - 1] != x->dim[x->rank - 1]) return false;
    for (int i = 0; i < mask->rank; i++)
        if (mask->dim[i] != 1 && mask->dim[i] != x->dim[skip + i]) return false;
    return true;
}

/* x = the result + *mask, added only for this softmax; NULL: there is no mask. */
static pi_value *unmasked(const pi_value *x, pi_value **mask)
{
    const pi_node *add = pi_made_by(x, "Add");
    if (!add || x->n_uses != 1 || x->n_outputs) return NULL;
    for (int i = 0; i < 2; i++) {
        *mask = add->in[1 - i];
        if (pi_tensor_same_shape(&add->in[i]->t, &x->t) && is_mask(&(*mask)->t, &x->t)) return add->in[i];
    }
    return NULL;
}

static pi_status fuse(pi_graph *g, pi_node *softmax, pi_error *err)
{
    pi_value *x = softmax->in[0], *y = softmax->out[0];
    int axis;
    if (softmax->op->since < 13 || x->t.dtype != PI_DTYPE_F32 || !pi_tensor_known(&x->t) || x->t.rank < 1) return PI_E_OK;
    PI_TRY(pi_axis(pi_attr_int(softmax, "axis"), x->t.rank, &axis, err));
    if (axis != x->t.rank - 1) return PI_E_OK;
    pi_value *mask = NULL, *inner = unmasked(x, &mask);
    pi_node *guard = nan_guard(y);
    if (!inner && !guard) return PI_E_OK;
    pi_value *in[3] = {inner ? inner : x, inner ? mask : NULL};
    pi_node *node = pi_rewrite(g, guard ? guard : softmax, pi_op_internal("Softmax"), in, 3, err);
    if (!node) return pi_alloc_status(err);
    return guard ? pi_attr_set_int(g, node, "nan_to_zero", 1, err) : PI_E_OK;
}

pi_status pi_pass_fuse_softmax(pi_graph *g, pi_error *err)
{
    for (uint32_t i = 0, n = g->n_nodes; i < n; i++)
        if (pi_is(g->node[i], "Softmax")) PI_TRY(fuse(g, g->node[i], err));
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
